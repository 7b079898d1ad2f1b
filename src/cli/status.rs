//! `evenkeel status`: the host, each deployment and its containers on one page.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Api, Connection, HOST, encode, list_path, name};
use super::describe::state;
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::get::{phase, typed, why};
use super::help;
use super::output::{Look, plain, print, table};
use crate::crd::{ContainerStatus, Deployment};

/// Shows the host, each deployment and its containers on one page.
///
/// How the operator and its engine are, and of each deployment: its containers with state, health, restarts, uptime and
/// image, why it is not as it should be, and what it waits for. `describe` has all of one deployment.
#[derive(Debug, Args)]
#[command(after_help = help::STATUS)]
pub struct StatusArgs {
    /// Only this one
    #[arg(value_parser = name)]
    deployment: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "deployment")]
    all_namespaces: bool,
    /// Only deployments that have these labels: app=web, app!=web, app
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "deployment")]
    selector: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel status`.
pub async fn status(args: StatusArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let items = deployments(&api, &args).await?;
    if args.output == Format::Name {
        let line = |item: &Value| format!("deployment.evenkeel.dev/{}\n", item["metadata"]["name"].as_str().unwrap_or("?"));
        return print(&items.iter().map(line).collect::<String>());
    }
    let host = api.get(HOST).await?;
    if !args.output.is_table() {
        return print_whole(args.output, &json!({ "host": host, "deployments": items }));
    }
    let view = View { look: Look::of_stdout(), wide: args.output == Format::Wide, namespace: args.all_namespaces };
    let deployments: Vec<Deployment> = typed(items)?;
    print(&view.page(&host, &deployments))
}

async fn deployments(api: &Api, args: &StatusArgs) -> Result<Vec<Value>, Failure> {
    let list = list_path("deployments", (!args.all_namespaces).then_some(args.connection.namespace()));
    if let Some(name) = &args.deployment {
        return Ok(vec![api.get(&format!("{list}/{name}")).await?]);
    }
    let selector = args.selector.as_deref().map(|text| format!("?labelSelector={}", encode(text))).unwrap_or_default();
    let mut answer = api.get(&format!("{list}{selector}")).await?;
    match answer["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(vec![]),
    }
}

struct View {
    look: Look,
    wide: bool,
    namespace: bool,
}

impl View {
    fn page(&self, host: &Value, deployments: &[Deployment]) -> String {
        let mut blocks = vec![self.host(host)];
        blocks.extend(deployments.iter().map(|deployment| self.deployment(deployment)));
        if deployments.is_empty() {
            blocks.push("no deployments\n".to_owned());
        }
        blocks.join("\n")
    }

    /// Who works on what, and what keeps it from doing so.
    fn host(&self, host: &Value) -> String {
        let (operator, engine) = (&host["operator"], &host["engine"]);
        let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
        let on = engine["host"].as_str().map(|host| format!(" on {host}")).unwrap_or_default();
        let head = format!("evenkeel {}{on}", text(&operator["version"]));
        let up = operator["startedAt"].as_str().and_then(|time| time.parse().ok());
        let ready = ["store", "controller", "engine"].map(|part| operator[part].as_str().map(|why| format!("{part}: {why}")));
        let mut missing: Vec<String> = ready.into_iter().flatten().collect();
        if missing.is_empty() {
            missing.extend(host["engineError"].as_str().map(|why| format!("engine: {why}")));
        }
        let state = if missing.is_empty() { self.look.added("ready") } else { self.look.removed("not ready") };
        let mut lines = format!("{}, {state}, up {}\n", self.look.heading(&head), self.look.age(up));
        if !engine.is_null() {
            lines.push_str(&format!("  engine: Docker {} at {}\n", text(&engine["version"]), text(&engine["address"])));
        }
        lines.extend(missing.iter().map(|line| format!("  {line}; what is shown below is as it was seen last\n")));
        lines
    }

    fn deployment(&self, deployment: &Deployment) -> String {
        let metadata = &deployment.metadata;
        let status = deployment.status.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        let name = match &metadata.namespace {
            Some(namespace) if self.namespace => format!("{namespace}/{name}"),
            _ => name,
        };
        let why = why(deployment);
        let why = if why.is_empty() { String::new() } else { format!(", {why}") };
        let ready = if status.ready.is_empty() { String::new() } else { format!(", {} ready", status.ready) };
        let phase = self.look.word(&format!("{:?}", phase(deployment)));
        let mut text = format!("{}  {phase}{ready}{why}\n", self.look.heading(&name));
        let rows: Vec<Vec<String>> =
            status.services.iter().flat_map(|service| &service.containers).map(|one| self.row(one)).collect();
        if !rows.is_empty() {
            let mut header = vec!["CONTAINER", "STATE", "HEALTH", "RESTARTS", "UPTIME", "IMAGE"];
            if self.wide {
                header.extend(["ID", "DIGEST"]);
            }
            text.push_str(&table(&self.look, "  ", &header, rows));
        }
        let warnings = status.source.iter().flat_map(|source| &source.warnings);
        text.extend(warnings.map(|warning| format!("  warning: {}\n", plain(warning))));
        text.extend(status.waiting.iter().map(|line| format!("  waiting: {}\n", plain(line))));
        text
    }

    fn row(&self, container: &ContainerStatus) -> Vec<String> {
        let up = container.started_at.as_ref().filter(|_| container.state == "running").map(|time| time.0);
        let mut row = vec![
            container.name.clone(),
            state(container),
            container.health.clone().unwrap_or_default(),
            container.restarts.to_string(),
            self.look.age(up),
            container.image.clone(),
        ];
        if self.wide {
            row.push(container.id.get(..12).unwrap_or(&container.id).to_owned());
            let digest = container.image_digest.as_deref().unwrap_or_default();
            row.push(digest.rsplit_once('@').map_or(digest, |(_, digest)| digest).get(..19).unwrap_or(digest).to_owned());
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            look: Look { color: false, width: None, now: "2026-08-21T12:00:00Z".parse().unwrap() },
            wide: false,
            namespace: false,
        }
    }

    fn deployments() -> Vec<Deployment> {
        let container = |name: &str, state: &str| {
            json!({"name": name, "state": state, "health": "healthy", "restarts": 2, "exitCode": 137, "image": "web:2",
                "id": "3f2a1b0c4d5e6f70", "startedAt": "2026-08-21T11:00:00Z"})
        };
        let condition = json!({"type": "Ready", "status": "False", "reason": "BackOff", "message": "1 of 2 replicas ready",
            "lastTransitionTime": "2026-08-21T11:00:00Z"});
        let status = json!({"phase": "Degraded", "ready": "1/2", "conditions": [condition],
            "services": [{"name": "web", "containers": [container("shop-web-1", "running"), container("shop-web-2", "exited")]}],
            "waiting": ["replica web-2: next attempt in 20 s"]});
        let object = |name: &str, status: Value| {
            json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
                "spec": {"services": {}}, "status": status})
        };
        typed(vec![object("shop", status), object("new", Value::Null)]).unwrap()
    }

    #[test]
    fn the_page_tells_of_host_deployments_and_containers() {
        let engine = json!({"host": "dock1", "version": "20.10.24", "address": "unix:///var/run/docker.sock"});
        let host = json!({"operator": {"version": "0.1.0", "startedAt": "2026-08-21T09:00:00Z"}, "engine": engine});
        insta::assert_snapshot!("status", view().page(&host, &deployments()));
        let blind =
            json!({"operator": {"version": "0.1.0", "engine": "the Docker daemon does not answer"}, "engineError": "no answer"});
        insta::assert_snapshot!("status_blind", view().page(&blind, &[]));
    }
}
