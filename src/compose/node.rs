//! The tree a Compose file is worked on as: each value knows where it was written.

use std::collections::BTreeMap;

use serde_json::{Number, json};

/// A place in one of the files read: number of the file, line and column (from 1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index into the names of the files read.
    pub file: usize,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A value with the place of its key, or of itself within a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub place: Place,
}

/// Keys are sorted: nothing in Compose depends on the order of a map.
pub(super) type Map = BTreeMap<String, Node>;

/// What YAML can say, as go-yaml reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above those.
    Big(u64),
    /// A number.
    Float(f64),
    /// A date, kept as RFC 3339 text.
    Time(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Map),
}

/// Where a value came from does not make it another.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// Text that stands there.
    pub fn text(text: impl Into<String>, place: Place) -> Self {
        Self { value: Value::Text(text.into()), place }
    }

    /// A map that stands there.
    pub fn map<const N: usize>(entries: [(&str, Node); N], place: Place) -> Self {
        let entries = entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect();
        Self { value: Value::Map(entries), place }
    }

    /// Another value in the same place.
    pub fn with(&self, value: Value) -> Self {
        Self { value, place: self.place }
    }

    /// Its entries, if it is a map.
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// Its entries, if it is a map.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// Its items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// Its text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What stands under a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// The place of a field, or of the nearest ancestor that is there.
    pub fn locate(&self, steps: &[&str]) -> Place {
        let mut node = self;
        for step in steps {
            let child = match &node.value {
                Value::Map(map) => map.get(*step),
                Value::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match child {
                Some(child) => node = child,
                None => break,
            }
        }
        node.place
    }

    /// As Go prints a value where text is wanted.
    pub fn print(&self) -> String {
        match &self.value {
            Value::Null => "<nil>".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Big(number) => number.to_string(),
            Value::Float(number) => print_float(*number),
            Value::Time(text) | Value::Text(text) => text.clone(),
            Value::List(items) => format!("[{}]", items.iter().map(Node::print).collect::<Vec<_>>().join(" ")),
            Value::Map(map) => {
                let entries: Vec<String> = map.iter().map(|(key, node)| format!("{key}:{}", node.print())).collect();
                format!("map[{}]", entries.join(" "))
            }
        }
    }

    /// As JSON; an empty list has become nothing on Compose's way, and so it does here.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => json!(null),
            Value::Bool(flag) => json!(flag),
            Value::Int(number) => json!(number),
            Value::Big(number) => json!(number),
            Value::Float(number) => json_float(*number),
            Value::Time(text) | Value::Text(text) => json!(text),
            Value::List(items) if items.is_empty() => json!(null),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
        }
    }

    /// Whether a number in it cannot be written as JSON.
    pub fn has_infinity(&self) -> bool {
        match &self.value {
            Value::Float(number) => !number.is_finite(),
            Value::List(items) => items.iter().any(Node::has_infinity),
            Value::Map(map) => map.values().any(Node::has_infinity),
            _ => false,
        }
    }

    /// What kind of value it is, for people.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Big(_) | Value::Float(_) => "a number",
            Value::Time(_) => "a date",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// A number as Go prints it: `1`, `0.5`, `1.5e+06`.
fn print_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    number.to_string()
}

/// A whole number without a fraction, as Go writes it.
#[expect(clippy::cast_possible_truncation, reason = "whole and within i64 by the check")]
pub(super) fn json_float(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return json!(number as i64);
    }
    Number::from_f64(number).map_or(json!(null), serde_json::Value::Number)
}

/// The way to a value: keys and positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(pub Vec<Step>);

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a map.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

impl Path {
    /// One step on.
    pub fn key(&self, key: &str) -> Self {
        self.next(Step::Key(key.to_owned()))
    }

    /// One step on.
    pub fn item(&self, index: usize) -> Self {
        self.next(Step::Item(index))
    }

    fn next(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Of keys alone.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// Whether it is of the form `services.*.ports`; `*` stands for any one step.
    pub fn is(&self, pattern: &str) -> bool {
        let mut parts = pattern.split('.');
        let right = self.0.iter().all(|step| match (parts.next(), step) {
            (Some("*"), _) => true,
            (Some(part), Step::Key(key)) => part == key,
            _ => false,
        });
        right && parts.next().is_none()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) => crate::crd::field_path(&path, key),
            Step::Item(index) => crate::crd::item_path(&path, *index),
        });
        f.write_str(&text)
    }
}
