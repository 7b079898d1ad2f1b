//! What goes wrong becomes an incident, and people are told of it: once, on a way that fails now and then, without a secret in sight.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Answer, Mailbox, Operator, Options, Receiver, Sandbox, check, eventually, holds_for, secs, service};

/// Applies an object through the command line.
#[track_caller]
fn apply(sandbox: &Sandbox, operator: &Operator, object: &Value) {
    let file = sandbox.dir().join("object.yaml");
    fs::write(&file, serde_yaml::to_string(object).unwrap()).unwrap();
    operator.evenkeel(&["apply", "-f", file.to_str().unwrap()]);
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A Channel to a receiver, whose address stands in a file.
fn webhook(sandbox: &Sandbox, name: &str, receiver: &Receiver) -> Value {
    let file = sandbox.dir().join(format!("{name}.url"));
    fs::write(&file, receiver.url()).unwrap();
    object("Channel", name, json!({"webhook": {"urlFrom": {"file": file}, "secretFrom": {"env": "HOOK_SECRET"}}}))
}

/// An operator with a Channel `hook` and an Alert `all` for it.
pub fn with_hook(sandbox: &Sandbox, options: Options<'_>, receiver: &Receiver) -> Operator {
    let operator = options.env("HOOK_SECRET", "s3cret-key").start();
    apply(sandbox, &operator, &webhook(sandbox, "hook", receiver));
    apply(sandbox, &operator, &object("Alert", "all", json!({"channels": ["hook"]})));
    operator
}

fn kinds(taken: &[Value]) -> Vec<String> {
    taken.iter().map(|body| format!("{} {}", body["kind"].as_str().unwrap(), body["severity"].as_str().unwrap())).collect()
}

pub fn incidents(operator: &Operator) -> Vec<Value> {
    let list = operator.api().get("/apis/evenkeel.dev/v1alpha1/incidents").unwrap();
    list.body["items"].as_array().cloned().unwrap_or_default()
}

/// A service without a network: the engine has few, and none is needed here.
fn alone(service: Value) -> Value {
    service::with(service, json!({"network_mode": "none"}))
}

/// A deployment that gives up at the fourth attempt.
fn doomed(sandbox: &Sandbox) -> Value {
    let mut web = sandbox.deployment("web", json!({"app": alone(service::exits(&sandbox.image(), 1))}));
    web["spec"]["recovery"]["maxAttempts"] = json!(4);
    web["spec"]["recovery"]["alertAfter"] = json!(2);
    web["spec"]["recovery"]["backoff"] = json!({"initial": "1s", "max": "2s"});
    web["spec"]["recovery"]["verifyWindow"] = json!("2s");
    web
}

#[test]
fn a_crash_loop_is_one_alert_one_give_up_and_one_resolved_after_the_repair() {
    let sandbox = Sandbox::new();
    let receiver = Receiver::start(&[Answer::Status(500, ""), Answer::Status(500, "")]);
    let operator = with_hook(&sandbox, Operator::of(&sandbox), &receiver);
    sandbox.write_manifest("web.yaml", &doomed(&sandbox));

    let taken = receiver.wait_taken(2, 30);
    assert_eq!(kinds(&taken), ["Opened warning", "Escalated critical"], "{taken:#?}");
    // Three failures in a row make a loop of what was an error before: it is the same incident.
    assert_eq!(taken[1]["cause"], "CrashLoop");
    assert!(taken[1]["text"].as_str().unwrap().contains("- exit code 1"), "{taken:#?}");
    assert!(taken[1]["signature"].as_str().unwrap().starts_with("CrashLoop: "), "{taken:#?}");
    assert!(taken[1]["text"].as_str().unwrap().contains("given up"), "{taken:#?}");
    let [incident] = incidents(&operator).try_into().expect("one incident");
    assert_eq!(incident["status"]["phase"], "Open");
    assert_eq!(incident["status"]["attempts"], json!(4), "{incident:#}");

    // The first message was tried three times, with the same id and the same signature.
    let posted = receiver.posted();
    let first: Vec<_> = posted.iter().filter(|posted| posted.header("x-evenkeel-id") == taken[0]["id"]).collect();
    assert_eq!(first.iter().map(|posted| posted.status).collect::<Vec<_>>(), [500, 500, 200]);
    assert!(first.iter().all(|posted| posted.header("x-signature") == first[0].header("x-signature")));
    assert!(first[0].header("x-signature").starts_with("sha256="));

    let name = incident["metadata"]["name"].as_str().unwrap();
    operator.evenkeel(&["incident", "ack", name, "--note", "looking"]);
    let mut mended = doomed(&sandbox);
    mended["spec"]["services"]["app"] = alone(service::sleeper(&sandbox.image()));
    sandbox.write_manifest("web.yaml", &mended);
    let taken = receiver.wait_taken(3, 30);
    assert_eq!(kinds(&taken[2..]), ["Resolved critical"]);
    let listed = operator.evenkeel(&["incident", "list"]);
    assert!(listed.contains("deployment/web") && listed.contains("Resolved"), "{listed}");
    let described = operator.evenkeel(&["describe", "incident", name]);
    for word in ["Opened", "Escalated", "Acknowledged", "looking", "Resolved", "default/all"] {
        assert!(described.contains(word), "{word} is missing in\n{described}");
    }
    // An own update and a stop by a person are nothing to tell.
    operator.evenkeel(&["stop", "web"]);
    holds_for(secs(4), "nothing more is told", || check(receiver.taken().len() == 3, || format!("{:#?}", receiver.taken())));

    let everything = [
        operator.log(),
        operator.evenkeel(&["get", "channels", "-o", "yaml"]),
        operator.evenkeel(&["get", "incidents", "-o", "yaml"]),
        operator.evenkeel(&["get", "events", "-o", "yaml"]),
        operator.evenkeel(&["describe", "channel", "hook"]),
    ];
    for text in everything {
        assert!(!text.contains("s3cret"), "a secret is shown in\n{text}");
    }
    let shown = operator.evenkeel(&["get", "channels"]);
    assert!(shown.contains(&receiver.server()), "{shown}");
}

#[test]
fn a_crash_that_is_mended_is_an_incident_and_no_message() {
    let sandbox = Sandbox::new();
    let receiver = Receiver::start(&[]);
    let operator = with_hook(&sandbox, Operator::of(&sandbox), &receiver);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": alone(service::sleeper(&sandbox.image()))})));
    operator.wait_ready("web");
    sandbox.docker().crash(&sandbox.container("web", "app", 1));
    let incident = eventually(secs(20), "the incident is over", || {
        let all = incidents(&operator);
        check(all.len() == 1 && all[0]["status"]["phase"] == "Resolved", || format!("{all:#?}")).map(|()| all[0].clone())
    });
    assert_eq!(incident["status"]["severity"], "info");
    assert_eq!(incident["status"]["openings"], json!(1));
    assert_eq!(receiver.posted().len(), 0, "{:#?}", receiver.posted());
}

#[test]
fn over_a_sigkill_a_greylisted_mail_is_delivered_with_the_same_id_and_no_other() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::start_in(&sandbox, 2);
    let password = sandbox.dir().join("password");
    fs::write(&password, "s3cret-password\n").unwrap();
    let mut operator = Operator::start_on(&sandbox);
    let email = json!({
        "host": "127.0.0.1", "port": mailbox.port(), "caFile": mailbox.certificate(), "username": "evenkeel",
        "passwordFrom": {"file": password}, "from": "evenkeel <evenkeel@example.org>", "to": ["Ada <ada@example.org>", "bob@example.org"],
    });
    apply(&sandbox, &operator, &object("Channel", "mail", json!({ "email": email })));
    apply(&sandbox, &operator, &object("Alert", "all", json!({"channels": ["mail"], "severity": "critical"})));
    sandbox.write_manifest("web.yaml", &doomed(&sandbox));

    eventually(secs(30), "the mail is greylisted", || check(!mailbox.mails().is_empty(), || "no mail".into()));
    let channel = operator.evenkeel(&["get", "channels", "-o", "yaml"]);
    operator.kill();
    operator.start();
    eventually(secs(30), "the mail is taken", || {
        let mails = mailbox.mails();
        check(mails.iter().any(|mail| mail["taken"] == true), || format!("{mails:#?}"))
    });
    holds_for(secs(5), "it is not sent again", || {
        let taken = mailbox.mails().iter().filter(|mail| mail["taken"] == true).count();
        check(taken == 1, || format!("{:#?}", mailbox.mails()))
    });
    let mails = mailbox.mails();
    assert_eq!(mails.len(), 3, "{mails:#?}");
    assert!(mails.iter().all(|mail| mail["id"] == mails[0]["id"] && mail["tls"] == true), "{mails:#?}");
    assert_eq!(mails[2]["to"], json!(["ada@example.org", "bob@example.org"]));
    assert_eq!(mails[2]["subject"], "[critical] default/web: CrashLoop");
    assert!(!channel.contains("s3cret") && !operator.log().contains("s3cret"), "{channel}");
    assert_eq!(incidents(&operator).len(), 1);
}

#[test]
fn a_dead_receiver_delays_nothing_and_one_that_refuses_is_told_once() {
    let sandbox = Sandbox::new();
    let dead = Receiver::start(&vec![Answer::Hang(secs(60)); 50]);
    let refusing = Receiver::start(&vec![Answer::Status(404, ""); 50]);
    let alive = Receiver::start(&[Answer::Status(429, "retry-after: 3"), Answer::Cut]);
    let operator = with_hook(&sandbox, Operator::of(&sandbox), &dead);
    apply(&sandbox, &operator, &webhook(&sandbox, "refusing", &refusing));
    apply(&sandbox, &operator, &webhook(&sandbox, "alive", &alive));
    let spec = json!({"channels": ["hook", "refusing", "alive"], "severity": "info"});
    apply(&sandbox, &operator, &object("Alert", "all", spec));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": alone(service::sleeper(&sandbox.image()))})));
    operator.wait_ready("web");
    let container = sandbox.container("web", "app", 1);
    sandbox.docker().crash(&container);
    eventually(secs(2), "it runs again", || sandbox.docker().running(&container));

    alive.wait_taken(1, 20);
    let posted = alive.posted();
    assert_eq!(posted.iter().map(|posted| posted.status).collect::<Vec<_>>()[..3], [429, 0, 200]);
    let waited = posted[1].at.duration_since(posted[0].at);
    assert!(waited >= secs(3), "Retry-After was not honoured: {waited:?}");
    let refused = eventually(secs(10), "the refusal is told", || {
        let channel = operator.evenkeel(&["describe", "channel", "refusing"]);
        check(channel.contains("Refused") && channel.contains("404"), || channel.clone()).map(|()| channel)
    });
    assert!(refused.contains("Waiting:   0") && refused.contains("Events"), "{refused}");
    assert!(!refused.contains("s3cret"), "{refused}");
    assert!(operator.evenkeel(&["get", "channels", "hook"]).contains(&dead.server()));
}

#[test]
fn a_channel_can_be_tested() {
    let sandbox = Sandbox::new();
    let receiver = Receiver::start(&[Answer::Status(200, ""), Answer::Status(401, "")]);
    let operator = with_hook(&sandbox, Operator::of(&sandbox), &receiver);
    let said = operator.evenkeel(&["notify", "test", "hook"]);
    assert_eq!(said, "channel hook: it was taken\n");
    let failed = operator.cli(&["notify", "test", "hook"]);
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && error.contains("401"), "{error}");
    let missing = operator.cli(&["notify", "test", "nobody"]);
    assert!(!missing.status.success());
    assert_eq!(receiver.posted().len(), 2, "a test is tried once");
}

#[test]
fn the_sample_of_the_package_is_right() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerting.yaml");
    operator.evenkeel(&["validate", "-f", sample]);
    operator.evenkeel(&["apply", "-f", sample]);
    let alert = eventually(secs(5), "the alert is ready", || {
        let shown = operator.evenkeel(&["get", "alerts"]);
        check(shown.contains("True"), || shown.clone()).map(|()| shown)
    });
    assert!(alert.contains("everything") && alert.contains("team"), "{alert}");
    let channel = operator.evenkeel(&["describe", "channel", "team"]);
    assert!(channel.contains("slack") && channel.contains("nothing was sent yet"), "{channel}");
    operator.evenkeel(&["delete", "-f", sample]);
}
