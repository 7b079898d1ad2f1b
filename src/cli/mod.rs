//! The command line. `run` is the operator; everything else is a client of its API.
//!
//! One file per command or family of commands. Each turns its arguments into requests, and the answers into text.

mod adopt;
mod apply;
mod changes;
mod client;
mod completion;
mod compose;
mod crd;
mod delete;
mod describe;
mod diff;
mod events;
mod exec;
mod export;
mod failure;
mod format;
mod get;
mod help;
mod incident;
mod intent;
mod logs;
mod manifests;
mod notify;
mod output;
mod plan;
mod progress;
mod proposal;
mod pull;
mod rebuild;
mod reconcile;
mod replicas;
mod since;
mod status;
mod suggestion;
mod top;
mod usage;
mod validate;
mod version;
mod wait;
mod watch;
mod why;
mod yaml;

pub mod doctor;
pub mod kubeconfig;
pub mod paths;
pub mod run;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Effects};
use clap::{Parser, Subcommand};

pub use failure::Failure;
pub use output::{Coloring, print, set_coloring};

/// Keeps declared Docker deployments running: YAML in, containers up, crashed ones back, stopped ones left alone.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, after_help = help::MAIN, styles = styles(), max_term_width = 120)]
pub struct Cli {
    /// When to colour what is printed
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Coloring::Auto, hide_possible_values = true, help_heading = "Output", help = "Colours: auto (on a terminal, unless NO_COLOR is set), always, never")]
    pub color: Coloring,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands: the operator, the clients of it, and what only its wiring can do.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would replace the help text of the arguments")]
pub enum Command {
    Run(Box<run::RunArgs>),
    #[command(flatten)]
    Client(ClientCommand),
    Doctor(doctor::DoctorArgs),
    Kubeconfig(kubeconfig::KubeconfigArgs),
}

/// Commands that ask the operator, or only print.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would replace the help text of the arguments")]
pub enum ClientCommand {
    Apply(apply::ApplyArgs),
    Adopt(adopt::AdoptArgs),
    Status(status::StatusArgs),
    Get(get::GetArgs),
    Describe(describe::DescribeArgs),
    Events(events::EventsArgs),
    Logs(logs::LogsArgs),
    Top(top::TopArgs),
    Exec(exec::ExecArgs),
    Plan(plan::PlanArgs),
    Diff(diff::DiffArgs),
    Why(why::WhyArgs),
    Validate(validate::ValidateArgs),
    Export(export::ExportArgs),
    Stop(intent::StopArgs),
    Start(intent::StartArgs),
    Suspend(intent::SuspendArgs),
    Resume(intent::ResumeArgs),
    Restart(intent::RestartArgs),
    Recreate(intent::RecreateArgs),
    Retry(intent::RetryArgs),
    Pull(pull::PullArgs),
    Rebuild(rebuild::RebuildArgs),
    Reconcile(reconcile::ReconcileArgs),
    Suggestions(suggestion::SuggestionsArgs),
    Approve(suggestion::ApproveArgs),
    Reject(suggestion::RejectArgs),
    Incident(incident::IncidentArgs),
    Notify(self::notify::NotifyArgs),
    Release(intent::ReleaseArgs),
    Delete(delete::DeleteArgs),
    Wait(wait::WaitArgs),
    Version(version::VersionArgs),
    Compose(compose::ComposeArgs),
    Completion(completion::CompletionArgs),
    Crd(crd::CrdArgs),
}

/// Runs a command to its end; the exit code. What went wrong has been said on stderr.
pub async fn execute(command: ClientCommand) -> u8 {
    let done = match command {
        ClientCommand::Apply(args) => apply::apply(args).await,
        ClientCommand::Adopt(args) => adopt::adopt(args).await,
        ClientCommand::Status(args) => status::status(args).await,
        ClientCommand::Get(args) => get::get(args).await,
        ClientCommand::Describe(args) => describe::describe(args).await,
        ClientCommand::Events(args) => events::events(args).await,
        ClientCommand::Logs(args) => logs::logs(args).await,
        ClientCommand::Top(args) => top::top(args).await,
        ClientCommand::Exec(args) => return exec::exec(args).await.unwrap_or_else(|failure| failure.report()),
        ClientCommand::Plan(args) => return plan::plan(args).await.unwrap_or_else(|failure| failure.report()),
        ClientCommand::Diff(args) => return diff::diff(args).await,
        ClientCommand::Why(args) => why::why(args).await,
        ClientCommand::Validate(args) => return validate::validate(&args).unwrap_or_else(|failure| failure.report()),
        ClientCommand::Export(args) => export::export(args).await,
        ClientCommand::Stop(args) => intent::stop(args).await,
        ClientCommand::Start(args) => intent::start(args).await,
        ClientCommand::Suspend(args) => intent::suspend(args).await,
        ClientCommand::Resume(args) => intent::resume(args).await,
        ClientCommand::Restart(args) => intent::restart(args).await,
        ClientCommand::Recreate(args) => intent::recreate(args).await,
        ClientCommand::Retry(args) => intent::retry(args).await,
        ClientCommand::Pull(args) => pull::pull(args).await,
        ClientCommand::Rebuild(args) => rebuild::rebuild(args).await,
        ClientCommand::Reconcile(args) => reconcile::reconcile(args).await,
        ClientCommand::Suggestions(args) => suggestion::suggestions(args).await,
        ClientCommand::Approve(args) => suggestion::approve(args).await,
        ClientCommand::Reject(args) => suggestion::reject(args).await,
        ClientCommand::Incident(args) => incident::incident(args).await,
        ClientCommand::Notify(args) => self::notify::notify(args).await,
        ClientCommand::Release(args) => intent::release(args).await,
        ClientCommand::Delete(args) => delete::delete(args).await,
        ClientCommand::Wait(args) => wait::wait(args).await,
        ClientCommand::Version(args) => version::version(args).await,
        ClientCommand::Compose(args) => compose::compose(args),
        ClientCommand::Completion(args) => completion::completion(&args),
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
