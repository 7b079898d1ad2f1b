//! Schemas of the kinds: custom resource definitions, JSON schemas for editors, and the reference of all fields.
//!
//! The kinds' own fields come from their types, those of Compose from [`super::compose::keys`].

mod fields;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::compose::keys::{self, Form, Key};
use super::{API_VERSION, Alert, Channel, Deployment, Hold, Incident, Kind, Source};

pub use fields::fields_reference;

/// Parts of a Deployment's spec that are Compose's.
const COMPOSE_PARTS: [(&str, &[Key]); 5] = [
    ("services", keys::SERVICE),
    ("networks", keys::NETWORK),
    ("volumes", keys::VOLUME),
    ("secrets", keys::SECRET),
    ("configs", keys::CONFIG),
];

/// Who reads a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Kubernetes, which knows structural schemas only: what takes several forms is left open.
    Kubernetes,
    /// An editor, which knows all of JSON schema.
    Editor,
}

/// The definition of a kind, as Kubernetes describes kinds.
pub fn definition(kind: Kind) -> CustomResourceDefinition {
    match kind {
        Kind::Deployment => deployment(),
        _ => plain(kind),
    }
}

/// The definition as it comes from the kind's types.
fn plain(kind: Kind) -> CustomResourceDefinition {
    match kind {
        Kind::Deployment => Deployment::crd(),
        Kind::Hold => Hold::crd(),
        Kind::Source => Source::crd(),
        Kind::Channel => Channel::crd(),
        Kind::Alert => Alert::crd(),
        Kind::Incident => Incident::crd(),
    }
}

/// The definition of kind `Deployment`, with the schema of its Compose parts.
fn deployment() -> CustomResourceDefinition {
    let mut definition = Deployment::crd();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let spec = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("spec"));
        let Some(properties) = spec.and_then(|spec| spec.properties.as_mut()) else { continue };
        for (part, table) in COMPOSE_PARTS {
            let open = json!({"type": "object", "additionalProperties": compose_map(table, part, Reader::Kubernetes)});
            if let (Some(property), Ok(open)) = (properties.get_mut(part), serde_json::from_value(open)) {
                let description = property.description.take();
                *property = open;
                property.description = description;
            }
        }
    }
    definition
}

/// All definitions as YAML documents.
pub fn crds_yaml() -> Result<String, serde_yaml::Error> {
    Ok(Kind::ALL.map(definition).iter().map(serde_yaml::to_string).collect::<Result<Vec<_>, _>>()?.join("---\n"))
}

/// The JSON schema of a kind, for editors: every form Compose takes, and the reason where a key is refused.
pub fn json_schema(kind: Kind) -> Value {
    let definition = serde_json::to_value(plain(kind)).unwrap_or_default();
    let whole = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut spec = for_editors(whole["properties"]["spec"].clone());
    if kind == Kind::Deployment {
        for (part, table) in COMPOSE_PARTS {
            let description = spec["properties"][part]["description"].take();
            let entry = compose_map(table, part, Reader::Editor);
            spec["properties"][part] = json!({"type": "object", "description": description, "additionalProperties": entry});
        }
    }
    let names = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind.name(),
        "description": whole["description"],
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "patternProperties": {"^x-": {}},
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind.name()},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "description": "Unique in its namespace.", "maxLength": 253, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
                    "namespace": {"type": "string", "description": "Default: `default`.", "maxLength": 63},
                    "labels": names,
                    "annotations": names,
                },
            },
            "spec": spec,
            "status": {"description": "Written by evenkeel; dropped from manifests."},
        },
    })
}

/// A structural schema in terms of JSON schema: maps with known fields take extensions and nothing else.
fn for_editors(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return schema };
    for key in ["nullable", "format", "x-kubernetes-preserve-unknown-fields"] {
        schema.remove(key);
    }
    if schema.remove("x-kubernetes-int-or-string").is_some() {
        schema.insert("type".to_owned(), json!(["number", "string"]));
    }
    if let Some(entry @ Value::Object(_)) = schema.get_mut("additionalProperties") {
        *entry = for_editors(entry.take());
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = for_editors(property.take());
        }
        schema.insert("additionalProperties".to_owned(), json!(false));
        schema.insert("patternProperties".to_owned(), json!({"^x-": {}}));
    }
    Value::Object(schema)
}

/// One entry of a part of the spec. Networks and volumes may be empty.
fn compose_map(table: &'static [Key], part: &str, reader: Reader) -> Value {
    let map = map_schema(table, reader);
    match part {
        "services" | "secrets" | "configs" => map,
        _ => nullable(map, reader),
    }
}

fn nullable(mut schema: Value, reader: Reader) -> Value {
    match reader {
        Reader::Editor => json!({"anyOf": [schema, {"type": "null"}]}),
        Reader::Kubernetes => {
            schema["nullable"] = json!(true);
            schema
        }
    }
}

fn map_schema(table: &'static [Key], reader: Reader) -> Value {
    let mut properties = Map::new();
    for key in table {
        let Some(mut schema) = form_schema(key.form, reader) else { continue };
        let refused = matches!(key.form, Form::Refused);
        let description = if refused { super::decode::unsupported(key.name, key.text) } else { key.text.to_owned() };
        schema["description"] = json!(description);
        properties.insert(key.name.to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    let required: Vec<&str> = table.iter().filter(|key| key.required()).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    match reader {
        Reader::Editor => {
            schema["additionalProperties"] = json!(false);
            schema["patternProperties"] = json!({"^x-": {}});
        }
        Reader::Kubernetes => schema["x-kubernetes-preserve-unknown-fields"] = json!(true),
    }
    schema
}

/// The schema of one form; none for what a reader cannot be told.
fn form_schema(form: Form, reader: Reader) -> Option<Value> {
    let kubernetes = reader == Reader::Kubernetes;
    Some(match form {
        Form::Text => json!({"type": "string"}),
        Form::Words(words) => json!({"type": "string", "enum": words}),
        Form::Match { pattern, .. } => json!({"type": "string", "pattern": pattern}),
        Form::List(item) => json!({"type": "array", "items": form_schema(*item, reader)?}),
        Form::Map(table) => map_schema(table, reader),
        Form::MapOf(value) => json!({"type": "object", "additionalProperties": form_schema(*value, reader)?}),
        Form::Nullable(inner) => nullable(form_schema(*inner, reader)?, reader),
        Form::Flag if kubernetes => json!({"type": "boolean"}),
        Form::Options if kubernetes => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        Form::Span if kubernetes => json!({"type": "string"}),
        Form::Whole | Form::Mode if kubernetes => json!({"x-kubernetes-int-or-string": true}),
        Form::Refused if kubernetes => return None,
        _ if kubernetes => json!({"x-kubernetes-preserve-unknown-fields": true}),
        Form::Flag => json!({"type": ["boolean", "string"]}),
        Form::Whole | Form::Size | Form::Mode => json!({"type": ["integer", "string"]}),
        Form::Cpus => json!({"type": ["number", "string"]}),
        Form::Span => json!({"type": "string", "pattern": "^(0|([0-9.]+(ns|us|µs|ms|s|m|h|d|w))+)$"}),
        Form::Printed => json!({"type": ["string", "number"]}),
        Form::Options => json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}),
        Form::Mapping => {
            let map = json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}});
            json!({"anyOf": [map, {"type": "array", "items": {"type": "string"}}]})
        }
        Form::Any(forms) => json!({"anyOf": forms.iter().filter_map(|form| form_schema(*form, reader)).collect::<Vec<_>>()}),
        Form::Refused => json!({"not": {}}),
    })
}

#[cfg(test)]
mod tests;
