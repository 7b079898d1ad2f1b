//! What comes in wrong is told with its place, and what ran goes on running.

use serde_json::json;

use crate::support::{Operator, Sandbox, check, condition, eventually, holds_for, same, secs, service};

#[test]
fn every_error_of_a_broken_manifest_is_told_with_its_place_and_the_last_good_version_runs_on() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let good = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    sandbox.write_manifest("web.yaml", &good);
    operator.wait_ready("web");
    let app = sandbox.container("web", "app", 1);
    let runs = sandbox.docker().runs(&app);

    let text = serde_yaml::to_string(&good).unwrap();
    let broken = text.replace("    app:\n", "    app:\n      imag: x\n      ports: [99999]\n      depends_on: [nowhere]\n");
    assert_ne!(broken, text);
    sandbox.write_text("web.yaml", &broken);
    let neighbour = sandbox.deployment("other", json!({"app": service::sleeper(&sandbox.image())}));
    sandbox.write_manifest("other.yaml", &neighbour);
    let told = eventually(secs(10), "the status tells what is wrong", || {
        let error = operator.api().status("web")?["source"]["error"].clone();
        error.as_str().map(str::to_owned).ok_or_else(|| operator.api().status("web").unwrap()["source"].to_string())
    });
    for part in ["web.yaml:", "spec.services.app.imag", "spec.services.app.ports[0]", "nowhere"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    operator.wait_ready("other");
    assert_eq!(sandbox.docker().runs(&app), runs);

    for nonsense in ["a: [1", "a: 1\na: 2\n", "kind: Nonsense\n", "\tx: 1\n"] {
        sandbox.write_text("web.yaml", nonsense);
        eventually(secs(10), "the log names the file", || check(operator.log().contains("web.yaml"), || operator.log()));
    }
    holds_for(secs(2), "it runs on", || same(sandbox.docker().runs(&app), runs.clone()));

    sandbox.write_manifest("web.yaml", &good);
    eventually(secs(10), "mended", || same(operator.api().status("web")?["source"]["error"].clone(), json!(null)));
    assert_eq!(sandbox.docker().runs(&app), runs);
}

#[test]
fn without_prune_a_removed_manifest_leaves_its_deployment_running_and_shown_as_orphaned() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let manifest = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    sandbox.write_manifest("deep/er/web.yaml", &manifest);
    operator.wait_ready("web");
    let app = sandbox.container("web", "app", 1);
    let runs = sandbox.docker().runs(&app);
    sandbox.remove_manifest("deep/er/web.yaml");
    let orphaned = || operator.api().deployment("web").map(|found| condition(&found, "Orphaned")["status"].clone());
    eventually(secs(15), "it is shown as orphaned", || same(orphaned()?, json!("True")));
    assert_eq!(sandbox.docker().runs(&app), runs);
    sandbox.write_manifest("web.yaml", &manifest);
    eventually(secs(15), "it has a home again", || same(orphaned()?, json!(null)));
    assert_eq!(sandbox.docker().runs(&app), runs);
}

#[test]
fn an_edit_replaces_one_service_and_leaves_the_other_alone() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let manifest = |value: &str| {
        let app = service::with(service::sleeper(&image), json!({"environment": {"V": value}}));
        sandbox.deployment("web", json!({"app": app, "db": service::sleeper(&image)}))
    };
    sandbox.write_manifest("web.yaml", &manifest("1"));
    operator.wait_ready("web");
    let [app, db] = ["app", "db"].map(|service| sandbox.container("web", service, 1));
    let (old, untouched) = (sandbox.docker().id(&app), sandbox.docker().runs(&db));
    sandbox.write_manifest("web.yaml", &manifest("2"));
    eventually(secs(15), "it is replaced", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().id(&app) != old, || "still the old one".into())
    });
    operator.wait_ready("web");
    assert_eq!(sandbox.docker().runs(&db), untouched);
    assert_eq!(sandbox.docker().names(&sandbox.project("web")).len(), 2, "nothing is left over");
}
