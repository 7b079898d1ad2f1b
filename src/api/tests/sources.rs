//! Sources over the API, and their webhooks.

use axum::body::Body;
use axum::http::Request;
use ring::hmac;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Api;
use crate::api::body::MAX_BODY;
use crate::api::router;
use crate::model::{Key, annotations};
use crate::store::Kind;

const SOURCES: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/sources";

fn source(api: &Api, name: &str, webhook: bool) -> Value {
    let mut spec = json!({"folder": {"path": "/srv/manifests"}});
    if webhook {
        spec["webhook"] = json!({"type": "GitHub", "secretFile": api.dir.path().join("secret")});
    }
    json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": name}, "spec": spec})
}

fn asked_at(api: &Api, name: &str) -> Option<String> {
    let source = api.state.registry.store().get(Kind::Source, &Key::new("default", name)).unwrap().unwrap();
    source["metadata"]["annotations"][annotations::REQUESTED_AT].as_str().map(str::to_owned)
}

#[tokio::test]
async fn sources_are_written_and_read_like_all_objects() {
    let api = Api::new();
    let made = api.post(SOURCES, &source(&api, "shop", false)).await.expect(201);
    assert_eq!((&made["spec"]["interval"], &made["metadata"]["finalizers"]), (&json!("30s"), &json!(["evenkeel.dev/cleanup"])));
    let wrong = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "x"}, "spec": {}});
    assert!(api.post(SOURCES, &wrong).await.refused(422, "Invalid").contains("needs one of folder"));
    let list = api.get(SOURCES).await.expect(200);
    assert_eq!((&list["kind"], &list["items"][0]["metadata"]["name"]), (&json!("SourceList"), &json!("shop")));
    api.post(&format!("{SOURCES}/shop/reconcile"), &json!({})).await.expect(200);
    assert!(asked_at(&api, "shop").is_some());
    api.post(&format!("{SOURCES}/nobody/reconcile"), &json!({})).await.refused(404, "NotFound");
    let deleted = api.delete(&format!("{SOURCES}/shop")).await.expect(200);
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "it lets its Deployments go first");
}

/// Posts to a hook as a stranger does; the code.
async fn post(api: &Api, path: &str, signature: &str, body: Vec<u8>) -> u16 {
    let request = Request::post(path).header("x-hub-signature-256", signature).header("host", "public.example");
    router(api.state.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap().status().as_u16()
}

fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test]
async fn a_signed_message_asks_for_a_look_and_nothing_else_does() {
    let api = Api::new();
    api.post(SOURCES, &source(&api, "shop", true)).await.expect(201);
    api.post(SOURCES, &source(&api, "plain", false)).await.expect(201);
    let body = br#"{"ref": "refs/heads/main"}"#.to_vec();
    let right = signature("s3cret", &body);
    assert_eq!(post(&api, "/hooks/default/shop", &right, body.clone()).await, 401, "its secret is not there yet");
    std::fs::write(api.dir.path().join("secret"), "s3cret\n").unwrap();
    for (path, signature, body) in [
        ("/hooks/default/shop", signature("other", &body), body.clone()),
        ("/hooks/default/shop", right.clone(), b"{}".to_vec()),
        ("/hooks/default/shop", String::new(), body.clone()),
        ("/hooks/default/plain", right.clone(), body.clone()),
        ("/hooks/default/nobody", right.clone(), body.clone()),
    ] {
        assert_eq!(post(&api, path, &signature, body).await, 401, "{path} {signature}");
    }
    assert_eq!(asked_at(&api, "shop"), None);
    let large = vec![b' '; MAX_BODY + 1];
    assert_eq!(post(&api, "/hooks/default/shop", &signature("s3cret", &large), large.clone()).await, 413);
    assert_eq!(post(&api, "/hooks/default/shop", &right, body).await, 202);
    assert!(asked_at(&api, "shop").is_some());
}
