//! Bearer tokens: `nx_` and 32 random bytes in Crockford base 32. Only their hash is stored.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;

const PREFIX: &str = "nx_";
const SECRET_BYTES: usize = 32;
/// 256 bits in groups of five: 52 digits, the last of which carries one bit.
const DIGITS: usize = (SECRET_BYTES * 8).div_ceil(5);
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A token in the clear. Its `Debug` form is redacted and it has no `Display`: printing one takes
/// [`Token::expose`].
#[derive(Clone)]
pub struct Token([u8; SECRET_BYTES]);

/// Why a text is not a token. It never repeats the text, which may be a secret with a typing error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It does not begin with `nx_`.
    #[error("a token begins with nx_")]
    Prefix,
    /// It has another length, a wrong character, or stray bits at the end.
    #[error("a token has {DIGITS} letters or digits after nx_")]
    Digits,
    /// A stored hash that is not 64 hexadecimal digits.
    #[error("a token hash has 64 hexadecimal digits")]
    Hash,
}

impl Token {
    /// A token from 32 random bytes, which must come from a cryptographic generator.
    pub const fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        Token(bytes)
    }

    /// The text that its owner gets to see, once: `nx_` and 52 letters and digits.
    pub fn expose(&self) -> String {
        let mut text = String::with_capacity(PREFIX.len() + DIGITS);
        text.push_str(PREFIX);
        let (mut buffer, mut bits) = (0u32, 0u32);
        for byte in self.0 {
            buffer = buffer << 8 | u32::from(byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(char::from(ALPHABET[(buffer >> bits) as usize & 31]));
            }
        }
        if bits > 0 {
            text.push(char::from(ALPHABET[(buffer << (5 - bits)) as usize & 31]));
        }
        text
    }

    /// What is stored of it.
    pub fn hash(&self) -> TokenHash {
        // A plain hash is enough: 256 random bits cannot be guessed, so no slow hash is needed,
        // and a lookup stays cheap on the request path.
        TokenHash(*blake3::hash(&self.0).as_bytes())
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digits = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?.as_bytes();
        if digits.len() != DIGITS {
            return Err(TokenError::Digits);
        }
        let mut bytes = [0; SECRET_BYTES];
        let mut filled = 0;
        let (mut buffer, mut bits) = (0u32, 0u32);
        for &letter in digits {
            let digit = ALPHABET.iter().position(|&at| at == letter).ok_or(TokenError::Digits)?;
            buffer = (buffer << 5 | digit as u32) & 0xfff;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes[filled] = (buffer >> bits) as u8;
                filled += 1;
            }
        }
        // Stray bits would let several texts stand for one token.
        if buffer & ((1 << bits) - 1) != 0 {
            return Err(TokenError::Digits);
        }
        Ok(Token(bytes))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nx_…")
    }
}

/// The BLAKE3 hash of a token: what is stored and looked up. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl FromStr for TokenHash {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(TokenError::Hash);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: u8| char::from(at).to_digit(16).ok_or(TokenError::Hash);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(TokenHash(bytes))
    }
}
