//! What is told to people: core/v1 Events, for an hour, repeats counted instead of repeated.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::objects::{self, seconds};
use super::writer::Batch;
use super::{ChangeKind, Kind, Part, Result};
use crate::crd::API_VERSION;
use crate::model::{About, Happening, Key, Severity};

/// How long an Event is kept after it last happened.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Events kept; beyond that the ones that are longest ago go.
pub(super) const MOST: usize = 4000;
/// Annotation with the trace of the last time.
pub(super) const TRACE_ID: &str = "evenkeel.dev/trace-id";
const COMPONENT: &str = "evenkeel";

/// See [`Store::tell`](super::Store::tell).
pub(super) fn tell(batch: &mut Batch<'_>, happening: &Happening) -> Result<()> {
    let now = batch.now();
    let (namespace, involved) = involved(batch, &happening.about);
    let told = batch.objects(Kind::Event);
    let same = told
        .iter()
        .find(|(key, event)| key.namespace == namespace && is_current(event, now) && repeats(event, &involved, happening));
    match same {
        Some((key, event)) => {
            let mut again = Value::clone(event);
            again["count"] = (again["count"].as_u64().unwrap_or(1) + 1).into();
            again["lastTimestamp"] = seconds(now).into();
            if let Some(trace) = &happening.trace_id {
                again["metadata"]["annotations"][TRACE_ID] = trace.as_str().into();
            }
            batch.put(Kind::Event, key, Part::Main, ChangeKind::Modified, again);
        }
        None => drop(objects::create(batch, Kind::Event, event(&namespace, &involved, happening, now))?),
    }
    let mut others: Vec<_> = told.iter().filter(|(key, _)| same.is_none_or(|(same, _)| same != *key)).collect();
    others.sort_by_key(|(_, event)| std::cmp::Reverse(event["lastTimestamp"].as_str()));
    let fresh = others.iter().take(MOST - 1).take_while(|(_, event)| is_current(event, now)).count();
    for (key, event) in others.split_off(fresh) {
        batch.remove(Kind::Event, key, Value::clone(event));
    }
    Ok(())
}

/// Whether an Event is younger than what is kept. Times are compared as the fixed-width texts they are.
pub(super) fn is_current(event: &Value, now: Timestamp) -> bool {
    let oldest = now.checked_sub(KEPT).map(seconds).unwrap_or_default();
    event["lastTimestamp"].as_str().is_some_and(|last| last > oldest.as_str())
}

fn repeats(event: &Value, involved: &Value, happening: &Happening) -> bool {
    event["reason"] == happening.reason.to_string()
        && event["message"] == happening.message
        && event["type"] == word(happening.severity)
        && event["involvedObject"] == *involved
}

fn event(namespace: &str, involved: &Value, happening: &Happening, now: Timestamp) -> Value {
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{}.{}", dns_name(involved["name"].as_str().unwrap_or_default()), &suffix[..16]);
    let mut metadata = json!({"name": name, "namespace": namespace});
    if let Some(trace) = &happening.trace_id {
        metadata["annotations"] = json!({ TRACE_ID: trace });
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata,
        "involvedObject": involved,
        "reason": happening.reason.to_string(),
        "message": happening.message,
        "type": word(happening.severity),
        "count": 1,
        "firstTimestamp": seconds(now),
        "lastTimestamp": seconds(now),
        "eventTime": null,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
    })
}

/// Namespace of the Event, and what it is about.
fn involved(batch: &Batch<'_>, about: &About) -> (String, Value) {
    match about {
        About::Deployment(key, uid) => {
            let stored = || Some(batch.object(Kind::Deployment, key)?["metadata"]["uid"].as_str()?.to_owned());
            let uid = uid.clone().or_else(stored).unwrap_or_default();
            let Key { namespace, name } = key.clone();
            let object =
                json!({"apiVersion": API_VERSION, "kind": "Deployment", "namespace": namespace, "name": name, "uid": uid});
            (namespace, object)
        }
        About::Manifest(path) => elsewhere("Manifest", path),
        About::Host => elsewhere("Host", "host"),
    }
}

fn elsewhere(kind: &str, name: &str) -> (String, Value) {
    let object = json!({"apiVersion": API_VERSION, "kind": kind, "namespace": "default", "name": name, "uid": name});
    ("default".into(), object)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    }
}

/// What a path or name comes to as part of an object's name.
fn dns_name(text: &str) -> String {
    let kept: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let kept = kept.trim_matches('-');
    if kept.is_empty() { COMPONENT.into() } else { kept.chars().take(200).collect() }
}
