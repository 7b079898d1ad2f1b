//! OpenAPI v3: enough for kubectl to leave validation to the server, and for `kubectl explain`.

use std::sync::LazyLock;

use axum::Json;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::kinds::{RESOURCES, Resource};
use crate::crd;

static CORE: LazyLock<Value> = LazyLock::new(|| document("", "v1"));
static GROUP: LazyLock<Value> = LazyLock::new(|| document(crd::GROUP, crd::VERSION));

/// `/openapi/v3`. The hash lets clients keep a document until it changes.
pub async fn index(_: Caller) -> Json<Value> {
    let entry = |path: &str, document: &Value| {
        let hash = Sha256::digest(document.to_string()).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})
    };
    let group = format!("apis/{}", crd::API_VERSION);
    let mut paths = Map::new();
    paths.insert("api/v1".into(), entry("api/v1", &CORE));
    paths.insert(group.clone(), entry(&group, &GROUP));
    Json(json!({"paths": paths}))
}

/// `/openapi/v3/api/v1`.
pub async fn core(_: Caller) -> Json<Value> {
    Json(CORE.clone())
}

/// `/openapi/v3/apis/evenkeel.dev/v1alpha1`.
pub async fn group(_: Caller) -> Json<Value> {
    Json(GROUP.clone())
}

fn document(group: &str, version: &str) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in RESOURCES.into_iter().filter(|resource| (resource.group, resource.version) == (group, version)) {
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        paths.insert(format!("{root}{scope}/{}/{{name}}", resource.plural), operations(resource));
        schemas.insert(schema_name(resource), schema(resource));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "evenkeel", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// The parameter `fieldValidation` on `patch` is what tells kubectl that this server validates.
fn operations(resource: &Resource) -> Value {
    let names = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let parameters = names.map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
    let reference = json!({"$ref": format!("#/components/schemas/{}", schema_name(resource))});
    let responses = json!({"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}});
    let operation = |action: &str, parameters: &[Value]| {
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource),
            "parameters": parameters,
            "responses": responses,
        })
    };
    json!({"get": operation("get", &[]), "patch": operation("patch", &parameters)})
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn schema_name(resource: &Resource) -> String {
    match resource.group {
        "" => format!("io.k8s.api.core.{}.{}", resource.version, resource.kind),
        _ => format!("dev.evenkeel.{}.{}", resource.version, resource.kind),
    }
}

/// The CRD's schema with what every object has; core kinds are shown without their fields.
fn schema(resource: &Resource) -> Value {
    let crd = crd::Kind::ALL.into_iter().find(|kind| kind.name() == resource.kind).map(crd::definition);
    let written = crd.and_then(|crd| crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema);
    let mut schema = written.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_else(|| json!({"type": "object"}));
    let text = |description: &str| json!({"type": "string", "description": description});
    let mut properties = Map::new();
    properties.insert("apiVersion".into(), text(&format!("{} in this version.", resource.api_version())));
    properties.insert("kind".into(), text(&format!("{}.", resource.kind)));
    properties.insert("metadata".into(), metadata());
    if let Some(own) = schema["properties"].as_object() {
        properties.extend(own.clone());
    }
    schema["properties"] = Value::Object(properties);
    schema["x-kubernetes-group-version-kind"] = json!([gvk(resource)]);
    schema
}

fn metadata() -> Value {
    let words = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut metadata = json!({"type": "object", "description": "What every object has: its names and whose it is.", "properties": {
        "name": {"type": "string", "description": "Unique in its namespace and kind. Cannot be changed."},
        "namespace": {"type": "string", "description": "`default` if none was given. Cannot be changed."},
    }});
    for (name, description) in
        [("labels", "Words to select by."), ("annotations", "Words that are kept. Those of evenkeel.dev/ are read by evenkeel.")]
    {
        metadata["properties"][name] = words.clone();
        metadata["properties"][name]["description"] = json!(description);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_finds_that_the_server_validates() {
        let patch = &GROUP["paths"]["/apis/evenkeel.dev/v1alpha1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
        assert!(patch["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == "fieldValidation"));
    }

    #[test]
    fn fields_are_described_for_explain() {
        let deployment = &GROUP["components"]["schemas"]["dev.evenkeel.v1alpha1.Deployment"];
        assert!(deployment["properties"]["spec"]["properties"]["project"]["description"].is_string());
        assert!(deployment["properties"]["metadata"]["properties"]["labels"].is_object());
    }
}
