//! Where the engine is: an explicit address, `DOCKER_HOST`, the current context of Docker's configuration, or the usual
//! socket, in that order, as the docker CLI looks for it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::client::Client;
use super::credentials::Keyring;
use super::tls::{self, TlsFiles};
use super::wire::{Endpoint, Wire};

/// Docker's own socket, where nothing else is said.
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";
/// Docker's own port for plain HTTP.
const PLAIN_PORT: u16 = 2375;
/// Docker's own port for TLS.
const TLS_PORT: u16 = 2376;

/// Why no client could be made. The engine itself is not asked for that: it may be away.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address names a scheme evenkeel does not speak.
    #[error("the Docker host {host:?} ({origin}) cannot be used: {why}")]
    Address {
        /// As written.
        host: String,
        /// Who said so.
        origin: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The chosen context cannot be read.
    #[error(
        "the Docker context {name:?} cannot be used: {why}; choose another with DOCKER_CONTEXT, or set DOCKER_HOST or --docker-host"
    )]
    Context {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Certificates are missing or broken.
    #[error("cannot set up TLS to the Docker host {host}")]
    Tls {
        /// The address.
        host: String,
        /// What is wrong.
        #[source]
        source: tls::TlsError,
    },
}

/// What the process's surroundings say; a parameter so that tests need not change the environment.
#[derive(Debug, Default, Clone)]
struct Surroundings {
    docker_host: Option<String>,
    docker_context: Option<String>,
    tls_verify: bool,
    cert_path: Option<PathBuf>,
    config_dir: Option<PathBuf>,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let config_dir = var("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".docker")));
        Self {
            docker_host: var("DOCKER_HOST"),
            docker_context: var("DOCKER_CONTEXT"),
            tls_verify: var("DOCKER_TLS_VERIFY").is_some(),
            cert_path: var("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| config_dir.clone()),
            config_dir,
        }
    }
}

/// An address, who said so, and the certificates that go with it.
#[derive(Debug, PartialEq)]
struct Address {
    host: String,
    origin: String,
    tls: Option<TlsFiles>,
}

/// A client of the engine at `docker_host`, or where `DOCKER_HOST`, `DOCKER_CONTEXT` or Docker's configuration says. Docker's
/// configuration, with the credentials of registries in it, is in `docker_config`, else where `DOCKER_CONFIG` says, else in
/// `~/.docker`.
///
/// The engine is not contacted: this succeeds while the daemon is away.
///
/// # Errors
/// When the address, the context or the certificates cannot be used.
pub fn connect(docker_host: Option<&str>, docker_config: Option<&Path>) -> Result<Client, ConnectError> {
    let mut around = Surroundings::of_this_process();
    around.config_dir = docker_config.map(Path::to_owned).or(around.config_dir);
    let address = resolve(docker_host, &around)?;
    let endpoint = endpoint(&address)?;
    tracing::info!(engine = %endpoint, origin = %address.origin, "using the Docker Engine at this address");
    Ok(Client::new(Wire::new(endpoint), Keyring::new(around.config_dir)))
}

fn resolve(explicit: Option<&str>, around: &Surroundings) -> Result<Address, ConnectError> {
    let environment_tls = || around.tls_verify.then(|| around.cert_path.as_deref().map(TlsFiles::in_folder)).flatten();
    if let Some(host) = explicit {
        return Ok(Address { host: host.to_owned(), origin: "from --docker-host".to_owned(), tls: environment_tls() });
    }
    if let Some(host) = &around.docker_host {
        return Ok(Address { host: host.clone(), origin: "from DOCKER_HOST".to_owned(), tls: environment_tls() });
    }
    match around.docker_context.clone().or_else(|| current_context(around.config_dir.as_deref())) {
        Some(name) if name != "default" => context(&name, around.config_dir.as_deref()),
        _ => Ok(Address { host: DEFAULT_SOCKET.to_owned(), origin: "Docker's default".to_owned(), tls: None }),
    }
}

/// `currentContext` of Docker's `config.json`. A file that is not there or not readable says nothing, as for the docker CLI.
fn current_context(config_dir: Option<&Path>) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext")]
        current_context: Option<String>,
    }
    let text = std::fs::read(config_dir?.join("config.json")).ok()?;
    serde_json::from_slice::<Config>(&text).ok()?.current_context.filter(|name| !name.is_empty())
}

/// A context's metadata, as far as it concerns us.
#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: std::collections::BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

fn context(name: &str, config_dir: Option<&Path>) -> Result<Address, ConnectError> {
    let fail = |why: String| ConnectError::Context { name: name.to_owned(), why };
    let contexts = config_dir.ok_or_else(|| fail("there is no home directory to look for it in".to_owned()))?.join("contexts");
    let folder: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = contexts.join("meta").join(&folder).join("meta.json");
    let text = std::fs::read(&path).map_err(|error| fail(format!("{}: {error}", path.display())))?;
    let meta: ContextMeta = serde_json::from_slice(&text).map_err(|error| fail(format!("{}: {error}", path.display())))?;
    let docker = meta.endpoints.get("docker").ok_or_else(|| fail("it names no Docker endpoint".to_owned()))?;
    if docker.skip_tls_verify {
        return Err(fail("it skips TLS verification, which evenkeel does not do".to_owned()));
    }
    let tls = contexts.join("tls").join(&folder).join("docker");
    Ok(Address {
        host: if docker.host.is_empty() { DEFAULT_SOCKET.to_owned() } else { docker.host.clone() },
        origin: format!("from Docker's context {name}"),
        tls: tls.is_dir().then(|| TlsFiles::in_folder(&tls)),
    })
}

fn endpoint(address: &Address) -> Result<Endpoint, ConnectError> {
    let refuse =
        |why: &str| ConnectError::Address { host: address.host.clone(), origin: address.origin.clone(), why: why.to_owned() };
    let (scheme, rest) = address.host.split_once("://").unwrap_or(("tcp", &address.host));
    let rest = rest.trim_end_matches('/');
    match scheme {
        "unix" if rest.is_empty() => Err(refuse("it names no socket; write unix:///path/to/docker.sock")),
        "unix" => Ok(Endpoint::Unix(PathBuf::from(rest))),
        "tcp" | "http" | "https" => {
            let secure = scheme == "https" || (scheme == "tcp" && address.tls.is_some());
            let (host, port) = host_and_port(rest, if secure { TLS_PORT } else { PLAIN_PORT })
                .ok_or_else(|| refuse("it is not HOST:PORT; write e.g. tcp://10.0.0.5:2376"))?;
            let tls = secure
                .then(|| tls::connector(address.tls.as_ref(), &host))
                .transpose()
                .map_err(|source| ConnectError::Tls { host: address.host.clone(), source })?;
            Ok(Endpoint::Tcp { host, port, tls })
        }
        "ssh" => Err(refuse(
            "evenkeel does not speak ssh; run it on that host beside its engine, or forward the socket \
             (ssh -L /run/remote-docker.sock:/var/run/docker.sock HOST) and use unix:///run/remote-docker.sock",
        )),
        _ => Err(refuse("only unix://, tcp://, http:// and https:// are spoken")),
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; the brackets go.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    if text.contains(['/', '@', '?']) {
        return None;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(default), str::parse).ok()?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
