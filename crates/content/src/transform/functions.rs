//! The functions that expressions may call, with what is needed to estimate them.

/// How a function treats its arguments and how large its result can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One small value; arguments are evaluated on the input.
    Small,
    /// The input or a part of it, once for each output of the arguments.
    Part,
    /// Nothing at all.
    Nothing,
    /// The input rearranged; the argument is evaluated on each element.
    Rearranged,
    /// An array of the argument's outputs for each element.
    Map,
    /// The input with each element replaced.
    MapValues,
    /// Like `Map`, over pairs of key and value.
    Entries,
    /// Pairs of key and value.
    ToEntries,
    /// What the last argument yields, collected or cut off.
    Argument,
    /// The input as one text that may be twice as long, with the argument between the elements.
    Text,
    /// The text taken apart: up to one value per byte.
    Pieces,
    /// One small value; the argument is compared with each part of the input.
    Search,
    /// One small value; the second argument is evaluated on what the first one yields.
    Each,
    /// Numbers between literal bounds.
    Range,
    /// A product (only made by rewriting `*`).
    Product,
}

pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arity: usize,
    pub(super) shape: Shape,
}

const fn function(name: &'static str, arity: usize, shape: Shape) -> Function {
    Function { name, arity, shape }
}

/// What `*` is rewritten to: a product that cannot repeat texts.
pub(super) const PRODUCT: &str = "nexus_product";

pub(super) const FUNCTIONS: &[Function] = &[
    function("true", 0, Shape::Small),
    function("false", 0, Shape::Small),
    function("null", 0, Shape::Small),
    function("not", 0, Shape::Small),
    function("length", 0, Shape::Small),
    function("utf8bytelength", 0, Shape::Small),
    function("type", 0, Shape::Small),
    function("floor", 0, Shape::Small),
    function("ceil", 0, Shape::Small),
    function("round", 0, Shape::Small),
    function("abs", 0, Shape::Small),
    function("tonumber", 0, Shape::Small),
    function("has", 1, Shape::Small),
    function("startswith", 1, Shape::Small),
    function("endswith", 1, Shape::Small),
    function("isempty", 1, Shape::Small),
    function("any", 0, Shape::Small),
    function("all", 0, Shape::Small),
    function("any", 1, Shape::Rearranged),
    function("all", 1, Shape::Rearranged),
    function("any", 2, Shape::Each),
    function("all", 2, Shape::Each),
    function("contains", 1, Shape::Search),
    function("empty", 0, Shape::Nothing),
    function("error", 0, Shape::Nothing),
    function("error", 1, Shape::Nothing),
    function("select", 1, Shape::Part),
    function("values", 0, Shape::Part),
    function("nulls", 0, Shape::Part),
    function("booleans", 0, Shape::Part),
    function("numbers", 0, Shape::Part),
    function("strings", 0, Shape::Part),
    function("arrays", 0, Shape::Part),
    function("objects", 0, Shape::Part),
    function("iterables", 0, Shape::Part),
    function("scalars", 0, Shape::Part),
    function("first", 0, Shape::Part),
    function("last", 0, Shape::Part),
    function("keys", 0, Shape::Part),
    function("keys_unsorted", 0, Shape::Part),
    function("reverse", 0, Shape::Part),
    function("sort", 0, Shape::Part),
    function("unique", 0, Shape::Part),
    function("min", 0, Shape::Part),
    function("max", 0, Shape::Part),
    function("add", 0, Shape::Part),
    function("flatten", 0, Shape::Part),
    function("from_entries", 0, Shape::Part),
    function("trim", 0, Shape::Part),
    function("ltrim", 0, Shape::Part),
    function("rtrim", 0, Shape::Part),
    function("ltrimstr", 1, Shape::Part),
    function("rtrimstr", 1, Shape::Part),
    function("ascii_downcase", 0, Shape::Part),
    function("ascii_upcase", 0, Shape::Part),
    function("del", 1, Shape::Part),
    function("sort_by", 1, Shape::Rearranged),
    function("group_by", 1, Shape::Rearranged),
    function("unique_by", 1, Shape::Rearranged),
    function("min_by", 1, Shape::Rearranged),
    function("max_by", 1, Shape::Rearranged),
    function("map", 1, Shape::Map),
    function("map_values", 1, Shape::MapValues),
    function("to_entries", 0, Shape::ToEntries),
    function("with_entries", 1, Shape::Entries),
    function("add", 1, Shape::Argument),
    function("first", 1, Shape::Argument),
    function("last", 1, Shape::Argument),
    function("limit", 2, Shape::Argument),
    function("skip", 2, Shape::Argument),
    function("tostring", 0, Shape::Text),
    function("tojson", 0, Shape::Text),
    function("join", 1, Shape::Text),
    function("split", 1, Shape::Pieces),
    function("fromjson", 0, Shape::Pieces),
    function("range", 1, Shape::Range),
    function("range", 2, Shape::Range),
];

const PRODUCT_FUNCTION: Function = function(PRODUCT, 2, Shape::Product);

/// Definitions and native functions of jq that the allowed ones are made of.
pub(super) const SUPPORT: &[&str] = &[
    "select",
    "recurse",
    "arrays",
    "isboolean",
    "isnumber",
    "isstring",
    "isarray",
    "isobject",
    "min_by_or_empty",
    "max_by_or_empty",
    "group_by",
    "key_values",
    "error_empty",
    "tostring",
    "map",
    "to_entries",
    "from_entries",
    "isempty",
    "any",
    "all",
    "add",
    "min_by",
    "max_by",
    "unique_by",
    "flatten",
    "range",
];

/// Functions of jq that people know, each with the reason why it is not allowed.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "repeat",
            "while",
            "until",
            "recurse",
            "recurse_down",
            "walk",
            "combinations",
            "paths",
            "leaf_paths",
        ],
        "it can run without end or visit everything below a value; name the parts that you need",
    ),
    (&["input", "inputs", "input_line_number", "input_filename"], "an expression sees one event"),
    (&["env"], "an expression sees no environment"),
    (
        &[
            "now",
            "localtime",
            "gmtime",
            "mktime",
            "strftime",
            "strflocaltime",
            "strptime",
            "todate",
            "fromdate",
            "todateiso8601",
            "fromdateiso8601",
            "date",
        ],
        "the same event must give the same data at any time; the event's own 'time' is a text",
    ),
    (&["halt", "halt_error", "debug", "stderr"], "an expression only makes a value"),
    (
        &["test", "match", "capture", "scan", "sub", "gsub", "splits", "ascii"],
        "regular expressions are left out; use startswith, endswith, contains, split, ltrimstr, rtrimstr",
    ),
    (
        &["pow", "log", "exp", "log2", "exp2", "log10", "exp10", "sqrt"],
        "only + - * / %, floor, ceil, round and abs are there",
    ),
    (
        &[
            "getpath",
            "setpath",
            "delpaths",
            "path",
            "pick",
            "implode",
            "explode",
            "tobytes",
            "indices",
            "index",
            "rindex",
            "transpose",
            "bsearch",
            "inside",
            "in",
            "nth",
            "min_by_or_empty",
            "max_by_or_empty",
            "path_value",
            "key_values",
        ],
        "it is left out; write the path itself, such as .data.id, del(.data.id) or .data.id |= .",
    ),
];

/// The function of this name and number of arguments.
pub(super) fn known(name: &str, arity: usize) -> Option<&'static Function> {
    static PRODUCT_ROW: Function = PRODUCT_FUNCTION;
    FUNCTIONS
        .iter()
        .find(|at| at.name == name && at.arity == arity)
        .or((name == PRODUCT && arity == PRODUCT_ROW.arity).then_some(&PRODUCT_ROW))
}

/// Why a known function of jq is not allowed.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason)
}
