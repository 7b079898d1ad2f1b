//! Real Compose files with docker compose's own verdict and normalised form, held against the reader.
//!
//! The corpus lies outside of the project: `EVENKEEL_CORPUS` names it, without it these tests say so and pass.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::Project;
use crate::crd::DeploymentSpec;
use crate::crd::yaml::parse_manifests;

/// One file of the corpus.
struct Sample {
    id: String,
    text: String,
    config: Value,
}

/// The files that docker compose accepts; `None` when there is no corpus.
fn accepted() -> Option<Vec<Sample>> {
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
            .map(|mut sample| Sample { id: text(&sample, "id"), text: text(&sample, "text"), config: sample["config"].take() })
            .collect(),
    )
}

/// What a sample came to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    OutOfScope(&'static str),
    Refused(String),
    Differs(String),
    Failed(String),
}

fn judge(sample: &Sample) -> Outcome {
    if sample.text.contains('$') {
        return Outcome::OutOfScope("interpolation");
    }
    let documents = parse_manifests(&sample.id, &sample.text);
    let [document] = documents.as_slice() else { return Outcome::OutOfScope("several documents") };
    let Value::Object(top) = &document.value else { return Outcome::Failed(document.errors[0].to_string()) };
    if ["include", "configs", "models"].iter().any(|key| top.contains_key(*key)) {
        return Outcome::OutOfScope("include, configs or models at the top");
    }
    let part = |key: &str| -> BTreeMap<String, Value> {
        let map = top.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter().collect()
    };
    let spec = DeploymentSpec {
        services: part("services"),
        networks: part("networks"),
        volumes: part("volumes"),
        secrets: part("secrets"),
        ..DeploymentSpec::default()
    };
    match Project::read("proj", &spec) {
        Ok(project) => compare(&serde_json::to_value(&project).expect("a project is JSON"), &sample.config),
        Err(errors) => {
            let known = ["is a relative path", "is not supported yet by evenkeel"];
            let first = errors.iter().find(|error| !known.iter().any(|known| error.message.contains(known)));
            match first {
                None => Outcome::Refused(errors[0].message.clone()),
                Some(error) => Outcome::Failed(error.to_string()),
            }
        }
    }
}

/// The first place where they differ, resources that no service uses aside (Compose leaves them out).
fn compare(ours: &Value, theirs: &Value) -> Outcome {
    for part in ["services", "networks", "volumes", "secrets"] {
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
