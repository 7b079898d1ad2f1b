//! What those get who are not trusted, and what nonsense gets from everybody.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use axum::middleware::from_fn_with_state;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{Api, DEPLOYMENTS, deployment, path};
use crate::api::auth::{Access, Peer, guard};
use crate::api::body::MAX_BODY;
use crate::api::router;

const PATHS: [&str; 10] = [
    DEPLOYMENTS,
    "/api",
    "/api/v1",
    "/apis",
    "/apis/evenkeel.dev",
    "/apis/evenkeel.dev/v1alpha1",
    "/openapi/v3",
    "/openapi/v3/apis/evenkeel.dev/v1alpha1",
    "/version",
    "/no/such/path",
];

/// Asks through the guard, as the server does. Returns code and body.
async fn ask(api: &Api, peer: Option<Peer>, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let access = Access::new("the-token", [], false, false);
    let router = router(api.state.clone()).layer(from_fn_with_state(Arc::new(access), guard));
    let builder = headers.iter().fold(Request::builder().uri(path), |builder, (name, value)| builder.header(*name, *value));
    let mut request = builder.body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let response = router.oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    (code, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn without_a_token_everything_but_health_is_refused() {
    let api = Api::new();
    let host = ("host", "localhost");
    for peer in [None, Some(Peer::Tls), Some(Peer::Plain { loopback: true })] {
        for path in PATHS {
            let (code, text) = ask(&api, peer, path, &[host]).await;
            assert_eq!(code, 401, "{peer:?} {path}: {text}");
        }
        for path in ["/livez", "/healthz", "/readyz"] {
            assert_eq!(ask(&api, peer, path, &[host]).await.0, 200, "{path}");
        }
    }
    let bare = router(api.state.clone()).oneshot(Request::builder().uri(DEPLOYMENTS).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(bare.status().as_u16(), 401, "an unguarded router trusts nobody");
}

#[tokio::test]
async fn with_the_token_everything_is_served_and_with_another_nothing() {
    let api = Api::new();
    let right = [("host", "127.0.0.1:6440"), ("authorization", "Bearer the-token")];
    let wrong = [("host", "127.0.0.1:6440"), ("authorization", "Bearer the-tokem")];
    assert_eq!(ask(&api, Some(Peer::Tls), DEPLOYMENTS, &right).await.0, 200);
    for path in PATHS.into_iter().chain(["/livez"]) {
        let (code, text) = ask(&api, Some(Peer::Tls), path, &wrong).await;
        assert_eq!(code, 401, "{path}");
        assert!(!text.contains("the-token"), "{text}");
    }
}

#[tokio::test]
async fn web_pages_and_rebound_names_are_refused_with_the_right_token_too() {
    let api = Api::new();
    let token = ("authorization", "Bearer the-token");
    for headers in [
        [("host", "localhost"), ("origin", "http://localhost")],
        [("host", "localhost"), ("origin", "null")],
        [("host", "evil.example"), ("accept", "*/*")],
        [("host", "127.0.0.1.evil.example"), ("accept", "*/*")],
    ] {
        for path in [DEPLOYMENTS, "/healthz"] {
            let (code, text) = ask(&api, Some(Peer::Tls), path, &[headers[0], headers[1], token]).await;
            assert_eq!(code, 403, "{headers:?}: {text}");
        }
    }
}

#[tokio::test]
async fn bodies_have_a_limit_whether_they_announce_their_length_or_not() {
    let api = Api::new();
    let large = vec![b' '; MAX_BODY + 1];
    let json = ("content-type", "application/json");
    let announced = (("content-length", (MAX_BODY + 1).to_string()), large.clone());
    let (length, body) = announced;
    api.call(Method::POST, DEPLOYMENTS, &[json, (length.0, &length.1)], body).await.refused(413, "RequestEntityTooLarge");
    api.call(Method::POST, DEPLOYMENTS, &[json], large).await.refused(413, "RequestEntityTooLarge");
    let mut padded = deployment("web").to_string().into_bytes();
    padded.resize(MAX_BODY, b' ');
    api.call(Method::POST, DEPLOYMENTS, &[json], padded).await.expect(201);
}

#[tokio::test]
async fn nonsense_is_a_bad_request_and_never_a_panic() {
    let api = Api::new();
    api.web().await;
    let deep = "[".repeat(100_000);
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
        ('b'..='k')
            .zip('a'..)
            .map(|(name, before)| { format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(",")) })
            .collect::<String>()
    );
    for (content_type, body) in [
        ("application/json", ""),
        ("application/json", "{"),
        ("application/json", "{} {}"),
        ("application/json", "\u{0}"),
        ("application/json", deep.as_str()),
        ("application/yaml", "a: [b"),
        ("application/yaml", "a: 1\n---\nb: 1\n"),
        ("application/yaml", deep.as_str()),
        ("application/yaml", bomb.as_str()),
    ] {
        for method in [Method::POST, Method::PUT] {
            let place = if method == Method::PUT { path("web") } else { DEPLOYMENTS.to_owned() };
            let answer = api.call(method, &place, &[("content-type", content_type)], body.to_owned()).await;
            assert!(matches!(answer.code, 400 | 422), "{content_type} {}: {}", &body[..body.len().min(20)], answer.text);
        }
    }
    for content_type in ["application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"] {
        for body in ["", "{", "7", "null", "\"x\"", deep.as_str()] {
            let answer =
                api.call(Method::PATCH, &path("web?fieldManager=x"), &[("content-type", content_type)], body.to_owned()).await;
            assert_eq!(answer.code, 400, "{content_type} {}: {}", &body[..body.len().min(20)], answer.text);
        }
    }
    for path in ["/apis/evenkeel.dev/v1alpha1/namespaces/../../../etc/passwd", "/api/v1/namespaces/%2e%2e/events", "//", "/%"] {
        assert_eq!(api.get(path).await.code, 404, "{path}");
    }
}
