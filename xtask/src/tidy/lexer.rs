//! Just enough of a Rust lexer to tell code from comments, strings and tests.

/// The text with the contents of comments, strings and characters replaced by spaces. Line breaks
/// stay, so lines keep their numbers.
pub(crate) fn code_only(text: &str) -> String {
    let mut lexer = Lexer { rest: text, out: String::with_capacity(text.len()) };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.out
}

struct Lexer<'a> {
    rest: &'a str,
    out: String,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            self.blank(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.blank(block_comment_len(rest));
        } else if let Some(length) = raw_string_len(rest).filter(|_| !self.after_word()) {
            self.blank(length);
        } else if rest.starts_with('"') {
            self.blank(quoted_len(rest, '"'));
        } else if let Some(length) = character_len(rest) {
            self.blank(length);
        } else if let Some(c) = rest.chars().next() {
            self.out.push(c);
            self.rest = &rest[c.len_utf8()..];
        }
    }

    /// Whether the last character belongs to a word (so that `r` is no prefix of a raw string).
    fn after_word(&self) -> bool {
        self.out.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    fn blank(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn raw_string_len(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// The length of a string or character that begins with `quote`.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// The length of a character literal; `None` for lifetimes and everything else.
fn character_len(text: &str) -> Option<usize> {
    let mut after = text.strip_prefix('\'')?.chars();
    let first = after.next()?;
    let literal = first == '\\' || after.next() == Some('\'');
    literal.then(|| quoted_len(text, '\''))
}

/// `code` (of [`code_only`]) with modules under `#[cfg(test)]` blanked.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[cfg(test)]") {
        let start = from + found;
        let Some(length) = item_len(&out[start..]) else { break };
        let blank: String =
            out[start..start + length].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        out.replace_range(start..start + length, &blank);
        from = start + blank.len();
    }
    out
}

/// The length of the item at the beginning: up to its `;` or its closing brace.
fn item_len(code: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return Some(at + 1),
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

/// The functions in `code` (of [`code_only`]).
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String =
            code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(length) = item_len(&code[at..]).filter(|_| !name.is_empty()) else { continue };
        let text = &code[at..at + length];
        if text.ends_with('}') {
            found.push(Function {
                name,
                line: code[..at].matches('\n').count() + 1,
                lines: text.matches('\n').count() + 1,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked() {
        let text = "a // b\n/* c /* d */ e */ f \"g \\\" h\" 'i' '\\'' r#\"j \" k\"# &'l m br\"n\"";
        let code = code_only(text);
        assert_eq!(code.split_whitespace().collect::<String>(), "af&'lm");
        assert_eq!(code.matches('\n').count(), 1);
    }

    #[test]
    fn tests_are_blanked() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(test)]\nmod c;\nfn d() {}";
        let code = without_tests(code);
        assert!(code.contains("fn a") && code.contains("fn d"));
        assert!(!code.contains("fn b") && !code.contains("mod c"));
        assert_eq!(code.matches('\n').count(), 5);
    }

    #[test]
    fn functions_are_measured() {
        let code = "trait T { fn declared(&self); }\nfn long(a: [u8; 3]) -> u8 {\n  {\n  }\n}\n";
        let long = Function { name: "long".into(), line: 2, lines: 4 };
        assert_eq!(functions(code), vec![long]);
    }
}
