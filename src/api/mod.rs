//! Kubernetes-shaped HTTP: what kubectl, the command line and every Kubernetes client talk to.
//!
//! # Flow
//! [`server::Server`] accepts (unix socket, TLS, plain), [`auth`] says who calls and refuses the rest, [`router`] hands health,
//! discovery and OpenAPI to their handlers and every object path to `objects`, which reads the store and writes through the
//! [`Registry`].
//!
//! # Guarantees
//! - Nothing is answered about objects without a [`Caller`](auth::Caller): a router that nobody guards answers 401.
//! - Every error about objects is a Kubernetes `Status`; a path that is none is a plain 404.
//! - A request that is refused has changed nothing. A write that is answered is on disk.

mod apply;
mod body;
mod commands;
mod credentials;
mod discovery;
mod errors;
mod exec;
mod health;
mod hooks;
mod host;
mod kinds;
mod kubeconfig;
mod log;
mod metrics;
mod namespaces;
mod objects;
mod openapi;
mod params;
mod patch;
mod path;
mod pods;
mod replica;
mod selectors;
mod table;
mod view;
mod watch;

pub mod auth;
pub mod server;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use credentials::{Credentials, CredentialsError, served_url};
pub use host::Host;
pub use kubeconfig::kubeconfig;
pub use server::{BindError, Server, Settings};

use crate::clock::SharedClock;
use crate::model::Key;
use crate::registry::Registry;

/// A plan for people and for machines.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanText {
    /// The stable text of `evenkeel plan`.
    pub text: String,
    /// The same as JSON.
    pub json: Value,
}

/// Says what would be done. The API shows it; the wiring gives it the controller's.
#[async_trait]
pub trait Planner: Send + Sync + 'static {
    /// What would be done now for a stored Deployment. The error is for people.
    async fn plan(&self, key: &Key) -> Result<PlanText, String>;
    /// How far the pulls and stops of a Deployment that are under way are, as JSON.
    fn progress(&self, key: &Key) -> Value;
    /// The Compose projects on the engine and whose they are, as JSON.
    fn projects(&self) -> Result<Value, String>;
    /// What would be done if this admitted Deployment were stored, and these were the digests of files that it mounts, by path.
    async fn plan_object(&self, deployment: Value, files: BTreeMap<String, String>) -> Result<PlanText, String>;
}

/// What `/readyz` says: for each part, why it is not ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The Docker Engine.
    pub engine: Option<String>,
    /// The store.
    pub store: Option<String>,
    /// The controller: its first look at everything.
    pub controller: Option<String>,
}

/// What the handlers work with; clones share it.
#[derive(Clone)]
pub struct ApiState {
    registry: Registry,
    planner: Arc<dyn Planner>,
    readiness: Receiver<Readiness>,
    host: Arc<Host>,
    clock: SharedClock,
    stopping: CancellationToken,
    /// What a stopping server waits for: connections, and commands that took one over.
    open: TaskTracker,
    /// Commands in containers that may still be started.
    sessions: Arc<Semaphore>,
    /// Containers that may be measured at a time.
    measuring: Arc<Semaphore>,
    /// Messages of webhooks that were refused.
    refusals: Arc<hooks::Refusals>,
}

impl ApiState {
    /// `stopping` ends watches, followed logs and commands, which would otherwise never end.
    pub fn new(
        registry: Registry,
        planner: Arc<dyn Planner>,
        readiness: Receiver<Readiness>,
        host: Host,
        clock: SharedClock,
        stopping: CancellationToken,
    ) -> Self {
        let sessions = Arc::new(Semaphore::new(exec::AT_A_TIME));
        let measuring = Arc::new(Semaphore::new(metrics::AT_A_TIME));
        Self {
            registry,
            planner,
            readiness,
            host: Arc::new(host),
            clock,
            stopping,
            open: TaskTracker::new(),
            sessions,
            measuring,
            refusals: Arc::default(),
        }
    }
}

/// All paths. Whoever serves it puts an [`auth::Caller`] into the extensions of the requests it trusts.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/healthz", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/version", get(discovery::version))
        .route("/api", get(discovery::core_versions))
        .route("/api/v1", get(discovery::core_resources))
        .route("/apis", get(discovery::groups))
        .route("/apis/evenkeel.dev", get(discovery::group))
        .route("/apis/evenkeel.dev/v1alpha1", get(discovery::resources))
        .route("/apis/evenkeel.dev/v1alpha1/host", get(host::host))
        .route("/apis/evenkeel.dev/v1alpha1/doctor", get(host::examine))
        .route("/apis/evenkeel.dev/v1alpha1/projects", get(host::projects))
        .route("/apis/metrics.k8s.io", get(pods::group))
        .route("/apis/metrics.k8s.io/v1beta1", get(pods::resources))
        .route("/apis/metrics.k8s.io/v1beta1/pods", get(pods::all))
        .route("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods", get(pods::of_namespace))
        .route("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}", get(pods::one))
        .route("/openapi/v3", get(openapi::index))
        .route("/openapi/v3/api/v1", get(openapi::core))
        .route("/openapi/v3/apis/evenkeel.dev/v1alpha1", get(openapi::group))
        .route("/hooks/{namespace}/{name}", post(hooks::hook))
        .fallback(objects::handle)
        .with_state(state)
}
