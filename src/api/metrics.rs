//! `GET .../deployments/NAME/metrics`: what its containers use, measured now.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures::{StreamExt, stream};
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

/// Containers measured at a time, over all requests: each measurement is a connection to the engine for two seconds.
pub const AT_A_TIME: usize = 32;

/// Measures all containers that run, and adds up.
pub async fn metrics(call: &Call, resource: &'static Resource, key: &Key) -> Result<Response> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed(resource, "figures are read"));
    }
    let all = replica::all(&call.state, resource, key).await?;
    let running = all.into_iter().filter(|(_, line)| line.state == ContainerState::Running);
    let measured: Vec<(ReplicaId, ContainerLine, std::result::Result<Usage, String>)> =
        stream::iter(running).map(|(id, line)| measure(&call.state, id, line)).buffered(AT_A_TIME).collect().await;
    let sum = measured.iter().filter_map(|(_, _, usage)| usage.as_ref().ok()).fold(Usage::default(), |sum, one| sum.plus(*one));
    let containers = measured.into_iter().map(|(id, line, usage)| shown(&id, &line, usage)).collect::<Vec<_>>();
    let body = json!({
        "kind": "DeploymentMetrics", "apiVersion": crd::API_VERSION,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "timestamp": call.state.clock.now(), "usage": sum, "containers": containers,
    });
    Ok(answer(StatusCode::OK, &body, &[]))
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
