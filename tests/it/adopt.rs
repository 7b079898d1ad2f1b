//! Projects that run under `docker compose` are taken over as they are.
//!
//! `EVENKEEL_COMPOSE` names a `docker compose` binary (2.30 to 2.40); without it these tests say so and pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::followed::Host;
use crate::outside::await_held;
use crate::support::{Api, Operator, Sandbox, check, condition, eventually, holds_for, same, secs, service};

/// A project of docker compose's, in a folder of its own.
struct Project<'a> {
    binary: String,
    sandbox: &'a Sandbox,
    name: &'static str,
    folder: PathBuf,
}

impl<'a> Project<'a> {
    fn new(sandbox: &'a Sandbox, name: &'static str) -> Option<Self> {
        let binary = std::env::var("EVENKEEL_COMPOSE").ok();
        if binary.is_none() {
            eprintln!("SKIPPED: EVENKEEL_COMPOSE is not set, no project of docker compose was taken over");
        }
        let folder = sandbox.dir().join("srv").join(name);
        fs::create_dir_all(&folder).unwrap();
        Some(Self { binary: binary?, sandbox, name, folder })
    }

    fn full_name(&self) -> String {
        self.sandbox.project(self.name)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("compose.yaml")
    }

    fn write(&self, file: &Value) {
        let mut file = file.clone();
        file["name"] = json!(self.full_name());
        // Compose reads `$` itself.
        fs::write(self.file(), serde_yaml::to_string(&file).unwrap().replace('$', "$$")).unwrap();
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(args).env("DOCKER_HOST", self.sandbox.docker().host());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "docker compose {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn container(&self, service: &str) -> String {
        self.sandbox.container(self.name, service, 1)
    }

    /// Docker's restart policies by container.
    fn policies(&self) -> BTreeMap<String, String> {
        let docker = self.sandbox.docker();
        let policy = |name: &String| docker.inspect(name)["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap().to_owned();
        docker.names(&format!("{}-", self.full_name())).iter().map(|name| (name.clone(), policy(name))).collect()
    }

    /// Id, start time and pid by container: differs after any replacement or restart.
    fn runs(&self) -> BTreeMap<String, (String, String)> {
        self.sandbox.docker().runs(&format!("{}-", self.full_name()))
    }
}

/// Three services with all that must survive: a network, a named and an anonymous volume, a probe, policies.
fn shop(sandbox: &Sandbox, version: &str) -> Value {
    let image = sandbox.image();
    let db = json!({"volumes": ["data:/data", "/scratch"], "restart": "always", "environment": {"PRICE": "5$", "A": "<1> & 2"}});
    let web = json!({"restart": "unless-stopped", "depends_on": ["db"], "networks": {"default": null, "back": {"aliases": ["www"]}},
        "ports": ["127.0.0.1::8080"], "labels": {"version": version}});
    let work = json!({"restart": "on-failure:3", "volumes": ["./conf:/conf:ro"], "cap_add": ["NET_ADMIN"], "mem_limit": "64m"});
    json!({
        "services": {
            "db": service::with(service::sleeper(&image), db),
            "web": service::with(service::sleeper(&image), web),
            "work": service::with(service::sleeper(&image), work),
        },
        "networks": {"back": {"internal": true}},
        "volumes": {"data": {}},
    })
}

/// Waits until the operator has looked at the engine.
fn seen(operator: &Operator) {
    eventually(secs(10), "the engine is seen", || {
        let listed = operator.cli(&["adopt"]);
        check(listed.status.success(), || String::from_utf8_lossy(&listed.stderr).into_owned())
    });
}

#[test]
fn a_project_of_docker_compose_is_taken_over_without_a_restart_and_given_back() {
    let sandbox = Sandbox::new();
    let Some(project) = Project::new(&sandbox, "shop") else { return };
    project.write(&shop(&sandbox, "1"));
    project.run(&["up", "--detach"]);
    let (before, declared) = (project.runs(), project.policies());
    let docker = sandbox.docker();
    let (db, web, work) = (project.container("db"), project.container("web"), project.container("work"));
    let mut operator = Operator::of(&sandbox).resync("1s").start();

    seen(&operator);
    let listed = operator.evenkeel(&["adopt"]);
    let line = listed.lines().find(|line| line.starts_with(&project.full_name())).unwrap();
    assert!(line.contains("3/3") && line.contains(project.file().to_str().unwrap()), "{listed}");
    let dry = operator.evenkeel(&["adopt", &project.full_name(), "--dry-run"]);
    for part in [&*db, &*web, &*work, "restart policy always becomes no", "adopt network", "adopt volume"] {
        assert!(dry.contains(part), "{part} is not in:\n{dry}");
    }
    assert!(!dry.contains("is another one") && !dry.contains("create"), "{dry}");
    assert_eq!(project.policies(), declared, "a dry run changes nothing");

    let told = operator.evenkeel(&["adopt", &project.full_name()]);
    assert!(told.contains("is adopted"), "{told}");
    let name = project.full_name();
    operator.wait_ready(&name);
    assert_eq!(project.runs(), before, "same containers, same runs");
    assert!(project.policies().values().all(|policy| policy == "no"), "{:?}", project.policies());
    holds_for(secs(22), "twenty resyncs change nothing", || same(project.runs(), before.clone()));
    operator.kill();
    operator.start();
    operator.wait_ready(&name);
    assert_eq!(project.runs(), before, "nor does a restart of the operator");
    let adopted: Vec<Value> =
        operator.api().events(&name).into_iter().filter(|event| event["reason"] == json!("Adopted")).collect();
    assert!(adopted.len() >= 6, "three containers, two networks and a volume: {adopted:?}");
    let names = project.run(&["ps", "--format", "{{.Name}}"]);
    assert_eq!(names.lines().count(), 3, "{names}");
    project.run(&["exec", "-T", "db", "touch", "/data/named", "/scratch/anonymous"]);

    docker.crash(&web);
    eventually(secs(10), "what crashed is healed", || docker.running(&web));
    assert_eq!(docker.id(&web), before[&web].0, "in the same container");
    docker.run(&["stop", &work]);
    await_held(&operator, &name, &["work-1"]);
    holds_for(secs(3), "what was stopped stays stopped", || docker.in_state(&work, "exited"));
    docker.run(&["start", &work]);
    await_held(&operator, &name, &[]);
    operator.wait_ready(&name);

    docker.run(&["rm", "--force", &db]);
    eventually(secs(15), "what was removed is made anew, as ours", || {
        docker.running(&db)?;
        same(&docker.inspect(&db)["Config"]["Labels"]["evenkeel.dev/deployment"], &json!(name))
    });
    assert_eq!(docker.exec(&db, &["ls", "/data", "/scratch"]), "/data:\nnamed\n\n/scratch:\nanonymous", "with its volumes");

    operator.evenkeel(&["release", &name]);
    assert_eq!(project.policies(), declared, "Docker has its policies back");
    project.run(&["down"]);
    holds_for(secs(3), "and compose down takes it down", || same(project.runs(), BTreeMap::new()));
    assert!(docker.run(&["volume", "ls", "-q"]).contains(&format!("{name}_data")), "volumes stay");
}

#[test]
fn a_project_of_the_first_docker_compose_is_compared_field_by_field() {
    let sandbox = Sandbox::new();
    if Command::new("docker-compose").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no docker-compose on this machine");
        return;
    }
    let (project, image) = (sandbox.project("old"), sandbox.image());
    let folder = sandbox.dir().join("srv/old");
    fs::create_dir_all(&folder).unwrap();
    let app = json!({"restart": "always", "volumes": ["data:/data", "/scratch", "./conf:/conf:ro"], "ports": ["127.0.0.1::8080"],
        "environment": {"A": "1"}, "labels": {"team": "sea"}, "mem_limit": "64m", "cap_add": ["NET_ADMIN"], "tmpfs": "/run",
        "healthcheck": {"test": ["CMD", "true"], "interval": "1s"}});
    let file =
        json!({"version": "2.4", "services": {"app": service::with(service::sleeper(&image), app)}, "volumes": {"data": {}}});
    fs::write(folder.join("docker-compose.yml"), serde_yaml::to_string(&file).unwrap()).unwrap();
    let compose = |args: &[&str]| {
        let mut command = Command::new("docker-compose");
        command.current_dir(&folder).args(["--project-name", &project]).args(args).env("DOCKER_HOST", sandbox.docker().host());
        let output = command.output().unwrap();
        assert!(output.status.success(), "docker-compose {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    compose(&["up", "--detach"]);
    let runs = || sandbox.docker().runs(&project);
    let before = runs();
    let name = before.keys().next().unwrap().clone();
    let operator = Operator::start_on(&sandbox);
    seen(&operator);
    let dry = operator.evenkeel(&["adopt", &project, "--dry-run"]);
    assert!(dry.contains("adopt container") && !dry.contains("another one") && !dry.contains("declared is"), "{dry}");
    operator.evenkeel(&["adopt", &project]);
    operator.wait_ready(&project);
    assert_eq!(runs(), before);
    assert_eq!(sandbox.docker().inspect(&name)["HostConfig"]["RestartPolicy"]["Name"], json!("no"));
    sandbox.docker().crash(&name);
    eventually(secs(10), "it is healed", || sandbox.docker().running(&name));
    operator.evenkeel(&["release", &project]);
    assert_eq!(sandbox.docker().inspect(&name)["HostConfig"]["RestartPolicy"]["Name"], json!("always"));
}

#[test]
fn what_does_not_run_stays_so_and_what_is_not_declared_is_left_alone() {
    let sandbox = Sandbox::new();
    let Some(project) = Project::new(&sandbox, "shop") else { return };
    let image = sandbox.image();
    let with = |service: Value, keys: Value| service::with(service, keys);
    let mut services = json!({
        "db": with(service::sleeper(&image), json!({"restart": "always"})),
        "migrate": with(service::exits(&image, 0), json!({"restart": "no"})),
        "web": with(service::sleeper(&image), json!({"depends_on": {"migrate": {"condition": "service_completed_successfully"}}})),
        "extra": service::sleeper(&image),
        "tool": with(service::sleeper(&image), json!({"profiles": ["ops"]})),
        "debug": with(service::sleeper(&image), json!({"profiles": ["debug"]})),
    });
    project.write(&json!({"services": services}));
    project.run(&["--profile", "ops", "up", "--detach"]);
    project.run(&["stop", "db"]);
    services.as_object_mut().unwrap().remove("extra");
    project.write(&json!({"services": services}));
    let before = project.runs();
    let operator = Operator::of(&sandbox).resync("1s").start();
    seen(&operator);
    let name = project.full_name();
    let adopted = operator.cli(&["adopt", &name]);
    let told = String::from_utf8_lossy(&adopted.stderr).into_owned();
    assert!(adopted.status.success() && told.contains("extra-1") && told.contains("left alone"), "{told}");
    await_held(&operator, &name, &["db-1"]);
    holds_for(secs(5), "nothing is started or stopped", || same(project.runs(), before.clone()));
    assert_eq!(project.policies()[&project.container("extra")], "", "what is left alone keeps its policy");
    assert!(!sandbox.docker().names(&name).contains(&project.container("debug")), "a profile that was not active stays so");
    operator.evenkeel(&["start", &name]);
    operator.wait_ready(&name);
    assert_eq!(project.runs()[&project.container("migrate")], before[&project.container("migrate")], "a job is not run again");

    let other = Operator::of(&sandbox).name("other").start();
    seen(&other);
    sandbox.docker().run(&["rm", "--force", &project.container("web")]);
    eventually(secs(20), "web is there again", || sandbox.docker().running(&project.container("web")));
    // The other one hears of it a moment later.
    eventually(secs(10), "it is refused as another instance's", || {
        let refused = other.cli(&["adopt", &name]);
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{why}");
        check(why.contains("belongs to the evenkeel instance"), || why)
    });
}

#[test]
fn a_source_takes_over_a_running_project_and_leaves_alone_what_is_not_as_declared() {
    let sandbox = Sandbox::new();
    let Some(project) = Project::new(&sandbox, "shop") else { return };
    let mut file = shop(&sandbox, "1");
    // A path of its own would be another one in another folder.
    file["services"]["work"]["volumes"] = json!(["/tmp:/conf:ro"]);
    project.write(&file);
    project.run(&["up", "--detach"]);
    let (before, declared) = (project.runs(), project.policies());
    let (web, db) = (project.container("web"), project.container("db"));
    file["services"]["web"]["labels"]["version"] = json!("2");
    file["name"] = json!(project.full_name());
    let operator = Operator::of(&sandbox).resync("1s").start();
    let text = serde_yaml::to_string(&file).unwrap().replace('$', "$$");
    sandbox.write_text("shop/compose.yaml", &text);

    let name = project.full_name();
    let told = || {
        let object = operator.api().get(&Api::path(&name))?.success()?;
        let ready = condition(&object, "Ready");
        check(ready["reason"] == json!("NotAdopted"), || object["status"].to_string())?;
        Ok(ready["message"].as_str().unwrap().to_owned())
    };
    let message = eventually(secs(15), "the difference is told", told);
    assert!(message.contains("labels: version is another one") && message.contains("evenkeel adopt"), "{message}");
    eventually(secs(5), "the others are taken over", || same(project.policies()[&db].as_str(), "no"));
    holds_for(secs(4), "nothing is restarted", || same(project.runs(), before.clone()));
    assert_eq!(project.policies()[&web], declared[&web], "what differs is not touched");

    let dry = operator.evenkeel(&["adopt", &name, "--dry-run"]);
    assert!(dry.contains("labels: version is another one") && !dry.contains("anew"), "{dry}");
    let dry = operator.evenkeel(&["adopt", &name, "--dry-run", "--recreate"]);
    assert!(dry.contains(&format!("then make container {web} anew (--recreate): labels: version is another one")), "{dry}");
    let differs = operator.cli(&["diff", &name]);
    assert!(String::from_utf8_lossy(&differs.stdout).contains("labels: version is another one"), "{differs:?}");
    operator.evenkeel(&["adopt", &name]);
    operator.wait_ready(&name);
    assert_eq!(project.runs(), before, "taken over as it is");
    assert_eq!(project.policies()[&web], "no");
    let drift = operator.api().status(&name).unwrap().to_string();
    assert!(drift.contains("labels: version is another one"), "{drift}");
    let why = operator.evenkeel(&["why", &name]);
    assert!(why.contains("it runs, and is not all as declared"), "{why}");
    assert!(!operator.evenkeel(&["describe", &name]).contains("differs: differs"));

    operator.evenkeel(&["adopt", &name, "--recreate"]);
    eventually(secs(20), "what differed is made anew", || {
        let runs = project.runs();
        check(runs.get(&web).is_some_and(|run| run.0 != before[&web].0), || format!("{runs:?}"))
    });
    operator.wait_ready(&name);
    let runs = project.runs();
    assert!(before.iter().all(|(name, run)| *name == web || runs[name] == *run), "and nothing else: {runs:?}");
    assert_eq!(sandbox.docker().inspect(&web)["Config"]["Labels"]["version"], json!("2"));
}

#[test]
fn a_repository_that_names_a_running_project_takes_it_over_without_a_restart() {
    let sandbox = Sandbox::new();
    let Some(project) = Project::new(&sandbox, "shop") else { return };
    let mut file = shop(&sandbox, "1");
    // A path of its own would be another one in the working folder.
    file["services"]["work"]["volumes"] = json!(["/tmp:/conf:ro"]);
    project.write(&file);
    project.run(&["up", "--detach"]);
    let before = project.runs();

    let host = Host::with(&sandbox, Operator::of(&sandbox).resync("1s").start(), false);
    host.repository.write("shop/compose.yaml", &fs::read_to_string(project.file()).unwrap());
    let revision = host.repository.push(&[]);
    host.looks_at(&revision);
    let name = project.full_name();
    host.operator.wait_ready(&name);
    assert_eq!(project.runs(), before, "same containers, same runs");
    assert!(project.policies().values().all(|policy| policy == "no"), "{:?}", project.policies());
    let status = host.operator.api().status(&name).unwrap();
    assert_eq!((&status["source"]["revision"], &status["source"]["path"]), (&json!(revision), &json!("shop/compose.yaml:1")));
    assert_eq!(project.run(&["ps", "--format", "{{.Name}}"]).lines().count(), 3);

    file["services"]["web"]["labels"]["version"] = json!("2");
    project.write(&file);
    host.repository.write("shop/compose.yaml", &fs::read_to_string(project.file()).unwrap());
    host.looks_at(&host.repository.push(&[]));
    let web = project.container("web");
    eventually(secs(20), "what a commit changes is made anew", || {
        let runs = project.runs();
        check(runs.get(&web).is_some_and(|run| run.0 != before[&web].0), || format!("{runs:?}"))
    });
    host.operator.wait_ready(&name);
    let runs = project.runs();
    assert!(before.iter().all(|(name, run)| *name == web || runs[name] == *run), "and nothing else: {runs:?}");
}
