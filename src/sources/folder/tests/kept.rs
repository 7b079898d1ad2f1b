//! A folder kept in force on a real store, through the real door.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::GONE_AFTER;
use super::{key, manifest};
use crate::clock::{SharedClock, SystemClock};
use crate::model::annotations;
use crate::registry::{Registry, Scope, WriteOptions};
use crate::sources::Surroundings;
use crate::sources::keeper::Keeper;
use crate::sources::merge::annotation;
use crate::store::{Kind, Object, Part, Store};

struct Host {
    _data: tempfile::TempDir,
    home: tempfile::TempDir,
    registry: Registry,
}

impl Host {
    fn new() -> Self {
        let (data, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(home.path().join("manifests")).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let (store, _) = Store::open(data.path(), clock.clone()).unwrap();
        Self { _data: data, home, registry: Registry::new(store, clock) }
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("manifests")
    }

    /// The keeper of a Source of that folder.
    fn folder(&self, prune: bool) -> Keeper {
        let source = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "manifests"},
            "spec": {"folder": {"path": self.root()}, "prune": prune},
        });
        let (manifests, options) = (key("manifests"), WriteOptions::default());
        let put = self.registry.replace(Kind::Source, &manifests, source, Part::Main, true, &options);
        // The test's own runtime runs it already.
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::thread::scope(|scope| scope.spawn(|| runtime().block_on(put)).join().unwrap()).unwrap();
        let surroundings = Surroundings::new(self.registry.clone(), Arc::new(SystemClock), self.home.path().join("sources"));
        Keeper::new(manifests, surroundings)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.root().join(name)).unwrap();
    }

    fn get(&self, name: &str) -> Option<Object> {
        self.registry.store().get(Kind::Deployment, &key(name)).unwrap()
    }

    fn image(&self, name: &str) -> Option<String> {
        Some(self.get(name)?["spec"]["services"]["web"]["image"].as_str()?.to_owned())
    }

    fn annotation(&self, name: &str, annotation_name: &str) -> Option<String> {
        annotation(self.get(name)?.as_ref(), annotation_name).map(str::to_owned)
    }

    fn events(&self, reason: &str) -> Vec<Object> {
        let all = self.registry.store().list(Kind::Event, None).unwrap().items;
        all.into_iter().filter(|event| event["reason"] == reason).collect()
    }

    async fn patch(&self, name: &str, patch: Value) {
        let options = WriteOptions { by: "cli:ada".into(), ..WriteOptions::default() };
        self.registry.patch(Kind::Deployment, &key(name), patch, Part::Main, &options).await.unwrap();
    }
}

/// Looks twice, with the time between that makes a missing manifest one that is gone.
async fn sync_twice(folder: &mut Keeper) {
    folder.sync().await;
    tokio::time::advance(GONE_AFTER).await;
    folder.sync().await;
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..250 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited 5 s in vain until {what}");
}

#[tokio::test(start_paused = true)]
async fn files_are_put_in_force_once_and_cause_no_write_after_that() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    host.write("team/more.yml", &format!("# ours\n{}---\n{}", manifest("one", "a"), manifest("two", "a")));
    let mut folder = host.folder(false);
    folder.sync().await;
    assert_eq!(host.annotation("web", annotations::SOURCE).as_deref(), Some("web.yaml:1"));
    assert_eq!(host.annotation("two", annotations::SOURCE).as_deref(), Some("team/more.yml:11"));

    let revision = host.registry.store().revision();
    sync_twice(&mut folder).await;
    host.folder(false).sync().await;
    assert_eq!(host.registry.store().revision(), revision);

    host.write("web.yaml", &manifest("web", "b"));
    folder.sync().await;
    assert_eq!(host.image("web").as_deref(), Some("b"));
    assert_eq!(host.get("web").unwrap()["metadata"]["generation"], 2);
    assert_eq!(host.get("one").unwrap()["metadata"]["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_told_once_while_its_last_good_version_runs_on_and_neighbours_are_served() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    let mut folder = host.folder(true);
    folder.sync().await;

    host.write("web.yaml", &manifest("web", "b").replace("image", "imgae"));
    host.write("db.yaml", &manifest("db", "a"));
    sync_twice(&mut folder).await;
    sync_twice(&mut folder).await;
    assert_eq!(host.image("web").as_deref(), Some("a"));
    assert_eq!(host.image("db").as_deref(), Some("a"));
    assert!(host.annotation("web", annotations::SOURCE_ERROR).unwrap().contains("web.yaml:8:7: "));
    let events = host.events("InvalidManifest");
    let about = |kind: &str| events.iter().filter(|event| event["involvedObject"]["kind"] == kind).collect::<Vec<_>>();
    let (deployment, source) = (about("Deployment"), about("Source"));
    assert_eq!((deployment.len(), source.len()), (1, 1), "{events:?}");
    assert_eq!((&deployment[0]["count"], &deployment[0]["involvedObject"]["name"]), (&json!(1), &json!("web")));
    assert_eq!((&source[0]["count"], &source[0]["type"]), (&json!(1), &json!("Warning")));

    host.write("web.yaml", &manifest("web", "c"));
    folder.sync().await;
    assert_eq!((host.image("web").as_deref(), host.annotation("web", annotations::SOURCE_ERROR)), (Some("c"), None));
}

#[tokio::test(start_paused = true)]
async fn what_only_the_door_can_refuse_is_told_and_marked_like_any_mistake() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    let mut folder = host.folder(false);
    folder.sync().await;
    host.write("web.yaml", &manifest("web", "b").replace("spec:\n", "spec:\n  project: other\n"));
    folder.sync().await;
    folder.sync().await;
    assert_eq!(host.image("web").as_deref(), Some("a"));
    assert!(host.annotation("web", annotations::SOURCE_ERROR).unwrap().starts_with("web.yaml:6:3: spec.project"));
    let about = host.events("InvalidManifest").into_iter().map(|event| event["involvedObject"]["kind"].clone());
    let mut about: Vec<String> = about.map(|kind| kind.as_str().unwrap().to_owned()).collect();
    about.sort();
    assert_eq!(about, ["Deployment", "Source"]);
    host.write("web.yaml", &manifest("web", "b"));
    folder.sync().await;
    assert_eq!((host.image("web").as_deref(), host.annotation("web", annotations::SOURCE_ERROR)), (Some("b"), None));
}

#[tokio::test(start_paused = true)]
async fn without_prune_a_removed_manifest_leaves_an_orphan_until_it_is_back() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    let mut folder = host.folder(false);
    folder.sync().await;
    host.remove("web.yaml");
    assert_eq!(folder.sync().await, GONE_AFTER);
    assert_eq!(host.annotation("web", annotations::ORPHANED), None);
    tokio::time::advance(GONE_AFTER).await;
    folder.sync().await;
    assert_eq!(host.annotation("web", annotations::ORPHANED).as_deref(), Some("true"));
    host.write("web.yaml", &manifest("web", "a"));
    folder.sync().await;
    assert_eq!(host.annotation("web", annotations::ORPHANED), None);
}

#[tokio::test(start_paused = true)]
async fn with_prune_a_removed_manifest_deletes_its_deployment_and_leaves_its_hold() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    host.write("db.yaml", &manifest("db", "a"));
    let mut folder = host.folder(true);
    folder.sync().await;
    host.registry.stop(&key("web"), &Scope::default(), None, "cli:ada").await.unwrap();
    host.remove("web.yaml");
    sync_twice(&mut folder).await;
    let web = host.get("web");
    assert!(web.is_none_or(|web| !web["metadata"]["deletionTimestamp"].is_null()));
    assert_eq!(host.registry.store().list(Kind::Hold, None).unwrap().items.len(), 1);
    assert!(host.get("db").unwrap()["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_in_two_steps_deletes_nothing() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    let mut folder = host.folder(true);
    folder.sync().await;
    let uid = host.get("web").unwrap()["metadata"]["uid"].clone();
    host.remove("web.yaml");
    folder.sync().await;
    host.write("web.yaml", &manifest("web", "b"));
    tokio::time::advance(GONE_AFTER * 2).await;
    sync_twice(&mut folder).await;
    assert_eq!(host.get("web").unwrap()["metadata"]["uid"], uid);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_missing_or_another_one_deletes_nothing() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    let mut folder = host.folder(true);
    folder.sync().await;
    fs::rename(host.root(), host.home.path().join("away")).unwrap();
    sync_twice(&mut folder).await;
    assert_eq!(host.annotation("web", annotations::ORPHANED), None);
    // As when the disk is not mounted: an empty folder of the same name.
    fs::create_dir(host.root()).unwrap();
    sync_twice(&mut folder).await;
    sync_twice(&mut host.folder(true)).await;
    let web = host.get("web").unwrap();
    assert!(web["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(annotation(&web, annotations::ORPHANED), Some("true"));

    fs::remove_dir(host.root()).unwrap();
    fs::rename(host.home.path().join("away"), host.root()).unwrap();
    folder.sync().await;
    assert_eq!(host.annotation("web", annotations::ORPHANED), None);
    host.remove("web.yaml");
    sync_twice(&mut folder).await;
    assert!(host.get("web").is_none_or(|web| !web["metadata"]["deletionTimestamp"].is_null()));
}

#[tokio::test(start_paused = true)]
async fn an_edit_through_the_api_is_put_right_and_annotations_and_labels_of_others_stay() {
    let host = Host::new();
    host.write("web.yaml", &manifest("web", "a"));
    let mut folder = host.folder(false);
    folder.sync().await;
    let restart = json!({annotations::RESTARTED_AT: "2026-08-21T10:00:00Z"});
    host.patch("web", json!({"metadata": {"annotations": restart, "labels": {"team": "sea"}}})).await;
    host.patch("web", json!({"spec": {"services": {"web": {"image": "evil"}}}})).await;
    folder.sync().await;
    assert_eq!(host.image("web").as_deref(), Some("a"));
    assert_eq!(host.annotation("web", annotations::RESTARTED_AT).as_deref(), Some("2026-08-21T10:00:00Z"));
    assert_eq!(host.get("web").unwrap()["metadata"]["labels"]["team"], "sea");
}

/// Runs a folder until the test ends.
fn keep(host: &Host, prune: bool) -> tokio_util::sync::DropGuard {
    let stopping = CancellationToken::new();
    tokio::spawn(host.folder(prune).run(stopping.clone()));
    stopping.drop_guard()
}

#[tokio::test]
async fn changes_are_noticed_in_new_subfolders_by_renames_and_through_links() {
    let host = Host::new();
    let _kept = keep(&host, true);
    host.write("team/new/web.yaml", &manifest("web", "a"));
    eventually("a file in a new subfolder is in force", || host.image("web").as_deref() == Some("a")).await;

    // As editors save.
    let root = host.root();
    let saved = root.join("team/new/.web.yaml.swp");
    fs::write(&saved, manifest("web", "b")).unwrap();
    fs::rename(&saved, root.join("team/new/web.yaml")).unwrap();
    eventually("a renamed file is in force", || host.image("web").as_deref() == Some("b")).await;

    // As Kubernetes mounts a ConfigMap: a hidden link is exchanged.
    let version = |name: &str, image: &str| {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("db.yaml"), manifest("db", image)).unwrap();
    };
    version("..1", "a");
    link("..1", &root.join("..data"));
    link("..data/db.yaml", &root.join("db.yaml"));
    eventually("a linked file is in force", || host.image("db").as_deref() == Some("a")).await;
    version("..2", "b");
    link("..2", &root.join("..data.new"));
    fs::rename(root.join("..data.new"), root.join("..data")).unwrap();
    eventually("an exchanged link is noticed", || host.image("db").as_deref() == Some("b")).await;

    host.remove("db.yaml");
    let gone = || host.get("db").is_none_or(|db| !db["metadata"]["deletionTimestamp"].is_null());
    eventually("a removed file is pruned", gone).await;
}

#[tokio::test]
async fn a_folder_that_comes_later_is_waited_for_and_one_that_is_replaced_is_followed() {
    let host = Host::new();
    fs::remove_dir(host.root()).unwrap();
    let _kept = keep(&host, false);
    tokio::time::sleep(Duration::from_millis(50)).await;
    host.write("web.yaml", &manifest("web", "a"));
    eventually("the folder is found", || host.image("web").as_deref() == Some("a")).await;

    let next = host.home.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("web.yaml"), manifest("web", "b")).unwrap();
    fs::rename(host.root(), host.home.path().join("old")).unwrap();
    fs::rename(next, host.root()).unwrap();
    eventually("the new folder is read", || host.image("web").as_deref() == Some("b")).await;
    host.write("web.yaml", &manifest("web", "c"));
    eventually("and watched", || host.image("web").as_deref() == Some("c")).await;
}

fn link(target: &str, at: &Path) {
    std::os::unix::fs::symlink(target, at).unwrap();
}
