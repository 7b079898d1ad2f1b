//! The command line. `run` is the operator; everything else is a client of its API.
//!
//! One file per command or family of commands. Each turns its arguments into requests, and the answers into text.

mod apply;
mod client;
mod crd;
mod delete;
mod describe;
mod failure;
mod get;
mod help;
mod intent;
mod manifests;
mod output;
mod plan;
mod progress;
mod pull;
mod rebuild;
mod wait;

pub mod kubeconfig;
pub mod paths;
pub mod run;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Effects};
use clap::{Parser, Subcommand};

pub use failure::Failure;
pub use output::print;

/// Keeps declared Docker deployments running: YAML in, containers up, crashed ones back, stopped ones left alone.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, after_help = help::MAIN, styles = styles(), max_term_width = 120)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands: the operator, the clients of it, and what only its wiring can do.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would replace the help text of the arguments")]
pub enum Command {
    Run(run::RunArgs),
    #[command(flatten)]
    Client(ClientCommand),
    Kubeconfig(kubeconfig::KubeconfigArgs),
}

/// Commands that ask the operator, or only print.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would replace the help text of the arguments")]
pub enum ClientCommand {
    Apply(apply::ApplyArgs),
    Get(get::GetArgs),
    Describe(describe::DescribeArgs),
    Plan(plan::PlanArgs),
    Stop(intent::StopArgs),
    Start(intent::StartArgs),
    Suspend(intent::SuspendArgs),
    Resume(intent::ResumeArgs),
    Restart(intent::RestartArgs),
    Retry(intent::RetryArgs),
    Pull(pull::PullArgs),
    Rebuild(rebuild::RebuildArgs),
    Release(intent::ReleaseArgs),
    Delete(delete::DeleteArgs),
    Wait(wait::WaitArgs),
    Crd(crd::CrdArgs),
}

/// Runs a command to its end; the exit code. What went wrong has been said on stderr.
pub async fn execute(command: ClientCommand) -> u8 {
    let done = match command {
        ClientCommand::Apply(args) => apply::apply(args).await,
        ClientCommand::Get(args) => get::get(args).await,
        ClientCommand::Describe(args) => describe::describe(args).await,
        ClientCommand::Plan(args) => match plan::plan(args).await {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        ClientCommand::Stop(args) => intent::stop(args).await,
        ClientCommand::Start(args) => intent::start(args).await,
        ClientCommand::Suspend(args) => intent::suspend(args).await,
        ClientCommand::Resume(args) => intent::resume(args).await,
        ClientCommand::Restart(args) => intent::restart(args).await,
        ClientCommand::Retry(args) => intent::retry(args).await,
        ClientCommand::Pull(args) => pull::pull(args).await,
        ClientCommand::Rebuild(args) => rebuild::rebuild(args).await,
        ClientCommand::Release(args) => intent::release(args).await,
        ClientCommand::Delete(args) => delete::delete(args).await,
        ClientCommand::Wait(args) => wait::wait(args).await,
        ClientCommand::Crd(args) => crd::crd(&args),
    };
    done.err().map_or(0, |failure| failure.report())
}

fn styles() -> Styles {
    let bold = AnsiColor::White.on_default() | Effects::BOLD;
    Styles::styled().header(bold).usage(bold).literal(AnsiColor::Cyan.on_default())
}

#[cfg(test)]
mod tests;
