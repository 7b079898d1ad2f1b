//! The door as its users see it.

mod claims;
mod commands;
mod outside;
mod suggestions;
mod write;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::model::{HoldState, HoldView};

struct Door {
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Door {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}

fn door() -> Door {
    let folder = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    let (store, _) = Store::open(folder.path(), clock.clone()).unwrap();
    Door { registry: Registry::new(store, clock), _folder: folder }
}

/// A door with Deployment `default/web`: service `app` twice, service `db` once.
async fn door_with_web() -> Door {
    let door = door();
    door.create(Kind::Deployment, deployment("web"), &by("cli:root")).await.unwrap();
    door
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "evenkeel.dev/v1alpha1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"services": {"app": {"image": "app:1", "scale": 2}, "db": {"image": "db:1"}}},
    })
}

fn by(name: &str) -> WriteOptions {
    WriteOptions { by: name.into(), ..WriteOptions::default() }
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

fn web() -> Key {
    key("web")
}

fn services(names: &[&str]) -> Scope {
    Scope { services: names.iter().map(ToString::to_string).collect(), replicas: vec![] }
}

fn replica(text: &str) -> ReplicaId {
    text.parse().unwrap()
}

fn replicas(names: &[&str]) -> Scope {
    Scope { services: vec![], replicas: names.iter().map(|name| replica(name)).collect() }
}

fn now() -> jiff::Timestamp {
    SystemClock.now()
}

impl Door {
    /// Holds as lines: state, what is held, reason.
    fn held(&self) -> Vec<String> {
        let line = |hold: &HoldView| {
            let service = hold.service.as_deref().unwrap_or("*");
            let replica = hold.replica.map(|number| format!("-{number}")).unwrap_or_default();
            format!("{:?} {service}{replica} {}", hold.state, hold.reason)
        };
        let mut lines: Vec<_> = self.holds_of(&web()).unwrap().iter().map(line).collect();
        lines.sort();
        lines
    }

    /// Which of app-1, app-2, db-1 may be started now.
    async fn startable(&self) -> Vec<&'static str> {
        let mut startable = Vec::new();
        for name in ["app-1", "app-2", "db-1"] {
            if self.may_start(&web(), &replica(name)).await.is_ok() {
                startable.push(name);
            }
        }
        startable
    }

    /// Reasons and messages of all Events, oldest first.
    fn told(&self) -> Vec<String> {
        let events = self.store().list(Kind::Event, None).unwrap().items;
        let mut lines: Vec<_> = events
            .iter()
            .map(|event| (crate::store::revision_of(event), format!("{}: {}", event["reason"], event["message"])))
            .collect();
        lines.sort();
        lines.into_iter().map(|(_, line)| line.replace('"', "")).collect()
    }
}

fn state_of(object: &Value) -> HoldState {
    serde_json::from_value(object["spec"]["state"].clone()).unwrap()
}
