//! `evenkeel diff`: files against what is in force, or what is in force against the containers.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use similar::TextDiff;

use super::changes::{Sides, declared, sides};
use super::client::{Connection, deployment_path, name};
use super::failure::{Failure, exit};
use super::help;
use super::output::{Look, print};
use super::proposal::ProposalArgs;
use crate::crd::{ContainerStatus, Deployment, Kind};
use crate::model::Key;

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
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
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

/// What becomes of one object.
struct Item {
    key: Key,
    kind: &'static str,
    /// File and line, where it is declared.
    source: Option<String>,
    sides: Sides,
    /// It is declared no more: whether it is deleted, or runs on.
    pruned: Option<bool>,
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
    let mut items = vec![];
    for manifest in &proposal.manifests {
        let sides = sides(&api, manifest).await.map_err(|failure| manifest.locate(failure))?;
        let source = Some(format!("{}:{}", manifest.document.file, manifest.document.line));
        items.push(Item { key: manifest.key.clone(), kind: manifest.kind.name(), source, sides, pruned: None });
    }
    for gone in &proposal.gone {
        let stored = api.get(&deployment_path(&gone.key.namespace, &gone.key.name, None)).await?;
        let sides = Sides { before: Some(declared(&stored)), after: Value::Null };
        items.push(Item { key: gone.key.clone(), kind: Kind::Deployment.name(), source: None, sides, pruned: Some(gone.pruned) });
    }
    match args.output {
        Output::Json => print_json(&Value::Array(items.iter().map(Item::json).collect()))?,
        Output::Text => {
            let look = Look::of_stdout();
            items.iter().try_for_each(|item| print(&painted(&look, &item.text()?)))?;
        }
    }
    Ok(items.iter().any(|item| item.change() != "unchanged"))
}

impl Item {
    fn change(&self) -> &'static str {
        if self.pruned.is_some() { "removed" } else { self.sides.word() }
    }

    fn json(&self) -> Value {
        let fields = if self.pruned.is_some() { vec![] } else { self.sides.fields() };
        let mut shown = json!({
            "kind": self.kind, "namespace": self.key.namespace, "name": self.key.name, "change": self.change(),
            "source": self.source, "fields": fields, "before": self.sides.before, "after": self.sides.after,
        });
        if let Some(pruned) = self.pruned {
            shown["pruned"] = pruned.into();
        }
        shown
    }

    fn text(&self) -> Result<String, Failure> {
        let after = (!self.sides.after.is_null()).then_some(&self.sides.after);
        let mut text = unified(&self.key.to_string(), &yaml(self.sides.before.as_ref())?, &yaml(after)?);
        if self.pruned == Some(false) {
            text += &format!("  {} runs on, shown as Orphaned: the source does not prune\n", self.key);
        }
        Ok(text)
    }
}

fn print_json(value: &Value) -> Result<(), Failure> {
    print(&(serde_json::to_string_pretty(value).context("cannot print the differences")? + "\n"))
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

/// What the containers differ in: what the next look would do about it, and what is shown and not fought.
async fn drift(args: &DiffArgs, name: &str) -> Result<bool, Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let object = api.get(&deployment_path(namespace, name, None)).await?;
    let plan = api.get(&deployment_path(namespace, name, Some("plan"))).await?;
    let deployment: Deployment = super::get::typed(vec![object])?.remove(0);
    let lines = drifted(&deployment, &plan);
    if args.output == Output::Json {
        let list = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
        let (actions, withheld) = (list("actions"), list("withheld"));
        print_json(&json!({
            "deployment": format!("{namespace}/{name}"), "drift": drifts(&deployment), "actions": actions, "withheld": withheld,
        }))?;
        return Ok(!lines.is_empty());
    }
    print(&painted(&Look::of_stdout(), &lines.iter().map(|line| format!("{line}\n")).collect::<String>()))?;
    Ok(!lines.is_empty())
}

/// What is shown of containers and left as it is.
fn drifts(deployment: &Deployment) -> Vec<Value> {
    let services = deployment.status.iter().flat_map(|status| &status.services);
    let containers = services.flat_map(|service| &service.containers);
    let of = |container: &ContainerStatus| {
        let name = container.name.clone();
        container.drift.clone().into_iter().map(move |text| json!({"container": name, "text": text}))
    };
    containers.flat_map(of).collect()
}

fn drifted(deployment: &Deployment, plan: &Value) -> Vec<String> {
    let text = |drift: &Value, field: &str| drift[field].as_str().unwrap_or_default().to_owned();
    let left = |drift: &Value| format!("  {}: {} (left as it is)", text(drift, "container"), text(drift, "text"));
    let mut lines: Vec<String> = drifts(deployment).iter().map(left).collect();
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
    fn programs_get_both_sides_and_what_becomes_of_them() {
        let item =
            |sides: Sides, pruned| Item { key: Key::new("default", "web"), kind: "Deployment", source: None, sides, pruned };
        let changed = item(Sides { before: Some(object("web:1")), after: object("web:2") }, None).json();
        assert_eq!((&changed["change"], &changed["fields"]), (&json!("changed"), &json!(["spec.services.app.image"])));
        assert_eq!(changed["after"]["spec"]["services"]["app"]["image"], "web:2");
        let gone = item(Sides { before: Some(object("web:1")), after: Value::Null }, Some(false));
        assert!(gone.text().unwrap().ends_with("runs on, shown as Orphaned: the source does not prune\n"));
        let gone = gone.json();
        assert_eq!((&gone["change"], &gone["pruned"], &gone["after"]), (&json!("removed"), &json!(false), &Value::Null));
        let same = item(Sides { before: Some(object("web:1")), after: object("web:1") }, None);
        assert_eq!((same.change(), same.text().unwrap().as_str()), ("unchanged", ""));
    }

    #[test]
    fn drift_is_what_would_be_done_and_what_is_left() {
        let mut web = object("web:1");
        web["status"]["services"] =
            json!([{"name": "app", "containers": [{"name": "web-app-1", "drift": ["memory limit is 1 GiB"]}]}]);
        let plan = json!({"actions": [{"action": "remove container web-app-2", "cause": "it is not declared"}],
            "withheld": [{"action": "start container web-app-1", "cause": "it ended"}]});
        let deployment: Deployment = serde_json::from_value(web).unwrap();
        assert_eq!(
            drifted(&deployment, &plan),
            [
                "  web-app-1: memory limit is 1 GiB (left as it is)",
                "- remove container web-app-2: it is not declared",
                "+ start container web-app-1: it ended (withheld by the recovery mode)",
            ]
        );
    }
}
