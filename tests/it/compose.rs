//! `docker compose` beside evenkeel: it finds what evenkeel made, and leaves it alone.
//!
//! `EVENKEEL_COMPOSE` names a `docker compose` binary (2.30 to 2.40); without it these tests say so and pass.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Api, Operator, Sandbox, check, condition, eventually, holds_for, same, secs, service};

/// The compose command for one deployment, with the compose file that says the same as its manifest.
struct Compose<'a> {
    binary: String,
    sandbox: &'a Sandbox,
    project: String,
}

impl<'a> Compose<'a> {
    fn of(sandbox: &'a Sandbox, deployment: &str) -> Option<Self> {
        let binary = std::env::var("EVENKEEL_COMPOSE").ok();
        if binary.is_none() {
            eprintln!("SKIPPED: EVENKEEL_COMPOSE is not set, docker compose was not tried beside evenkeel");
        }
        Some(Self { binary: binary?, sandbox, project: sandbox.project(deployment) })
    }

    /// Writes what the manifest declares as a Compose file.
    fn write(&self, manifest: &Value) {
        let mut file = json!({"name": self.project});
        for part in ["services", "networks", "volumes", "secrets"] {
            file[part] = manifest["spec"].get(part).cloned().unwrap_or_else(|| json!({}));
        }
        // Compose reads `$` itself.
        fs::write(self.sandbox.dir().join("compose.json"), file.to_string().replace('$', "$$")).unwrap();
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.binary);
        command.arg("-f").arg(self.sandbox.dir().join("compose.json")).args(["-p", &self.project]).args(args);
        let output = command.env("DOCKER_HOST", self.sandbox.docker().host()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "docker compose {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

/// Two services with what Compose hashes: networks, volumes, a secret, a probe, dependencies, replicas.
fn shop(sandbox: &Sandbox) -> Value {
    let image = &sandbox.image();
    let key = sandbox.dir().join("key");
    fs::write(&key, "secret").unwrap();
    let db = json!({"volumes": ["data:/data", "/scratch"], "secrets": ["key"], "networks": ["back"], "restart": "always"});
    let probe = json!({"test": ["CMD", "true"], "interval": "1s", "retries": 2});
    let web = json!({
        "environment": ["A=<1> & $HOME", "B"],
        "labels": {"team": "sea"},
        "networks": {"back": {"aliases": ["www"]}, "default": null},
        "ports": ["127.0.0.1::8080"],
        "healthcheck": probe,
        "depends_on": ["db"],
        "deploy": {"replicas": 2, "resources": {"limits": {"memory": "64m"}}},
        "tmpfs": "/run",
        "stop_grace_period": "1m",
    });
    let services = json!({
        "db": service::with(service::sleeper(image), db),
        "web": service::with(service::sleeper(image), web),
    });
    let mut shop = sandbox.deployment("shop", services);
    shop["spec"]["networks"] = json!({"back": {"internal": true, "labels": {"a": "b"}}});
    shop["spec"]["volumes"] = json!({"data": {"labels": {"a": "b"}}});
    shop["spec"]["secrets"] = json!({"key": {"file": key}});
    shop
}

#[test]
fn compose_finds_what_evenkeel_made_and_its_up_changes_nothing() {
    let sandbox = Sandbox::new();
    let Some(compose) = Compose::of(&sandbox, "shop") else { return };
    let operator = Operator::start_on(&sandbox);
    let shop = shop(&sandbox);
    sandbox.write_manifest("shop.yaml", &shop);
    compose.write(&shop);
    operator.wait_ready("shop");
    let before = sandbox.docker().runs(sandbox.prefix());

    let mut names: Vec<String> = compose.run(&["ps", "--format", "{{.Name}}"]).lines().map(str::to_owned).collect();
    names.sort();
    let of = |service, number| sandbox.container("shop", service, number);
    assert_eq!(names, [of("db", 1), of("web", 1), of("web", 2)]);
    assert_eq!(compose.run(&["exec", "-T", "db", "cat", "/run/secrets/key"]), "secret");
    assert_eq!(compose.run(&["exec", "-T", "web", "sh", "-c", "echo \"$A\""]).trim(), "<1> & $HOME");
    let projects: Value = serde_json::from_str(&compose.run(&["ls", "--all", "--format", "json"])).unwrap();
    let ours = projects.as_array().unwrap().iter().find(|project| project["Name"] == json!(sandbox.project("shop")));
    let manifest = sandbox.manifests().join("shop.yaml");
    assert_eq!(ours.unwrap()["ConfigFiles"], json!(manifest.to_str().unwrap()), "{projects}");

    compose.run(&["up", "--detach", "--no-build", "--scale", "web=2"]);
    assert_eq!(sandbox.docker().runs(sandbox.prefix()), before, "containers were made anew or started again");
    holds_for(secs(3), "evenkeel changes nothing either", || same(sandbox.docker().runs(sandbox.prefix()), before.clone()))
}

#[test]
fn a_service_that_compose_made_anew_by_hand_is_taken_over_its_difference_shown_and_not_fought() {
    let sandbox = Sandbox::new();
    let Some(compose) = Compose::of(&sandbox, "web") else { return };
    let operator = Operator::start_on(&sandbox);
    let mut web = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    sandbox.write_manifest("web.yaml", &web);
    operator.wait_ready("web");
    let container = sandbox.container("web", "app", 1);
    let ours = sandbox.docker().id(&container);

    web["spec"]["services"]["app"]["environment"] = json!({"BY": "hand"});
    compose.write(&web);
    compose.run(&["up", "--detach", "--no-build"]);
    let theirs = sandbox.docker().id(&container);
    assert_ne!(theirs, ours);

    let taken_over = || {
        let web = operator.api().get(&Api::path("web"))?.success()?;
        let seen = &web["status"]["services"][0]["containers"][0];
        check(seen["id"] == json!(theirs) && seen["drift"].is_array() && condition(&web, "Ready")["status"] == "True", || {
            web["status"].to_string()
        })
    };
    eventually(secs(15), "it is taken over, and the drift shown", taken_over);
    holds_for(secs(5), "it is left as it is", || same(sandbox.docker().id(&container), theirs.clone()));
    assert_eq!(operator.api().holds("web"), Vec::<Value>::new());

    sandbox.docker().crash(&container);
    eventually(secs(10), "it is kept running like one of ours", || sandbox.docker().running(&container));
}

#[test]
fn a_seccomp_profile_beside_a_compose_file_and_open_system_paths_reach_the_engine() {
    let sandbox = Sandbox::new();
    let folder = sandbox.dir().join("srv/strict");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("strict.json"), "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n").unwrap();
    let options = json!({"network_mode": "none", "security_opt": ["seccomp:./strict.json", "systempaths=unconfined"]});
    let app = service::with(service::sleeper(&sandbox.image()), options);
    let file = json!({"name": sandbox.project("strict"), "services": {"app": app}});
    let path = folder.join("compose.yaml");
    fs::write(&path, serde_yaml::to_string(&file).unwrap().replace('$', "$$")).unwrap();
    let operator = Operator::start_on(&sandbox);
    operator.evenkeel(&["apply", "-f", path.to_str().unwrap()]);
    operator.wait_ready(&sandbox.project("strict"));
    let host = sandbox.docker().inspect(&sandbox.container("strict", "app", 1))["HostConfig"].clone();
    assert_eq!(host["SecurityOpt"], json!([r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#]));
    assert!(host["MaskedPaths"].as_array().is_none_or(Vec::is_empty), "{}", host["MaskedPaths"]);
}
