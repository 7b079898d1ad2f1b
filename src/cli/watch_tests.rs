use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Json, Router};

use super::*;

#[tokio::test]
async fn a_watch_that_is_refused_is_tried_again_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lists);
    let answer = move |RawQuery(query): RawQuery| async move {
        if query.unwrap_or_default().contains("watch=true") {
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
        counted.fetch_add(1, Ordering::Relaxed);
        Json(serde_json::json!({"metadata": {"resourceVersion": "1"}, "items": []})).into_response()
    };
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let api = Api::at_socket(&socket);
    let followed = tokio::time::timeout(RETRY * 3 / 2, changes(&api, "/list", "a=b", |_| Ok(()))).await;
    assert!(followed.is_err(), "it goes on");
    assert!((1..=2).contains(&lists.load(Ordering::Relaxed)), "{lists:?} lists");
}
