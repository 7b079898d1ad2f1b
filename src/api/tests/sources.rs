//! Sources over the API, and their webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::stream;
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
    hooked(api, name, webhook.then_some("GitHub"))
}

fn hooked(api: &Api, name: &str, kind: Option<&str>) -> Value {
    let mut spec = json!({"folder": {"path": "/srv/manifests"}});
    if let Some(kind) = kind {
        spec["webhook"] = json!({"type": kind, "secretFile": api.dir.path().join("secret")});
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

#[tokio::test]
async fn each_servers_message_is_taken_by_its_own_header_and_no_other() {
    let api = Api::new();
    std::fs::write(api.dir.path().join("secret"), "s3cret\n").unwrap();
    let body = br#"{"ref": "refs/heads/main"}"#.to_vec();
    let prefixed = signature("s3cret", &body);
    let bare = prefixed.trim_start_matches("sha256=").to_owned();
    let all = [
        ("GitHub", "x-hub-signature-256", prefixed.clone()),
        ("GitLab", "x-gitlab-token", "s3cret".to_owned()),
        ("Gitea", "x-gitea-signature", bare),
        ("Generic", "x-signature", prefixed),
    ];
    for (kind, ..) in &all {
        api.post(SOURCES, &hooked(&api, &kind.to_lowercase(), Some(kind))).await.expect(201);
    }
    for (kind, ..) in &all {
        for (other, header, value) in &all {
            let request = Request::post(format!("/hooks/default/{}", kind.to_lowercase())).header(*header, value);
            let answer = router(api.state.clone()).oneshot(request.body(Body::from(body.clone())).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), if kind == other { 202 } else { 401 }, "{kind} by {header}");
        }
        assert!(asked_at(&api, &kind.to_lowercase()).is_some());
    }
}

#[tokio::test]
async fn each_servers_message_is_refused_with_a_wrong_signature_or_of_another_text() {
    let api = Api::new();
    std::fs::write(api.dir.path().join("secret"), "s3cret\n").unwrap();
    let body = br#"{"ref": "refs/heads/main"}"#.to_vec();
    let [wrong, of_another] = [signature("other", &body), signature("s3cret", b"{}")];
    let bare = |signature: &str| signature.trim_start_matches("sha256=").to_owned();
    for (kind, header, values) in [
        ("GitHub", "x-hub-signature-256", vec![wrong.clone(), of_another.clone(), bare(&of_another), "sha256=".into()]),
        ("GitLab", "x-gitlab-token", vec!["other".into(), "s3cret2".into(), "s3cre".into(), String::new()]),
        ("Gitea", "x-gitea-signature", vec![bare(&wrong), bare(&of_another), "zz".into(), String::new()]),
        ("Generic", "x-signature", vec![wrong, of_another, "sha256=00".into(), String::new()]),
    ] {
        let name = kind.to_lowercase();
        api.post(SOURCES, &hooked(&api, &name, Some(kind))).await.expect(201);
        for value in values {
            let request = Request::post(format!("/hooks/default/{name}")).header(header, &value);
            let answer = router(api.state.clone()).oneshot(request.body(Body::from(body.clone())).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), 401, "{kind}: {value}");
        }
        assert_eq!(asked_at(&api, &name), None, "{kind}");
    }
}

#[tokio::test]
async fn nothing_of_a_message_is_read_before_it_may_be_right() {
    let api = Api::new();
    std::fs::write(api.dir.path().join("secret"), "s3cret\n").unwrap();
    api.post(SOURCES, &source(&api, "shop", true)).await.expect(201);
    api.post(SOURCES, &source(&api, "plain", false)).await.expect(201);
    api.post(SOURCES, &hooked(&api, "lab", Some("GitLab"))).await.expect(201);
    let right = signature("s3cret", b"x");
    for (path, header, value, is_read) in [
        ("nobody", "x-hub-signature-256", right.as_str(), false),
        ("plain", "x-hub-signature-256", &right, false),
        ("shop", "x-other", &right, false),
        ("shop", "x-hub-signature-256", &right[..60], false),
        ("lab", "x-gitlab-token", "wrong", false),
        ("lab", "x-gitlab-token", "s3cret", true),
        ("shop", "x-hub-signature-256", &right, true),
    ] {
        let read = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&read);
        let part = async move {
            seen.store(true, Ordering::SeqCst);
            Ok::<_, std::io::Error>(Bytes::from("x"))
        };
        let request = Request::post(format!("/hooks/default/{path}")).header(header, value);
        let request = request.body(Body::from_stream(stream::once(part))).unwrap();
        let code = router(api.state.clone()).oneshot(request).await.unwrap().status().as_u16();
        assert_eq!((code, read.load(Ordering::SeqCst)), (if is_read { 202 } else { 401 }, is_read), "{path} {header}");
    }
}
