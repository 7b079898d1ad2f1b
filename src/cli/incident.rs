//! `evenkeel incident`: what is wrong and what was, and what people say of it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Connection, list_path, name, object_path};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::get::telling::{INCIDENTS, incident_row};
use super::get::typed;
use super::help;
use super::intent::until;
use super::output::{Look, print, table, tell};
use crate::clock::{Clock, SystemClock};
use crate::crd::Incident;

/// Lists incidents, and takes what people say of them.
#[derive(Debug, Args)]
#[command(after_help = help::INCIDENT)]
pub struct IncidentArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    #[command(alias = "acknowledge")]
    Ack(AckArgs),
    Silence(SilenceArgs),
    Close(CloseArgs),
}

/// Lists incidents, the newest last.
#[derive(Debug, Args)]
#[command(after_help = help::INCIDENT)]
struct ListArgs {
    /// Only those that are not over
    #[arg(long)]
    open: bool,
    /// Of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Says that somebody looks after it: it is told again only when it gets worse, and when it is over.
#[derive(Debug, Args)]
#[command(after_help = help::INCIDENT)]
struct AckArgs {
    /// Name of the incident
    #[arg(value_parser = name)]
    incident: String,
    /// In your words
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Keeps it from being told at all, until a time or until it is over.
#[derive(Debug, Args)]
#[command(after_help = help::INCIDENT)]
struct SilenceArgs {
    /// Name of the incident
    #[arg(value_parser = name)]
    incident: String,
    /// Until when: a duration (2h, 30m) or a time (2026-09-01T06:00:00Z). Default: until it is over
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// In your words
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Declares it over. The same trouble opens a new one only after all has been well in between.
#[derive(Debug, Args)]
#[command(after_help = help::INCIDENT)]
struct CloseArgs {
    /// Name of the incident
    #[arg(value_parser = name)]
    incident: String,
    /// In your words
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel incident`.
pub async fn incident(args: IncidentArgs) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list(args).await,
        Command::Ack(AckArgs { incident, note, connection }) => {
            say(&connection, &incident, "acknowledge", json!({ "reason": note })).await?;
            print(&format!("incident {incident} acknowledged\n"))
        }
        Command::Silence(SilenceArgs { incident, until: time, note, connection }) => {
            let time = time.as_deref().map(|text| until(text, SystemClock.now())).transpose().map_err(Failure::Usage)?;
            say(&connection, &incident, "silence", json!({ "reason": note, "until": time })).await?;
            let end = time.map_or_else(|| "until it is over".to_owned(), |time| format!("until {time}"));
            print(&format!("incident {incident} silenced {end}\n"))
        }
        Command::Close(CloseArgs { incident, note, connection }) => {
            say(&connection, &incident, "close", json!({ "reason": note })).await?;
            print(&format!("incident {incident} closed\n"))
        }
    }
}

async fn say(connection: &Connection, incident: &str, verb: &str, body: Value) -> Result<Value, Failure> {
    let api = connection.open().await?;
    api.post(&object_path("incidents", connection.namespace(), incident, Some(verb)), &body).await
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let namespace = (!args.all_namespaces).then_some(args.connection.namespace());
    let mut answer = api.get(&list_path("incidents", namespace)).await?;
    let mut incidents: Vec<Incident> = typed(answer["items"].as_array().cloned().unwrap_or_default())?;
    if args.open {
        incidents.retain(|incident| !incident.status.as_ref().is_some_and(|status| status.phase.is_over()));
    }
    incidents.sort_by_key(|incident| {
        let status = incident.status.as_ref();
        status.and_then(|status| status.reopened_at.as_ref().or(status.opened_at.as_ref()).map(|at| at.0))
    });
    match args.output {
        Format::Json | Format::Yaml => {
            answer["items"] = json!(incidents);
            print_whole(args.output, &answer)
        }
        Format::Name => {
            let name =
                |incident: &Incident| format!("incident.evenkeel.dev/{}\n", incident.metadata.name.as_deref().unwrap_or("?"));
            print(&incidents.iter().map(name).collect::<String>())
        }
        Format::Table | Format::Wide if incidents.is_empty() => {
            tell(if args.open { "no incident is open" } else { "no incidents" });
            Ok(())
        }
        Format::Table | Format::Wide => {
            let look = Look::of_stdout();
            let space =
                |incident: &Incident| args.all_namespaces.then(|| incident.metadata.namespace.clone().unwrap_or_default());
            let row = |incident: &Incident| space(incident).into_iter().chain(incident_row(&look, incident)).collect();
            let header: Vec<&str> =
                args.all_namespaces.then_some("NAMESPACE").into_iter().chain(INCIDENTS.iter().copied()).collect();
            print(&table(&look, "", &header, incidents.iter().map(row).collect()))
        }
    }
}
