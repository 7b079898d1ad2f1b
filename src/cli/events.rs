//! `evenkeel events`: what happened, and what happens.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use super::client::{Connection, encode, list_path, name};
use super::failure::Failure;
use super::format::{Format, print_next, print_whole};
use super::get::{event_row, last_seen, order, typed};
use super::help;
use super::output::{Look, Rows, print, tell};
use super::since::since;
use super::watch::{self, Seen};
use crate::clock::{Clock, SystemClock};

/// Lists what happened to deployments, the newest last, and follows it.
///
/// An event that repeats itself is one line with a count. Events are kept for an hour.
#[derive(Debug, Args)]
#[command(after_help = help::EVENTS)]
pub struct EventsArgs {
    /// Only those about this deployment
    #[arg(value_parser = name)]
    deployment: Option<String>,
    /// Go on as they happen
    #[arg(short, long)]
    watch: bool,
    /// Only these types
    #[arg(long, value_name = "TYPES", value_enum, value_delimiter = ',', ignore_case = true)]
    types: Vec<Type>,
    /// Only what happened since a time (2026-09-01T06:00:00Z) or within a duration (10m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Types of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    /// What was meant to happen
    #[value(name = "Normal")]
    Normal,
    /// What somebody should look at
    #[value(name = "Warning")]
    Warning,
}

/// `evenkeel events`.
pub async fn events(args: EventsArgs) -> Result<(), Failure> {
    if args.all_namespaces && args.deployment.is_some() {
        return Err(Failure::Usage("a name is one in a namespace: leave -A out, or the name".to_owned()));
    }
    let since = args.since.as_deref().map(|text| since(text, SystemClock.now())).transpose().map_err(Failure::Usage)?;
    let api = args.connection.open().await?;
    let list = list_path("events", (!args.all_namespaces).then_some(args.connection.namespace()));
    let about =
        args.deployment.as_deref().map(|name| format!("fieldSelector={}", encode(&format!("involvedObject.name={name}"))));
    let query = about.unwrap_or_default();
    let filter = Filter { types: args.types, since };
    let mut shown = Shown { format: args.output, namespace: args.all_namespaces, rows: None };
    if args.watch {
        return watch::follow(&api, &list, &query, |seen| match seen {
            Seen::List(events) => shown.all(&filter.of(events)?),
            Seen::Changed(event) => shown.next(&filter.of(vec![event])?),
            // They are forgotten after an hour, which is nothing that happened.
            Seen::Deleted(_) => Ok(()),
        })
        .await;
    }
    let mut answer = api.get(&format!("{list}?{query}")).await?;
    let events = filter.of(answer["items"].as_array().cloned().unwrap_or_default())?;
    if matches!(args.output, Format::Json | Format::Yaml) {
        answer["items"] = Value::Array(events);
        return print_whole(args.output, &answer);
    }
    if events.is_empty() {
        tell("no events");
    }
    shown.all(&events)
}

/// Which events are shown.
struct Filter {
    types: Vec<Type>,
    since: Option<Timestamp>,
}

impl Filter {
    /// Those that are, the oldest first.
    fn of(&self, events: Vec<Value>) -> Result<Vec<Value>, Failure> {
        let mut dated = vec![];
        for value in events {
            let event: Event = typed(vec![value.clone()])?.remove(0);
            let at = last_seen(&event);
            let type_fits = self.types.is_empty() || self.types.iter().any(|kind| Some(format!("{kind:?}")) == event.type_);
            if type_fits && self.since.is_none_or(|since| at.is_some_and(|at| at >= since)) {
                dated.push((order(&event), value));
            }
        }
        dated.sort_by_key(|(order, _)| *order);
        Ok(dated.into_iter().map(|(_, value)| value).collect())
    }
}

/// How they are shown, and what was.
struct Shown {
    format: Format,
    namespace: bool,
    rows: Option<Rows>,
}

impl Shown {
    fn all(&mut self, events: &[Value]) -> Result<(), Failure> {
        if events.is_empty() && self.rows.is_none() && !self.format.is_table() {
            return Ok(());
        }
        self.next(events)
    }

    fn next(&mut self, events: &[Value]) -> Result<(), Failure> {
        if self.format.is_table() {
            return self.table(events);
        }
        events.iter().try_for_each(|event| match self.format {
            Format::Name => print(&format!("event/{}\n", event["metadata"]["name"].as_str().unwrap_or("?"))),
            format => print_next(format, event),
        })
    }

    fn table(&mut self, events: &[Value]) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        let look = Look::of_stdout();
        let rows: Vec<Vec<String>> = typed::<Event>(events.to_vec())?.iter().map(|event| self.row(&look, event)).collect();
        match &mut self.rows {
            Some(shown) => print(&shown.further(&look, &rows)),
            None => {
                let mut header = vec!["LAST", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"];
                if self.namespace {
                    header.insert(0, "NAMESPACE");
                }
                let (shown, text) = Rows::begin(&look, &header, rows);
                self.rows = Some(shown);
                print(&text)
            }
        }
    }

    fn row(&self, look: &Look, event: &Event) -> Vec<String> {
        let namespace = self.namespace.then(|| event.metadata.namespace.clone().unwrap_or_default());
        namespace.into_iter().chain(event_row(look, event)).collect()
    }
}
