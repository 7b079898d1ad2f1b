//! create, replace, patch, delete.

use super::*;
use crate::model::FINALIZER;
use crate::store::Part;

#[tokio::test]
async fn a_deployment_gets_its_finalizer_and_keeps_it_while_it_is_not_deleted() {
    let door = door_with_web().await;
    let finalizers = |object: &Value| object["metadata"]["finalizers"].clone();
    let patch = json!({"metadata": {"finalizers": null, "labels": {"a": "b"}}});
    let patched = door.patch(Kind::Deployment, &web(), patch, Part::Main, &by("cli:root")).await.unwrap();
    assert_eq!(finalizers(&patched.object), json!([FINALIZER]));
    let replaced = door.replace(Kind::Deployment, &web(), deployment("web"), Part::Main, false, &by("cli:root")).await.unwrap();
    assert_eq!(finalizers(&replaced.object), json!([FINALIZER]));
    assert!(replaced.object["metadata"].get("labels").is_none());
    let (_, gone) = door.delete(Kind::Deployment, &web(), &DeleteOptions::default()).await.unwrap();
    assert!(!gone);
    door.replace(Kind::Deployment, &web(), deployment("web"), Part::Main, true, &by("folder")).await.unwrap();
    assert!(door.store().get(Kind::Deployment, &web()).unwrap().is_some(), "a sync does not cut a deletion short");
    let forced = json!({"metadata": {"finalizers": null}});
    door.patch(Kind::Deployment, &web(), forced, Part::Main, &by("cli:root")).await.unwrap();
    assert!(door.store().get(Kind::Deployment, &web()).unwrap().is_none());
}

#[tokio::test]
async fn a_dry_run_returns_what_would_be_and_stores_nothing() {
    let door = door();
    let dry = WriteOptions { dry_run: true, ..by("cli:root") };
    let made = door.replace(Kind::Deployment, &web(), deployment("web"), Part::Main, true, &dry).await.unwrap();
    assert_eq!(made.object["metadata"]["finalizers"], json!([FINALIZER]));
    assert!(door.store().get(Kind::Deployment, &web()).unwrap().is_none());
    let stored = door.create(Kind::Deployment, deployment("web"), &by("cli:root")).await.unwrap().object;
    let patch = json!({"spec": {"state": "Stopped"}});
    let patched = door.patch(Kind::Deployment, &web(), patch.clone(), Part::Main, &dry).await.unwrap().object;
    assert_eq!((&patched["spec"]["state"], &patched["metadata"]["uid"]), (&json!("Stopped"), &stored["metadata"]["uid"]));
    let stale = WriteOptions { expected: Some(999), ..dry };
    let conflict = door.patch(Kind::Deployment, &web(), patch, Part::Main, &stale).await.unwrap_err();
    assert!(matches!(conflict, RegistryError::Store(StoreError::Conflict { .. })), "{conflict}");
    let kept = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    door.delete(Kind::Deployment, &web(), &kept).await.unwrap();
    assert_eq!(door.store().get(Kind::Deployment, &web()).unwrap(), Some(stored));
}

#[tokio::test]
async fn a_template_that_cannot_be_used_is_refused_with_its_field() {
    let door = door();
    let alert = |text: &str| {
        json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Alert", "metadata": {"name": "ops", "namespace": "default"},
            "spec": {"channels": ["ops"], "template": {"title": text}}})
    };
    for wrong in ["{{ name", "{{ no_such_name }}"] {
        let refused = door.create(Kind::Alert, alert(wrong), &by("cli:root")).await.unwrap_err();
        let RegistryError::Invalid { errors, .. } = &refused else { panic!("{refused}") };
        assert!(errors[0].path == "spec.template" && errors[0].message.starts_with("template.title: "), "{refused}");
    }
    door.create(Kind::Alert, alert("{{ kind }} {{ name }}"), &by("cli:root")).await.unwrap();
    let patch = json!({"spec": {"template": {"text": "{% if %}"}}});
    let refused = door.patch(Kind::Alert, &Key::new("default", "ops"), patch, Part::Main, &by("cli:root")).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Invalid { .. }), "{refused}");
}

#[tokio::test]
async fn a_status_write_leaves_the_spec_alone() {
    let door = door_with_web().await;
    let patch = json!({"status": {"phase": "Running"}, "spec": {"state": "Stopped"}});
    let written = door.patch(Kind::Deployment, &web(), patch, Part::Status, &by("controller")).await.unwrap().object;
    assert_eq!(written["status"]["phase"], "Running");
    assert!(written["spec"].get("state").is_none_or(|state| state == "Running"));
}

#[tokio::test]
async fn a_hold_written_as_an_object_is_completed_and_checked() {
    let door = door_with_web().await;
    let hold = |spec: Value| json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Hold", "metadata": {"name": "h", "namespace": "default"}, "spec": spec});
    let spec = json!({"deployment": "web", "service": "app", "state": "Stopped", "by": "me", "since": "2020-01-01T00:00:00Z"});
    let made = door.create(Kind::Hold, hold(spec), &by("token:admin")).await.unwrap().object;
    assert_eq!(made["spec"]["by"], "token:admin");
    let since: jiff::Timestamp = made["spec"]["since"].as_str().unwrap().parse().unwrap();
    assert!(now().duration_since(since).as_secs() < 60);
    for (spec, path) in [
        (json!({"deployment": "none", "state": "Stopped"}), "spec.deployment"),
        (json!({"deployment": "web", "service": "none", "state": "Stopped"}), "spec.service"),
        (json!({"deployment": "web", "service": "app", "replica": 3, "state": "Stopped"}), "spec.replica"),
    ] {
        match door.create(Kind::Hold, hold(spec), &by("token:admin")).await.unwrap_err() {
            RegistryError::Invalid { errors, .. } => assert_eq!(errors[0].path, path),
            other => panic!("{other}"),
        }
    }
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let labelled = door.patch(Kind::Hold, &key("h"), label, Part::Main, &by("token:other")).await.unwrap().object;
    assert_eq!(labelled["spec"], made["spec"]);
    let state = json!({"spec": {"state": "Suspended"}});
    let changed = door.patch(Kind::Hold, &key("h"), state, Part::Main, &by("token:other")).await.unwrap().object;
    assert_eq!(changed["spec"]["by"], "token:other");
    door.delete(Kind::Hold, &key("h"), &DeleteOptions::default()).await.unwrap();
    assert!(door.told().last().unwrap().contains("was deleted"), "{:?}", door.told());
}

#[tokio::test]
async fn a_hold_without_a_name_gets_one() {
    let door = door_with_web().await;
    let hold = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Hold", "metadata": {"namespace": "default"},
        "spec": {"deployment": "web", "state": "Suspended"},
    });
    let made = door.create(Kind::Hold, hold, &by("token:admin")).await.unwrap().object;
    assert!(made["metadata"]["name"].as_str().unwrap().starts_with("web-"));
}

#[tokio::test]
async fn holds_go_with_their_deployment_but_outlive_a_prune() {
    for (pruned, left) in [(false, 0), (true, 1)] {
        let door = door_with_web().await;
        door.stop(&web(), &Scope::default(), None, "cli:root").await.unwrap();
        let options = DeleteOptions { pruned, ..DeleteOptions::default() };
        let (_, gone) = door.delete(Kind::Deployment, &web(), &options).await.unwrap();
        assert!(!gone && door.held().len() == 1, "they hold until it is gone");
        door.gone(&web()).await.unwrap();
        assert!(door.store().get(Kind::Deployment, &web()).unwrap().is_none());
        assert_eq!(door.held().len(), left);
        door.create(Kind::Deployment, deployment("web"), &by("folder")).await.unwrap();
        assert_eq!(door.startable().await.is_empty(), pruned);
    }
}

#[tokio::test]
async fn gone_leaves_alone_what_is_not_being_deleted() {
    let door = door_with_web().await;
    door.stop(&web(), &Scope::default(), None, "cli:root").await.unwrap();
    door.gone(&web()).await.unwrap();
    assert!(door.store().get(Kind::Deployment, &web()).unwrap().is_some() && door.held().len() == 1);
}

#[tokio::test]
async fn how_to_delete_is_marked_on_the_object() {
    let door = door_with_web().await;
    let uid = Some("other".to_owned());
    let options = DeleteOptions { orphan: true, volumes: true, expected_uid: uid, ..DeleteOptions::default() };
    assert!(door.delete(Kind::Deployment, &web(), &options).await.is_err());
    let untouched = door.store().get(Kind::Deployment, &web()).unwrap().unwrap();
    assert_eq!(untouched["metadata"]["finalizers"], json!([FINALIZER]));
    let options = DeleteOptions { expected_uid: None, ..options };
    let (marked, _) = door.delete(Kind::Deployment, &web(), &options).await.unwrap();
    assert_eq!(marked["metadata"]["finalizers"], json!([FINALIZER, "orphan"]));
    assert_eq!(marked["metadata"]["annotations"]["evenkeel.dev/delete-volumes"], "true");
    let why = door.may_start(&web(), &replica("app-1")).await.unwrap_err();
    assert!(why.contains("being deleted"), "{why}");
    door.gone(&web()).await.unwrap();
    assert!(door.store().get(Kind::Deployment, &web()).unwrap().is_none());
}

#[tokio::test]
async fn events_are_not_written_through_the_door() {
    let door = door_with_web().await;
    assert!(door.create(Kind::Event, json!({}), &by("token:admin")).await.is_err());
}
