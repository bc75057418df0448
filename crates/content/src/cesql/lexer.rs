//! Texts to tokens. Keywords are recognised in any case.

use super::ParseError;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A string literal, unescaped.
    String(String),
    /// Digits only, without a sign.
    Integer(String),
    /// Letters, digits and underscores that are no keyword.
    Word(String),
    Keyword(Keyword),
    /// One of `( ) , + - * / % = != <> < <= > >=`.
    Symbol(&'static str),
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keyword {
    And,
    Or,
    Xor,
    Not,
    Like,
    Exists,
    In,
    True,
    False,
}

/// A token with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    /// In characters, from 1.
    pub(super) position: usize,
}

const KEYWORDS: &[(&str, Keyword)] = &[
    ("and", Keyword::And),
    ("or", Keyword::Or),
    ("xor", Keyword::Xor),
    ("not", Keyword::Not),
    ("like", Keyword::Like),
    ("exists", Keyword::Exists),
    ("in", Keyword::In),
    ("true", Keyword::True),
    ("false", Keyword::False),
];

/// Longer ones first: the longest match wins.
const SYMBOLS: &[&str] =
    &["!=", "<>", "<=", ">=", "(", ")", ",", "+", "-", "*", "/", "%", "=", "<", ">"];

impl Token {
    /// For error messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::String(text) => format!("the string '{text}'"),
            Token::Integer(text) => format!("the integer {text}"),
            Token::Word(text) => format!("'{text}'"),
            Token::Keyword(keyword) => {
                let name =
                    KEYWORDS.iter().find(|(_, at)| at == keyword).map_or("", |(name, _)| name);
                name.to_ascii_uppercase()
            }
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::End => "the end".into(),
        }
    }
}

pub(super) fn lex(text: &str) -> Result<Vec<Spanned>, ParseError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&next) = chars.get(at) {
        if matches!(next, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let position = at + 1;
        let token = match next {
            '\'' | '"' => string(&chars, &mut at)?,
            next if next.is_ascii_alphanumeric() => word(&chars, &mut at),
            _ => symbol(&chars, &mut at).ok_or_else(|| ParseError::Syntax {
                position,
                expected: "a value, an operator or a bracket",
                found: format!("'{next}'"),
            })?,
        };
        tokens.push(Spanned { token, position });
    }
    tokens.push(Spanned { token: Token::End, position: chars.len() + 1 });
    Ok(tokens)
}

/// A backslash keeps the quote after it inside the string; so does a doubled quote. Before any other
/// character a backslash is a character like others: patterns of `LIKE` give it a meaning.
fn string(chars: &[char], at: &mut usize) -> Result<Token, ParseError> {
    let quote = chars[*at];
    let start = *at + 1;
    let mut text = String::new();
    let mut index = start;
    while let Some(&next) = chars.get(index) {
        let after = chars.get(index + 1).copied();
        match next {
            '\\' if after == Some(quote) => {
                text.push(quote);
                index += 2;
            }
            '\\' => {
                text.push(next);
                text.extend(after);
                index += 2;
            }
            next if next == quote && after == Some(quote) => {
                text.push(quote);
                index += 2;
            }
            next if next == quote => {
                *at = index + 1;
                return Ok(Token::String(text));
            }
            next => {
                text.push(next);
                index += 1;
            }
        }
    }
    Err(ParseError::Syntax {
        position: chars.len() + 1,
        expected: "the quote that ends the string",
        found: "the end".into(),
    })
}

fn word(chars: &[char], at: &mut usize) -> Token {
    let start = *at;
    while chars.get(*at).is_some_and(|next| next.is_ascii_alphanumeric() || *next == '_') {
        *at += 1;
    }
    let word: String = chars[start..*at].iter().collect();
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Token::Integer(word);
    }
    match KEYWORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
        Some((_, keyword)) => Token::Keyword(*keyword),
        None => Token::Word(word),
    }
}

fn symbol(chars: &[char], at: &mut usize) -> Option<Token> {
    let matches = |symbol: &&&str| {
        symbol.chars().enumerate().all(|(index, next)| chars.get(*at + index) == Some(&next))
    };
    let symbol = SYMBOLS.iter().find(matches)?;
    *at += symbol.len();
    Some(Token::Symbol(symbol))
}
