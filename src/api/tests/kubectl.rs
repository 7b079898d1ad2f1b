//! The real kubectl over TLS with a token. Skipped, loudly, where there is none.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::sockets::Served;
use super::{deployment, path};

/// kubectl with a home of its own. `EVENKEEL_TEST_KUBECTL` names another one than that of the PATH.
struct Kubectl {
    served: Served,
    program: String,
}

impl Kubectl {
    async fn new() -> Option<Self> {
        let program = std::env::var("EVENKEEL_TEST_KUBECTL").unwrap_or_else(|_| "kubectl".into());
        if Command::new(&program).arg("options").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_err() {
            eprintln!("SKIPPED: there is no {program} here, so nothing was proven about it");
            return None;
        }
        let served = Served::start(false).await;
        std::fs::write(served.api.dir.path().join("kubeconfig"), &served.kubeconfig).unwrap();
        Some(Self { served, program })
    }

    fn command(&self, args: &[&str]) -> Command {
        let home = self.served.api.dir.path();
        let mut command = Command::new(&self.program);
        command.args(args).arg("--cache-dir").arg(home.join("cache"));
        command.env("KUBECONFIG", home.join("kubeconfig")).env("HOME", home).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("kubectl hangs").unwrap()
    }

    /// What it prints; it must succeed.
    async fn ok(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "kubectl {args:?}: {out}{err}");
        out + &err
    }

    /// What it complains about; it must fail.
    async fn fails(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input).await;
        assert!(!output.status.success(), "kubectl {args:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn contains(shown: &str, words: &[&str]) {
    for word in words {
        assert!(shown.contains(word), "{word:?} is not in:\n{shown}");
    }
}

#[tokio::test]
async fn objects_are_applied_changed_shown_and_deleted() {
    let Some(kubectl) = Kubectl::new().await else { return };
    let mut web = deployment("web");
    contains(&kubectl.ok(&["apply", "-f", "-"], &web.to_string()).await, &["deployment.evenkeel.dev/web created"]);
    contains(&kubectl.ok(&["apply", "-f", "-"], &web.to_string()).await, &["unchanged"]);
    web["spec"]["services"]["app"]["image"] = json!("localhost/app:2");
    contains(&kubectl.ok(&["apply", "-f", "-"], &web.to_string()).await, &["configured"]);
    contains(&kubectl.ok(&["get", "deploy"], "").await, &["NAME", "READY", "PHASE", "AGE", "web", "Pending"]);
    contains(
        &kubectl.ok(&["get", "deployments", "-A", "-o", "wide", "--show-labels"], "").await,
        &["NAMESPACE", "PROJECT", "app=web"],
    );
    contains(&kubectl.ok(&["get", "deployment", "web", "-o", "yaml"], "").await, &["kind: Deployment", "image: localhost/app:2"]);
    contains(
        &kubectl.ok(&["get", "deploy,holds", "-l", "app in (web)", "-o", "name"], "").await,
        &["deployment.evenkeel.dev/web"],
    );
    contains(&kubectl.ok(&["get", "all", "--sort-by=.metadata.name"], "").await, &["web"]);
    let patch = r#"{"spec":{"state":"Stopped"}}"#;
    contains(&kubectl.ok(&["patch", "deploy", "web", "--type=merge", "-p", patch], "").await, &["patched"]);
    contains(
        &kubectl.fails(&["patch", "deploy", "web", "-p", patch], "").await,
        &["strategic-merge-patch+json is not supported"],
    );
    let add = r#"[{"op":"add","path":"/metadata/labels/x","value":"y"}]"#;
    contains(&kubectl.ok(&["patch", "deploy", "web", "--type=json", "-p", add], "").await, &["patched"]);
    contains(&kubectl.ok(&["replace", "-f", "-"], &web.to_string()).await, &["replaced"]);
    contains(&kubectl.ok(&["label", "deploy", "web", "tier=front"], "").await, &["labeled"]);
    contains(&kubectl.ok(&["delete", "deploy", "web", "--wait=false"], "").await, &["deleted"]);
    contains(&kubectl.fails(&["get", "deploy", "nobody"], "").await, &["Error from server (NotFound)", "\"nobody\" not found"]);
}

#[tokio::test]
async fn mistakes_are_shown_all_at_once() {
    let Some(kubectl) = Kubectl::new().await else { return };
    let mut web = deployment("web");
    web["spec"]["stat"] = json!("Running");
    web["spec"]["services"]["app"]["ports"] = json!(["x:y"]);
    contains(
        &kubectl.fails(&["apply", "-f", "-"], &web.to_string()).await,
        &["is invalid", "spec.stat", "spec.services.app.ports"],
    );
    let shown = kubectl.fails(&["create", "-f", "-", "--validate=warn"], &web.to_string()).await;
    contains(&shown, &["spec.services.app.ports"]);
    web = deployment("web");
    web["spec"]["stat"] = json!("Running");
    contains(&kubectl.ok(&["create", "-f", "-", "--validate=warn"], &web.to_string()).await, &["Warning:", "stat", "created"]);
}

#[tokio::test]
async fn dry_runs_diffs_and_server_side_apply_work() {
    let Some(kubectl) = Kubectl::new().await else { return };
    let mut web = deployment("web");
    contains(&kubectl.ok(&["apply", "--dry-run=server", "-f", "-"], &web.to_string()).await, &["created (server dry run)"]);
    contains(&kubectl.fails(&["get", "deploy", "web"], "").await, &["NotFound"]);
    contains(&kubectl.ok(&["apply", "--server-side", "-f", "-"], &web.to_string()).await, &["serverside-applied"]);
    web["spec"]["services"]["app"]["image"] = json!("localhost/app:2");
    let other = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
    contains(&kubectl.fails(&other, &web.to_string()).await, &["conflict with \"kubectl\"", ".spec.services.app.image"]);
    let forced = [&other[..], &["--force-conflicts"]].concat();
    contains(&kubectl.ok(&forced, &web.to_string()).await, &["serverside-applied"]);
    web["spec"]["services"]["app"]["image"] = json!("localhost/app:3");
    let diff = kubectl.run(&["diff", "--server-side", "--force-conflicts", "-f", "-"], &web.to_string()).await;
    assert_eq!(diff.status.code(), Some(1), "{}", text(&diff.stderr));
    contains(&text(&diff.stdout), &["+", " image: localhost/app:3"]);
}

#[tokio::test]
async fn watching_and_waiting_see_what_happens() {
    let Some(kubectl) = Kubectl::new().await else { return };
    let api = &kubectl.served.api;
    api.web().await;
    let mut watch = kubectl.command(&["get", "deploy", "-w", "--output-watch-events"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut line = async || tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap().unwrap();
    contains(&line().await, &["EVENT", "NAME", "READY"]);
    contains(&line().await, &["ADDED", "web"]);
    let ready = kubectl.command(&["wait", "deploy/web", "--for=condition=Ready", "--timeout=50s"]).spawn().unwrap();
    let status = json!({"ready": "1/1", "phase": "Running", "conditions": [{
        "type": "Ready", "status": "True", "reason": "Running", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    api.merge(&path("web/status"), &json!({"status": status})).await.expect(200);
    contains(&line().await, &["MODIFIED", "web", "1/1", "Running"]);
    let ready = ready.wait_with_output().await.unwrap();
    contains(&text(&ready.stdout), &["condition met"]);
    watch.kill().await.unwrap();
}

#[tokio::test]
async fn deletion_waits_for_the_finalizer() {
    let Some(kubectl) = Kubectl::new().await else { return };
    let api = &kubectl.served.api;
    api.web().await;
    let deleting = kubectl.command(&["delete", "deploy", "web", "--timeout=50s"]).spawn().unwrap();
    let mut watch = api.watch(&path("web?watch=true")).await;
    let mut object = Value::Null;
    while object["metadata"]["deletionTimestamp"].is_null() {
        let event = tokio::time::timeout(Duration::from_secs(60), watch.patient()).await.unwrap().unwrap();
        object = event["object"].clone();
    }
    api.merge(&path("web"), &json!({"metadata": {"finalizers": null}})).await.expect(200);
    let deleted = deleting.wait_with_output().await.unwrap();
    contains(&text(&deleted.stdout), &["deployment.evenkeel.dev \"web\" deleted"]);
}

#[tokio::test]
async fn describe_shows_events_and_explain_the_fields() {
    use crate::model::{About, Happening, Key, Reason, Severity};
    let Some(kubectl) = Kubectl::new().await else { return };
    let api = &kubectl.served.api;
    let uid = api.web().await["metadata"]["uid"].as_str().unwrap().to_owned();
    let happening = Happening {
        about: About::Deployment(Key::new("default", "web"), Some(uid)),
        reason: Reason::Crashed,
        severity: Severity::Warning,
        message: "app-1 fell over".into(),
        trace_id: None,
    };
    api.state.registry.store().tell(happening).await.unwrap();
    contains(
        &kubectl.ok(&["describe", "deployment", "web"], "").await,
        &["Name:", "web", "Events:", "Crashed", "app-1 fell over"],
    );
    contains(&kubectl.ok(&["get", "events"], "").await, &["LAST SEEN", "Warning", "Crashed", "deployment/web"]);
    contains(&kubectl.ok(&["events", "--for", "deployment/web"], "").await, &["Crashed", "app-1 fell over"]);
    contains(
        &kubectl.ok(&["explain", "deployments.spec.recovery.maxAttempts"], "").await,
        &["KIND:", "Deployment", "Attempts before giving up"],
    );
    contains(&kubectl.ok(&["explain", "holds", "--recursive"], "").await, &["Hold", "deployment", "until"]);
}

#[tokio::test]
async fn discovery_namespaces_and_health_are_found() {
    let Some(kubectl) = Kubectl::new().await else { return };
    kubectl.served.api.web().await;
    contains(
        &kubectl.ok(&["api-resources"], "").await,
        &["deployments", "deploy", "evenkeel.dev/v1alpha1", "holds", "events", "namespaces"],
    );
    contains(&kubectl.ok(&["version"], "").await, &["Server Version: v1.32"]);
    contains(&kubectl.ok(&["get", "--raw", "/readyz?verbose"], "").await, &["[+]engine ok"]);
    contains(&kubectl.ok(&["get", "namespaces"], "").await, &["default", "Active"]);
    contains(&kubectl.ok(&["create", "namespace", "shop"], "").await, &["namespace/shop created"]);
    contains(&kubectl.ok(&["get", "deploy", "-n", "nowhere"], "").await, &["No resources found"]);
    contains(&kubectl.ok(&["get", "--raw", &path("web/plan")], "").await, &["default/web"]);
}

#[tokio::test]
async fn holds_are_objects_like_others() {
    let Some(kubectl) = Kubectl::new().await else { return };
    kubectl.served.api.web().await;
    let hold = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Hold", "metadata": {"name": "night"},
        "spec": {"deployment": "web", "state": "Suspended", "reason": "backup"},
    });
    contains(&kubectl.ok(&["create", "-f", "-"], &hold.to_string()).await, &["hold.evenkeel.dev/night created"]);
    contains(&kubectl.ok(&["get", "holds", "-o", "wide"], "").await, &["night", "web", "Suspended", "backup", "token:admin"]);
    contains(&kubectl.ok(&["delete", "hold", "night"], "").await, &["deleted"]);
}
