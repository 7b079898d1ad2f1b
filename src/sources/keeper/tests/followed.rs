//! What can be followed: branches, tags, versions, commits, bundles, working trees.

use serde_json::{Value, json};

use super::{Rig, manifest};

/// Commits a version of `web`; the commit.
fn version(rig: &Rig, image: &str) -> String {
    rig.upstream.write("web.yaml", &manifest("web", image));
    rig.upstream.commit();
    rig.upstream.head()
}

async fn follow(rig: &Rig, name: &str, reference: Value) -> (String, String) {
    rig.source(name, json!({"git": {"url": rig.upstream.path, "ref": reference}})).await.sync().await;
    let revision = rig.status(name)["observedRevision"].as_str().unwrap_or_default().to_owned();
    let ready = rig.ready(name);
    let orphan = crate::registry::DeleteOptions { orphan: true, ..Default::default() };
    rig.registry.delete(crate::store::Kind::Source, &super::key(name), &orphan).await.unwrap();
    rig.keeper(name).sync().await;
    (revision, ready)
}

#[tokio::test]
async fn tags_ranges_commits_and_the_default_branch_can_be_followed() {
    let rig = Rig::new();
    let first = version(&rig, "a");
    rig.upstream.git(&["tag", "v1.2.0"]);
    let second = version(&rig, "b");
    rig.upstream.git(&["tag", "--annotate", "v1.10.0", "--message", "release"]);
    let third = version(&rig, "c");
    rig.upstream.git(&["tag", "v2.0.0-rc.1"]);
    for (reference, revision, image) in [
        (json!({}), format!("main@sha1:{third}"), "c"),
        (json!({"tag": "v1.2.0"}), format!("v1.2.0@sha1:{first}"), "a"),
        (json!({"tag": "v1.10.0"}), format!("v1.10.0@sha1:{second}"), "b"),
        (json!({"semver": ">=1.0 <2"}), format!("v1.10.0@sha1:{second}"), "b"),
        (json!({"commit": first}), format!("sha1:{first}"), "a"),
        (json!({"branch": "main", "commit": second}), format!("sha1:{second}"), "b"),
    ] {
        let (observed, ready) = follow(&rig, "shop", reference.clone()).await;
        assert_eq!((observed, ready.as_str()), (revision, "True Synced"), "{reference}");
        assert_eq!(rig.image("web").as_deref(), Some(image), "{reference}");
    }
    for missing in [json!({"tag": "v9"}), json!({"semver": "9.x"}), json!({"commit": "0".repeat(40)}), json!({"branch": "x"})] {
        assert_eq!(follow(&rig, "shop", missing.clone()).await.1, "False RefNotFound Stalled", "{missing}");
    }
}

#[tokio::test]
async fn a_bundle_is_a_repository_too() {
    let rig = Rig::new();
    version(&rig, "a");
    let bundle = rig.path("shop.bundle");
    rig.upstream.git(&["bundle", "create", "--quiet", bundle.to_str().unwrap(), "--all"]);
    let mut keeper = rig.source("shop", json!({"git": {"url": bundle, "ref": {"branch": "main"}}})).await;
    keeper.sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("True Synced", Some("a")), "{}", rig.message("shop"));
    version(&rig, "b");
    rig.upstream.git(&["bundle", "create", "--quiet", bundle.to_str().unwrap(), "--all"]);
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("b"));
}

#[tokio::test]
async fn of_a_working_tree_the_commit_counts_or_the_files_as_they_lie_there() {
    let rig = Rig::new();
    let first = version(&rig, "a");
    rig.upstream.write("web.yaml", &manifest("web", "draft"));
    let mut keeper = rig.source("tree", json!({"worktree": {"path": rig.upstream.path}})).await;
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("a"));
    assert_eq!(rig.status("tree")["observedRevision"], format!("main@sha1:{first}"));
    let second = version(&rig, "b");
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("b"));

    rig.upstream.write("web.yaml", &manifest("web", "draft"));
    rig.put("tree", json!({"worktree": {"path": rig.upstream.path, "dirty": true}})).await;
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("draft"));
    assert_eq!(rig.status("tree")["observedRevision"], format!("main@sha1:{second}-dirty"));
}

#[tokio::test]
async fn a_commit_in_a_working_tree_is_noticed_at_once() {
    let rig = Rig::new();
    version(&rig, "a");
    let keeper = rig.source("tree", json!({"worktree": {"path": rig.upstream.path}, "interval": "1h"})).await;
    let stopping = tokio_util::sync::CancellationToken::new();
    let _guard = stopping.clone().drop_guard();
    tokio::spawn(keeper.run(stopping));
    eventually(|| rig.image("web").as_deref() == Some("a")).await;
    version(&rig, "b");
    eventually(|| rig.image("web").as_deref() == Some("b")).await;
}

#[tokio::test]
async fn who_asks_is_answered_at_once_and_deleted_sources_are_let_go() {
    let rig = Rig::new();
    version(&rig, "a");
    let mut spec = rig.main();
    spec["interval"] = json!("1h");
    rig.put("shop", spec).await;
    let stopping = tokio_util::sync::CancellationToken::new();
    let _guard = stopping.clone().drop_guard();
    tokio::spawn(crate::sources::Keepers::new(rig.surroundings()).run(stopping));
    eventually(|| rig.image("web").as_deref() == Some("a")).await;
    version(&rig, "b");
    let asked = rig.registry.reconcile_source(&super::key("shop")).await.unwrap();
    eventually(|| rig.image("web").as_deref() == Some("b")).await;
    let asked = &asked["metadata"]["annotations"][crate::model::annotations::REQUESTED_AT];
    eventually(|| rig.status("shop")["lastHandledReconcileAt"] == *asked).await;
    let key = super::key("shop");
    rig.registry.delete(crate::store::Kind::Source, &key, &Default::default()).await.unwrap();
    eventually(|| rig.registry.store().get(crate::store::Kind::Source, &key).unwrap().is_none()).await;
    assert!(rig.is_orphaned("web"));
}

async fn eventually(so: impl Fn() -> bool) {
    for _ in 0..200 {
        if so() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("waited 10 s in vain");
}

#[tokio::test]
async fn a_changed_source_does_not_wait_for_a_server_that_hangs() {
    let rig = Rig::new();
    version(&rig, "a");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rig.put("shop", json!({"git": {"url": format!("git://{}/a", silent.local_addr().unwrap())}})).await;
    let stopping = tokio_util::sync::CancellationToken::new();
    let _guard = stopping.clone().drop_guard();
    tokio::spawn(crate::sources::Keepers::new(rig.surroundings()).run(stopping));
    eventually(|| rig.status("shop")["conditions"][0]["reason"] == "Progressing").await;
    rig.put("shop", rig.main()).await;
    eventually(|| rig.image("web").as_deref() == Some("a")).await;
}
