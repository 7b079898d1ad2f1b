//! The failure gallery: real failures on a real engine, each with its cause. What evenkeel makes of each is held against that,
//! printed as a table, and nothing that is held, foreign or well may be touched meanwhile.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Operator, Registry, RegistryProxy, Sandbox, check, eventually, secs, service};

/// One failure: a deployment's name, its service `app` (or all its services), and where it comes from.
struct Case {
    name: &'static str,
    cause: &'static str,
    services: Value,
    /// Parts of the spec beside `services`.
    spec: Value,
}

/// A failure of one service.
fn case(name: &'static str, cause: &'static str, app: Value) -> Case {
    Case { name, cause, services: json!({"app": app}), spec: json!({}) }
}

/// A failure of one service, with other parts of the spec.
fn within(name: &'static str, cause: &'static str, app: Value, spec: Value) -> Case {
    Case { spec, ..case(name, cause, app) }
}

/// What was made of a case.
#[derive(Default)]
struct Seen {
    /// Causes in the order they were seen.
    causes: Vec<String>,
    evidence: String,
}

/// Ends of programs, by their own doing or that of others.
fn ends(image: &str) -> Vec<Case> {
    let shell = |script: &str| service::shell(image, script);
    let says = |line: &str, code: i64| shell(&format!("echo starting; echo '{line}' >&2; exit {code}"));
    let limited = json!({"mem_limit": "16m", "memswap_limit": "16m", "command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1"]});
    vec![
        case("exit-code", "ApplicationError", shell("echo working; exit 3")),
        case("silent-exit", "ApplicationError", service::exits(image, 1)),
        case("exit-0-always", "ApplicationError", service::with(service::exits(image, 0), json!({"restart": "always"}))),
        case("segfault", "ApplicationError", shell("sh -c 'kill -SEGV $$'; exit $?")),
        case("job-fails", "ApplicationError", service::with(service::exits(image, 5), json!({"restart": "no"}))),
        within(
            "loop",
            "CrashLoop",
            shell("exit 1"),
            json!({"recovery": {"maxAttempts": 5, "backoff": {"initial": "300ms", "max": "300ms"}}}),
        ),
        case("oom", "OutOfMemory", service::with(service::sleeper(image), limited)),
        case("docker-kill", "Killed", service::sleeper(image)),
        case("host-kill", "Killed", service::sleeper(image)),
        case("heap", "OutOfMemory", says("java.lang.OutOfMemoryError: Java heap space", 1)),
        case("no-variable", "ConfigError", says("DATABASE_URL is not set", 1)),
        case("bad-directive", "ConfigError", says("[emerg] unknown directive \"sever\" in /etc/app.conf:3", 1)),
        case("bad-flag", "ConfigError", service::with(service::sleeper(image), json!({"command": ["httpd", "--nosuch"]}))),
        case("wrong-password", "PermissionDenied", says("FATAL: password authentication failed for user \"app\"", 1)),
        case("file-rights", "PermissionDenied", service::with(shell("touch /www/x"), json!({"user": "1000:1000"}))),
        case("read-only", "PermissionDenied", service::with(shell("touch /x"), json!({"read_only": true}))),
        case(
            "disk-full",
            "DiskFull",
            service::with(shell("dd if=/dev/zero of=/full/x bs=1M count=1"), json!({"tmpfs": "/full:size=64k"})),
        ),
        case("port-inside", "PortHeld", shell("httpd -p 8080; httpd -f -p 8080")),
        case("refused", "DependencyDown", shell("wget -q -O - http://127.0.0.1:9/")),
        case(
            "unknown-host",
            "DependencyDown",
            says("could not translate host name \"db\" to address: Name or service not known", 1),
        ),
    ]
}

/// What Docker does not start or make.
fn refusals(sandbox: &Sandbox, image: &str) -> Vec<Case> {
    let with = |keys: Value| service::with(service::sleeper(image), keys);
    let garbage = sandbox.image_with_garbage("garbage");
    vec![
        case("no-program", "MissingCommand", with(json!({"command": ["frobnicate"]}))),
        case("no-path", "MissingCommand", with(json!({"command": ["/no/such/program"]}))),
        case("no-program-in-shell", "MissingCommand", service::shell(image, "frobnicate")),
        case("no-entrypoint", "MissingCommand", with(json!({"entrypoint": ["/entry.sh"], "command": []}))),
        case("not-executable", "PermissionDenied", with(json!({"command": ["/www/index.html"]}))),
        case("not-for-this-machine", "ExecFormat", with(json!({"image": garbage, "command": ["/garbage"]}))),
        case("no-user", "ConfigError", with(json!({"user": "nobodyhere"}))),
        case("file-over-folder", "ConfigError", with(json!({"volumes": ["/etc/hostname:/www"]}))),
        case(
            "no-bind-source",
            "ConfigError",
            with(
                json!({"volumes": [{"type": "bind", "source": "/no/such/folder", "target": "/x", "bind": {"create_host_path": false}}]}),
            ),
        ),
        case("no-capability", "ConfigError", with(json!({"cap_add": ["NO_SUCH"]}))),
        case("no-log-driver", "ConfigError", with(json!({"logging": {"driver": "nosuch"}}))),
    ]
}

/// What stands in the way from outside.
fn obstacles(sandbox: &Sandbox, image: &str, ports: [u16; 2]) -> Vec<Case> {
    let with = |keys: Value| service::with(service::sleeper(image), keys);
    let prefix = sandbox.prefix();
    let external = json!({"external": true, "name": format!("{prefix}-nowhere")});
    let folder = sandbox.dir().join("broken");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), format!("FROM {image}\nRUN false\n")).unwrap();
    vec![
        case("port-of-process", "PortHeld", with(json!({"ports": [format!("127.0.0.1:{}:80", ports[0])]}))),
        case("port-of-container", "PortHeld", with(json!({"ports": [format!("127.0.0.1:{}:80", ports[1])]}))),
        case("name-of-container", "NameHeld", with(json!({"container_name": format!("{prefix}-foreign")}))),
        within(
            "no-network",
            "NetworkMissing",
            with(json!({"networks": ["far"]})),
            json!({"networks": {"far": external.clone()}}),
        ),
        within("no-volume", "VolumeMissing", with(json!({"volumes": ["far:/far"]})), json!({"volumes": {"far": external}})),
        case("no-image", "ImageMissing", with(json!({"image": format!("{prefix}-none:1"), "pull_policy": "never"}))),
        case("registry-down", "RegistryUnavailable", with(json!({"image": "127.0.0.1:1/none:1"}))),
        case("build-fails", "BuildFailed", json!({"build": folder.display().to_string(), "command": ["true"]})),
    ]
}

/// What registries answer.
fn registries(image: &str, registry: &Registry, locked: &Registry, limited: &RegistryProxy) -> Vec<Case> {
    let with = |reference: String| service::with(service::sleeper(image), json!({"image": reference}));
    vec![
        case("no-tag", "ImageNotFound", with(registry.reference("nosuch"))),
        case("no-credentials", "ImageDenied", with(locked.reference("secret"))),
        case("rate-limit", "RegistryRateLimited", with(limited.reference(&registry.reference("limited")))),
    ]
}

/// What runs, and is not well.
fn ailments(image: &str) -> Vec<Case> {
    let probe = |test: Value| {
        let check = json!({"test": test, "interval": "500ms", "timeout": "2s", "retries": 2});
        service::with(service::sleeper(image), json!({"healthcheck": check}))
    };
    let own = |app: Value, probes: Value| service::with(app, json!({"x-evenkeel": {"probes": probes}}));
    let page = json!({"liveness": {"httpGet": {"port": 8080, "path": "/none"}, "periodSeconds": 1, "failureThreshold": 2}});
    let depends = json!({"depends_on": {"db": {"condition": "service_healthy"}}});
    let down = service::with(probe(json!(["CMD", "true"])), json!({"command": ["frobnicate"]}));
    vec![
        case("no-probe-program", "ProbeBroken", probe(json!(["CMD-SHELL", "curl -f http://localhost/"]))),
        case("no-probe-path", "ProbeBroken", probe(json!(["CMD", "/no/such/program"]))),
        case(
            "own-probe-broken",
            "ProbeBroken",
            own(
                service::sleeper(image),
                // A machine under load takes a second to find that there is no such program.
                json!({"liveness": {"exec": {"command": ["/none"]}, "periodSeconds": 1, "timeoutSeconds": 10}}),
            ),
        ),
        case("slow", "SlowStart", probe(json!(["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"]))),
        case(
            "turns-bad",
            "Unhealthy",
            service::with(
                service::probed(image),
                json!({"command": ["sh", "-c", "touch /tmp/healthy; sleep 4; rm /tmp/healthy; trap 'exit 143' TERM; sleep infinity & wait"]}),
            ),
        ),
        case("wrong-page", "Unhealthy", own(service::http(image, 8080), page)),
        Case {
            name: "dependency",
            cause: "DependencyDown",
            services: json!({"app": service::with(service::sleeper(image), depends), "db": down}),
            spec: json!({}),
        },
    ]
}

/// What is told of the service `app` now.
fn told(operator: &Operator, name: &str) -> Option<(String, String)> {
    let status = operator.api().status(name).ok()?;
    let app = status["services"].as_array()?.iter().find(|found| found["name"] == json!("app"))?.clone();
    let found = &app["diagnoses"][0];
    Some((found["cause"].as_str()?.to_owned(), found["evidence"].to_string()))
}

/// What was made of each, a line a case.
fn table(cases: &[Case], seen: &BTreeMap<&str, Seen>) -> String {
    let mut table = format!("{:<22} {:<20} {:<32} evidence\n", "situation", "cause", "diagnosis");
    for Case { name, cause, .. } in cases {
        let Seen { causes, evidence } = &seen[name];
        let short: String = evidence.chars().take(110).collect();
        table.push_str(&format!("{name:<22} {cause:<20} {:<32} {short}\n", causes.join(" > ")));
    }
    table
}

#[test]
fn every_failure_is_told_by_its_cause_and_nothing_else_is_touched() {
    let sandbox = Sandbox::new();
    let (image, docker, prefix) = (sandbox.image(), sandbox.docker(), sandbox.prefix().to_owned());
    let (registry, locked) = (Registry::start_in(&sandbox), Registry::with_password_in(&sandbox, "secured"));
    registry.push(&image, "limited");
    let limited = RegistryProxy::before(&registry);
    limited.too_many_requests("you have pulled too often");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let foreign = format!("{prefix}-foreign");
    docker.run(&["run", "-d", "--name", &foreign, "-p", "127.0.0.1::80", &image, "sleep", "infinity"]);
    let port_of = |value: &Value| value["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].as_str().unwrap().parse().unwrap();
    let ports = [held.local_addr().unwrap().port(), port_of(&docker.inspect(&foreign))];
    let cases: Vec<Case> = [
        ends(&image),
        refusals(&sandbox, &image),
        obstacles(&sandbox, &image, ports),
        registries(&image, &registry, &locked, &limited),
        ailments(&image),
    ]
    .into_iter()
    .flatten()
    .collect();

    let operator = Operator::start_on(&sandbox);
    for name in ["well", "held"] {
        sandbox.write_manifest(&format!("{name}.yaml"), &sandbox.deployment(name, json!({"app": service::sleeper(&image)})));
        operator.wait_ready(name);
    }
    operator.evenkeel(&["stop", "held"]);
    eventually(secs(10), "it is held", || operator.api().phase("held", "Stopped"));
    let untouched =
        || [&sandbox.container("well", "app", 1), &sandbox.container("held", "app", 1), &foreign].map(|name| docker.runs(name));
    let before = untouched();

    for Case { name, services, spec, .. } in &cases {
        let mut deployment = sandbox.deployment(name, services.clone());
        // Docker has about thirty networks to give away.
        for app in deployment["spec"]["services"].as_object_mut().unwrap().values_mut().filter(|app| app["networks"].is_null()) {
            app["network_mode"] = json!("bridge");
        }
        deployment["spec"]["recovery"] =
            json!({"maxAttempts": 1, "backoff": {"initial": "1s", "max": "8s"}, "stableWindow": "10m"});
        json_patch::merge(&mut deployment["spec"], spec);
        sandbox.write_manifest(&format!("{name}.yaml"), &deployment);
    }
    for (name, kill) in [("docker-kill", true), ("host-kill", false)] {
        let container = sandbox.container(name, "app", 1);
        eventually(secs(60), "it runs", || docker.running(&container));
        if kill { drop(docker.run(&["kill", &container])) } else { docker.crash(&container) }
    }

    let mut seen: BTreeMap<&str, Seen> = cases.iter().map(|case| (case.name, Seen::default())).collect();
    let is_right =
        |seen: &BTreeMap<&str, Seen>, case: &Case| seen[case.name].causes.last().is_some_and(|last| last == case.cause);
    let began = Instant::now();
    eventually(secs(120), "each is told by its cause", || {
        for case in &cases {
            let Some((cause, evidence)) = told(&operator, case.name) else { continue };
            let seen = seen.get_mut(case.name).unwrap();
            if seen.causes.last() != Some(&cause) {
                seen.causes.push(cause);
                seen.evidence = evidence;
            }
        }
        check(cases.iter().all(|case| is_right(&seen, case)), || table(&cases, &seen))
    });
    eprintln!("{}all {} told right, after {:?}", table(&cases, &seen), cases.len(), began.elapsed());
    assert_eq!(untouched(), before, "what is well, held or foreign was touched");
    // A loop is an error of the program before it is one; else nothing but the right cause may ever be named.
    let wrong = |case: &&Case| {
        let known = [case.cause, "Unknown", if case.cause == "CrashLoop" { "ApplicationError" } else { case.cause }];
        seen[case.name].causes.iter().any(|cause| !known.contains(&cause.as_str()))
    };
    let wrong: Vec<&str> = cases.iter().filter(wrong).map(|case| case.name).collect();
    assert!(wrong.is_empty(), "told by a wrong cause: {wrong:?}");
    assert!(cases.len() >= 40, "{}", cases.len());
}
