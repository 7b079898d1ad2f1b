//! Real Compose files with docker compose's own verdict and normalised form, held against the reader.
//!
//! The corpus lies outside of the project: `EVENKEEL_CORPUS` names it, without it these tests say so and pass.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::Project;
use crate::crd::yaml::parse_manifests;
use crate::crd::{Deployment, FieldError, Kind, admit};

/// One file of the corpus.
pub(crate) struct Sample {
    /// Where it comes from.
    pub(crate) id: String,
    text: String,
    env: Value,
    /// Compose's normalised form, with literal dollars.
    pub(crate) config: Value,
}

/// The files that docker compose accepts; `None` when there is no corpus.
pub(crate) fn accepted() -> Option<Vec<Sample>> {
    let Some(path) = std::env::var_os("EVENKEEL_CORPUS") else {
        eprintln!("skipped: EVENKEEL_CORPUS is not set");
        return None;
    };
    let unpacked = Command::new("gzip").arg("-dc").arg(path).output().expect("gzip runs");
    assert!(unpacked.status.success(), "EVENKEEL_CORPUS cannot be unpacked");
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let lines = String::from_utf8(unpacked.stdout).expect("the corpus is UTF-8");
    let samples = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let accepted = samples.filter(|sample| sample["accepted"] == json!(true));
    Some(
        accepted
            .map(|mut sample| Sample {
                id: text(&sample, "id"),
                text: text(&sample, "text"),
                env: sample["env"].take(),
                config: unescaped(&sample["config"]),
            })
            .collect(),
    )
}

/// What a sample came to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Read as Compose reads it.
    Same,
    /// The test cannot say.
    OutOfScope(&'static str),
    /// Refused by name, as documented.
    NotYet(String),
    /// Compose lets pass what a Deployment may not have.
    Stricter(&'static str),
    /// Read differently.
    Differs(String),
    /// Not read.
    Failed(String),
}

/// What a Deployment may not have although Compose lets it pass.
const STRICTER: [&str; 5] =
    ["is mounted twice", "host port", "do not resolve", "cannot be given beside network_mode", "must be host"];

fn judge(sample: &Sample) -> Outcome {
    let documents = parse_manifests(&sample.id, &sample.text);
    let [document] = documents.as_slice() else { return Outcome::OutOfScope("several documents") };
    if document.errors.iter().any(|error| error.message.contains("YAML tag")) {
        return Outcome::OutOfScope("YAML tags");
    }
    let Value::Object(top) = &document.value else { return Outcome::Failed(document.errors[0].to_string()) };
    if ["include", "models"].iter().any(|key| top.contains_key(*key)) {
        return Outcome::OutOfScope("include or models at the top");
    }
    let mut spec = serde_json::Map::from_iter([("profiles".to_owned(), json!(["*"]))]);
    for part in ["services", "networks", "volumes", "secrets", "configs"] {
        let Some(value) = top.get(part).filter(|value| !value.is_null()) else { continue };
        let Some(value) = literal(value, &sample.env) else {
            return Outcome::OutOfScope("odd interpolation, or paths above the folder or at home");
        };
        spec.insert(part.to_owned(), value);
    }
    let object = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "proj"}, "spec": spec});
    if let Err(errors) = admit(Kind::Deployment, object.clone(), None, false) {
        return refusal(errors);
    }
    let deployment: Deployment = serde_json::from_value(object).expect("an admitted object is a Deployment");
    let project = Project::read("proj", &deployment.spec).expect("an admitted object is read");
    compare(&serde_json::to_value(&project).expect("a project is JSON"), &sample.config)
}

fn refusal(errors: Vec<FieldError>) -> Outcome {
    let not_yet =
        |error: &FieldError| ["supported yet by evenkeel", "is a relative path"].iter().any(|rule| error.message.contains(rule));
    let stricter = |error: &FieldError| STRICTER.into_iter().find(|rule| error.message.contains(rule));
    match errors.iter().find(|error| !not_yet(error) && stricter(error).is_none()) {
        Some(error) => Outcome::Failed(error.to_string()),
        None => match errors.iter().find(|error| not_yet(error)) {
            Some(error) => Outcome::NotYet(error.message.clone()),
            None => Outcome::Stricter(errors.iter().find_map(stricter).unwrap_or_default()),
        },
    }
}

/// What Compose makes of its own business before this model comes in: variables replaced, relative binds made absolute.
fn literal(value: &Value, env: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => {
            let text = interpolate(text, env)?;
            let bind = text.starts_with(['.', '~']) && text.contains(":/");
            Value::String(if bind { absolute(&text)? } else { text })
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| literal(item, env)).collect::<Option<_>>()?),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                let mut value = literal(value, env)?;
                if let ("build" | "context", Value::String(text)) = (key.as_str(), &mut value)
                    && !text.contains(':')
                {
                    *text = absolute(text)?;
                }
                if let ("source" | "file", Value::String(text)) = (key.as_str(), &mut value)
                    && !text.starts_with('/')
                    && (key == "file" || text.starts_with('.'))
                {
                    *text = absolute(text)?;
                }
                Some((key.clone(), value))
            };
            Value::Object(map.iter().map(entry).collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

/// The relative host path in front of a mount, from `/project`; nothing for what lies above that or at home.
fn absolute(mount: &str) -> Option<String> {
    let (path, rest) = mount.split_once(':').map_or((mount, String::new()), |(path, rest)| (path, format!(":{rest}")));
    let mut parts = vec!["project"];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.len() > 1 => drop(parts.pop()),
            ".." | "~" => return None,
            part => parts.push(part),
        }
    }
    Some(format!("/{}{rest}", parts.join("/")))
}

/// `$$`, `$A`, `${A}`, `${A:-b}` and `${A-b}`; nothing for the rest.
fn interpolate(text: &str, env: &Value) -> Option<String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{');
        let named = braced.unwrap_or(after);
        let end = named.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(named.len());
        let (name, after) = named.split_at(end);
        if name == "HOME" {
            return None;
        }
        let value = if name == "COMPOSE_PROJECT_NAME" { Some("proj") } else { env[name].as_str() };
        if braced.is_none() && name.is_empty() {
            result.push('$');
        }
        if braced.is_none() {
            result.push_str(value.unwrap_or_default());
            rest = after;
            continue;
        }
        let (default, after) = after.split_once('}')?;
        match default.strip_prefix(":-") {
            Some(default) if !default.contains('$') => {
                result.push_str(value.filter(|value| !value.is_empty()).unwrap_or(default))
            }
            None if default.is_empty() => result.push_str(value.unwrap_or_default()),
            None if default.starts_with('-') && !default.contains('$') => result.push_str(value.unwrap_or(&default[1..])),
            _ => return None,
        }
        rest = after;
    }
    result.push_str(rest);
    Some(result)
}

/// As it is, `$$` of Compose's output being one `$`.
fn unescaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("$$", "$")),
        Value::Array(items) => Value::Array(items.iter().map(unescaped).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), unescaped(value))).collect()),
        other => other.clone(),
    }
}

/// The first place where they differ, resources that no service uses aside (Compose leaves them out).
fn compare(ours: &Value, theirs: &Value) -> Outcome {
    for part in ["services", "networks", "volumes", "secrets", "configs"] {
        let empty = serde_json::Map::new();
        let ours = ours[part].as_object().unwrap_or(&empty);
        let theirs = theirs[part].as_object().unwrap_or(&empty);
        for (name, theirs) in theirs {
            let Some(ours) = ours.get(name) else { return Outcome::Differs(format!("{part}.* is missing")) };
            let theirs: serde_json::Map<String, Value> =
                theirs.as_object().cloned().unwrap_or_default().into_iter().filter(|(key, _)| !key.starts_with("x-")).collect();
            let ours = ours.as_object().cloned().unwrap_or_default();
            let keys: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
            if let Some(key) = keys.into_iter().find(|key| theirs.get(*key) != ours.get(*key)) {
                let from_outside = |ours: &Value| {
                    let variables = if key == "build" { &ours["args"] } else { ours };
                    let takes = variables.as_object().is_some_and(|map| map.values().any(Value::is_null));
                    takes && (key == "build" || key == "environment")
                };
                if ours.get(key).is_some_and(from_outside) {
                    return Outcome::OutOfScope("variables taken from Compose's own environment");
                }
                return Outcome::Differs(format!("{part}.*.{key}: {:?} instead of {:?}", ours.get(key), theirs.get(key)));
            }
        }
    }
    Outcome::Same
}

#[test]
fn files_that_compose_accepts_read_as_compose_reads_them() {
    let Some(samples) = accepted() else { return };
    let mut table: BTreeMap<Outcome, Vec<&str>> = BTreeMap::new();
    for sample in &samples {
        table.entry(judge(sample)).or_default().push(&sample.id);
    }
    for (outcome, ids) in &table {
        println!("{:5} {outcome:?} (such as {})", ids.len(), ids[0]);
    }
    let wrong = table.keys().filter(|outcome| matches!(outcome, Outcome::Differs(_) | Outcome::Failed(_))).count();
    assert_eq!(wrong, 0, "see the table above");
}
