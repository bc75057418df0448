//! Tokens to a tree of bounded depth, by recursive descent.

use nexus_model::limits;

use super::lexer::{Keyword, Spanned, Token, lex};
use super::{Expr, Negated, Operator, ParseError, Pattern, Value};

/// The binary operators, loosest first; each level is read from left to right.
const LEVELS: &[&[(Token, Operator)]] = &[
    &[
        (Token::Keyword(Keyword::And), Operator::And),
        (Token::Keyword(Keyword::Or), Operator::Or),
        (Token::Keyword(Keyword::Xor), Operator::Xor),
    ],
    &[
        (Token::Symbol("="), Operator::Equal),
        (Token::Symbol("!="), Operator::NotEqual),
        (Token::Symbol("<>"), Operator::NotEqual),
        (Token::Symbol("<"), Operator::Less),
        (Token::Symbol("<="), Operator::LessOrEqual),
        (Token::Symbol(">"), Operator::Greater),
        (Token::Symbol(">="), Operator::GreaterOrEqual),
    ],
    &[(Token::Symbol("+"), Operator::Add), (Token::Symbol("-"), Operator::Subtract)],
    &[
        (Token::Symbol("*"), Operator::Multiply),
        (Token::Symbol("/"), Operator::Divide),
        (Token::Symbol("%"), Operator::Remainder),
    ],
];

pub(super) fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > limits::CESQL_BYTES_MAX {
        return Err(ParseError::TooLong { size: text.len() });
    }
    let mut parser = Parser { tokens: lex(text)?, next: 0, depth: 0 };
    let root = parser.binary(0)?;
    match parser.peek() {
        Token::End => Ok(root),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    /// Never empty: the last one is [`Token::End`], which is never passed.
    tokens: Vec<Spanned>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn current(&self) -> &Spanned {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Token {
        &self.current().token
    }

    fn take(&mut self, token: &Token) -> Option<()> {
        (self.peek() == token).then(|| self.next += 1)
    }

    fn expect(&mut self, symbol: &'static str, expected: &'static str) -> Result<(), ParseError> {
        self.take(&Token::Symbol(symbol)).ok_or_else(|| self.unexpected(expected))
    }

    fn unexpected(&self, expected: &'static str) -> ParseError {
        let Spanned { token, position } = self.current();
        ParseError::Syntax { position: *position, expected, found: token.describe() }
    }

    /// Counts a level for as long as `parse` runs.
    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth == limits::CESQL_DEPTH_MAX {
            return Err(ParseError::TooDeep { position: self.current().position });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn binary(&mut self, level: usize) -> Result<Expr, ParseError> {
        let Some(operators) = LEVELS.get(level) else { return self.postfix() };
        let first = self.binary(level + 1)?;
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(token, _)| token == self.peek()) {
            self.next += 1;
            rest.push((*operator, self.binary(level + 1)?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Chain { first: Box::new(first), rest },
        })
    }

    /// `LIKE` and `IN` follow their operand; each one wraps what stands before it.
    fn postfix(&mut self) -> Result<Expr, ParseError> {
        let mut operand = self.unary()?;
        let mut wrapped = 0;
        loop {
            let start = self.next;
            let negated = match self.take(&Token::Keyword(Keyword::Not)) {
                Some(()) => Negated::Yes,
                None => Negated::No,
            };
            if self.take(&Token::Keyword(Keyword::Like)).is_some() {
                let Token::String(pattern) = self.peek() else {
                    return Err(self.unexpected("a string literal as the pattern of LIKE"));
                };
                let pattern = Pattern::like(pattern);
                self.next += 1;
                operand = Expr::Like { operand: Box::new(operand), pattern, negated };
            } else if self.take(&Token::Keyword(Keyword::In)).is_some() {
                self.expect("(", "'(' and a list of values after IN")?;
                let set = self.list("',' or ')' in the list of IN")?;
                operand = Expr::In { operand: Box::new(operand), set, negated };
            } else if negated == Negated::Yes {
                return Err(self.unexpected("LIKE or IN after NOT"));
            } else {
                return Ok(operand);
            }
            wrapped += 1;
            if self.depth + wrapped > limits::CESQL_DEPTH_MAX {
                return Err(ParseError::TooDeep { position: self.tokens[start].position });
            }
        }
    }

    /// At least one expression, up to the closing bracket.
    fn list(&mut self, expected: &'static str) -> Result<Vec<Expr>, ParseError> {
        let mut items = Vec::new();
        loop {
            items.push(self.deeper(|parser| parser.binary(0))?);
            if self.take(&Token::Symbol(",")).is_none() {
                self.expect(")", expected)?;
                return Ok(items);
            }
        }
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        if self.take(&Token::Keyword(Keyword::Not)).is_some() {
            let operand = self.deeper(Parser::unary)?;
            return Ok(Expr::Not(Box::new(operand)));
        }
        let sign = self.current().position;
        if self.take(&Token::Symbol("-")).is_some() {
            if let Some(literal) = self.signed(sign, "-")? {
                return Ok(literal);
            }
            let operand = self.deeper(Parser::unary)?;
            return Ok(Expr::Negate(Box::new(operand)));
        }
        if self.take(&Token::Symbol("+")).is_some() {
            let missing = self.unexpected("digits right after '+'");
            return self.signed(sign, "+")?.ok_or(missing);
        }
        self.primary()
    }

    /// Digits that stand right after a sign belong to it, so that the smallest integer can be
    /// written.
    fn signed(&mut self, sign: usize, text: &str) -> Result<Option<Expr>, ParseError> {
        let Spanned { token: Token::Integer(digits), position } = self.current() else {
            return Ok(None);
        };
        if *position != sign + 1 {
            return Ok(None);
        }
        let literal = integer(&format!("{text}{digits}"), sign)?;
        self.next += 1;
        Ok(Some(literal))
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let Spanned { token, position } = self.current().clone();
        match token {
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.deeper(|parser| parser.binary(0))?;
                self.expect(")", "')'")?;
                Ok(inner)
            }
            Token::Keyword(Keyword::Exists) => {
                self.next += 1;
                let name = match self.peek() {
                    Token::Word(name) if is_identifier(name) => name.to_ascii_lowercase(),
                    _ => return Err(self.unexpected("the name of an attribute after EXISTS")),
                };
                self.next += 1;
                Ok(Expr::Exists(name))
            }
            Token::Keyword(keyword @ (Keyword::True | Keyword::False)) => {
                self.next += 1;
                Ok(Expr::Literal(Value::Boolean(keyword == Keyword::True)))
            }
            Token::String(text) => {
                self.next += 1;
                Ok(Expr::Literal(Value::String(text)))
            }
            Token::Integer(digits) => {
                let literal = integer(&digits, position)?;
                self.next += 1;
                Ok(literal)
            }
            Token::Word(name) => self.word(&name),
            _ => Err(self.unexpected("a value, an attribute, a function or '('")),
        }
    }

    fn word(&mut self, name: &str) -> Result<Expr, ParseError> {
        let is_call =
            self.tokens.get(self.next + 1).map(|at| &at.token) == Some(&Token::Symbol("("));
        if is_call {
            if !is_function_name(name) {
                return Err(self.unexpected("the name of a function (letters and '_') before '('"));
            }
            self.next += 2;
            let arguments = match self.take(&Token::Symbol(")")) {
                Some(()) => Vec::new(),
                None => self.list("',' or ')' in the arguments")?,
            };
            return Ok(Expr::Call { name: name.to_ascii_uppercase(), arguments });
        }
        if !is_identifier(name) {
            return Err(self.unexpected("the name of an attribute (letters and digits)"));
        }
        self.next += 1;
        Ok(Expr::Attribute(name.to_ascii_lowercase()))
    }
}

fn is_identifier(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_function_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

fn integer(text: &str, position: usize) -> Result<Expr, ParseError> {
    let value: i32 =
        text.parse().map_err(|_| ParseError::Integer { position, found: text.to_owned() })?;
    Ok(Expr::Literal(Value::Integer(value)))
}
