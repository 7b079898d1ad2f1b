use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;
use tokio::time::timeout;

use super::*;

/// `web-1` has written one line and ended; `web-2` is not there.
async fn log(RawQuery(query): RawQuery) -> axum::response::Response {
    if query.unwrap_or_default().contains("container=web-1&") {
        return "2026-08-21T10:00:00Z hello\n".into_response();
    }
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "gone", "reason": "NotFound", "code": 404});
    (StatusCode::NOT_FOUND, axum::Json(status)).into_response()
}

#[tokio::test]
async fn a_replica_that_is_gone_is_followed_no_more_and_one_that_is_awaited_is() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(log)).await });
    let api = Api::at_socket(&socket);
    let question = Question { api: &api, namespace: "default", deployment: "shop", tail: None, since: None };
    let (one, two) = (ReplicaId::new("web", 1), ReplicaId::new("web", 2));
    let (sender, mut lines) = mpsc::channel(WAITING);
    let (listing, listed) = watch::channel([one.clone(), two.clone()].into());
    let follower =
        |id: &ReplicaId| Box::pin(Follower::new(&question, id.clone(), Mark::default(), sender.clone(), listed.clone()).run());
    let mut there = follower(&one);
    let mut gone = follower(&two);
    let a_while = Duration::from_secs(1);
    assert!(timeout(a_while, &mut there).await.is_err() && timeout(a_while, &mut gone).await.is_err(), "both are listed");
    assert_eq!(lines.recv().await.unwrap().1.text, b"hello");
    listing.send_replace([one].into());
    assert_eq!(timeout(Duration::from_secs(10), gone).await.expect("it goes on").0, two);
    assert!(timeout(a_while, &mut there).await.is_err());
}
