//! Acceptance case 25 and what surrounds it: images that are built from a folder, and containers that follow them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::registry::PASSWORD;
use crate::support::{Operator, Registry, Sandbox, check, condition, eventually, holds_for, same, secs, service};

/// What runs in the containers of these tests: it says what it was built with, then runs until asked to end.
const COMMAND: &str = "trap 'exit 143' TERM; cat /version; sleep infinity & wait";

/// A context with a Dockerfile that copies the file `version`, and a Deployment `web` whose service `app` is built from it.
struct Scene {
    sandbox: Sandbox,
    operator: Operator,
}

impl Scene {
    /// Up and ready, of version one, built by BuildKit.
    fn up() -> Self {
        Self::up_with(&[])
    }

    /// The same with an operator in this environment.
    fn up_with(env: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new();
        let mut options = Operator::of(&sandbox).resync("2s");
        for (name, value) in env {
            options = options.env(name, value);
        }
        let operator = options.start();
        let scene = Self { operator, sandbox };
        fs::create_dir_all(scene.context("")).unwrap();
        scene.write("version", "one\n");
        scene.write("Dockerfile", &scene.dockerfile("COPY version /version"));
        scene.declare(json!({}), json!({}));
        eventually(secs(30), "it is built and ready", || scene.operator.api().ready("web"));
        scene
    }

    fn context(&self, name: &str) -> PathBuf {
        self.sandbox.dir().join("context").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.context(name), text).unwrap();
    }

    fn dockerfile(&self, steps: &str) -> String {
        format!("FROM {}\n{steps}\n", self.sandbox.image())
    }

    fn declare(&self, build: Value, keys: Value) {
        let mut app = json!({"command": ["sh", "-c", COMMAND], "stop_grace_period": "2s"});
        app["build"] = service::with(json!({"context": self.context("").display().to_string(), "network": "none"}), build);
        let web = self.sandbox.deployment("web", json!({"app": service::with(app, keys)}));
        self.sandbox.write_manifest("web.yaml", &web);
    }

    fn container(&self) -> String {
        self.sandbox.container("web", "app", 1)
    }

    /// The name that Compose gives to what it builds.
    fn image(&self) -> String {
        format!("{}-app", self.sandbox.project("web"))
    }

    /// `Ok` if the container runs and was built with this version.
    fn serves(&self, version: &str) -> Result<(), String> {
        self.sandbox.docker().running(&self.container())?;
        let seen = self.sandbox.docker().attempt(&["exec", &self.container(), "cat", "/version"])?;
        same(seen.as_str(), version)
    }

    fn id(&self) -> String {
        self.sandbox.docker().id(&self.container())
    }

    fn events(&self, reason: &str) -> usize {
        let of_reason = |event: &&Value| event["reason"] == json!(reason);
        let events = self.operator.api().events("web");
        let count = |event: &Value| event["count"].as_u64().unwrap_or(1);
        usize::try_from(events.iter().filter(of_reason).map(count).sum::<u64>()).unwrap()
    }

    fn ready(&self) -> Value {
        condition(&self.operator.api().deployment("web").unwrap(), "Ready")
    }
}

#[test]
fn a_dockerfile_or_context_that_is_edited_is_built_with_one_replacement_and_a_touch_builds_nothing() {
    let scene = Scene::up();
    scene.serves("one").unwrap();
    let (first, recorded) = (scene.id(), scene.sandbox.docker().record(scene.sandbox.prefix()));
    let replacements = || recorded.actions(&scene.container()).iter().filter(|action| *action == "start").count();

    scene.write("Dockerfile", &scene.dockerfile("COPY version /version\nRUN echo two > /version"));
    eventually(secs(30), "the edited Dockerfile is in force", || scene.serves("two"));
    eventually(secs(10), "it is ready", || scene.operator.api().ready("web"));
    assert_ne!(scene.id(), first);

    scene.write("Dockerfile", &scene.dockerfile("COPY version /version"));
    scene.write("version", "three\n");
    eventually(secs(30), "the edited file is in force", || scene.serves("three"));
    eventually(secs(10), "it is ready", || scene.operator.api().ready("web"));
    let (third, built) = (scene.id(), scene.events("Built"));
    assert_eq!(built, 3, "one build each");
    assert_eq!(replacements(), 2, "one replacement each: {:?}", recorded.actions(&scene.container()));

    for name in ["version", "Dockerfile"] {
        let file = fs::File::options().write(true).open(scene.context(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    scene.write("version", "three\n");
    holds_for(secs(6), "what was only touched is not built", || {
        same(scene.id(), third.clone())?;
        same(scene.events("Built"), 3)
    });
}

#[test]
fn a_failing_build_leaves_the_old_container_serving_and_shows_its_last_lines_until_it_is_mended() {
    let scene = Scene::up();
    let first = scene.id();
    scene.write("Dockerfile", &scene.dockerfile("COPY version /version\nRUN echo looking around; echo it is broken >&2; exit 7"));
    let told = eventually(secs(30), "the failure is told", || {
        let ready = scene.ready();
        check(ready["reason"] == json!("BuildFailed"), || ready.to_string()).map(|()| ready)
    });
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("looking around") && message.contains("it is broken"), "{message}");
    assert_eq!(told["status"], json!("False"));
    let described = scene.operator.evenkeel(&["describe", "web"]);
    assert!(described.contains("it is broken"), "{described}");
    scene.operator.evenkeel(&["get"]);
    holds_for(secs(4), "the old container serves", || {
        scene.serves("one")?;
        same(scene.id(), first.clone())
    });
    let status = scene.operator.api().status("web").unwrap();
    assert!(status["recovery"].is_null(), "no attempt is spent: {}", status["recovery"]);
    assert_eq!(status["phase"], json!("Degraded"));
    assert!(scene.events("BuildFailed") >= 1);

    // One that vanishes meanwhile comes back from what was built last.
    scene.sandbox.docker().run(&["rm", "-f", &scene.container()]);
    eventually(secs(10), "it is back", || scene.serves("one"));

    scene.write("Dockerfile", &scene.dockerfile("COPY version /version\nRUN echo mended > /version"));
    eventually(secs(15), "the mended one is in force at once", || scene.serves("mended"));
    eventually(secs(10), "it is ready", || scene.operator.api().ready("web"));
    assert!(scene.operator.api().status("web").unwrap()["services"][0]["build"]["failure"].is_null());
}

#[test]
fn what_the_build_section_says_is_in_the_image() {
    let scene = Scene::up();
    scene.write(".dockerignore", "secret*\n");
    scene.write("secret.txt", "x");
    let base = scene.dockerfile("ARG NAME=nobody\nCOPY . /all/\nRUN echo $NAME > /version").replacen('\n', " AS base\n", 1);
    let inline = format!("{base}FROM scratch AS unused\nCOPY nothing /\n");
    let build = json!({"dockerfile_inline": inline, "target": "base", "args": {"NAME": "ada"}, "labels": ["team=sea"]});
    let named = format!("{}-named:2", scene.sandbox.prefix());
    scene.declare(build, json!({"image": named}));
    eventually(secs(30), "it is in force", || scene.serves("ada"));
    let docker = scene.sandbox.docker();
    let found = docker.inspect(&scene.container());
    assert_eq!(found["Config"]["Image"], json!(named));
    let label = docker.run(&["image", "inspect", "--format", "{{index .Config.Labels \"team\"}}", &named]);
    assert_eq!(label, "sea");
    let all = docker.exec(&scene.container(), &["ls", "-A", "/all"]);
    assert!(all.contains("version") && !all.contains("secret.txt"), "{all}");
}

#[test]
fn the_classic_builder_does_the_same() {
    let scene = Scene::up_with(&[("DOCKER_BUILDKIT", "0")]);
    scene.serves("one").unwrap();
    scene.write("version", "two\n");
    eventually(secs(30), "the edited file is in force", || scene.serves("two"));
    let log = scene.operator.log();
    assert!(!log.contains("panicked"), "{log}");
    scene.write("Dockerfile", &scene.dockerfile("RUN echo it is broken; exit 7"));
    eventually(secs(30), "the failure is told", || {
        let ready = scene.ready();
        check(ready["reason"] == json!("BuildFailed") && ready["message"].to_string().contains("it is broken"), || {
            ready.to_string()
        })
    });
    scene.serves("two").unwrap();
    scene.write("Dockerfile", &scene.dockerfile("COPY version /version"));
    eventually(secs(20), "it is mended", || scene.operator.api().ready("web"));
    let secret = scene.sandbox.dir().join("token");
    fs::write(&secret, "x").unwrap();
    let mut web = scene.operator.api().deployment("web").unwrap();
    web["spec"]["secrets"] = json!({"token": {"file": secret.display().to_string()}});
    web["spec"]["services"]["app"]["build"]["secrets"] = json!(["token"]);
    web["spec"]["services"]["app"]["build"]["labels"] = json!({"new": "one"});
    let manifest =
        json!({"apiVersion": web["apiVersion"], "kind": web["kind"], "metadata": {"name": "web"}, "spec": web["spec"]});
    scene.sandbox.write_manifest("web.yaml", &manifest);
    eventually(secs(20), "what it lacks is told by name", || {
        let ready = scene.ready();
        check(ready["message"].to_string().contains("build.secrets needs BuildKit"), || ready.to_string())
    });
}

#[test]
fn a_base_image_behind_a_password_is_built_from_by_either_builder() {
    for (builder, name) in [("1", "base:buildkit"), ("0", "base:classic")] {
        let sandbox = Sandbox::new();
        let registry = Registry::with_password(&sandbox);
        let base = registry.push(&sandbox.image(), name);
        let login = registry.docker_config().display().to_string();
        let operator = Operator::of(&sandbox).arg("--docker-config").arg(&login).env("DOCKER_BUILDKIT", builder).start();
        let build =
            json!({"context": sandbox.dir().join("none").display().to_string(), "dockerfile_inline": format!("FROM {base}")});
        fs::create_dir_all(sandbox.dir().join("none")).unwrap();
        let app = json!({"build": build, "command": ["sleep", "infinity"], "stop_grace_period": "1s"});
        sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app})));
        eventually(secs(30), &format!("{name} is pulled, built from and ready"), || operator.api().ready("web"));
        assert!(!operator.log().contains(PASSWORD), "a password is in the log");
    }
}

#[test]
fn an_image_that_is_removed_leaves_its_container_ready_and_comes_back_when_it_is_needed() {
    let scene = Scene::up();
    let (docker, first) = (scene.sandbox.docker(), scene.id());
    let present = || docker.attempt(&["image", "inspect", &scene.image()]).map(drop);
    docker.run(&["rmi", "-f", &scene.image()]);
    eventually(secs(10), "its name is back", present);
    eventually(secs(5), "it stays ready", || scene.operator.api().ready("web"));
    assert_eq!(scene.id(), first);

    scene.operator.evenkeel(&["stop", "web"]);
    eventually(secs(10), "it is stopped", || docker.in_state(&scene.container(), "exited"));
    docker.run(&["rm", &scene.container()]);
    docker.run(&["rmi", "-f", &scene.image()]);
    holds_for(secs(3), "nothing is built for what is stopped", || check(present().is_err(), || "it is there".into()));
    scene.operator.evenkeel(&["start", "web"]);
    eventually(secs(30), "it is built and runs", || scene.serves("one"));
}

#[test]
fn a_rebuild_is_made_once_though_the_operator_is_killed_in_the_middle_of_it() {
    let mut scene = Scene::up();
    scene.write("Dockerfile", &scene.dockerfile("COPY version /version\nRUN sleep 4; cat /proc/uptime > /built"));
    eventually(secs(30), "it is ready", || {
        scene.operator.api().ready("web")?;
        scene.sandbox.docker().attempt(&["exec", &scene.container(), "cat", "/built"])
    });
    let before = scene.id();
    let said = scene.operator.evenkeel(&["rebuild", "web", "--no-cache"]);
    assert!(said.contains("a build is asked for"), "{said}");
    let jobs = "/apis/evenkeel.dev/v1alpha1/namespaces/default/deployments/web/progress";
    eventually(secs(10), "it is being built", || {
        let seen = scene.operator.api().get(jobs)?.success()?;
        check(seen["jobs"][0]["kind"] == json!("build"), || seen.to_string())
    });
    scene.operator.kill();
    scene.operator.start();
    eventually(secs(40), "the new image is in force", || {
        scene.operator.api().ready("web")?;
        check(scene.id() != before, || "it is the old container".into())
    });
    let after = scene.id();
    holds_for(secs(6), "it is not built again", || {
        same(scene.id(), after.clone())?;
        let seen = scene.operator.api().get(jobs)?.success()?;
        same(seen["jobs"].as_array().map(Vec::len), Some(0))
    });
    let waited = scene.operator.evenkeel(&["rebuild", "web", "app", "--wait"]);
    assert!(waited.contains("service app: "), "{waited}");
    assert_eq!(scene.id(), after, "from the cache comes the same image, and nothing is replaced");
}

#[test]
fn a_stop_during_a_build_wins() {
    let scene = Scene::up();
    scene.write("Dockerfile", &scene.dockerfile("RUN sleep 77123"));
    let busy = || {
        let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        String::from_utf8_lossy(&processes.stdout).lines().any(|line| line.starts_with("sleep 77123"))
    };
    eventually(secs(20), "it is being built", || check(busy(), || "not yet".into()));
    scene.serves("one").unwrap();
    let asked = std::time::Instant::now();
    scene.operator.evenkeel(&["stop", "web"]);
    assert!(asked.elapsed() < secs(2), "it is answered at once: {:?}", asked.elapsed());
    eventually(secs(10), "it is stopped", || scene.sandbox.docker().in_state(&scene.container(), "exited"));
    eventually(secs(15), "the build is ended", || check(!busy(), || "it goes on".into()));
    holds_for(secs(3), "it stays so", || scene.sandbox.docker().in_state(&scene.container(), "exited"));
}

/// Serves an archive over HTTP; its URL.
fn serve(archive: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/context.tar", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).unwrap_or_default();
            let length = archive.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let body: &[u8] = if asked[..read].starts_with(b"HEAD") { &[] } else { &archive };
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    url
}

#[test]
fn images_under_names_of_the_dockerfile_and_contexts_that_the_engine_fetches() {
    for env in [&[][..], &[("DOCKER_BUILDKIT", "0")]] {
        let scene = Scene::up_with(env);
        scene.write("Dockerfile", "# a comment\nARG WORD=named\nFROM base AS last\nARG WORD\nRUN echo $WORD > /version\n");
        scene.declare(json!({"additional_contexts": {"base": format!("docker-image://{}", scene.sandbox.image())}}), json!({}));
        eventually(secs(30), "an image has the name of a stage", || scene.serves("named"));

        scene.write("Dockerfile", &scene.dockerfile("COPY version /version"));
        scene.write("version", "fetched\n");
        let packed = Command::new("tar").args(["-C", scene.context("").to_str().unwrap(), "-cf", "-", "."]).output().unwrap();
        scene.declare(json!({"context": serve(packed.stdout)}), json!({}));
        eventually(secs(30), "the engine has fetched the context", || scene.serves("fetched"));
        eventually(secs(10), "it is ready", || scene.operator.api().ready("web"));
    }
}
