//! Servers whose certificates no public authority has signed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use expect_test::expect;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::stub::{answer, command, json};

/// A certificate with its key; by itself, or from an authority.
fn certificate(
    params: CertificateParams,
    from: Option<&Issuer<'_, KeyPair>>,
) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let made = match from {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    };
    (made.unwrap(), key)
}

fn of(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn authority() -> CertificateParams {
    let mut params = of("localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// The address of a server with no functions, by the name `localhost`.
fn serve((certificate, key): &(Certificate, KeyPair)) -> String {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            // A client that does not trust the certificate goes away.
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            if !connection.is_handshaking() {
                let route = json("GET /api/v1/projects/shop/functions", json!({ "items": [] }));
                answer(StreamOwned::new(connection, stream), &[route], &Mutex::default());
            }
        }
    });
    format!("https://localhost:{port}")
}

fn functions(server: &str, trusted: Option<&Path>) -> (u8, String) {
    let path = trusted.map(|path| path.display().to_string());
    let mut line = vec!["functions", "-p", "shop", "--server", server];
    if let Some(path) = &path {
        line.extend(["--ca-certificate", path]);
    }
    let (code, _, err) = command(&line, &[]);
    (code, err.replace(server, "https://server"))
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (root, root_key) = certificate(authority(), None);
    let server = serve(&certificate(of("localhost"), Some(&Issuer::new(authority(), root_key))));
    let (code, err) = functions(&server, None);
    assert_eq!(code, 1);
    expect![[r#"
        error: the certificate of https://server is not trusted
          because: io: invalid peer certificate: UnknownIssuer
        hint: name the certificate of whoever issued it, in PEM: --ca-certificate FILE or NEXUS_CA_CERTIFICATE
    "#]]
    .assert_eq(&err);

    let file = folder.path().join("ca.pem");
    std::fs::write(&file, root.pem()).unwrap();
    let (code, err) = functions(&server, Some(&file));
    assert_eq!((code, err.as_str()), (0, "no functions; `nexus deploy` brings some\n"));

    std::fs::write(&file, "no certificate").unwrap();
    let (code, err) = functions(&server, Some(&file));
    assert_eq!(
        (code, err),
        (2, format!("error: {} holds no certificate in PEM\n", file.display()))
    );
    let (code, err) = functions(&server, Some(&folder.path().join("nowhere.pem")));
    assert_eq!(code, 1);
    assert!(err.contains("failed to read the certificates in"), "{err}");
}

#[test]
fn a_certificate_that_nobody_else_signed_is_its_own_authority() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.pem");
    let made = certificate(of("localhost"), None);
    std::fs::write(&file, made.0.pem()).unwrap();
    assert_eq!(functions(&serve(&made), Some(&file)).0, 0);
    // The shortest `openssl req -x509` makes an authority, which cannot be a server as well.
    let made = certificate(authority(), None);
    std::fs::write(&file, made.0.pem()).unwrap();
    let (code, err) = functions(&serve(&made), Some(&file));
    assert_eq!(code, 1);
    assert!(err.contains("basicConstraints=critical,CA:FALSE"), "{err}");
}

#[test]
fn another_name_and_another_protocol_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.pem");
    let made = certificate(of("elsewhere.example"), None);
    std::fs::write(&file, made.0.pem()).unwrap();
    let server = serve(&made);
    let (_, err) = functions(&server, Some(&file));
    assert!(err.contains("hint: call the server by a name that its certificate has"), "{err}");
    let (_, err) = functions(&server.replace("https", "http"), None);
    assert!(
        err.contains("hint: if the server speaks TLS, its address begins with https://"),
        "{err}"
    );

    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut stream = plain.accept().unwrap().0;
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(b"HTTP/1.1 400 X\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let (_, err) = functions(&format!("https://localhost:{port}"), None);
    assert!(
        err.contains("hint: if the server speaks no TLS, its address begins with http://"),
        "{err}"
    );
}
