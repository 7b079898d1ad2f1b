//! A small decoder over JSON values that goes on after an error: all that is wrong comes back at once, each with its path.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::FieldError;

/// Where errors and warnings of one object are gathered.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Unknown fields are warnings.
    lenient: bool,
    errors: RefCell<Vec<FieldError>>,
    warnings: RefCell<Vec<String>>,
    unknown: RefCell<Vec<String>>,
}

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// All that is wrong, in the order it was met.
    pub errors: Vec<FieldError>,
    /// Things worth a word.
    pub warnings: Vec<String>,
    /// Paths of unknown fields that were let pass.
    pub unknown: Vec<String>,
}

impl Sink {
    /// An empty one.
    pub fn new(lenient: bool) -> Self {
        Self { lenient, ..Self::default() }
    }

    /// Records an error.
    pub fn error(&self, path: &str, message: impl Into<String>) {
        self.errors.borrow_mut().push(FieldError { path: path.to_owned(), message: message.into(), location: None });
    }

    /// Records a warning.
    pub fn warn(&self, path: &str, message: &str) {
        self.warnings.borrow_mut().push(format!("{path}: {message}"));
    }

    /// Records a field that nobody knows.
    fn unknown(&self, path: &str, message: &str) {
        if self.lenient {
            self.warn(path, message);
            self.unknown.borrow_mut().push(path.to_owned());
        } else {
            self.error(path, message);
        }
    }

    /// What was gathered.
    pub fn into_findings(self) -> Findings {
        Findings { errors: self.errors.into_inner(), warnings: self.warnings.into_inner(), unknown: self.unknown.into_inner() }
    }
}

/// The path of a field: `spec.services.web`; a key with dots or brackets stands in brackets: `metadata.labels[a.b/c]`.
pub(crate) fn field_path(parent: &str, key: &str) -> String {
    if key.is_empty() || key.contains(['.', '[', ']', ' ']) {
        format!("{parent}[{key}]")
    } else if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// The path of a list's item: `spec.services.web.ports[1]`.
pub(crate) fn item_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// One value, its path, and where to complain about it.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    /// The value.
    pub value: &'a Value,
    /// Its path.
    pub path: String,
    /// Where to complain.
    pub sink: &'a Sink,
}

impl<'a> Node<'a> {
    /// A node.
    pub fn new(value: &'a Value, path: impl Into<String>, sink: &'a Sink) -> Self {
        Self { value, path: path.into(), sink }
    }

    /// Records what is wrong with it; there is no value then.
    pub fn fail<T>(&self, message: impl Into<String>) -> Option<T> {
        self.sink.error(&self.path, message);
        None
    }

    /// Records that something else was expected. The value itself is not shown: it may be a secret.
    pub fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        self.fail(format!("must be {what}, found {found}"))
    }

    /// Records something worth a word.
    pub fn warn(&self, message: &str) {
        self.sink.warn(&self.path, message);
    }

    /// A map whose keys are known; its owner calls [`Fields::finish`].
    pub fn fields(&self) -> Option<Fields<'a>> {
        match self.value {
            Value::Object(map) => Some(Fields { node: self.clone(), map, known: Vec::new() }),
            _ => self.expected("a map"),
        }
    }

    /// A map with keys of the user's choice.
    pub fn entries(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        let Value::Object(map) = self.value else { return self.expected("a map") };
        Some(map.iter().map(|(key, value)| (key.as_str(), self.child(field_path(&self.path, key), value))).collect())
    }

    /// A list.
    pub fn items(&self) -> Option<Vec<Node<'a>>> {
        let Value::Array(items) = self.value else { return self.expected("a list") };
        Some(items.iter().enumerate().map(|(index, value)| self.child(item_path(&self.path, index), value)).collect())
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }

    fn child(&self, path: String, value: &'a Value) -> Self {
        Self { value, path, sink: self.sink }
    }
}

/// A map whose keys are known. Keys that nobody asked for are unknown, but for extensions (`x-..`).
#[derive(Debug)]
pub(super) struct Fields<'a> {
    node: Node<'a>,
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The field, if it is there and not null.
    pub fn get(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(self.node.child(field_path(&self.node.path, key), value))
    }

    /// What the field reads as, if it is there and right.
    pub fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        self.get(key).and_then(|node| read(&node))
    }

    /// What the field reads as, or the type's empty value.
    pub fn or_default<T: Default>(&mut self, key: &'static str, read: impl FnOnce(&Node<'a>) -> Option<T>) -> T {
        self.read(key, read).unwrap_or_default()
    }

    /// As [`Fields::read`]; one that is missing is an error.
    pub fn required<T>(&mut self, key: &'static str, read: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(node) => read(&node),
            None => {
                self.node.sink.error(&field_path(&self.node.path, key), "is required");
                None
            }
        }
    }

    /// Whether the field is there and not null, whatever is in it.
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// A field that Compose knows and evenkeel does not: refused by name, never ignored.
    pub fn refuse(&mut self, key: &'static str, why: &str) {
        if let Some(node) = self.get(key) {
            node.fail::<()>(unsupported(key, why));
        }
    }

    /// Complains about keys that nobody asked for.
    pub fn finish(self) {
        for key in self.map.keys().filter(|key| !key.starts_with("x-") && !self.known.contains(&key.as_str())) {
            let message = format!("unknown field {key:?}{}", did_you_mean(key, &self.known));
            self.node.sink.unknown(&field_path(&self.node.path, key), &message);
        }
    }
}

/// What is said of a Compose key or word that is valid and not supported.
pub(super) fn unsupported(what: &str, why: &str) -> String {
    let dot = if why.is_empty() { "" } else { ": " };
    format!("{what} is not supported yet by evenkeel{dot}{why}")
}

/// `: did you mean "ports"?`, or the known words if they are few, or nothing.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let lower = word.to_lowercase().replace('-', "_");
    let near = known.iter().map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)).min();
    match near {
        Some((distance, candidate)) if distance <= 1 + word.chars().count() / 4 => format!(": did you mean {candidate:?}?"),
        _ if (1..=8).contains(&known.len()) => format!(": known here are {}", known.join(", ")),
        _ => String::new(),
    }
}

/// The object without the fields at these paths.
pub(super) fn without(value: Value, path: &str, unknown: &[String]) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(key, value)| {
                let path = field_path(path, &key);
                (!unknown.contains(&path)).then(|| (key, without(value, &path, unknown)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().enumerate().map(|(i, item)| without(item, &item_path(path, i), unknown)).collect())
        }
        scalar => scalar,
    }
}
