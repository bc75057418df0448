//! Words for people: what answers of `why` and errors about deliveries are made of.

use nexus_model::Code;

use crate::stack;

/// How tracebacks of Python begin.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// What a cancellation says where nobody gave a reason.
pub(crate) const NO_REASON: &str = "cancelled";

/// Upper case at the beginning, one full stop at the end.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}

/// `1 attempt was made`.
pub(crate) fn attempts_made(count: u32) -> String {
    match count {
        0 => "no attempt was made".to_owned(),
        1 => "1 attempt was made".to_owned(),
        count => format!("{count} attempts were made"),
    }
}

/// `: reason`, or nothing where there is none.
pub(crate) fn because(reason: &str) -> String {
    match brief(reason).as_str() {
        "" | NO_REASON => String::new(),
        reason => format!(": {reason}"),
    }
}

/// Whether the reason that a decision keeps, which may be cut short, is the failure of an attempt.
pub(crate) fn is_failure(reason: &str, failure: &str) -> bool {
    let is_code = |code: &str| code.is_empty() || Code::parse(code).is_some();
    let without_code = reason.split_once(": ").filter(|(code, _)| is_code(code));
    let text = without_code.map_or(reason, |(_, text)| text);
    !text.is_empty() && failure.starts_with(text)
}

/// What a failure says, without its stack: that is in the record of the attempt.
pub(crate) fn brief(recorded: &str) -> String {
    let text = stack::message(recorded);
    // What has no code is kept with an empty one.
    let text = text.strip_prefix(": ").unwrap_or(&text);
    if let Some((before, traceback)) = text.split_once(TRACEBACK) {
        // The message stands at the end, unless the text was cut before it.
        let last = traceback.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        return match last.starts_with(' ') {
            true => before.trim_end_matches([' ', ':']).to_owned(),
            false => format!("{before}{last}"),
        };
    }
    // The last frame may be cut short.
    let is_frame = |line: &str| line.starts_with(' ') && line.trim_start().starts_with("at ");
    let lines: Vec<&str> = text.lines().take_while(|line| !is_frame(line)).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_without_its_stack() {
        for (recorded, told) in [
            ("it failed", "it failed"),
            (
                "NX5002: Error: no\n    at f (index.js:17:48)\n    at g (a.js:1:2)",
                "NX5002: Error: no",
            ),
            (": no code", "no code"),
            ("Error: cut\n    at f (ind", "Error: cut"),
            ("Error: two\nlines\n    at f (a.js:1:2)", "Error: two\nlines"),
            (
                "NX5002: Traceback (most recent call last):\n  File \"app.py\", line 7, in f\n    g()\nValueError: no\n",
                "NX5002: ValueError: no",
            ),
            ("NX5002: Traceback (most recent call last):\n  File \"app.py\", line 7, in", "NX5002"),
        ] {
            assert_eq!(brief(recorded), told);
        }
    }

    #[test]
    fn a_reason_is_told_once() {
        assert!(is_failure("NX5002: no", "no\n    at f (a.js:1:2)"));
        assert!(!is_failure("it is too old; before that: NX5002: no", "no"));
        assert!(!is_failure("", "no"));
    }

    #[test]
    fn sentences_begin_and_end_as_they_should() {
        assert_eq!(sentence("it was given up: no."), "It was given up: no.");
        assert_eq!(sentence(""), "");
        assert_eq!(
            (attempts_made(1).as_str(), because("cancelled").as_str()),
            ("1 attempt was made", "")
        );
    }
}
