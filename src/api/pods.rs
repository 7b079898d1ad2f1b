//! What runs as `metrics.k8s.io` has it, for `kubectl top pods`: a replica is a pod of one container.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ApiState;
use super::auth::Caller;
use super::errors::{ApiError, Result};
use super::kinds::Resource;
use crate::resources::Point;

const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";

/// For errors only: nothing of it is stored.
const PODS: Resource = Resource {
    group: "metrics.k8s.io",
    version: "v1beta1",
    kind: "PodMetrics",
    plural: "pods",
    singular: "pod",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: &["get", "list"],
    subresources: &[],
    stored: None,
};

/// Samples older than this say nothing of now: a few were missed in a row.
fn fresh(now: Timestamp, period: Duration) -> Timestamp {
    now - SignedDuration::try_from(period.saturating_mul(4)).unwrap_or_default()
}

/// Its entry in `/apis`.
pub fn this_group() -> Value {
    let version = json!({"groupVersion": GROUP_VERSION, "version": PODS.version});
    json!({"name": PODS.group, "versions": [version], "preferredVersion": version})
}

/// `/apis/metrics.k8s.io`.
pub async fn group(_: Caller) -> Json<Value> {
    let mut group = this_group();
    (group["kind"], group["apiVersion"]) = ("APIGroup".into(), "v1".into());
    Json(group)
}

/// `/apis/metrics.k8s.io/v1beta1`.
pub async fn resources(_: Caller) -> Json<Value> {
    let pods = json!({
        "name": PODS.plural, "singularName": PODS.singular, "namespaced": true, "kind": PODS.kind, "verbs": PODS.verbs,
    });
    Json(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": [pods]}))
}

/// All that runs.
pub async fn all(_: Caller, State(state): State<ApiState>) -> Json<Value> {
    Json(list(metrics(&state, |_, _| true)))
}

/// What runs in a namespace.
pub async fn of_namespace(_: Caller, State(state): State<ApiState>, Path(namespace): Path<String>) -> Json<Value> {
    Json(list(metrics(&state, |found, _| found == namespace)))
}

/// One replica: `DEPLOYMENT-SERVICE-NUMBER`.
pub async fn one(
    _: Caller,
    State(state): State<ApiState>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let found = metrics(&state, |in_namespace, pod| in_namespace == namespace && pod == name);
    found.into_iter().next().map(Json).ok_or_else(|| ApiError::not_found(&PODS, &name))
}

fn list(items: Vec<Value>) -> Value {
    json!({"kind": "PodMetricsList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": items})
}

fn metrics(state: &ApiState, wanted: impl Fn(&str, &str) -> bool) -> Vec<Value> {
    let period = state.host.usage.period();
    let latest = state.host.usage.latest(fresh(state.clock.now(), period));
    let named = latest.iter().filter_map(|(name, point)| Some((Name::read(name)?, point)));
    named.filter(|(name, _)| wanted(name.namespace, &name.pod())).map(|(name, point)| shown(&name, point, period)).collect()
}

/// `namespace/deployment/service-number`, as the samples are named.
struct Name<'n> {
    namespace: &'n str,
    deployment: &'n str,
    replica: &'n str,
}

impl<'n> Name<'n> {
    fn read(text: &'n str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        Some(Self { namespace: parts.next()?, deployment: parts.next()?, replica: parts.next()? })
    }

    fn pod(&self) -> String {
        format!("{}-{}", self.deployment, self.replica)
    }

    fn service(&self) -> &str {
        self.replica.rsplit_once('-').map_or(self.replica, |(service, _)| service)
    }
}

fn shown(name: &Name<'_>, point: &Point, period: Duration) -> Value {
    // Quantities of Kubernetes: thousandths of a CPU, and 1,024 bytes, both rounded up so that something is not nothing.
    let cpu = format!("{}m", (point.cpu_percent * 10.0).ceil() as u64);
    let memory = format!("{}Ki", point.memory_bytes.div_ceil(1024));
    json!({
        "kind": PODS.kind, "apiVersion": GROUP_VERSION,
        "metadata": {
            "name": name.pod(), "namespace": name.namespace, "creationTimestamp": point.at,
            "labels": {"evenkeel.dev/deployment": name.deployment, "evenkeel.dev/service": name.service()},
        },
        "timestamp": point.at, "window": format!("{}s", period.as_secs()),
        "containers": [{"name": name.service(), "usage": {"cpu": cpu, "memory": memory}}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_a_pod_in_quantities_of_kubernetes() {
        let point: Point = serde_json::from_value(json!({
            "at": "2026-03-01T12:00:00Z", "cpuPercent": 1.21, "memoryBytes": 1_048_577, "networkReceivedBytes": 0,
            "networkSentBytes": 0, "blockReadBytes": 0, "blockWrittenBytes": 0, "pids": 1,
        }))
        .unwrap();
        let pod = shown(&Name::read("shop/web/a-b-12").unwrap(), &point, Duration::from_secs(10));
        assert_eq!((&pod["metadata"]["name"], &pod["metadata"]["namespace"]), (&json!("web-a-b-12"), &json!("shop")));
        assert_eq!(pod["containers"], json!([{"name": "a-b", "usage": {"cpu": "13m", "memory": "1025Ki"}}]));
        assert_eq!(pod["window"], "10s");
    }
}
