//! `evenkeel diff`: files against what is in force, or what is in force against the containers.

use clap::Args;
use serde_json::Value;
use similar::TextDiff;

use super::changes::{declared, sides};
use super::client::{Connection, deployment_path, name};
use super::failure::{Failure, exit};
use super::help;
use super::output::{Look, print};
use super::plan::plan_of;
use super::proposal::ProposalArgs;
use crate::crd::{ContainerStatus, Deployment};

/// Shows how files differ from what is in force, or how the containers of a deployment differ from it.
///
/// With -f, --git or --source: what applying the manifests would change in the stored objects, as a unified diff. The operator
/// admits both sides, so that defaults do not show. With a name: in what the containers that are there differ from what is declared. `plan`
/// says what would be done about either, and why.
///
/// Exit codes: 0 no difference, 1 differences, 2 it failed.
#[derive(Debug, Args)]
#[command(after_help = help::DIFF, override_usage = "evenkeel diff [OPTIONS] <DEPLOYMENT | -f FILE | --git ADDRESS | --source NAME>")]
pub struct DiffArgs {
    /// Name of the deployment
    #[arg(value_parser = name, required_unless_present_any = ["filenames", "git", "source"], conflicts_with_all = ["filenames", "git", "source"])]
    deployment: Option<String>,
    #[command(flatten)]
    proposal: ProposalArgs,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel diff`; the exit code.
pub async fn diff(args: DiffArgs) -> u8 {
    let differs = match &args.deployment {
        Some(name) => drift(&args, name).await,
        None => files(&args).await,
    };
    match differs {
        Ok(false) => 0,
        Ok(true) => exit::DIFFERENCES,
        Err(Failure::ClosedPipe) => exit::DIFFERENCES,
        Err(failure) => {
            failure.report();
            exit::DIFF_FAILED
        }
    }
}

async fn files(args: &DiffArgs) -> Result<bool, Failure> {
    let api = args.connection.open().await?;
    let proposal = args.proposal.read(&args.connection, &api).await?;
    let look = Look::of_stdout();
    let mut differs = false;
    for manifest in &proposal.manifests {
        let found = sides(&api, manifest).await.map_err(|failure| manifest.locate(failure))?;
        let text = unified(&manifest.key.to_string(), &yaml(found.before.as_ref())?, &yaml(Some(&found.after))?);
        differs |= !text.is_empty();
        print(&painted(&look, &text))?;
        if found.before.is_some() && !proposal.files.is_empty() {
            let plan = plan_of(&api, &found, &proposal).await.map_err(|failure| manifest.locate(failure))?;
            let files = plan["files"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let lines: String = files.map(|path| format!("  {}: what is in {path}, which it mounts\n", manifest.key)).collect();
            differs |= !lines.is_empty();
            print(&lines)?;
        }
    }
    for gone in &proposal.gone {
        let stored = api.get(&deployment_path(&gone.key.namespace, &gone.key.name, None)).await?;
        print(&painted(&look, &unified(&gone.key.to_string(), &yaml(Some(&declared(&stored)))?, "")))?;
        if !gone.pruned {
            print(&painted(&look, &format!("  {} runs on, shown as Orphaned: the source does not prune\n", gone.key)))?;
        }
        differs = true;
    }
    Ok(differs)
}

/// An object as text; of none there is none.
fn yaml(object: Option<&Value>) -> Result<String, Failure> {
    let text = object.map(serde_yaml::to_string).transpose();
    let text = text.map_err(|error| Failure::Other(anyhow::Error::new(error).context("cannot show the object")))?;
    Ok(text.unwrap_or_default())
}

fn unified(name: &str, before: &str, after: &str) -> String {
    let side = |text: &str, what: &str| if text.is_empty() { "/dev/null".to_owned() } else { format!("{name} ({what})") };
    let (live, file) = (side(before, "in force"), side(after, "file"));
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).header(&live, &file).to_string()
}

/// In the colours of a diff.
fn painted(look: &Look, text: &str) -> String {
    let line = |line: &str| match line.as_bytes().first() {
        _ if line.starts_with("---") || line.starts_with("+++") => look.heading(line),
        Some(b'+') => look.added(line),
        Some(b'-') => look.removed(line),
        Some(b'@') => look.quiet(line),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// How the plan begins to say that it leaves something of docker compose alone.
const NOT_ADOPTED: &str = ": docker compose made ";

/// What the containers differ in: what the next look would do about it, and what is shown and not fought.
async fn drift(args: &DiffArgs, name: &str) -> Result<bool, Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let object = api.get(&deployment_path(namespace, name, None)).await?;
    let plan = api.get(&deployment_path(namespace, name, Some("plan"))).await?;
    let deployment: Deployment = super::get::typed(vec![object])?.remove(0);
    let lines = drifted(&deployment, &plan);
    print(&painted(&Look::of_stdout(), &lines.iter().map(|line| format!("{line}\n")).collect::<String>()))?;
    Ok(!lines.is_empty())
}

fn drifted(deployment: &Deployment, plan: &Value) -> Vec<String> {
    let services = deployment.status.iter().flat_map(|status| &status.services);
    let containers: Vec<&ContainerStatus> = services.flat_map(|service| &service.containers).collect();
    let mut lines = vec![];
    for container in &containers {
        lines.extend(container.differences().map(|drift| format!("  {}: {drift} (left as it is)", container.name)));
    }
    // What docker compose made and is not what is declared: the plan leaves it alone.
    let waiting = plan["waiting"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.extend(waiting.filter(|line| line.contains(NOT_ADOPTED)).map(|line| format!("  {line}")));
    for list in ["actions", "withheld"] {
        let note = if list == "withheld" { " (withheld by the recovery mode)" } else { "" };
        for action in plan[list].as_array().into_iter().flatten() {
            let [what, cause] = ["action", "cause"].map(|field| action[field].as_str().unwrap_or_default());
            let mark = if what.starts_with("remove") || what.starts_with("stop") { '-' } else { '+' };
            lines.push(format!("{mark} {what}: {cause}{note}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(image: &str) -> Value {
        json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "uid": "x", "resourceVersion": "7"},
            "spec": {"services": {"app": {"image": image, "restart": "always"}}}, "status": {"phase": "Running"}})
    }

    #[test]
    fn only_what_people_declare_is_compared() {
        let text = |image: &str| yaml(Some(&declared(&object(image)))).unwrap();
        let (before, after) = (text("web:1"), text("web:2"));
        insta::assert_snapshot!("diff", unified("default/web", &before, &after));
        assert_eq!(unified("default/web", &before, &before), "");
        assert!(unified("default/web", "", &after).starts_with("--- /dev/null\n+++ default/web (file)\n"));
    }

    #[test]
    fn drift_is_what_would_be_done_and_what_is_left() {
        let mut web = object("web:1");
        web["status"]["services"] =
            json!([{"name": "app", "containers": [{"name": "web-app-1", "drift": ["memory limit is 1 GiB"]}]}]);
        let left = "replica app-3: docker compose made container web-app-3, and it is not what is declared: user is u";
        let plan = json!({"actions": [{"action": "remove container web-app-2", "cause": "it is not declared"}],
            "waiting": ["replica app-1: pulling", left],
            "withheld": [{"action": "start container web-app-1", "cause": "it ended"}]});
        let deployment: Deployment = serde_json::from_value(web).unwrap();
        assert_eq!(
            drifted(&deployment, &plan),
            [
                "  web-app-1: memory limit is 1 GiB (left as it is)",
                &format!("  {left}"),
                "- remove container web-app-2: it is not declared",
                "+ start container web-app-1: it ended (withheld by the recovery mode)",
            ]
        );
    }
}
