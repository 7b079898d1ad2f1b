use std::path::Path;

use serde_json::Value;

use super::*;

/// Compares a file under docs/ with what it is made from; `EVENKEEL_BLESS=1` writes it anew.
fn check(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("docs/ is a folder")).expect("docs/ can be made");
        std::fs::write(&path, made).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "docs/{name} is stale: EVENKEEL_BLESS=1 cargo nextest run --lib crd::schema writes it anew");
}

#[test]
fn the_schemas_in_docs_are_those_of_the_source() {
    // An Incident is written by nobody.
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Incident) {
        let name = format!("schema/{}.json", kind.name().to_lowercase());
        check(&name, &(serde_json::to_string_pretty(&json_schema(kind)).unwrap() + "\n"));
    }
}

#[test]
fn the_definitions_in_docs_are_those_of_the_source() {
    check("crds.yaml", &crds_yaml().unwrap());
}

#[test]
fn the_reference_in_docs_is_that_of_the_source() {
    check("fields.md", &fields_reference());
}

/// Kubernetes takes structural schemas only: every node has a type or is left open, none has both fixed and free keys.
fn structural(schema: &Value, path: &str) {
    let open =
        ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"].iter().any(|key| schema[key] == json!(true));
    assert!(schema["type"].is_string() || open, "{path} has no type");
    assert!(schema["properties"].is_null() || schema["additionalProperties"].is_null(), "{path} has both fixed and free keys");
    for key in ["anyOf", "oneOf", "not", "patternProperties", "const"] {
        assert!(schema[key].is_null(), "{path} has {key}");
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        structural(property, &format!("{path}.{name}"));
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            structural(&schema[key], &format!("{path}.{key}"));
        }
    }
}

#[test]
fn definitions_are_structural() {
    for definition in Kind::ALL.map(definition) {
        let definition = serde_json::to_value(definition).unwrap();
        structural(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "");
    }
}

#[test]
fn the_definition_describes_compose_services() {
    let definition = serde_json::to_value(definition(Kind::Deployment)).unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let service = &spec["properties"]["services"]["additionalProperties"]["properties"];
    assert_eq!(service["image"]["type"], "string");
    assert!(service["ports"]["description"].as_str().unwrap().starts_with("Ports published on the host"));
    assert_eq!(service.get("env_file"), None);
    assert_eq!(spec["properties"]["services"]["description"], "Compose services by name. At least one.");
}

#[test]
fn editors_are_told_why_a_key_is_refused() {
    let schema = json_schema(Kind::Deployment);
    let service = &schema["properties"]["spec"]["properties"]["services"]["additionalProperties"];
    let refused = &service["properties"]["env_file"];
    assert_eq!(refused["not"], json!({}));
    assert_eq!(refused["description"], "env_file is not supported yet by evenkeel: write the variables in environment");
    assert_eq!(service["additionalProperties"], false);
}
