//! Images that are pulled: by policy, on request, with credentials, from registries on bad days.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::registry::{PASSWORD, USER};
use crate::support::{
    Operator, Registry, RegistryProxy, Sandbox, Trouble, check, condition, eventually, holds_for, same, secs, service,
};

/// Pushes a version of the test image as `app:1`; its reference. The digest differs for each version.
fn push(sandbox: &Sandbox, registry: &Registry, version: &str) -> String {
    push_as(sandbox, registry, version, "app:1")
}

fn push_as(sandbox: &Sandbox, registry: &Registry, version: &str, name: &str) -> String {
    registry.push(&sandbox.version_of_image(version), name)
}

fn app(image: &str, pull_policy: &str) -> Value {
    json!({"app": service::with(service::sleeper(image), json!({"pull_policy": pull_policy}))})
}

/// What the container of a service runs: image id, and what the status says of its image.
fn image_of(operator: &Operator, deployment: &str) -> (String, Value) {
    let status = operator.api().deployment(deployment).unwrap()["status"].clone();
    let service = &status["services"][0];
    (service["containers"][0]["imageId"].as_str().unwrap_or_default().to_owned(), service["image"].clone())
}

/// The reason for which the image of a deployment's first service cannot be pulled.
fn fails_with(operator: &Operator, deployment: &str, reason: &str) -> Result<Value, String> {
    let status = operator.api().status(deployment)?;
    let failure = status["services"][0]["image"]["failure"].clone();
    check(failure["reason"] == reason, || status.to_string())?;
    Ok(failure)
}

/// How often an Event of that reason was told of a deployment.
fn told(operator: &Operator, deployment: &str, reason: &str) -> u64 {
    let events = operator.api().events(deployment);
    events.iter().filter(|event| event["reason"] == reason).map(|event| event["count"].as_u64().unwrap_or(1)).sum()
}

#[test]
fn always_pulls_when_a_container_is_made_or_its_spec_changes_and_on_request_and_replaces_once() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let reference = push(&sandbox, &registry, "one");
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "always")));
    operator.wait_ready("web");
    let name = sandbox.container("web", "app", 1);
    let (one, image) = image_of(&operator, "web");
    assert!(image["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{image}");

    push(&sandbox, &registry, "two");
    sandbox.docker().crash(&name);
    eventually(secs(8), "it is started again", || sandbox.docker().running(&name));
    assert_eq!(image_of(&operator, "web").0, one, "a crash pulls nothing");

    let answer = operator.evenkeel(&["pull", "web", "--wait", "--timeout", "60s"]);
    let (two, newer) = image_of(&operator, "web");
    assert!(two != one && newer["digest"] != image["digest"], "{newer}");
    assert!(answer.contains(newer["digest"].as_str().unwrap()), "{answer}");
    operator.wait_ready("web");
    let container = sandbox.docker().id(&name);
    let pulls = told(&operator, "web", "Pulled");
    operator.evenkeel(&["pull", "web", "--wait", "--timeout", "60s"]);
    assert_eq!(sandbox.docker().id(&name), container, "the same digest replaces nothing");
    assert_eq!(told(&operator, "web", "Pulled"), pulls + 1);
    let last = operator.api().status("web").unwrap()["lastActions"].to_string();
    assert!(last.contains("a pull was asked for") && last.contains("already up to date"), "{last}");

    push(&sandbox, &registry, "three");
    let changed = service::with(app(&reference, "always")["app"].clone(), json!({"environment": {"A": "b"}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": changed})));
    eventually(secs(20), "it runs the third", || {
        operator.api().ready("web")?;
        let (three, _) = image_of(&operator, "web");
        check(![&one, &two].contains(&&three), || three)
    });
}

#[test]
fn a_policy_with_an_interval_polls_and_replaces_once_with_the_new_digest_while_a_sibling_of_the_tag_stays() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let reference = push(&sandbox, &registry, "one");
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "every_3s")));
    sandbox.write_manifest("calm.yaml", &sandbox.deployment("calm", app(&reference, "missing")));
    operator.wait_ready("web");
    operator.wait_ready("calm");
    let [web, calm] = ["web", "calm"].map(|deployment| sandbox.container(deployment, "app", 1));
    let before = [sandbox.docker().id(&web), sandbox.docker().id(&calm)];
    eventually(secs(20), "it polls", || check(told(&operator, "web", "Pulled") >= 3, || "not yet".into()));
    assert_eq!(sandbox.docker().id(&web), before[0], "the same digest replaces nothing");

    push(&sandbox, &registry, "two");
    eventually(secs(20), "it is replaced", || {
        check(sandbox.docker().find(&web).is_some_and(|found| found["Id"] != before[0]), || "no".into())
    });
    operator.wait_ready("web");
    let replaced = sandbox.docker().id(&web);
    holds_for(secs(6), "it is replaced once, and its sibling is not", || {
        same([sandbox.docker().id(&web), sandbox.docker().id(&calm)], [replaced.clone(), before[1].clone()])
    });
    let drift = operator.api().status("calm").unwrap()["services"][0]["containers"][0]["drift"].to_string();
    assert!(drift.contains("names another image"), "{drift}");
    let last = operator.api().status("web").unwrap()["lastActions"].to_string();
    assert!(last.contains("its image changed: sha256:"), "{last}");
}

#[test]
fn a_pull_by_hand_restarts_nothing_and_is_shown() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let reference = push(&sandbox, &registry, "one");
    let operator = Operator::of(&sandbox).resync("1s").start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "always")));
    operator.wait_ready("web");
    let name = sandbox.container("web", "app", 1);
    let runs = sandbox.docker().runs(&name);
    push(&sandbox, &registry, "two");
    sandbox.docker().run(&["pull", "--quiet", &reference]);
    eventually(secs(8), "it is shown", || {
        let status = operator.api().status("web")?;
        check(status["services"][0]["containers"][0]["drift"][0].is_string(), || status.to_string())
    });
    holds_for(secs(4), "nothing is restarted", || same(sandbox.docker().runs(&name), runs.clone()));
    operator.api().ready("web").unwrap();
}

#[test]
fn with_the_registry_down_a_new_tag_waits_and_the_old_container_serves_until_it_is_back() {
    let sandbox = Sandbox::new();
    let mut registry = Registry::start_in(&sandbox);
    let one = push_as(&sandbox, &registry, "one", "app:1");
    let two = push_as(&sandbox, &registry, "two", "app:2");
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&one, "missing")));
    operator.wait_ready("web");
    let name = sandbox.container("web", "app", 1);
    let runs = sandbox.docker().runs(&name);

    registry.stop();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&two, "missing")));
    eventually(secs(20), "ImagePullBackOff is seen", || {
        let object = operator.api().deployment("web")?;
        let ready = condition(&object, "Ready");
        check(ready["reason"] == "ImagePullBackOff" && ready["message"].to_string().contains("RegistryUnavailable"), || {
            ready.to_string()
        })
    });
    holds_for(secs(4), "the old one serves", || same(sandbox.docker().runs(&name), runs.clone()));
    let status = operator.api().status("web").unwrap();
    assert!(status.get("recovery").is_none() && status["services"][0]["containers"][0]["restarts"] == 0, "{status}");
    assert_eq!(told(&operator, "web", "RegistryUnavailable"), 1);

    registry.start();
    // The back-off's cap in the manifest is 8 s, its spread a tenth.
    // For a moment of the replacement nobody has the name.
    let runs_of = || sandbox.docker().find(&name).map(|found| found["Config"]["Image"].clone());
    eventually(secs(14), "it runs the new one", || same(runs_of(), Some(json!(two))));
    operator.wait_ready("web");
}

#[test]
fn what_a_registry_refuses_is_told_apart_and_costs_no_attempt() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let secured = Registry::with_password_in(&sandbox, "secured");
    let (plain, locked) = (push(&sandbox, &registry, "one"), push(&sandbox, &secured, "one"));
    let broken = RegistryProxy::before(&registry);
    broken.trouble("/manifests/", Trouble::Status(500, "{}".into()));
    let limited = RegistryProxy::before(&registry);
    limited.too_many_requests("retry-after: 2m0s, allowed: 100/hour");
    let docker_config = sandbox.dir().join("wrong");
    fs::create_dir_all(&docker_config).unwrap();
    let auth = json!({"auths": {secured.address(): {"auth": "dGVzdGVyOmh1bnRlcjI="}}});
    fs::write(docker_config.join("config.json"), auth.to_string()).unwrap();
    let operator = Operator::of(&sandbox).arg("--docker-config").arg(&docker_config.display().to_string()).start();
    let cases = [
        ("unknown", plain.replace(":1", ":9"), "ImageNotFound"),
        ("denied", locked, "ImageDenied"),
        ("down", "127.0.0.1:9/nothing:1".to_owned(), "RegistryUnavailable"),
        ("broken", broken.reference(&plain), "RegistryUnavailable"),
        ("limited", limited.reference(&plain), "RegistryRateLimited"),
    ];
    for (name, image, _) in &cases {
        sandbox.write_manifest(&format!("{name}.yaml"), &sandbox.deployment(name, app(image, "missing")));
    }
    for (name, _, reason) in &cases {
        let failure = eventually(secs(30), &format!("{name} is {reason}"), || fails_with(&operator, name, reason));
        eprintln!("{name}: {failure}");
        let object = operator.api().deployment(name).unwrap();
        assert_eq!(condition(&object, "Ready")["reason"], "ImagePullBackOff", "{object}");
        assert!(told(&operator, name, reason) >= 1, "{name} has an Event");
        assert!(object["status"].get("recovery").is_none(), "{object}");
    }
    let denied = fails_with(&operator, "denied", "ImageDenied").unwrap()["message"].to_string();
    assert!(denied.contains("with the credentials for") && denied.contains("config.json"), "{denied}");
    assert!(!operator.log().contains("hunter2"), "a password is in the log");
}

#[test]
fn credentials_come_from_dockers_configuration_and_from_its_helpers_and_are_read_anew() {
    let sandbox = Sandbox::new();
    let registry = Registry::with_password(&sandbox);
    let reference = push(&sandbox, &registry, "one");
    let other = push_as(&sandbox, &registry, "two", "other:1");
    let (config, bin) = (sandbox.dir().join("config"), sandbox.dir().join("bin"));
    fs::create_dir_all(&config).unwrap();
    fs::create_dir_all(&bin).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let directory = config.display().to_string();
    let operator = Operator::of(&sandbox).arg("--docker-config").arg(&directory).env("PATH", &path).start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "missing")));
    let denied = eventually(secs(20), "it is denied", || fails_with(&operator, "web", "ImageDenied"));
    assert!(denied["message"].to_string().contains("there are no credentials for"), "{denied}");

    // As `docker login` writes it.
    let mut login = sandbox.docker().command();
    login.env("DOCKER_CONFIG", &config).args(["login", "-u", USER, "-p", PASSWORD, &registry.address()]);
    let done = login.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    eventually(secs(14), "it runs without a restart of evenkeel", || operator.api().ready("web"));

    let helper = bin.join("docker-credential-ekt");
    let answer = json!({"ServerURL": registry.address(), "Username": USER, "Secret": PASSWORD});
    fs::write(&helper, format!("#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = {} ] && echo '{answer}'\n", registry.address()))
        .unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(config.join("config.json"), json!({"credHelpers": {registry.address(): "ekt"}}).to_string()).unwrap();
    sandbox.write_manifest("other.yaml", &sandbox.deployment("other", app(&other, "missing")));
    operator.wait_ready("other");
    assert!(!operator.log().contains(PASSWORD), "a password is in the log");
}

#[test]
fn a_request_is_fulfilled_once_though_the_operator_is_killed_in_the_middle_of_the_pull() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let proxy = RegistryProxy::before(&registry);
    let reference = proxy.reference(&push(&sandbox, &registry, "one"));
    let mut operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "missing")));
    operator.wait_ready("web");
    let name = sandbox.container("web", "app", 1);
    let before = sandbox.docker().id(&name);
    push(&sandbox, &registry, "two");
    proxy.trouble("/manifests/", Trouble::Delay(secs(5)));
    let asked = proxy.count("/manifests/");
    operator.evenkeel(&["pull", "web"]);
    eventually(secs(10), "the pull is under way", || check(proxy.count("/manifests/") > asked, || "no".into()));
    operator.api().ready("web").expect("a pull takes nothing down");
    operator.kill();
    proxy.clear();
    operator.start();
    eventually(secs(20), "it is replaced", || {
        check(sandbox.docker().find(&name).is_some_and(|found| found["Id"] != before), || "no".into())
    });
    operator.wait_ready("web");
    let (replaced, pulled) = (sandbox.docker().id(&name), image_of(&operator, "web").1);
    operator.kill();
    operator.start();
    operator.wait_ready("web");
    holds_for(secs(4), "it is not pulled again", || same(image_of(&operator, "web").1, pulled.clone()));
    assert_eq!(sandbox.docker().id(&name), replaced);
}

#[test]
fn a_registry_that_was_asked_too_often_is_left_alone_by_all_over_a_restart() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let proxy = RegistryProxy::before(&registry);
    let [one, two] = ["one", "two"].map(|name| proxy.reference(&push_as(&sandbox, &registry, name, &format!("{name}:1"))));
    proxy.too_many_requests("retry-after: 12s, allowed: 1/minute");
    let mut operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("one.yaml", &sandbox.deployment("one", app(&one, "missing")));
    eventually(secs(20), "it is limited", || fails_with(&operator, "one", "RegistryRateLimited"));
    proxy.clear();
    let asked = proxy.count("/manifests/");
    operator.kill();
    operator.start();
    sandbox.write_manifest("two.yaml", &sandbox.deployment("two", app(&two, "missing")));
    eventually(secs(8), "the other one waits, too", || {
        let waiting = operator.api().status("two")?["waiting"].to_string();
        check(waiting.contains("wants to be asked less often"), || waiting)
    });
    holds_for(secs(3), "nothing is asked", || same(proxy.count("/manifests/"), asked));
    eventually(secs(30), "both run when the time is over", || operator.api().ready("one").and(operator.api().ready("two")));
}

#[test]
fn what_is_stopped_is_pulled_and_not_started_and_what_is_made_without_a_registry_is_made_from_what_is_here() {
    let sandbox = Sandbox::new();
    let mut registry = Registry::start_in(&sandbox);
    let reference = push(&sandbox, &registry, "one");
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "always")));
    operator.wait_ready("web");
    let name = sandbox.container("web", "app", 1);
    let (one, _) = image_of(&operator, "web");
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(13), "it stops", || sandbox.docker().in_state(&name, "exited"));
    push(&sandbox, &registry, "two");
    operator.evenkeel(&["pull", "web", "--wait", "--timeout", "60s"]);
    holds_for(secs(3), "it stays stopped", || sandbox.docker().in_state(&name, "exited"));
    operator.evenkeel(&["start", "web"]);
    eventually(secs(15), "it runs the new one", || {
        operator.api().ready("web")?;
        let (two, _) = image_of(&operator, "web");
        check(two != one, || two)
    });

    sandbox.remove_manifest("web.yaml");
    operator.evenkeel(&["delete", "web", "--wait"]);
    registry.stop();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "always")));
    // Another try or two of the pull come first, for ten seconds at most.
    eventually(secs(20), "it is back", || sandbox.docker().running(&name));
    operator.wait_ready("web");
    let events = operator.api().events("web");
    let said = |event: &Value| event["message"].to_string().contains("is made from the image");
    assert!(events.iter().any(said), "it is said from what it was made: {events:?}");

    let (old, _) = image_of(&operator, "web");
    registry.start();
    push(&sandbox, &registry, "three");
    // The back-off's cap in the manifest is 8 s, its spread a tenth.
    eventually(secs(25), "the pull that is owed is made up for", || {
        let (new, _) = image_of(&operator, "web");
        check(!new.is_empty() && new != old, || new)
    });
    operator.wait_ready("web");
    let replaced = sandbox.docker().id(&name);
    holds_for(secs(4), "it is replaced once", || same(sandbox.docker().id(&name), replaced.clone()));
}

#[test]
fn progress_is_served_while_layers_come_in_and_a_cut_layer_is_fetched_again() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let proxy = RegistryProxy::before(&registry);
    let large = sandbox.large_image("large");
    let reference = proxy.reference(&registry.push(&large, "large:1"));
    sandbox.docker().run(&["rmi", &large]);
    proxy.trouble("/blobs/", Trouble::Cut);
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", app(&reference, "missing")));
    let path = format!("{}/progress", crate::support::Api::path("web"));
    eventually(secs(20), "progress is served", || {
        let jobs = operator.api().get(&path)?.success()?["jobs"].clone();
        check(jobs[0]["kind"] == "pull" && jobs[0]["progress"]["total"].as_u64() > Some(0), || jobs.to_string())
    });
    eventually(secs(10), "it is shown in the status", || {
        let waiting = operator.api().status("web")?["waiting"].to_string();
        check(waiting.contains("being pulled"), || waiting)
    });
    let revision = || operator.api().deployment("web").unwrap()["metadata"]["resourceVersion"].clone();
    let seen = revision();
    holds_for(secs(2), "the store is not written for it", || same(revision(), seen.clone()));

    let wait = ["pull", "web", "--wait", "--timeout", "2s"];
    let piped = operator.cli(&wait);
    let lines = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert!(piped.status.code() == Some(3) && lines.contains(&format!("pulling {reference}: ")), "{lines}");
    assert!(lines.contains("waited 2s in vain until image"), "{lines}");
    let terminal = operator.cli_on_terminal(&wait);
    assert!(terminal.contains(&format!("{reference} [")) && terminal.contains("layers"), "{terminal}");
    proxy.clear();
    eventually(secs(90), "it runs", || operator.api().ready("web"));
}
