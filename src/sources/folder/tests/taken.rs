//! What changes between the look at the store and the write.

use std::sync::Arc;

use serde_json::json;

use super::super::{Applier, Content, Namespace, Place, Policy};
use super::{key, manifest};
use crate::clock::{SharedClock, SystemClock};
use crate::crd::ApplyMode;
use crate::model::annotations;
use crate::registry::{Registry, WriteOptions};
use crate::sources::files::Scan;
use crate::sources::merge::annotation;
use crate::sources::turn::{Folders, Turn};
use crate::store::{Kind, Object, Part, Store};

fn content(names: &[&str]) -> Content {
    let file = |name: &&str| (format!("{name}.yaml"), Ok(manifest(name, "a")));
    let scan = Scan { files: names.iter().map(file).collect(), ..Scan::default() };
    Content { scan: Arc::new(scan), revision: None, place: Place::repository("url", ""), whole: true }
}

fn registry(folder: &tempfile::TempDir) -> Registry {
    let clock: SharedClock = Arc::new(SystemClock);
    let (store, _) = Store::open(folder.path(), clock.clone()).unwrap();
    Registry::new(store, clock)
}

async fn turn() -> Turn {
    Folders::default().turn(std::path::Path::new("/nowhere")).await
}

fn web(registry: &Registry) -> Object {
    registry.store().get(Kind::Deployment, &key("web")).unwrap().unwrap()
}

async fn annotate(registry: &Registry, name: &str, value: &str) {
    let patch = json!({"metadata": {"annotations": {name: value}}});
    registry.patch(Kind::Deployment, &key("web"), patch, Part::Main, &WriteOptions::default()).await.unwrap();
}

#[tokio::test]
async fn another_source_that_takes_a_deployment_over_meanwhile_keeps_it() {
    for prune in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder);
        let mut applier = Applier::new(&key("first"), registry.clone());
        let policy = Policy { prune, apply: ApplyMode::PerFile, namespace: Namespace::default() };
        let prepared = applier.prepare(&content(&["db", "web"]), &policy).await.unwrap();
        applier.apply(prepared, &turn().await).await.unwrap();

        let prepared = applier.prepare(&content(&["db"]), &policy).await.unwrap();
        annotate(&registry, annotations::SOURCE_NAME, "default/second").await;
        applier.apply(prepared, &turn().await).await.unwrap();
        let theirs = web(&registry);
        assert!(theirs["metadata"]["deletionTimestamp"].is_null());
        for mark in [annotations::ORPHANED, annotations::PRUNED, annotations::SOURCE_ERROR] {
            assert_eq!(annotation(&theirs, mark), None);
        }
        applier.let_go(prune).await.unwrap();
        assert!(web(&registry)["metadata"]["deletionTimestamp"].is_null());
    }
}

#[tokio::test]
async fn what_a_person_writes_meanwhile_does_not_keep_it_and_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder);
    let mut applier = Applier::new(&key("first"), registry.clone());
    let policy = Policy { prune: true, apply: ApplyMode::PerFile, namespace: Namespace::default() };
    let prepared = applier.prepare(&content(&["db", "web"]), &policy).await.unwrap();
    applier.apply(prepared, &turn().await).await.unwrap();
    let prepared = applier.prepare(&content(&["db"]), &policy).await.unwrap();
    annotate(&registry, "note", "mine").await;
    applier.apply(prepared, &turn().await).await.unwrap();
    let pruned = web(&registry);
    assert!(!pruned["metadata"]["deletionTimestamp"].is_null());
    assert_eq!((annotation(&pruned, "note"), annotation(&pruned, annotations::PRUNED)), (Some("mine"), Some("true")));
}

#[tokio::test]
async fn of_two_manifests_of_one_project_the_first_by_name_claims_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder);
    let mut applier = Applier::new(&key("first"), registry.clone());
    let names: Vec<String> = (0..40).map(|number| format!("app-{number:02}")).collect();
    let mut content = content(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for text in Arc::make_mut(&mut content.scan).files.values_mut() {
        *text = text.clone().map(|text| text.replace("spec:\n", "spec:\n  project: shared\n"));
    }
    let policy = Policy { prune: true, apply: ApplyMode::PerFile, namespace: Namespace::default() };
    let prepared = applier.prepare(&content, &policy).await.unwrap();
    applier.apply(prepared, &turn().await).await.unwrap();
    assert_eq!(registry.claimant(&key("app-39"), "shared").unwrap(), Some(key("app-00")));
    assert_eq!(registry.store().list(Kind::Deployment, None).unwrap().items.len(), 40);
}

#[tokio::test]
async fn a_status_that_is_written_is_no_reason_to_compare_and_an_edit_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder);
    let mut applier = Applier::new(&key("first"), registry.clone());
    let (content, policy) =
        (content(&["web"]), Policy { prune: true, apply: ApplyMode::PerFile, namespace: Namespace::default() });
    for _ in 0..2 {
        let prepared = applier.prepare(&content, &policy).await.unwrap();
        applier.apply(prepared, &turn().await).await.unwrap();
    }
    let write = |object: &mut serde_json::Value| {
        object["status"] = json!({"phase": "Running"});
        Ok::<_, crate::store::StoreError>(())
    };
    registry.store().modify(Kind::Deployment, &key("web"), Part::Status, None, write).await.unwrap();
    assert!(applier.still_settled(&content, &policy).is_some());
    let edit = json!({"spec": {"services": {"web": {"image": "b"}}}});
    registry.patch(Kind::Deployment, &key("web"), edit, Part::Main, &WriteOptions::default()).await.unwrap();
    let prepared = applier.prepare(&content, &policy).await.unwrap();
    applier.apply(prepared, &turn().await).await.unwrap();
    assert_eq!(web(&registry)["spec"]["services"]["web"]["image"], "a");
}
