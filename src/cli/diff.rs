//! `evenkeel diff`: files against what is in force, or what is in force against the containers.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use similar::TextDiff;

use super::changes::{Sides, declared, sides};
use super::client::{Api, Connection, deployment_path, name};
use super::failure::{Failure, exit};
use super::help;
use super::manifests::Manifest;
use super::output::{Look, print, tell};
use super::plan::plan_of;
use super::proposal::{Proposal, ProposalArgs};
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
    /// Mounted files whose content would be another one, by path.
    files: Vec<String>,
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
    let (mut items, mut unseen) = (vec![], None);
    for manifest in &proposal.manifests {
        let item = of_manifest(&api, manifest, &proposal, &mut unseen).await;
        items.push(item.map_err(|failure| manifest.locate(failure))?);
    }
    for gone in &proposal.gone {
        let stored = api.get(&deployment_path(&gone.key.namespace, &gone.key.name, None)).await?;
        let sides = Sides { before: Some(declared(&stored)), after: Value::Null };
        items.push(Item {
            key: gone.key.clone(),
            kind: Kind::Deployment.name(),
            source: None,
            sides,
            files: vec![],
            pruned: Some(gone.pruned),
        });
    }
    if let Some(why) = unseen {
        tell(&format!("warning: what is in mounted files is left out: {why}"));
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

/// What becomes of a manifest's object, and of what it mounts out of the repository. That only the operator can say, and only while
/// it sees the engine: why not is `unseen`.
async fn of_manifest(api: &Api, manifest: &Manifest, proposal: &Proposal, unseen: &mut Option<String>) -> Result<Item, Failure> {
    let sides = sides(api, manifest).await?;
    let mut files = vec![];
    if sides.before.is_some() && manifest.kind == Kind::Deployment && !proposal.files.is_empty() {
        match plan_of(api, &sides, proposal).await {
            Ok(plan) => files = texts(&plan, "files"),
            Err(Failure::Refused(status)) if status.code == 503 => *unseen = Some(status.message),
            Err(failure) => return Err(failure),
        }
    }
    let source = Some(format!("{}:{}", manifest.document.file, manifest.document.line));
    Ok(Item { key: manifest.key.clone(), kind: manifest.kind.name(), source, sides, files, pruned: None })
}

fn texts(plan: &Value, list: &str) -> Vec<String> {
    plan[list].as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

impl Item {
    fn change(&self) -> &'static str {
        match self.sides.word() {
            _ if self.pruned.is_some() => "removed",
            "unchanged" if !self.files.is_empty() => "changed",
            word => word,
        }
    }

    fn json(&self) -> Value {
        let fields = if self.pruned.is_some() { vec![] } else { self.sides.fields() };
        let mut shown = json!({
            "kind": self.kind, "namespace": self.key.namespace, "name": self.key.name, "change": self.change(),
            "source": self.source, "fields": fields, "before": self.sides.before, "after": self.sides.after,
            "files": self.files,
        });
        if let Some(pruned) = self.pruned {
            shown["pruned"] = pruned.into();
        }
        shown
    }

    fn text(&self) -> Result<String, Failure> {
        let after = (!self.sides.after.is_null()).then_some(&self.sides.after);
        let mut text = unified(&self.key.to_string(), &yaml(self.sides.before.as_ref())?, &yaml(after)?);
        for path in &self.files {
            text += &format!("  {}: what is in {path}, which it mounts\n", self.key);
        }
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

/// What the plan says only of what it leaves alone since docker compose made it otherwise.
const NOT_ADOPTED: &str = "; `evenkeel adopt ";

/// What the containers differ in: what the next look would do about it, and what is shown and not fought.
async fn drift(args: &DiffArgs, name: &str) -> Result<bool, Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let object = api.get(&deployment_path(namespace, name, None)).await?;
    let plan = api.get(&deployment_path(namespace, name, Some("plan"))).await?;
    let deployment: Deployment = super::get::typed(vec![object])?.remove(0);
    let drift = Drift::of(&deployment, &plan);
    match args.output {
        Output::Json => print_json(&drift.json(&format!("{namespace}/{name}")))?,
        Output::Text => {
            let text: String = drift.lines().iter().map(|line| format!("{line}\n")).collect();
            print(&painted(&Look::of_stdout(), &text))?;
        }
    }
    Ok(drift.is_any())
}

/// In what the containers of a deployment differ from it.
struct Drift {
    /// What is shown and left as it is: `container` or `subject`, and `text`.
    left: Vec<Value>,
    /// What would be done.
    actions: Vec<Value>,
    /// What the recovery mode keeps from being done.
    withheld: Vec<Value>,
}

impl Drift {
    fn of(deployment: &Deployment, plan: &Value) -> Self {
        let services = deployment.status.iter().flat_map(|status| &status.services);
        let of = |container: &ContainerStatus| -> Vec<Value> {
            container.differences().map(|text| json!({"container": container.name, "text": text})).collect()
        };
        let shown = services.flat_map(|service| &service.containers).flat_map(of);
        // What docker compose made and is not what is declared: the plan leaves it alone.
        let waiting = texts(plan, "waiting").into_iter().filter(|line| line.contains(NOT_ADOPTED));
        let waiting = waiting.filter_map(|line| line.split_once(": ").map(|(who, text)| json!({"subject": who, "text": text})));
        let list = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
        Self { left: shown.chain(waiting).collect(), actions: list("actions"), withheld: list("withheld") }
    }

    fn is_any(&self) -> bool {
        [&self.left, &self.actions, &self.withheld].iter().any(|list| !list.is_empty())
    }

    fn json(&self, deployment: &str) -> Value {
        json!({"deployment": deployment, "drift": self.left, "actions": self.actions, "withheld": self.withheld})
    }

    fn lines(&self) -> Vec<String> {
        let field = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let left = |drift: &Value| match drift["container"].as_str() {
            Some(container) => format!("  {container}: {} (left as it is)", field(drift, "text")),
            None => format!("  {}: {}", field(drift, "subject"), field(drift, "text")),
        };
        let action = |action: &Value, note: &str| {
            let what = field(action, "action");
            let mark = if what.starts_with("remove") || what.starts_with("stop") { '-' } else { '+' };
            format!("{mark} {what}: {}{note}", field(action, "cause"))
        };
        let done = self.actions.iter().map(|value| action(value, ""));
        let withheld = self.withheld.iter().map(|value| action(value, " (withheld by the recovery mode)"));
        self.left.iter().map(left).chain(done).chain(withheld).collect()
    }
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
        let item = |sides: Sides, pruned| Item {
            key: Key::new("default", "web"),
            kind: "Deployment",
            source: None,
            sides,
            files: vec![],
            pruned,
        };
        let changed = item(Sides { before: Some(object("web:1")), after: object("web:2") }, None).json();
        assert_eq!((&changed["change"], &changed["fields"]), (&json!("changed"), &json!(["spec.services.app.image"])));
        assert_eq!(changed["after"]["spec"]["services"]["app"]["image"], "web:2");
        let gone = item(Sides { before: Some(object("web:1")), after: Value::Null }, Some(false));
        assert!(gone.text().unwrap().ends_with("runs on, shown as Orphaned: the source does not prune\n"));
        let gone = gone.json();
        assert_eq!((&gone["change"], &gone["pruned"], &gone["after"]), (&json!("removed"), &json!(false), &Value::Null));
        let mut same = item(Sides { before: Some(object("web:1")), after: object("web:1") }, None);
        assert_eq!((same.change(), same.text().unwrap().as_str()), ("unchanged", ""));
        same.files = vec!["/srv/app.conf".to_owned()];
        assert_eq!((same.change(), &same.json()["files"]), ("changed", &json!(["/srv/app.conf"])));
        assert_eq!(same.text().unwrap(), "  default/web: what is in /srv/app.conf, which it mounts\n");
    }

    #[test]
    fn drift_is_what_would_be_done_and_what_is_left() {
        let mut web = object("web:1");
        web["status"]["services"] =
            json!([{"name": "app", "containers": [{"name": "web-app-1", "drift": ["memory limit is 1 GiB"]}]}]);
        let left = "replica app-3: docker compose made container web-app-3, and it is not what is declared: user is u; `evenkeel adopt web` takes it over as it is";
        let plan = json!({"actions": [{"action": "remove container web-app-2", "cause": "it is not declared"}],
            "waiting": ["replica app-1: pulling", left],
            "withheld": [{"action": "start container web-app-1", "cause": "it ended"}]});
        let deployment: Deployment = serde_json::from_value(web).unwrap();
        let drift = Drift::of(&deployment, &plan);
        assert_eq!(
            drift.lines(),
            [
                "  web-app-1: memory limit is 1 GiB (left as it is)",
                &format!("  {left}"),
                "- remove container web-app-2: it is not declared",
                "+ start container web-app-1: it ended (withheld by the recovery mode)",
            ]
        );
        let json = drift.json("default/web");
        let counts = ["drift", "actions", "withheld"].map(|list| json[list].as_array().map(Vec::len));
        assert_eq!(counts, [Some(2), Some(1), Some(1)], "a program is told as much as people are");
    }

    #[test]
    fn people_and_programs_are_told_of_a_difference_by_the_same_exit_code() {
        let deployment: Deployment = serde_json::from_value(object("web:1")).unwrap();
        let made = "network web_default: docker compose made network web_default, and its definition is another one; \
                    `evenkeel adopt web` takes it over as it is";
        let comparing = "replica app-1: docker compose made container web-app-1; it is being held against what is declared";
        for (plan, differs) in [
            (json!({"waiting": [comparing]}), false),
            (json!({"waiting": ["replica app-1: pulling"]}), false),
            (json!({"waiting": [made]}), true),
            (json!({"actions": [{"action": "start container web-app-1", "cause": "it ended"}]}), true),
        ] {
            let drift = Drift::of(&deployment, &plan);
            let json = drift.json("default/web");
            let told =
                ["drift", "actions", "withheld"].iter().any(|list| json[*list].as_array().is_some_and(|all| !all.is_empty()));
            assert_eq!((drift.is_any(), !drift.lines().is_empty(), told), (differs, differs, differs), "{plan}");
        }
    }
}
