use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::*;
use crate::crd::DeploymentSpec;
use crate::crd::compose::{Project, corpus};

const GOLDEN: &str = include_str!("golden.yaml");
const GOLDEN_HASHES: &str = include_str!("golden.txt");

/// Variable with the path of a `docker compose` 2.40 binary.
const ORACLE: &str = "EVENKEEL_COMPOSE";

fn read(name: &str, spec: &DeploymentSpec) -> Project {
    Project::read(name, spec).unwrap_or_else(|errors| panic!("{}", crate::crd::list_errors(&errors)))
}

fn golden() -> Project {
    read("evenkeelgolden", &serde_yaml::from_str(GOLDEN).unwrap())
}

#[test]
fn services_networks_and_volumes_hash_as_compose_hashes_them() {
    let project = golden();
    for line in GOLDEN_HASHES.lines() {
        let (subject, expected) = line.rsplit_once(' ').unwrap();
        let (kind, name) = subject.split_once(' ').unwrap();
        let (hash, json) = match kind {
            "service" => (service_hash(&project.services[name]), json(&project.services[name])),
            "network" => (network_hash(&project.networks[name]), json(&project.networks[name])),
            _ => (volume_hash(&project.volumes[name]), json(&project.volumes[name])),
        };
        assert_eq!(hash, expected, "{subject}: {json}");
    }
    assert_eq!(GOLDEN_HASHES.lines().filter(|line| line.starts_with("service ")).count(), project.services.len());
}

#[test]
fn what_compose_leaves_out_does_not_change_the_hash() {
    let mut service = golden().services["deployed"].clone();
    let before = service_hash(&service);
    service.scale = Some(7);
    service.deploy.as_mut().unwrap().replicas = Some(7);
    service.pull_policy = Some(crate::crd::compose::PullPolicy::Never);
    service.profiles = vec!["debug".to_owned()];
    service.depends_on = golden().services["gated"].depends_on.clone();
    assert_eq!(service_hash(&service), before);
    service.restart = Some("always".to_owned());
    assert_ne!(service_hash(&service), before);
}

#[test]
fn the_golden_values_are_what_the_installed_compose_prints() {
    let Some(compose) = oracle() else { return };
    let printed = hashes(&compose, "evenkeelgolden", GOLDEN).unwrap();
    let recorded = GOLDEN_HASHES.lines().filter_map(|line| line.strip_prefix("service ")?.split_once(' '));
    assert_eq!(printed, recorded.map(|(name, hash)| (name.to_owned(), hash.to_owned())).collect());
}

#[test]
fn services_of_real_compose_files_hash_as_the_installed_compose_hashes_them() {
    let (Some(compose), Some(samples)) = (oracle(), corpus::accepted()) else { return };
    let (mut compared, mut refused, mut wrong) = (0, vec![], vec![]);
    // Every fifth file: Compose takes a while to start.
    for corpus::Sample { id, mut config, .. } in samples.into_iter().step_by(5) {
        if !prepare(&mut config) {
            continue;
        }
        let read = Project::read("proj", &spec(&config)).map_err(|errors| crate::crd::list_errors(&errors));
        let (expected, project) = match (hashes(&compose, "proj", &config.to_string().replace('$', "$$")), read) {
            (Ok(expected), Ok(project)) => (expected, project),
            // A few of its own results are not valid input for Compose.
            (Err(error), _) | (_, Err(error)) => {
                refused.push(format!("{id}: {error}"));
                continue;
            }
        };
        for (name, service) in &project.services {
            compared += 1;
            if service_hash(service) != expected[name] {
                wrong.push(format!("{id} {name}: {}", json(service)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} services hash differently:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{compared} services compared; not read: {refused:#?}");
    assert!(compared >= 200 && refused.len() * 20 <= compared, "{compared} compared, refused:\n{}", refused.join("\n"));
}

/// The real Compose; says loudly what is not tested without it.
fn oracle() -> Option<String> {
    let path = std::env::var(ORACLE).ok();
    if path.is_none() {
        eprintln!("SKIPPED: {ORACLE} is not set, nothing was held against the real docker compose");
    }
    path
}

/// What `docker compose config --hash` prints, by service.
fn hashes(compose: &str, project: &str, file: &str) -> Result<BTreeMap<String, String>, String> {
    let mut command = Command::new(compose);
    command.args(["-f", "-", "-p", project, "--project-directory", "/project", "--profile", "*", "config", "--hash", "*"]);
    let mut child = command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let hashes = text.lines().filter_map(|line| line.split_once(' '));
    Ok(hashes.map(|(name, hash)| (name.to_owned(), hash.to_owned())).collect())
}

/// Takes out what is not in the hash (building and pulling) and what Compose prints though nobody wrote it (an empty
/// placement). Whether all that is left is something this version reads.
fn prepare(config: &mut Value) -> bool {
    for service in config["services"].as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut) {
        service.remove("pull_policy");
        if service.remove("build").is_some() {
            service.entry("image").or_insert_with(|| "built".into());
        }
        if let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) {
            deploy.retain(|key, value| key != "placement" || *value != serde_json::json!({}));
        }
        if service.contains_key("configs") || service.contains_key("develop") {
            return false;
        }
    }
    true
}

/// A normalised Compose project as a specification.
fn spec(config: &Value) -> DeploymentSpec {
    let part = |key: &str| serde_json::from_value::<Option<BTreeMap<String, Value>>>(config[key].clone()).unwrap();
    DeploymentSpec {
        services: part("services").unwrap_or_default(),
        networks: part("networks").unwrap_or_default(),
        volumes: part("volumes").unwrap_or_default(),
        secrets: part("secrets").unwrap_or_default(),
        configs: part("configs").unwrap_or_default(),
        ..DeploymentSpec::default()
    }
}
