//! Traces reach a real collector, and a collector that is down changes nothing.

use serde_json::{Value, json};

use crate::support::{Collector, Operator, Sandbox, check, eventually, secs, service};

#[test]
fn a_reconcile_that_did_something_is_one_trace_with_its_steps_and_the_status_and_events_name_it() {
    let sandbox = Sandbox::new();
    let collector = Collector::start_in(&sandbox);
    let operator = Operator::of(&sandbox).env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()).start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    let status = operator.api().status("web").unwrap();
    let last = status["lastActions"].as_array().and_then(|all| all.last()).cloned().unwrap_or(Value::Null);
    let trace = last["traceId"].as_str().unwrap_or_else(|| panic!("no trace id in {status}")).to_owned();

    let spans = eventually(secs(20), "the spans have arrived", || {
        let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == trace).collect();
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let steps = ["reconcile", "load", "observe", "plan", "start container", "record"];
        check(steps.iter().all(|step| names.contains(step)), || format!("{names:?}")).map(|()| spans)
    });
    let root = spans.iter().find(|span| span.name == "reconcile").unwrap();
    assert!(root.parent.is_empty(), "{root:?}");
    let start = spans.iter().find(|span| span.name == "start container").unwrap();
    assert!(spans.iter().any(|span| span.id == start.parent), "{spans:?}");
    assert!(spans.iter().any(|span| span.parent == start.id), "the engine's call is a span under the action: {spans:?}");
    let named = operator
        .api()
        .events("web")
        .iter()
        .any(|event| event["metadata"]["annotations"]["evenkeel.dev/trace-id"] == json!(trace));
    assert!(named, "{:?}", operator.api().events("web"));
}

#[test]
fn a_collector_that_is_down_changes_nothing() {
    let sandbox = Sandbox::new();
    let operator = Operator::of(&sandbox).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    let app = sandbox.container("web", "app", 1);
    let before = sandbox.docker().runs(&app);
    sandbox.docker().crash(&app);
    eventually(secs(4), "it is healed", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().runs(&app) != before, || "not started anew".into())
    });
}
