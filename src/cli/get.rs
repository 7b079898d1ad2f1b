//! `evenkeel get`: lists of deployments, holds, sources, incidents, channels, alerts and events.

mod follow;
pub(super) mod telling;

use std::ffi::OsStr;

use anyhow::Context;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Command, ValueEnum};
use k8s_openapi::api::core::v1::Event;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Api, Connection, encode, list_path, name};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::help;
use super::output::{Look, print, table, tell};
use crate::crd::{AlertState, Deployment, Hold, Phase, ResourceAlert, Source};

/// Lists deployments, holds, sources, incidents, channels, alerts or events.
#[derive(Debug, Args)]
#[command(after_help = help::GET)]
pub struct GetArgs {
    /// What to list
    #[arg(value_parser = Kinds, default_value = "deployments")]
    resource: Resource,
    /// Only this one; for events: only those about this deployment
    #[arg(value_parser = name)]
    name: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only what has these labels: app=web, app!=web, app
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Go on, and show again what changes
    #[arg(short, long)]
    watch: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Kinds that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Resource {
    #[value(aliases = ["deployment", "deploy"])]
    Deployments,
    #[value(alias = "hold")]
    Holds,
    #[value(aliases = ["source", "src"])]
    Sources,
    #[value(aliases = ["incident", "inc"])]
    Incidents,
    #[value(aliases = ["channel", "chan"])]
    Channels,
    #[value(alias = "alert")]
    Alerts,
    #[value(aliases = ["event", "ev"])]
    Events,
}

/// Reads a kind; who writes the name of a deployment instead is told how it is shown.
#[derive(Debug, Clone, Copy)]
struct Kinds;

impl TypedValueParser for Kinds {
    type Value = Resource;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Resource, clap::Error> {
        EnumValueParser::new().parse_ref(command, arg, value).map_err(|mut error| {
            let tip = format!("the deployment of that name is shown by `evenkeel get deployment {}`", value.to_string_lossy());
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Resource::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

impl Resource {
    fn plural(self) -> &'static str {
        match self {
            Self::Deployments => "deployments",
            Self::Holds => "holds",
            Self::Sources => "sources",
            Self::Incidents => "incidents",
            Self::Channels => "channels",
            Self::Alerts => "alerts",
            Self::Events => "events",
        }
    }

    fn full_name(self) -> &'static str {
        match self {
            Self::Deployments => "deployment.evenkeel.dev",
            Self::Holds => "hold.evenkeel.dev",
            Self::Sources => "source.evenkeel.dev",
            Self::Incidents => "incident.evenkeel.dev",
            Self::Channels => "channel.evenkeel.dev",
            Self::Alerts => "alert.evenkeel.dev",
            Self::Events => "event",
        }
    }

    fn name_line(self, item: &Value) -> String {
        format!("{}/{}\n", self.full_name(), item["metadata"]["name"].as_str().unwrap_or("?"))
    }
}

/// `evenkeel get`.
pub async fn get(args: GetArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    if args.watch {
        let (list, query) = whole_list(&args)?;
        return follow::follow(&api, &args, &list, &query).await;
    }
    let answer = fetch(&api, &args).await?;
    let items = answer["items"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    match args.output {
        Format::Json | Format::Yaml => print_whole(args.output, &answer),
        Format::Name => print(&items.iter().map(|item| args.resource.name_line(item)).collect::<String>()),
        Format::Table | Format::Wide if items.is_empty() => {
            let place =
                if args.all_namespaces { String::new() } else { format!(" in namespace {}", args.connection.namespace()) };
            tell(&format!("no {}{place}", args.resource.plural()));
            Ok(())
        }
        Format::Table | Format::Wide => {
            let columns = Columns { wide: args.output == Format::Wide, namespace: args.all_namespaces };
            print(&render(&Look::of_stdout(), args.resource, items, columns)?)
        }
    }
}

async fn fetch(api: &Api, args: &GetArgs) -> Result<Value, Failure> {
    let (list, query) = whole_list(args)?;
    match (&args.name, args.resource) {
        (None, _) | (_, Resource::Events) => api.get(&format!("{list}?{query}")).await,
        // One that is not there is an error, where a list without it is not.
        (Some(name), _) => api.get(&format!("{list}/{name}")).await,
    }
}

/// Path and query of the list that holds what is asked for.
fn whole_list(args: &GetArgs) -> Result<(String, String), Failure> {
    let namespace = (!args.all_namespaces).then_some(args.connection.namespace());
    let mut query = vec![];
    match (&args.name, args.resource) {
        (Some(_), _) if args.all_namespaces => {
            return Err(Failure::Usage("a name is one in a namespace: leave -A out, or the name".to_owned()));
        }
        (Some(name), Resource::Events) => query.push(format!("fieldSelector=involvedObject.name%3D{name}")),
        (Some(name), _) => query.push(format!("fieldSelector=metadata.name%3D{name}")),
        (None, _) => {}
    }
    query.extend(args.selector.as_deref().map(|selector| format!("labelSelector={}", encode(selector))));
    Ok((list_path(args.resource.plural(), namespace), query.join("&")))
}

/// Which columns a table has.
#[derive(Debug, Clone, Copy)]
struct Columns {
    wide: bool,
    namespace: bool,
}

fn render(look: &Look, resource: Resource, mut items: Vec<Value>, columns: Columns) -> Result<String, Failure> {
    if resource == Resource::Events {
        let mut dated = vec![];
        for item in items {
            dated.push((order(&typed::<Event>(vec![item.clone()])?.remove(0)), item));
        }
        dated.sort_by_key(|(order, _)| *order);
        items = dated.into_iter().map(|(_, item)| item).collect();
    }
    let rows: Result<Vec<_>, _> = items.into_iter().map(|item| row_of(look, resource, item, columns)).collect();
    Ok(table(look, "", &header(resource, columns), rows?))
}

fn header(resource: Resource, columns: Columns) -> Vec<&'static str> {
    let own = match resource {
        Resource::Deployments if columns.wide => &["NAME", "PHASE", "READY", "RESTARTS", "AGE", "IMAGES", "SOURCE", "WHY"][..],
        Resource::Deployments => &["NAME", "PHASE", "READY", "RESTARTS", "AGE", "WHY"],
        Resource::Holds => &["NAME", "DEPLOYMENT", "SCOPE", "STATE", "BY", "AGE", "UNTIL", "REASON"],
        Resource::Sources => &["NAME", "READY", "REVISION", "DEPLOYMENTS", "FILES", "AGE", "WHY"],
        Resource::Incidents => telling::INCIDENTS,
        Resource::Channels => &["NAME", "READY", "TYPE", "SERVER", "QUEUED", "DELIVERED", "LAST", "AGE", "WHY"],
        Resource::Alerts => &["NAME", "READY", "SEVERITY", "CHANNELS", "AGE", "WHY"],
        Resource::Events => &["LAST", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"],
    };
    columns.namespace.then_some("NAMESPACE").into_iter().chain(own.iter().copied()).collect()
}

fn row_of(look: &Look, resource: Resource, item: Value, columns: Columns) -> Result<Vec<String>, Failure> {
    let namespace = columns.namespace.then(|| item["metadata"]["namespace"].as_str().unwrap_or_default().to_owned());
    let own = match resource {
        Resource::Deployments => deployment_row(look, &typed(vec![item])?.remove(0), columns.wide),
        Resource::Holds => hold_row(look, &typed(vec![item])?.remove(0)),
        Resource::Sources => source_row(look, &typed(vec![item])?.remove(0)),
        Resource::Incidents => telling::incident_row(look, &typed(vec![item])?.remove(0)),
        Resource::Channels => telling::channel_row(look, &typed(vec![item])?.remove(0)),
        Resource::Alerts => telling::alert_row(look, &typed(vec![item])?.remove(0)),
        Resource::Events => event_row(look, &typed(vec![item])?.remove(0)),
    };
    Ok(namespace.into_iter().chain(own).collect())
}

/// Objects as what they are.
///
/// # Errors
/// When they are something else.
pub fn typed<T: DeserializeOwned>(items: Vec<Value>) -> Result<Vec<T>, Failure> {
    let typed: Result<_, _> = items.into_iter().map(serde_json::from_value).collect();
    Ok(typed.context("the operator's answer has an unexpected shape; is it of another version than this command?")?)
}

fn deployment_row(look: &Look, deployment: &Deployment, wide: bool) -> Vec<String> {
    let status = deployment.status.clone().unwrap_or_default();
    let containers = || status.services.iter().flat_map(|service| &service.containers);
    let mut row = vec![
        deployment.metadata.name.clone().unwrap_or_default(),
        format!("{:?}", phase(deployment)),
        status.ready.clone(),
        containers().map(|container| container.restarts).sum::<u32>().to_string(),
        look.age(created(&deployment.metadata)),
    ];
    if wide {
        let mut images: Vec<&str> = containers().map(|container| container.image.as_str()).collect();
        images.sort_unstable();
        images.dedup();
        row.push(images.join(","));
        row.push(status.source.as_ref().map(|source| source.path.clone()).unwrap_or_default());
    }
    row.push(why(deployment));
    row
}

/// Its phase; of one that is being deleted, whatever was said of it before.
pub fn phase(deployment: &Deployment) -> Phase {
    let status = deployment.status.as_ref();
    match deployment.metadata.deletion_timestamp {
        Some(_) => Phase::Progressing,
        None => status.map(|status| status.phase).unwrap_or_default(),
    }
}

/// The one thing worth knowing about a deployment in a list; nothing if all is well.
pub fn why(deployment: &Deployment) -> String {
    if deployment.metadata.deletion_timestamp.is_some() {
        return "Deleting: it is being deleted".to_owned();
    }
    let Some(status) = &deployment.status else { return "not looked at yet".to_owned() };
    let condition = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
    if let Some(error) = status.source.as_ref().and_then(|source| source.error.as_ref()) {
        return format!("manifest not taken: {error}");
    }
    match condition("Ready") {
        // What runs under a Hold is not looked after: that is worth knowing too.
        Some(ready) if ready.status != "True" || ready.reason == "Suspended" => {
            format!("{}: {}", ready.reason, ready.message.lines().next().unwrap_or_default())
        }
        _ if condition("Orphaned").is_some_and(|orphaned| orphaned.status == "True") => {
            "Orphaned: its manifest is gone".to_owned()
        }
        _ => firing(&status.alerts),
    }
}

/// What is beyond a threshold for long enough, the worst first.
fn firing(alerts: &[ResourceAlert]) -> String {
    let firing = alerts.iter().filter(|alert| alert.state == AlertState::Firing);
    let worst = firing.max_by_key(|alert| alert.severity);
    worst.map(|alert| format!("{}: {}", alert.cause, alert.message)).unwrap_or_default()
}

fn hold_row(look: &Look, hold: &Hold) -> Vec<String> {
    let spec = &hold.spec;
    vec![
        hold.metadata.name.clone().unwrap_or_default(),
        spec.deployment.clone(),
        scope(spec.service.as_deref(), spec.replica),
        format!("{:?}", spec.state),
        spec.by.clone(),
        look.age(spec.since.as_ref().map(|time| time.0).or_else(|| created(&hold.metadata))),
        spec.until.as_ref().map(|time| look.until(time.0)).unwrap_or_default(),
        spec.reason.clone(),
    ]
}

fn source_row(look: &Look, source: &Source) -> Vec<String> {
    let status = source.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let why = ready.filter(|ready| ready.status != "True");
    let files = match status.failed_file_count {
        0 => status.file_count.to_string(),
        failed => format!("{}, {failed} wrong", status.file_count),
    };
    vec![
        source.metadata.name.clone().unwrap_or_default(),
        ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone()),
        status.observed_revision.as_deref().map(short).unwrap_or_default(),
        status.deployments.to_string(),
        files,
        look.age(created(&source.metadata)),
        why.map(|ready| format!("{}: {}", ready.reason, ready.message.lines().next().unwrap_or_default())).unwrap_or_default(),
    ]
}

/// `main@sha1:0123456789ab` of a revision with all its digits.
pub fn short(revision: &str) -> String {
    const DIGITS: usize = 12;
    match revision.rsplit_once(':') {
        Some((head, id)) => {
            let (digits, rest) = id.split_once('-').map_or((id, String::new()), |(digits, rest)| (digits, format!("-{rest}")));
            format!("{head}:{}{rest}", digits.get(..DIGITS).unwrap_or(digits))
        }
        None => revision.to_owned(),
    }
}

/// `web-1`, `web`, or `all`.
pub fn scope(service: Option<&str>, replica: Option<u32>) -> String {
    match (service, replica) {
        (Some(service), Some(replica)) => format!("{service}-{replica}"),
        (Some(service), None) => service.to_owned(),
        (None, _) => "all".to_owned(),
    }
}

/// `LAST TYPE REASON OBJECT COUNT MESSAGE`.
pub fn event_row(look: &Look, event: &Event) -> Vec<String> {
    let about = &event.involved_object;
    let about = [about.kind.as_deref(), about.name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("/");
    vec![
        look.age(last_seen(event)),
        event.type_.clone().unwrap_or_default(),
        event.reason.clone().unwrap_or_default(),
        about.to_lowercase(),
        event.count.unwrap_or(1).to_string(),
        event.message.clone().unwrap_or_default(),
    ]
}

/// When an event was last repeated.
pub fn last_seen(event: &Event) -> Option<jiff::Timestamp> {
    event.last_timestamp.as_ref().map(|time| time.0).or_else(|| created(&event.metadata))
}

/// Which of two Events came first. Their times are whole seconds; within one, revisions tell.
pub fn order(event: &Event) -> (Option<jiff::Timestamp>, Option<u64>) {
    (last_seen(event), event.metadata.resource_version.as_ref().and_then(|version| version.parse().ok()))
}

/// When an object was made.
pub fn created(metadata: &kube::core::ObjectMeta) -> Option<jiff::Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look() -> Look {
        Look { color: false, width: None, now: "2026-08-21T12:00:00Z".parse().unwrap() }
    }

    #[test]
    fn events_of_one_second_are_told_in_the_order_they_were_written() {
        let event = |version: &str| {
            json!({"metadata": {"name": format!("web.{version}"), "resourceVersion": version}, "involvedObject": {},
                "lastTimestamp": "2026-08-21T10:00:00Z", "message": format!("event {version}")})
        };
        let columns = Columns { wide: false, namespace: false };
        let text = render(&look(), Resource::Events, vec![event("10"), event("9")], columns).unwrap();
        assert!(text.find("event 9") < text.find("event 10"), "{text}");
    }

    fn deployment(name: &str, phase: &str, ready: &str, why: Option<(&str, &str)>) -> Value {
        let condition = |(reason, message): (&str, &str)| {
            let since = "2026-08-21T11:00:00Z";
            json!({"type": "Ready", "status": "False", "reason": reason, "message": message, "lastTransitionTime": since})
        };
        json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default", "creationTimestamp": "2026-08-21T09:00:00Z"},
            "spec": {"services": {}},
            "status": {"phase": phase, "ready": ready, "conditions": why.map(condition).into_iter().collect::<Vec<_>>(),
                "services": [{"name": "web", "containers": [{"image": "web:2", "restarts": 2}, {"image": "web:2", "restarts": 1}]}],
                "source": {"path": "web.yaml:1"}}
        })
    }

    #[test]
    fn deployments_are_listed_with_the_one_thing_worth_knowing() {
        let items = || {
            vec![
                deployment("web", "Running", "2/2", None),
                deployment("db", "Stopped", "0/1", Some(("Held", "stopped by cli:root: migration"))),
            ]
        };
        let plain = Columns { wide: false, namespace: false };
        insta::assert_snapshot!("deployments", render(&look(), Resource::Deployments, items(), plain).unwrap());
        let all = Columns { wide: true, namespace: true };
        insta::assert_snapshot!("deployments_wide", render(&look(), Resource::Deployments, items(), all).unwrap());
    }

    #[test]
    fn holds_and_events_are_listed_the_newest_event_last() {
        let plain = Columns { wide: false, namespace: false };
        let hold = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Hold", "metadata": {"name": "web-x7", "namespace": "default"},
            "spec": {"deployment": "web", "state": "Suspended", "reason": "backup", "by": "cli:root",
                "since": "2026-08-21T11:50:00Z", "until": "2026-08-21T14:00:00Z"}
        });
        insta::assert_snapshot!("holds", render(&look(), Resource::Holds, vec![hold], plain).unwrap());
        let source = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "shop", "creationTimestamp": "2026-08-21T09:00:00Z"},
            "spec": {"git": {"url": "https://git.example/shop.git"}},
            "status": {"observedRevision": "main@sha1:0123456789abcdef0123456789abcdef01234567", "deployments": 3, "fileCount": 4,
                "failedFileCount": 1, "conditions": [{"type": "Ready", "status": "False", "reason": "InvalidManifest",
                    "message": "1 of 4 files cannot be used", "lastTransitionTime": "2026-08-21T11:00:00Z"}]}
        });
        insta::assert_snapshot!("sources", render(&look(), Resource::Sources, vec![source], plain).unwrap());
        let event = |reason: &str, time: &str| {
            json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Deployment", "name": "web"}, "type": "Normal",
                "reason": reason, "message": "m", "count": 2, "lastTimestamp": time})
        };
        let events = vec![event("Started", "2026-08-21T11:59:00Z"), event("Created", "2026-08-21T11:58:00Z")];
        insta::assert_snapshot!("events", render(&look(), Resource::Events, events, plain).unwrap());
    }
}
