//! Creating, changing, deleting, and what the store owns.

use super::*;

async fn modify(store: &Store, name: &str, part: Part, change: impl FnOnce(&mut Value) + Send + 'static) -> Result<Object> {
    let change = |object: &mut Value| {
        change(object);
        Ok::<_, StoreError>(())
    };
    store.modify(Kind::Deployment, &key(name), part, None, change).await
}

#[tokio::test]
async fn a_new_object_gets_uid_time_generation_and_version_and_no_status() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut object = deployment("web");
    object["status"] = json!({"phase": "Running"});
    object["metadata"]["uid"] = "mine".into();
    object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let made = store.create(Kind::Deployment, object).await.unwrap();
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert!(made["metadata"]["creationTimestamp"].is_string());
    assert!(made["metadata"].get("deletionTimestamp").is_none());
    assert_eq!(version(&made), store.revision());
    assert!(made.get("status").is_none());
    assert_eq!(store.get(Kind::Deployment, &key("web")).unwrap(), Some(made));
    let again = store.create(Kind::Deployment, deployment("web")).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })), "{again:?}");
}

#[tokio::test]
async fn a_changed_spec_bumps_the_generation_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let labelled = modify(&store, "web", Part::Main, |o| o["metadata"]["labels"] = json!({"a": "b"})).await.unwrap();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let changed = modify(&store, "web", Part::Main, |o| o["spec"]["state"] = "Stopped".into()).await.unwrap();
    assert_eq!(changed["metadata"]["generation"], 2);
    let status = modify(&store, "web", Part::Status, |o| o["status"] = json!({"phase": "Running"})).await.unwrap();
    assert_eq!(status["metadata"]["generation"], 2);
    assert!(version(&labelled) < version(&changed) && version(&changed) < version(&status));
}

#[tokio::test]
async fn each_part_leaves_the_other_alone_and_what_the_store_owns() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let made = store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let status = modify(&store, "web", Part::Status, |o| {
        o["status"] = json!({"phase": "Running"});
        o["spec"] = json!({});
        o["metadata"]["labels"] = json!({"a": "b"});
    });
    let status = status.await.unwrap();
    assert_eq!((&status["spec"], &status["status"]["phase"]), (&made["spec"], &json!("Running")));
    assert!(status["metadata"].get("labels").is_none());
    let main = modify(&store, "web", Part::Main, |o| {
        o["status"] = json!({});
        o["kind"] = "Other".into();
        o["metadata"] = json!({"uid": "other", "name": "other", "labels": {"a": "b"}});
    });
    let main = main.await.unwrap();
    assert_eq!((&main["kind"], &main["status"]["phase"]), (&json!("Deployment"), &json!("Running")));
    assert_eq!(main["metadata"]["labels"]["a"], "b");
    for field in ["uid", "name", "namespace", "creationTimestamp"] {
        assert_eq!(main["metadata"][field], made["metadata"][field], "{field}");
    }
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let made = store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let same = modify(&store, "web", Part::Main, |o| o["metadata"]["resourceVersion"] = "7".into()).await.unwrap();
    assert_eq!(made, same);
    assert_eq!(store.revision(), version(&made));
}

#[tokio::test]
async fn a_write_from_an_old_version_is_refused_and_so_is_one_that_its_maker_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let made = store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let changed = modify(&store, "web", Part::Main, |o| o["spec"]["state"] = "Stopped".into()).await.unwrap();
    let web = key("web");
    let stale = store.modify(Kind::Deployment, &web, Part::Main, Some(version(&made)), |o| {
        o["spec"] = json!({});
        Ok::<_, StoreError>(())
    });
    assert!(matches!(stale.await, Err(StoreError::Conflict { .. })));
    let refused = store.modify(Kind::Deployment, &web, Part::Main, None, |o| {
        o["spec"] = json!({});
        Err(StoreError::Corrupt("no".into()))
    });
    assert_eq!(refused.await.unwrap_err().to_string(), "no");
    assert_eq!(store.get(Kind::Deployment, &key("web")).unwrap(), Some(changed));
}

#[tokio::test]
async fn an_object_with_a_finalizer_goes_when_the_last_one_is_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut object = deployment("web");
    object["metadata"]["finalizers"] = json!(["evenkeel.dev/cleanup"]);
    let made = store.create(Kind::Deployment, object).await.unwrap();
    let (marked, gone) = store.delete(Kind::Deployment, &key("web"), None).await.unwrap();
    assert!(!gone && marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!((&marked["metadata"]["generation"], &marked["metadata"]["deletionGracePeriodSeconds"]), (&json!(2), &json!(0)));
    let (again, gone) = store.delete(Kind::Deployment, &key("web"), None).await.unwrap();
    assert!(!gone && again == marked);
    let last = modify(&store, "web", Part::Main, |o| o["metadata"]["finalizers"] = json!([])).await.unwrap();
    assert!(version(&last) > version(&marked));
    assert_eq!(store.get(Kind::Deployment, &key("web")).unwrap(), None);
    let next = store.create(Kind::Deployment, deployment("web")).await.unwrap();
    assert_ne!(next["metadata"]["uid"], made["metadata"]["uid"]);
}

#[tokio::test]
async fn a_deletion_meant_for_another_object_of_the_same_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let other = store.delete(Kind::Deployment, &key("web"), Some("other".into())).await;
    assert!(matches!(other, Err(StoreError::Conflict { .. })), "{other:?}");
    let missing = store.delete(Kind::Deployment, &key("none"), None).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn everything_is_there_after_reopening_and_versions_go_on_upwards() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.create(Kind::Deployment, deployment("web")).await.unwrap();
    store.create(Kind::Deployment, deployment("gone")).await.unwrap();
    let web = modify(&store, "web", Part::Status, |o| o["status"] = json!({"phase": "Running"})).await.unwrap();
    store.delete(Kind::Deployment, &key("gone"), None).await.unwrap();
    store.put_note("boot", Some(json!({"a": 1}))).await.unwrap();
    let before = store.revision();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.list(Kind::Deployment, None).unwrap().items, vec![web]);
    assert_eq!(store.note("boot").unwrap(), Some(json!({"a": 1})));
    assert!(store.revision() >= before);
    let next = store.create(Kind::Deployment, deployment("next")).await.unwrap();
    assert!(version(&next) > before);
}

#[tokio::test]
async fn a_listing_is_of_one_namespace_or_of_all_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (namespace, name) in [("b", "z"), ("a", "y"), ("a", "x"), ("ab", "w")] {
        let mut object = deployment(name);
        object["metadata"]["namespace"] = namespace.into();
        store.create(Kind::Deployment, object).await.unwrap();
    }
    let names = |namespace| {
        let listing = store.list(Kind::Deployment, namespace).unwrap();
        listing.items.iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["x", "y", "w", "z"]);
    assert_eq!(names(Some("a")), ["x", "y"]);
    assert_eq!(names(Some("none")), [""; 0]);
}

#[tokio::test]
async fn a_writer_that_panics_hurts_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let panicking = store.clone();
    let panic = tokio::spawn(async move { modify(&panicking, "web", Part::Main, |_| panic!("on purpose")).await });
    assert!(panic.await.unwrap_err().is_panic());
    modify(&store, "web", Part::Main, |o| o["spec"]["state"] = "Stopped".into()).await.unwrap();
}
