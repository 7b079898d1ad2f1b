//! A repository is followed: what is pushed runs, and what people laid on top stays.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, check, eventually, holds_for, same, secs, service};

/// Runs git as some user would, without this user's settings.
pub fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example");
    }
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a working tree that people push from.
pub struct Repository<'a> {
    sandbox: &'a Sandbox,
}

impl<'a> Repository<'a> {
    pub fn new(sandbox: &'a Sandbox) -> Self {
        let repository = Self { sandbox };
        git(sandbox.dir(), &["init", "--quiet", "--bare", "--initial-branch=main", "shop.git"]);
        git(sandbox.dir(), &["clone", "--quiet", "shop.git", "work"]);
        git(&repository.work(), &["checkout", "--quiet", "-B", "main"]);
        repository
    }

    pub fn work(&self) -> std::path::PathBuf {
        self.sandbox.dir().join("work")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.sandbox.dir().join("shop.git").display())
    }

    /// Pushes these manifests; the revision.
    pub fn push(&self, files: &[(&str, &Value)]) -> String {
        self.push_to("main", files)
    }

    /// The same to a branch that is checked out.
    pub fn push_to(&self, branch: &str, files: &[(&str, &Value)]) -> String {
        files.iter().for_each(|(name, manifest)| self.write(name, &serde_yaml::to_string(manifest).unwrap()));
        self.push_work(branch)
    }

    /// Writes a file of the working tree, to be pushed.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The bare repository that is pushed to.
    pub fn bare(&self) -> std::path::PathBuf {
        self.sandbox.dir().join("shop.git")
    }

    /// Pushes all that is there but these; the revision.
    pub fn push_all(&self, but: &[&str]) -> String {
        but.iter().for_each(|name| std::fs::remove_file(self.work().join(name)).unwrap());
        self.push_work("main")
    }

    fn push_work(&self, branch: &str) -> String {
        git(&self.work(), &["add", "--all"]);
        git(&self.work(), &["commit", "--quiet", "--message", "change"]);
        git(&self.work(), &["push", "--quiet", "origin", branch]);
        format!("{branch}@sha1:{}", git(&self.work(), &["rev-parse", "HEAD"]))
    }

    /// Begins a branch.
    pub fn branch(&self, name: &str) {
        git(&self.work(), &["checkout", "--quiet", "-b", name]);
    }
}

fn web(sandbox: &Sandbox, version: &str) -> Value {
    let image = sandbox.image();
    let app = service::with(service::sleeper(&image), json!({"environment": {"V": version}}));
    sandbox.deployment("web", json!({"app": app, "db": service::sleeper(&image)}))
}

#[test]
fn a_pushed_commit_replaces_what_it_changes_and_holds_survive_it() {
    let sandbox = Sandbox::new();
    let repository = Repository::new(&sandbox);
    repository.push(&[("hosts/one/web.yaml", &web(&sandbox, "1"))]);
    let address = format!("{}#main:hosts/one", repository.url());
    let mut operator = Operator::of(&sandbox).arg("--git").arg(&address).arg("--git-interval").arg("1s").start();
    operator.wait_ready("web");
    let [app, db] = ["app", "db"].map(|service| sandbox.container("web", service, 1));
    let (old, untouched) = (sandbox.docker().id(&app), sandbox.docker().runs(&db));

    let second = repository.push(&[("hosts/one/web.yaml", &web(&sandbox, "2"))]);
    eventually(secs(20), "it is replaced", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().id(&app) != old, || "still the old one".into())
    });
    let source = || operator.api().status("web").map(|status| status["source"].clone());
    eventually(secs(10), "the status tells the commit", || same(source()?["revision"].clone(), json!(second)));
    assert_eq!(source().unwrap()["name"], "default/git");
    assert_eq!(sandbox.docker().runs(&db), untouched);

    operator.evenkeel(&["stop", "web", "db"]);
    eventually(secs(20), "it is stopped", || check(sandbox.docker().running(&db).is_err(), || "still runs".into()));
    let before = sandbox.docker().id(&app);
    repository.push(&[("hosts/one/web.yaml", &web(&sandbox, "3"))]);
    let told = operator.evenkeel(&["reconcile", "source", "git"]);
    assert!(told.contains("is in force: 1 deployment from 1 file"), "{told}");
    assert!(operator.evenkeel(&["get", "sources"]).contains("main@sha1:"));
    assert!(operator.evenkeel(&["describe", "source", "git"]).contains("web.yaml"));
    eventually(secs(20), "the other service is replaced", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().id(&app) != before, || "not yet".into())
    });
    holds_for(secs(3), "the stopped one stays so", || check(sandbox.docker().running(&db).is_err(), || "it was started".into()));

    // Killed and started again without the flag: the Source goes, what it declared runs on.
    operator.kill();
    let mut without = Operator::of(&sandbox).prepare();
    without.start();
    let gone = || without.cli(&["get", "sources", "git"]);
    eventually(secs(10), "the Source is gone", || check(!gone().status.success(), || "it is there".into()));
    assert!(sandbox.docker().running(&app).is_ok());
}

#[test]
fn what_is_broken_or_gone_in_a_repository_leaves_what_runs() {
    let sandbox = Sandbox::new();
    let repository = Repository::new(&sandbox);
    let good = web(&sandbox, "1");
    repository.push(&[("web.yaml", &good)]);
    let operator = Operator::start_on(&sandbox);
    let source = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "shop"},
        "spec": {"git": {"url": repository.url()}, "prune": true, "interval": "1s"},
    });
    let file = sandbox.dir().join("source.yaml");
    std::fs::write(&file, serde_yaml::to_string(&source).unwrap()).unwrap();
    let file = file.display().to_string();
    assert_eq!(operator.evenkeel(&["apply", "-f", &file]), "source shop created\n");
    operator.wait_ready("web");
    let app = sandbox.container("web", "app", 1);
    let runs = sandbox.docker().runs(&app);

    let mut broken = good.clone();
    broken["spec"]["services"]["app"]["imag"] = json!("x");
    repository.push(&[("web.yaml", &broken)]);
    let failed = operator.cli(&["reconcile", "source", "shop"]);
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && error.contains("spec.services.app.imag"), "{error}");
    git(&sandbox.dir().join("shop.git"), &["branch", "--move", "main", "other"]);
    let failed = operator.cli(&["reconcile", "source", "shop"]);
    assert!(!failed.status.success(), "{failed:?}");
    holds_for(secs(2), "it runs on", || same(sandbox.docker().runs(&app), runs.clone()));

    assert!(operator.evenkeel(&["delete", "-f", &file]).contains("source shop"));
    eventually(secs(30), "it is pruned with its Source", || {
        check(sandbox.docker().names(&sandbox.project("web")).is_empty(), || "still there".into())
    });
}
