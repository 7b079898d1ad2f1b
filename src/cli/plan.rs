//! `evenkeel plan`: what would be done now, and why.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::{Connection, deployment_path, name};
use super::failure::{Failure, exit};
use super::help;
use super::manifests::Files;
use super::output::print;
use crate::crd::{API_VERSION, Kind};

/// Shows what would be done now and why, without doing it.
///
/// For a deployment as it is stored, or for manifests that are not applied yet. Back-off, health, holds and budgets
/// count, so that it is exactly what the operator does at its next look.
#[derive(Debug, Args)]
#[command(after_help = help::PLAN, override_usage = "evenkeel plan [OPTIONS] <DEPLOYMENT | -f FILE>")]
pub struct PlanArgs {
    /// Name of the deployment
    #[arg(value_parser = name, required_unless_present = "filenames", conflicts_with = "filenames")]
    deployment: Option<String>,
    #[command(flatten)]
    files: Files,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Exit with 4 if there is something to do, 0 if not
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What a plan is asked for.
enum Question {
    Stored(String),
    Manifest(Value),
}

/// `evenkeel plan`; the exit code.
pub async fn plan(args: PlanArgs) -> Result<u8, Failure> {
    let namespace = args.connection.namespace();
    let questions: Vec<Question> = match &args.deployment {
        Some(name) => vec![Question::Stored(deployment_path(namespace, name, Some("plan")))],
        None => {
            let manifests = args.files.read(args.connection.namespace.as_deref())?;
            // A Source is no container's business.
            let deployments = manifests.into_iter().filter(|manifest| manifest.kind == Kind::Deployment);
            deployments.map(|manifest| Question::Manifest(manifest.object)).collect()
        }
    };
    let api = args.connection.open().await?;
    let mut plans = vec![];
    for question in &questions {
        let plan = match question {
            Question::Stored(path) => api.get(path).await?,
            Question::Manifest(object) => api.post(&format!("/apis/{API_VERSION}/plan"), object).await?,
        };
        if args.output == Output::Text {
            print(&format!("{}\n", plan["text"].as_str().unwrap_or_default().trim_end()))?;
        }
        plans.push(plan);
    }
    let busy = plans.iter().any(|plan| plan["actions"].as_array().is_some_and(|actions| !actions.is_empty()));
    if args.output == Output::Json {
        let whole = if plans.len() == 1 { plans.remove(0) } else { Value::Array(plans) };
        print(&(serde_json::to_string_pretty(&whole).context("cannot print the plan")? + "\n"))?;
    }
    Ok(if args.detailed_exitcode && busy { exit::CHANGES } else { 0 })
}
