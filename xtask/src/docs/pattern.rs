//! Whether what a terminal showed is as written.

/// Any text in a line, or any lines.
const ANY: &str = "…";

/// Whether the lines of `output` match the `expected` ones in order.
pub(crate) fn matches(expected: &[String], output: &[&str]) -> bool {
    match expected.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first.trim() == ANY => {
            (0..=output.len()).any(|skipped| matches(rest, &output[skipped..]))
        }
        Some((first, rest)) => output
            .split_first()
            .is_some_and(|(line, after)| line_matches(first, line) && matches(rest, after)),
    }
}

/// Whether one line matches; trailing blanks do not count, runs of blanks count as one, and blanks
/// around an ellipsis belong to what it stands for.
fn line_matches(expected: &str, line: &str) -> bool {
    let expected = squeeze(expected).replace(" … ", ANY).replace(" …", ANY).replace("… ", ANY);
    let line = squeeze(line);
    let mut parts = expected.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, output: &str) -> bool {
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        matches(&expected, &output.lines().collect::<Vec<_>>())
    }

    #[test]
    fn lines_match_as_written() {
        assert!(check("a b", "a   b "));
        assert!(!check("a b", "a b c"));
        assert!(check("ready in … ms, … routes", "ready in 34 ms, 2 routes"));
        assert!(!check("ready in … ms", "ready in 34 s"));
        assert!(check("…hello … succeeded …", "10:00  hello  succeeded  200  5 ms"));
        assert!(!check("aba…ba", "aba"));
    }

    #[test]
    fn a_lone_ellipsis_stands_for_any_lines() {
        assert!(check("a\n…\nz", "a\nz"));
        assert!(check("a\n…\nz", "a\nb\nc\nz"));
        assert!(check("…", ""));
        assert!(!check("a\n…\nz", "a\nb"));
        assert!(!check("a", "a\nb"));
    }
}
