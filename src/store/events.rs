//! What is told to people: core/v1 Events, for an hour, repeats counted instead of repeated.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::objects::{self, seconds};
use super::state::revision_of;
use super::writer::Batch;
use super::{ChangeKind, Kind, Part, Result};
use crate::crd::API_VERSION;
use crate::model::{About, Happening, Key, Severity};

/// How long an Event is kept after it last happened.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Events kept; beyond that the ones that are longest ago go.
pub(super) const MOST: usize = 2000;
/// Between two looks for Events that are past their time; until then they are only not shown.
const SWEEP: SignedDuration = SignedDuration::from_mins(1);
/// Annotation with the trace of the last time.
pub(super) const TRACE_ID: &str = "evenkeel.dev/trace-id";
const COMPONENT: &str = "evenkeel";

/// See [`Store::tell`](super::Store::tell).
///
/// The name of an Event is made of what it says, so that a repeat finds it by its name.
pub(super) fn tell(batch: &mut Batch<'_>, happening: &Happening) -> Result<()> {
    let now = batch.now();
    let (namespace, involved) = involved(batch, &happening.about);
    let told = event(&namespace, &involved, happening, now);
    let key = objects::key_of(&told)?;
    match batch.object(Kind::Event, &key) {
        Some(event) if is_current(&event, now) => {
            let mut again = Value::clone(&event);
            again["count"] = (again["count"].as_u64().unwrap_or(1) + 1).into();
            again["lastTimestamp"] = seconds(now).into();
            if let Some(trace) = &happening.trace_id {
                again["metadata"]["annotations"][TRACE_ID] = trace.as_str().into();
            }
            batch.put(Kind::Event, &key, Part::Main, ChangeKind::Modified, again);
        }
        ended => {
            if let Some(ended) = ended {
                batch.remove(Kind::Event, &key, Value::clone(&ended));
            }
            objects::create(batch, Kind::Event, told)?;
        }
    }
    if batch.count(Kind::Event) > MOST || batch.begin_sweep(SWEEP) {
        clear(batch, &oldest_kept(now));
    }
    Ok(())
}

/// Removes what is past its time and, where too many are left, those that are longest ago: a tenth more than must be, so
/// that not each new one has to look for the oldest.
fn clear(batch: &mut Batch<'_>, oldest: &str) {
    let mut all = Vec::new();
    batch.each(Kind::Event, |key, event| all.push((key.clone(), event.clone())));
    all.sort_by(|(_, a), (_, b)| {
        (b["lastTimestamp"].as_str(), revision_of(b)).cmp(&(a["lastTimestamp"].as_str(), revision_of(a)))
    });
    let most = if all.len() > MOST { MOST - MOST / 10 } else { MOST };
    let kept = all.iter().take(most).take_while(|(_, event)| is_after(event, oldest)).count();
    for (key, event) in all.split_off(kept) {
        batch.remove(Kind::Event, &key, Value::clone(&event));
    }
}

/// Whether an Event is younger than what is kept.
pub(super) fn is_current(event: &Value, now: Timestamp) -> bool {
    is_after(event, &oldest_kept(now))
}

fn oldest_kept(now: Timestamp) -> String {
    now.checked_sub(KEPT).map(seconds).unwrap_or_default()
}

/// Times are compared as the fixed-width texts they are.
fn is_after(event: &Value, oldest: &str) -> bool {
    event["lastTimestamp"].as_str().is_some_and(|last| last > oldest)
}

fn event(namespace: &str, involved: &Value, happening: &Happening, now: Timestamp) -> Value {
    let name = format!("{}.{:016x}", dns_name(involved["name"].as_str().unwrap_or_default()), digest(involved, happening));
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

/// What makes two Events the same: whom it is about, and what it says.
fn digest(involved: &Value, happening: &Happening) -> u64 {
    let text = json!([involved, happening.reason.to_string(), word(happening.severity), happening.message]).to_string();
    let digest = Sha256::digest(text);
    u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
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
        About::Source(key) => ours(batch, Kind::Source, "Source", key),
        About::Channel(key) => ours(batch, Kind::Channel, "Channel", key),
        About::Manifest(path) => elsewhere("Manifest", path),
        About::Host => elsewhere("Host", "host"),
    }
}

fn ours(batch: &Batch<'_>, kind: Kind, word: &str, key: &Key) -> (String, Value) {
    let stored = || Some(batch.object(kind, key)?["metadata"]["uid"].as_str()?.to_owned());
    let Key { namespace, name } = key.clone();
    let uid = stored().unwrap_or_default();
    let object = json!({"apiVersion": API_VERSION, "kind": word, "namespace": namespace, "name": name, "uid": uid});
    (namespace, object)
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
    let kept: String = kept.chars().take(200).collect();
    if kept.is_empty() { COMPONENT.into() } else { kept.trim_end_matches('-').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_is_about_becomes_a_part_of_its_name_that_may_stand_before_a_dot() {
        let long = format!("a{}b", "/".repeat(300));
        for (text, name) in [("team/web.yaml", "team-web-yaml"), ("-/Ä/", COMPONENT), (long.as_str(), "a"), ("X--", "x")] {
            assert_eq!(dns_name(text), name, "{text}");
        }
        assert_eq!(dns_name(&"x".repeat(300)).len(), 200);
    }
}
