//! Files that containers have mounted out of a Source: a change leads to what the service wants, and to nothing else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sources::Repository;
use crate::support::{Operator, Sandbox, check, eventually, holds_for, same, secs, service};

/// A Compose file with a service for each way to take a change, each with `conf/app.conf` mounted.
fn shop(sandbox: &Sandbox) -> Value {
    let mounted = |more: Value| {
        let script = "trap 'echo got HUP' HUP; trap 'exit 143' TERM; while :; do sleep 1 & wait; done";
        // Without a network: tests that run beside this one may have taken all addresses.
        let alone = service::with(service::shell(&sandbox.image(), script), json!({"network_mode": "none"}));
        service::with(alone, more)
    };
    let file = json!(["./conf/app.conf:/etc/app.conf:ro"]);
    let on_change = |policy: Value| mounted(json!({"volumes": file, "x-evenkeel": {"onChange": policy}}));
    json!({
        "name": sandbox.project("shop"),
        "services": {
            "plain": mounted(json!({"volumes": file})),
            "config": mounted(json!({"configs": [{"source": "app", "target": "/etc/app.conf"}]})),
            "signal": on_change(json!({"action": "Signal"})),
            "restart": on_change(json!({"action": "Restart"})),
            "ignore": on_change(json!({"action": "Ignore"})),
            "folder": mounted(json!({"volumes": ["./conf:/conf"]})),
        },
        "configs": {"app": {"file": "./conf/app.conf"}},
    })
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Id and start of a service's container.
fn run(sandbox: &Sandbox, service: &str) -> (String, String) {
    let container = sandbox.docker().inspect(&sandbox.container("shop", service, 1));
    let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/Id"), text("/State/StartedAt"))
}

fn runs(sandbox: &Sandbox) -> [(String, String); 6] {
    ["plain", "config", "signal", "restart", "ignore", "folder"].map(|service| run(sandbox, service))
}

fn reads(sandbox: &Sandbox, service: &str, file: &str) -> String {
    let container = sandbox.container("shop", service, 1);
    sandbox.docker().attempt(&["exec", &container, "cat", file]).unwrap_or_default()
}

fn shows(sandbox: &Sandbox, service: &str, file: &str, text: &str) -> Result<(), String> {
    same(reads(sandbox, service, file).trim().to_owned(), text.to_owned())
}

fn signals(sandbox: &Sandbox) -> usize {
    let container = sandbox.container("shop", "signal", 1);
    sandbox.docker().run(&["logs", &container]).matches("got HUP").count()
}

/// Checks that each service has taken the change from `before`: a new container, a new start, a signal or nothing. Without a
/// signal, another file is in the place of the old one, and the service that wants one is made anew.
fn has_followed(sandbox: &Sandbox, before: &[(String, String); 6], hups: usize, text: &str) {
    for service in ["plain", "config", "restart"] {
        let shows = || shows(sandbox, service, "/etc/app.conf", text);
        eventually(secs(40), &format!("{service} has the new file"), shows);
    }
    if hups == 0 {
        eventually(secs(40), "signal has the new file", || shows(sandbox, "signal", "/etc/app.conf", text));
    }
    eventually(secs(20), "the signal has come", || same(signals(sandbox), hups));
    let [plain, config, signal, restart, ignore, folder] = runs(sandbox);
    assert!(plain.0 != before[0].0 && config.0 != before[1].0, "not made anew");
    assert_eq!(signal == before[2], hups > 0, "a signal starts nothing, and is of no use for another file");
    assert!(restart.0 == before[3].0 && restart.1 != before[3].1, "restarted as the same container");
    assert_eq!([ignore, folder], [before[4].clone(), before[5].clone()]);
}

fn started(operator: &Operator, sandbox: &Sandbox) {
    let name = sandbox.project("shop");
    operator.wait_ready(&name);
    eventually(secs(20), "the signal is waited for", || {
        let up = sandbox.docker().exec(&sandbox.container("shop", "signal", 1), &["ps"]);
        check(up.contains("sleep 1"), || up)
    });
}

#[test]
fn a_changed_file_of_a_repository_reaches_each_service_as_it_wants_and_mounts_survive_the_pull() {
    let sandbox = Sandbox::new();
    let repository = Repository::new(&sandbox);
    write(&repository.work(), "conf/app.conf", "one\n");
    repository.push(&[("compose.yaml", &shop(&sandbox))]);
    let mut operator = Operator::of(&sandbox).arg("--git").arg(&repository.url()).arg("--git-interval").arg("1s").start();
    started(&operator, &sandbox);
    let before = runs(&sandbox);
    let conf = mounted_folder(&sandbox);
    let inode = fs::metadata(&conf).unwrap().ino();

    // Another file of the repository changes nothing, and neither does a new start of the operator.
    write(&repository.work(), "README.md", "read me\n");
    repository.push(&[]);
    let told = operator.evenkeel(&["reconcile", "source", "git"]);
    assert!(told.contains("is in force"), "{told}");
    holds_for(secs(2), "nothing is touched", || same(runs(&sandbox), before.clone()));

    write(&repository.work(), "conf/app.conf", "two\n");
    write(&repository.work(), "conf/more.conf", "more\n");
    repository.push(&[]);
    has_followed(&sandbox, &before, 0, "two");
    // The folder that is mounted is the same one, with what the commit has.
    assert_eq!(fs::metadata(&conf).unwrap().ino(), inode);
    assert_eq!(reads(&sandbox, "folder", "/conf/app.conf"), "two");
    assert_eq!(reads(&sandbox, "folder", "/conf/more.conf"), "more");
    assert_eq!(reads(&sandbox, "ignore", "/etc/app.conf"), "one");
    assert_eq!(operator.api().holds(&sandbox.project("shop")), Vec::<Value>::new());

    let settled = runs(&sandbox);
    operator.kill();
    operator.start();
    operator.wait_ready(&sandbox.project("shop"));
    holds_for(secs(4), "a new operator touches nothing", || same(runs(&sandbox), settled.clone()));

    // What changed while no operator was there is seen too.
    operator.kill();
    let tree = conf.parent().unwrap().to_owned();
    fs::write(tree.join("draft"), "three\n").unwrap();
    fs::rename(tree.join("draft"), conf.join("app.conf")).unwrap();
    operator.start();
    has_followed(&sandbox, &settled, 0, "three");
}

/// Where the mounted folder lies on this host.
fn mounted_folder(sandbox: &Sandbox) -> PathBuf {
    let container = sandbox.docker().inspect(&sandbox.container("shop", "folder", 1));
    PathBuf::from(container.pointer("/Mounts/0/Source").and_then(Value::as_str).unwrap())
}

#[test]
fn a_file_of_a_watched_folder_is_followed_as_people_edit_it_and_a_touch_is_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write_text("shop/conf/app.conf", "one\n");
    sandbox.write_text("shop/compose.yaml", &serde_yaml::to_string(&shop(&sandbox)).unwrap());
    let operator = Operator::start_on(&sandbox);
    started(&operator, &sandbox);
    let before = runs(&sandbox);
    let file = sandbox.manifests().join("shop/conf/app.conf");

    fs::File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    sandbox.write_text("shop/conf/app.conf", "one\n");
    holds_for(secs(4), "the same content is no change", || same(runs(&sandbox), before.clone()));

    // Written in place, as some editors do.
    fs::write(&file, "two\n").unwrap();
    has_followed(&sandbox, &before, 1, "two");
    let told = operator.evenkeel(&["events"]);
    assert!(told.contains("app.conf changed"), "{told}");

    // A stopped service stays so, and has the newest file when it is started.
    let shop = operator.api().status(&sandbox.project("shop")).map(|_| sandbox.project("shop")).unwrap();
    operator.evenkeel(&["stop", &shop, "plain"]);
    let plain = sandbox.container("shop", "plain", 1);
    eventually(secs(20), "it is stopped", || check(sandbox.docker().running(&plain).is_err(), || "runs".into()));
    sandbox.write_text("shop/conf/app.conf", "three\n");
    eventually(secs(40), "the others have it", || shows(&sandbox, "config", "/etc/app.conf", "three"));
    assert!(sandbox.docker().running(&plain).is_err());
    operator.evenkeel(&["start", &shop, "plain"]);
    eventually(secs(40), "it starts with it", || shows(&sandbox, "plain", "/etc/app.conf", "three"));
}

#[test]
fn configs_and_secrets_that_are_no_files_are_written_into_the_container_and_show_nowhere_else() {
    let sandbox = Sandbox::new();
    let more = json!({
        "network_mode": "none",
        "configs": [
            {"source": "text", "target": "/etc/app/text.conf", "uid": "7", "gid": "8", "mode": "0440"},
            "named",
        ],
        "secrets": ["key"],
        "device_cgroup_rules": ["c 1:3 mr"],
    });
    let compose = json!({
        "name": sandbox.project("shop"),
        "services": {"app": service::with(service::sleeper(&sandbox.image()), more)},
        "configs": {"text": {"content": "price: 5$$\n"}, "named": {"environment": "NAMED"}},
        "secrets": {"key": {"environment": "EVENKEEL_TEST_KEY"}},
    });
    sandbox.write_text("shop/.env", "NAMED=from the project\n");
    sandbox.write_text("shop/compose.yaml", &serde_yaml::to_string(&compose).unwrap());
    let operator = Operator::of(&sandbox).env("EVENKEEL_TEST_KEY", "s3cr3t-of-the-operator").start();
    operator.wait_ready(&sandbox.project("shop"));
    assert_eq!(reads(&sandbox, "app", "/etc/app/text.conf"), "price: 5$");
    assert_eq!(reads(&sandbox, "app", "/named"), "from the project");
    assert_eq!(reads(&sandbox, "app", "/run/secrets/key"), "s3cr3t-of-the-operator");
    let app = sandbox.container("shop", "app", 1);
    let listed = |file: &str| sandbox.docker().exec(&app, &["stat", "-c", "%u %g %a", file]);
    assert_eq!(listed("/etc/app/text.conf").trim(), "7 8 440");
    assert_eq!(listed("/run/secrets/key").trim(), "0 0 444");
    let inspected = sandbox.docker().inspect(&app);
    assert_eq!(inspected["HostConfig"]["DeviceCgroupRules"], json!(["c 1:3 mr"]));
    let object = operator.evenkeel(&["get", "deployment", &sandbox.project("shop"), "-o", "yaml"]);
    for shown in [inspected.to_string(), object, operator.log(), operator.evenkeel(&["events"])] {
        assert!(!shown.contains("s3cr3t-of-the-operator"), "{shown}");
    }

    // Another text makes another container.
    let before = run(&sandbox, "app");
    sandbox.write_text("shop/.env", "NAMED=another\n");
    eventually(secs(40), "it has the new text", || shows(&sandbox, "app", "/named", "another"));
    assert_ne!(run(&sandbox, "app").0, before.0);
}

#[test]
fn hooks_are_run_after_each_start_and_before_each_stop() {
    let sandbox = Sandbox::new();
    let volume = sandbox.dir().join("shared");
    fs::create_dir_all(&volume).unwrap();
    let hook = |line: &str| json!({"command": ["sh", "-c", line], "environment": {"WHO": "hook"}, "working_dir": "/tmp"});
    let more = json!({
        "network_mode": "none",
        "volumes": [format!("{}:/shared", volume.display())],
        "post_start": [hook("echo $WHO started in $PWD >> /shared/told"), hook("echo sorry; exit 3")],
        "pre_stop": [hook("echo $WHO stopping >> /shared/told")],
    });
    let app = service::with(service::sleeper(&sandbox.image()), more);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app})));
    let operator = Operator::start_on(&sandbox);
    let told = || fs::read_to_string(volume.join("told")).unwrap_or_default();
    eventually(secs(20), "the first is run", || same(told(), "hook started in /tmp\n".to_owned()));
    let failed = || check(operator.evenkeel(&["events"]).contains("exit code 3: sorry"), || operator.evenkeel(&["events"]));
    eventually(secs(20), "the failure is told", failed);
    let container = sandbox.container("web", "app", 1);
    assert!(sandbox.docker().running(&container).is_ok(), "it runs on");
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(20), "it is stopped", || check(sandbox.docker().running(&container).is_err(), || "runs".into()));
    assert_eq!(told(), "hook started in /tmp\nhook stopping\n");
    operator.evenkeel(&["start", "web"]);
    eventually(secs(20), "it is run again", || same(told().matches("started").count(), 2));
}
