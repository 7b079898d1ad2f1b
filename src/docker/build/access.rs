//! Credentials of the registries that base images come from.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::auth::DockerCredentials;
use http::HeaderValue;

use super::proto::CredentialsResponse;
use crate::docker::credentials::Keyring;
use crate::model::registry_of;

/// Docker Hub, as BuildKit calls it.
const HUB: &str = "registry-1.docker.io";

/// What BuildKit is answered when it asks for a registry; empty: nobody is logged in.
pub(super) async fn of_host(keyring: &Keyring, host: &str) -> CredentialsResponse {
    let registry = if host == HUB { "docker.io" } else { host };
    match keyring.of(registry).await.credentials {
        Some(DockerCredentials { identitytoken: Some(token), .. }) => {
            CredentialsResponse { username: String::new(), secret: token }
        }
        Some(DockerCredentials { username, password, .. }) => {
            CredentialsResponse { username: username.unwrap_or_default(), secret: password.unwrap_or_default() }
        }
        None => CredentialsResponse::default(),
    }
}

/// The header for the classic builder, which cannot ask: credentials of the registries that a Dockerfile names, or all there are
/// where only the engine sees it.
pub(super) async fn header(keyring: &Keyring, dockerfile: Option<&str>) -> Option<HeaderValue> {
    let mut all: BTreeMap<String, DockerCredentials> = BTreeMap::new();
    let wanted = match dockerfile {
        Some(dockerfile) => registries(dockerfile).into_iter().map(str::to_owned).collect(),
        None => keyring.registries().await,
    };
    for registry in wanted {
        if let Some(credentials) = keyring.of(&registry).await.credentials {
            all.insert(credentials.serveraddress.clone().unwrap_or(registry), credentials);
        }
    }
    if all.is_empty() {
        return None;
    }
    let text = serde_json::to_vec(&all).ok()?;
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The registries of `FROM` and `COPY --from`, as far as they stand there without variables.
fn registries(dockerfile: &str) -> BTreeSet<&str> {
    fn named(line: &str) -> Option<&str> {
        let mut words = line.split_whitespace();
        match words.next()?.to_ascii_uppercase().as_str() {
            "FROM" => words.find(|word| !word.starts_with("--")),
            "COPY" => words.find_map(|word| word.strip_prefix("--from=")),
            _ => None,
        }
    }
    dockerfile.lines().filter_map(named).filter(|reference| !reference.contains('$')).map(registry_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registries_of_a_dockerfile_are_those_of_its_images() {
        let dockerfile = "# FROM no.where/x\nFROM --platform=linux/amd64 ghcr.io/a/b:1 AS base\nfrom nginx\nFROM $BASE\nRUN echo FROM x\n\
            COPY --from=127.0.0.1:5000/c /a /b\nCOPY . /\nFROM base\n";
        let found: Vec<&str> = registries(dockerfile).into_iter().collect();
        assert_eq!(found, ["127.0.0.1:5000", "docker.io", "ghcr.io"]);
    }
}
