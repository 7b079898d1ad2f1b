//! `evenkeel describe`: all there is to know about one object, the most urgent first.

mod recovery;
mod source;
mod telling;

use std::collections::BTreeSet;

use anyhow::Context;
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use super::client::{Api, Connection, deployment_path, encode, list_path, name, object_path};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::get::{created, last_seen, order, phase, scope, short, why};
use super::help;
use super::output::{Look, plain, print, table, tell};
use crate::crd::{BuildStatus, ContainerStatus, Deployment, DeploymentStatus, Hold, ImageStatus, ResourceAlert, ServiceStatus};

/// Shows all there is to know about one deployment, source, incident, channel or alert.
///
/// Of a deployment: how it is and why, its holds, recovery, what it waits for, its containers, what was done last and what
/// happened. Of a source: what is in force, what came of each file, and what happened. Of an incident: its time line.
#[derive(Debug, Args)]
#[command(after_help = help::DESCRIBE, override_usage = "evenkeel describe [OPTIONS] <DEPLOYMENT | source NAME | incident NAME | channel NAME | alert NAME>")]
pub struct DescribeArgs {
    /// Name of the deployment; or `source`, `incident`, `channel` or `alert`, and its name
    #[arg(value_name = "NAME", value_parser = name, num_args = 1..=2, required = true)]
    names: Vec<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// The whole object, with its events
    Json,
    /// The same as YAML
    Yaml,
}

/// What is described.
struct Subject {
    deployment: Deployment,
    holds: Vec<Hold>,
    events: Vec<Event>,
}

/// How the kinds may be called.
const DEPLOYMENTS: [&str; 3] = ["deployment", "deployments", "deploy"];
const SOURCES: [&str; 3] = ["source", "sources", "src"];

/// `evenkeel describe`.
pub async fn describe(args: DescribeArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let (plural, name) = match args.names.as_slice() {
        [kind, name] => match plural(kind) {
            Some(plural) => (plural, name),
            None => {
                let message =
                    format!("{kind:?} is no kind that is described: write deployment, source, incident, channel or alert");
                return Err(Failure::Usage(message));
            }
        },
        [name] => {
            // As kubectl: a kind alone means all of it.
            if let Some(plural) = plural(name)
                && !exists(&api, namespace, name).await?
            {
                return all(&api, plural, namespace, args.output).await;
            }
            ("deployments", name)
        }
        _ => return Err(Failure::Usage("write the name of one deployment, or a kind and a name".to_owned())),
    };
    one(&api, plural, namespace, name, args.output).await
}

fn plural(kind: &str) -> Option<&'static str> {
    match kind {
        kind if DEPLOYMENTS.contains(&kind) => Some("deployments"),
        kind if SOURCES.contains(&kind) => Some("sources"),
        kind => telling::KINDS.iter().find(|(words, _)| words.contains(&kind)).map(|(_, plural)| *plural),
    }
}

/// Whether there is a deployment of that name.
async fn exists(api: &Api, namespace: &str, name: &str) -> Result<bool, Failure> {
    match api.get(&deployment_path(namespace, name, None)).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_not_found() => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// All objects of a kind in a namespace, one below the other.
async fn all(api: &Api, plural: &str, namespace: &str, output: Output) -> Result<(), Failure> {
    let list = api.get(&list_path(plural, Some(namespace))).await?;
    let names = list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str());
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        tell(&format!("no {plural} in namespace {namespace}"));
    }
    if output == Output::Json {
        let mut described = Vec::with_capacity(names.len());
        for name in names {
            described.push(whole(api, plural, namespace, name).await?);
        }
        return print_whole(Format::Json, &Value::Array(described));
    }
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            print(if output == Output::Yaml { "---\n" } else { "\n" })?;
        }
        one(api, plural, namespace, name, output).await?;
    }
    Ok(())
}

async fn one(api: &Api, plural: &str, namespace: &str, name: &str, output: Output) -> Result<(), Failure> {
    let format = match output {
        Output::Json => Format::Json,
        Output::Yaml => Format::Yaml,
        Output::Text => {
            return match plural {
                "deployments" => deployment(api, namespace, name).await,
                "sources" => source::describe(api, namespace, name).await,
                _ => telling::describe(api, plural, namespace, name).await,
            };
        }
    };
    print_whole(format, &whole(api, plural, namespace, name).await?)
}

/// An object with its events.
async fn whole(api: &Api, plural: &str, namespace: &str, name: &str) -> Result<Value, Failure> {
    let object = api.get(&object_path(plural, namespace, name, None)).await?;
    let kind = object["kind"].as_str().unwrap_or_default();
    let about = encode(&format!("involvedObject.name={name},involvedObject.kind={kind}"));
    let events = api.get(&format!("{}?fieldSelector={about}", list_path("events", Some(namespace)))).await?;
    Ok(json!({ "object": object, "events": events["items"] }))
}

async fn deployment(api: &Api, namespace: &str, name: &str) -> Result<(), Failure> {
    let deployment = api.get(&deployment_path(namespace, name, None)).await?;
    let holds = api.get(&list_path("holds", Some(namespace))).await?;
    let about = encode(&format!("involvedObject.name={name},involvedObject.kind=Deployment"));
    let events = api.get(&format!("{}?fieldSelector={about}", list_path("events", Some(namespace)))).await?;
    let subject = Subject::read(deployment, holds, events)
        .context("the operator's answer has an unexpected shape; is it of another version than this command?")?;
    print(&subject.render(&Look::of_stdout()))
}

impl Subject {
    fn read(deployment: Value, mut holds: Value, mut events: Value) -> Result<Self, serde_json::Error> {
        let deployment: Deployment = serde_json::from_value(deployment)?;
        let mut holds: Vec<Hold> = serde_json::from_value(holds["items"].take())?;
        holds.retain(|hold| Some(&hold.spec.deployment) == deployment.metadata.name.as_ref());
        let mut events: Vec<Event> = serde_json::from_value(events["items"].take())?;
        events.sort_by_key(order);
        Ok(Self { deployment, holds, events })
    }

    fn render(&self, look: &Look) -> String {
        let status = self.deployment.status.clone().unwrap_or_default();
        let mut sections = vec![summary(look, &self.deployment, &status)];
        let mut section = |title: &str, body: String| {
            if !body.is_empty() {
                sections.push(format!("{}\n{body}", look.heading(title)));
            }
        };
        section("Holds", holds(look, &self.holds));
        section(
            "Recovery",
            status.recovery.as_ref().map(|recovery| recovery::lines(look, recovery, &status)).unwrap_or_default(),
        );
        let name = self.deployment.metadata.name.as_deref().unwrap_or_default();
        section("Suggestions", recovery::suggestions(name, &status.suggestions));
        section("Decisions", recovery::decisions(look, &status.decisions));
        section("Alerts", alerts(look, &status.alerts));
        section("Diagnosis", status.services.iter().map(|service| recovery::diagnoses(service, &status)).collect());
        section("Waiting for", status.waiting.iter().map(|line| format!("  {line}\n")).collect());
        section("Containers", containers(look, &status.services));
        section("Images", images(look, &status.services));
        section("Builds", builds(look, &status.services));
        section("Conditions", conditions(look, &status.conditions));
        section("Last actions", last_actions(look, &status));
        section("Events", events(look, &self.events));
        sections.join("\n")
    }
}

fn summary(look: &Look, deployment: &Deployment, status: &DeploymentStatus) -> String {
    let metadata = &deployment.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let generation = metadata.generation.unwrap_or_default();
    let seen = match status.observed_generation {
        0 => " (not looked at yet)".to_owned(),
        seen if seen < generation => format!(" (status speaks of {seen})"),
        _ => String::new(),
    };
    let ready_count = if status.ready.is_empty() { String::new() } else { format!(", {} ready", status.ready) };
    let mut lines = vec![
        ("Phase", format!("{}{ready_count}", look.word(&format!("{:?}", phase(deployment))))),
        (
            "Why",
            match ready {
                _ if metadata.deletion_timestamp.is_some() => why(deployment),
                ready => {
                    ready.map(|ready| format!("{}: {}", ready.reason, plain(first_line(&ready.message)))).unwrap_or_default()
                }
            },
        ),
        ("Declared", format!("{:?}, generation {generation}{seen}", deployment.spec.state)),
        ("Project", deployment.spec.project.clone().unwrap_or_default()),
    ];
    if let Some(source) = &status.source {
        let of = if source.name.is_empty() { String::new() } else { format!(" of {}", source.name) };
        let revision = source.revision.as_deref().map(|revision| format!(", {}", short(revision))).unwrap_or_default();
        lines.push(("Source", format!("{}{of}{revision}", source.path)));
        lines.push(("Not taken", source.error.clone().unwrap_or_default()));
        lines.extend(source.warnings.iter().map(|warning| ("Warning", plain(warning).to_string())));
    }
    let labels = metadata.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    lines.push(("Labels", labels.join(", ")));
    lines.push(("Age", look.age(created(metadata))));
    if let Some(since) = &metadata.deletion_timestamp {
        lines.push(("Deleting", format!("for {}", look.age(Some(since.0)))));
    }
    let title = format!("Deployment {name}, namespace {}", metadata.namespace.as_deref().unwrap_or("default"));
    let lines = lines.into_iter().filter(|(_, text)| !text.is_empty());
    let lines: String = lines.map(|(label, text)| format!("  {:<11}{text}\n", format!("{label}:"))).collect();
    format!("{}\n{lines}", look.heading(&title))
}

fn holds(look: &Look, holds: &[Hold]) -> String {
    if holds.is_empty() {
        return String::new();
    }
    let row = |hold: &Hold| {
        let spec = &hold.spec;
        vec![
            scope(spec.service.as_deref(), spec.replica),
            format!("{:?}", spec.state),
            spec.by.clone(),
            look.age(spec.since.as_ref().map(|time| time.0).or_else(|| created(&hold.metadata))),
            spec.until.as_ref().map(|time| look.until(time.0)).unwrap_or_default(),
            spec.reason.clone(),
        ]
    };
    table(look, "  ", &["SCOPE", "STATE", "BY", "AGE", "ENDS", "REASON"], holds.iter().map(row).collect())
}

/// What is beyond a threshold, or was lately.
fn alerts(look: &Look, alerts: &[ResourceAlert]) -> String {
    let row = |alert: &ResourceAlert| {
        let since = alert.resolved_at.as_ref().or(alert.firing_at.as_ref()).or(alert.since.as_ref());
        vec![
            format!("{:?}", alert.state),
            look.age(since.map(|time| time.0)),
            alert.cause.to_string(),
            alert.severity.word().to_owned(),
            alert.message.clone(),
        ]
    };
    if alerts.is_empty() {
        return String::new();
    }
    table(look, "  ", &["STATE", "SINCE", "CAUSE", "SEVERITY", "MESSAGE"], alerts.iter().map(row).collect())
}

fn containers(look: &Look, services: &[ServiceStatus]) -> String {
    let mut rows = vec![];
    for service in services {
        let ready = format!("{}/{}", service.ready_replicas, service.replicas);
        if service.containers.is_empty() {
            rows.push(vec![service.name.clone(), ready.clone(), "none".to_owned()]);
        }
        for (index, container) in service.containers.iter().enumerate() {
            // The service is named once, its containers stand below each other.
            let (name, ready) = if index == 0 { (service.name.as_str(), ready.as_str()) } else { (" ", " ") };
            rows.push(vec![
                name.to_owned(),
                ready.to_owned(),
                container.name.clone(),
                state(container),
                container.health.clone().unwrap_or_default(),
                container.restarts.to_string(),
                look.age(container.started_at.as_ref().map(|time| time.0)),
                container.image.clone(),
            ]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let header = ["SERVICE", "READY", "CONTAINER", "STATE", "HEALTH", "RESTARTS", "STARTED", "IMAGE"];
    let drift = services.iter().flat_map(|service| &service.containers);
    let drift = drift.flat_map(|container| {
        container.drift.iter().map(|line| match container.differences().any(|other| other == line) {
            true => format!("  {} differs: {line}\n", container.name),
            false => format!("  {}: {line}\n", container.name),
        })
    });
    table(look, "  ", &header, rows) + &drift.collect::<String>()
}

/// What pulls brought, and why they fail.
fn images(look: &Look, services: &[ServiceStatus]) -> String {
    let known = || services.iter().filter_map(|service| service.image.as_ref().map(|image| (service, image)));
    let row = |(service, image): (&ServiceStatus, &ImageStatus)| {
        vec![
            service.name.clone(),
            image.reference.clone(),
            image.digest.as_deref().map(|digest| digest.get(..19).unwrap_or(digest)).unwrap_or("-").to_owned(),
            look.age(image.pulled_at.as_ref().map(|time| time.0)),
            image.next_pull_at.as_ref().map(|time| look.until(time.0)).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = known().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let failing = |(_, image): (&ServiceStatus, &ImageStatus)| {
        let failure = image.failure.as_ref()?;
        let age = look.age(failure.at.as_ref().map(|time| time.0));
        Some(format!(
            "  {} fails, {} tries, {age} ago: {}: {}\n",
            image.reference, failure.tries, failure.reason, failure.message
        ))
    };
    // Services that share an image share its failure.
    let failures: BTreeSet<String> = known().filter_map(failing).collect();
    table(look, "  ", &["SERVICE", "IMAGE", "DIGEST", "PULLED", "NEXT"], rows) + &failures.into_iter().collect::<String>()
}

/// What builds made, and the last lines of those that fail.
fn builds(look: &Look, services: &[ServiceStatus]) -> String {
    let known = || services.iter().filter_map(|service| service.build.as_ref().map(|build| (service, build)));
    let short = |text: &Option<String>| text.as_deref().map(|text| text.get(..19).unwrap_or(text)).unwrap_or("-").to_owned();
    let row = |(service, build): (&ServiceStatus, &BuildStatus)| {
        let age = look.age(build.built_at.as_ref().map(|time| time.0));
        vec![service.name.clone(), build.reference.clone(), short(&build.id), age]
    };
    let rows: Vec<Vec<String>> = known().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let failing = |(_, build): (&ServiceStatus, &BuildStatus)| {
        let failure = build.failure.as_ref()?;
        let age = look.age(failure.at.as_ref().map(|time| time.0));
        let lines: String = failure.message.lines().map(|line| format!("    {}\n", plain(line))).collect();
        Some(format!("  {} fails, {} tries, {age} ago:\n{lines}", build.reference, failure.tries))
    };
    table(look, "  ", &["SERVICE", "IMAGE", "ID", "BUILT"], rows) + &known().filter_map(failing).collect::<String>()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// `running`, `exited 137, out of memory`.
pub fn state(container: &ContainerStatus) -> String {
    let code = container.exit_code.filter(|_| matches!(container.state.as_str(), "exited" | "dead"));
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    format!("{}{code}{}", container.state, if container.oom_killed { ", out of memory" } else { "" })
}

fn conditions(look: &Look, conditions: &[Condition]) -> String {
    let row = |condition: &Condition| {
        vec![
            condition.type_.clone(),
            condition.status.clone(),
            look.age(Some(condition.last_transition_time.0)),
            condition.reason.clone(),
            condition.message.clone(),
        ]
    };
    if conditions.is_empty() {
        return String::new();
    }
    table(look, "  ", &["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"], conditions.iter().map(row).collect())
}

fn last_actions(look: &Look, status: &DeploymentStatus) -> String {
    let row = |action: &crate::crd::LastAction| {
        vec![
            look.age(action.at.as_ref().map(|time| time.0)),
            action.action.clone(),
            action.trace_id.clone().unwrap_or_default(),
            action.result.clone(),
            action.cause.clone(),
        ]
    };
    if status.last_actions.is_empty() {
        return String::new();
    }
    table(look, "  ", &["AGE", "ACTION", "TRACE", "RESULT", "CAUSE"], status.last_actions.iter().map(row).collect())
}

fn events(look: &Look, events: &[Event]) -> String {
    let row = |event: &Event| {
        let count = event.count.filter(|count| *count > 1).map(|count| format!(" (x{count})")).unwrap_or_default();
        vec![
            look.age(last_seen(event)),
            event.type_.clone().unwrap_or_default(),
            event.reason.clone().unwrap_or_default(),
            format!("{}{count}", event.message.clone().unwrap_or_default()),
        ]
    };
    if events.is_empty() {
        return String::new();
    }
    table(look, "  ", &["AGE", "TYPE", "REASON", "MESSAGE"], events.iter().map(row).collect())
}

#[cfg(test)]
mod tests;
