//! Real Compose files with docker compose's verdict and configuration.
//!
//! The corpus lies outside of the project: `EVENKEEL_CORPUS` names it, without it this test says so and passes. Its
//! answers were made in a tree of all files below `/corpus`, each file's own folder being written `/project`.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct Sample {
    id: String,
    text: String,
    env: BTreeMap<String, String>,
    accepted: bool,
    error: Option<String>,
    config: Json,
}

impl Sample {
    fn path(&self) -> String {
        format!("/corpus/{}", self.id)
    }

    fn folder(&self) -> String {
        self.path().rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap()
    }

    fn load(&self, files: &Given) -> Result<Loaded, Refused> {
        let mut environment = self.env.clone();
        environment.entry("HOME".to_owned()).or_insert_with(|| "/home/user".to_owned());
        let request = Request {
            files: vec![self.path()],
            folder: self.folder(),
            name: Some("proj".to_owned()),
            profiles: vec!["*".to_owned()],
            environment,
            ..Request::default()
        };
        load(&request, files)
    }

    /// What came of it, and whether that is right.
    fn judge(&self, files: &Given) -> (bool, String) {
        match (self.load(files), self.accepted) {
            (Ok(loaded), true) if loaded.not_json.is_empty() => {
                let ours = loaded.config.to_string().replace('$', "$$").replace(&format!("{}/", self.folder()), "/project/");
                let ours = ours.replace(&format!("\"{}\"", self.folder()), "\"/project\"");
                match difference(&self.config, &serde_json::from_str(&ours).unwrap(), "") {
                    None => (true, "the same".to_owned()),
                    Some(difference) => (false, format!("differs: {difference}")),
                }
            }
            (Ok(loaded), _) => match loaded.not_json.first() {
                Some(error) => (!self.accepted, format!("refused as JSON: {}", error.message)),
                None => (false, format!("should be refused: {}", self.error.as_deref().unwrap_or_default())),
            },
            (Err(refused), true) => (false, format!("should be accepted: {}", refused.errors[0])),
            (Err(refused), false) => {
                let told = refused.errors.iter().all(|error| error.location.is_some() && !error.path.is_empty());
                (told, format!("refused: {}", reason(&refused.errors[0].message)))
            }
        }
    }
}

/// A message without the names in it.
fn reason(message: &str) -> String {
    let known =
        ["refers to the volume", "refers to the network", "neither image nor build", "no key of Compose", "cannot be read"];
    let known = known.into_iter().find(|words| message.contains(words));
    known.map_or_else(|| message.split([':', '"']).next().unwrap_or_default().to_owned(), |words| format!(".. {words} .."))
}

#[test]
fn real_files_come_out_as_compose_has_them() {
    let Some(path) = std::env::var_os("EVENKEEL_CORPUS") else {
        eprintln!("skipped: EVENKEEL_CORPUS is not set");
        return;
    };
    let unpacked = Command::new("gzip").arg("-dc").arg(path).output().expect("gzip runs");
    let lines = String::from_utf8(unpacked.stdout).expect("the corpus is UTF-8");
    let samples: Vec<Sample> = lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let files = Given(samples.iter().map(|sample| (sample.path(), sample.text.clone())).collect());
    let mut table: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
    for sample in &samples {
        table.entry(sample.judge(&files)).or_default().push(&sample.id);
    }
    for ((right, outcome), ids) in &table {
        println!("{:5} {} {outcome} (such as {})", ids.len(), if *right { "right" } else { "WRONG" }, ids[0]);
    }
    assert!(table.keys().all(|(right, _)| *right), "see the table above");
}
