//! Credentials of image registries, from where `docker login` keeps them: `config.json` and its credential helpers.
//!
//! Read anew for each pull, so that a login or a logout counts at once. Nothing in here can be printed but where the credentials
//! came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Docker Hub's name in `config.json`.
const HUB_SERVER: &str = "https://index.docker.io/v1/";

/// How long a credential helper may take: some ask a service elsewhere.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// The user name with which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// Where credentials are kept.
pub(super) struct Keyring {
    /// The folder of `config.json`; `None`: there is no home directory either.
    dir: Option<PathBuf>,
}

/// What was found for a registry.
pub(super) struct Access {
    /// The credentials, if there are any.
    pub(super) credentials: Option<DockerCredentials>,
    /// Where they came from, or why there are none; for people.
    pub(super) origin: String,
}

/// `config.json`, as far as it concerns credentials.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

/// One entry of `auths`. With a helper it is there, and empty.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    username: String,
    secret: String,
}

impl Keyring {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    /// What there is for a registry (`host[:port]`, or `docker.io`). What cannot be read is told, and counts as nothing: a public
    /// image can be pulled without.
    pub(super) async fn of(&self, registry: &str) -> Access {
        match self.look_up(registry).await {
            Ok((Some(credentials), origin)) => {
                let credentials = DockerCredentials { serveraddress: Some(server_of(registry)), ..credentials };
                Access { credentials: Some(credentials), origin: format!("with the credentials for {registry} from {origin}") }
            }
            Ok((None, origin)) => Access {
                credentials: None,
                origin: format!("there are no credentials for {registry} in {origin}; `docker login {registry}` writes them"),
            },
            Err(why) => {
                tracing::warn!(registry, why, "the credentials of a registry cannot be read; going on without");
                Access { credentials: None, origin: format!("without credentials for {registry}, since {why}") }
            }
        }
    }

    /// The registries that somebody is logged in to. One that only a credential store knows is named in the file, too, by docker.
    pub(super) async fn registries(&self) -> BTreeSet<String> {
        // What is wrong with the file is told where credentials are asked for.
        let config = self.config().await.map(|(config, _)| config).unwrap_or_default();
        config.auths.keys().chain(config.cred_helpers.keys()).map(|key| registry_of_key(key).to_owned()).collect()
    }

    async fn config(&self) -> Result<(Config, PathBuf), String> {
        let dir = self.dir.as_ref().ok_or("there is no home directory with a .docker folder; see --docker-config")?;
        let path = dir.join("config.json");
        let config: Config = match tokio::fs::read(&path).await {
            // The parser's own text would quote what it could not read.
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                format!("{} is not as docker writes it, in line {} column {}", path.display(), error.line(), error.column())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Config::default(),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        Ok((config, path))
    }

    async fn look_up(&self, registry: &str) -> Result<(Option<DockerCredentials>, String), String> {
        let (config, path) = self.config().await?;
        let by_host = config.cred_helpers.iter().find(|(server, _)| is_of(server, registry)).map(|(_, helper)| helper);
        if let Some(helper) = by_host.or(config.creds_store.as_ref())
            && let Some(credentials) = ask(helper, &server_of(registry)).await?
        {
            return Ok((Some(credentials), format!("docker-credential-{helper}")));
        }
        let entry = config.auths.iter().find(|(server, _)| is_of(server, registry)).map(|(_, entry)| entry);
        let credentials = entry.map(|entry| decode(entry).ok_or_else(|| format!("{} has a broken entry for it", path.display())));
        Ok((credentials.transpose()?.flatten(), path.display().to_string()))
    }
}

/// How a registry is called in `config.json` and by helpers.
fn server_of(registry: &str) -> String {
    if registry == "docker.io" { HUB_SERVER.to_owned() } else { registry.to_owned() }
}

/// Whether a key of `config.json` speaks of a registry: with or without scheme and path.
fn is_of(key: &str, registry: &str) -> bool {
    host_of(key) == registry || registry_of_key(key) == registry
}

fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

/// The registry that a key of `config.json` speaks of.
fn registry_of_key(key: &str) -> &str {
    Some(host_of(key)).filter(|host| *host != "index.docker.io").unwrap_or("docker.io")
}

/// An entry of the file: `Some(None)` if it is empty, `None` if it cannot be read.
fn decode(entry: &Entry) -> Option<Option<DockerCredentials>> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut credentials = DockerCredentials {
        username: given(&entry.username),
        password: given(&entry.password),
        identitytoken: given(&entry.identitytoken),
        registrytoken: given(&entry.registrytoken),
        ..DockerCredentials::default()
    };
    if let Some(auth) = given(&entry.auth) {
        let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        credentials.username = Some(user.to_owned());
        credentials.password = Some(password.trim_end_matches('\0').to_owned()).filter(|password| !password.is_empty());
    }
    Some((credentials != DockerCredentials::default()).then_some(credentials))
}

/// Asks a credential helper; `None`: it has nothing.
async fn ask(helper: &str, server: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.is_empty() || helper.contains(['/', '\0']) {
        return Err(format!("{program:?} is no name of a credential helper"));
    }
    let run = async {
        let mut command = Command::new(&program);
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(server.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_LIMIT, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{program} cannot be run: {error}")),
        Err(_) => return Err(format!("{program} did not answer within {} s", HELPER_LIMIT.as_secs())),
    };
    if !output.status.success() {
        // The one answer that all helpers agree on. Any other may hold what is nobody's business.
        let nothing = String::from_utf8_lossy(&output.stdout).contains("credentials not found");
        return if nothing { Ok(None) } else { Err(format!("{program} failed: {}", output.status)) };
    }
    let secret: Secret =
        serde_json::from_slice(&output.stdout).map_err(|_| format!("{program} answered something that is no credentials"))?;
    Ok(Some(if secret.username == TOKEN_USER {
        DockerCredentials { identitytoken: Some(secret.secret), ..DockerCredentials::default() }
    } else {
        DockerCredentials { username: Some(secret.username), password: Some(secret.secret), ..DockerCredentials::default() }
    }))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
