//! Which containers are a Deployment's, and which one a request is about.
//!
//! The engine is asked, not the status: a container that was replaced a moment ago is found too.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::Value;

use super::ApiState;
use super::errors::{ApiError, Result};
use super::kinds::Resource;
use super::objects::{Place, get};
use crate::docker::ContainerLine;
use crate::model::{ContainerState, EngineFailure, FailureKind, Key, ReplicaId, labels};
use crate::store::{Kind, Part};

/// The containers of a Deployment, one for each replica.
///
/// # Errors
/// When there is no such Deployment, or the engine does not answer.
pub async fn all(state: &ApiState, resource: &'static Resource, key: &Key) -> Result<BTreeMap<ReplicaId, ContainerLine>> {
    let stored = get(state, &Place { resource, kind: Kind::Deployment, key: key.clone(), part: Part::Main })?;
    let lines = state.host.engine.list_containers().await.map_err(from_engine)?;
    Ok(chosen(lines, &state.host.instance, key, &stored))
}

/// The container that is asked for by `service-number`, or by the name of a service with one container. Nothing asked: the
/// only one there is.
///
/// # Errors
/// As [`all`], and when it is not clear which one is meant.
pub async fn one(
    state: &ApiState,
    resource: &'static Resource,
    key: &Key,
    asked: Option<&str>,
) -> Result<(ReplicaId, ContainerLine)> {
    let all = all(state, resource, key).await?;
    let named = |id: &ReplicaId| match asked {
        Some(asked) => id.to_string() == asked,
        None => all.len() == 1,
    };
    let of_service = |id: &ReplicaId| Some(id.service.as_str()) == asked;
    let found = all.iter().find(|(id, _)| named(id)).or_else(|| {
        let mut of_it = all.iter().filter(|(id, _)| of_service(id));
        of_it.next().filter(|_| of_it.next().is_none())
    });
    match found {
        Some((id, line)) => Ok((id.clone(), line.clone())),
        None => Err(unclear(key, asked, &all)),
    }
}

fn unclear(key: &Key, asked: Option<&str>, all: &BTreeMap<ReplicaId, ContainerLine>) -> ApiError {
    let name = &key.name;
    if all.is_empty() {
        return ApiError::bad_request(format!("deployment {name} has no containers"));
    }
    let names = all.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match asked {
        None => ApiError::bad_request(format!("a container must be named for deployment {name}, choose one of: {names}")),
        Some(asked) if all.keys().any(|id| id.service == asked) => {
            ApiError::bad_request(format!("service {asked} of deployment {name} has several containers, choose one of: {names}"))
        }
        Some(asked) => {
            ApiError::bad_request(format!("container {asked} is not valid for deployment {name}, choose one of: {names}"))
        }
    }
}

/// Those of the Deployment: by our labels, or because the controller has adopted them (its status lists them). Where a
/// replica has two, because one is being replaced, the one that runs.
fn chosen(lines: Vec<ContainerLine>, instance: &str, key: &Key, stored: &Value) -> BTreeMap<ReplicaId, ContainerLine> {
    let containers =
        stored["status"]["services"].as_array().into_iter().flatten().flat_map(|service| service["containers"].as_array());
    let adopted: BTreeSet<&str> = containers.flatten().filter_map(|container| container["id"].as_str()).collect();
    let says = |line: &ContainerLine, label: &str, text: &str| line.labels.get(label).is_some_and(|value| value == text);
    let ours = |line: &ContainerLine| {
        says(line, labels::INSTANCE, instance)
            && says(line, labels::NAMESPACE, &key.namespace)
            && says(line, labels::DEPLOYMENT, &key.name)
    };
    let rank = |line: &ContainerLine| (line.state == ContainerState::Running, adopted.contains(line.id.as_str()));
    let mut chosen: BTreeMap<ReplicaId, ContainerLine> = BTreeMap::new();
    for line in lines.into_iter().filter(|line| ours(line) || adopted.contains(line.id.as_str())) {
        let Some(id) = ReplicaId::from_labels(&line.labels) else { continue };
        if chosen.get(&id).is_none_or(|other| rank(other) < rank(&line)) {
            chosen.insert(id, line);
        }
    }
    chosen
}

/// What the engine said to a call that a request made.
pub fn from_engine(failure: EngineFailure) -> ApiError {
    match failure.kind {
        FailureKind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "NotFound", failure.message),
        FailureKind::Conflict => ApiError::new(StatusCode::CONFLICT, "Conflict", failure.message),
        FailureKind::Refused => ApiError::bad_request(failure.message),
        FailureKind::Timeout => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", failure.message),
        FailureKind::Unavailable => ApiError::unavailable(failure.message),
        _ => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", failure.message),
    }
}
