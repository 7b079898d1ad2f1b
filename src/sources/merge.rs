//! How a manifest is laid over the stored object of its name.

use serde_json::{Map, Value, json};

use crate::crd::yaml::Document;
use crate::crd::{FieldError, Kind, admit};
use crate::model::Key;

/// The object that a manifest asks for, given what is stored under its name.
///
/// The manifest has the last word on the spec. Its labels and annotations are added to those that are there: what
/// `evenkeel restart`, kubectl or other people wrote stays. Status, finalizers and the version stay the store's.
pub fn desired(manifest: &Value, stored: Option<&Value>) -> Value {
    let mut object = manifest.clone();
    strip(&mut object);
    let Some(stored) = stored else { return object };
    let mut metadata = stored["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        let mut merged: Map<String, Value> = metadata.remove(field).and_then(into_map).unwrap_or_default();
        merged.extend(object["metadata"][field].as_object().cloned().unwrap_or_default());
        if !merged.is_empty() {
            metadata.insert(field.to_owned(), Value::Object(merged));
        }
    }
    object["metadata"] = Value::Object(metadata);
    if let Some(status) = stored.get("status") {
        object["status"] = status.clone();
    }
    object
}

/// Takes out what a manifest cannot say, such as what an export of the object carries.
fn strip(object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
    }
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The Deployment of a document, checked as the operator will check it; all that is wrong, with its places.
///
/// `namespace` is what a manifest that names none is for. Returns the object with its warnings.
pub fn check(document: &Document, namespace: &str) -> Result<(Key, Value, Vec<String>), Vec<FieldError>> {
    if !document.errors.is_empty() {
        return Err(document.errors.clone());
    }
    if document.kind == "Hold" {
        let message =
            "a manifest cannot carry a Hold, since it would come back at every sync: use `evenkeel stop` or `evenkeel suspend`";
        let error = FieldError { path: "kind".to_owned(), message: message.to_owned(), location: None };
        return Err(document.place(vec![error]));
    }
    let mut object = document.value.clone();
    if object["metadata"]["namespace"].is_null() && object["metadata"].is_object() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    let admitted = admit(Kind::Deployment, object.clone(), None, false).map_err(|errors| document.place(errors))?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
    Ok((Key::new(namespace, &document.name), object, admitted.warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_the_spec_and_others_keep_their_annotations() {
        let manifest = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"team": "sea"}, "annotations": {"note": "new"},
                "uid": "exported", "resourceVersion": "1"},
            "spec": {"services": {"web": {"image": "b"}}},
            "status": {"phase": "Exported"},
        });
        let stored = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "uid": "u", "resourceVersion": "7", "finalizers": ["evenkeel.dev/cleanup"],
                "labels": {"team": "land", "tier": "1"}, "annotations": {"note": "old", "evenkeel.dev/restartedAt": "t"}},
            "spec": {"services": {"web": {"image": "a"}}, "project": "web"},
            "status": {"phase": "Running"},
        });
        let object = desired(&manifest, Some(&stored));
        assert_eq!(object["spec"], manifest["spec"]);
        assert_eq!(object["status"], stored["status"]);
        let metadata = &object["metadata"];
        assert_eq!((&metadata["uid"], &metadata["resourceVersion"]), (&json!("u"), &json!("7")));
        assert_eq!(metadata["finalizers"], stored["metadata"]["finalizers"]);
        assert_eq!(metadata["labels"], json!({"team": "sea", "tier": "1"}));
        assert_eq!(metadata["annotations"], json!({"note": "new", "evenkeel.dev/restartedAt": "t"}));
    }

    #[test]
    fn a_new_object_takes_nothing_that_only_the_store_can_say() {
        let manifest =
            json!({"metadata": {"name": "web", "uid": "x", "generation": 9}, "spec": {}, "status": {"phase": "Running"}});
        assert_eq!(desired(&manifest, None), json!({"metadata": {"name": "web"}, "spec": {}}));
    }
}
