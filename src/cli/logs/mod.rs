//! `evenkeel logs`: what containers write, those of several services merged.
//!
//! What was written before is merged by time. Then, with `-f`, each replica is followed on its own and shown as it comes,
//! over restarts and replacements of its container.

mod follow;
mod line;
mod merge;
mod print;

use clap::Args;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::client::{Api, Connection, name};
use super::failure::Failure;
use super::help;
use super::output::{Look, reader_gone, tell};
use super::replicas::{self, Replicas};
use super::since::since;
use crate::clock::{Clock, SystemClock};
use crate::model::ReplicaId;
use line::Lines;
use merge::Merge;
use print::Printer;

/// Logs that are read side by side; each is a connection to the operator.
const AT_A_TIME: usize = 100;

/// Shows what containers write.
///
/// Of all services, or of some; each line begins with its replica. With -f it goes on as they write, over restarts and
/// replacements of containers, until Ctrl-C or until the deployment is deleted.
#[derive(Debug, Args)]
#[command(after_help = help::LOGS)]
pub struct LogsArgs {
    /// Name of the deployment
    #[arg(value_parser = name)]
    deployment: String,
    /// Only these services (web) or single replicas of them (web-2). Default: all
    #[arg(value_name = "SERVICE")]
    parts: Vec<String>,
    /// Go on as they write
    #[arg(short, long)]
    follow: bool,
    /// Only the last so many lines of each container; all: all of them
    #[arg(long, value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Only what was written since a time (2026-09-01T06:00:00Z) or within a duration (10m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Begin each line with the time it was written
    #[arg(short, long)]
    timestamps: bool,
    /// Leave out which replica a line is of
    #[arg(long, alias = "no-log-prefix")]
    no_prefix: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" | "-1" => Ok(Tail(None)),
        _ => text.parse().map(|lines| Tail(Some(lines))).map_err(|_| "write a number of lines, or all".to_owned()),
    }
}

/// What is asked of every log.
struct Question<'a> {
    api: &'a Api,
    namespace: &'a str,
    deployment: &'a str,
    tail: Option<u64>,
    since: Option<Timestamp>,
}

/// `evenkeel logs`.
pub async fn logs(args: LogsArgs) -> Result<(), Failure> {
    let since = args.since.as_deref().map(|text| since(text, SystemClock.now())).transpose().map_err(Failure::Usage)?;
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let replicas = Replicas::of(&api, namespace, &args.deployment).await?;
    let wanted = replicas.named(&args.parts)?;
    if wanted.len() > AT_A_TIME {
        let message = format!("{} containers are too many at a time, {AT_A_TIME} are read: name services", wanted.len());
        return Err(Failure::Usage(message));
    }
    if wanted.is_empty() && !args.follow {
        tell(&format!("deployment {} has no containers yet", args.deployment));
        return Ok(());
    }
    let question = Question { api: &api, namespace, deployment: &args.deployment, tail: args.tail.0, since };
    let mut printer = Printer::new(Look::of_stdout(), &wanted, !args.no_prefix, args.timestamps);
    let mut past = past(&question, &wanted).await?;
    while let Some((id, line)) = past.next().await? {
        printer.print(&id, &line)?;
    }
    if !args.follow {
        return Ok(());
    }
    tokio::select! {
        ended = follow::follow(&question, &args.parts, past.marks(), &mut printer) => ended,
        () = reader_gone() => Err(Failure::ClosedPipe),
    }
}

/// What was written up to now, to be merged.
async fn past(question: &Question<'_>, wanted: &[ReplicaId]) -> Result<Merge, Failure> {
    let open = |id: ReplicaId| async move {
        let lines = Lines::open(question, &id, false, question.since, question.tail.map(|tail| tail.max(1))).await;
        (id, lines)
    };
    let opened: Vec<_> = stream::iter(wanted.to_vec()).map(open).buffered(AT_A_TIME).collect().await;
    let mut sources = vec![];
    for (id, lines) in opened {
        match lines {
            Ok(lines) => sources.push((id, Some(lines))),
            // One that was not made yet, or is being replaced, has written nothing.
            Err(failure) if replicas::is_absent(&failure) => sources.push((id, None)),
            Err(failure) => return Err(failure),
        }
    }
    // No lines are wanted, yet where each log ends must be known to go on from there.
    Ok(Merge::new(sources, question.tail == Some(0)))
}
