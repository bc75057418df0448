//! Signatures of webhooks: Standard Webhooks 1.0, GitHub, Stripe.
//!
//! All three are HMAC-SHA256 over the body, two of them with a timestamp against replays. They
//! differ in the headers, the encoding and in what else is signed. Comparing takes the same time
//! whatever the signature is.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nexus_model::Timestamp;
use nexus_model::resource::WebhookScheme;
use ring::hmac::{self, HMAC_SHA256, Key};

/// Keys that one secret may hold while they are rotated.
const KEYS_MAX: usize = 10;
/// Signatures in one header that are looked at.
const SIGNATURES_MAX: usize = 32;
/// How the keys of Standard Webhooks begin.
const STANDARD_PREFIX: &str = "whsec_";

/// What a sender signs with: one key, or several of Standard Webhooks while they are rotated.
pub struct WebhookKeys {
    scheme: WebhookScheme,
    keys: Vec<Key>,
}

impl std::fmt::Debug for WebhookKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookKeys({:?}, {} keys)", self.scheme, self.keys.len())
    }
}

/// What was sent, as far as signatures cover it.
pub struct Signed<'a> {
    /// The value of a header by its lowercase name, where it is there exactly once.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body as it came.
    pub body: &'a [u8],
    /// Now.
    pub now: Timestamp,
    /// How far the signed timestamp may be from now, in either direction.
    pub tolerance: Duration,
}

/// Why a request is not taken for what it says. Never tells what would have been right.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// A header that every signed request has is missing, or there more than once.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header does not follow its form.
    #[error("the header {header} is not of the form {form}")]
    Malformed {
        /// The header.
        header: &'static str,
        /// What it looks like.
        form: &'static str,
    },
    /// The request was signed too long ago: it may be a repetition by somebody else.
    #[error("it was signed {} s ago, more than {} s", age.as_secs(), tolerance.as_secs())]
    TooOld {
        /// How long ago.
        age: Duration,
        /// How long is accepted.
        tolerance: Duration,
    },
    /// The request says that it was signed in the future.
    #[error("it was signed {} s in the future, more than {} s", ahead.as_secs(), tolerance.as_secs())]
    InFuture {
        /// How far ahead.
        ahead: Duration,
        /// How far is accepted.
        tolerance: Duration,
    },
    /// No signature fits the body under any key.
    #[error("no signature fits the body")]
    NoMatch,
    /// The secret is no key of the scheme.
    #[error("the secret is no signing key: {0}")]
    BadKey(&'static str),
}

impl WebhookKeys {
    /// Reads the secret. For Standard Webhooks it is `whsec_` and the key in base 64, or several of
    /// these with white space between them; for the others the text itself without a final line end.
    ///
    /// # Errors
    /// [`SignatureError::BadKey`].
    pub fn new(scheme: WebhookScheme, secret: &str) -> Result<Self, SignatureError> {
        let keys = match scheme {
            WebhookScheme::None => Vec::new(),
            WebhookScheme::Standard => {
                secret.split_whitespace().map(standard_key).collect::<Result<_, _>>()?
            }
            WebhookScheme::Github | WebhookScheme::Stripe => {
                let text = secret.trim_end_matches(['\r', '\n']);
                match text.is_empty() {
                    true => Vec::new(),
                    false => vec![Key::new(HMAC_SHA256, text.as_bytes())],
                }
            }
        };
        if keys.is_empty() && scheme != WebhookScheme::None {
            return Err(SignatureError::BadKey("it is empty"));
        }
        if keys.len() > KEYS_MAX {
            return Err(SignatureError::BadKey("it holds more than 10 keys"));
        }
        Ok(WebhookKeys { scheme, keys })
    }

    /// Checks a request.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, signed: &Signed<'_>) -> Result<(), SignatureError> {
        match self.scheme {
            WebhookScheme::None => Ok(()),
            WebhookScheme::Standard => self.standard(signed),
            WebhookScheme::Github => self.github(signed),
            WebhookScheme::Stripe => self.stripe(signed),
        }
    }

    /// Standard Webhooks 1.0: `{id}.{timestamp}.{body}`, signatures `v1,<base 64>` with spaces
    /// between them. Other versions (`v1a` is asymmetric) are skipped.
    fn standard(&self, signed: &Signed<'_>) -> Result<(), SignatureError> {
        let id = signed.get("webhook-id")?;
        let timestamp = signed.get("webhook-timestamp")?;
        let list = signed.get("webhook-signature")?;
        signed.timely("webhook-timestamp", timestamp)?;
        let mut content = Vec::with_capacity(id.len() + timestamp.len() + 2 + signed.body.len());
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", signed.body] {
            content.extend_from_slice(part);
        }
        let mut known = false;
        for signature in list.split(' ').take(SIGNATURES_MAX) {
            let Some(text) = signature.strip_prefix("v1,") else { continue };
            known = true;
            if let Ok(tag) = STANDARD.decode(text)
                && self.fits(&content, &tag)
            {
                return Ok(());
            }
        }
        match known {
            true => Err(SignatureError::NoMatch),
            false => {
                Err(SignatureError::Malformed { header: "webhook-signature", form: "v1,<base 64>" })
            }
        }
    }

    /// GitHub: `sha256=<hexadecimal>` over the body.
    fn github(&self, signed: &Signed<'_>) -> Result<(), SignatureError> {
        const HEADER: &str = "x-hub-signature-256";
        let wrong = || SignatureError::Malformed { header: HEADER, form: "sha256=<hexadecimal>" };
        let text = signed.get(HEADER)?.strip_prefix("sha256=").ok_or_else(wrong)?;
        let tag = hexadecimal(text).ok_or_else(wrong)?;
        match self.fits(signed.body, &tag) {
            true => Ok(()),
            false => Err(SignatureError::NoMatch),
        }
    }

    /// Stripe: `t=<seconds>,v1=<hexadecimal>,…` over `{timestamp}.{body}`.
    fn stripe(&self, signed: &Signed<'_>) -> Result<(), SignatureError> {
        const HEADER: &str = "stripe-signature";
        let wrong =
            || SignatureError::Malformed { header: HEADER, form: "t=<seconds>,v1=<hexadecimal>" };
        let text = signed.get(HEADER)?;
        let (mut timestamp, mut tags) = (None, Vec::new());
        for part in text.split(',').take(SIGNATURES_MAX) {
            match part.trim().split_once('=') {
                Some(("t", value)) => timestamp = Some(value),
                Some(("v1", value)) => tags.extend(hexadecimal(value)),
                // `v0` is for tests of the sender; unknown schemes are to be skipped.
                _ => {}
            }
        }
        let timestamp = timestamp.ok_or_else(wrong)?;
        if tags.is_empty() {
            return Err(wrong());
        }
        signed.timely(HEADER, timestamp)?;
        let content = [timestamp.as_bytes(), b".", signed.body].concat();
        match tags.iter().any(|tag| self.fits(&content, tag)) {
            true => Ok(()),
            false => Err(SignatureError::NoMatch),
        }
    }

    fn fits(&self, content: &[u8], tag: &[u8]) -> bool {
        self.keys.iter().any(|key| hmac::verify(key, content, tag).is_ok())
    }
}

impl Signed<'_> {
    fn get(&self, name: &'static str) -> Result<&str, SignatureError> {
        (self.header)(name).filter(|value| !value.is_empty()).ok_or(SignatureError::Missing(name))
    }

    /// Whether the signed timestamp (seconds since the epoch) is near enough.
    fn timely(&self, header: &'static str, timestamp: &str) -> Result<(), SignatureError> {
        let wrong = || SignatureError::Malformed { header, form: "seconds since the epoch" };
        let seconds: i64 = timestamp.parse().map_err(|_| wrong())?;
        let at = Timestamp::from_unix_ns(seconds.checked_mul(1_000_000_000).ok_or_else(wrong)?);
        let (age, ahead) = (self.now.since(at), at.since(self.now));
        if age > self.tolerance {
            return Err(SignatureError::TooOld { age, tolerance: self.tolerance });
        }
        if ahead > self.tolerance {
            return Err(SignatureError::InFuture { ahead, tolerance: self.tolerance });
        }
        Ok(())
    }
}

fn standard_key(text: &str) -> Result<Key, SignatureError> {
    let encoded = text.strip_prefix(STANDARD_PREFIX).unwrap_or(text);
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| SignatureError::BadKey("it is not whsec_ and base 64"))?;
    if bytes.is_empty() {
        return Err(SignatureError::BadKey("it is empty"));
    }
    Ok(Key::new(HMAC_SHA256, &bytes))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
            _ => None,
        })
        .collect()
}
