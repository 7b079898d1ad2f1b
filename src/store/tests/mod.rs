//! The store as its users see it.

mod crash;
mod damage;
pub(crate) mod disk;
mod feed;
mod many;
mod model;
mod objects;
mod remembered;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::SystemClock;

pub(super) fn open(folder: &Path) -> Store {
    let (store, opened) = reopen(folder);
    assert_eq!(opened, Opened::default());
    store
}

pub(super) fn reopen(folder: &Path) -> (Store, Opened) {
    Store::open(folder, Arc::new(SystemClock)).unwrap()
}

pub(super) fn key(name: &str) -> Key {
    Key::new("default", name)
}

pub(super) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "evenkeel.dev/v1alpha1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"services": {"app": {"image": "app:1"}}},
    })
}

pub(super) fn version(object: &Value) -> u64 {
    state::revision_of(object)
}
