//! Sources on a real store, with a real git.

mod checkout;
mod commits;
mod composed;
mod followed;
mod made;
mod safety;
mod served;
mod signed;
mod ssh;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Keeper, Surroundings};
use crate::clock::{SharedClock, SystemClock};
use crate::model::{Key, annotations};
use crate::registry::{Registry, WriteOptions};
use crate::sources::merge::annotation;
use crate::store::{Kind, Object, Part, Store};

/// A host with a store, and a repository beside it.
pub struct Rig {
    home: tempfile::TempDir,
    pub registry: Registry,
    pub upstream: Upstream,
}

/// A repository that people push to.
pub struct Upstream {
    pub path: PathBuf,
}

impl Rig {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let (store, _) = Store::open(&home.path().join("data"), clock.clone()).unwrap();
        let upstream = Upstream::new(&home.path().join("upstream"));
        Self { registry: Registry::new(store, clock), upstream, home }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Its own repository of a Source.
    pub fn clone_of(&self, source: &str) -> PathBuf {
        self.path("sources").join("default").join(source).join("git")
    }

    /// Writes a Source and gives back its keeper.
    pub async fn source(&self, name: &str, spec: Value) -> Keeper {
        self.put(name, spec).await;
        self.keeper(name)
    }

    pub fn keeper(&self, name: &str) -> Keeper {
        Keeper::new(key(name), self.surroundings())
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings::new(self.registry.clone(), Arc::new(SystemClock), self.path("sources"))
    }

    pub async fn put(&self, name: &str, spec: Value) {
        let source = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": name}, "spec": spec,
        });
        let options = WriteOptions::default();
        self.registry.replace(Kind::Source, &key(name), source, Part::Main, true, &options).await.unwrap();
    }

    /// A Source of the whole repository's branch `main`.
    pub fn main(&self) -> Value {
        json!({"git": {"url": self.upstream.path, "ref": {"branch": "main"}}})
    }

    pub fn get(&self, name: &str) -> Option<Object> {
        self.registry.store().get(Kind::Deployment, &key(name)).unwrap()
    }

    pub fn image(&self, name: &str) -> Option<String> {
        Some(self.get(name)?["spec"]["services"]["web"]["image"].as_str()?.to_owned())
    }

    pub fn is_orphaned(&self, name: &str) -> bool {
        annotation(self.get(name).unwrap().as_ref(), annotations::ORPHANED) == Some("true")
    }

    /// Whether it is there and not being deleted.
    pub fn is_kept(&self, name: &str) -> bool {
        self.get(name).is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null())
    }

    pub fn revisions(&self, name: &str) -> Vec<String> {
        let object = self.get(name).unwrap();
        annotation(&object, annotations::SOURCE_REVISIONS).unwrap_or_default().split(' ').map(str::to_owned).collect()
    }

    pub fn status(&self, source: &str) -> Value {
        self.registry.store().get(Kind::Source, &key(source)).unwrap().unwrap()["status"].clone()
    }

    /// `True Synced`, `False RefNotFound Stalled`, ..
    pub fn ready(&self, source: &str) -> String {
        let status = self.status(source);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let find = |kind: &str| conditions.iter().find(|condition| condition["type"] == kind);
        let ready = find("Ready").expect("Ready is always there");
        let stalled = if find("Stalled").is_some() { " Stalled" } else { "" };
        format!("{} {}{stalled}", ready["status"].as_str().unwrap(), ready["reason"].as_str().unwrap())
    }

    pub fn message(&self, source: &str) -> String {
        let status = self.status(source);
        let ready = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").cloned();
        ready.unwrap()["message"].as_str().unwrap().to_owned()
    }

    pub fn events(&self, reason: &str) -> Vec<String> {
        let all = self.registry.store().list(Kind::Event, None).unwrap().items;
        let of_reason = all.into_iter().filter(|event| event["reason"] == reason);
        of_reason.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Upstream {
    fn new(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        let upstream = Self { path: path.to_owned() };
        upstream.git(&["init", "--quiet", "--initial-branch=main"]);
        upstream
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.path, args)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path.join(name)).unwrap();
    }

    /// Commits all that is there; the revision of `main`.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        format!("main@sha1:{}", self.head())
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Runs git as some user would, without this user's settings.
pub fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).env_remove("GIT_DIR").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example");
    }
    let output = command.args(["-c", "protocol.file.allow=always"]).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn manifest(name: &str, image: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  services:\n    web:\n      image: {image}\n"
    )
}

pub fn key(name: &str) -> Key {
    Key::new("default", name)
}
