//! Keys: one master key per installation; secrets are encrypted under it, and so is each project's
//! replay key. Destroying a project's replay key erases everything sealed with it from a log that is
//! otherwise immutable.

use std::fmt;
use std::io;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

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

    /// Reads the key file, or makes one with mode 0600 where there is none.
    ///
    /// # Errors
    /// The file cannot be read or made, or does not hold 32 bytes.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => <[u8; 32]>::try_from(&bytes[..]).map(MasterKey).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} holds {} bytes, a key has 32", path.display(), bytes.len()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = MasterKey(random()?);
                write_private(path, &key.0)?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
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
        let first = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(MasterKey::load_or_create(&path).unwrap(), first);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        assert!(MasterKey::load_or_create(&path).is_err());
    }
}
