//! The working folder, which containers may have mounted.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::json;

use super::{Keeper, Rig, manifest};

fn tree(rig: &Rig) -> PathBuf {
    rig.path("sources/default/shop/tree")
}

fn text(rig: &Rig, name: &str) -> Option<String> {
    fs::read_to_string(tree(rig).join(name)).ok()
}

async fn kept() -> (Rig, Keeper) {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.write("conf/web.conf", "one");
    rig.upstream.write("conf/run.sh", "#!/bin/sh\n");
    fs::set_permissions(rig.upstream.path.join("conf/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("web.conf", rig.upstream.path.join("conf/link.conf")).unwrap();
    symlink("/etc/passwd", rig.upstream.path.join("conf/out.conf")).unwrap();
    rig.upstream.commit();
    let mut keeper = rig.source("shop", rig.main()).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    (rig, keeper)
}

#[tokio::test]
async fn files_come_with_the_commit_and_links_only_within_it() {
    let (rig, mut keeper) = kept().await;
    assert_eq!((text(&rig, "conf/web.conf").as_deref(), text(&rig, "conf/link.conf").as_deref()), (Some("one"), Some("one")));
    assert_eq!(fs::metadata(tree(&rig).join("conf/run.sh")).unwrap().mode() & 0o777, 0o755);
    assert!(fs::symlink_metadata(tree(&rig).join("conf/out.conf")).is_err());
    let notice = || rig.status("shop")["notices"][0].as_str().unwrap_or_default().to_owned();
    assert!(notice().starts_with("conf/out.conf is not written"));
    let before = rig.registry.store().revision();
    keeper.sync().await;
    assert_eq!(rig.registry.store().revision(), before, "said once and for all");
}

#[tokio::test]
async fn folders_stay_what_they_are_and_what_others_wrote_is_not_touched() {
    let (rig, mut keeper) = kept().await;
    let inode = |name: &str| fs::metadata(tree(&rig).join(name)).unwrap().ino();
    let (folder, untouched) = (inode("conf"), inode("conf/run.sh"));
    fs::write(tree(&rig).join("conf/data.db"), "theirs").unwrap();
    fs::create_dir(tree(&rig).join("new.conf")).unwrap();
    fs::write(tree(&rig).join("new.conf/data.db"), "theirs").unwrap();
    rig.upstream.write("conf/web.conf", "two");
    rig.upstream.write("new.conf", "a folder with something in it is in its place");
    fs::write(tree(&rig).join("their.conf"), "theirs").unwrap();
    rig.upstream.write("their.conf", "a file is in its place");
    rig.upstream.remove("conf/link.conf");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((inode("conf"), inode("conf/run.sh")), (folder, untouched));
    assert_eq!((text(&rig, "conf/web.conf").as_deref(), text(&rig, "conf/data.db").as_deref()), (Some("two"), Some("theirs")));
    assert!(fs::symlink_metadata(tree(&rig).join("conf/link.conf")).is_err());
    assert_eq!(text(&rig, "new.conf/data.db").as_deref(), Some("theirs"));
    assert_eq!(text(&rig, "their.conf").as_deref(), Some("theirs"));
    let notices = rig.status("shop")["notices"].to_string();
    assert!(notices.contains("new.conf is not written"), "{notices}");
    assert!(notices.contains("their.conf is not written"), "{notices}");
    // What people look at says so too, and that once.
    assert_eq!(rig.ready("shop"), "False PathObstructed Stalled");
    assert!(rig.message("shop").contains("new.conf is not written") && rig.message("shop").contains("(and 1 more)"));
    keeper.sync().await;
    assert_eq!(rig.events("PathObstructed").len(), 1);

    rig.upstream.git(&["rm", "-r", "--quiet", "conf"]);
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((text(&rig, "conf/web.conf"), text(&rig, "conf/data.db").as_deref()), (None, Some("theirs")));
    assert_eq!(inode("conf"), folder);
}

#[tokio::test]
async fn an_empty_folder_in_the_place_of_a_file_is_moved_aside_and_goes_with_the_next_commit() {
    let (rig, mut keeper) = kept().await;
    // As Docker does where a file that is to be mounted is missing.
    fs::create_dir(tree(&rig).join("conf/late.conf")).unwrap();
    let mounted = fs::File::open(tree(&rig).join("conf/late.conf")).unwrap();
    rig.upstream.write("conf/late.conf", "late");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(text(&rig, "conf/late.conf").as_deref(), Some("late"));
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    let aside = || {
        let names = fs::read_dir(tree(&rig).join("conf")).unwrap().map(|entry| entry.unwrap());
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with(".evenkeel-")).collect::<Vec<_>>()
    };
    assert_eq!(aside()[0].metadata().unwrap().ino(), mounted.metadata().unwrap().ino(), "who has it mounted goes on with it");
    keeper.sync().await;
    assert_eq!(aside().len(), 1);

    rig.upstream.write("conf/web.conf", "two");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((aside().len(), text(&rig, "conf/late.conf").as_deref()), (0, Some("late")));

    // After a restart of the operator, too; what was written into it meanwhile stays.
    fs::remove_file(tree(&rig).join("conf/late.conf")).unwrap();
    fs::create_dir(tree(&rig).join("conf/late.conf")).unwrap();
    rig.keeper("shop").sync().await;
    assert_eq!(text(&rig, "conf/late.conf").as_deref(), Some("late"));
    fs::write(aside()[0].path().join("data.db"), "theirs").unwrap();
    rig.upstream.write("conf/web.conf", "three");
    rig.upstream.commit();
    rig.keeper("shop").sync().await;
    assert_eq!(fs::read_to_string(aside()[0].path().join("data.db")).unwrap(), "theirs");
}

#[tokio::test]
async fn a_folder_that_had_files_of_a_commit_is_not_moved_though_it_is_empty_now() {
    let (rig, mut keeper) = kept().await;
    let inode = || fs::metadata(tree(&rig).join("conf")).unwrap().ino();
    let mounted = inode();
    // Through a commit that has neither, too.
    rig.upstream.git(&["rm", "-r", "--quiet", "conf"]);
    rig.upstream.commit();
    keeper.sync().await;
    rig.upstream.write("conf", "a file by now");
    rig.upstream.commit();
    rig.keeper("shop").sync().await;
    assert_eq!((inode(), rig.ready("shop").as_str()), (mounted, "False PathObstructed Stalled"));
    assert!(rig.message("shop").contains("conf is not written into the working folder: a folder of an older commit"));

    rig.upstream.remove("conf");
    rig.upstream.write("conf/web.conf", "again");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((inode(), text(&rig, "conf/web.conf").as_deref()), (mounted, Some("again")), "who has it mounted sees it");
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
}

#[tokio::test]
async fn the_revision_that_changed_a_mounted_file_is_one_that_its_deployments_ran_with() {
    let rig = Rig::new();
    let compose = |file: &str| format!("services:\n  web:\n    image: a\n    volumes: ['./{file}:/etc/app.conf:ro']\n");
    rig.upstream.write("one/compose.yaml", &compose("app.conf"));
    rig.upstream.write("two/compose.yaml", &compose("other.conf"));
    rig.upstream.write("one/app.conf", "1");
    let first = rig.upstream.commit();
    let mut keeper = rig.source("all", rig.main()).await;
    keeper.sync().await;
    rig.upstream.write("one/app.conf", "2");
    let second = rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.revisions("one"), rig.revisions("two")), (vec![second.clone(), first.clone()], vec![first.clone()]));
    let generation = rig.get("one").unwrap()["metadata"]["generation"].clone();
    assert_eq!(generation, 1, "nothing is declared that was not before");
    let before = rig.registry.store().revision();
    keeper.sync().await;
    keeper.sync().await;
    assert_eq!(rig.registry.store().revision(), before, "said once and for all");
}

#[tokio::test]
async fn a_revision_is_noted_though_the_operator_was_killed_when_its_files_were_there() {
    let rig = Rig::new();
    rig.upstream.write("compose.yaml", "services:\n  web:\n    image: a\n    volumes: ['./app.conf:/etc/app.conf:ro']\n");
    rig.upstream.write("app.conf", "1");
    let first = rig.upstream.commit();
    rig.source("shop", rig.main()).await.sync().await;
    let name = rig.registry.store().list(crate::store::Kind::Deployment, None).unwrap().items[0]["metadata"]["name"].clone();
    let name = name.as_str().unwrap();
    assert_eq!(rig.revisions(name), [first.as_str()]);
    rig.upstream.write("app.conf", "2");
    let second = rig.upstream.commit();

    let mut killed = rig.keeper("shop");
    let stored = rig.registry.store().get(crate::store::Kind::Source, &killed.key).unwrap().unwrap();
    let source: crate::crd::Source = serde_json::from_value(stored.as_ref().clone()).unwrap();
    let turn = killed.surroundings.folders.turn(&killed.folder()).await;
    assert!(killed.fetch(&source, &turn).await.is_ok());
    killed.origin.as_mut().unwrap().check_out(&turn).await.unwrap();
    drop((killed, turn));
    assert_eq!((text(&rig, "app.conf").as_deref(), rig.revisions(name).len()), (Some("2"), 1));

    for _ in 0..2 {
        rig.keeper("shop").sync().await;
        assert_eq!(rig.revisions(name), [second.clone(), first.clone()]);
    }
}

#[tokio::test]
async fn a_link_that_a_container_put_there_leads_nobody_out() {
    let (rig, mut keeper) = kept().await;
    let outside = rig.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, tree(&rig).join("more")).unwrap();
    rig.upstream.write("more/evil.conf", "x");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(rig.status("shop")["notices"].to_string().contains("more/evil.conf is not written"));
}

#[tokio::test]
async fn a_commit_that_is_withheld_leaves_the_folder_as_it_is() {
    let (rig, mut keeper) = kept().await;
    let mut spec = rig.main();
    spec["apply"] = json!("Commit");
    rig.put("shop", spec).await;
    rig.upstream.write("conf/web.conf", "two");
    rig.upstream.write("broken.yaml", "kind: Nonsense\n");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(
        (rig.ready("shop").as_str(), text(&rig, "conf/web.conf").as_deref()),
        ("False CommitWithheld Stalled", Some("one"))
    );
    rig.upstream.remove("broken.yaml");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(text(&rig, "conf/web.conf").as_deref(), Some("two"));
}

#[tokio::test]
async fn what_somebody_removed_is_written_again_and_what_was_edited_is_left_until_a_commit_changes_it() {
    let (rig, mut keeper) = kept().await;
    let inode = |name: &str| fs::symlink_metadata(tree(&rig).join(name)).unwrap().ino();
    let untouched = inode("web.yaml");
    fs::write(tree(&rig).join("conf/web.conf"), "edited").unwrap();
    fs::remove_file(tree(&rig).join("conf/run.sh")).unwrap();
    fs::remove_file(tree(&rig).join("conf/link.conf")).unwrap();
    symlink("/etc/passwd", tree(&rig).join("conf/link.conf")).unwrap();
    keeper.sync().await;
    let link = fs::read_link(tree(&rig).join("conf/link.conf")).unwrap();
    assert_eq!((text(&rig, "conf/web.conf").as_deref(), link.to_str()), (Some("edited"), Some("web.conf")));
    assert_eq!(fs::metadata(tree(&rig).join("conf/run.sh")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(inode("web.yaml"), untouched, "what is right is left alone");

    // After a restart too; replaced, it is left as well, until a commit changes it.
    fs::write(tree(&rig).join("conf/new"), "replaced").unwrap();
    fs::rename(tree(&rig).join("conf/new"), tree(&rig).join("conf/web.conf")).unwrap();
    let mut keeper = rig.keeper("shop");
    keeper.sync().await;
    assert_eq!(text(&rig, "conf/web.conf").as_deref(), Some("replaced"));
    rig.upstream.write("conf/web.conf", "two");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(text(&rig, "conf/web.conf").as_deref(), Some("two"));
    rig.upstream.write("conf/web.conf", "one");
    rig.upstream.commit();
    keeper.sync().await;

    // When all of it is gone.
    fs::remove_dir_all(tree(&rig)).unwrap();
    keeper.sync().await;
    assert_eq!(text(&rig, "conf/web.conf").as_deref(), Some("one"));

    // What stands in the way is told, and the file comes when it is gone.
    fs::remove_file(tree(&rig).join("conf/web.conf")).unwrap();
    fs::create_dir_all(tree(&rig).join("conf/web.conf/data")).unwrap();
    keeper.sync().await;
    assert!(rig.status("shop")["notices"].to_string().contains("conf/web.conf is not written"));
    fs::remove_dir_all(tree(&rig).join("conf/web.conf")).unwrap();
    keeper.sync().await;
    assert_eq!(text(&rig, "conf/web.conf").as_deref(), Some("one"));
    assert!(!rig.status("shop")["notices"].to_string().contains("conf/web.conf"));
}

#[tokio::test]
async fn a_checkout_that_nobody_waits_for_any_more_has_ended_before_the_next_one_begins() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    for number in 0..3000 {
        rig.upstream.write(&format!("many/{number}.conf"), "x");
    }
    rig.upstream.write("z.conf", "old");
    rig.upstream.commit();
    let mut keeper = rig.source("shop", rig.main()).await;
    let begun = tree(&rig).join("many/1.conf");
    let under_way = async {
        while !begun.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = keeper.sync() => panic!("it was to be caught while it writes"),
        () = under_way => {}
    }
    rig.upstream.git(&["rm", "-r", "--quiet", "many"]);
    rig.upstream.write("z.conf", "new");
    rig.upstream.commit();
    keeper.sync().await;
    // An old thread would need less than this for what it has left.
    for _ in 0..40 {
        assert_eq!(text(&rig, "z.conf").as_deref(), Some("new"));
        let left = fs::read_dir(tree(&rig).join("many")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "what the old one wrote is known, and goes");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}
