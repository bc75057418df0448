//! Whose certificates are trusted: those of the system's authorities, and those in a file that the
//! user names.

use std::path::Path;

use rustls::CertificateError;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use crate::{Error, env};

/// Variables that say where the system's certificates are. The library that reads them looks there.
const STATED: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What is trusted, with the certificates in the file `named` as well.
///
/// # Errors
/// The file cannot be read or has no certificates; there are none where the environment says.
pub(crate) fn roots(named: Option<&Path>) -> Result<RootCerts, Error> {
    let system = rustls_native_certs::load_native_certs();
    let mut trusted: Vec<Certificate<'static>> =
        system.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if let Some(path) = named {
        trusted.extend(read(path)?);
    }
    match (trusted.is_empty(), system.errors.first()) {
        (false, _) => Ok(trusted.into()),
        (true, Some(error)) if STATED.iter().any(|name| std::env::var_os(name).is_some()) => {
            Err(Error::Usage {
                message: format!("no certificates of authorities: {error}"),
                hint: Some(format!("{} say where they are", STATED.join(" and "))),
            })
        }
        // A bare container has none: those that were built in are better than nothing.
        (true, _) => Ok(RootCerts::WebPki),
    }
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Io {
        operation: "read",
        subject: format!("the certificates in {}", path.display()),
        source,
    })?;
    let found: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match found.is_empty() {
        true => Err(Error::usage(format!("{} holds no certificate in PEM", path.display()))),
        false => Ok(found),
    }
}

/// Why TLS was not set up, where that is why a connection was not made.
pub(crate) fn failure(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// What to do about a certificate that is not trusted.
pub(crate) fn advice(reason: &CertificateError) -> Option<String> {
    use CertificateError as E;
    Some(match reason {
        // A bad signature: an authority of the same name is trusted.
        E::UnknownIssuer | E::BadSignature => format!(
            "name the certificate of whoever issued it, in PEM: --ca-certificate FILE or {}",
            env::CA_CERTIFICATE
        ),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "call the server by a name that its certificate has".to_owned()
        }
        E::Expired | E::ExpiredContext { .. } => {
            "the server needs a new certificate, unless this machine's clock is wrong".to_owned()
        }
        // Other libraries let an authority's certificate pass, so it is met where somebody made one
        // by the shortest `openssl req -x509`.
        E::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "a server cannot use the certificate of an authority: make it with \
             `-addext basicConstraints=critical,CA:FALSE`"
                .to_owned()
        }
        _ => return None,
    })
}
