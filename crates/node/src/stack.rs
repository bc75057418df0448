//! Stacks of languages that run in an interpreter: they are in the text of a failure, as the language
//! prints them.

use nexus_model::view::FrameView;

/// What an HTTP guest's error looks like in a recorded message.
const WRAPPED: (&str, &str) = ("ErrorCode::InternalError(Some(\"", "\"))");

/// The text of a failure for people: what a guest said about an error of its own, without the
/// wrapping of WASI.
pub(crate) fn message(recorded: &str) -> String {
    let (before, rest) = match recorded.split_once(WRAPPED.0) {
        Some((before, rest)) => (before, rest.strip_suffix(WRAPPED.1)),
        None => return recorded.to_owned(),
    };
    let Some(inner) = rest else { return recorded.to_owned() };
    // The text was written as a string literal.
    let literal = format!("\"{}\"", inner.replace("\\'", "'"));
    match serde_json::from_str::<String>(&literal) {
        Ok(text) => format!("{before}{text}"),
        Err(_) => recorded.to_owned(),
    }
}

/// The frames in a text, the innermost first: of JavaScript (`at name (file:line:column)`), or of
/// Python (`File "file", line N, in name`, the innermost last).
pub(crate) fn frames(text: &str) -> Vec<FrameView> {
    let javascript: Vec<FrameView> = text.lines().filter_map(javascript).collect();
    if !javascript.is_empty() {
        return javascript;
    }
    let mut python: Vec<FrameView> = text.lines().filter_map(python).collect();
    python.reverse();
    python
}

fn javascript(line: &str) -> Option<FrameView> {
    let rest = line.trim().strip_prefix("at ")?;
    let (function, place) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
        Some((function, place)) => (function, place),
        None => ("<anonymous>", rest),
    };
    let (place, column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some(FrameView {
        function: function.to_owned(),
        file: Some(file.to_owned()),
        line: Some(line.parse().ok()?),
        column: Some(column.parse().ok()?),
        ..FrameView::default()
    })
}

fn python(line: &str) -> Option<FrameView> {
    let rest = line.trim().strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ").unwrap_or((rest, "<module>"));
    // The folders of a component are mounted under numbers: `/1/app.py`.
    let inside = file.strip_prefix('/').and_then(|file| file.split_once('/'));
    let mounted = inside.filter(|(mount, _)| mount.bytes().all(|byte| byte.is_ascii_digit()));
    let file = mounted.map_or(file, |(_, file)| file);
    Some(FrameView {
        function: function.to_owned(),
        file: Some(file.to_owned()),
        line: Some(line.parse().ok()?),
        ..FrameView::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let frame = |it: FrameView| {
            format!("{} {} {}", it.function, it.file.unwrap_or_default(), it.line.unwrap_or(0))
        };
        frames(text).into_iter().map(frame).collect()
    }

    #[test]
    fn the_text_of_an_error_is_unwrapped() {
        let recorded =
            r#"it failed: ErrorCode::InternalError(Some("Error: no \"x\"\n    at f (a.js:1:2)"))"#;
        assert_eq!(message(recorded), "it failed: Error: no \"x\"\n    at f (a.js:1:2)");
        assert_eq!(message("plain"), "plain");
    }

    #[test]
    fn frames_of_javascript_and_python_are_found() {
        let text =
            "Error: no\n    at deep (index.js:17:48)\n    at <anonymous> (nexus:entry:20:104)";
        assert_eq!(shown(text), ["deep index.js 17", "<anonymous> nexus:entry 20"]);
        let text = "Traceback (most recent call last):\n  File \"app.py\", line 7, in handle\n    f()\n  \
                    File \"app.py\", line 9, in f\nValueError: no";
        assert_eq!(shown(text), ["f app.py 9", "handle app.py 7"]);
        let text = "  File \"/1/lib/price.py\", line 3, in f\n  File \"/usr/x.py\", line 4, in g";
        assert_eq!(shown(text), ["g /usr/x.py 4", "f lib/price.py 3"]);
        assert!(shown("nothing at all (really)").is_empty());
    }
}
