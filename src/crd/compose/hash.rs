//! Compose's own hashes of services, networks and volumes, as `docker compose` 2.30 to 2.40 writes them into its labels.
//!
//! A container that carries the true hash of its service is left alone by `docker compose up`; without one Compose
//! does not even list it. The hash is the SHA-256 of the JSON that Go makes of the normalised model, and the types of
//! this module serialise to that model field by field. It depends on literal values: bind paths and secrets are absolute
//! paths here, as they are there.
//!
//! Two things are known not to match. With `network_mode`, `ipc` or `pid: service:x`, and with `volumes_from`, Compose
//! hashes the id of the container that was meant, which no specification knows. And Compose 5 writes binds differently.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Deploy, Network, Service, Volume};

/// The release of Compose whose hashes these are: the value of label `com.docker.compose.version`.
pub const COMPOSE_VERSION: &str = "2.40.3";

/// What `docker compose config --hash` prints for the service.
pub fn service_hash(service: &Service) -> String {
    let deploy = service.deploy.clone().map(|deploy| Deploy { replicas: None, ..deploy });
    let (profiles, depends_on) = Default::default();
    go_hash(&Service { profiles, depends_on, deploy, build: None, pull_policy: None, scale: None, ..service.clone() })
}

/// What `docker compose config --hash` prints for a service of an effective configuration, as JSON in Compose's order.
pub fn config_hash(service: &serde_json::Value) -> String {
    let mut service = service.clone();
    if let Some(fields) = service.as_object_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            fields.shift_remove(key);
        }
        if let Some(deploy) = fields.get_mut("deploy").and_then(serde_json::Value::as_object_mut) {
            deploy.shift_remove("replicas");
        }
    }
    go_hash(&service)
}

/// The `config-hash` label of a network.
pub fn network_hash(network: &Network) -> String {
    go_hash(network)
}

/// The `config-hash` label of a volume. Compose fills in the driver first.
pub fn volume_hash(volume: &Volume) -> String {
    let driver = volume.driver.clone().or_else(|| Some("local".to_owned()));
    go_hash(&Volume { driver, ..volume.clone() })
}

/// SHA-256, in hex, of a value's JSON.
pub fn json_hash(value: &impl Serialize) -> String {
    format!("{:x}", Sha256::digest(json(value)))
}

fn go_hash(value: &impl Serialize) -> String {
    format!("{:x}", Sha256::digest(as_go(&json(value))))
}

/// Numbers, strings and maps with string keys: nothing that JSON cannot hold.
#[expect(clippy::expect_used, reason = "the types of this module have string keys and no serialiser of theirs fails")]
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the Compose model is JSON")
}

/// Go escapes what could end a script element. These characters appear within JSON strings only.
fn as_go(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests;
