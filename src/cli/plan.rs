//! `evenkeel plan`: what would be done now, and why.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::changes::{Sides, sides};
use super::client::{Api, Connection, deployment_path, name};
use super::failure::{Failure, exit};
use super::help;
use super::manifests::Manifest;
use super::output::{print, tell};
use super::proposal::{Gone, Proposal, ProposalArgs};
use crate::crd::{API_VERSION, Kind};
use crate::model::Key;

/// Shows what would be done now and why, without doing it.
///
/// For a deployment as it is stored, or for what is not applied yet: files, a repository, another commit or branch of a source.
/// Then it says of each deployment what is added, changed or gone, too. Back-off, health, holds and budgets count, so that it is
/// exactly what the operator does at its next look.
#[derive(Debug, Args)]
#[command(after_help = help::PLAN, override_usage = "evenkeel plan [OPTIONS] <DEPLOYMENT | -f FILE | --git ADDRESS | --source NAME>")]
pub struct PlanArgs {
    /// Name of the deployment
    #[arg(value_parser = name, required_unless_present_any = ["filenames", "git", "source"], conflicts_with_all = ["filenames", "git", "source"])]
    deployment: Option<String>,
    #[command(flatten)]
    proposal: ProposalArgs,
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

/// `evenkeel plan`; the exit code.
pub async fn plan(args: PlanArgs) -> Result<u8, Failure> {
    let api = args.connection.open().await?;
    let mut plans = match &args.deployment {
        Some(name) => {
            let path = |part| deployment_path(args.connection.namespace(), name, part);
            let plan = api.get(&path(Some("plan"))).await?;
            let object = api.get(&path(None)).await?;
            let warnings = object["status"]["source"]["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
            warnings.for_each(|warning| tell(&format!("warning: {warning}")));
            show(&args, &plan)?;
            vec![plan]
        }
        None => proposed(&args, &api).await?,
    };
    let busy = plans.iter().any(is_busy);
    if args.output == Output::Json {
        let whole = if plans.len() == 1 { plans.remove(0) } else { Value::Array(plans) };
        print(&(serde_json::to_string_pretty(&whole).context("cannot print the plan")? + "\n"))?;
    }
    Ok(if args.detailed_exitcode && busy { exit::CHANGES } else { 0 })
}

fn is_busy(plan: &Value) -> bool {
    let some = |list: &str| plan[list].as_array().is_some_and(|items| !items.is_empty());
    some("actions") || some("adoptions") || !matches!(plan["change"].as_str(), None | Some("unchanged"))
}

fn show(args: &PlanArgs, plan: &Value) -> Result<(), Failure> {
    if args.output != Output::Text {
        return Ok(());
    }
    print(&format!("{}\n", plan["text"].as_str().unwrap_or_default().trim_end()))
}

/// The plans of what is proposed, each with what it changes.
async fn proposed(args: &PlanArgs, api: &Api) -> Result<Vec<Value>, Failure> {
    let proposal = args.proposal.read(&args.connection, api).await?;
    if let Some(revision) = proposal.revision.as_ref().filter(|_| args.output == Output::Text) {
        print(&format!("revision {revision}\n"))?;
    }
    let mut plans = vec![];
    // A Source is no container's business.
    for manifest in proposal.manifests.iter().filter(|manifest| manifest.kind == Kind::Deployment) {
        let plan = of_manifest(api, manifest, &proposal).await.map_err(|failure| manifest.locate(failure))?;
        if args.output == Output::Text && plan["change"] != "unchanged" {
            print(&heading(&plan))?;
        }
        show(args, &plan)?;
        plans.push(plan);
    }
    for gone in &proposal.gone {
        let plan = of_gone(api, gone).await?;
        if args.output == Output::Text {
            print(&heading(&plan))?;
        }
        show(args, &plan)?;
        plans.push(plan);
    }
    if args.output == Output::Text && plans.len() > 1 {
        print(&summary(&plans))?;
    }
    Ok(plans)
}

async fn of_manifest(api: &Api, manifest: &Manifest, proposal: &Proposal) -> Result<Value, Failure> {
    let changed: Sides = sides(api, manifest).await?;
    let mut plan = plan_of(api, &changed, proposal).await?;
    let files = plan["files"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let fields: Vec<String> = changed.fields().into_iter().chain(files.map(|path| format!("what is in {path}"))).collect();
    let is_changed = changed.word() == "unchanged" && !fields.is_empty();
    plan["change"] = if is_changed { "changed" } else { changed.word() }.into();
    plan["fields"] = json!(fields);
    plan["source"] = format!("{}:{}", manifest.document.file, manifest.document.line).into();
    Ok(plan)
}

/// The plan of an object as it would be stored, with what would be in its mounted files.
pub(super) async fn plan_of(api: &Api, changed: &Sides, proposal: &Proposal) -> Result<Value, Failure> {
    let mut asked = changed.after.clone();
    if !proposal.files.is_empty() {
        asked["files"] = json!(proposal.files);
    }
    api.post(&format!("/apis/{API_VERSION}/plan"), &asked).await
}

/// The plan of its deletion, where it is pruned; else none: it runs on.
async fn of_gone(api: &Api, gone: &Gone) -> Result<Value, Failure> {
    let Key { namespace, name } = &gone.key;
    let mut plan = match gone.pruned {
        true => api.get(&format!("{}?delete=true", deployment_path(namespace, name, Some("plan")))).await?,
        false => {
            let text = format!("plan for {}\n  runs on, shown as Orphaned: the source does not prune", gone.key);
            json!({"deployment": gone.key.to_string(), "actions": [], "withheld": [], "waiting": [], "text": text})
        }
    };
    plan["change"] = "removed".into();
    plan["pruned"] = gone.pruned.into();
    Ok(plan)
}

/// `~ default/web is changed (web.yaml:1): spec.services.app.image`.
fn heading(plan: &Value) -> String {
    let text = |field: &str| plan[field].as_str().unwrap_or_default();
    let mark = match text("change") {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    };
    let fields: Vec<&str> = plan["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
    let source = if text("source").is_empty() { String::new() } else { format!(" ({})", text("source")) };
    format!("{mark} {} is {}{source}{fields}\n", text("deployment"), text("change"))
}

fn summary(plans: &[Value]) -> String {
    let count = |word: &str| plans.iter().filter(|plan| plan["change"] == word).count();
    let words = ["added", "changed", "removed", "unchanged"].map(|word| format!("{} {word}", count(word)));
    format!("{}\n", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_says_what_changes_and_where_it_stands() {
        let plan = json!({"deployment": "default/web", "change": "changed", "source": "web.yaml:1",
            "fields": ["spec.services.app.image", "spec.volumes"], "actions": []});
        assert_eq!(heading(&plan), "~ default/web is changed (web.yaml:1): spec.services.app.image, spec.volumes\n");
        let gone = json!({"deployment": "default/old", "change": "removed"});
        assert_eq!(heading(&gone), "- default/old is removed\n");
        assert!(is_busy(&plan) && is_busy(&gone) && !is_busy(&json!({"actions": [], "change": "unchanged"})));
        assert_eq!(summary(&[plan, gone]), "0 added, 1 changed, 1 removed, 0 unchanged\n");
    }
}
