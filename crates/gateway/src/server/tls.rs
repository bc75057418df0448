//! TLS from files, reloaded when they change. Connections that stand keep what they have.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where the certificate chain and its key are, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file is not PEM of what it should be.
    #[error("{path} holds no {expected} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// What the parser says.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("the certificate {certificate} and the key {key} cannot be used")]
    Rejected {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
}

/// The TLS configuration of a listener.
pub(super) struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    loaded: Mutex<Files>,
}

#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = read(&files)?;
        let current = ArcSwap::from_pointee(server_config(&files, &loaded)?);
        Ok(Tls { files, current, loaded: Mutex::new(loaded) })
    }

    /// The configuration for a new connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Loads the files again if their bytes changed. On an error the old ones stay in use.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = read(&self.files)?;
        if now == *loaded {
            return Ok(false);
        }
        self.current.store(Arc::new(server_config(&self.files, &now)?));
        *loaded = now;
        Ok(true)
    }
}

fn read(files: &TlsFiles) -> Result<Files, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
    };
    Ok(Files { certificate: read(&files.certificate)?, key: read(&files.key)? })
}

fn server_config(files: &TlsFiles, loaded: &Files) -> Result<ServerConfig, TlsError> {
    let wrong_chain =
        |source| TlsError::Pem { path: files.certificate.clone(), expected: "certificate", source };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&loaded.certificate)
        .collect::<Result<_, _>>()
        .map_err(wrong_chain)?;
    if chain.is_empty() {
        return Err(wrong_chain(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(&loaded.key).map_err(|source| TlsError::Pem {
        path: files.key.clone(),
        expected: "private key",
        source,
    })?;
    let rejected = |source| TlsError::Rejected {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(rejected)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(rejected)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
