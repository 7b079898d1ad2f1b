//! Image builds on the machine's own daemon, by the builder that it has.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::docker::Engine;
use evenkeel::model::{BuildArgs, BuildSpec, Dockerfile, FailureKind, Progress};

use tokio::sync::watch;

use super::{client, failure, run, sleeper_of};
use crate::support::{Sandbox, check, eventually, secs};

/// For those who do not look how far it is.
fn silent() -> watch::Sender<Progress> {
    watch::Sender::default()
}

/// A context in the sandbox, with the files of the test.
fn context(sandbox: &Sandbox, files: &[(&str, &str)]) -> PathBuf {
    let folder = sandbox.dir().join("context");
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn spec(sandbox: &Sandbox, files: &[(&str, &str)]) -> BuildSpec {
    BuildSpec {
        image: format!("{}-built:1", sandbox.prefix()),
        context: Some(context(sandbox, files).display().to_string()),
        ..BuildSpec::default()
    }
}

/// A Dockerfile that starts from the test image.
fn from_base(sandbox: &Sandbox, steps: &str) -> String {
    format!("FROM {}\n{steps}\n", sandbox.image())
}

/// Puts a program `ask` into a folder that says `ping` to the agent and prints what it says. busybox talks to no unix socket.
fn compile_asker(folder: &Path) {
    let source = folder.join("ask.c");
    let text = r#"
        #include <stdlib.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/un.h>
        #include <unistd.h>
        int main(void) {
            struct sockaddr_un address = {.sun_family = AF_UNIX};
            strncpy(address.sun_path, getenv("SSH_AUTH_SOCK"), sizeof address.sun_path - 1);
            int agent = socket(AF_UNIX, SOCK_STREAM, 0);
            if (connect(agent, (struct sockaddr *)&address, sizeof address) || write(agent, "ping", 4) != 4) return 1;
            char answer[64];
            for (ssize_t n; (n = read(agent, answer, sizeof answer)) > 0;) if (write(1, answer, n) != n) return 2;
            return 0;
        }"#;
    fs::write(&source, text).unwrap();
    let compiled = Command::new("cc").args(["-static", "-o"]).arg(folder.join("ask")).arg(&source).output();
    let compiled = compiled.expect("cc is installed: Rust links with it");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// What a command prints in a container of the image.
fn print(sandbox: &Sandbox, image: &str, command: &[&str]) -> String {
    sandbox.docker().run(&[&["run", "--rm", "--network", "none", image], command].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_as_its_spec_says() {
    let sandbox = Sandbox::new();
    let dockerfile = from_base(
        &sandbox,
        "ARG GREETING=none\nCOPY . /ctx/\nRUN echo $GREETING > /greeting\nFROM scratch AS run\nCOPY --from=0 / /\n\
         ENV PATH=/bin\nFROM scratch AS unused\nCOPY nothing /",
    );
    let files = [("Dockerfile", dockerfile.as_str()), (".dockerignore", "*.log\n!kept.log\n"), ("a.log", "x"), ("kept.log", "x")];
    let spec = BuildSpec {
        args: BuildArgs([("GREETING".to_owned(), Some("hello".to_owned()))].into()),
        target: Some("run".into()),
        labels: BTreeMap::from([("of".to_owned(), "test".to_owned())]),
        tags: vec![format!("{}-also", sandbox.prefix())],
        network: Some("none".into()),
        ..spec(&sandbox, &files)
    };
    let (progress, last) = watch::channel(Progress::default());
    let id = client(sandbox.docker()).build(&spec, &progress).await.unwrap();
    let inspect = |reference: &str, what: &str| sandbox.docker().run(&["image", "inspect", "--format", what, reference]);
    assert_eq!(inspect(&spec.image, "{{.Id}}"), id);
    assert_eq!(inspect(&spec.tags[0], "{{.Id}}"), id);
    assert_eq!(inspect(&id, "{{index .Config.Labels \"of\"}}"), "test");
    assert_eq!(print(&sandbox, &id, &["cat", "/greeting"]), "hello");
    assert_eq!(print(&sandbox, &id, &["ls", "/ctx"]), "Dockerfile\nkept.log");
    let last = last.borrow();
    assert!(last.done >= 2 && last.total >= last.done && !last.text.is_empty(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inline_dockerfile_needs_no_context_and_a_cached_build_gives_the_same_image() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let dockerfile = Dockerfile::Inline(from_base(&sandbox, "RUN echo inline > /made"));
    let spec = BuildSpec { context: None, dockerfile, ..spec(&sandbox, &[]) };
    let first = client.build(&spec, &silent()).await.unwrap();
    assert_eq!(print(&sandbox, &first, &["cat", "/made"]), "inline");
    assert_eq!(client.build(&spec, &silent()).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_is_told_with_its_last_lines_and_without_what_is_secret() {
    let sandbox = Sandbox::new();
    let dockerfile = from_base(&sandbox, "ARG API_TOKEN\nRUN echo looking; echo got $API_TOKEN; echo broken >&2; exit 3");
    let spec = BuildSpec {
        args: BuildArgs([("API_TOKEN".to_owned(), Some("s3cr3t-t0ken".to_owned()))].into()),
        ..spec(&sandbox, &[("Dockerfile", &dockerfile)])
    };
    let told = failure(client(sandbox.docker()).build(&spec, &silent()).await);
    assert_eq!(told.kind, FailureKind::BuildFailed, "{told}");
    assert!(told.message.starts_with(&format!("cannot build image {}: ", spec.image)), "{told}");
    for line in ["looking", "got ***", "broken", "3"] {
        assert!(told.message.contains(line), "{line}: {told}");
    }
    assert!(!told.message.contains("s3cr3t"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_with_a_slip_and_one_that_is_not_there_are_told() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let slip = failure(client.build(&spec(&sandbox, &[("Dockerfile", "FRMO scratch\n")]), &silent()).await);
    assert!(slip.kind == FailureKind::BuildFailed && slip.message.contains("FRMO"), "{slip}");
    let missing = BuildSpec { dockerfile: Dockerfile::Path("Containerfile".into()), ..spec(&sandbox, &[]) };
    let missing = failure(client.build(&missing, &silent()).await);
    assert!(missing.kind == FailureKind::BuildFailed && missing.message.contains("Containerfile"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buildkit_is_given_secrets_and_agents_which_leave_no_trace_in_the_image() {
    let sandbox = Sandbox::new();
    let secret = sandbox.dir().join("password");
    fs::write(&secret, "open sesame").unwrap();
    let socket = sandbox.dir().join("agent.sock");
    let agent = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = agent.accept().unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(format!("{} pong", String::from_utf8_lossy(&asked)).as_bytes()).unwrap();
    });
    let dockerfile = from_base(
        &sandbox,
        "RUN --mount=type=secret,id=pw wc -c < /run/secrets/pw > /length\n\
         COPY ask /\nRUN --mount=type=ssh /ask > /answer",
    );
    let spec = BuildSpec {
        secrets: BTreeMap::from([("pw".to_owned(), secret.display().to_string())]),
        ssh: BTreeMap::from([("default".to_owned(), Some(socket.display().to_string()))]),
        ..spec(&sandbox, &[("Dockerfile", &dockerfile)])
    };
    compile_asker(&sandbox.dir().join("context"));
    let id = client(sandbox.docker()).build(&spec, &silent()).await.unwrap();
    assert_eq!(print(&sandbox, &id, &["cat", "/length"]), "11");
    assert_eq!(print(&sandbox, &id, &["find", "/", "-name", "pw", "-size", "+0"]), "");
    assert_eq!(print(&sandbox, &id, &["cat", "/answer"]), "ping pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_nobody_waits_for_any_more_ends() {
    let sandbox = Sandbox::new();
    let marker = format!("sleep 86{:03}", std::process::id() % 1000);
    let spec = spec(&sandbox, &[("Dockerfile", &from_base(&sandbox, &format!("RUN {marker}")))]);
    let client = client(sandbox.docker());
    let running = || {
        let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
        String::from_utf8_lossy(&processes.stdout).lines().any(|line| line.starts_with(&marker))
    };
    {
        let progress = silent();
        let build = client.build(&spec, &progress);
        tokio::pin!(build);
        let begun = async {
            while !running() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await
            }
        };
        tokio::select! {
            result = &mut build => panic!("it ended: {result:?}"),
            () = begun => {}
            () = tokio::time::sleep(secs(60)) => panic!("the step did not begin"),
        }
    }
    eventually(secs(20), "the step is ended", || check(!running(), || "it runs on".into()));
    // The daemon is well: what follows is built.
    let next = super::builds::spec(&sandbox, &[("Dockerfile", &from_base(&sandbox, "RUN true"))]);
    let id = client.build(&next, &silent()).await.unwrap();
    let container = run(&client, &sleeper_of(&id, &format!("{}-after", sandbox.prefix()))).await;
    sandbox.docker().running(&container).unwrap();
}
