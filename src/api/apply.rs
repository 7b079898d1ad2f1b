//! Server-side apply: each manager says what it wants, and owns that; what it no longer says is removed.
//!
//! # Guarantees
//! - A field that another manager applied with another value is a conflict that names manager and field; `force` takes it over.
//! - Applying the same again changes nothing, not even a version.
//!
//! # Caveats
//! Lists are one value. Only what was applied is owned: an edit or a merge patch owns nothing, so the next apply overrides it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::errors::{ApiError, Result};
use super::objects::{Call, Place, expected_version, fit};
use super::patch::ATTEMPTS;
use super::view::version;
use crate::registry::{WriteOptions, Written};
use crate::store::Part;

/// Names of fields from the top: `["spec", "services", "web", "image"]`.
type Path = Vec<String>;

/// Applies the body in the name of `fieldManager`. Returns also whether the object is new.
pub async fn apply(call: &Call, place: &Place, intent: Value, mut options: WriteOptions) -> Result<(Written, bool)> {
    let Some(manager) = call.params.text("fieldManager") else {
        return Err(ApiError::bad_request("fieldManager is required for an apply patch: PATCH ..?fieldManager=NAME"));
    };
    let Value::Object(mut intent) = intent else { return Err(ApiError::bad_request("the body must be one object")) };
    let metadata = fit(&mut intent, place.resource, &place.key.namespace, Some(&place.key.name))?;
    if metadata.get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be left out of what is applied"));
    }
    let asked = expected_version(metadata)?;
    let claim = Claim {
        manager,
        api_version: place.resource.api_version(),
        subresource: (place.part == Part::Status).then_some("status"),
        at: call.state.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        intent: keep_claimable(intent, place.part),
        force: call.params.flag("force"),
    };
    let registry = &call.state.registry;
    let mut attempt = 1;
    loop {
        let current =
            registry.store().get(place.kind, &place.key).map_err(|error| ApiError::from_store(place.resource, error))?;
        let made = match &current {
            None if place.part == Part::Status => return Err(ApiError::not_found(place.resource, &place.key.name)),
            None => {
                let mut skeleton = Map::new();
                fit(&mut skeleton, place.resource, &place.key.namespace, Some(&place.key.name))?;
                let object = claim.onto(Value::Object(skeleton)).map_err(conflicts)?;
                registry.create(place.kind, object, &options).await
            }
            Some(live) => {
                options.expected = asked.or_else(|| version(live).parse().ok());
                let object = claim.onto(live.as_ref().clone()).map_err(conflicts)?;
                registry.replace(place.kind, &place.key, object, place.part, false, &options).await
            }
        };
        match made {
            Ok(written) => return Ok((written, current.is_none())),
            Err(error) => {
                let error = ApiError::from_registry(place.resource, error);
                if asked.is_some() || !error.is_race() || attempt == ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
            }
        }
    }
}

/// Only these can be owned: what names an object and what the server says about it cannot.
fn keep_claimable(mut intent: Map<String, Value>, part: Part) -> Value {
    let mut kept = Map::new();
    if part == Part::Status {
        kept.extend(intent.remove_entry("status"));
        return Value::Object(kept);
    }
    let metadata = intent.remove("metadata").unwrap_or_default();
    let metadata = ["labels", "annotations", "finalizers", "ownerReferences"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), metadata.get(name)?.clone())))
        .collect::<Map<_, _>>();
    if !metadata.is_empty() {
        kept.insert("metadata".into(), Value::Object(metadata));
    }
    kept.extend(intent.into_iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "status")));
    Value::Object(kept)
}

/// What one manager wants.
struct Claim<'a> {
    manager: &'a str,
    api_version: String,
    subresource: Option<&'static str>,
    at: String,
    intent: Value,
    force: bool,
}

/// Another manager's field that has another value: who, and which.
#[derive(Debug, PartialEq, Eq)]
struct Clash {
    manager: String,
    path: Path,
}

impl Claim<'_> {
    /// The live object with the claim applied, and who owns what written down in it.
    fn onto(&self, mut live: Value) -> std::result::Result<Value, Vec<Clash>> {
        let mut entries = match live["metadata"]["managedFields"].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        let mine = entries.iter().position(|entry| self.is_mine(entry)).map(|at| entries.remove(at));
        let wanted = leaves(&self.intent);
        let clashes = entries.iter().flat_map(|entry| self.clashes(entry, &wanted, &live)).collect::<Vec<_>>();
        if !clashes.is_empty() && !self.force {
            return Err(clashes);
        }
        for entry in &mut entries {
            disown(entry, &clashes);
        }
        entries.retain(|entry| entry["operation"] != "Apply" || !owned(entry).is_empty());
        let others = entries.iter().flat_map(owned).collect::<BTreeSet<_>>();
        for path in mine.iter().flat_map(owned).filter(|path| !wanted.contains(path)) {
            self.remove_unwanted(&mut live, &path, &others);
        }
        merge(&mut live, &self.intent);
        entries.extend(self.entry(mine, &wanted));
        live["metadata"]["managedFields"] = Value::Array(entries);
        Ok(live)
    }

    fn is_mine(&self, entry: &Value) -> bool {
        entry["manager"] == self.manager && entry["operation"] == "Apply" && entry["subresource"].as_str() == self.subresource
    }

    fn clashes(&self, entry: &Value, wanted: &BTreeSet<Path>, live: &Value) -> Vec<Clash> {
        let manager = entry["manager"].as_str().unwrap_or("").to_owned();
        let differs = |path: &Path| get(live, path) != get(&self.intent, path);
        let clash = |theirs: &Path| {
            let at_or_above = (1..=theirs.len()).map(|length| theirs[..length].to_vec()).find(|path| wanted.contains(path));
            let inside =
                || !get(live, theirs).is_some_and(Value::is_object) && wanted.iter().any(|path| path.starts_with(theirs));
            at_or_above.map_or_else(inside, |path| differs(&path))
        };
        let theirs = if entry["operation"] == "Apply" { owned(entry) } else { BTreeSet::new() };
        theirs.into_iter().filter(clash).map(|path| Clash { manager: manager.clone(), path }).collect()
    }

    /// Removes the largest part around `path` that is neither wanted any more nor anybody else's.
    fn remove_unwanted(&self, live: &mut Value, path: &Path, others: &BTreeSet<Path>) {
        let free = |part: &[String]| {
            get(&self.intent, part).is_none() && !others.iter().any(|other| other.starts_with(part) || part.starts_with(other))
        };
        let Some(length) = (1..=path.len()).find(|length| free(&path[..*length])) else { return };
        let parent = path[..length - 1].iter().try_fold(live, |value, name| value.get_mut(name));
        if let Some(Value::Object(parent)) = parent {
            parent.shift_remove(&path[length - 1]);
        }
    }

    /// What is written down for this manager; with its old time if it owns what it owned.
    fn entry(&self, old: Option<Value>, wanted: &BTreeSet<Path>) -> Option<Value> {
        if wanted.is_empty() {
            return None;
        }
        if let Some(old) = old.filter(|old| owned(old) == *wanted) {
            return Some(old);
        }
        let mut entry = json!({
            "manager": self.manager, "operation": "Apply", "apiVersion": self.api_version, "time": self.at,
            "fieldsType": "FieldsV1", "fieldsV1": tree(wanted),
        });
        if let Some(subresource) = self.subresource {
            entry["subresource"] = json!(subresource);
        }
        Some(entry)
    }
}

fn conflicts(clashes: Vec<Clash>) -> ApiError {
    let field = |clash: &Clash| clash.path.iter().map(|name| format!(".{name}")).collect::<String>();
    let one = |clash: &Clash| format!("conflict with {:?}: {}", clash.manager, field(clash));
    let all = clashes.iter().map(one).collect::<Vec<_>>().join("; ");
    let causes = clashes.iter().map(|clash| {
        json!({"reason": "FieldManagerConflict", "message": format!("conflict with {:?}", clash.manager), "field": field(clash)})
    });
    let message = format!("Apply failed with {} conflict(s): {all}", clashes.len());
    ApiError::new(axum::http::StatusCode::CONFLICT, "Conflict", message).with_causes(causes.collect())
}

/// Every field of a value that holds no fields itself.
fn leaves(value: &Value) -> BTreeSet<Path> {
    fn walk(value: &Value, at: &mut Path, out: &mut BTreeSet<Path>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (name, value) in map {
                    at.push(name.clone());
                    walk(value, at, out);
                    at.pop();
                }
            }
            _ if at.is_empty() => {}
            _ => {
                out.insert(at.clone());
            }
        }
    }
    let mut out = BTreeSet::new();
    walk(value, &mut Path::new(), &mut out);
    out
}

/// The paths of a `fieldsV1` tree.
fn owned(entry: &Value) -> BTreeSet<Path> {
    let plain = |path: Path| path.into_iter().map(|name| name.strip_prefix("f:").map(str::to_owned)).collect::<Option<Path>>();
    leaves(&entry["fieldsV1"]).into_iter().filter_map(plain).collect()
}

fn tree(paths: &BTreeSet<Path>) -> Value {
    let mut root = json!({});
    for path in paths {
        let mut at = &mut root;
        for name in path {
            at = &mut at[format!("f:{name}")];
        }
        if at.is_null() {
            *at = json!({});
        }
    }
    root
}

fn disown(entry: &mut Value, clashes: &[Clash]) {
    let lost = |path: &Path| clashes.iter().any(|clash| entry["manager"] == clash.manager.as_str() && clash.path == *path);
    if entry["operation"] == "Apply" {
        let kept = owned(entry).into_iter().filter(|path| !lost(path)).collect();
        entry["fieldsV1"] = tree(&kept);
    }
}

fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn merge(live: &mut Value, intent: &Value) {
    match (live, intent) {
        (Value::Object(live), Value::Object(intent)) if !intent.is_empty() => {
            for (name, value) in intent {
                merge(live.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Object(_), Value::Object(_)) => {}
        (live, intent) => *live = intent.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(manager: &str, intent: Value) -> Claim<'_> {
        let at = "2026-01-01T00:00:00Z".to_owned();
        Claim { manager, api_version: "evenkeel.dev/v1alpha1".into(), subresource: None, at, intent, force: false }
    }

    fn without_fields(mut object: Value) -> Value {
        object["metadata"].as_object_mut().unwrap().remove("managedFields");
        object
    }

    fn web() -> Value {
        json!({"metadata": {"name": "web"}})
    }

    #[test]
    fn what_is_no_longer_applied_is_removed_and_what_others_wrote_stays() {
        let first =
            claim("ci", json!({"spec": {"services": {"a": {"image": "a:1"}, "b": {"image": "b:1"}}}})).onto(web()).unwrap();
        let mut live = first;
        live["spec"]["services"]["b"]["user"] = json!("defaulted");
        live["spec"]["project"] = json!("by-hand");
        let second = claim("ci", json!({"spec": {"services": {"a": {"image": "a:2"}}}})).onto(live).unwrap();
        assert_eq!(
            without_fields(second),
            json!({"metadata": {"name": "web"}, "spec": {"services": {"a": {"image": "a:2"}}, "project": "by-hand"}})
        );
    }

    #[test]
    fn applying_the_same_again_changes_nothing() {
        let intent = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"services": {"a": {"ports": [1, 2], "x": {}}}}});
        let first = claim("ci", intent.clone()).onto(web()).unwrap();
        let again = Claim { at: "2027-01-01T00:00:00Z".into(), ..claim("ci", intent) };
        assert_eq!(again.onto(first.clone()).unwrap(), first);
    }

    #[test]
    fn another_managers_value_is_a_conflict_unless_it_is_the_same_or_forced() {
        let image = |image: &str| json!({"spec": {"services": {"a": {"image": image}}}});
        let live = claim("ci", image("a:1")).onto(web()).unwrap();
        let clash = claim("me", image("a:2")).onto(live.clone()).unwrap_err();
        assert_eq!(clash[0].manager, "ci");
        assert_eq!(clash[0].path.join("."), "spec.services.a.image");
        let shared = claim("me", image("a:1")).onto(live.clone()).unwrap();
        assert_eq!(shared["metadata"]["managedFields"].as_array().unwrap().len(), 2);
        let taken = Claim { force: true, ..claim("me", image("a:2")) }.onto(live).unwrap();
        assert_eq!(taken["metadata"]["managedFields"].as_array().unwrap().len(), 1, "ci owns nothing any more");
        assert_eq!(taken["spec"]["services"]["a"]["image"], "a:2");
    }

    #[test]
    fn a_field_two_managers_own_stays_when_one_lets_go() {
        let image = json!({"spec": {"services": {"a": {"image": "a:1"}}}});
        let live = claim("ci", image.clone()).onto(web()).unwrap();
        let live = claim("me", image).onto(live).unwrap();
        let live = claim("me", json!({"spec": {"state": "Stopped"}})).onto(live).unwrap();
        assert_eq!(live["spec"], json!({"services": {"a": {"image": "a:1"}}, "state": "Stopped"}));
    }

    #[test]
    fn a_scalar_over_anothers_map_is_a_conflict() {
        let live = claim("ci", json!({"spec": {"a": {"b": 1}}})).onto(web()).unwrap();
        assert!(claim("me", json!({"spec": {"a": 2}})).onto(live.clone()).is_err());
        let live = claim("ci", json!({"spec": {"a": 1}})).onto(web()).unwrap();
        assert!(claim("me", json!({"spec": {"a": {"b": 1}}})).onto(live).is_err());
    }
}
