//! `evenkeel notify test`: whether a Channel reaches people.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::time::Instant;

use super::client::{Connection, name, object_path};
use super::failure::Failure;
use super::help;
use super::output::print;
use crate::crd::{self, Channel};
use crate::model::annotations;

/// Between two looks whether the message was sent.
const INTERVAL: Duration = Duration::from_millis(200);

/// Tries how people are reached.
#[derive(Debug, Args)]
#[command(after_help = help::NOTIFY)]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(TestArgs),
}

/// Sends a test message on a channel, once, and says what the receiver answered.
#[derive(Debug, Args)]
#[command(after_help = help::NOTIFY)]
struct TestArgs {
    /// Name of the channel
    #[arg(value_parser = name)]
    channel: String,
    /// How long to wait for the answer; exit code 3 when it was in vain
    #[arg(long, value_name = "DURATION", default_value = "90s")]
    timeout: crd::Duration,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel notify`.
pub async fn notify(args: NotifyArgs) -> Result<(), Failure> {
    let Command::Test(TestArgs { channel, timeout, connection }) = args.command;
    let api = connection.open().await?;
    let path = object_path("channels", connection.namespace(), &channel, None);
    let asked = api.post(&format!("{path}/test"), &json!({})).await?;
    let wish = asked["metadata"]["annotations"][annotations::TESTED_AT].as_str().unwrap_or_default().to_owned();
    let deadline = Instant::now() + timeout.0;
    loop {
        let answer: Channel = serde_json::from_value(api.get(&path).await?).context("the operator's answer is no Channel")?;
        let result = answer.status.and_then(|status| status.test).filter(|test| test.requested_at >= wish);
        match result {
            Some(test) if test.delivered => return print(&format!("channel {channel}: {}\n", test.message)),
            Some(test) => return Err(anyhow!("channel {channel}: {}", test.message).into()),
            None if Instant::now() >= deadline => {
                return Err(Failure::TimedOut(format!("waited {timeout} in vain for an answer on channel {channel}")));
            }
            None => tokio::time::sleep(INTERVAL).await,
        }
    }
}
