//! YAML or JSON text to a JSON value: merge keys resolved, tags and odd keys refused.

use serde_json::{Map, Number, Value};
use serde_yaml::Value as Yaml;

use super::FieldError;
use crate::crd::decode::{field_path, item_path};

/// A document that could be read, and what in it has no place in a manifest.
#[derive(Debug)]
pub(super) struct Read {
    pub value: Value,
    pub errors: Vec<FieldError>,
}

/// A document that could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub message: String,
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    /// A key stands twice: the text itself is sound.
    pub duplicate_keys: bool,
}

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Read, Unreadable> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(Read { value, errors: Vec::new() });
    }
    let yaml: Yaml = serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map(|location| (location.line(), location.column()));
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        Unreadable {
            message: format!("cannot be read as YAML: {}", in_words(text, place, message)),
            place,
            duplicate_keys: message.contains("duplicate entry"),
        }
    })?;
    let mut errors = Vec::new();
    Ok(Read { value: convert(yaml, "", &mut errors), errors })
}

/// What keeps a text from being YAML at a place (line and column, from 1), where the parser says `message`.
pub fn in_words<'m>(text: &str, place: Option<(usize, usize)>, message: &'m str) -> &'m str {
    if is_tab(text, place) { "a tab stands here; YAML is indented with spaces" } else { message }
}

/// Whether a tab stands at or before a place in its line: the parser only says that no token can start there.
fn is_tab(text: &str, place: Option<(usize, usize)>) -> bool {
    let Some((line, column)) = place else { return false };
    let before = text.lines().nth(line - 1).into_iter().flat_map(|line| line.chars().take(column));
    let mut indent = before.skip_while(|c| *c == ' ');
    indent.next() == Some('\t')
}

fn convert(yaml: Yaml, path: &str, errors: &mut Vec<FieldError>) -> Value {
    let mut wrong = |message: String| {
        errors.push(FieldError { path: path.to_owned(), message, location: None });
        Value::Null
    };
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::String(text) => Value::String(text),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64().and_then(Number::from_f64)) {
            (Some(number), _, _) => number.into(),
            (None, Some(number), _) => number.into(),
            (None, None, Some(number)) => Value::Number(number),
            (None, None, None) => wrong("must be a finite number, or text in quotes".to_owned()),
        },
        Yaml::Sequence(items) => Value::Array(
            items.into_iter().enumerate().map(|(index, item)| convert(item, &item_path(path, index), errors)).collect(),
        ),
        Yaml::Mapping(map) => mapping(map, path, errors),
        Yaml::Tagged(tagged) => wrong(format!("the YAML tag {} has no meaning here", tagged.tag)),
    }
}

/// A mapping with what its `<<` bring in: own keys win, then earlier maps.
fn mapping(map: serde_yaml::Mapping, path: &str, errors: &mut Vec<FieldError>) -> Value {
    let mut own = Map::new();
    let mut merged = Vec::new();
    for (key, value) in map {
        match key {
            Yaml::String(key) if key == "<<" => merged.push(convert(value, path, errors)),
            Yaml::String(key) => {
                let value = convert(value, &field_path(path, &key), errors);
                own.insert(key, value);
            }
            key => {
                let shown = serde_yaml::to_string(&key).unwrap_or_default();
                let message = format!("the key {} must be text: write it in quotes", shown.trim_end());
                errors.push(FieldError { path: path.to_owned(), message, location: None });
            }
        }
    }
    let sources = merged.into_iter().flat_map(|value| match value {
        Value::Array(values) => values,
        value => vec![value],
    });
    for source in sources {
        let Value::Object(source) = source else {
            let message = "<< must name a map or a list of maps".to_owned();
            errors.push(FieldError { path: path.to_owned(), message, location: None });
            continue;
        };
        for (key, value) in source {
            own.entry(key).or_insert(value);
        }
    }
    Value::Object(own)
}
