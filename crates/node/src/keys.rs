//! Keys: one master key per installation; secrets are encrypted under it, and so is each project's
//! replay key. Destroying a project's replay key erases everything sealed with it from a log that is
//! otherwise immutable.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use nexus_model::resource::{Resource, SecretSpec};

use crate::secrets;

const NONCE_BYTES: usize = 24;
const FORMAT: u8 = 1;

/// A key that cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A key from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        MasterKey(bytes)
    }

    /// Reads the key file; `None` where there is none.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold 32 bytes.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => match <[u8; 32]>::try_from(&bytes[..]) {
                Ok(bytes) => Ok(Some(MasterKey(bytes))),
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} holds {} bytes, a key has 32", path.display(), bytes.len()),
                )),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a key file with mode 0600. Only for a folder that holds nothing that was encrypted:
    /// whatever was, needs the key that it was encrypted under.
    ///
    /// # Errors
    /// There is a file already, or it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let key = MasterKey(random()?);
        write_private(path, &key.0)?;
        Ok(key)
    }

    /// Whether a stored secret is encrypted under this key: tries its current value.
    pub fn opens(&self, secret: &Resource) -> bool {
        let Some(project) = &secret.metadata.project else { return false };
        let Ok(spec) = serde_json::from_value::<SecretSpec>(secret.spec.clone()) else {
            return false;
        };
        let Some(sealed) = spec.versions.get(&spec.current) else { return false };
        let Ok(sealed) = STANDARD.decode(sealed) else { return false };
        let context = secrets::context(project, &secret.metadata.name, spec.current);
        self.derive("secrets").open(&context, &sealed).is_ok()
    }

    /// The key for one purpose; different purposes cannot read each other's ciphertexts.
    pub(crate) fn derive(&self, purpose: &str) -> Key {
        Key(blake3::derive_key(&format!("nexus 2026 {purpose} v1"), &self.0))
    }
}

#[cfg(unix)]
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A lost key would make every secret unreadable: the folder's entry must be on disk as well.
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// Encrypts and decrypts; authenticated, with the place where a ciphertext belongs as context, so
/// that one cannot be put in another's place.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

/// A ciphertext that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value cannot be opened: it was damaged, moved, or its key is gone")]
pub(crate) struct OpenError;

impl Key {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Key(bytes)
    }

    /// Encrypts `plain`: format byte, nonce, ciphertext with its tag.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> io::Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        let sealed = XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| io::Error::other("the value is too long to encrypt"))?;
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// Decrypts what [`seal`](Self::seal) made with the same context.
    pub(crate) fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (format, rest) = sealed.split_first().ok_or(OpenError)?;
        let (nonce, cipher) = rest.split_at_checked(NONCE_BYTES).ok_or(OpenError)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| OpenError)?;
        if *format != FORMAT {
            return Err(OpenError);
        }
        XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(nonce), Payload { msg: cipher, aad: context.as_bytes() })
            .map_err(|_| OpenError)
    }
}

#[cfg(test)]
mod tests {
    use nexus_model::Name;
    use nexus_model::resource::{Kind, ResourceKey};

    use super::*;

    #[test]
    fn only_the_same_key_and_place_open_a_sealed_value() {
        let key = MasterKey::from_bytes([7; 32]).derive("secrets");
        let sealed = key.seal("shop/password/1", b"hush").unwrap();
        assert_eq!(key.open("shop/password/1", &sealed).unwrap(), b"hush");
        assert!(key.open("shop/password/2", &sealed).is_err());
        assert!(
            MasterKey::from_bytes([7; 32])
                .derive("other")
                .open("shop/password/1", &sealed)
                .is_err()
        );
        for cut in 0..sealed.len() {
            assert!(key.open("shop/password/1", &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert_eq!(MasterKey::load(&path).unwrap(), None);
        let first = MasterKey::create(&path).unwrap();
        assert!(MasterKey::create(&path).is_err());
        assert_eq!(MasterKey::load(&path).unwrap(), Some(first));
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        assert!(MasterKey::load(&path).is_err());
    }

    #[test]
    fn a_stored_secret_tells_whether_a_key_is_its_own() {
        let (key, other) = (MasterKey::from_bytes([7; 32]), MasterKey::from_bytes([8; 32]));
        let sealed = key.derive("secrets").seal("shop/password/2", b"hush").unwrap();
        let name = ResourceKey {
            kind: Kind::Secret,
            project: Some(Name::new("shop").unwrap()),
            name: Name::new("password").unwrap(),
        };
        let secret = |versions: serde_json::Value| {
            Resource::new(&name, serde_json::json!({ "current": 2, "versions": versions }))
        };
        let whole = secret(serde_json::json!({ "1": "AA==", "2": STANDARD.encode(sealed) }));
        assert!(key.opens(&whole) && !other.opens(&whole));
        for damaged in [serde_json::json!({}), serde_json::json!({ "2": "no base 64" })] {
            assert!(!key.opens(&secret(damaged)));
        }
    }
}
