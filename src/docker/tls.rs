//! TLS to a remote engine, from the files Docker keeps: `ca.pem`, `cert.pem`, `key.pem`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("cannot read {path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No certificates were named.
    #[error(
        "no certificates are named: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem and key.pem"
    )]
    NoFiles,
    /// The host is neither a DNS name nor an address.
    #[error("{0:?} is no host name that a certificate could be checked against")]
    HostName(String),
    /// rustls refuses the material.
    #[error("the certificates do not fit")]
    Material(#[from] rustls::Error),
}

/// The files of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TlsFiles {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl TlsFiles {
    /// Docker's names in a folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { ca: folder.join("ca.pem"), cert: folder.join("cert.pem"), key: folder.join("key.pem") }
    }
}

/// What opens TLS connections to one host.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) server: ServerName<'static>,
}

/// Reads the files once. The engine must show a certificate that `ca.pem` vouches for; ours is shown where there is one.
pub(super) fn connector(files: Option<&TlsFiles>, host: &str) -> Result<Tls, TlsError> {
    let files = files.ok_or(TlsError::NoFiles)?;
    let server = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName(host.to_owned()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate)?;
    }
    // The provider is named: a process-wide default may or may not have been installed by another library.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let config = if files.cert.exists() {
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, &error))?;
        config.with_client_auth_cert(certificates(&files.cert)?, key)?
    } else {
        config.with_no_client_auth()
    };
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), server })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        Err(TlsError::File { path: path.to_owned(), why: "it holds no certificate".to_owned() })
    } else {
        Ok(found)
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), why: error.to_string() }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
