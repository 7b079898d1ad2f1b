//! Commits are put in force, file by file or as a whole.

use serde_json::json;

use super::{Rig, key, manifest};
use crate::model::annotations;
use crate::registry::Scope;
use crate::sources::merge::annotation;
use crate::store::Kind;

#[tokio::test]
async fn a_commit_is_put_in_force_and_shows_on_its_deployments() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.write("team/db.yaml", &manifest("db", "a"));
    rig.upstream.write("README.md", "no manifest");
    let first = rig.upstream.commit();
    let mut keeper = rig.source("shop", rig.main()).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    let status = rig.status("shop");
    assert_eq!((&status["observedRevision"], &status["lastAttemptedRevision"]), (&json!(first), &json!(first)));
    assert_eq!((&status["deployments"], &status["fileCount"]), (&json!(2), &json!(2)));
    assert_eq!(rig.message("shop"), format!("{first} is in force: 2 deployments from 2 files"));
    let web = rig.get("web").unwrap();
    assert_eq!(annotation(&web, annotations::SOURCE), Some("web.yaml:1"));
    assert_eq!(annotation(&web, annotations::SOURCE_NAME), Some("default/shop"));
    assert_eq!(rig.revisions("web"), [first.as_str()]);

    // Looking again writes nothing.
    let before = rig.registry.store().revision();
    keeper.sync().await;
    rig.keeper("shop").sync().await;
    assert_eq!(rig.registry.store().revision(), before);

    rig.upstream.write("web.yaml", &manifest("web", "b"));
    let second = rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("b"));
    assert_eq!(rig.revisions("web"), [second.as_str(), first.as_str()]);
    assert_eq!(rig.revisions("db"), [first.as_str()]);
    assert_eq!(rig.get("db").unwrap()["metadata"]["generation"], 1);
    assert_eq!(rig.status("shop")["observedRevision"], second);
}

#[tokio::test]
async fn an_edit_behind_a_settled_commit_is_put_right() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.write("db.yaml", &manifest("db", "a"));
    rig.upstream.commit();
    let mut keeper = rig.source("shop", rig.main()).await;
    for _ in 0..3 {
        keeper.sync().await;
    }
    for edit in ["b", "c"] {
        let edit = json!({"spec": {"services": {"web": {"image": edit}}}});
        let options = crate::registry::WriteOptions::default();
        rig.registry.patch(Kind::Deployment, &key("web"), edit, crate::store::Part::Main, &options).await.unwrap();
        keeper.sync().await;
        assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("a"), "True Synced"));
        keeper.sync().await;
    }
}

#[tokio::test]
async fn the_last_ten_revisions_are_kept_and_one_that_comes_back_is_the_newest() {
    let rig = Rig::new();
    let mut keeper = rig.source("shop", rig.main()).await;
    let mut all = Vec::new();
    for number in 0..12 {
        rig.upstream.write("web.yaml", &manifest("web", &format!("v{number}")));
        all.insert(0, rig.upstream.commit());
        keeper.sync().await;
    }
    assert_eq!(rig.revisions("web"), all[..10]);
    rig.upstream.git(&["reset", "--quiet", "--hard", "HEAD~3"]);
    keeper.sync().await;
    assert_eq!(rig.revisions("web")[..2], [all[3].clone(), all[0].clone()]);
    assert_eq!(rig.revisions("web").len(), 10);
}

#[tokio::test]
async fn of_a_broken_file_the_last_good_version_runs_on_and_the_others_are_taken() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    let mut keeper = rig.source("shop", rig.main()).await;
    keeper.sync().await;
    rig.upstream.write("web.yaml", &manifest("web", "b").replace("image", "imgae"));
    rig.upstream.write("db.yaml", &manifest("db", "a"));
    let second = rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.image("db").as_deref()), (Some("a"), Some("a")));
    assert_eq!(rig.ready("shop"), "False InvalidManifest Stalled");
    let status = rig.status("shop");
    assert_eq!((&status["failedFileCount"], &status["observedRevision"]), (&json!(1), &json!(second)));
    let failed = &status["files"][0];
    assert_eq!((&failed["file"], &failed["result"]), (&json!("web.yaml"), &json!("Failed")));
    assert!(failed["message"].as_str().unwrap().contains("web.yaml:8:7: spec.services.web.imgae: unknown field"), "{failed}");
    assert_eq!(status["files"][1], json!({"file": "db.yaml", "result": "Applied"}));

    rig.upstream.write("web.yaml", &manifest("web", "c"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("c"), "True Synced"));
}

#[tokio::test]
async fn a_commit_that_is_taken_as_a_whole_changes_nothing_while_one_file_is_wrong() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    let first = rig.upstream.commit();
    let mut spec = rig.main();
    spec["apply"] = json!("Commit");
    let mut keeper = rig.source("shop", spec).await;
    keeper.sync().await;
    rig.upstream.write("web.yaml", &manifest("web", "b"));
    rig.upstream.write("db.yaml", &manifest("db", "a").replace("image", "imgae"));
    let second = rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.get("db")), (Some("a"), None));
    assert_eq!(rig.ready("shop"), "False CommitWithheld Stalled");
    let status = rig.status("shop");
    assert_eq!((&status["observedRevision"], &status["lastAttemptedRevision"]), (&json!(first), &json!(second)));
    assert_eq!(status["files"][1], json!({"file": "web.yaml", "result": "Withheld"}));

    // What only the door can refuse counts too.
    rig.upstream.write("db.yaml", &manifest("web2", "a"));
    rig.upstream.write("web.yaml", &manifest("web", "b").replace("spec:\n", "spec:\n  project: other\n"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.get("web2")), (Some("a"), None));

    rig.upstream.write("web.yaml", &manifest("web", "c"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("c"), "True Synced"));
}

#[tokio::test]
async fn holds_of_people_survive_every_sync() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    let mut keeper = rig.source("shop", rig.main()).await;
    keeper.sync().await;
    rig.registry.stop(&key("web"), &Scope::default(), Some("backup".into()), "cli:ada").await.unwrap();
    rig.upstream.write("web.yaml", &manifest("web", "b"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("b"));
    assert_eq!(rig.registry.store().list(Kind::Hold, None).unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_folder_of_the_repository_its_namespace_and_its_variables_are_the_sources_choice() {
    let rig = Rig::new();
    rig.upstream.write("hosts/web1/web.yaml", &manifest("web", "web:${TAG}"));
    rig.upstream.write("hosts/web1/deep/db.yaml", &manifest("db", "a"));
    rig.upstream.write("hosts/web2/web.yaml", &manifest("other", "a"));
    rig.upstream.commit();
    let mut spec = rig.main();
    spec["path"] = json!("./hosts/web1");
    spec["recurse"] = json!(false);
    spec["targetNamespace"] = json!("blue");
    spec["substitute"] = json!({"TAG": "1.2"});
    rig.source("shop", spec).await.sync().await;
    let all = rig.registry.store().list(Kind::Deployment, None).unwrap().items;
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["metadata"]["namespace"], &all[0]["metadata"]["name"]), (&json!("blue"), &json!("web")));
    assert_eq!(all[0]["spec"]["services"]["web"]["image"], "web:1.2");
    assert_eq!(annotation(&all[0], annotations::SOURCE), Some("web.yaml:1"));
}
