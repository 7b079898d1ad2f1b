//! `GET .../deployments/NAME/metrics`: what its containers use, measured now; with `sinceSeconds`, what they have used.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ApiState;
use super::errors::{ApiError, Result};
use super::kinds::Resource;
use super::objects::Call;
use super::replica;
use super::view::answer;
use crate::crd;
use crate::docker::{ContainerLine, Usage};
use crate::model::{ContainerState, Key, ReplicaId};
use crate::store::Kind;

/// Containers measured at a time, over all requests: each measurement is a connection to the engine for two seconds.
pub const AT_A_TIME: usize = 32;

/// Measures all containers that run, and adds up.
pub async fn metrics(call: &Call, resource: &'static Resource, key: &Key) -> Result<Response> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed(resource, "figures are read"));
    }
    if let Some(seconds) = call.params.number("sinceSeconds")? {
        return history(call, key, seconds).await;
    }
    let all = replica::all(&call.state, resource, key).await?;
    let stored = call.state.registry.store().get(Kind::Deployment, key).map_err(|error| ApiError::from_store(resource, error))?;
    let alerts = stored.map(|object| object["status"]["alerts"].clone()).filter(|alerts| !alerts.is_null());
    let running = all.into_iter().filter(|(_, line)| line.state == ContainerState::Running);
    let measured: Vec<(ReplicaId, ContainerLine, std::result::Result<Usage, String>)> =
        stream::iter(running).map(|(id, line)| measure(&call.state, id, line)).buffered(AT_A_TIME).collect().await;
    let sum = measured.iter().filter_map(|(_, _, usage)| usage.as_ref().ok()).fold(Usage::default(), |sum, one| sum.plus(*one));
    let containers = measured.into_iter().map(|(id, line, usage)| shown(&id, &line, usage)).collect::<Vec<_>>();
    let body = json!({
        "kind": "DeploymentMetrics", "apiVersion": crd::API_VERSION,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "timestamp": call.state.clock.now(), "usage": sum, "containers": containers,
        "alerts": alerts.unwrap_or_else(|| json!([])),
    });
    Ok(answer(StatusCode::OK, &body, &[]))
}

/// What its replicas have used, replicas that are gone included.
async fn history(call: &Call, key: &Key, seconds: u64) -> Result<Response> {
    let now = call.state.clock.now();
    let since = back(now, seconds)?;
    let (usage, of) = (Arc::clone(&call.state.host.usage), key.clone());
    // It may read files.
    let points = tokio::task::spawn_blocking(move || usage.of(&of, since)).await;
    let points = points.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", format!("reading what was used failed: {error}"))
    })?;
    let replicas = points.into_iter().map(|(name, points)| json!({"name": name, "points": points})).collect::<Vec<_>>();
    let body = json!({
        "kind": "DeploymentMetricsHistory", "apiVersion": crd::API_VERSION,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "since": since, "timestamp": now, "replicas": replicas,
    });
    Ok(answer(StatusCode::OK, &body, &[]))
}

/// So many seconds before `now`.
pub(super) fn back(now: Timestamp, seconds: u64) -> Result<Timestamp> {
    let seconds = i64::try_from(seconds).ok().map(SignedDuration::from_secs);
    let since = seconds.and_then(|back| now.checked_sub(back).ok());
    since.ok_or_else(|| ApiError::bad_request("sinceSeconds is longer ago than time has been counted"))
}

async fn measure(
    state: &ApiState,
    id: ReplicaId,
    line: ContainerLine,
) -> (ReplicaId, ContainerLine, std::result::Result<Usage, String>) {
    // The semaphore is never closed; were it, measuring without it does no harm.
    let _turn = state.measuring.acquire().await;
    let usage = state.host.engine.usage(&line.id).await.map_err(|failure| failure.message);
    (id, line, usage)
}

fn shown(id: &ReplicaId, line: &ContainerLine, usage: std::result::Result<Usage, String>) -> Value {
    let mut shown = json!({"name": id.to_string(), "service": id.service, "replica": id.number, "container": line.name});
    match usage {
        Ok(usage) => shown["usage"] = json!(usage),
        Err(message) => shown["error"] = json!(message),
    }
    shown
}
