//! What lies in the data folder for TLS: an own certificate authority, and the admin's token.
//!
//! The authority is made at first start and kept, so that a kubeconfig stays good; the server's certificate is signed anew
//! at every start, for the names it has then. Files are 0600, their folder 0700.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::clock::Clock;

/// What a client needs to be let in.
#[derive(Clone)]
pub struct Credentials {
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// The admin's token.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read or written.
    #[error("cannot {attempt} {path}")]
    File {
        /// `read`, `write`, ..
        attempt: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error(
        "{path} is no longer what was written there ({why}): remove it, and the next start makes a new one; kubeconfigs written before are then void"
    )]
    Spoilt {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The library refused.
    #[error("cannot make a certificate for TLS: {0}")]
    Tls(String),
}

type Result<T> = std::result::Result<T, CredentialsError>;

impl Credentials {
    /// Reads what a server has left in its data folder (for `evenkeel kubeconfig`).
    pub fn read(data_dir: &Path) -> Result<Self> {
        Ok(Self { ca_pem: read(&authority(data_dir).join("ca.crt"))?, token: read_token(&token_path(data_dir))? })
    }
}

/// The server's side: its TLS settings beside the credentials that clients need.
pub struct Identity {
    /// What clients need.
    pub credentials: Credentials,
    /// Names and addresses in the certificate.
    pub names: Vec<String>,
    /// TLS with the certificate.
    pub tls: Arc<ServerConfig>,
}

impl Identity {
    /// Opens what is in the data folder, and makes what is missing. `listen` is the address of the TLS listener.
    pub fn open(data_dir: &Path, listen: IpAddr, clock: &dyn Clock) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let year = i32::from(clock.now().to_zoned(jiff::tz::TimeZone::UTC).year());
        let (key, ca_pem) = open_authority(&authority(data_dir), year)?;
        let token = open_token(&token_path(data_dir), &provider)?;
        let names = names(listen);
        let tls = server_config(Issuer::new(authority_params(year), key), &names, year, provider)?;
        Ok(Self { credentials: Credentials { ca_pem, token }, names, tls })
    }
}

/// Where clients on the operator's host reach it, as it wrote down when it was started last; `None`: it serves no HTTPS, or never ran.
pub fn served_url(data_dir: &Path) -> Option<String> {
    fs::read_to_string(url_path(data_dir)).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Writes down where clients on this host reach the server, for `evenkeel kubeconfig`.
pub(super) fn write_url(data_dir: &Path, url: Option<&str>) -> Result<()> {
    let path = url_path(data_dir);
    let written = match url {
        _ if served_url(data_dir).as_deref() == url => Ok(()),
        Some(url) => {
            let draft = path.with_extension("url.new");
            fs::write(&draft, format!("{url}\n")).and_then(|()| fs::rename(&draft, &path))
        }
        None => fs::remove_file(&path).or_else(ignore_missing),
    };
    written.map_err(|source| file("write", &path, source))
}

fn url_path(data_dir: &Path) -> PathBuf {
    data_dir.join("api.url")
}

fn authority(data_dir: &Path) -> PathBuf {
    data_dir.join("tls")
}

fn token_path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// Everything a client on this host may call this server.
fn names(listen: IpAddr) -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let usable = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) && !host.is_empty();
    names.extend(usable.then_some(host));
    names.extend((!listen.is_unspecified()).then(|| listen.to_string()));
    names.sort();
    names.dedup();
    names
}

/// The key is the authority: its certificate is written again if only that is missing.
fn open_authority(dir: &Path, year: i32) -> Result<(KeyPair, String)> {
    let (key_path, cert_path) = (dir.join("ca.key"), dir.join("ca.crt"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| file("make", dir, source))?;
    let key = if key_path.exists() {
        KeyPair::from_pem(&read(&key_path)?).map_err(|error| spoilt(&key_path, error))?
    } else {
        let key = KeyPair::generate().map_err(refused)?;
        write_private(&key_path, &key.serialize_pem())?;
        // A certificate of another key is worse than none.
        fs::remove_file(&cert_path).or_else(ignore_missing).map_err(|source| file("remove", &cert_path, source))?;
        key
    };
    if !cert_path.exists() {
        write_private(&cert_path, &authority_params(year).self_signed(&key).map_err(refused)?.pem())?;
    }
    let pem = read(&cert_path)?;
    if pem.contains("-----BEGIN CERTIFICATE-----") { Ok((key, pem)) } else { Err(spoilt(&cert_path, "no certificate in it")) }
}

fn authority_params(year: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("evenkeel local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Whole years: no clock on this host or a client's is that wrong.
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 30, 1, 1);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn server_config(
    issuer: Issuer<'_, KeyPair>,
    names: &[String],
    year: i32,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(refused)?;
    params.distinguished_name = named("evenkeel");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 10, 1, 1);
    let key = KeyPair::generate().map_err(refused)?;
    let certificate = params.signed_by(&key, &issuer).map_err(refused)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn open_token(path: &Path, provider: &CryptoProvider) -> Result<String> {
    if path.exists() {
        let mode = fs::metadata(path).map_err(|source| file("read", path, source))?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others could read the admin token: its file is 0600 now; remove it and restart for a new token");
            fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|source| file("protect", path, source))?;
        }
        return read_token(path);
    }
    let mut bytes = [0_u8; 32];
    provider.secure_random.fill(&mut bytes).map_err(|_| CredentialsError::Tls("the system gives no random bytes".into()))?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    write_private(path, &format!("{token}\n"))?;
    Ok(token)
}

fn read_token(path: &Path) -> Result<String> {
    let token = read(path)?.trim().to_owned();
    let usable = token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_graphic());
    if usable { Ok(token) } else { Err(spoilt(path, "a token has at least 32 visible characters")) }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| file("read", path, source))
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        fs::remove_file(&new).or_else(ignore_missing)?;
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| file("write", path, source))
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn file(attempt: &'static str, path: &Path, source: io::Error) -> CredentialsError {
    CredentialsError::File { attempt, path: path.to_owned(), source }
}

fn spoilt(path: &Path, why: impl ToString) -> CredentialsError {
    CredentialsError::Spoilt { path: path.to_owned(), why: why.to_string() }
}

fn refused(error: impl ToString) -> CredentialsError {
    CredentialsError::Tls(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn open(dir: &Path) -> Result<Identity> {
        Identity::open(dir, "127.0.0.1".parse().unwrap(), &SystemClock)
    }

    #[test]
    fn what_is_made_at_first_start_is_private_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap().credentials;
        let second = open(dir.path()).unwrap().credentials;
        let read = Credentials::read(dir.path()).unwrap();
        assert_eq!((&first.token, &first.ca_pem), (&second.token, &second.ca_pem));
        assert_eq!((&first.token, &first.ca_pem), (&read.token, &read.ca_pem));
        assert_eq!(first.token.len(), 43);
        for name in ["admin.token", "tls/ca.key", "tls/ca.crt"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(!format!("{first:?}").contains(&first.token));
    }

    #[test]
    fn a_token_that_others_can_read_is_closed_to_them() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        let path = dir.path().join("admin.token");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        open(dir.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn spoilt_files_are_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        for (name, text) in [("admin.token", "short"), ("tls/ca.key", "nonsense"), ("tls/ca.crt", "")] {
            let path = dir.path().join(name);
            let good = fs::read_to_string(&path).unwrap();
            fs::write(&path, text).unwrap();
            let message = open(dir.path()).err().unwrap().to_string();
            assert!(message.contains(name) && message.contains("remove it"), "{message}");
            fs::write(&path, good).unwrap();
        }
        assert!(open(dir.path()).is_ok());
    }

    #[test]
    fn a_lost_certificate_is_made_again_for_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        fs::remove_file(dir.path().join("tls/ca.crt")).unwrap();
        assert!(open(dir.path()).unwrap().credentials.ca_pem.contains("BEGIN CERTIFICATE"));
    }
}
