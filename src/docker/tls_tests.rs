//! A client against an engine that wants TLS with certificates on both sides.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::docker::wire::{Endpoint, Wire};

const VERSION: &str = r#"{"Version":"28.5.2","ApiVersion":"1.51","MinAPIVersion":"1.24"}"#;

/// Writes `ca.pem`, `cert.pem` and `key.pem` for `host` into the folder.
fn write_files(folder: &Path, host: &str) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([host.to_owned()]).unwrap();
    let own = own.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).unwrap();
    std::fs::write(folder.join("ca.pem"), root.pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), own.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

/// An engine that shows the folder's certificate and wants one of the same authority. Its port.
async fn serve(folder: &Path) -> u16 {
    let files = TlsFiles::in_folder(folder);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    certificates(&files.ca).unwrap().into_iter().for_each(|root| roots.add(root).unwrap());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let config = config.with_client_cert_verifier(clients).with_single_cert(certificates(&files.cert).unwrap(), key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{VERSION}", VERSION.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn wire(folder: &Path, port: u16) -> Wire {
    let tls = connector(Some(&TlsFiles::in_folder(folder)), "127.0.0.1").unwrap();
    Wire::new(Endpoint::Tcp { host: "127.0.0.1".to_owned(), port, tls: Some(tls) })
}

#[tokio::test]
async fn an_engine_with_the_right_certificate_is_spoken_to_and_no_other() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(ours.path(), "127.0.0.1");
    write_files(theirs.path(), "127.0.0.1");
    let port = serve(ours.path()).await;
    assert_eq!(wire(ours.path(), port).version().await.unwrap().to_string(), "1.51");
    assert!(wire(theirs.path(), port).version().await.is_err(), "another authority");

    let elsewhere = tempfile::tempdir().unwrap();
    write_files(elsewhere.path(), "elsewhere.test");
    let port = serve(elsewhere.path()).await;
    assert!(wire(elsewhere.path(), port).version().await.is_err(), "a certificate for another host");
}

#[tokio::test]
async fn an_engine_that_wants_a_certificate_refuses_a_client_without() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), "127.0.0.1");
    let port = serve(folder.path()).await;
    let bare = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("ca.pem"), bare.path().join("ca.pem")).unwrap();
    assert!(wire(bare.path(), port).version().await.is_err());
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    let told = connector(Some(&TlsFiles::in_folder(folder.path())), "a").err().unwrap().to_string();
    assert!(told.contains("ca.pem"), "{told}");
}
