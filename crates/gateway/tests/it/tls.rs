//! What is said over TLS only.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use nexus_gateway::TlsFiles;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::world::World;

fn files(dir: &std::path::Path) -> (TlsFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

/// What a browser is told about TLS by an answer for this host.
async fn told(address: SocketAddr, trusted: &CertificateDer<'static>, host: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", host).body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let told = answer.headers().get("strict-transport-security");
    told.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_to_come_to_the_api_over_tls_only() {
    let dir = tempfile::tempdir().unwrap();
    let (tls, trusted) = files(dir.path());
    let world = World::with(|config| config.admin.tls = Some(tls.clone())).await;
    let year = "max-age=31536000";
    for (host, expected) in [
        ("nexus.example.com", year),
        ("nexus.example.com:7070", year),
        ("127.0.0.1:7070", year),
        ("[::1]:7070", year),
        // Other servers of the same machine answer under this name, on other ports without TLS.
        ("localhost:7070", ""),
        ("shop.localhost", ""),
    ] {
        assert_eq!(told(world.gateway.admin_address(), &trusted, host).await, expected, "{host}");
    }
    // Functions have domains of their own, and say this themselves.
    let both = World::with(|config| {
        config.ingress.tls = Some(tls.clone());
        config.admin.tls = Some(tls.clone());
    })
    .await;
    let host = "nexus.example.com";
    assert_eq!(told(both.gateway.admin_address(), &trusted, host).await, year);
    assert_eq!(told(both.gateway.ingress_address(), &trusted, host).await, "");

    // Where functions answer in the clear to others, their host must stay reachable so.
    let open = World::with(|config| {
        let socket = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        config.ingress = nexus_gateway::Listener::new(socket);
        config.admin.tls = Some(tls.clone());
    })
    .await;
    assert_eq!(told(open.gateway.admin_address(), &trusted, host).await, "");
    let clear = World::new().await;
    assert_eq!(clear.get("/healthz").await.header("strict-transport-security"), "");
}
