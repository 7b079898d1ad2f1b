//! Reading and writing objects.

use axum::http::Method;
use serde_json::json;

use super::{Api, DEPLOYMENTS, HOLDS, deployment, path};

const TABLE: (&str, &str) = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");

#[tokio::test]
async fn an_object_is_made_read_listed_and_gone() {
    let api = Api::new();
    let made = api.web().await;
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["resourceVersion"].is_string());
    assert_eq!(api.get(&path("web")).await.expect(200), made);
    let list = api.get(DEPLOYMENTS).await.expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("DeploymentList"), &json!("evenkeel.dev/v1alpha1")));
    assert_eq!(list["items"], json!([made]));
    let everywhere = api.get("/apis/evenkeel.dev/v1alpha1/deployments").await.expect(200);
    assert_eq!(everywhere["items"], list["items"]);
    let elsewhere = api.get("/apis/evenkeel.dev/v1alpha1/namespaces/other/deployments").await.expect(200);
    assert_eq!(elsewhere["items"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_a_status() {
    let api = Api::new();
    api.web().await;
    let again = api.post(DEPLOYMENTS, &deployment("web")).await.refused(409, "AlreadyExists");
    assert_eq!(again, "deployments.evenkeel.dev \"web\" already exists");
    let missing = api.get(&path("nobody")).await;
    assert_eq!(missing.refused(404, "NotFound"), "deployments.evenkeel.dev \"nobody\" not found");
    assert_eq!(missing.json()["details"], json!({"name": "nobody", "group": "evenkeel.dev", "kind": "deployments"}));

    let with = |pointer: &str, value: serde_json::Value| {
        let mut object = deployment("other");
        *object.pointer_mut(pointer).unwrap() = value;
        object
    };
    for object in
        [with("/kind", json!("Pod")), with("/apiVersion", json!("v1")), with("/metadata", json!([])), json!([]), json!("x")]
    {
        api.post(DEPLOYMENTS, &object).await.refused(400, "BadRequest");
    }
    let mut stray = deployment("other");
    stray["metadata"]["namespace"] = json!("shop");
    api.post(DEPLOYMENTS, &stray).await.refused(400, "BadRequest");
    api.post(DEPLOYMENTS, &with("/metadata/name", json!(""))).await.refused(422, "Invalid");
    let no_namespace = api.post("/apis/evenkeel.dev/v1alpha1/deployments", &deployment("x")).await;
    no_namespace.refused(400, "BadRequest");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_with_its_field() {
    let api = Api::new();
    let mut object = deployment("web");
    object["spec"]["services"]["app"]["ports"] = json!(["nonsense:nonsense"]);
    object["spec"]["stat"] = json!("Running");
    let answer = api.post(DEPLOYMENTS, &object).await;
    answer.refused(422, "Invalid");
    let details = &answer.json()["details"];
    assert_eq!((&details["kind"], &details["name"]), (&json!("Deployment"), &json!("web")));
    let fields = details["causes"].as_array().unwrap().iter().map(|cause| cause["field"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(fields.contains(&"spec.stat"), "{fields:?}");
    assert!(fields.iter().any(|field| field.starts_with("spec.services.app.ports")), "{fields:?}");
    api.get(&path("web")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn an_unknown_field_is_refused_warned_of_or_let_pass_as_asked() {
    let api = Api::new();
    let unknown = |name: &str| {
        let mut object = deployment(name);
        object["spec"]["services"]["app"]["imagee"] = json!("x");
        object
    };
    for query in ["", "?fieldValidation=Strict"] {
        api.post(&format!("{DEPLOYMENTS}{query}"), &unknown("a")).await.refused(422, "Invalid");
    }
    let warned = api.post(&format!("{DEPLOYMENTS}?fieldValidation=Warn"), &unknown("b")).await;
    warned.expect(201);
    let warning = warned.headers.get("warning").unwrap().to_str().unwrap();
    assert!(warning.starts_with("299 - \"") && warning.contains("imagee"), "{warning}");
    let ignored = api.post(&format!("{DEPLOYMENTS}?fieldValidation=Ignore"), &unknown("c")).await;
    ignored.expect(201);
    assert!(!ignored.headers.contains_key("warning"));
    api.post(&format!("{DEPLOYMENTS}?fieldValidation=Maybe"), &unknown("d")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_dry_run_answers_and_stores_nothing() {
    let api = Api::new();
    api.post(&format!("{DEPLOYMENTS}?dryRun=All"), &deployment("web")).await.expect(201);
    api.get(&path("web")).await.refused(404, "NotFound");
    let web = api.web().await;
    let dry = api.merge(&path("web?dryRun=All"), &json!({"spec": {"state": "Stopped"}})).await.expect(200);
    assert_eq!(dry["spec"]["state"], "Stopped");
    api.call(Method::DELETE, &path("web?dryRun=All"), &[], "").await.expect(200);
    assert_eq!(api.get(&path("web")).await.expect(200), web);
    api.post(&format!("{DEPLOYMENTS}?dryRun=Some"), &deployment("x")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn names_are_generated_on_request() {
    let api = Api::new();
    let mut object = deployment("x");
    object["metadata"] = json!({"generateName": "web-"});
    let made = api.post(DEPLOYMENTS, &object).await.expect(201);
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
}

#[tokio::test]
async fn bodies_may_be_yaml_or_say_nothing_of_themselves() {
    let api = Api::new();
    let yaml =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata: {name: web}\nspec: {services: {app: {image: 'a:1'}}}\n";
    api.call(Method::POST, DEPLOYMENTS, &[("content-type", "application/yaml")], yaml).await.expect(201);
    let object = api.get(&path("web")).await.text;
    api.call(Method::PUT, &path("web"), &[], object).await.expect(200);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/vnd.kubernetes.protobuf", ""] {
        let answer = api.call(Method::POST, DEPLOYMENTS, &[("content-type", content_type)], deployment("x").to_string()).await;
        answer.refused(415, "UnsupportedMediaType");
    }
}

#[tokio::test]
async fn a_replacement_made_from_an_old_version_is_a_conflict() {
    let api = Api::new();
    let old = api.web().await;
    let mut new = old.clone();
    new["spec"]["state"] = json!("Stopped");
    let stored = api.put(&path("web"), &new).await.expect(200);
    assert_eq!(stored["metadata"]["generation"], 2);
    let message = api.put(&path("web"), &old).await.refused(409, "Conflict");
    assert!(message.starts_with("Operation cannot be fulfilled on deployments.evenkeel.dev \"web\""), "{message}");
    let mut other = stored.clone();
    other["metadata"]["uid"] = json!("another");
    api.put(&path("web"), &other).await.refused(409, "Conflict");
    other = stored.clone();
    other["metadata"]["name"] = json!("db");
    api.put(&path("web"), &other).await.refused(400, "BadRequest");
    other = stored.clone();
    other["metadata"]["resourceVersion"] = json!("newest");
    api.put(&path("web"), &other).await.refused(400, "BadRequest");
    assert_eq!(api.put(&path("web"), &stored).await.expect(200), stored, "nothing changed, nothing is written");
    api.put(&path("nobody"), &deployment("nobody")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn the_status_is_written_by_its_subresource_only() {
    let api = Api::new();
    api.web().await;
    let wrong = api.merge(&path("web"), &json!({"status": {"phase": "Running"}})).await.expect(200);
    assert_eq!(wrong["status"], json!(null));
    let patch = json!({"status": {"phase": "Running", "ready": "1/1"}, "spec": {"state": "Stopped"}});
    let written = api.merge(&path("web/status"), &patch).await.expect(200);
    assert_eq!((&written["status"]["phase"], &written["spec"]["state"]), (&json!("Running"), &json!("Running")));
    assert_eq!(written["metadata"]["generation"], 1);
    let mut put = written.clone();
    put["status"]["phase"] = json!("Degraded");
    assert_eq!(api.put(&path("web/status"), &put).await.expect(200)["status"]["phase"], "Degraded");
    assert_eq!(api.get(&path("web/status")).await.expect(200)["status"]["phase"], "Degraded");
    api.delete(&path("web/status")).await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn merge_patches_change_and_remove_and_never_panic() {
    let api = Api::new();
    let web = api.web().await;
    let patch = json!({"metadata": {"labels": {"app": null, "tier": "front"}}});
    let patched = api.merge(&path("web"), &patch).await.expect(200);
    assert_eq!(patched["metadata"]["labels"], json!({"tier": "front"}));
    assert_eq!(api.merge(&path("web"), &patch).await.expect(200), patched, "the same again writes nothing");
    let stale = json!({"metadata": {"resourceVersion": web["metadata"]["resourceVersion"]}, "spec": {"state": "Stopped"}});
    api.merge(&path("web"), &stale).await.refused(409, "Conflict");
    for nonsense in [json!([{"op": "remove", "path": "/spec"}]), json!(null), json!("x"), json!(7), json!({"metadata": []})] {
        api.merge(&path("web"), &nonsense).await.refused(400, "BadRequest");
    }
    for renaming in [json!({"metadata": {"name": "db"}}), json!({"metadata": {"namespace": "x"}}), json!({"kind": "Hold"})] {
        api.merge(&path("web"), &renaming).await.refused(422, "Invalid");
    }
    for wrong in
        [json!({"spec": null}), json!({"spec": {"services": 7}}), json!({"spec": {"services": {"app": null}, "stat": 1}})]
    {
        api.merge(&path("web"), &wrong).await.refused(422, "Invalid");
    }
    api.merge(&path("nobody"), &json!({})).await.refused(404, "NotFound");
    assert_eq!(api.get(&path("web")).await.expect(200), patched);
}

#[tokio::test]
async fn json_patches_are_applied_whole_or_not_at_all() {
    let api = Api::new();
    api.web().await;
    let patch = async |operations: serde_json::Value| api.patch(&path("web"), "application/json-patch+json", &operations).await;
    let added = json!([{"op": "test", "path": "/metadata/annotations", "value": null}, {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]);
    assert_eq!(patch(added.clone()).await.expect(200)["metadata"]["annotations"], json!({"a": "b"}), "null is what is not there");
    patch(added).await.refused(422, "Invalid");
    patch(json!([{"op": "add", "path": "/metadata/labels/x", "value": "y"}, {"op": "remove", "path": "/no"}]))
        .await
        .refused(422, "Invalid");
    assert_eq!(api.get(&path("web")).await.expect(200)["metadata"]["labels"], json!({"app": "web"}));
    patch(json!([{"op": "replace", "path": "/metadata/name", "value": "db"}])).await.refused(422, "Invalid");
    patch(json!([{"op": "replace", "path": "", "value": 7}])).await.refused(422, "Invalid");
    patch(json!([{"op": "remove", "path": "/metadata"}])).await.refused(422, "Invalid");
    patch(json!([{"op": "add", "path": "/metadata/resourceVersion", "value": "1"}])).await.refused(409, "Conflict");
    for nonsense in [json!({}), json!([{"op": "explode"}]), json!([7]), json!("x")] {
        patch(nonsense).await.refused(400, "BadRequest");
    }
}

#[tokio::test]
async fn patches_in_other_languages_are_refused_and_told_the_right_ones() {
    let api = Api::new();
    api.web().await;
    for content_type in ["application/strategic-merge-patch+json", "application/json", "text/plain"] {
        let message = api.patch(&path("web"), content_type, &json!({})).await.refused(415, "UnsupportedMediaType");
        assert!(message.contains("application/merge-patch+json"), "{message}");
    }
}

#[tokio::test]
async fn server_side_apply_makes_changes_and_refuses_what_others_own() {
    let api = Api::new();
    let apply = async |query: &str, image: &str| {
        let mut object = deployment("web");
        object["spec"]["services"]["app"]["image"] = json!(image);
        api.patch(&path(&format!("web?{query}")), "application/apply-patch+yaml", &object).await
    };
    apply("", "a:1").await.refused(400, "BadRequest");
    let made = apply("fieldManager=ci", "a:1").await.expect(201);
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "ci");
    assert_eq!(
        apply("fieldManager=ci", "a:1").await.expect(200)["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    let refused = apply("fieldManager=me", "a:2").await;
    refused.refused(409, "Conflict");
    assert_eq!(refused.json()["details"]["causes"][0]["field"], ".spec.services.app.image");
    assert_eq!(apply("fieldManager=me&force=true", "a:2").await.expect(200)["spec"]["services"]["app"]["image"], "a:2");
    let kept = api.put(&path("web"), &deployment("web")).await.expect(200);
    assert!(kept["metadata"]["managedFields"].is_array(), "a replacement that says nothing of managers keeps them");
}

#[tokio::test]
async fn selectors_narrow_lists() {
    let api = Api::new();
    for name in ["web", "db"] {
        api.post(DEPLOYMENTS, &deployment(name)).await.expect(201);
    }
    for query in
        ["labelSelector=app%3Dweb", "labelSelector=app+in+(web)", "fieldSelector=metadata.name%3Dweb", "labelSelector=app!%3Ddb"]
    {
        let list = api.get(&format!("{DEPLOYMENTS}?limit=500&{query}")).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{query}");
        assert_eq!(list["items"][0]["metadata"]["name"], "web", "{query}");
    }
    api.get(&format!("{DEPLOYMENTS}?labelSelector=%3Dx")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn tables_are_made_for_those_who_ask_first() {
    let api = Api::new();
    api.web().await;
    for place in [DEPLOYMENTS.to_owned(), path("web")] {
        let table = api.call(Method::GET, &place, &[TABLE], "").await.expect(200);
        assert_eq!((&table["kind"], &table["rows"][0]["cells"][0]), (&json!("Table"), &json!("web")));
        assert_eq!(table["rows"][0]["object"]["metadata"]["labels"], json!({"app": "web"}));
    }
    let full = api.call(Method::GET, &format!("{DEPLOYMENTS}?includeObject=Object"), &[TABLE], "").await.expect(200);
    assert_eq!(full["rows"][0]["object"]["kind"], "Deployment");
}

#[tokio::test]
async fn deleting_what_nothing_keeps_answers_success_and_names_it() {
    let api = Api::new();
    api.web().await;
    let hold = json!({"metadata": {"name": "night"}, "spec": {"deployment": "web", "state": "Suspended", "reason": "backup"}});
    let hold = api.post(HOLDS, &hold).await.expect(201);
    assert_eq!(hold["spec"]["by"], "test");
    let body = json!({"propagationPolicy": "Background", "preconditions": {"uid": "another"}}).to_string();
    let night = format!("{HOLDS}/night");
    api.call(Method::DELETE, &night, &[("content-type", "application/json")], body).await.refused(409, "Conflict");
    let stale = json!({"preconditions": {"resourceVersion": "1"}}).to_string();
    api.call(Method::DELETE, &night, &[("content-type", "application/json")], stale).await.refused(409, "Conflict");
    let status = api.delete(&night).await.expect(200);
    assert_eq!((&status["status"], &status["details"]["uid"]), (&json!("Success"), &hold["metadata"]["uid"]));
    api.delete(&night).await.refused(404, "NotFound");
    api.call(Method::DELETE, &path("web"), &[("content-type", "application/json")], "{").await.refused(400, "BadRequest");
}

#[tokio::test]
async fn deleting_a_deployment_waits_for_its_finalizer() {
    let api = Api::new();
    api.web().await;
    let deleted = api.delete(&path("web")).await.expect(200);
    assert_eq!(deleted["kind"], "Deployment", "the controller has to clean up first");
    assert!(deleted["metadata"]["deletionTimestamp"].is_string());
    let mut finalized = api.get(&path("web")).await.expect(200);
    finalized["metadata"]["finalizers"] = json!([]);
    api.put(&path("web"), &finalized).await.expect(200);
    api.get(&path("web")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn events_and_namespaces_are_read_not_written() {
    let api = Api::new();
    api.web().await;
    let events = "/api/v1/namespaces/default/events";
    assert_eq!(api.get(events).await.expect(200)["kind"], "EventList");
    api.post(events, &json!({})).await.refused(405, "MethodNotAllowed");
    let namespaces = api.get("/api/v1/namespaces").await.expect(200);
    assert_eq!(namespaces["items"][0]["metadata"]["name"], "default");
    api.get("/api/v1/namespaces/shop").await.refused(404, "NotFound");
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    api.post("/api/v1/namespaces", &shop).await.expect(201);
    api.delete("/api/v1/namespaces/default").await.refused(405, "MethodNotAllowed");
    api.delete(DEPLOYMENTS).await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about() {
    use crate::model::{About, Happening, Key, Reason, Severity};
    let api = Api::new();
    let web = api.web().await;
    let uid = web["metadata"]["uid"].as_str().unwrap().to_owned();
    let happening = Happening {
        about: About::Deployment(Key::new("default", "web"), Some(uid.clone())),
        reason: Reason::Crashed,
        severity: Severity::Warning,
        message: "it fell".into(),
        trace_id: None,
    };
    api.state.registry.store().tell(happening).await.unwrap();
    let found = async |selector: String| {
        let list = api.get(&format!("/api/v1/namespaces/default/events?fieldSelector={selector}")).await.expect(200);
        list["items"].as_array().unwrap().len()
    };
    let about = "involvedObject.name%3Dweb,involvedObject.namespace%3Ddefault,involvedObject.kind%3DDeployment";
    assert_eq!(found(format!("{about},involvedObject.uid%3D{uid}")).await, 1);
    assert_eq!(found("involvedObject.name%3Ddb".into()).await, 0);
    let table = api.call(Method::GET, "/api/v1/events", &[TABLE], "").await.expect(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[1..5], [json!("Warning"), json!("Crashed"), json!("deployment/web"), json!("it fell")]);
}
