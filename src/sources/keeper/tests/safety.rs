//! Whatever happens to a repository, what runs stays, and the trouble is told by its name.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::{Rig, git, manifest};
use crate::registry::DeleteOptions;
use crate::store::Kind;

/// A rig whose Source `shop` keeps `web` and `db` in force, pruning.
async fn pruning() -> (Rig, super::Keeper) {
    let rig = Rig::new();
    rig.upstream.write("shop/web.yaml", &manifest("web", "a"));
    rig.upstream.write("shop/db.yaml", &manifest("db", "a"));
    rig.upstream.commit();
    let mut spec = rig.main();
    spec["prune"] = json!(true);
    spec["path"] = json!("shop");
    let mut keeper = rig.source("shop", spec).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    (rig, keeper)
}

#[tokio::test]
async fn what_leaves_a_commit_is_pruned_and_only_that() {
    let (rig, mut keeper) = pruning().await;
    let by_hand = serde_yaml::from_str(&manifest("mine", "a")).unwrap();
    rig.registry.create(Kind::Deployment, by_hand, &Default::default()).await.unwrap();
    rig.upstream.remove("shop/db.yaml");
    rig.upstream.commit();
    keeper.sync().await;
    assert!(rig.is_kept("web") && rig.is_kept("mine") && !rig.is_kept("db"));
}

#[tokio::test]
async fn a_commit_without_manifests_or_without_the_folder_prunes_nothing() {
    let (rig, mut keeper) = pruning().await;
    rig.upstream.git(&["mv", "shop", "elsewhere"]);
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False PathNotFound Stalled");
    assert!(rig.is_kept("web") && !rig.is_orphaned("web"));

    rig.upstream.write("shop/README.md", "moved");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False NothingDeclared Stalled");
    assert!(rig.is_kept("web") && rig.is_kept("db"));
}

#[tokio::test]
async fn a_deleted_branch_or_repository_changes_nothing_and_is_named() {
    let (rig, mut keeper) = pruning().await;
    rig.upstream.git(&["branch", "--move", "main", "other"]);
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False RefNotFound Stalled");
    assert!(rig.message("shop").contains("what was in force stays in force"), "{}", rig.message("shop"));
    keeper.sync().await;
    assert_eq!(rig.events("RefNotFound").len(), 1, "told once");

    let away = rig.path("away");
    fs::rename(&rig.upstream.path, &away).unwrap();
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False RepositoryNotFound Stalled");
    assert!(rig.is_kept("web") && !rig.is_orphaned("web"));

    fs::rename(&away, &rig.upstream.path).unwrap();
    rig.upstream.git(&["branch", "--move", "other", "main"]);
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable() {
    let rig = Rig::new();
    let mut keeper = rig.source("shop", json!({"git": {"url": "git://127.0.0.1:1/a"}})).await;
    let next = keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False RemoteUnreachable");
    assert!(next.as_secs() <= 3, "{next:?}");
    assert!(keeper.sync().await > next);
}

#[tokio::test]
async fn a_rewritten_history_is_followed_and_told() {
    let (rig, mut keeper) = pruning().await;
    rig.upstream.write("shop/web.yaml", &manifest("web", "b"));
    rig.upstream.git(&["add", "--all"]);
    rig.upstream.git(&["commit", "--quiet", "--amend", "--message", "rewritten"]);
    keeper.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("b"));
    let told = rig.events("HistoryRewritten");
    assert!(told.len() == 1 && told[0].contains("main was rewritten"), "{told:?}");

    rig.upstream.write("shop/web.yaml", &manifest("web", "c"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.events("HistoryRewritten").len(), 1, "an ordinary commit is none");
}

#[tokio::test]
async fn a_broken_repository_of_ours_is_fetched_anew() {
    let (rig, mut keeper) = pruning().await;
    let clone = rig.clone_of("shop");
    let damage = || {
        let objects = clone.join("objects");
        for folder in fs::read_dir(&objects).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                fs::remove_file(&file).unwrap();
                fs::write(&file, "rubbish").unwrap();
            }
        }
    };
    damage();
    rig.upstream.write("shop/web.yaml", &manifest("web", "b"));
    rig.upstream.commit();
    keeper.sync().await;
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("b"), "True Synced"));
    assert!(rig.is_kept("db"));

    // After a restart too, with nothing new to fetch.
    damage();
    let mut keeper = rig.keeper("shop");
    keeper.sync().await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    fs::remove_dir_all(&clone).unwrap();
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
}

#[tokio::test]
async fn what_leads_out_or_is_not_there_is_refused_or_told_and_not_followed() {
    let rig = Rig::new();
    let up = &rig.upstream;
    up.write("base/web.yaml", &manifest("web", "a"));
    symlink("base/web.yaml", up.path.join("inside.yaml")).unwrap();
    symlink("/etc/hostname", up.path.join("outside.yaml")).unwrap();
    symlink("../secret.yaml", up.path.join("above.yaml")).unwrap();
    symlink("circle.yaml", up.path.join("circle.yaml")).unwrap();
    up.write("lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
    up.write("huge.yaml", &format!("# {}\n", "x".repeat(5 << 20)));
    fs::write(up.path.join("binary.yaml"), [0xff, 0xfe]).unwrap();
    let other = rig.path("other");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "--quiet"]);
    git(&other, &["commit", "--quiet", "--allow-empty", "--message", "x"]);
    up.git(&["submodule", "--quiet", "add", other.to_str().unwrap(), "vendor"]);
    up.commit();
    rig.source("shop", rig.main()).await.sync().await;
    let status = rig.status("shop");
    let message = |file: &str| {
        let found = status["files"].as_array().unwrap().iter().find(|found| found["file"] == file).cloned().unwrap();
        found["message"].as_str().unwrap_or_default().to_owned()
    };
    for (file, part) in [
        ("outside.yaml", "leads out of the repository"),
        ("above.yaml", "leads out of the repository"),
        ("circle.yaml", "symbolic link"),
        ("lfs.yaml", "Git LFS"),
        ("huge.yaml", "larger than 4 MiB"),
        ("binary.yaml", "not UTF-8"),
    ] {
        assert!(message(file).contains(part), "{file}: {}", message(file));
    }
    assert!(status["notices"][0].as_str().unwrap().starts_with("vendor is a submodule"), "{status}");
    // The link and the file it leads to declare the same: one of them is enough.
    assert_eq!(rig.image("web").as_deref(), Some("a"));
}

#[tokio::test]
async fn of_two_sources_that_declare_the_same_the_first_keeps_it() {
    let (rig, _keeper) = pruning().await;
    rig.upstream.write("other/web.yaml", &manifest("web", "b"));
    rig.upstream.commit();
    let mut spec = rig.main();
    spec["path"] = json!("other");
    spec["prune"] = json!(true);
    let mut second = rig.source("second", spec).await;
    second.sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("a"));
    assert_eq!(rig.ready("second"), "False InvalidManifest Stalled");
    assert!(rig.message("second").contains("declared by Source default/shop already"), "{}", rig.message("second"));
    rig.upstream.remove("other/web.yaml");
    rig.upstream.write("other/more.yaml", &manifest("more", "a"));
    rig.upstream.commit();
    second.sync().await;
    assert!(rig.is_kept("web") && rig.is_kept("more"), "only what it made is pruned");
}

#[tokio::test]
async fn a_deleted_source_leaves_orphans_or_prunes_and_is_gone() {
    let (rig, mut keeper) = pruning().await;
    let orphan = DeleteOptions { orphan: true, ..DeleteOptions::default() };
    rig.registry.delete(Kind::Source, &super::key("shop"), &orphan).await.unwrap();
    keeper.sync().await;
    assert!(rig.is_kept("web") && rig.is_orphaned("web"));
    assert_eq!(rig.registry.store().get(Kind::Source, &super::key("shop")).unwrap(), None);
    assert!(!rig.clone_of("shop").exists());

    // Another one takes the orphans up, and deletes them with itself.
    let mut spec = rig.main();
    spec["prune"] = json!(true);
    let mut keeper = rig.source("again", spec).await;
    keeper.sync().await;
    assert!(!rig.is_orphaned("web"));
    rig.registry.delete(Kind::Source, &super::key("again"), &DeleteOptions::default()).await.unwrap();
    keeper.sync().await;
    assert!(!rig.is_kept("web") && !rig.is_kept("db"));
}

#[tokio::test]
async fn a_rewritten_commit_that_is_withheld_is_told_once() {
    let (rig, mut keeper) = pruning().await;
    let mut spec = rig.main();
    (spec["path"], spec["apply"]) = (json!("shop"), json!("Commit"));
    rig.put("shop", spec).await;
    keeper.sync().await;
    rig.upstream.write("shop/web.yaml", "kind: Nonsense\n");
    rig.upstream.git(&["add", "--all"]);
    rig.upstream.git(&["commit", "--quiet", "--amend", "--message", "rewritten"]);
    for _ in 0..3 {
        keeper.sync().await;
        assert_eq!(rig.ready("shop"), "False CommitWithheld Stalled");
    }
    let all = rig.registry.store().list(Kind::Event, None).unwrap().items;
    let told: Vec<_> = all.iter().filter(|event| event["reason"] == "HistoryRewritten").collect();
    assert!(told.len() == 1 && told[0]["count"] == 1, "{told:?}");
}

#[tokio::test]
async fn a_history_that_was_rewritten_while_nobody_looked_is_told_too() {
    let (rig, keeper) = pruning().await;
    drop(keeper);
    rig.upstream.write("shop/web.yaml", &manifest("web", "b"));
    rig.upstream.git(&["add", "--all"]);
    rig.upstream.git(&["commit", "--quiet", "--amend", "--message", "rewritten"]);
    rig.keeper("shop").sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.events("HistoryRewritten").len()), (Some("b"), 1));

    // The same where our own repository is not there any more.
    rig.upstream.write("shop/web.yaml", &manifest("web", "c"));
    rig.upstream.git(&["add", "--all"]);
    rig.upstream.git(&["commit", "--quiet", "--amend", "--message", "again"]);
    fs::remove_dir_all(rig.clone_of("shop")).unwrap();
    rig.keeper("shop").sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.events("HistoryRewritten").len()), (Some("c"), 2));

    // Neither an ordinary commit nor another branch that is asked for is one.
    rig.upstream.write("shop/web.yaml", &manifest("web", "d"));
    rig.upstream.commit();
    rig.keeper("shop").sync().await;
    rig.upstream.git(&["checkout", "--quiet", "--orphan", "other"]);
    rig.upstream.commit();
    let mut spec = rig.main();
    spec["git"]["ref"] = json!({"branch": "other"});
    spec["path"] = json!("shop");
    rig.put("shop", spec).await;
    rig.keeper("shop").sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.events("HistoryRewritten").len()), ("True Synced", 2));
}

#[tokio::test]
async fn damage_at_the_other_end_is_told_as_that_and_our_own_copy_stays() {
    let (rig, mut keeper) = pruning().await;
    let before = rig.status("shop")["observedRevision"].clone();
    rig.upstream.write("shop/web.yaml", &manifest("web", "b"));
    rig.upstream.commit();
    let upstream = rig.upstream.path.join(".git/objects");
    let blob = rig.upstream.git(&["rev-parse", "HEAD:shop/web.yaml"]);
    let commit = rig.upstream.head();
    for id in [blob, commit] {
        let object = upstream.join(&id[..2]).join(&id[2..]);
        let good = fs::read(&object).unwrap();
        fs::remove_file(&object).unwrap();
        fs::write(&object, "rubbish").unwrap();
        for mut keeper in [rig.keeper("shop"), rig.keeper("shop")] {
            keeper.sync().await;
            assert_eq!(rig.ready("shop"), "False FetchFailed", "{}", rig.message("shop"));
            assert!(rig.message("shop").contains("the repository there is damaged"), "{}", rig.message("shop"));
        }
        let clone = rig.clone_of("shop");
        assert_eq!(git(&clone, &["rev-parse", "refs/evenkeel/head"]), before.as_str().unwrap().rsplit_once(':').unwrap().1);
        fs::write(&object, good).unwrap();
    }
    assert!(rig.events("RepositoryCorrupt").is_empty());
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("b"), "True Synced"));
}

#[tokio::test]
async fn what_moves_from_one_source_to_another_keeps_its_holds() {
    let (rig, mut first) = pruning().await;
    rig.registry.stop(&super::key("web"), &crate::registry::Scope::default(), None, "cli:ada").await.unwrap();
    let mut spec = rig.main();
    (spec["path"], spec["prune"]) = (json!("other"), json!(true));
    rig.upstream.write("other/more.yaml", &manifest("more", "a"));
    rig.upstream.commit();
    let mut second = rig.source("second", spec).await;
    second.sync().await;
    rig.upstream.git(&["mv", "shop/web.yaml", "other/web.yaml"]);
    rig.upstream.commit();
    first.sync().await;
    assert!(!rig.is_kept("web"));
    second.sync().await;
    rig.registry.gone(&super::key("web")).await.unwrap();
    second.sync().await;
    assert!(rig.is_kept("web"), "{}", rig.message("second"));
    assert_eq!(rig.registry.store().list(Kind::Hold, None).unwrap().items.len(), 1);
    first.sync().await;
    assert!(rig.is_kept("web"), "it is the other one's");
}

#[tokio::test]
async fn a_suspended_source_changes_nothing() {
    let (rig, mut keeper) = pruning().await;
    let mut spec = rig.main();
    spec["path"] = json!("shop");
    spec["suspend"] = json!(true);
    rig.put("shop", spec).await;
    rig.upstream.write("shop/web.yaml", &manifest("web", "b"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("a"), "Unknown Suspended"));
    let asked = rig.registry.reconcile_source(&super::key("shop")).await.unwrap();
    keeper.sync().await;
    let asked = &asked["metadata"]["annotations"][crate::model::annotations::REQUESTED_AT];
    assert_ne!(rig.status("shop")["lastHandledReconcileAt"], *asked, "nobody looked");
}

#[tokio::test]
async fn a_repository_of_another_user_on_this_host_is_followed() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    if std::os::unix::fs::chown(rig.upstream.path.join(".git"), Some(12345), Some(12345)).is_err() {
        return; // Only root can give a folder away.
    }
    std::os::unix::fs::chown(&rig.upstream.path, Some(12345), Some(12345)).unwrap();
    rig.source("shop", rig.main()).await.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    rig.source("tree", json!({"worktree": {"path": rig.upstream.path}, "targetNamespace": "other"})).await.sync().await;
    assert_eq!(rig.ready("tree"), "True Synced", "{}", rig.message("tree"));
}

#[tokio::test]
async fn what_a_killed_fetch_left_behind_is_in_nobodys_way() {
    let (rig, mut keeper) = pruning().await;
    let clone = rig.clone_of("shop");
    for left in ["refs/evenkeel/head.lock", "packed-refs.lock", "objects/pack/tmp_pack_x"] {
        fs::create_dir_all(clone.join(left).parent().unwrap()).unwrap();
        fs::write(clone.join(left), "").unwrap();
    }
    rig.upstream.write("shop/web.yaml", &manifest("web", "b"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("b"), "True Synced"));
    assert!(!clone.join("objects/pack/tmp_pack_x").exists());
}
