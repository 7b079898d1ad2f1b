//! `/livez`, `/healthz`, `/readyz`: whether it lives, and whether it can do its work. Nobody needs a token to ask.

use axum::extract::State;
use axum::http::{StatusCode, Uri};

use super::ApiState;
use super::params::Params;

/// It answers, so it lives.
pub async fn livez() -> &'static str {
    "ok"
}

/// Every part by name, and why it is not ready. `?verbose` shows them also when all is well.
pub async fn readyz(State(state): State<ApiState>, uri: Uri) -> (StatusCode, String) {
    let readiness = state.readiness.borrow().clone();
    let checks = [("store", readiness.store), ("controller", readiness.controller), ("engine", readiness.engine)];
    let ready = checks.iter().all(|(_, error)| error.is_none());
    let line = |(name, error): &(&str, Option<String>)| match error {
        None => format!("[+]{name} ok\n"),
        Some(error) => format!("[-]{name} failed: {error}\n"),
    };
    let lines = || checks.iter().map(line).collect::<String>();
    match (ready, Params::read(&uri).is_ok_and(|params| params.flag("verbose"))) {
        (true, false) => (StatusCode::OK, "ok".to_owned()),
        (true, true) => (StatusCode::OK, format!("{}readyz check passed\n", lines())),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}readyz check failed\n", lines())),
    }
}
