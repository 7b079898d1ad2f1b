//! What is served: versions, groups and resources, as kubectl asks for them.

use axum::Json;
use serde_json::{Value, json};

use super::auth::Caller;
use super::kinds::{RESOURCES, Resource};
use super::pods;
use crate::crd;

/// The Kubernetes API that clients may take this for: kubectl picks its behaviour by it.
const LIKE_KUBERNETES: (&str, &str) = ("1", "32");

/// `/version`. Python's client insists on every field.
pub async fn version(_: Caller) -> Json<Value> {
    let (major, minor) = LIKE_KUBERNETES;
    Json(json!({
        "major": major, "minor": minor,
        "gitVersion": format!("v{major}.{minor}.0+evenkeel.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }))
}

/// `/api`.
pub async fn core_versions(_: Caller) -> Json<Value> {
    Json(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
}

/// `/apis`. The order of groups is their priority for short names.
pub async fn groups(_: Caller) -> Json<Value> {
    Json(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [this_group(), pods::this_group()]}))
}

/// `/apis/evenkeel.dev`.
pub async fn group(_: Caller) -> Json<Value> {
    let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
    for (field, value) in this_group().as_object().into_iter().flatten() {
        group[field] = value.clone();
    }
    Json(group)
}

fn this_group() -> Value {
    let version = json!({"groupVersion": crd::API_VERSION, "version": crd::VERSION});
    json!({"name": crd::GROUP, "versions": [version], "preferredVersion": version})
}

/// `/api/v1`.
pub async fn core_resources(_: Caller) -> Json<Value> {
    Json(resource_list("", "v1", &[]))
}

/// `/apis/evenkeel.dev/v1alpha1`.
pub async fn resources(_: Caller) -> Json<Value> {
    let plan = json!({"name": "plan", "singularName": "plan", "namespaced": false, "kind": "Plan", "verbs": ["create"]});
    let host = json!({"name": "host", "singularName": "host", "namespaced": false, "kind": "Host", "verbs": ["get"]});
    let doctor = json!({"name": "doctor", "singularName": "doctor", "namespaced": false, "kind": "Diagnosis", "verbs": ["get"]});
    let projects =
        json!({"name": "projects", "singularName": "project", "namespaced": false, "kind": "Project", "verbs": ["get"]});
    Json(resource_list(crd::GROUP, crd::API_VERSION, &[plan, host, doctor, projects]))
}

fn resource_list(group: &str, group_version: &str, others: &[Value]) -> Value {
    let served = RESOURCES.iter().filter(|resource| resource.group == group);
    let entries = served.flat_map(|resource| entries(resource)).chain(others.iter().cloned()).collect::<Vec<_>>();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries})
}

fn entries(resource: &Resource) -> Vec<Value> {
    let mut main = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        main["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        main["categories"] = json!(resource.categories);
    }
    let below = resource.subresources.iter().map(|(name, verbs)| {
        let kind = match *name {
            "status" => resource.kind,
            "plan" => "Plan",
            "log" => "Log",
            "exec" => "ExecOptions",
            "metrics" => "DeploymentMetrics",
            _ => "Command",
        };
        let name = format!("{}/{name}", resource.plural);
        json!({"name": name, "singularName": "", "namespaced": resource.namespaced, "kind": kind, "verbs": verbs})
    });
    std::iter::once(main).chain(below).collect()
}
