//! What the store owns of an object: uid, times, generation, resourceVersion, and when it goes.

use serde_json::{Map, Value};

use super::state::revision_of;
use super::writer::Batch;
use super::{ChangeKind, Kind, Object, Part, Result, StoreError};
use crate::model::Key;

/// Fields of the metadata that no write changes.
const OWNED: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Namespace and name of an object.
pub(super) fn key_of(object: &Value) -> Result<Key> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| StoreError::Corrupt("an object without metadata.name cannot be stored".into()))?;
    Ok(Key::new(metadata["namespace"].as_str().unwrap_or("default"), name))
}

/// See [`Store::create`](super::Store::create).
pub(super) fn create(batch: &mut Batch<'_>, kind: Kind, mut object: Value) -> Result<Object> {
    let key = key_of(&object)?;
    if batch.object(kind, &key).is_some() {
        return Err(StoreError::AlreadyExists { kind, key });
    }
    let fields = fields(&mut object);
    fields.shift_remove("status");
    let metadata = metadata(fields);
    for field in OWNED {
        metadata.shift_remove(field);
    }
    metadata.insert("name".into(), key.name.clone().into());
    metadata.insert("namespace".into(), key.namespace.clone().into());
    metadata.insert("uid".into(), batch.next_uid().into());
    metadata.insert("creationTimestamp".into(), seconds(batch.now()).into());
    metadata.insert("generation".into(), 1.into());
    Ok(batch.put(kind, &key, Part::Main, ChangeKind::Added, object))
}

/// See [`Store::modify`](super::Store::modify).
pub(super) fn modify<E: From<StoreError>>(
    batch: &mut Batch<'_>,
    kind: Kind,
    key: &Key,
    part: Part,
    expected: Option<u64>,
    change: impl FnOnce(&mut Value) -> std::result::Result<(), E>,
) -> std::result::Result<Object, E> {
    let old = batch.object(kind, key).ok_or_else(|| StoreError::NotFound { kind, key: key.clone() })?;
    let found = revision_of(&old);
    if let Some(wanted) = expected.filter(|wanted| *wanted != found) {
        return Err(StoreError::Conflict { kind, key: key.clone(), wanted: wanted.to_string(), found }.into());
    }
    let mut new = Value::clone(&old);
    change(&mut new)?;
    let mut new = merged(part, &old, new);
    if new == *old {
        return Ok(old);
    }
    let deleting = !old["metadata"]["deletionTimestamp"].is_null();
    if deleting && !has_finalizers(&new) {
        return Ok(batch.remove(kind, key, new));
    }
    if new.get("spec") != old.get("spec") {
        bump_generation(&mut new);
    }
    Ok(batch.put(kind, key, part, ChangeKind::Modified, new))
}

/// What comes of writing a part of `new` over `old`: the other part and what the store owns stay.
pub fn merged(part: Part, old: &Value, mut new: Value) -> Value {
    match part {
        Part::Main => with_owned_of(old, new),
        Part::Status => with_status(old, new.get_mut("status").map(Value::take)),
    }
}

/// See [`Store::delete`](super::Store::delete).
pub(super) fn delete<E: From<StoreError>>(
    batch: &mut Batch<'_>,
    kind: Kind,
    key: &Key,
    change: impl FnOnce(&mut Value) -> std::result::Result<(), E>,
) -> std::result::Result<(Object, bool), E> {
    let old = batch.object(kind, key).ok_or_else(|| StoreError::NotFound { kind, key: key.clone() })?;
    let mut last = Value::clone(&old);
    change(&mut last)?;
    let mut last = merged(Part::Main, &old, last);
    if !has_finalizers(&last) {
        return Ok((batch.remove(kind, key, last), true));
    }
    if !old["metadata"]["deletionTimestamp"].is_null() {
        let same = last == *old;
        return Ok((if same { old } else { batch.put(kind, key, Part::Main, ChangeKind::Modified, last) }, false));
    }
    last["metadata"]["deletionTimestamp"] = seconds(batch.now()).into();
    last["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    bump_generation(&mut last);
    Ok((batch.put(kind, key, Part::Main, ChangeKind::Modified, last), false))
}

/// Refuses an object of another uid.
pub fn expect_uid(kind: Kind, object: &Value, expected: Option<String>) -> Result<()> {
    match expected.filter(|wanted| object["metadata"]["uid"] != **wanted) {
        Some(wanted) => {
            let (key, found) = (key_of(object)?, revision_of(object));
            Err(StoreError::Conflict { kind, key, wanted: format!("of uid {wanted}"), found })
        }
        None => Ok(()),
    }
}

/// A time as Kubernetes writes it.
pub(super) fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn bump_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = (generation + 1).into();
}

fn with_owned_of(old: &Value, mut new: Value) -> Value {
    let all = fields(&mut new);
    for field in ["apiVersion", "kind", "status"] {
        put_back(all, old, field);
    }
    let metadata = metadata(all);
    for field in OWNED {
        put_back(metadata, &old["metadata"], field);
    }
    new
}

fn with_status(old: &Value, status: Option<Value>) -> Value {
    let mut new = old.clone();
    match status.filter(|status| !status.is_null()) {
        Some(status) => new["status"] = status,
        None => drop(fields(&mut new).shift_remove("status")),
    }
    new
}

fn put_back(fields: &mut Map<String, Value>, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => drop(fields.insert(field.into(), value.clone())),
        None => drop(fields.shift_remove(field)),
    }
}

fn metadata(fields: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    self::fields(metadata)
}

/// The fields of what must be an object; anything else becomes an empty one.
fn fields(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object above"),
    }
}
