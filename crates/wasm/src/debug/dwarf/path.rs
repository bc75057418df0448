//! Paths to values, as people write them: `order.items[2].name`, `prices["tea"]`, `next.*`.

/// Parts of one path.
const PARTS_MAX: usize = 64;

/// Takes a path apart. The part in brackets has them still.
pub(super) fn parts(path: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        if parts.len() >= PARTS_MAX {
            return Err(format!("a path has at most {PARTS_MAX} parts"));
        }
        let end = if rest.starts_with('[') {
            let end = bracket(rest).ok_or_else(|| format!("a bracket is open in '{path}'"))?;
            end + 1
        } else {
            rest = if parts.is_empty() { rest } else { rest.strip_prefix('.').unwrap_or(rest) };
            name(rest)
        };
        if end == 0 {
            return Err(format!("'{path}' is no path such as order.items[2].name"));
        }
        parts.push(rest[..end].trim());
        rest = &rest[end..];
    }
    Ok(parts)
}

/// The path of what is called `name` inside of a value.
pub(super) fn join(path: &str, name: &str) -> String {
    if name.starts_with('[') { format!("{path}{name}") } else { format!("{path}.{name}") }
}

/// Where the bracket that the text begins with is closed; there may be others in it, and strings.
fn bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, next) in text.char_indices() {
        match next {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where a name ends. Names of closures have braces.
fn name(text: &str) -> usize {
    text.find(['.', '[']).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_come_apart_and_together() {
        for (path, expected) in [
            ("a", &["a"][..]),
            (" order.items[2].name ", &["order", "items", "[2]", "name"]),
            ("pair.0.1", &["pair", "0", "1"]),
            ("next.*.value", &["next", "*", "value"]),
            (r#"prices["a.b[\"]"].x"#, &["prices", r#"["a.b[\"]"]"#, "x"]),
            ("m[(1, [2])]", &["m", "[(1, [2])]"]),
            ("{closure_env#0}.x", &["{closure_env#0}", "x"]),
            ("", &[]),
        ] {
            let parts = parts(path).unwrap();
            assert_eq!(parts, expected, "{path}");
            let mut parts = parts.into_iter();
            let first = parts.next().unwrap_or_default().to_owned();
            let joined = parts.fold(first, |path, name| join(&path, name));
            assert_eq!(joined, path.trim());
        }
        for wrong in [".", "a..b", "a[1", "a[\"]", ".a"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_too_strange(path in r#"[a\[\]."ä\\ ]{0,24}"#) {
            let _ = parts(&path);
        }
    }
}
