//! Watches.

use serde_json::json;

use super::{Api, DEPLOYMENTS, HOLDS, Lines, deployment, path};

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on_with_what_comes() {
    let api = Api::new();
    api.web().await;
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=true")).await;
    assert_eq!(watch.told().await, "ADDED web");
    api.post(DEPLOYMENTS, &deployment("db")).await.expect(201);
    assert_eq!(watch.told().await, "ADDED db");
    api.merge(&path("web/status"), &json!({"status": {"phase": "Running"}})).await.expect(200);
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["status"]["phase"]), (&json!("MODIFIED"), &json!("Running")));
}

#[tokio::test]
async fn a_watch_from_a_revision_tells_what_came_after_it_and_nothing_else() {
    let api = Api::new();
    api.web().await;
    let list = api.get(DEPLOYMENTS).await.expect(200);
    api.merge(&path("web"), &json!({"spec": {"state": "Stopped"}})).await.expect(200);
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=1&resourceVersion={revision}")).await;
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["spec"]["state"]), (&json!("MODIFIED"), &json!("Stopped")));
}

#[tokio::test]
async fn a_deletion_has_a_version_of_its_own() {
    let api = Api::new();
    api.web().await;
    let hold = json!({"metadata": {"name": "night"}, "spec": {"deployment": "web", "state": "Suspended"}});
    let hold = api.post(HOLDS, &hold).await.expect(201);
    let mut watch = api.watch(&format!("{HOLDS}?watch=true")).await;
    assert_eq!(watch.told().await, "ADDED night");
    api.delete(&format!("{HOLDS}/night")).await.expect(200);
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["metadata"]["uid"]), (&json!("DELETED"), &hold["metadata"]["uid"]));
    assert_ne!(event["object"]["metadata"]["resourceVersion"], hold["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_selected_object_that_leaves_the_selection_is_deleted_from_it() {
    let api = Api::new();
    api.web().await;
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=true&labelSelector=app%3Dweb")).await;
    assert_eq!(watch.told().await, "ADDED web");
    api.post(DEPLOYMENTS, &deployment("db")).await.expect(201);
    api.merge(&path("web"), &json!({"metadata": {"labels": {"app": "old"}}})).await.expect(200);
    assert_eq!(watch.told().await, "DELETED web");
    api.merge(&path("web"), &json!({"metadata": {"labels": {"app": "web"}}})).await.expect(200);
    assert_eq!(watch.told().await, "ADDED web");
}

#[tokio::test]
async fn one_object_is_watched_by_name() {
    let api = Api::new();
    api.post(DEPLOYMENTS, &deployment("db")).await.expect(201);
    api.web().await;
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=true&fieldSelector=metadata.name%3Dweb&resourceVersion=0")).await;
    assert_eq!(watch.told().await, "ADDED web");
    let mut watch = api.watch(&path("web?watch=true")).await;
    assert_eq!(watch.told().await, "ADDED web");
}

#[tokio::test]
async fn the_end_of_what_was_there_is_marked_for_those_who_ask() {
    let api = Api::new();
    api.web().await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?{query}")).await;
    assert_eq!(watch.told().await, "ADDED web");
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(bookmark["object"]["metadata"]["resourceVersion"].is_string());
}

#[tokio::test]
async fn a_revision_that_is_not_kept_is_told_as_expired() {
    let api = Api::new();
    api.web().await;
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=true&resourceVersion=999999")).await;
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"], &event["object"]["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert_eq!(watch.next().await, None);
    let answer = api.get(&format!("{DEPLOYMENTS}?watch=true&resourceVersion=newest")).await;
    answer.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over_and_when_the_server_stops() {
    let api = Api::new();
    let mut short = api.watch(&format!("{DEPLOYMENTS}?watch=true&timeoutSeconds=1")).await;
    assert_eq!(short.next().await, None);
    let mut endless = api.watch(&format!("{DEPLOYMENTS}?watch=true")).await;
    api.state.stopping.cancel();
    assert_eq!(endless.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_once_a_minute() {
    let api = Api::new();
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=90")).await;
    assert_eq!(watch.patient().await.unwrap()["type"], "BOOKMARK");
    assert_eq!(watch.patient().await, None, "the time is over");
}

#[tokio::test]
async fn rows_are_watched_as_tables_with_columns_told_once() {
    use axum::body::Body;
    use axum::http::Request;
    let api = Api::new();
    api.web().await;
    api.post(DEPLOYMENTS, &deployment("db")).await.expect(201);
    let request = Request::builder()
        .uri(format!("{DEPLOYMENTS}?watch=true"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let response = api.send(request.body(Body::empty()).unwrap()).await;
    let mut watch = Lines::new(response.into_body());
    let first = watch.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert!(first["object"]["columnDefinitions"].is_array());
    assert!(watch.next().await.unwrap()["object"]["columnDefinitions"].is_null());
}
