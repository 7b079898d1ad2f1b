//! Commands run in containers: input, output, exit codes, terminals.

use serde_json::json;

use crate::support::{Operator, Sandbox, check, eventually, secs, service};

fn scene() -> (Sandbox, Operator) {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let sleeper = || service::sleeper(&sandbox.image());
    let workers = service::with(sleeper(), json!({"deploy": {"replicas": 2}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": sleeper(), "worker": workers})));
    operator.wait_ready("web");
    (sandbox, operator)
}

#[test]
fn a_command_gets_its_input_and_gives_its_output_and_exit_code_back() {
    let (_sandbox, operator) = scene();
    let (out, code) = operator.bash("evenkeel exec web app -- sh -c 'echo out; echo err >&2; exit 3' 2>/dev/null", None, "");
    assert_eq!((out.as_str(), code), ("out\n", 3));
    let (out, code) = operator.bash("evenkeel exec web app -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null", None, "");
    assert_eq!((out.as_str(), code), ("err\n", 0));

    let megabytes = "0123456789abcde\n".repeat(200_000);
    let (out, code) = operator.bash("evenkeel exec web app -i -- cat", None, &megabytes);
    assert!(out == megabytes && code == 0, "{} bytes of {}, code {code}", out.len(), megabytes.len());
    let (out, code) = operator.bash("evenkeel exec web app -- cat", None, "not asked for");
    assert_eq!((out.as_str(), code), ("", 0), "without -i there is no input");

    let (out, _) = operator.bash("evenkeel exec web app -w /tmp -e A=b -u 7 -- sh -c 'pwd; echo $A; id -u'", None, "");
    assert_eq!(out, "/tmp\nb\n7\n");
    let (out, code) = operator.bash("evenkeel exec web app -- nosuch 2>&1", None, "");
    assert!(out.contains("not found") && [126, 127].contains(&code), "{code}: {out}");
}

#[test]
fn which_container_is_meant_is_said_or_asked() {
    let (sandbox, operator) = scene();
    let host = |part: &str| operator.evenkeel(&["exec", "web", part, "--", "hostname"]).trim().to_owned();
    let short = |service: &str, number: u32| sandbox.docker().id(&sandbox.container("web", service, number))[..12].to_owned();
    assert_eq!(host("worker-2"), short("worker", 2));
    assert_eq!(host("worker"), short("worker", 1));
    for (args, code, words) in [
        (&["exec", "web", "--", "true"][..], 2, "name one: app, worker"),
        (&["exec", "web", "db", "--", "true"], 2, "has no service \"db\""),
        (&["exec", "nobody", "app", "--", "true"], 1, "not found"),
        (&["exec", "web", "worker-9", "--", "true"], 1, "no container"),
    ] {
        let output = operator.cli(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && text.contains(words), "{args:?}: {} {text}", output.status);
    }
    operator.evenkeel(&["stop", "web", "app"]);
    let app = sandbox.container("web", "app", 1);
    eventually(secs(13), "it stops", || sandbox.docker().in_state(&app, "exited"));
    let output = operator.cli(&["exec", "web", "app", "--", "true"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("is not running"), "{text}");
}

#[test]
fn a_terminal_is_passed_on_with_its_size_and_left_as_it_was() {
    let (_sandbox, operator) = scene();
    let script =
        "stty -g > before; evenkeel exec web app -it -- sh; echo code $?; stty -g > after; cmp before after && echo restored";
    let place = tempfile::tempdir().unwrap();
    let script = format!("cd {}; {script}", place.path().display());
    let (out, _) = operator.bash(&script, Some(100), "stty size; tty; exit 7\n");
    assert!(out.contains("30 100"), "the size of the terminal: {out}");
    assert!(out.contains("/dev/pts/"), "a terminal in the container: {out}");
    assert!(out.contains("code 7") && out.contains("restored"), "{out}");

    let (out, code) = operator.bash("evenkeel exec web app -it -- sh -c 'tty; exit 4' 2>&1", None, "");
    assert!(out.contains("not a tty") && out.contains("no terminal") && code == 4, "{code}: {out}");
}

#[test]
fn a_client_that_is_killed_takes_its_terminals_command_with_it() {
    let (sandbox, operator) = scene();
    let app = sandbox.container("web", "app", 1);
    let mut child =
        operator.command(&["exec", "web", "app", "-i", "--", "cat"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let running = || sandbox.docker().exec(&app, &["ps"]).lines().filter(|line| line.trim_end().ends_with(" cat")).count();
    eventually(secs(10), "cat runs", || check(running() == 1, || running().to_string()));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually(secs(10), "cat ends with its input", || check(running() == 0, || running().to_string()));
}
