//! Rules about Rust sources: lengths, open ends, and what lower floors must not touch.

use super::lexer;
use super::{File, Finding};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[(
    "crates/model/src/record.rs",
    "one record format read from top to bottom; mostly documentation of its fields",
)];

/// Functions that may be longer, each as (file, function, reason).
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// What reaches for the world past its seam, and where that is right.
struct Forbidden {
    text: &'static str,
    instead: &'static str,
    allowed: &'static [&'static str],
}

/// Folders of the edges: they read configuration, and talk to people.
const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        text: "SystemTime::now",
        instead: "take a model::Clock",
        allowed: &["crates/model/src/clock.rs", "xtask/", "crates/cli/", "crates/toolchain/"],
    },
    Forbidden {
        text: "Timestamp::now()",
        instead: "take a model::Clock",
        allowed: &["crates/cli/"],
    },
    Forbidden { text: "Zoned::now()", instead: "take a model::Clock", allowed: &["crates/cli/"] },
    Forbidden {
        text: "env::var",
        instead: "configuration is read in the binary and the CLI, and passed down",
        allowed: &["crates/nexus/", "crates/cli/", "crates/toolchain/", "xtask/"],
    },
    Forbidden { text: "env::set_var", instead: "set it on the child process", allowed: &[] },
    Forbidden { text: "process::exit", instead: "return an ExitCode from main", allowed: &[] },
    Forbidden { text: "todo!", instead: "write it, or leave it out", allowed: &[] },
    Forbidden { text: "unimplemented!", instead: "write it, or leave it out", allowed: &[] },
    Forbidden { text: "#[ignore", instead: "a test runs, or it is not there", allowed: &[] },
];

/// Marks of work left open, written so that this file has none.
const OPEN_ENDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        open_ends(file, &mut findings);
        let code = lexer::code_only(&file.text);
        let is_test = file.path.contains("/tests/") || file.path.contains("/benches/");
        if is_test {
            continue;
        }
        let code = lexer::without_tests(&code);
        lengths(file, &code, &mut findings);
        forbidden(file, &code, &mut findings);
    }
    integration_binaries(files, &mut findings);
    findings
}

fn open_ends(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in (1..).zip(file.text.lines()) {
        for mark in OPEN_ENDS {
            let bare = line.split(mark).skip(1).any(|after| !is_issue(after));
            let word = line.split(|c: char| !c.is_alphanumeric()).any(|word| word == *mark);
            if word && bare {
                let message = format!("'{mark}' without an issue: write {}(#n)", OPEN_ENDS[0]);
                findings.push(Finding::new(file, number, message));
            }
        }
    }
}

/// Whether a mark is followed by `(#123)`.
fn is_issue(after: &str) -> bool {
    let number = after.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
    number
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn lengths(file: &File, code: &str, findings: &mut Vec<Finding>) {
    let lines = code.trim_end().matches('\n').count() + 1;
    let excepted = LONG_FILES.iter().any(|(path, _)| *path == file.path);
    if lines > FILE_LINES_MAX && !excepted {
        let message =
            format!("{lines} lines without tests, {FILE_LINES_MAX} are the limit: split it");
        findings.push(Finding::new(file, 0, message));
    }
    if lines <= FILE_LINES_MAX && excepted {
        findings.push(Finding::new(file, 0, "not long any more: take it out of LONG_FILES"));
    }
    for function in lexer::functions(code) {
        let excepted = LONG_FUNCTIONS
            .iter()
            .any(|(path, name, _)| *path == file.path && *name == function.name);
        if function.lines > FUNCTION_LINES_MAX && !excepted {
            let message = format!(
                "the function '{}' has {} lines, {FUNCTION_LINES_MAX} are the limit: split it",
                function.name, function.lines
            );
            findings.push(Finding::new(file, function.line, message));
        }
    }
}

fn forbidden(file: &File, code: &str, findings: &mut Vec<Finding>) {
    for rule in FORBIDDEN {
        let root = file.path.split('/').next().unwrap_or_default();
        let outside = !["crates", "xtask"].contains(&root);
        if outside || rule.allowed.iter().any(|prefix| file.path.starts_with(prefix)) {
            continue;
        }
        for (number, line) in (1..).zip(code.lines()) {
            if line.contains(rule.text) {
                let message = format!("'{}' does not belong here: {}", rule.text, rule.instead);
                findings.push(Finding::new(file, number, message));
            }
        }
    }
}

/// One test binary per crate: linking dominates the time of tests.
fn integration_binaries(files: &[File], findings: &mut Vec<Finding>) {
    for file in files.iter().filter(|file| file.is_rust() && file.path.starts_with("crates/")) {
        let parts: Vec<&str> = file.path.split('/').collect();
        if parts.len() == 4 && parts[2] == "tests" {
            let message = "a second test binary: move it under tests/it/ and list it in main.rs";
            findings.push(Finding::new(file, 0, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into() };
        check(&[file]).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_mark_needs_an_issue() {
        let mark = OPEN_ENDS[0];
        assert_eq!(messages("crates/a/src/lib.rs", &format!("// {mark}: later")).len(), 1);
        assert_eq!(messages("crates/a/src/lib.rs", &format!("// {mark}(#12): later")).len(), 0);
    }

    #[test]
    fn long_things_are_found_and_tests_are_not_counted() {
        let body = "    a();\n".repeat(FUNCTION_LINES_MAX);
        let long = format!("fn a() {{\n{body}}}\n");
        assert_eq!(messages("crates/a/src/lib.rs", &long).len(), 1);
        assert_eq!(messages("crates/a/tests/it/b.rs", &long).len(), 0);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn b() {}\n".repeat(700));
        assert_eq!(messages("crates/a/src/lib.rs", &tests).len(), 0);
        assert_eq!(messages("crates/a/src/lib.rs", &"a();\n".repeat(601)).len(), 1);
    }

    #[test]
    fn lower_floors_do_not_read_the_clock() {
        let text = "fn now() { std::time::SystemTime::now(); }";
        assert_eq!(messages("crates/engine/src/lib.rs", text).len(), 1);
        assert_eq!(messages("crates/model/src/clock.rs", text).len(), 0);
        assert_eq!(messages("crates/engine/src/lib.rs", "// SystemTime::now").len(), 0);
    }

    #[test]
    fn a_crate_has_one_test_binary() {
        assert_eq!(messages("crates/a/tests/b.rs", "").len(), 1);
        assert_eq!(messages("crates/a/tests/it/main.rs", "").len(), 0);
    }
}
