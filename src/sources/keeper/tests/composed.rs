//! Compose files in a repository, with what they name beside themselves.

use serde_json::json;

use super::Rig;
use crate::model::{Key, annotations};
use crate::sources::merge::annotation;
use crate::store::Kind;

#[tokio::test]
async fn a_compose_file_of_a_commit_is_read_with_what_it_names_beside_itself() {
    let rig = Rig::new();
    let compose =
        "services:\n  web:\n    image: app:${TAG}\n    env_file: [../shared/common.env]\n    volumes: [\"./html:/srv:ro\"]\n";
    rig.upstream.write("shop/compose.yaml", compose);
    rig.upstream.write("shop/compose.override.yaml", "services:\n  web:\n    labels: {team: sea}\n");
    rig.upstream.write("shop/.env", "TAG=1.2\n");
    rig.upstream.write("shared/common.env", "LEVEL=info\n");
    rig.upstream.write("shop/html/index.html", "hello\n");
    rig.upstream.commit();
    let mut keeper = rig.source("all", rig.main()).await;
    keeper.sync().await;
    assert_eq!(rig.ready("all"), "True Synced", "{}", rig.message("all"));
    let service = rig.get("shop").unwrap()["spec"]["services"]["web"].clone();
    assert_eq!((&service["image"], &service["environment"]), (&json!("app:1.2"), &json!({"LEVEL": "info"})));
    assert_eq!(service["labels"], json!({"team": "sea"}));
    let shop = rig.get("shop").unwrap();
    assert_eq!(annotation(&shop, annotations::SOURCE), Some("shop/compose.yaml:1"));
    let html = rig.path("sources/default/all/tree/shop/html");
    assert_eq!(service["volumes"][0]["source"], json!(html));
    assert_eq!(std::fs::read_to_string(html.join("index.html")).unwrap(), "hello\n");

    // What a Compose file only names is part of it.
    rig.upstream.write("shared/common.env", "LEVEL=debug\n");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.get("shop").unwrap()["spec"]["services"]["web"]["environment"], json!({"LEVEL": "debug"}));

    // Variables of the Source go before those of `.env`.
    let mut spec = rig.main();
    spec["substitute"] = json!({"TAG": "2"});
    rig.put("all", spec).await;
    keeper.sync().await;
    assert_eq!(rig.image("shop").as_deref(), Some("app:2"));

    // A broken one is told with its place, and its last good version stays.
    rig.upstream.write("shop/compose.yaml", &compose.replace("image:", "imag:"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(rig.image("shop").as_deref(), Some("app:2"));
    let told = rig.status("all").to_string();
    assert!(told.contains("shop/compose.yaml:3:5"), "{told}");
}

#[tokio::test]
async fn what_lies_beside_a_compose_file_is_no_broken_manifest_and_links_are_followed() {
    let rig = Rig::new();
    rig.upstream.write("shop/compose.yaml", "services:\n  web:\n    image: app:1\n    env_file: linked.env\n");
    rig.upstream.write("shop/prometheus.yml", "global:\n  scrape_interval: 15s\n");
    rig.upstream.write("shop/web/package.json", "{\"name\": \"web\"}\n");
    rig.upstream.write("common.env", "LEVEL=info\n");
    std::os::unix::fs::symlink("../common.env", rig.upstream.path.join("shop/linked.env")).unwrap();
    rig.upstream.commit();
    rig.source("all", rig.main()).await.sync().await;
    assert_eq!(rig.ready("all"), "True Synced", "{}", rig.message("all"));
    assert_eq!(rig.get("shop").unwrap()["spec"]["services"]["web"]["environment"], json!({"LEVEL": "info"}));

    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";
    rig.upstream.write("common.env", pointer);
    rig.upstream.commit();
    rig.keeper("all").sync().await;
    let told = rig.status("all").to_string();
    assert!(told.contains("is a pointer of Git LFS"), "{told}");
    assert_eq!(rig.get("shop").unwrap()["spec"]["services"]["web"]["environment"], json!({"LEVEL": "info"}));
}

#[tokio::test]
async fn a_compose_file_that_breaks_is_not_taken_for_one_that_is_gone() {
    let rig = Rig::new();
    let compose = "services:\n  web:\n    image: app:1\nx-evenkeel: {namespace: team, name: front}\n";
    rig.upstream.write("shop/compose.yaml", compose);
    rig.upstream.commit();
    let mut spec = rig.main();
    spec["prune"] = json!(true);
    let mut keeper = rig.source("all", spec).await;
    keeper.sync().await;
    let front = || rig.registry.store().get(Kind::Deployment, &Key::new("team", "front")).unwrap();
    assert!(front().is_some(), "{}", rig.message("all"));
    for broken in [compose.replace("image:", "imag:"), compose.replace("x-evenkeel: {namespace: team, name: front}", "x-y: [")] {
        rig.upstream.write("shop/compose.yaml", &broken);
        rig.upstream.commit();
        // A commit is whole: what is gone from it is pruned at the first look.
        keeper.sync().await;
        assert!(front().unwrap()["metadata"]["deletionTimestamp"].is_null(), "{broken}");
    }
}

#[tokio::test]
async fn a_compose_file_that_cannot_be_read_as_yaml_is_broken_and_not_gone() {
    for (root, name) in [("", "top"), ("apps/", "shop")] {
        let rig = Rig::new();
        let (file, listed) = (format!("{root}{name}/compose.yaml"), format!("{name}/compose.yaml"));
        rig.upstream.write(&file, "services:\n  web:\n    image: app:1\n");
        rig.upstream.write(&format!("{root}other/compose.yaml"), "services:\n  web:\n    image: app:1\n");
        rig.upstream.commit();
        let mut spec = rig.main();
        if !root.is_empty() {
            spec["path"] = json!(root.trim_end_matches('/'));
        }
        let mut keeper = rig.source("all", spec).await;
        keeper.sync().await;
        assert_eq!(rig.ready("all"), "True Synced", "{}", rig.message("all"));
        for broken in [
            "services:\n  web:\n   image: [\n",
            "servces:\n  web: {image: b}\n",
            "services:\n\tweb: {image: b}\n",
            "services: {web: {env_file: no.env, image: a}}\n",
        ] {
            rig.upstream.write(&file, broken);
            rig.upstream.commit();
            keeper.sync().await;
            let status = rig.status("all");
            assert_eq!(rig.ready("all"), "False InvalidManifest Stalled", "{broken}");
            assert!(!rig.is_orphaned(name), "{broken}");
            let error = crate::sources::merge::annotation(&rig.get(name).unwrap(), crate::model::annotations::SOURCE_ERROR)
                .unwrap_or_default()
                .to_owned();
            assert!(error.starts_with(&listed), "{error}");
            assert!(!broken.contains('\t') || error.contains("a tab stands here"), "{error}");
            assert!(!broken.starts_with("servces") || error.contains("a Source takes Deployments"), "{error}");
            assert_eq!((&status["fileCount"], &status["failedFileCount"]), (&json!(2), &json!(1)), "{status}");
            assert_eq!((&status["files"][0]["file"], &status["files"][0]["result"]), (&json!(listed), &json!("Failed")));
            assert!(!status.to_string().contains("/tree/"), "paths are those of the repository: {status}");
        }
        let warned = rig.registry.store().list(Kind::Event, None).unwrap().items;
        let about =
            warned.iter().filter(|event| event["involvedObject"]["kind"] == "Source" && event["reason"] == "InvalidManifest");
        assert!(about.map(|event| event["type"].as_str()).all(|kind| kind == Some("Warning")));
        assert!(!rig.events("InvalidManifest").is_empty());
    }
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_told_on_the_deployment() {
    let rig = Rig::new();
    rig.upstream.write("shop/compose.yaml", "services:\n  web:\n    image: app:1\n    environment: {A: '${NO_SUCH}'}\n");
    rig.upstream.commit();
    let mut keeper = rig.source("all", rig.main()).await;
    keeper.sync().await;
    let warnings = || {
        let object = rig.get("shop").unwrap();
        crate::sources::merge::annotation(&object, crate::model::annotations::SOURCE_WARNINGS).map(str::to_owned)
    };
    assert!(warnings().is_some_and(|told| told.contains("NO_SUCH")), "{:?}", warnings());
    rig.upstream.write("shop/.env", "NO_SUCH=1\n");
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!(warnings(), None);
}

#[tokio::test]
async fn the_revision_of_a_folder_covers_what_its_compose_files_name() {
    let rig = Rig::new();
    let folder = rig.path("folder");
    std::fs::create_dir_all(folder.join("shop")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join("shop").join(name), text).unwrap();
    write("compose.yaml", "services:\n  web: {image: 'a:${TAG:-0}', env_file: [{path: ../../web.env, required: false}]}\n");
    let mut keeper = rig.source("shop", json!({"folder": {"path": folder}})).await;
    let mut seen = std::collections::BTreeSet::new();
    for change in 0..4 {
        match change {
            0 => {}
            1 => write(".env", "TAG=1\n"),
            2 => std::fs::write(rig.path("web.env"), "A=1\n").unwrap(),
            _ => std::fs::remove_file(folder.join("shop/.env")).unwrap(),
        }
        keeper.sync().await;
        assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
        let revision = rig.status("shop")["observedRevision"].as_str().unwrap().to_owned();
        assert!(seen.insert(revision), "change {change} is not seen");
        keeper.sync().await;
    }
    assert_eq!(rig.events("Synced").len(), 4, "and nothing else changes it");
}
