//! The acceptance list through a repository: what is pushed converges, what people say stays, what is wrong harms nobody, what is
//! gone is pruned or not.

use std::fs;

use serde_json::{Value, json};

use crate::sources::{Repository, git};
use crate::support::{Operator, Sandbox, check, eventually, holds_for, same, secs, service};

const SOURCE: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/sources/shop";

/// An operator with the Source `shop` of a repository.
pub struct Host<'a> {
    sandbox: &'a Sandbox,
    pub repository: Repository<'a>,
    pub operator: Operator,
}

impl<'a> Host<'a> {
    fn new(sandbox: &'a Sandbox, prune: bool) -> Self {
        Self::with(sandbox, Operator::start_on(sandbox), prune)
    }

    pub fn with(sandbox: &'a Sandbox, operator: Operator, prune: bool) -> Self {
        let host = Self { sandbox, repository: Repository::new(sandbox), operator };
        host.source(json!({"git": {"url": host.repository.url(), "ref": {"branch": "main"}}, "prune": prune, "interval": "1s"}));
        host
    }

    fn source(&self, spec: Value) {
        let source = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "shop"}, "spec": spec,
        });
        let file = self.sandbox.dir().join("source.yaml");
        fs::write(&file, serde_yaml::to_string(&source).unwrap()).unwrap();
        self.operator.evenkeel(&["apply", "-f", file.to_str().unwrap()]);
    }

    fn status(&self) -> Value {
        self.operator.api().get(SOURCE).and_then(super::support::Reply::success).map_or(Value::Null, |all| all["status"].clone())
    }

    /// Waits until the Source's `Ready` has this reason; its message.
    #[track_caller]
    fn says(&self, reason: &str) -> String {
        eventually(secs(20), reason, || {
            let status = self.status();
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default();
            check(ready["reason"] == reason, || ready.to_string())?;
            Ok(ready["message"].as_str().unwrap().to_owned())
        })
    }

    /// Waits until this revision is what was looked at last.
    #[track_caller]
    pub fn looks_at(&self, revision: &str) {
        eventually(secs(20), revision, || same(self.status()["lastAttemptedRevision"].clone(), json!(revision)));
    }

    fn web(&self, version: &str) -> Value {
        let image = self.sandbox.image();
        let app = service::with(service::sleeper(&image), json!({"environment": {"V": version}, "volumes": ["data:/data"]}));
        let mut web = self.sandbox.deployment("web", json!({"app": app}));
        web["spec"]["volumes"] = json!({"data": {}});
        web
    }

    fn app(&self) -> String {
        self.sandbox.container("web", "app", 1)
    }

    /// `Ok` if the container runs as this version of its manifest has it.
    fn runs(&self, version: &str) -> Result<(), String> {
        self.sandbox.docker().running(&self.app())?;
        let found = self.sandbox.docker().find(&self.app()).ok_or("absent")?["Config"]["Env"].clone();
        check(found.as_array().is_some_and(|all| all.contains(&json!(format!("V={version}")))), || found.to_string())
    }
}

#[test]
fn what_is_pushed_runs_with_all_labels_and_looking_again_touches_nothing() {
    let sandbox = Sandbox::new();
    let host = Host::new(&sandbox, false);
    let revision = host.repository.push(&[("web.yaml", &host.web("1"))]);
    let web = eventually(secs(10), "it is ready", || host.operator.api().ready("web"));
    assert_eq!(web["status"]["observedGeneration"], web["metadata"]["generation"]);
    assert_eq!(web["status"]["source"]["revision"], json!(revision));
    let labels = sandbox.docker().inspect(&host.app())["Config"]["Labels"].clone();
    assert_eq!((&labels["evenkeel.dev/deployment"], &labels["evenkeel.dev/service"]), (&json!("web"), &json!("app")));
    assert_eq!(
        (&labels["com.docker.compose.project"], &labels["com.docker.compose.service"]),
        (&json!(sandbox.project("web")), &json!("app"))
    );

    let (runs, events) = (sandbox.docker().runs(sandbox.prefix()), sandbox.docker().record(sandbox.prefix()));
    for _ in 0..10 {
        assert!(host.operator.evenkeel(&["reconcile", "source", "shop"]).contains("is in force"));
    }
    assert_eq!(sandbox.docker().runs(sandbox.prefix()), runs);
    assert!(events.actions(&host.app()).is_empty());
}

#[test]
fn what_a_person_stopped_stays_so_over_commits_and_restarts_until_it_is_started() {
    let sandbox = Sandbox::new();
    let mut host = Host::new(&sandbox, true);
    host.repository.push(&[("web.yaml", &host.web("1"))]);
    host.operator.wait_ready("web");
    host.operator.evenkeel(&["stop", "web"]);
    let is_down = |sandbox: &Sandbox, app: &str| check(sandbox.docker().running(app).is_err(), || "it runs".into());
    eventually(secs(20), "it is stopped", || is_down(&sandbox, &host.app()));

    let other = sandbox.deployment("other", json!({"app": service::sleeper(&sandbox.image())}));
    host.repository.push(&[("other.yaml", &other)]);
    host.operator.wait_ready("other");
    let changed = host.repository.push(&[("web.yaml", &host.web("2"))]);
    host.looks_at(&changed);
    host.operator.kill();
    host.operator.start();
    host.operator.evenkeel(&["reconcile", "source", "shop"]);
    // Pruned with its manifest and back again: its Hold is still there.
    let gone = host.repository.push_all(&["web.yaml"]);
    host.looks_at(&gone);
    eventually(secs(20), "it is pruned", || check(host.operator.api().deployment("web").is_err(), || "it is there".into()));
    host.repository.push(&[("web.yaml", &host.web("3"))]);
    eventually(secs(20), "it is back", || host.operator.api().deployment("web"));
    holds_for(secs(4), "it stays stopped", || is_down(&sandbox, &host.app()));
    assert_eq!(host.operator.api().holds("web").len(), 1);

    host.operator.evenkeel(&["start", "web"]);
    eventually(secs(5), "it runs as it is declared now", || host.runs("3"));
}

#[test]
fn all_that_is_wrong_in_a_commit_has_its_place_and_the_last_good_version_and_neighbours_run() {
    let sandbox = Sandbox::new();
    let host = Host::new(&sandbox, true);
    host.repository.push(&[("web.yaml", &host.web("1"))]);
    host.operator.wait_ready("web");
    let runs = sandbox.docker().runs(&host.app());

    let head = |name: &str| format!("apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata:\n  name: {name}\n");
    let service = |rest: &str| format!("spec:\n  services:\n    app:\n      image: a\n{rest}");
    host.repository.write("web.yaml", &format!("{}{}", head("web"), service("      imag: b\n")));
    host.repository.write("syntax.yaml", &format!("{}spec: [\n", head("syntax")));
    host.repository.write("type.yaml", &format!("{}{}", head("type"), service("      ports: 80\n")));
    host.repository.write("twice.yaml", &format!("{}{}", head("twice"), service("      image: b\n")));
    host.repository.write("missing.yaml", &format!("{}{}", head("missing"), service("      depends_on: [db]\n")));
    host.repository.push(&[("next.yaml", &sandbox.deployment("next", json!({"app": service::sleeper(&sandbox.image())})))]);
    host.says("InvalidManifest");
    host.operator.wait_ready("next");
    let status = host.status();
    for (file, parts) in [
        ("web.yaml", ["web.yaml:9:7", "spec.services.app.imag"]),
        ("syntax.yaml", ["syntax.yaml:6:1", "cannot be read as YAML"]),
        ("type.yaml", ["type.yaml:9:7", "spec.services.app.ports"]),
        ("twice.yaml", ["twice.yaml:9:7", "spec.services.app.image"]),
        ("missing.yaml", ["missing.yaml:9:", "depends_on"]),
    ] {
        let all = status["files"].as_array().unwrap();
        let found = all.iter().find(|found| found["file"] == file).unwrap_or_else(|| panic!("{file} is missing in {status}"));
        let message = found["message"].as_str().unwrap_or_default();
        assert!(found["result"] == "Failed" && parts.iter().all(|part| message.contains(part)), "{file}: {message}");
    }
    assert_eq!(status["failedFileCount"], 5);
    holds_for(secs(2), "the last good version runs on", || same(sandbox.docker().runs(&host.app()), runs.clone()));
}

#[test]
fn what_is_gone_runs_on_as_an_orphan_or_is_pruned_and_nobody_elses_things_are_touched() {
    let sandbox = Sandbox::new();
    let host = Host::new(&sandbox, false);
    let docker = sandbox.docker();
    let foreign = format!("{}-foreign", sandbox.prefix());
    docker.run(&["run", "--detach", "--name", &foreign, &sandbox.image(), "sleep", "1000"]);
    let before = docker.inspect(&foreign);
    let keep = sandbox.deployment("keep", json!({"app": service::sleeper(&sandbox.image())}));
    host.repository.push(&[("web.yaml", &host.web("1")), ("keep.yaml", &keep)]);
    host.operator.wait_ready("web");
    host.operator.wait_ready("keep");
    docker.exec(&host.app(), &["sh", "-c", "echo kept > /data/file"]);
    let runs = docker.runs(&host.app());

    host.looks_at(&host.repository.push_all(&["web.yaml"]));
    eventually(secs(10), "it is shown as an orphan", || {
        let status = host.operator.api().status("web")?;
        let orphaned = status["conditions"].as_array().into_iter().flatten().any(|found| found["type"] == "Orphaned");
        check(orphaned, || status.to_string())
    });
    assert_eq!(docker.runs(&host.app()), runs, "and runs on");

    host.source(json!({"git": {"url": host.repository.url(), "ref": {"branch": "main"}}, "prune": true, "interval": "1s"}));
    eventually(secs(20), "it is pruned", || docker.in_state(&host.app(), "absent"));
    host.repository.push(&[("web.yaml", &host.web("2"))]);
    host.operator.wait_ready("web");
    assert_eq!(docker.exec(&host.app(), &["cat", "/data/file"]).trim(), "kept", "its volume stayed");
    assert!(docker.running(&sandbox.container("keep", "app", 1)).is_ok());

    // Nothing is pruned by an empty commit.
    host.looks_at(&host.repository.push_all(&["web.yaml", "keep.yaml"]));
    host.says("NothingDeclared");
    assert!(docker.running(&host.app()).is_ok());
    assert_eq!(docker.inspect(&foreign), before);
    docker.run(&["rm", "--force", &foreign]);
}

#[test]
fn a_repository_that_is_rewritten_gone_or_broken_is_told_and_what_runs_stays() {
    let sandbox = Sandbox::new();
    let host = Host::new(&sandbox, true);
    host.repository.push(&[("web.yaml", &host.web("1"))]);
    host.operator.wait_ready("web");

    host.repository.write("web.yaml", &serde_yaml::to_string(&host.web("2")).unwrap());
    git(&host.repository.work(), &["commit", "--quiet", "--all", "--amend", "--message", "rewritten"]);
    git(&host.repository.work(), &["push", "--quiet", "--force", "origin", "main"]);
    let has_event = |reason: &str| {
        let all = host.operator.api().list("/api/v1/namespaces/default/events");
        check(all.iter().any(|event| event["reason"] == reason), || format!("no {reason}"))
    };
    eventually(secs(20), "it is told", || has_event("HistoryRewritten"));
    eventually(secs(20), "it is followed", || host.runs("2"));
    host.operator.wait_ready("web");
    let runs = sandbox.docker().runs(&host.app());

    let away = sandbox.dir().join("away.git");
    fs::rename(host.repository.bare(), &away).unwrap();
    assert!(host.says("RepositoryNotFound").contains("what was in force stays in force"));
    fs::rename(&away, host.repository.bare()).unwrap();
    host.says("Synced");
    git(&host.repository.bare(), &["branch", "--move", "main", "other"]);
    host.says("RefNotFound");
    git(&host.repository.bare(), &["branch", "--move", "other", "main"]);
    host.says("Synced");

    // The operator's own copy breaks.
    let clone = sandbox.dir().join("operator/data/sources/default/shop/git");
    for file in walk(&clone.join("objects")) {
        fs::remove_file(&file).unwrap();
        fs::write(&file, "rubbish").unwrap();
    }
    assert_eq!(sandbox.docker().runs(&host.app()), runs);
    host.repository.push(&[("web.yaml", &host.web("3"))]);
    eventually(secs(20), "it is fetched anew", || has_event("RepositoryCorrupt"));
    eventually(secs(20), "and followed", || host.runs("3"));
    host.says("Synced");
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// A Compose file whose service mounts `app.conf`, which lies beside it.
fn mounts(sandbox: &Sandbox, project: &str) -> String {
    let app = service::with(service::sleeper(&sandbox.image()), json!({"volumes": ["./app.conf:/etc/app.conf:ro"]}));
    serde_yaml::to_string(&json!({"name": project, "services": {"app": app}})).unwrap()
}

#[test]
fn a_file_that_a_later_commit_brings_takes_the_place_of_the_folder_that_docker_made() {
    let sandbox = Sandbox::new();
    let (host, project) = (Host::new(&sandbox, false), sandbox.project("late"));
    let app = format!("{project}-app-1");
    host.repository.write("late/compose.yaml", &mounts(&sandbox, &project));
    host.repository.push(&[]);
    host.operator.wait_ready(&project);
    let tree = sandbox.dir().join("operator/data/sources/default/shop/tree/late/app.conf");
    assert!(tree.is_dir(), "Docker makes a folder where a file is missing");
    let first = sandbox.docker().id(&app);

    host.repository.write("late/app.conf", "late");
    let second = host.repository.push(&[]);
    eventually(secs(20), "the file is in a container that was made for it", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().id(&app) != first, || "still the old one".into())?;
        same(sandbox.docker().exec(&app, &["cat", "/etc/app.conf"]), "late".to_owned())
    });
    assert!(host.says("Synced").contains("1 deployment"));
    let revision = || host.operator.api().status(&project).map(|status| status["source"]["revision"].clone());
    eventually(secs(10), "the commit that it was made for is named", || same(revision()?, json!(second)));

    // What is in it is planned and compared too, before it is in force.
    host.repository.branch("next");
    host.repository.write("late/app.conf", "next");
    host.repository.push_to("next", &[]);
    for command in [&["plan", "--source", "shop", "--revision", "next"][..], &["diff", "--source", "shop", "--revision", "next"]]
    {
        let output = host.operator.cli(command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("what is in {}", tree.display())), "{command:?}: {text}");
        assert_eq!(text.contains("create container"), command[0] == "plan", "{text}");
    }
    let same_commit = host.operator.cli(&["diff", "--git", &format!("{}#main", host.repository.url())]);
    assert_eq!((same_commit.status.code(), String::from_utf8_lossy(&same_commit.stdout).as_ref()), (Some(0), ""));
    let same_commit = host.operator.cli(&["plan", "--source", "shop", "--detailed-exitcode"]);
    assert_eq!(same_commit.status.code(), Some(0), "{same_commit:?}");
    holds_for(secs(2), "and nothing of it is done", || {
        same(sandbox.docker().exec(&app, &["cat", "/etc/app.conf"]), "late".into())
    });
}
