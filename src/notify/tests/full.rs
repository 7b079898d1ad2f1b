//! A full disk: people are told of what happens then, once, and it is written when there is room again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::outbox::{Scripted, message};
use crate::clock::{Clock, SystemClock};
use crate::crd::{Kind as CrdKind, admit};
use crate::model::Key;
use crate::notify::send::Transport;
use crate::notify::{Notifier, Outbox, Postmen};
use crate::store::tests::disk::SmallDisk;
use crate::store::{Kind, Part, Store, StoreError};

async fn create(store: &Store, kind: Kind, crd: CrdKind, name: &str, spec: Value) {
    let object = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": crd.name(), "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    store.create(kind, admit(crd, object, None, false).unwrap().object).await.unwrap();
}

async fn say(store: &Store, status: &str, reason: &str, phase: &str) {
    let status =
        json!({"phase": phase, "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": reason}]});
    let write = move |object: &mut Value| {
        object["status"] = status;
        Ok::<_, StoreError>(())
    };
    store.modify(Kind::Deployment, &Key::new("default", "web"), Part::Status, None, write).await.unwrap();
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn fill(ballast: &std::path::Path) {
    let full = std::fs::write(ballast, vec![1; 16 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn a_message_that_the_disk_did_not_take_is_written_before_what_rests_on_it() {
    let Some(disk) = SmallDisk::mount("16m") else { return };
    let (store, _) = Store::open(&disk.data(), Arc::new(SystemClock)).unwrap();
    let outbox = Outbox::open(store.clone());
    let ballast = disk.data().join("ballast");
    fill(&ballast);
    let long = message(&"x".repeat(16 << 10), SystemClock.now());
    outbox.put(long.clone()).await;
    outbox.settle().await.unwrap_err();
    assert_eq!(outbox.len(&long.channel), 1, "it is delivered all the same");
    let written = || store.messages::<Value>().len();
    assert_eq!(written(), 0);
    std::fs::remove_file(&ballast).unwrap();
    outbox.settle().await.unwrap();
    assert_eq!(written(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_on_a_full_disk_is_told_once_and_written_later() {
    let Some(disk) = SmallDisk::mount("16m") else { return };
    let clock = Arc::new(SystemClock);
    let (store, _) = Store::open(&disk.data(), clock.clone()).unwrap();
    create(&store, Kind::Deployment, CrdKind::Deployment, "web", json!({"services": {"app": {"image": "app:1"}}})).await;
    create(&store, Kind::Channel, CrdKind::Channel, "ops", json!({"webhook": {"url": "http://127.0.0.1:1/"}})).await;
    create(&store, Kind::Alert, CrdKind::Alert, "all", json!({"channels": ["ops"]})).await;
    say(&store, "True", "Running", "Running").await;
    let (receiver, outbox, stopping) = (Arc::new(Scripted::default()), Outbox::open(store.clone()), CancellationToken::new());
    let transport: Arc<dyn Transport> = receiver.clone();
    tokio::spawn(Notifier::new(store.clone(), outbox.clone(), clock.clone(), "host".into()).run(stopping.clone()));
    tokio::spawn(Postmen::new(store.clone(), outbox, clock, transport).run(stopping.clone()));
    let routed = || store.get(Kind::Alert, &Key::new("default", "all")).unwrap().unwrap()["status"]["conditions"].is_array();
    until("the Alert is looked at", routed).await;

    let ballast = disk.data().join("ballast");
    fill(&ballast);
    let refused = store.put_note("probe", Some(json!("x".repeat(16 << 10)))).await;
    assert!(refused.is_err(), "the journal takes no more");
    say(&store, "False", "JobFailed", "Failed").await;
    let came = || receiver.came.lock().unwrap().len();
    until("it is told", || came() == 1).await;

    std::fs::remove_file(&ballast).unwrap();
    let written = || {
        let incidents = store.list(Kind::Incident, None).unwrap().items;
        incidents.iter().any(|incident| incident["status"]["told"].as_array().is_some_and(|told| told.len() == 1))
    };
    until("it is written, with what was told", written).await;
    assert_eq!((came(), store.list(Kind::Incident, None).unwrap().items.len()), (1, 1));
    say(&store, "True", "Running", "Running").await;
    until("it goes on", || {
        let incidents = store.list(Kind::Incident, None).unwrap().items;
        incidents.iter().all(|incident| incident["status"]["phase"] == "Mended")
    })
    .await;
    assert_eq!(came(), 1, "it was told once");
    stopping.cancel();
}
