//! Cases with what docker compose 2.40.3 made of them. With `EVENKEEL_COMPOSE` it is asked again.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Case {
    name: String,
    pub(super) files: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// What Compose printed, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    /// Why Compose refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

const THEMES: [(&str, &str); 10] = [
    ("environment", include_str!("golden/environment.yaml")),
    ("extends", include_str!("golden/extends.yaml")),
    ("forms", include_str!("golden/forms.yaml")),
    ("include", include_str!("golden/include.yaml")),
    ("interpolated", include_str!("golden/interpolated.yaml")),
    ("merge", include_str!("golden/merge.yaml")),
    ("merged", include_str!("golden/merged.yaml")),
    ("profiles", include_str!("golden/profiles.yaml")),
    ("refused", include_str!("golden/refused.yaml")),
    ("reset", include_str!("golden/reset.yaml")),
];

pub(super) fn cases() -> Vec<(&'static str, Case)> {
    let read = |(theme, text): &(&'static str, &str)| -> Vec<(&'static str, Case)> {
        let cases: Vec<Case> = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{theme}: {error}"));
        cases.into_iter().map(|case| (*theme, case)).collect()
    };
    THEMES.iter().flat_map(read).collect()
}

impl Case {
    fn environment(&self) -> BTreeMap<String, String> {
        let mut environment =
            BTreeMap::from([("HOME", "/home/user"), ("PATH", "/usr/bin:/bin")].map(|(k, v)| (k.into(), v.into())));
        environment.extend(self.env.clone());
        environment
    }

    /// One of which nothing is recorded yet.
    pub(super) fn new(name: String, files: BTreeMap<String, String>, env: BTreeMap<String, String>) -> Self {
        Self { name, files, env, ..Self::default() }
    }

    /// What this docker compose prints, or why it refuses.
    fn asked(&self, compose: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        for (name, text) in &self.files {
            let path = project.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut command = Command::new(compose);
        command.args(&self.args).args(["config", "--format", "json"]).args(&self.services);
        let output = command.current_dir(&project).env_clear().envs(self.environment()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(project.to_str().unwrap(), "/project");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Records what this docker compose makes of it.
    pub(super) fn record(&mut self, compose: &str) {
        match self.asked(compose) {
            Ok(config) => self.config = Some(serde_json::from_str::<Json>(&config).unwrap().to_string()),
            Err(why) => self.refused = why.lines().last().map(str::to_owned),
        }
    }

    fn load(&self) -> Result<Loaded, Vec<String>> {
        let files = Given(self.files.iter().map(|(name, text)| (format!("/project/{name}"), text.clone())).collect());
        let mut asked = Asked { here: "/project".to_owned(), environment: self.environment(), ..Asked::default() };
        let mut all_resources = false;
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--env-file" => asked.env_files.extend(args.next().cloned()),
                "--profile" => asked.profiles.extend(args.next().cloned()),
                "--all-resources" => all_resources = true,
                other => panic!("{}: the argument {other} is not known to this test", self.name),
            }
        }
        let found = find(&asked, &files).map_err(|error| vec![error])?;
        let request = Request { services: self.services.clone(), all_resources, ..found.request };
        load(&request, &files).map_err(|refused| refused.errors.iter().map(ToString::to_string).collect())
    }
}

/// As Compose prints it: with double dollars.
fn printed(loaded: &Loaded) -> Json {
    serde_json::from_str(&loaded.config.to_string().replace('$', "$$")).unwrap()
}

#[test]
fn recorded_cases_come_out_as_compose_had_them() {
    let mut wrong = Vec::new();
    let cases = cases();
    for (theme, case) in &cases {
        let about = format!("{theme}: {}", case.name);
        match (case.load(), &case.config) {
            (Ok(loaded), Some(config)) => {
                let config: Json = serde_json::from_str(config).unwrap();
                wrong.extend(difference(&config, &printed(&loaded), "").map(|difference| format!("{about}: {difference}")));
            }
            (Err(errors), None) => {
                let placed = |error: &String| {
                    error.starts_with("/project/") && error.split(':').nth(2).is_some_and(|n| n.parse::<usize>().is_ok())
                };
                assert!(!errors.is_empty() && errors.iter().all(placed), "{about}: {errors:?}");
            }
            (Ok(_), None) => wrong.push(format!("{about}: Compose refuses it: {}", case.refused.as_deref().unwrap_or_default())),
            (Err(errors), Some(_)) => wrong.push(format!("{about}: {}", errors.join("; "))),
        }
    }
    assert!(cases.len() > 60, "{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn compose_still_says_what_was_recorded() {
    let Ok(compose) = std::env::var("EVENKEEL_COMPOSE") else {
        eprintln!("SKIPPED: EVENKEEL_COMPOSE is not set, the recorded cases were not held against docker compose");
        return;
    };
    for (theme, case) in cases() {
        let said = case.asked(&compose);
        assert_eq!(said.is_ok(), case.config.is_some(), "{theme}: {}", case.name);
        if let (Some(config), Ok(said)) = (&case.config, said) {
            let (config, said): (Json, Json) = (serde_json::from_str(config).unwrap(), serde_json::from_str(&said).unwrap());
            assert_eq!(difference(&config, &said, ""), None, "{theme}: {}", case.name);
        }
    }
}
