//! `evenkeel reconcile source`: looks at a Source at once.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::time::Instant;

use super::client::{Api, Connection, name, source_path};
use super::failure::Failure;
use super::help;
use super::output::print;
use crate::crd::{self, Source};
use crate::model::annotations;

/// How often is looked. The answers come out of the operator's memory.
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks at a source at once, and says what came of it.
///
/// Fetches what is new and puts it in force, without waiting for the interval. Fails when the source is not as it should be.
#[derive(Debug, Args)]
#[command(after_help = help::RECONCILE)]
pub struct ReconcileArgs {
    /// What to look at
    #[arg(value_enum)]
    kind: Kind,
    /// Its name
    #[arg(value_parser = name)]
    name: String,
    /// How long to wait; exit code 3 when it was in vain
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: crd::Duration,
    #[command(flatten)]
    connection: Connection,
}

/// Kinds that can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(aliases = ["sources", "src"])]
    Source,
}

/// `evenkeel reconcile`.
pub async fn reconcile(args: ReconcileArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let Kind::Source = args.kind;
    let path = source_path(args.connection.namespace(), &args.name, None);
    let asked = api.post(&format!("{path}/reconcile"), &json!({})).await?;
    let wish = asked["metadata"]["annotations"][annotations::REQUESTED_AT].as_str().unwrap_or_default().to_owned();
    let source = answered(&api, &path, &wish, &args).await?;
    let status = source.status.unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let message = ready.map(|ready| ready.message.clone()).unwrap_or_default();
    match ready.map(|ready| ready.status.as_str()) {
        Some("False") => Err(anyhow!("source {}: {message}", args.name).into()),
        _ => print(&format!("source {}: {message}\n", args.name)),
    }
}

/// The Source once its status answers the wish, or a later one.
async fn answered(api: &Api, path: &str, wish: &str, args: &ReconcileArgs) -> Result<Source, Failure> {
    let deadline = Instant::now() + args.timeout.0;
    loop {
        let source: Source = serde_json::from_value(api.get(path).await?).context("the operator's answer is no Source")?;
        let answer = source.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
        if answer.is_some_and(|answer| later_or_equal(answer, wish)) {
            return Ok(source);
        }
        if source.spec.suspend {
            let message = "is suspended, so nobody looks: set spec.suspend to false (it is looked at then)";
            return Err(anyhow!("source {} {message}", args.name).into());
        }
        if Instant::now() >= deadline {
            return Err(Failure::TimedOut(format!("waited {} in vain until source {} was looked at", args.timeout, args.name)));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn later_or_equal(answer: &str, wish: &str) -> bool {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    answer == wish || time(answer) >= time(wish)
}
