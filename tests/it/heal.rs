//! What breaks comes back, at the pace that was asked for, and it is told why.

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, check, condition, eventually, holds_for, same, secs, service};

/// Events about a Deployment with this reason.
fn told(operator: &Operator, name: &str, reason: &str) -> Vec<Value> {
    operator.api().events(name).into_iter().filter(|event| event["reason"] == json!(reason)).collect()
}

/// A deployment whose attempts are forgotten only after a minute.
fn unforgetting(sandbox: &Sandbox, services: Value) -> Value {
    let mut deployment = sandbox.deployment("web", services);
    deployment["spec"]["recovery"]["stableWindow"] = json!("60s");
    deployment
}

/// Crashes the container and waits until its status tells this attempt and it runs again.
fn crash_and_see_attempt(sandbox: &Sandbox, operator: &Operator, attempt: u32) {
    let container = sandbox.container("web", "app", 1);
    let before = sandbox.docker().runs(&container);
    sandbox.docker().crash(&container);
    eventually(secs(14), &format!("attempt {attempt} is made"), || {
        sandbox.docker().running(&container)?;
        check(sandbox.docker().runs(&container) != before, || "not started anew".into())?;
        let recovery = operator.api().status("web")?["recovery"].clone();
        check(recovery["attempt"] == json!(attempt), || recovery.to_string())
    });
}

#[test]
fn a_killed_container_runs_again_within_two_seconds_and_the_status_and_an_event_say_why() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &unforgetting(&sandbox, json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    let container = sandbox.container("web", "app", 1);
    let before = sandbox.docker().inspect(&container);

    sandbox.docker().crash(&container);
    eventually(secs(2), "it runs again", || {
        let now = sandbox.docker().inspect(&container);
        check(now["State"]["Running"] == json!(true) && now["State"]["StartedAt"] != before["State"]["StartedAt"], || {
            now["State"].to_string()
        })
    });
    assert_eq!(sandbox.docker().id(&container), before["Id"], "the same container is started again");

    let status = eventually(secs(5), "the status tells the attempt", || {
        let status = operator.api().status("web")?;
        check(status["recovery"]["attempt"] == json!(1), || status.to_string()).map(|()| status)
    });
    assert_eq!(status["recovery"]["failure"]["exitCode"], json!(137), "{status}");
    let action = status["lastActions"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    assert!(action["action"].as_str().is_some_and(|action| action.contains("start")), "{status}");
    assert!(action["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{status}");
    eventually(secs(5), "an Event says so", || {
        let crashed = told(&operator, "web", "Crashed");
        check(crashed.iter().any(|event| event["message"].to_string().contains("137")), || format!("{crashed:?}"))
    });
}

#[test]
fn a_removed_container_is_made_again_with_its_volumes_and_its_names_on_the_network() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.volume_image();
    let app = service::with(service::http(&image, 80), json!({"volumes": ["named:/named"]}));
    let mut web = sandbox.deployment("web", json!({"app": app, "friend": service::sleeper(&image)}));
    web["spec"]["volumes"] = json!({"named": {}});
    sandbox.write_manifest("web.yaml", &web);
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let before = docker.id(&container);
    docker.exec(&container, &["sh", "-c", "echo named > /named/kept; echo anonymous > /data/kept"]);

    docker.run(&["rm", "--force", &container]);
    eventually(secs(5), "another one runs", || {
        docker.running(&container)?;
        check(docker.id(&container) != before, || "the old one is still there".into())
    });
    assert_eq!(docker.exec(&container, &["cat", "/named/kept", "/data/kept"]), "named\nanonymous");
    eventually(secs(5), "its friend reaches it by name", || {
        docker.attempt(&["exec", &sandbox.container("web", "friend", 1), "wget", "-q", "-O", "-", "http://app/"])
    });
}

#[test]
fn a_changed_container_keeps_its_anonymous_volume() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let app = |mark: &str| service::with(service::sleeper(&sandbox.volume_image()), json!({"environment": {"MARK": mark}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app("one")})));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    docker.exec(&container, &["sh", "-c", "echo anonymous > /data/kept"]);

    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app("two")})));
    eventually(secs(10), "it is replaced", || {
        docker.running(&container)?;
        check(docker.inspect(&container)["Config"]["Env"].to_string().contains("MARK=two"), || "not yet".into())
    });
    assert_eq!(docker.exec(&container, &["cat", "/data/kept"]), "anonymous");
}

#[test]
fn a_container_taken_off_its_network_is_put_back_under_its_names() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let services = json!({"app": service::http(&image, 80), "friend": service::sleeper(&image)});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let network = format!("{}_default", sandbox.project("web"));
    let before = docker.runs(sandbox.prefix());
    let reached = || docker.attempt(&["exec", &sandbox.container("web", "friend", 1), "wget", "-q", "-O", "-", "http://app/"]);
    reached().unwrap();

    docker.run(&["network", "disconnect", &network, &container]);
    eventually(secs(5), "its friend reaches it again", || reached().map(drop));
    eventually(secs(5), "the deployment is ready", || operator.api().ready("web"));
    assert_eq!(docker.runs(sandbox.prefix()), before, "nothing needed to be restarted for it");
}

#[test]
fn a_network_removed_while_the_deployment_is_stopped_is_made_again_with_all_names_on_it() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let services = json!({"app": service::http(&image, 80), "friend": service::sleeper(&image)});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    let docker = sandbox.docker();

    operator.evenkeel(&["stop", "web"]);
    eventually(secs(10), "it is stopped", || operator.api().phase("web", "Stopped"));
    for service in ["app", "friend"] {
        docker.in_state(&sandbox.container("web", service, 1), "exited").expect("Stopped is said when nothing runs any more");
    }
    let network = format!("{}_default", sandbox.project("web"));
    eventually(secs(3), "Docker lets go of the network", || docker.attempt(&["network", "rm", &network]));
    operator.evenkeel(&["start", "web"]);
    operator.wait_ready("web");
    eventually(secs(5), "its friend reaches it by name", || {
        docker.attempt(&["exec", &sandbox.container("web", "friend", 1), "wget", "-q", "-O", "-", "http://app/"])
    });
}

#[test]
fn a_network_removed_under_running_containers_is_made_again_with_all_names_on_it() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let services = json!({"app": service::http(&image, 80), "friend": service::sleeper(&image)});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    let docker = sandbox.docker();
    let network = format!("{}_default", sandbox.project("web"));
    let friend = sandbox.container("web", "friend", 1);

    operator.freeze();
    for container in [&sandbox.container("web", "app", 1), &friend] {
        docker.run(&["network", "disconnect", "--force", &network, container]);
    }
    docker.run(&["network", "rm", &network]);
    operator.thaw();
    eventually(secs(10), "its friend reaches it by name", || {
        docker.attempt(&["exec", &friend, "wget", "-q", "-O", "-", "http://app/"])
    });
    eventually(secs(5), "the deployment is ready", || operator.api().ready("web"));
}

#[test]
fn a_running_container_whose_image_is_untagged_stays_ready_and_comes_back_after_a_crash() {
    let sandbox = Sandbox::new();
    let operator = Operator::of(&sandbox).resync("1s").start();
    let image = sandbox.own_image("app");
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&image)})));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let before = docker.runs(&container);

    docker.run(&["rmi", &image]);
    holds_for(secs(4), "it stays ready and is left alone", || {
        same(docker.runs(&container), before.clone())?;
        operator.api().ready("web").map(drop)
    });
    docker.crash(&container);
    eventually(secs(3), "it is back", || {
        docker.running(&container)?;
        check(docker.runs(&container) != before, || "not started anew".into())
    });
}

#[test]
fn what_always_fails_is_tried_as_often_and_as_slowly_as_configured_then_given_up_and_told_once() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let events = sandbox.docker().record(sandbox.prefix());
    let mut web = sandbox.deployment("web", json!({"app": service::exits(&sandbox.image(), 1)}));
    web["spec"]["recovery"]["maxAttempts"] = json!(6);
    operator.api().apply(&web);

    let failed = eventually(secs(60), "it is given up", || operator.api().phase("web", "Failed"));
    let ready = condition(&failed, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("BackOffExhausted")));
    let container = sandbox.container("web", "app", 1);
    let starts = events.times(&container, "start");
    let gaps: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let wanted = [0.0, 1.0, 2.0, 4.0, 8.0, 8.0];
    let fits = |(gap, wanted): (&f64, &f64)| (wanted * 0.75..=wanted * 1.25 + 1.0).contains(gap);
    assert!(
        gaps.len() == wanted.len() && gaps.iter().zip(&wanted).all(fits),
        "gaps between starts: {gaps:?}, wanted: {wanted:?}"
    );
    let count =
        |reason: &str| told(&operator, "web", reason).iter().map(|event| event["count"].as_i64().unwrap_or(1)).sum::<i64>();
    eventually(secs(5), "it is told once", || same((count("RecoveryAlert"), count("BackOffExhausted")), (1, 1)));
    let alert = told(&operator, "web", "RecoveryAlert")[0]["message"].to_string();
    assert!(alert.contains('3'), "told at the third attempt: {alert}");

    operator.api().patch_deployment("web", &json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}));
    operator.evenkeel(&["suspend", "web"]);
    operator.evenkeel(&["resume", "web"]);
    let seen = starts.len();
    holds_for(secs(5), "a label, an annotation and a Hold start nothing over", || {
        same(events.times(&container, "start").len(), seen)
    });

    operator.evenkeel(&["retry", "web"]);
    eventually(secs(5), "retry starts over", || {
        let starts = events.times(&container, "start").len();
        check(starts >= seen + 2, || format!("{} starts more", starts - seen))
    });
    operator.api().patch_deployment("web", &json!({"spec": {"services": {"app": service::sleeper(&sandbox.image())}}}));
    let mended = eventually(secs(10), "a changed spec starts over and runs", || operator.api().ready("web"));
    assert_eq!(mended["status"]["phase"], json!("Running"));
}

#[test]
fn a_changed_spec_starts_over_what_was_given_up() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let mut web = sandbox.deployment("web", json!({"app": service::exits(&sandbox.image(), 1)}));
    web["spec"]["recovery"]["maxAttempts"] = json!(1);
    sandbox.write_manifest("web.yaml", &web);
    eventually(secs(20), "it is given up", || operator.api().phase("web", "Failed"));
    web["spec"]["services"]["app"] = service::sleeper(&sandbox.image());
    sandbox.write_manifest("web.yaml", &web);
    operator.wait_ready("web");
}

#[test]
fn the_defaults_of_recovery_read_back() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let mut web = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    web["spec"].as_object_mut().unwrap().remove("recovery");
    let recovery = operator.api().apply(&web)["spec"]["recovery"].clone();
    assert_eq!(recovery["backoff"], json!({"initial": "5s", "factor": 2.0, "max": "5m"}));
    assert_eq!((&recovery["maxAttempts"], &recovery["alertAfter"]), (&json!(10), &json!(3)));
}

#[test]
fn a_stable_time_makes_attempts_count_from_one_again() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    (1..=3).for_each(|attempt| crash_and_see_attempt(&sandbox, &operator, attempt));
    eventually(secs(8), "its attempts are forgotten after 3 s", || {
        let status = operator.api().status("web")?;
        check(status["recovery"]["attempt"].as_u64().unwrap_or(0) == 0, || status["recovery"].to_string())
    });
    crash_and_see_attempt(&sandbox, &operator, 1);
}

#[test]
fn attempts_count_on_after_the_operator_was_killed() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &unforgetting(&sandbox, json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    (1..=4).for_each(|attempt| crash_and_see_attempt(&sandbox, &operator, attempt));
    operator.kill();
    operator.start();
    operator.wait_ready("web");
    crash_and_see_attempt(&sandbox, &operator, 5);
}

#[test]
fn a_container_that_ignores_term_is_killed_after_its_grace_with_all_its_processes() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let app = service::with(service::deaf(&sandbox.image()), json!({"stop_grace_period": "3s"}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app})));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let pids = || {
        docker
            .attempt(&["top", &container, "-o", "pid"])
            .unwrap_or_default()
            .lines()
            .skip(1)
            .map(str::trim)
            .map(String::from)
            .collect()
    };
    let pids: Vec<String> = eventually(secs(5), "its children run", || {
        let pids: Vec<String> = pids();
        check(pids.len() == 3, || format!("{pids:?}")).map(|()| pids)
    });

    let events = docker.record(sandbox.prefix());
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(10), "it is stopped", || docker.in_state(&container, "exited"));
    assert_eq!(docker.inspect(&container)["State"]["ExitCode"], json!(137));
    let at = |action: &str| events.all().iter().find(|event| event.name == container && event.action == action).unwrap().nanos;
    let took = (at("die") - at("kill")) as f64 / 1e9;
    assert!((3.0..5.0).contains(&took), "it died {took} s after the first signal");
    let left: Vec<&String> = pids.iter().filter(|pid| std::path::Path::new("/proc").join(pid).exists()).collect();
    assert!(left.is_empty(), "processes {left:?} are left");
}
