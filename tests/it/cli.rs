//! The command line as a user has it: pipes, terminals, colours, exit codes.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, check, eventually, secs, service};

fn scene() -> (Sandbox, Operator) {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let talker = service::shell(&sandbox.image(), "trap 'exit 143' TERM; while :; do echo hello; sleep 1 & wait; done");
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": talker})));
    operator.wait_ready("web");
    (sandbox, operator)
}

#[test]
fn a_reader_that_has_had_enough_ends_every_command_quietly() {
    let (_sandbox, operator) = scene();
    for command in ["get", "logs web", "logs web -f", "get -w", "events -w", "status", "top", "completion bash"] {
        let began = Instant::now();
        let (out, _) = operator.bash(&format!("evenkeel {command} 2>&1 | head -1; echo code ${{PIPESTATUS[0]}}"), None, "");
        assert!(out.ends_with("code 0\n") && out.lines().count() == 2, "{command}: {out}");
        assert!(began.elapsed() < secs(15), "{command} took {:?}", began.elapsed());
    }
}

#[test]
fn ctrl_c_ends_what_goes_on() {
    let (_sandbox, operator) = scene();
    for args in [&["logs", "web", "-f"][..], &["get", "-w"], &["events", "-w"]] {
        let mut child = operator.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        // It is under way when it has written something.
        std::io::Read::read(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        let ended = eventually(secs(5), "it ends", || child.try_wait().unwrap().ok_or_else(|| "it goes on".to_owned()));
        assert_eq!(ended.signal(), Some(2), "{args:?}");
    }
}

#[test]
fn tables_fit_the_terminal_and_are_plain_in_a_pipe() {
    let (_sandbox, operator) = scene();
    for columns in [80, 200] {
        for command in ["status", "get -o wide", "get events", "events", "describe web", "top web", "version", "doctor --help"] {
            let (out, code) = operator.bash(&format!("evenkeel {command} --color never"), Some(columns), "");
            let widest = out.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or_default();
            assert!(widest <= usize::from(columns) && code == 0, "{command} is {widest} wide on {columns}:\n{out}");
        }
    }
    let colored = |script: &str, terminal| operator.bash(script, terminal, "").0.contains('\u{1b}');
    assert!(colored("evenkeel status", Some(100)));
    assert!(!colored("NO_COLOR=1 evenkeel status", Some(100)));
    assert!(!colored("evenkeel status --color never", Some(100)));
    assert!(!colored("TERM=dumb evenkeel status", Some(100)));
    assert!(!colored("evenkeel status", None));
    assert!(colored("NO_COLOR=1 evenkeel status --color always", None));
    assert!(colored("evenkeel logs web --color=always", None));
}

#[test]
fn every_list_speaks_json_yaml_and_names() {
    let (_sandbox, operator) = scene();
    for command in ["get", "status", "events", "top", "version", "doctor"] {
        let json: Value = serde_json::from_str(&operator.evenkeel(&[command, "-o", "json"])).unwrap();
        let yaml: Value = serde_yaml::from_str(&operator.evenkeel(&[command, "-o", "yaml"])).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json), keys(&yaml), "{command}");
        assert!(!operator.evenkeel(&[command, "-o", "name"]).trim().is_empty(), "{command}");
        operator.evenkeel(&[command, "-o", "wide"]);
    }
    assert_eq!(operator.evenkeel(&["status", "-o", "name"]), "deployment.evenkeel.dev/web\n");
}

#[test]
fn a_watch_shows_what_changes_and_outlives_the_operator() {
    let (_sandbox, mut operator) = scene();
    let mut child =
        operator.command(&["get", "-w"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (sink, out) = (lines.clone(), std::io::BufReader::new(child.stdout.take().unwrap()));
    std::thread::spawn(move || {
        std::io::BufRead::lines(out).map_while(Result::ok).for_each(|line| sink.lock().unwrap().push(line));
    });
    let shows =
        |words: &str| check(lines.lock().unwrap().iter().any(|line: &String| line.contains(words)), || format!("{lines:?}"));
    eventually(secs(5), "the list", || shows("Running"));
    operator.kill();
    operator.start();
    operator.evenkeel(&["stop", "web", "--reason", "a break"]);
    eventually(secs(20), "the stop, though the operator was away", || shows("Stopped"));
    operator.evenkeel(&["delete", "web"]);
    eventually(secs(20), "the end", || shows("deleted"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_diff_tells_by_its_exit_code_and_shows_no_defaults() {
    let (sandbox, operator) = scene();
    let file = sandbox.manifests().join("web.yaml").display().to_string();
    let run = |args: &[&str]| {
        let output = operator.cli(args);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap())
    };
    assert_eq!(run(&["diff", "-f", &file]), (String::new(), 0), "the file is what is in force");
    let mut other = sandbox.deployment("web", json!({"app": service::sleeper("other:1")}));
    other["spec"]["services"]["app"]["restart"] = json!("always");
    let changed = sandbox.dir().join("other.yaml");
    std::fs::write(&changed, serde_yaml::to_string(&other).unwrap()).unwrap();
    let (text, code) = run(&["diff", "-f", &changed.display().to_string()]);
    assert!(code == 1 && text.contains("+      image: other:1\n") && text.contains("+      restart: always\n"), "{text}");
    assert_eq!(run(&["diff", "-f", "/nonexistent.yaml"]).1, 2);
    assert_eq!(run(&["diff", "nobody"]).1, 2);

    assert_eq!(run(&["diff", "web"]), (String::new(), 0));
    operator.evenkeel(&["suspend", "web"]);
    sandbox.docker().run(&["update", "--restart", "always", &sandbox.container("web", "app", 1)]);
    operator.evenkeel(&["resume", "web"]);
    eventually(secs(15), "its policy is taken off again", || check(run(&["diff", "web"]).1 == 0, || run(&["diff", "web"]).0));
}

#[test]
fn doctor_helps_also_where_no_operator_runs() {
    let (sandbox, mut operator) = scene();
    let checks =
        |output: &std::process::Output| -> Value { serde_json::from_slice::<Value>(&output.stdout).unwrap()["checks"].clone() };
    let output = operator.cli(&["doctor", "-o", "json"]);
    let seen = checks(&output);
    let of = |seen: &Value, check: &str| {
        seen.as_array().unwrap().iter().find(|one| one["check"] == check).cloned().unwrap_or_default()
    };
    assert_eq!((&of(&seen, "operator")["result"], &of(&seen, "engine")["result"]), (&json!("ok"), &json!("ok")), "{seen}");
    assert_eq!(of(&seen, "leftovers")["result"], "ok", "{seen}");
    for check in [
        "socket",
        "cgroups",
        "clock",
        "networks",
        "Docker's disk",
        "containers",
        "restart policies",
        "data folder",
        "certificate",
    ] {
        assert_ne!(of(&seen, check)["result"], Value::Null, "{check} in {seen}");
    }
    assert!(output.status.success());

    operator.stop();
    let data = sandbox.dir().join("operator/data").display().to_string();
    let output = operator.cli(&["doctor", "-o", "json", "--data-dir", &data]);
    let seen = checks(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&of(&seen, "operator")["result"], &of(&seen, "engine")["result"]), (&json!("fail"), &json!("ok")), "{seen}");
    assert!(of(&seen, "operator")["remedy"].as_str().unwrap().contains("evenkeel run"), "{seen}");
    assert!(of(&seen, "data folder")["message"].as_str().unwrap().contains(&data));
    let output = operator.cli(&["doctor", "-o", "json", "--docker-host", "unix:///nonexistent.sock"]);
    assert_eq!(of(&checks(&output), "engine")["result"], "fail");

    // A context that is not there: it is asked for, as `evenkeel run` would ask.
    let docker_config = sandbox.dir().join("docker");
    std::fs::create_dir(&docker_config).unwrap();
    std::fs::write(docker_config.join("config.json"), r#"{"currentContext": "elsewhere"}"#).unwrap();
    let output = operator.cli(&["doctor", "-o", "json", "--docker-config", &docker_config.display().to_string()]);
    let engine = of(&checks(&output), "engine");
    assert!(engine["message"].as_str().unwrap().contains("elsewhere"), "{engine}");
}
