//! What applying a manifest changes in the stored object.

use serde_json::{Map, Value};

use super::client::Api;
use super::failure::Failure;
use super::manifests::Manifest;
use crate::sources::merge;

/// A stored object, and what it would be: what people declare of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Sides {
    /// `None`: there is none yet.
    pub before: Option<Value>,
    /// As the operator would store it.
    pub after: Value,
}

/// The stored object, and the one that applying the manifest would leave.
pub async fn sides(api: &Api, manifest: &Manifest) -> Result<Sides, Failure> {
    let path = manifest.path();
    let dry = "?dryRun=All";
    match api.get(&path).await {
        Ok(stored) => {
            let after = api.put(&format!("{path}{dry}"), &merge::desired(&manifest.object, Some(&stored))).await?;
            Ok(Sides { before: Some(declared(&stored)), after: declared(&after) })
        }
        Err(failure) if failure.is_not_found() => {
            let after = api.post(&format!("{}{dry}", manifest.list()), &merge::desired(&manifest.object, None)).await?;
            Ok(Sides { before: None, after: declared(&after) })
        }
        Err(failure) => Err(failure),
    }
}

/// What people declare of an object: its names, labels, annotations and specification.
pub fn declared(object: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "labels", "annotations"] {
        metadata.extend(object["metadata"].get(field).map(|value| (field.to_owned(), value.clone())));
    }
    let mut shown = Map::new();
    shown.extend(["apiVersion", "kind"].map(|field| (field.to_owned(), object[field].clone())));
    shown.insert("metadata".to_owned(), Value::Object(metadata));
    shown.insert("spec".to_owned(), object["spec"].clone());
    Value::Object(shown)
}

impl Sides {
    /// `added`, `changed` or `unchanged`.
    pub fn word(&self) -> &'static str {
        match &self.before {
            None => "added",
            Some(before) if *before == self.after => "unchanged",
            Some(_) => "changed",
        }
    }

    /// Paths of the fields that differ: the deepest that hold the difference, without values, which may be secrets.
    pub fn fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        if let Some(before) = &self.before {
            differing(before, &self.after, "", &mut fields);
        }
        fields
    }
}

fn differing(one: &Value, other: &Value, path: &str, fields: &mut Vec<String>) {
    match (one, other) {
        _ if one == other => {}
        (Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (one, other) = (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
                differing(one, other, &crate::crd::field_path(path, key), fields);
            }
        }
        _ => fields.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_and_their_values_are_not() {
        let object = |image: &str, secret: &str| json!({"metadata": {"name": "web"}, "spec": {"services": {"app": {"image": image, "environment": {"KEY": secret}}}}});
        let changed = Sides { before: Some(object("a", "1")), after: object("b", "2") };
        assert_eq!(changed.word(), "changed");
        assert_eq!(changed.fields(), ["spec.services.app.environment.KEY", "spec.services.app.image"]);
        let same = Sides { before: Some(object("a", "1")), after: object("a", "1") };
        assert_eq!((same.word(), same.fields()), ("unchanged", vec![]));
        assert_eq!(Sides { before: None, after: object("a", "1") }.word(), "added");
    }
}
