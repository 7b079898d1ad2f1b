//! The operator and its engine: `GET .../host` says how they are, `GET .../doctor` what is wrong and how to mend it,
//! `GET .../projects` which Compose projects are there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ApiState;
use super::auth::Caller;
use super::errors::{ApiError, Result};
use super::kinds::{DEPLOYMENTS, HOLDS, Resource, SOURCES};
use crate::clock::Clock;
use crate::crd;
use crate::docker::Inside;
use crate::doctor::{self, Known, Subject};
use crate::model::Key;
use crate::resources::History;
use crate::store::{Kind, Object};

/// The operator and the engine it works on.
pub struct Host {
    /// The engine.
    pub engine: Arc<dyn Inside>,
    /// Name of the operator on it.
    pub instance: String,
    /// The operator's data folder.
    pub data_dir: PathBuf,
    /// What containers and the machine use.
    pub usage: Arc<History>,
    /// When the operator was started, by the wall clock.
    started_at: Timestamp,
    /// The same moment by the monotonic clock: how far they are apart later says how the wall clock was set.
    started: Instant,
}

impl Host {
    /// The operator of this process, started now.
    pub fn new(engine: Arc<dyn Inside>, instance: impl Into<String>, data_dir: impl Into<PathBuf>, clock: &dyn Clock) -> Self {
        let (instance, data_dir): (String, PathBuf) = (instance.into(), data_dir.into());
        let usage = Arc::new(History::new(data_dir.join("metrics")));
        Self { engine, instance, data_dir, usage, started_at: clock.now(), started: Instant::now() }
    }

    fn clock_moved(&self, now: Timestamp) -> SignedDuration {
        let passed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        now.duration_since(self.started_at).saturating_sub(passed)
    }
}

/// `/apis/evenkeel.dev/v1alpha1/host`.
pub async fn host(_: Caller, State(state): State<ApiState>) -> Json<Value> {
    let Host { engine, instance, data_dir, usage, started_at, .. } = state.host.as_ref();
    let (engine, unreachable) = match engine.facts().await {
        Ok(facts) => (json!(facts), None),
        Err(failure) => (Value::Null, Some(failure.message)),
    };
    let readiness = state.readiness.borrow().clone();
    let operator = json!({
        "version": env!("CARGO_PKG_VERSION"), "instance": instance, "dataDir": data_dir, "startedAt": started_at,
        "store": readiness.store, "controller": readiness.controller, "engine": readiness.engine,
    });
    Json(json!({
        "kind": "Host", "apiVersion": crd::API_VERSION,
        "operator": operator, "engine": engine, "engineError": unreachable,
        "usage": usage.host_now(), "alerts": *usage.host_alerts().borrow(),
    }))
}

/// `/apis/evenkeel.dev/v1alpha1/projects`.
pub async fn projects(_: Caller, State(state): State<ApiState>) -> Result<Json<Value>> {
    let items = state.planner.projects().map_err(ApiError::unavailable)?;
    Ok(Json(json!({"kind": "ProjectList", "apiVersion": crd::API_VERSION, "items": items})))
}

/// `/apis/evenkeel.dev/v1alpha1/doctor`.
pub async fn examine(_: Caller, State(state): State<ApiState>) -> Result<Json<Value>> {
    let host = state.host.as_ref();
    let known = Known {
        deployments: stored(&state, &DEPLOYMENTS, Kind::Deployment)?.iter().map(key).collect(),
        released: released(&state)?,
        git_sources: stored(&state, &SOURCES, Kind::Source)?.iter().filter(|source| source["spec"]["folder"].is_null()).count(),
        clock_moved: host.clock_moved(state.clock.now()),
    };
    let subject = Subject {
        engine: host.engine.as_ref(),
        instance: &host.instance,
        data_dir: &host.data_dir,
        clock: state.clock.as_ref(),
        operator: Some(known),
    };
    let checks = doctor::examine(&subject).await;
    Ok(Json(json!({"kind": "Diagnosis", "apiVersion": crd::API_VERSION, "checks": checks})))
}

fn stored(state: &ApiState, resource: &Resource, kind: Kind) -> Result<Vec<Object>> {
    let listing = state.registry.store().list(kind, None).map_err(|error| ApiError::from_store(resource, error))?;
    Ok(listing.items)
}

fn released(state: &ApiState) -> Result<BTreeSet<Key>> {
    let holds = stored(state, &HOLDS, Kind::Hold)?;
    let released = holds.iter().filter(|hold| hold["spec"]["reason"] == "Released");
    Ok(released.map(|hold| Key::new(text(&hold["metadata"]["namespace"]), text(&hold["spec"]["deployment"]))).collect())
}

fn key(object: &Object) -> Key {
    Key::new(text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
