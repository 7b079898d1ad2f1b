//! Where in an object the things stand that checks complain about.

use serde_json::Value;

use crate::crd::decode::{field_path, item_path};

/// The object as it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a>(&'a Value);

impl<'a> Places<'a> {
    /// Of this object.
    pub fn new(object: &'a Value) -> Self {
        Self(object)
    }

    /// What stands at a key of a service.
    fn at(&self, service: &str, key: &str) -> Option<&'a Value> {
        self.0.get("spec")?.get("services")?.get(service)?.get(key).filter(|value| !value.is_null())
    }

    /// Whether a part of the spec (`networks`, `volumes`, ..) has a key; one whose value is wrong counts too.
    pub fn declares(&self, part: &str, key: &str) -> bool {
        self.0.get("spec").and_then(|spec| spec.get(part)).is_some_and(|part| part.get(key).is_some())
    }

    /// The keys of a part of the spec.
    pub fn declared(&self, part: &str) -> Vec<&'a str> {
        let map = self.0.get("spec").and_then(|spec| spec.get(part)).and_then(Value::as_object);
        map.map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// Whether a service says anything about a key.
    pub fn says(&self, service: &str, key: &str) -> bool {
        self.at(service, key).is_some()
    }

    /// The path of a service's key.
    pub fn key(&self, service: &str, key: &str) -> String {
        field_path(&field_path("spec.services", service), key)
    }

    /// The path of the entry named `name` in a service's list or map: the item that is or starts with that name (up to a
    /// colon), or whose `source` or `target` it is, or the map's key. Else the path of the key itself.
    pub fn entry(&self, service: &str, key: &str, name: &str) -> String {
        let path = self.key(service, key);
        let names = |item: &Value| match item {
            Value::String(text) => text.split(':').any(|part| part.trim_end_matches('/') == name),
            Value::Object(map) => ["source", "target"].iter().any(|key| map.get(*key).and_then(Value::as_str) == Some(name)),
            _ => false,
        };
        match self.at(service, key) {
            Some(Value::Array(items)) => items.iter().position(names).map_or(path.clone(), |index| item_path(&path, index)),
            Some(Value::Object(map)) if map.contains_key(name) => field_path(&path, name),
            _ => path,
        }
    }

    /// The paths of a service's list items that `is` true of.
    pub fn items(&self, service: &str, key: &str, is: impl Fn(&Value) -> bool) -> Vec<String> {
        let Some(Value::Array(items)) = self.at(service, key) else { return Vec::new() };
        let path = self.key(service, key);
        items.iter().enumerate().filter(|(_, item)| is(item)).map(|(index, _)| item_path(&path, index)).collect()
    }

    /// The path of what makes `service` depend on `other`.
    pub fn dependency(&self, service: &str, other: &str) -> String {
        const LISTS: [&str; 3] = ["depends_on", "links", "volumes_from"];
        const WORDS: [&str; 5] = ["network_mode", "ipc", "pid", "uts", "cgroup"];
        let list =
            LISTS.iter().map(|key| (self.entry(service, key, other), self.key(service, key))).find(|(entry, key)| entry != key);
        let mode = format!("service:{other}");
        let word = WORDS.iter().find(|key| self.at(service, key).and_then(Value::as_str) == Some(&mode));
        list.map(|(entry, _)| entry)
            .or_else(|| word.map(|key| self.key(service, key)))
            .unwrap_or_else(|| self.key(service, "depends_on"))
    }
}
