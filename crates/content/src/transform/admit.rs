//! From text to a tree that has only what is allowed.

use jaq_core::load::lex::{self, Lexer, StrPart};
use jaq_core::load::parse::{BinaryOp, Parser, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use nexus_model::document::nearest;
use nexus_model::limits;

use super::TransformError;
use super::functions::{self, FUNCTIONS, PRODUCT, Shape};

/// Numbers that `range` may yield.
const RANGE_MAX: f64 = 10_000.0;

pub(super) fn parse(text: &str) -> Result<Term<&str>, TransformError> {
    check_depth(text)?;
    let tokens = Lexer::new(text).lex().map_err(|errors| lex_error(text, &errors))?;
    let term = Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        let first = errors.first();
        let expected = first.map_or("an expression", |(expected, _)| expected.as_str());
        let found = first.and_then(|(_, token)| token.map(|token| token.0));
        syntax(text, expected, found)
    })?;
    check_tree(&term)?;
    admit(term)
}

/// Everything after the parser recurses over the tree.
fn check_tree(root: &Term<&str>) -> Result<(), TransformError> {
    let mut open = vec![(root, 0)];
    while let Some((term, depth)) = open.pop() {
        if depth > limits::TRANSFORM_DEPTH_MAX {
            return Err(TransformError::TooDeep);
        }
        open.extend(children(term).into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// The parts of a term; of patterns and definitions, which are refused or flat, none.
fn children<'t, 's>(term: &'t Term<&'s str>) -> Vec<&'t Term<&'s str>> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => Vec::new(),
        Term::Str(_, parts) => {
            let terms = parts.iter().filter_map(|part| match part {
                StrPart::Term(term) => Some(term),
                _ => None,
            });
            terms.collect()
        }
        Term::Arr(inner) => inner.as_deref().into_iter().collect(),
        Term::Obj(entries) => {
            entries.iter().flat_map(|(key, value)| std::iter::once(key).chain(value)).collect()
        }
        Term::Neg(inner) | Term::Label(_, inner) | Term::Def(_, inner) => vec![inner],
        Term::BinOp(left, _, right) => vec![left, right],
        Term::Fold(_, inner, _, terms) => std::iter::once(&**inner).chain(terms).collect(),
        Term::TryCatch(body, catch) => std::iter::once(&**body).chain(catch.as_deref()).collect(),
        Term::IfThenElse(branches, otherwise) => branches
            .iter()
            .flat_map(|(condition, then)| [condition, then])
            .chain(otherwise.as_deref())
            .collect(),
        Term::Call(_, arguments) => arguments.iter().collect(),
        Term::Path(head, path) => {
            let parts = path.0.iter().flat_map(|(part, _)| match part {
                Part::Index(index) => vec![index],
                Part::Range(from, to) => from.iter().chain(to).collect(),
            });
            std::iter::once(&**head).chain(parts).collect()
        }
    }
}

/// The parser recurses with brackets and keywords; both are counted before it runs.
fn check_depth(text: &str) -> Result<(), TransformError> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for next in text.chars() {
        match next {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let words = text.split(|next: char| !next.is_ascii_alphanumeric() && next != '_');
    let openers = words.filter(|word| matches!(*word, "if" | "try" | "def" | "reduce")).count();
    let signs =
        text.as_bytes().windows(2).filter(|pair| pair[0] == b'-' && matches!(pair[1], b'-' | b' '));
    match deepest > limits::TRANSFORM_DEPTH_MAX
        || openers > limits::TRANSFORM_DEPTH_MAX
        || signs.count() > limits::TRANSFORM_DEPTH_MAX
    {
        true => Err(TransformError::TooDeep),
        false => Ok(()),
    }
}

fn lex_error(text: &str, errors: &[lex::Error<&str>]) -> TransformError {
    match errors.first() {
        Some((expected, rest)) => syntax(text, expected.as_str(), Some(rest)),
        None => syntax(text, "an expression", None),
    }
}

fn syntax(text: &str, expected: &str, found: Option<&str>) -> TransformError {
    // What was found is a part of the text itself, so its place follows from its address.
    let offset = found.map_or(text.len(), |found| {
        (found.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
    });
    let position = text.get(..offset).unwrap_or(text).chars().count() + 1;
    let found = match found.and_then(|found| found.chars().next()) {
        Some(_) => format!("'{}'", found.unwrap_or_default().chars().take(20).collect::<String>()),
        None => "the end".to_owned(),
    };
    TransformError::Syntax { position, expected: expected.to_owned(), found }
}

fn not_allowed<T>(what: &str, reason: &str) -> Result<T, TransformError> {
    Err(TransformError::NotAllowed { what: what.to_owned(), reason: reason.to_owned() })
}

type Admitted<'s> = Result<Term<&'s str>, TransformError>;

fn admit(term: Term<&str>) -> Admitted<'_> {
    Ok(match term {
        Term::Id | Term::Num(_) => term,
        Term::Var(name) if matches!(name, "$ENV" | "$__prog_args" | "$__loc__") => {
            return not_allowed(name, "an expression sees the event only");
        }
        Term::Var(_) => term,
        Term::Recurse => {
            return not_allowed("'..'", "it visits everything; name the parts you need");
        }
        Term::Label(..) | Term::Break(_) => {
            return not_allowed("'label' and 'break'", "use first(…) or limit(n; …)");
        }
        Term::Fold(kind, ..) => {
            return not_allowed(&format!("'{kind}'"), "use map, add, group_by, any or all");
        }
        Term::Def(..) => {
            return not_allowed(
                "'def'",
                "there are no functions of your own; bind values: … as $x | …",
            );
        }
        Term::Str(Some(format), _) => {
            return not_allowed(format, "write \"\\(… | tojson)\" or \"\\(…)\"");
        }
        Term::Str(None, parts) => {
            let each = |part| {
                Ok(match part {
                    StrPart::Term(term) => StrPart::Term(admit(term)?),
                    other => other,
                })
            };
            Term::Str(None, parts.into_iter().map(each).collect::<Result<_, TransformError>>()?)
        }
        Term::Arr(inner) => Term::Arr(inner.map(|inner| boxed(*inner)).transpose()?),
        Term::Obj(entries) => {
            let each = |(key, value): (Term<_>, Option<Term<_>>)| {
                Ok((admit(key)?, value.map(admit).transpose()?))
            };
            Term::Obj(entries.into_iter().map(each).collect::<Result<_, TransformError>>()?)
        }
        Term::Neg(inner) => Term::Neg(boxed(*inner)?),
        Term::BinOp(left, op, right) => binary(*left, op, *right)?,
        Term::TryCatch(body, catch) => {
            Term::TryCatch(boxed(*body)?, catch.map(|catch| boxed(*catch)).transpose()?)
        }
        Term::IfThenElse(branches, otherwise) => {
            let each = |(condition, then)| Ok((admit(condition)?, admit(then)?));
            let branches = branches.into_iter().map(each).collect::<Result<_, TransformError>>()?;
            Term::IfThenElse(branches, otherwise.map(|otherwise| boxed(*otherwise)).transpose()?)
        }
        Term::Call(name, arguments) => call(name, arguments)?,
        Term::Path(head, path) => Term::Path(boxed(*head)?, admit_path(path)?),
    })
}

fn boxed(term: Term<&str>) -> Result<Box<Term<&str>>, TransformError> {
    admit(term).map(Box::new)
}

fn admit_path<'s>(path: Path<Term<&'s str>>) -> Result<Path<Term<&'s str>>, TransformError> {
    let part = |part: Part<Term<&'s str>>| {
        Ok(match part {
            Part::Index(index) => Part::Index(admit(index)?),
            Part::Range(from, to) => {
                Part::Range(from.map(admit).transpose()?, to.map(admit).transpose()?)
            }
        })
    };
    let each = |(at, optional)| Ok((part(at)?, optional));
    path.0.into_iter().map(each).collect::<Result<_, TransformError>>().map(Path)
}

fn binary<'s>(
    left: Term<&'s str>,
    op: BinaryOp<&'s str>,
    right: Term<&'s str>,
) -> Result<Term<&'s str>, TransformError> {
    let op = match op {
        // A text times a number would be as long as the number says.
        BinaryOp::Math(Math::Mul) => {
            return Ok(Term::Call(PRODUCT, vec![admit(left)?, admit(right)?]));
        }
        BinaryOp::UpdateMath(Math::Mul) => return not_allowed("'*='", "write .a |= . * 2"),
        BinaryOp::Pipe(Some(pattern)) => BinaryOp::Pipe(Some(admit_pattern(pattern)?)),
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
            if has_comma(&left) {
                return not_allowed(
                    "',' on the left side of an update",
                    "update one path after the other with '|'",
                );
            }
            op
        }
        other => other,
    };
    Ok(Term::BinOp(boxed(left)?, op, boxed(right)?))
}

/// Whether several paths may overlap: then each would update what the one before it made.
fn has_comma(term: &Term<&str>) -> bool {
    match term {
        Term::BinOp(_, BinaryOp::Comma, _) => true,
        Term::BinOp(left, _, right) => has_comma(left) || has_comma(right),
        Term::Path(head, path) => {
            has_comma(head)
                || path.0.iter().any(|(part, _)| match part {
                    Part::Index(index) => has_comma(index),
                    Part::Range(from, to) => from.iter().chain(to).any(has_comma),
                })
        }
        Term::Call(_, arguments) => arguments.iter().any(has_comma),
        Term::TryCatch(body, catch) => has_comma(body) || catch.as_deref().is_some_and(has_comma),
        Term::IfThenElse(branches, otherwise) => {
            branches.iter().any(|(condition, then)| has_comma(condition) || has_comma(then))
                || otherwise.as_deref().is_some_and(has_comma)
        }
        _ => false,
    }
}

fn admit_pattern(pattern: Pattern<&str>) -> Result<Pattern<&str>, TransformError> {
    Ok(match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(items) => {
            Pattern::Arr(items.into_iter().map(admit_pattern).collect::<Result<_, _>>()?)
        }
        Pattern::Obj(entries) => {
            let each = |(key, value)| Ok((admit(key)?, admit_pattern(value)?));
            Pattern::Obj(entries.into_iter().map(each).collect::<Result<_, TransformError>>()?)
        }
    })
}

fn call<'s>(name: &'s str, arguments: Vec<Term<&'s str>>) -> Admitted<'s> {
    if name == PRODUCT {
        return Err(TransformError::Unknown { what: format!("function '{name}'") });
    }
    let Some(function) = functions::known(name, arguments.len()) else {
        if let Some(reason) = functions::refused(name) {
            return not_allowed(&format!("the function '{name}'"), reason);
        }
        let names: Vec<&str> = FUNCTIONS.iter().map(|at| at.name).collect();
        let what = match (names.contains(&name), nearest(name, &names)) {
            (true, _) => format!("function '{name}' with {} arguments", arguments.len()),
            (_, Some(meant)) => format!("function '{name}'; did you mean '{meant}'?"),
            _ => format!("function '{name}'"),
        };
        return Err(TransformError::Unknown { what });
    };
    if function.shape == Shape::Range && range(&arguments).is_none_or(|count| count > RANGE_MAX) {
        return not_allowed(
            "this 'range'",
            "its bounds are numbers written here, at most 10000 apart: range(0; 10)",
        );
    }
    let arguments = arguments.into_iter().map(admit).collect::<Result<_, _>>()?;
    Ok(Term::Call(name, arguments))
}

/// How many numbers a `range` with literal bounds yields.
pub(super) fn range(arguments: &[Term<&str>]) -> Option<f64> {
    let bounds: Option<Vec<f64>> = arguments
        .iter()
        .map(|argument| match argument {
            Term::Num(text) => text.parse().ok(),
            _ => None,
        })
        .collect();
    match bounds?[..] {
        [to] => Some(to.max(0.0)),
        [from, to] => Some((to - from).max(0.0)),
        _ => None,
    }
}
