//! The daemon goes and comes, and people get one message about it.

use serde_json::{Value, json};

use crate::notify::{incidents, with_hook};
use crate::support::{Operator, OwnDaemon, Receiver, Sandbox, check, eventually, holds_for, secs, service};

#[test]
fn a_restart_of_the_daemon_is_one_message_about_all_that_came_back() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let receiver = Receiver::start(&[]);
    let mut operator = with_hook(&sandbox, Operator::of(&sandbox).docker_host(daemon.docker().host()), &receiver);
    let image = daemon.image();
    for name in ["d1", "d2", "d3"] {
        sandbox.write_manifest(&format!("{name}.yaml"), &sandbox.deployment(name, json!({"app": service::sleeper(&image)})));
    }
    for name in ["d1", "d2", "d3"] {
        eventually(secs(30), "all run", || operator.api().ready(name));
    }
    operator.evenkeel(&["stop", "d3"]);
    eventually(secs(15), "one is stopped", || operator.api().phase("d3", "Stopped").map(drop));

    daemon.restart();
    let taken = receiver.wait_taken(1, 60);
    let text = taken[0]["text"].as_str().unwrap();
    assert_eq!((&taken[0]["kind"], &taken[0]["cause"]), (&json!("Recovered"), &json!("Recovered")), "{taken:#?}");
    assert!(text.starts_with("recovered 2 deployments after daemon restart") && !text.contains("d3"), "{text}");

    // What went down with the daemon did not crash.
    let about_deployments: Vec<Value> = incidents(&operator)
        .into_iter()
        .filter(|incident| incident["spec"]["subject"]["kind"] == "Deployment")
        .map(|incident| json!([incident["spec"], incident["status"]]))
        .collect();
    assert!(about_deployments.is_empty(), "{about_deployments:#?}");

    // The next start of the operator finds the Event again, and does not tell it again.
    operator.kill();
    operator.start();
    holds_for(secs(5), "nothing more is told", || {
        let kinds: Vec<Value> = receiver.taken().iter().map(|body| body["kind"].clone()).collect();
        check(kinds.len() == 1, || format!("{kinds:?}"))
    });
}
