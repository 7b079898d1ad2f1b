//! What the command line says about a Deployment, as subresources that are posted to; and plans.
//!
//! `POST .../deployments/NAME/COMMAND` with [`Command`] as body (an empty one is all of it). `stop` and `suspend` answer
//! the Holds that were laid, `start` and `resume` those that were lifted, `release` its Hold, `restart`, `retry`,
//! `pull`, `adopt`, `approve` and `reject` the Deployment. `GET .../deployments/NAME/plan` (with `?delete=true`: that of its deletion) and `POST
//! .../plan` (an object as body, not stored) answer a plan as JSON, or as text to those who accept `text/plain` first. `GET
//! .../progress` answers how far pulls and stops are. An incident is posted `acknowledge`, `silence`
//! and `close`, a Channel `test`; both answer the object.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::PlanText;
use super::errors::{ApiError, Result};
use super::kinds::{DEPLOYMENTS, HOLDS, Resource};
use super::objects::{Call, Place, fit, get};
use super::view::answer;
use crate::model::{Key, ReplicaId};
use crate::registry::{Scope, Word};
use crate::store::{Kind, Object, Part};

/// Body of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Command {
    /// Services it is about; none: the whole Deployment.
    services: Vec<String>,
    /// Replicas it is about, `service-number`.
    replicas: Vec<String>,
    /// Why (`stop`, `suspend`), or a note (`acknowledge`, `silence`, `close`).
    reason: Option<String>,
    /// Until when (`suspend`, `silence`), RFC 3339.
    until: Option<Timestamp>,
    /// Use no cached layer (`rebuild`).
    no_cache: bool,
    /// Pull base images though they are there (`rebuild`).
    pull: bool,
    /// Make what differs anew (`adopt`).
    recreate: bool,
    /// Suggestions that are answered, by id; none: all that there are (`approve`, `reject`).
    suggestions: Vec<String>,
}

/// A command or the plan of a stored Deployment.
pub async fn run(call: Call, resource: &'static Resource, key: &Key, name: &str) -> Result<Response> {
    if name == "plan" {
        return plan(&call, resource, key).await;
    }
    if name == "progress" {
        return progress(&call, resource, key);
    }
    if call.method != Method::POST {
        return Err(ApiError::method_not_allowed(resource, "commands are posted"));
    }
    if name == "reconcile" {
        let asked = call.state.registry.reconcile_source(key).await;
        let source = asked.map_err(|error| ApiError::from_registry(resource, error))?;
        tracing::info!(source = %key, by = call.caller.by, "asked to look at once");
        return Ok(answer(StatusCode::OK, source.as_ref(), &[]));
    }
    if name == "test" {
        let asked = call.state.registry.test_channel(key).await;
        let channel = asked.map_err(|error| ApiError::from_registry(resource, error))?;
        return Ok(answer(StatusCode::OK, channel.as_ref(), &[]));
    }
    let command = read_command(&call)?;
    if let Some(word) = word(name) {
        let said = call.state.registry.remark(key, word, command.until, command.reason, &call.caller.by).await;
        let incident = said.map_err(|error| ApiError::from_registry(resource, error))?;
        tracing::info!(command = name, incident = %key, by = call.caller.by, "command taken");
        return Ok(answer(StatusCode::OK, incident.as_ref(), &[]));
    }
    let scope = Scope { services: command.services, replicas: replicas(&command.replicas)? };
    let (registry, by) = (&call.state.registry, call.caller.by.as_str());
    let narrow = !scope.services.is_empty() || !scope.replicas.is_empty();
    let done = match name {
        "stop" => registry.stop(key, &scope, command.reason, by).await.map(holds),
        "suspend" => registry.suspend(key, &scope, command.until, command.reason, by).await.map(holds),
        "start" => registry.start(key, &scope, by).await.map(holds),
        "resume" => registry.resume(key, &scope, by).await.map(holds),
        "restart" => registry.restart(key, &scope).await.map(one),
        "recreate" => registry.recreate(key, &scope).await.map(one),
        "retry" => registry.retry(key, &scope).await.map(one),
        "pull" => registry.pull(key, &scope).await.map(one),
        "rebuild" => registry.rebuild(key, &scope, command.no_cache, command.pull).await.map(one),
        "approve" | "reject" => registry.answer(key, &command.suggestions, name == "approve", by).await.map(one),
        "adopt" => registry.adopt(key, &scope, command.recreate, by).await.map(one),
        "release" if narrow => {
            return Err(ApiError::bad_request("a Deployment is released as a whole, without services or replicas"));
        }
        "release" => registry.release(key, by).await.map(one),
        _ => return Err(ApiError::not_found(resource, name)),
    };
    let body = done.map_err(|error| ApiError::from_registry(resource, error))?;
    tracing::info!(command = name, deployment = %key, by, "command taken");
    Ok(answer(StatusCode::OK, &body, &[]))
}

/// What is said of an incident by the command of that name.
fn word(name: &str) -> Option<Word> {
    match name {
        "acknowledge" => Some(Word::Acknowledge),
        "silence" => Some(Word::Silence),
        "close" => Some(Word::Close),
        _ => None,
    }
}

fn holds(items: Vec<Object>) -> Value {
    let items = items.iter().map(AsRef::as_ref).collect::<Vec<&Value>>();
    json!({"kind": HOLDS.list_kind(), "apiVersion": HOLDS.api_version(), "metadata": {}, "items": items})
}

fn one(object: Object) -> Value {
    object.as_ref().clone()
}

fn read_command(call: &Call) -> Result<Command> {
    if call.body.is_empty() {
        return Ok(Command::default());
    }
    serde_json::from_value(Value::Object(call.object()?)).map_err(|error| {
        ApiError::bad_request(format!(
            "cannot read the command: {error}; it may have services, replicas, reason, until, noCache, pull, recreate and suggestions"
        ))
    })
}

fn replicas(names: &[String]) -> Result<Vec<ReplicaId>> {
    names.iter().map(|name| name.parse().map_err(|error| ApiError::bad_request(format!("replicas: {error}")))).collect()
}

/// How far the jobs of a stored Deployment are: served from memory, so that no change of it is a write.
fn progress(call: &Call, resource: &'static Resource, key: &Key) -> Result<Response> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed(resource, "progress is read"));
    }
    get(&call.state, &Place { resource, kind: Kind::Deployment, key: key.clone(), part: Part::Main })?;
    Ok(answer(StatusCode::OK, &call.state.planner.progress(key), &[]))
}

async fn plan(call: &Call, resource: &'static Resource, key: &Key) -> Result<Response> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed(resource, "a plan is read"));
    }
    let stored = get(&call.state, &Place { resource, kind: Kind::Deployment, key: key.clone(), part: Part::Main })?;
    let planned = match call.params.text("delete") {
        Some("true") => call.state.planner.plan_object(deleted(&stored, call.state.clock.now()), BTreeMap::new()).await,
        _ => call.state.planner.plan(key).await,
    };
    show(call, planned)
}

/// The object as it is once its deletion was asked for.
fn deleted(stored: &Value, now: Timestamp) -> Value {
    let mut object = stored.clone();
    object["metadata"]["deletionTimestamp"] = now.to_string().into();
    object
}

/// The plan of an object that is not stored: it is admitted like a write, then planned instead of written. `files` beside its fields
/// are digests, by path, of what would be in the files that it mounts.
pub async fn plan_of_body(call: Call) -> Result<Response> {
    if call.method != Method::POST {
        return Err(ApiError::method_not_allowed(&DEPLOYMENTS, "an object is posted to be planned"));
    }
    let mut options = call.params.write_options(&call.caller.by)?;
    options.dry_run = true;
    let mut object = call.object()?;
    let files = object.remove("files").map(serde_json::from_value).transpose();
    let files = files.map_err(|error| ApiError::bad_request(format!("files: {error}; it is a map of paths to digests")))?;
    let namespace = match object.get("metadata").and_then(|metadata| metadata["namespace"].as_str()) {
        Some(namespace) if !namespace.is_empty() => namespace.to_owned(),
        _ => "default".to_owned(),
    };
    let metadata = fit(&mut object, &DEPLOYMENTS, &namespace, None)?;
    metadata.remove("resourceVersion");
    let Some(name) = metadata.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Err(ApiError::unprocessable("metadata.name: Required value: a Deployment needs a name"));
    };
    let key = Key::new(namespace, name);
    let registry = &call.state.registry;
    let admitted = registry.replace(Kind::Deployment, &key, Value::Object(object), Part::Main, true, &options).await;
    let admitted = admitted.map_err(|error| ApiError::from_registry(&DEPLOYMENTS, error))?;
    let planned = call.state.planner.plan_object(admitted.object.as_ref().clone(), files.unwrap_or_default()).await;
    show(&call, planned)
}

fn show(call: &Call, planned: std::result::Result<PlanText, String>) -> Result<Response> {
    let plan = planned.map_err(ApiError::unavailable)?;
    let accept = call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accept.trim_start().starts_with("text/plain") {
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], plan.text).into_response());
    }
    Ok(answer(StatusCode::OK, &plan.json, &[]))
}
