//! Commands, plans, health and discovery.

use axum::http::Method;
use serde_json::json;

use super::{Api, DEPLOYMENTS, HOLDS, deployment, path};

#[tokio::test]
async fn a_stop_is_a_hold_and_a_start_lifts_it() {
    let api = Api::new();
    api.web().await;
    let stopped = api.post(&path("web/stop"), &json!({"reason": "repairs"})).await.expect(200);
    assert_eq!(stopped["kind"], "HoldList");
    let spec = &stopped["items"][0]["spec"];
    assert_eq!((&spec["deployment"], &spec["state"], &spec["reason"]), (&json!("web"), &json!("Stopped"), &json!("repairs")));
    assert_eq!(spec["by"], "test");
    assert_eq!(api.get(HOLDS).await.expect(200)["items"].as_array().unwrap().len(), 1);
    let lifted = api.call(Method::POST, &path("web/start"), &[], "").await.expect(200);
    assert_eq!(lifted["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get(HOLDS).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn a_command_can_be_about_a_service_or_a_replica() {
    let api = Api::new();
    api.web().await;
    let held = api.post(&path("web/stop"), &json!({"services": ["app"]})).await.expect(200);
    assert_eq!(held["items"][0]["spec"]["service"], "app");
    let held = api.post(&path("web/suspend"), &json!({"replicas": ["app-1"], "until": "2999-01-01T00:00:00Z"})).await.expect(200);
    let spec = &held["items"][0]["spec"];
    assert_eq!((&spec["service"], &spec["replica"], &spec["state"]), (&json!("app"), &json!(1), &json!("Suspended")));
    api.post(&path("web/resume"), &json!({"replicas": ["app-1"]})).await.expect(200);
    assert_eq!(api.get(HOLDS).await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn restart_and_retry_annotate_and_release_holds() {
    let api = Api::new();
    api.web().await;
    for (command, annotation) in [
        ("restart", "evenkeel.dev/restartedAt"),
        ("recreate", "evenkeel.dev/recreatedAt"),
        ("retry", "evenkeel.dev/retriedAt"),
        ("pull", "evenkeel.dev/pulledAt"),
    ] {
        let web = api.post(&path(&format!("web/{command}")), &json!({})).await.expect(200);
        assert!(web["metadata"]["annotations"][annotation].is_string(), "{web}");
        assert_eq!(web["metadata"]["generation"], 1);
    }
    assert_eq!(api.post(&path("web/release"), &json!({})).await.expect(200)["spec"]["reason"], "Released");
    api.post(&path("web/release"), &json!({"services": ["app"]})).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn commands_that_cannot_be_are_refused() {
    let api = Api::new();
    let mut stopped = deployment("web");
    stopped["spec"]["state"] = json!("Stopped");
    api.post(DEPLOYMENTS, &stopped).await.expect(201);
    let message = api.post(&path("web/start"), &json!({})).await.refused(409, "Conflict");
    assert!(message.contains("Stopped"), "{message}");
    api.post(&path("nobody/stop"), &json!({})).await.refused(404, "NotFound");
    api.get(&path("web/stop")).await.refused(405, "MethodNotAllowed");
    for nonsense in [json!([]), json!({"service": "app"}), json!({"until": "tomorrow"}), json!({"replicas": ["app"]})] {
        api.post(&path("web/stop"), &nonsense).await.refused(400, "BadRequest");
    }
    assert_eq!(api.post(&path("web/explode"), &json!({})).await.code, 404);
}

#[tokio::test]
async fn plans_are_told_as_text_and_as_json() {
    let api = Api::new();
    api.web().await;
    assert_eq!(api.get(&path("web/plan")).await.expect(200), json!({"plan": "default/web"}));
    let text = api.call(Method::GET, &path("web/plan"), &[("accept", "text/plain")], "").await;
    assert_eq!((text.code, text.text.as_str()), (200, "plan of default/web\n"));
    api.get(&path("nobody/plan")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn an_object_is_admitted_before_it_is_planned_and_not_stored() {
    let api = Api::new();
    let plan = "/apis/evenkeel.dev/v1alpha1/plan";
    let planned = api.post(plan, &deployment("new")).await.expect(200);
    assert_eq!(planned["planned"]["app"]["image"], "localhost/app:1");
    api.get(&path("new")).await.refused(404, "NotFound");
    let mut wrong = deployment("new");
    wrong["spec"]["stat"] = json!(1);
    api.post(plan, &wrong).await.refused(422, "Invalid");
    api.web().await;
    api.post(plan, &deployment("web")).await.expect(200);
    api.get(plan).await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn readiness_names_what_is_missing_while_the_api_goes_on_answering() {
    let api = Api::new();
    assert_eq!(api.get("/readyz").await.text, "ok");
    api.readiness.send_modify(|readiness| readiness.engine = Some("the Docker daemon does not answer".into()));
    let answer = api.get("/readyz").await;
    assert_eq!(answer.code, 503);
    assert!(answer.text.contains("[-]engine failed: the Docker daemon does not answer\n"), "{}", answer.text);
    assert!(answer.text.contains("[+]store ok\n"));
    assert_eq!(api.get("/livez").await.text, "ok");
    assert_eq!(api.get("/healthz").await.text, "ok");
    api.get(DEPLOYMENTS).await.expect(200);
}

#[tokio::test]
async fn discovery_tells_kinds_subresources_and_a_version() {
    let api = Api::new();
    let version = api.get("/version").await.expect(200);
    assert!(version["gitVersion"].as_str().unwrap().starts_with("v1.32."));
    assert_eq!(api.get("/apis").await.expect(200)["groups"][0]["name"], "evenkeel.dev");
    assert_eq!(api.get("/apis/evenkeel.dev").await.expect(200)["kind"], "APIGroup");
    let list = api.get("/apis/evenkeel.dev/v1alpha1").await.expect(200);
    let names =
        list["resources"].as_array().unwrap().iter().map(|resource| resource["name"].as_str().unwrap()).collect::<Vec<_>>();
    for name in ["deployments", "deployments/status", "deployments/stop", "deployments/plan", "holds", "plan"] {
        assert!(names.contains(&name), "{name}");
    }
    assert_eq!(api.get("/api/v1").await.expect(200)["groupVersion"], "v1");
    let index = api.get("/openapi/v3").await.expect(200);
    let url = index["paths"]["apis/evenkeel.dev/v1alpha1"]["serverRelativeURL"].as_str().unwrap();
    assert!(api.get(url).await.expect(200)["components"]["schemas"].is_object());
    let unknown = api.get("/apis/apps/v1/deployments").await;
    assert_eq!((unknown.code, unknown.text.as_str()), (404, "404 page not found\n"));
}
