//! What is stored, in memory: every read is answered from here, so that no read waits for a disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::{self, Row, Rows};
use super::{Kind, Object};
use crate::model::Key;

/// An object and the revision of the last write to anything but its status, which is the one its journaled row has.
#[derive(Clone)]
pub(super) struct Versioned {
    pub object: Object,
    pub main_revision: u64,
}

/// Objects parsed, everything else as text.
#[derive(Default)]
pub(super) struct State {
    objects: BTreeMap<Kind, BTreeMap<Key, Versioned>>,
    /// Rows that are no objects: memory, notes, history, ends.
    texts: BTreeMap<String, Arc<str>>,
    /// The newest revision handed out.
    pub revision: u64,
}

impl State {
    /// One object.
    pub fn object(&self, kind: Kind, key: &Key) -> Option<&Versioned> {
        self.objects.get(&kind)?.get(key)
    }

    /// Objects of a kind, of one namespace or of all, in order.
    pub fn objects(&self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = (&Key, &Object)> {
        let start = Key::new(namespace.unwrap_or_default(), "");
        let all = self.objects.get(&kind).into_iter().flat_map(move |objects| objects.range(start.clone()..));
        let all = all.map(|(key, versioned)| (key, &versioned.object));
        all.take_while(move |(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace))
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.objects.get(&kind).map_or(0, BTreeMap::len)
    }

    /// Puts or removes an object.
    pub fn set_object(&mut self, kind: Kind, key: Key, object: Option<Versioned>) {
        let objects = self.objects.entry(kind).or_default();
        match object {
            Some(object) => objects.insert(key, object),
            None => objects.remove(&key),
        };
    }

    /// A row that is no object.
    pub fn text(&self, name: &str) -> Option<&Arc<str>> {
        self.texts.get(name)
    }

    /// Rows that are no objects, whose name starts so.
    pub fn texts<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Arc<str>)> {
        let all = self.texts.range(prefix.to_owned()..).map(|(name, text)| (name.as_str(), text));
        all.take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// Puts or removes a row that is no object.
    pub fn set_text(&mut self, name: String, text: Option<Arc<str>>) {
        match text {
            Some(text) => self.texts.insert(name, text),
            None => self.texts.remove(&name),
        };
    }

    /// Every row there is, with the journal's sequence numbers.
    pub fn rows(&self, seq_of: impl Fn(&str) -> Option<u64>) -> Rows {
        let objects = self.objects.iter().flat_map(|(kind, objects)| objects.iter().map(|(key, held)| (*kind, key, held)));
        let objects = objects.flat_map(|(kind, key, Versioned { object, main_revision })| {
            let main = (row::object(kind, key), main_text(object, *main_revision));
            [Some(main), status_text(object).map(|text| (row::status(kind, key), text))].into_iter().flatten()
        });
        let texts = self.texts.iter().map(|(name, text)| (name.clone(), text.clone()));
        let rows = objects.chain(texts);
        rows.map(|(name, text)| (seq_of(&name).unwrap_or(0), name, text))
            .map(|(seq, name, text)| (name, Row { seq, text }))
            .collect()
    }

    /// Reads rows into memory. Returns the names of those that make no sense.
    pub fn load(rows: &Rows) -> (Self, Vec<String>) {
        let mut state = Self::default();
        let mut unreadable = Vec::new();
        for (name, row) in rows {
            match row::object_of(name) {
                Some((kind, key)) => match whole_object(kind, &key, row, rows) {
                    Some(versioned) => {
                        state.revision = state.revision.max(revision_of(&versioned.object));
                        state.set_object(kind, key, Some(versioned));
                    }
                    None => unreadable.push(name.clone()),
                },
                None if name.starts_with("s/") => {}
                None => state.set_text(name.clone(), Some(row.text.clone())),
            }
        }
        (state, unreadable)
    }
}

/// Text of an object's row: all but its status, at the revision of the last write to it.
pub(super) fn main_text(object: &Value, main_revision: u64) -> Arc<str> {
    let mut main = object.clone();
    if let Some(fields) = main.as_object_mut() {
        fields.shift_remove("status");
    }
    main["metadata"]["resourceVersion"] = main_revision.to_string().into();
    main.to_string().into()
}

/// Text of the row of an object's status, if it has one.
pub(super) fn status_text(object: &Value) -> Option<Arc<str>> {
    let status = object.get("status")?.clone();
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let row = StatusRow { uid, resource_version: revision_of(object), status };
    serde_json::to_string(&row).ok().map(Into::into)
}

/// Puts an object's two rows together. A status of another object of the same name, or one that cannot be read, is left out.
fn whole_object(kind: Kind, key: &Key, row: &Row, rows: &Rows) -> Option<Versioned> {
    let mut object: Value = serde_json::from_str(&row.text).ok().filter(|object: &Value| object["metadata"].is_object())?;
    let main_revision = revision_of(&object);
    let status = rows.get(&row::status(kind, key)).and_then(|row| serde_json::from_str::<StatusRow>(&row.text).ok());
    if let Some(status) = status.filter(|status| object["metadata"]["uid"] == *status.uid) {
        object["metadata"]["resourceVersion"] = status.resource_version.max(main_revision).to_string().into();
        object["status"] = status.status;
    }
    Some(Versioned { object: Arc::new(object), main_revision })
}

/// Row of an object's status: whose it is, and the revision it was written at.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusRow {
    uid: String,
    resource_version: u64,
    status: Value,
}

/// An object's resourceVersion.
pub fn revision_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
