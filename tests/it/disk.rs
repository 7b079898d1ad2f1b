//! A data folder whose disk is full or read-only: said clearly, nothing acknowledged is lost, containers are looked after.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::outside::await_held;
use crate::sources::Repository;
use crate::support::{Operator, Sandbox, check, eventually, holds_for, same, secs, service};

const DEPLOYMENTS: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/deployments";

/// A small file system under an operator's data folder. Make it after the sandbox and before the operator: it is unmounted in
/// between.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    #[track_caller]
    pub fn under_the_operator_of(sandbox: &Sandbox) -> Self {
        let folder = sandbox.dir().join("operator/data");
        fs::create_dir_all(&folder).unwrap();
        let disk = Self { folder };
        disk.mount(&["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"]);
        disk
    }

    #[track_caller]
    fn mount(&self, args: &[&str]) {
        let output = Command::new("mount").args(args).arg(&self.folder).output().expect("mount is installed");
        assert!(output.status.success(), "mount (as root?): {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Lets nothing be written any more, or everything again.
    #[track_caller]
    fn read_only(&self, yes: bool) {
        self.mount(&["-o", if yes { "remount,ro" } else { "remount,rw" }]);
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    /// Takes so many bytes.
    pub fn weigh_down(&self, bytes: usize) {
        fs::write(self.ballast(), vec![1; bytes]).unwrap();
    }

    pub fn make_space(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

/// A Deployment that needs more than the rest of a page on disk.
fn bulky(sandbox: &Sandbox, name: &str) -> Value {
    let mut deployment = sandbox.deployment(name, json!({"app": service::sleeper(&sandbox.image())}));
    deployment["metadata"]["annotations"] = json!({"bulk": "x".repeat(16 << 10)});
    deployment
}

fn declared(operator: &Operator) -> BTreeSet<String> {
    operator.api().list(DEPLOYMENTS).iter().map(|found| found["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn names_folder_and_cause(text: &str, folder: &Path, parts: &[&str]) {
    let folder = folder.display().to_string();
    for part in [folder.as_str()].iter().chain(parts) {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[test]
fn on_a_full_disk_writes_are_refused_with_the_reason_nothing_acknowledged_is_lost_and_crashes_are_healed() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let mut operator = Operator::start_on(&sandbox);
    for name in ["web", "other", "third"] {
        operator.api().apply(&sandbox.deployment(name, json!({"app": service::sleeper(&sandbox.image())})));
        operator.wait_ready(name);
    }
    let [web, other, third] = ["web", "other", "third"].map(|name| sandbox.container(name, "app", 1));
    let docker = sandbox.docker();
    disk.fill();

    let late = bulky(&sandbox, "late");
    let reply = operator.api().send(Method::POST, DEPLOYMENTS, "application/json", Some(&late)).unwrap();
    assert_eq!((reply.status, &reply.body["kind"], &reply.body["status"]), (500, &json!("Status"), &json!("Failure")));
    let message = reply.body["message"].as_str().unwrap();
    names_folder_and_cause(message, &disk.folder, &["No space left on device", "make space"]);
    let file = sandbox.dir().join("late.yaml");
    fs::write(&file, serde_yaml::to_string(&late).unwrap()).unwrap();
    let refused = operator.cli(&["apply", "-f", file.to_str().unwrap()]);
    assert!(!refused.status.success());
    names_folder_and_cause(&String::from_utf8_lossy(&refused.stderr), &disk.folder, &["No space left on device", "make space"]);
    assert_eq!(declared(&operator), ["other", "third", "web"].map(str::to_owned).into());

    let before = docker.runs(&web);
    docker.crash(&web);
    eventually(secs(4), "a crash is healed all the same", || {
        docker.running(&web)?;
        check(docker.runs(&web) != before, || "not started anew".into())
    });
    let stopped = operator.cli(&["stop", "other"]);
    if stopped.status.success() {
        eventually(secs(15), "what was acknowledged is done", || docker.in_state(&other, "exited"));
    } else {
        let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
        names_folder_and_cause(&said, &disk.folder, &["No space left on device"]);
        holds_for(secs(2), "what was refused is not done", || docker.running(&other));
    }
    docker.run(&["stop", &third]);
    holds_for(secs(8), "what somebody stopped through Docker is not started", || docker.in_state(&third, "exited"));

    disk.make_space();
    operator.api().apply(&late);
    eventually(secs(10), "there is space: it runs", || operator.api().ready("late"));
    await_held(&operator, "third", &["app-1"]);
    let acknowledged = operator.api().list(DEPLOYMENTS).into_iter().map(|found| found["spec"].clone()).collect::<Vec<_>>();
    operator.kill();
    operator.start();
    let kept = operator.api().list(DEPLOYMENTS).into_iter().map(|found| found["spec"].clone()).collect::<Vec<_>>();
    assert_eq!(kept, acknowledged);
    assert_eq!(declared(&operator), ["late", "other", "third", "web"].map(str::to_owned).into());
    await_held(&operator, "third", &["app-1"]);
    let wanted = if stopped.status.success() { "exited" } else { "running" };
    holds_for(secs(5), "all is as it was said", || {
        docker.in_state(&other, wanted)?;
        docker.in_state(&third, "exited")?;
        docker.running(&web)
    });
}

#[test]
fn an_operator_that_finds_its_disk_full_serves_what_it_has_and_heals() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let mut operator = Operator::start_on(&sandbox);
    operator.api().apply(&sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    let (docker, web) = (sandbox.docker(), sandbox.container("web", "app", 1));
    operator.kill();
    docker.crash(&web);
    disk.fill();
    operator.start();
    eventually(secs(6), "what crashed meanwhile is healed", || docker.running(&web));
    let reply = operator.api().send(Method::POST, DEPLOYMENTS, "application/json", Some(&bulky(&sandbox, "late"))).unwrap();
    assert_eq!(reply.status, 500, "{reply:?}");
    disk.make_space();
    operator.api().apply(&bulky(&sandbox, "late"));
    eventually(secs(10), "there is space: it runs", || operator.api().ready("late"));
    eventually(secs(10), "the first one is well", || operator.api().ready("web"));
    assert!(operator.api().holds("web").is_empty());
}

#[test]
fn what_turns_unhealthy_while_the_disk_is_full_is_restarted() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let operator = Operator::start_on(&sandbox);
    let keys = json!({
        "command": ["sh", "-c", "touch /tmp/well; trap 'exit 143' TERM; sleep infinity & wait"],
        "healthcheck": {"test": ["CMD-SHELL", "test -e /tmp/well"], "interval": "1s", "retries": 1},
    });
    let app = service::with(service::sleeper(&sandbox.image()), keys);
    operator.api().apply(&sandbox.deployment("web", json!({"app": app})));
    operator.wait_ready("web");
    let (docker, web) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let before = docker.runs(sandbox.prefix());
    disk.fill();
    docker.run(&["exec", &web, "rm", "/tmp/well"]);
    eventually(secs(20), "it is restarted", || check(docker.runs(sandbox.prefix()) != before, || "it is not".into()));
    eventually(secs(10), "it runs", || docker.running(&web));
    disk.make_space();
    eventually(secs(20), "it is well", || operator.api().ready("web"));
    assert!(operator.api().holds("web").is_empty());
}

#[test]
fn a_first_start_on_a_full_disk_says_where_and_what_to_do() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let mut operator = Operator::of(&sandbox).prepare();
    disk.fill();
    let said = operator.fails_to_start();
    names_folder_and_cause(&said, &disk.folder, &["No space left on device", "make space"]);
    disk.make_space();
    operator.start();
}

#[test]
fn a_start_on_a_read_only_folder_says_where_and_what_to_do_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let mut operator = Operator::start_on(&sandbox);
    operator.api().apply(&sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    let runs = sandbox.docker().runs(sandbox.prefix());
    operator.stop();
    disk.read_only(true);
    let said = operator.fails_to_start();
    names_folder_and_cause(&said, &disk.folder, &["Read-only file system", "mount it writable", "--data-dir"]);
    disk.read_only(false);
    operator.start();
    operator.wait_ready("web");
    same(sandbox.docker().runs(sandbox.prefix()), runs).unwrap();
}

#[test]
fn a_commit_that_meets_a_full_disk_is_taken_once_there_is_space() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let repository = Repository::new(&sandbox);
    let web = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    repository.push(&[("web.yaml", &web)]);
    let operator = Operator::of(&sandbox).arg("--git").arg(&repository.url()).arg("--git-interval").arg("1s").start();
    operator.wait_ready("web");
    let runs = sandbox.docker().runs(&sandbox.container("web", "app", 1));
    disk.fill();
    repository.push(&[("more.yaml", &sandbox.deployment("more", json!({"app": service::sleeper(&sandbox.image())})))]);
    eventually(secs(10), "it is told", || {
        let log = operator.log();
        check(log.contains("No space left on device"), || log)
    });
    assert!(operator.api().deployment("more").is_err());
    disk.make_space();
    operator.wait_ready("more");
    assert!(operator.evenkeel(&["get", "sources", "git"]).contains("True"));
    assert_eq!(sandbox.docker().runs(&sandbox.container("web", "app", 1)), runs);
}

#[test]
fn a_commit_that_does_not_fit_on_the_disk_is_told_and_what_runs_stays() {
    let sandbox = Sandbox::new();
    let _disk = SmallDisk::under_the_operator_of(&sandbox);
    let repository = Repository::new(&sandbox);
    let web = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    repository.push(&[("web.yaml", &web)]);
    let operator = Operator::of(&sandbox).arg("--git").arg(&repository.url()).arg("--git-interval").arg("1h").start();
    operator.wait_ready("web");
    let runs = sandbox.docker().runs(&sandbox.container("web", "app", 1));

    let mut noise = vec![0; 12 << 20];
    std::io::Read::read_exact(&mut File::open("/dev/urandom").unwrap(), &mut noise).unwrap();
    fs::write(repository.work().join("noise"), noise).unwrap();
    let more = sandbox.deployment("more", json!({"app": service::sleeper(&sandbox.image())}));
    repository.push(&[("more.yaml", &more)]);
    let failed = operator.cli(&["reconcile", "source", "git"]);
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && told.contains("No space left on device"), "{told}");
    assert!(operator.evenkeel(&["get", "sources", "git"]).contains("StorageFull"));
    assert_eq!(sandbox.docker().runs(&sandbox.container("web", "app", 1)), runs);
}
