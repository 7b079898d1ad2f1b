//! The Compose Specification's own schema held against a tree: unknown keys, wrong types, missing fields.
//!
//! `schema.json` is `compose-spec.json` of compose-go 2.9.1 without its descriptions (Apache License 2.0, The Compose
//! Specification Authors).

use std::sync::OnceLock;

use serde_json::Value as Json;

use super::node::{Node, Path, Place, Value};
use super::sink::Sink;

/// What is wrong.
struct Found {
    path: Path,
    place: Place,
    /// How deep it lies: of several forms, the one that fits best fails deepest.
    depth: usize,
    message: String,
    /// What was wanted instead, if only the kind of the value is wrong.
    wanted: Option<String>,
}

#[expect(clippy::expect_used, reason = "the schema is part of the program, and a test reads it")]
fn schema() -> &'static Json {
    static SCHEMA: OnceLock<Json> = OnceLock::new();
    SCHEMA.get_or_init(|| serde_json::from_str(include_str!("schema.json")).expect("the schema is JSON"))
}

/// Tells everything in a tree that the Specification does not allow.
pub(super) fn validate(root: &Node, sink: &Sink) {
    let mut found = Vec::new();
    check(schema(), root, &Path::default(), &mut found);
    for wrong in found {
        sink.error(&wrong.path, wrong.place, wrong.message);
    }
}

/// The keys of a service that the Specification knows.
#[cfg(test)]
pub(super) fn service_keys() -> Vec<&'static str> {
    let keys = schema()["definitions"]["service"]["properties"].as_object().map(|keys| keys.keys());
    keys.into_iter().flatten().map(String::as_str).collect()
}

fn check(schema: &Json, node: &Node, path: &Path, found: &mut Vec<Found>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/definitions/");
        return check(&self::schema()["definitions"][name], node, path, found);
    }
    if !types(schema, node, path, found) {
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.iter().any(|word| node.as_text() == word.as_str())
    {
        let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        found.push(wrong(node, path, format!("must be one of {}, not {}", words.join(", "), node.print())));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), node.as_text())
        && !matches(pattern, text)
    {
        found.push(wrong(node, path, format!("must match {pattern}, and {text:?} does not")));
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        one_of(forms, node, path, found);
    }
    bounds(schema, node, path, found);
    match &node.value {
        Value::Map(_) => map(schema, node, path, found),
        Value::List(items) => list(schema, items, path, found),
        _ => {}
    }
}

fn wrong(node: &Node, path: &Path, message: String) -> Found {
    Found { path: path.clone(), place: node.place, depth: path.0.len(), message, wanted: None }
}

/// Whether the value is of a kind that is allowed.
fn types(schema: &Json, node: &Node, path: &Path, found: &mut Vec<Found>) -> bool {
    let wanted: Vec<&str> = match &schema["type"] {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ => return true,
    };
    let is = |kind: &&str| match (*kind, &node.value) {
        ("integer", Value::Float(number)) => number.fract() == 0.0,
        ("integer" | "number", Value::Int(_) | Value::Big(_)) | ("number", Value::Float(_)) => true,
        ("string", Value::Text(_)) | ("boolean", Value::Bool(_)) | ("null", Value::Null) => true,
        ("array", Value::List(_)) | ("object", Value::Map(_)) => true,
        _ => false,
    };
    if wanted.iter().any(is) {
        return true;
    }
    let word = |kind: &str| match kind {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a map",
        _ => "nothing",
    };
    let wanted: Vec<&str> = wanted.into_iter().filter(|kind| *kind != "null").map(word).collect();
    let wanted = wanted.join(" or ");
    let mut error = wrong(node, path, format!("must be {wanted}, not {}", shown(node)));
    error.wanted = Some(wanted);
    found.push(error);
    false
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Time(_) => {
            format!("{} ({}); write it in quotes if it is meant as text", node.kind(), node.print())
        }
        _ => node.kind().to_owned(),
    }
}

fn one_of(forms: &[Json], node: &Node, path: &Path, found: &mut Vec<Found>) {
    let mut failed: Vec<Vec<Found>> = Vec::new();
    for form in forms {
        let mut wrong = Vec::new();
        check(form, node, path, &mut wrong);
        if wrong.is_empty() {
            return;
        }
        failed.push(wrong);
    }
    let kinds: Vec<String> = failed.iter().filter_map(|errors| errors.first()?.wanted.clone()).collect();
    let here = |errors: &Vec<Found>| errors.len() == 1 && errors[0].depth == path.0.len() && errors[0].wanted.is_some();
    if failed.iter().all(here) {
        let wanted = kinds.into_iter().filter(|kind| kind != "nothing" && !kind.is_empty()).collect::<Vec<_>>().join(" or ");
        let mut error = wrong(node, path, format!("must be {wanted}, not {}", shown(node)));
        error.wanted = Some(wanted);
        found.push(error);
        return;
    }
    let deepest = |errors: &Vec<Found>| errors.iter().map(|error| error.depth).max().unwrap_or_default();
    let best = failed.into_iter().reduce(|best, errors| if deepest(&errors) > deepest(&best) { errors } else { best });
    found.extend(best.unwrap_or_default());
}

fn bounds(schema: &Json, node: &Node, path: &Path, found: &mut Vec<Found>) {
    #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
    let number = match node.value {
        Value::Int(number) => number as f64,
        Value::Big(number) => number as f64,
        Value::Float(number) => number,
        _ => return,
    };
    if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
        found.push(wrong(node, path, format!("must be at least {least}")));
    }
    if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
        found.push(wrong(node, path, format!("must be at most {most}")));
    }
}

fn map(schema: &Json, node: &Node, path: &Path, found: &mut Vec<Found>) {
    let Some(map) = node.as_map() else { return };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if !map.contains_key(required) {
            found.push(wrong(node, path, format!("is missing {required}")));
        }
    }
    let patterns = schema["patternProperties"].as_object();
    for (key, value) in map {
        let here = path.key(key);
        let mut known = false;
        if let Some(property) = schema["properties"].get(key) {
            known = true;
            check(property, value, &here, found);
        }
        for (_, property) in patterns.into_iter().flatten().filter(|(pattern, _)| matches(pattern, key)) {
            known = true;
            check(property, value, &here, found);
        }
        if !known && schema["additionalProperties"] == Json::Bool(false) {
            let mut error = wrong(value, &here, unknown(schema, key, value));
            // As deep as what it stands beside, and telling more than that.
            error.depth = here.0.len();
            found.push(error);
        }
    }
}

/// Words for a key that nobody knows.
fn unknown(schema: &Json, key: &str, value: &Node) -> String {
    let Some(keys) = schema["properties"].as_object() else {
        return format!("{key:?} cannot be a name here: letters, digits, '.', '_' and '-' can");
    };
    let near = keys.keys().map(|known| (strsim::damerau_levenshtein(known, key), known)).filter(|(far, _)| *far <= 2).min();
    match near {
        Some((_, near)) => format!("is no key of Compose here: did you mean {near}?"),
        None if value.as_map().is_some() && keys.len() < 20 => {
            let known = keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("is no key of Compose here: known are {known}")
        }
        None => "is no key of Compose here".to_owned(),
    }
}

fn list(schema: &Json, items: &[Node], path: &Path, found: &mut Vec<Found>) {
    if let Some(item_schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            check(item_schema, item, &path.item(index), found);
        }
    }
    if schema["uniqueItems"] == Json::Bool(true) {
        for (index, item) in items.iter().enumerate() {
            if let Some(first) = items[..index].iter().position(|other| same(other, item)) {
                let message = format!("stands here a second time (it is item {first} too): keep one");
                found.push(wrong(item, &path.item(index), message));
            }
        }
    }
}

/// Numbers are the same by their value.
fn same(one: &Node, other: &Node) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "as JSON has it")]
    let number = |node: &Node| match node.value {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    };
    one == other || matches!((number(one), number(other)), (Some(one), Some(other)) if one == other)
}

/// The regular expressions of the schema; they are few.
fn matches(pattern: &str, text: &str) -> bool {
    let name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    match pattern {
        "^x-" => text.starts_with("x-"),
        "^[a-zA-Z0-9._-]+$" => !text.is_empty() && text.chars().all(name),
        "^[a-z]+$" => !text.is_empty() && text.chars().all(|char| char.is_ascii_lowercase()),
        "^.+$" => !text.is_empty() && !text.contains('\n'),
        ".+" => text.chars().any(|char| char != '\n'),
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+" => {
            let chars: Vec<char> = text.chars().collect();
            chars.windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && name(pair[1]))
        }
        _ => {
            ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"]
                .into_iter()
                .any(|word| text.contains(word))
                || every(text)
        }
    }
}

/// `every_([0-9]+[wdhms])+`
fn every(text: &str) -> bool {
    text.match_indices("every_").any(|(at, word)| {
        let rest = &text[at + word.len()..];
        let after = rest.trim_start_matches(|char: char| char.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(['w', 'd', 'h', 'm', 's'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All patterns below a schema.
    fn patterns(schema: &Json, found: &mut Vec<String>) {
        match schema {
            Json::Object(map) => {
                for (key, value) in map {
                    match (key.as_str(), value) {
                        ("pattern", Json::String(pattern)) => found.push(pattern.clone()),
                        ("patternProperties", Json::Object(map)) => found.extend(map.keys().cloned()),
                        _ => {}
                    }
                    patterns(value, found);
                }
            }
            Json::Array(items) => items.iter().for_each(|item| patterns(item, found)),
            _ => {}
        }
    }

    #[test]
    fn all_patterns_of_the_schema_are_known() {
        let mut found = Vec::new();
        patterns(schema(), &mut found);
        found.sort();
        found.dedup();
        let pull = "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+";
        let known = [".+", "[a-zA-Z0-9][a-zA-Z0-9_.-]+", "^.+$", "^[a-zA-Z0-9._-]+$", "^[a-z]+$", "^x-", pull].map(str::to_owned);
        assert_eq!(found, known);
        assert!(service_keys().len() >= 92, "{}", service_keys().len());
    }
}
