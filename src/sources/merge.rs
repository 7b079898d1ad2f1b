//! How a manifest is laid over the stored object of its name.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::crd::yaml::Document;
use crate::crd::{FieldError, Kind, admit};
use crate::model::{Key, annotations};

/// Annotations that say where an object came from: a manifest that was exported from the store may carry old ones.
const BOOKKEEPING: [&str; 8] = [
    annotations::SOURCE,
    annotations::SOURCE_NAME,
    annotations::SOURCE_REVISIONS,
    annotations::SOURCE_ERROR,
    annotations::SOURCE_WARNINGS,
    annotations::ORPHANED,
    annotations::DELETE_VOLUMES,
    annotations::PRUNED,
];

/// Annotations with a time: the later one is the newer wish.
const WISHES: [&str; 5] = [
    annotations::RESTARTED_AT,
    annotations::RECREATED_AT,
    annotations::RETRIED_AT,
    annotations::STARTED_AT,
    annotations::PULLED_AT,
];

/// A manifest that is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Whom it declares.
    pub key: Key,
    /// What its author wrote.
    pub manifest: Value,
    /// The same with its defaults filled in, as the store would have it.
    pub object: Value,
    /// Things worth a word.
    pub warnings: Vec<String>,
}

/// The Deployment of a document, checked as the operator checks it; else all that is wrong, with its places.
///
/// `namespace` is what a manifest that names none is for.
pub fn check(document: &Document, namespace: &str) -> Result<Checked, Vec<FieldError>> {
    if !document.errors.is_empty() {
        return Err(document.errors.clone());
    }
    let never = match document.kind.as_str() {
        "Hold" => Some(
            "a manifest cannot carry a Hold, since it would come back at every sync: use `evenkeel stop` or `evenkeel suspend`",
        ),
        "Source" => Some("a Source declares Deployments, not Sources: use `evenkeel apply -f` or kubectl for it"),
        "Channel" | "Alert" => Some("a Source declares Deployments alone: use `evenkeel apply -f` or kubectl for it"),
        "Incident" => Some("an Incident is made by evenkeel alone"),
        _ => None,
    };
    if let Some(message) = never {
        let error = FieldError { path: "kind".to_owned(), message: message.to_owned(), location: None };
        return Err(document.place(vec![error]));
    }
    let mut manifest = document.value.clone();
    if manifest["metadata"].is_object() && manifest["metadata"]["namespace"].is_null() {
        manifest["metadata"]["namespace"] = json!(namespace);
    }
    let admitted = admit(Kind::Deployment, manifest.clone(), None, false).map_err(|errors| document.place(errors))?;
    let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or(namespace);
    let key = Key::new(namespace, &document.name);
    Ok(Checked { key, manifest, object: admitted.object, warnings: admitted.warnings })
}

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
        let mut merged = metadata.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, value) in object["metadata"][field].as_object().into_iter().flatten() {
            if field == "labels" || !is_older_wish(key, value, &merged) {
                merged.insert(key.clone(), value.clone());
            }
        }
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

/// Sets (`Some`) or takes off (`None`) an annotation.
pub fn annotate(object: &mut Value, name: &str, value: Option<&str>) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    match value {
        Some(value) => {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[name] = json!(value);
        }
        None => {
            let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
            annotations.remove(name);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
}

/// An annotation of a stored object.
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// Takes out what a manifest cannot say, such as what an export of the object carries.
fn strip(object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
    }
    for name in BOOKKEEPING {
        annotate(object, name, None);
    }
}

/// Whether the annotation asks for a restart or a retry before the one that was asked for last.
fn is_older_wish(name: &str, value: &Value, stored: &Map<String, Value>) -> bool {
    let time = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    WISHES.iter().any(|wish| name.starts_with(wish)) && time(Some(value)) < time(stored.get(name))
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
            "metadata": {"name": "web", "namespace": "default", "uid": "u", "resourceVersion": "7",
                "finalizers": ["evenkeel.dev/cleanup"],
                "labels": {"team": "land", "tier": "1"}, "annotations": {"note": "old", "other": "x"}},
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
        assert_eq!(metadata["annotations"], json!({"note": "new", "other": "x"}));
    }

    #[test]
    fn a_new_object_takes_nothing_that_only_the_store_can_say() {
        let manifest = json!({"metadata": {"name": "web", "uid": "x", "generation": 9,
            "annotations": {"evenkeel.dev/source": "old.yaml:1"}}, "spec": {}, "status": {"phase": "Running"}});
        assert_eq!(desired(&manifest, None), json!({"metadata": {"name": "web"}, "spec": {}}));
    }

    #[test]
    fn an_exported_manifest_does_not_take_back_a_newer_restart() {
        let at = |time: &str| json!({"metadata": {"name": "web", "annotations": {"evenkeel.dev/restartedAt": time}}});
        let (early, late) = (at("2026-08-21T10:00:00Z"), at("2026-08-21T11:00:00+00:00"));
        let restarted = |object: Value| object["metadata"]["annotations"]["evenkeel.dev/restartedAt"].clone();
        assert_eq!(restarted(desired(&early, Some(&late))), "2026-08-21T11:00:00+00:00");
        assert_eq!(restarted(desired(&late, Some(&early))), "2026-08-21T11:00:00+00:00");
        assert_eq!(restarted(desired(&late, Some(&json!({"metadata": {}})))), "2026-08-21T11:00:00+00:00");
    }
}
