//! `evenkeel why`: the chain from a commit over the object and its plan to what was done.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::client::{Connection, deployment_path, name};
use super::failure::Failure;
use super::get::short;
use super::help;
use super::intent::sort_parts;
use super::output::{Look, plain, print};
use super::suggestion::action as suggested;
use crate::crd::{
    DecisionStatus, Deployment, DeploymentStatus, HoldStatus, LastAction, OriginStatus, SuggestionStatus, project_of,
};

/// Says why a deployment is as it is: from the commit over the object and its plan to what was done.
///
/// Which revision and file it comes from, whether the operator has looked at it as it is, what holds it, what is planned and what that
/// waits for, and the last actions with cause, result and trace. For all of it, or for a service or replica.
#[derive(Debug, Args)]
#[command(after_help = help::WHY)]
pub struct WhyArgs {
    /// Name of the deployment
    #[arg(value_parser = name)]
    deployment: String,
    /// Only this service (web) or replica of one (web-2)
    #[arg(value_name = "SERVICE")]
    part: Option<String>,
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

/// The chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    /// Namespace and name.
    deployment: String,
    /// The service or replica it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    /// In a sentence.
    why: String,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<OriginStatus>,
    /// Which version of the object there is, and which one was looked at.
    object: Versions,
    phase: String,
    /// Reason and message of the condition `Ready`.
    ready: String,
    holds: Vec<HoldStatus>,
    plan: Planned,
    /// What recovery would do, and waits for an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<SuggestionStatus>,
    /// What recovery decided, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decisions: Vec<DecisionStatus>,
    /// Newest last.
    last_actions: Vec<LastAction>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    generation: i64,
    observed_generation: i64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    adoptions: Vec<Value>,
    actions: Vec<Value>,
    withheld: Vec<Value>,
    waiting: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<String>,
}

/// `evenkeel why`.
pub async fn why(args: WhyArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let object = api.get(&deployment_path(namespace, &args.deployment, None)).await?;
    // Without an engine there is no plan; the rest is told all the same.
    let plan = match api.get(&deployment_path(namespace, &args.deployment, Some("plan"))).await {
        Ok(plan) => Ok(plan),
        Err(Failure::Refused(status)) if status.code == 503 => Err(status.message),
        Err(failure) => return Err(failure),
    };
    let deployment: Deployment = serde_json::from_value(object).context("the operator's answer is no Deployment")?;
    let filter = Filter::of(&deployment, args.part.as_deref())?;
    let chain = Chain::of(&deployment, &plan, &filter);
    match args.output {
        Output::Json => print(&(serde_json::to_string_pretty(&chain).context("cannot print the chain")? + "\n")),
        Output::Text => print(&chain.text(&Look::of_stdout())),
    }
}

/// What of a deployment is asked for.
struct Filter {
    part: Option<String>,
    service: Option<String>,
    replica: Option<u32>,
    /// Beginnings of names of its containers.
    names: Vec<String>,
}

impl Filter {
    fn of(deployment: &Deployment, part: Option<&str>) -> Result<Self, Failure> {
        let Some(part) = part else { return Ok(Self { part: None, service: None, replica: None, names: vec![] }) };
        let services: Vec<&str> = deployment.spec.services.keys().map(String::as_str).collect();
        let title = deployment.metadata.name.clone().unwrap_or_default();
        let (whole, _) = sort_parts(&title, &[part.to_owned()], &services).map_err(Failure::Usage)?;
        let (service, replica) = match part.rsplit_once('-') {
            Some((service, number)) if whole.is_empty() => (service, number.parse().ok()),
            _ => (part, None),
        };
        let number = replica.map(|number: u32| number.to_string()).unwrap_or_default();
        let mut names = vec![format!("{}-{service}-{number}", project_of(deployment))];
        let known = deployment.status.iter().flat_map(|status| &status.services).filter(|known| known.name == service);
        let containers = known.flat_map(|known| &known.containers);
        names.extend(
            containers.filter(|found| replica.is_none_or(|number| number == found.replica)).map(|found| found.name.clone()),
        );
        Ok(Self { part: Some(part.to_owned()), service: Some(service.to_owned()), replica, names })
    }

    /// Whether a subject (`replica web-1`) is meant, or something that all share.
    fn is_about(&self, subject: &str) -> bool {
        let Some(service) = &self.service else { return true };
        let Some(of) = subject.strip_prefix("replica ") else { return true };
        match self.replica {
            Some(number) => of == format!("{service}-{number}"),
            None => of.rsplit_once('-').is_some_and(|(of, _)| of == service),
        }
    }

    /// Whether an action, in words, is about a container that is meant, or about none.
    fn was_about(&self, action: &str) -> bool {
        let Some(at) = action.find("container ") else { return true };
        let named = action[at + "container ".len()..].split(' ').next().unwrap_or_default();
        let meant = |name: &String| named == name || (name.ends_with('-') && named.starts_with(name.as_str()));
        self.service.is_none() || self.names.iter().any(|name| meant(name) || named.ends_with(&format!("_{name}")))
    }

    fn covers(&self, hold: &HoldStatus) -> bool {
        let same = |one: &Option<String>| one.is_none() || self.service.is_none() || *one == self.service;
        same(&hold.service) && (hold.replica.is_none() || self.replica.is_none() || hold.replica == self.replica)
    }
}

impl Chain {
    fn of(deployment: &Deployment, plan: &Result<Value, String>, filter: &Filter) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let metadata = &deployment.metadata;
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let planned = plan.as_ref().map(|plan| Planned::of(plan, filter)).unwrap_or_default();
        let holds: Vec<HoldStatus> = status.holds.iter().filter(|hold| filter.covers(hold)).cloned().collect();
        let done: Vec<LastAction> =
            status.last_actions.iter().filter(|action| filter.was_about(&action.action)).cloned().collect();
        let object =
            Versions { generation: metadata.generation.unwrap_or_default(), observed_generation: status.observed_generation };
        let about = |replica: &str| filter.is_about(&format!("replica {replica}"));
        let decisions = status.decisions.iter().filter(|decision| about(&decision.replica)).cloned().collect();
        let suggestions = status.suggestions.iter().filter(|suggestion| about(&suggestion.replica)).cloned().collect();
        let why = sentence(&status, &object, plan.as_ref().err(), &planned, &holds, &done);
        Self {
            deployment: format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or("default"),
                metadata.name.as_deref().unwrap_or_default()
            ),
            part: filter.part.clone(),
            why,
            source: status.source.clone(),
            object,
            phase: format!("{:?}", status.phase),
            ready: ready.map(|ready| format!("{}: {}", ready.reason, ready.message)).unwrap_or_default(),
            holds,
            plan: planned,
            suggestions,
            decisions,
            last_actions: done,
        }
    }

    fn text(&self, look: &Look) -> String {
        let of = self.part.as_ref().map(|part| format!(", {part}")).unwrap_or_default();
        let mut lines = vec![format!("{}{of}: {}", look.heading(&self.deployment), plain(&self.why))];
        let mut say = |label: &str, text: String| lines.push(format!("  {label:<8}{}", plain(&text)));
        match &self.source {
            None => say("source", "none: it was applied by hand".to_owned()),
            Some(source) => {
                let revision = source.revision.as_deref().map(|revision| format!("{} of ", short(revision))).unwrap_or_default();
                say("source", format!("{revision}{}, {}", source.name, source.path));
                if let Some(before) = source.revisions.get(1) {
                    say("before", short(before));
                }
                if let Some(error) = &source.error {
                    say("", format!("its newest version was not taken: {error}"));
                }
            }
        }
        let Versions { generation, observed_generation } = self.object;
        say(
            "object",
            format!("generation {generation}, looked at {observed_generation}; {}, {}", self.phase, first_line(&self.ready)),
        );
        for hold in &self.holds {
            let scope = match (&hold.service, hold.replica) {
                (Some(service), Some(number)) => format!("{service}-{number} "),
                (Some(service), None) => format!("{service} "),
                _ => String::new(),
            };
            let since = look.age(hold.since.as_ref().map(|time| time.0));
            say("hold", format!("{scope}{} for {since}: {}", hold.state, hold.reason));
        }
        self.plan.lines().into_iter().for_each(|(label, line)| say(label, line));
        for suggestion in &self.suggestions {
            say("asks", format!("{}: {}, because {}", suggestion.id, suggested(suggestion), suggestion.why));
        }
        for decision in &self.decisions {
            say("decided", decided(look, decision));
        }
        for action in &self.last_actions {
            let age = look.age(action.at.as_ref().map(|time| time.0));
            let trace = action.trace_id.as_ref().map(|trace| format!(", trace {trace}")).unwrap_or_default();
            say("done", format!("{age} ago: {}, because {}: {}{trace}", action.action, action.cause, action.result));
        }
        if self.last_actions.is_empty() {
            say("done", "nothing that is still on record (the last ten actions are)".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

impl Planned {
    fn of(plan: &Value, filter: &Filter) -> Self {
        let about = |list: &str| {
            let items = plan[list].as_array().into_iter().flatten();
            items.filter(|item| filter.is_about(item["subject"].as_str().unwrap_or_default())).cloned().collect()
        };
        let waiting = plan["waiting"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Self {
            adoptions: plan["adoptions"].as_array().cloned().unwrap_or_default(),
            actions: about("actions"),
            withheld: about("withheld"),
            waiting: waiting
                .filter(|line| filter.is_about(line.split(':').next().unwrap_or_default()))
                .map(str::to_owned)
                .collect(),
            wake_at: plan["wakeAt"].as_str().map(str::to_owned),
        }
    }

    fn is_idle(&self) -> bool {
        self.actions.is_empty() && self.withheld.is_empty() && self.adoptions.is_empty()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let mut lines: Vec<(&'static str, String)> = self.adoptions.iter().map(|item| ("plan", text(item, "text"))).collect();
        let action = |item: &Value| format!("{}, because {}", text(item, "action"), text(item, "cause"));
        lines.extend(self.actions.iter().map(|item| ("plan", action(item))));
        lines.extend(self.withheld.iter().map(|item| ("plan", format!("withheld by the recovery mode: {}", action(item)))));
        if self.is_idle() {
            lines.push(("plan", "nothing to do".to_owned()));
        }
        lines.extend(self.waiting.iter().map(|line| ("waits", first_line(line).to_owned())));
        lines
    }
}

/// A decision of recovery: what, why, from what, and what came of it.
fn decided(look: &Look, decision: &DecisionStatus) -> String {
    let DecisionStatus { replica, attempt, rung, rule, cause, failure, result, .. } = decision;
    let age = look.age(decision.at.as_ref().map(|time| time.0));
    let trace = decision.trace_id.as_ref().map(|trace| format!(", trace {trace}")).unwrap_or_default();
    format!("{age} ago: {replica}, attempt {attempt}: {rung} ({rule}) against {cause}, {failure}: {result}{trace}")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// All of it in a sentence: what stands in the way, else what is done next, else what was done last.
fn sentence(
    status: &DeploymentStatus,
    object: &Versions,
    blind: Option<&String>,
    plan: &Planned,
    holds: &[HoldStatus],
    done: &[LastAction],
) -> String {
    if let Some(why) = blind {
        return format!("the engine cannot be seen, so nothing is done: {why}");
    }
    if object.observed_generation < object.generation {
        return format!("generation {} was not looked at yet", object.generation);
    }
    if let Some(first) = plan.actions.first() {
        let text = |field: &str| first[field].as_str().unwrap_or_default();
        return format!("about to {}, because {}", text("action"), text("cause"));
    }
    if let Some(suggestion) = status.suggestions.first() {
        return format!("it suggests {} and waits for `evenkeel approve`: {}", suggested(suggestion), suggestion.why);
    }
    if !plan.withheld.is_empty() {
        return "the recovery mode keeps evenkeel from acting".to_owned();
    }
    if let Some(hold) = holds.first() {
        let end = if hold.state == "Suspended" { "; `evenkeel resume` ends that" } else { "" };
        return format!("a Hold keeps it {}: {}{end}", hold.state.to_lowercase(), hold.reason);
    }
    if let Some(waiting) = plan.waiting.first() {
        return format!("it waits: {}", first_line(waiting));
    }
    let containers = status.services.iter().flat_map(|service| &service.containers);
    if let Some((name, drift)) = containers.filter_map(|found| Some((&found.name, found.differences().next()?))).next() {
        return format!("it runs, and is not all as declared: {name}: {drift} (`evenkeel diff` shows all of it)");
    }
    match done.last() {
        Some(last) => format!("it is as declared; the last that was done: {}, because {}", last.action, last.cause),
        None => format!("it is as declared ({} ready), and nothing was to be done", status.ready),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain_look() -> Look {
        Look { color: false, width: None, now: "2026-08-21T10:00:00Z".parse().unwrap() }
    }

    fn deployment() -> Deployment {
        let last =
            |action: &str| json!({"action": action, "cause": "it was just made", "result": "ok", "traceId": "ab".repeat(16)});
        serde_json::from_value(json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "generation": 3},
            "spec": {"services": {"app": {"image": "a"}, "app-2": {"image": "a"}, "db": {"image": "b"}}},
            "status": {
                "observedGeneration": 3, "phase": "Running", "ready": "2/2",
                "conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": "2 of 2 replicas ready",
                    "lastTransitionTime": "2026-08-21T10:00:00Z"}],
                "source": {"name": "default/git", "path": "web.yaml:1", "revision": format!("main@sha1:{}", "a1".repeat(20)),
                    "revisions": [format!("main@sha1:{}", "a1".repeat(20)), format!("main@sha1:{}", "b2".repeat(20))]},
                "lastActions": [last("create network web_default"), last("start container web-app-1"), last("start container web-db-1")],
            },
        }))
        .unwrap()
    }

    fn chain(plan: &Value, part: Option<&str>) -> Chain {
        let deployment = deployment();
        Chain::of(&deployment, &Ok(plan.clone()), &Filter::of(&deployment, part).unwrap())
    }

    #[test]
    fn the_chain_goes_from_the_commit_to_the_trace() {
        let idle = json!({"actions": [], "withheld": [], "waiting": []});
        insta::assert_snapshot!("why", chain(&idle, None).text(&plain_look()));
    }

    #[test]
    fn a_part_sees_its_own_and_what_all_share() {
        let plan = json!({"actions": [
                {"action": "start container web-db-1", "subject": "replica db-1", "cause": "it ended"},
                {"action": "create network web_default", "subject": "network web_default", "cause": "it is declared and not there"},
            ],
            "waiting": ["replica app-1: stopped (ExternalStop)", "replica db-1: being stopped"]});
        let app = chain(&plan, Some("app"));
        let actions: Vec<&str> = app.plan.actions.iter().filter_map(|action| action["action"].as_str()).collect();
        assert_eq!(actions, ["create network web_default"]);
        assert_eq!(app.plan.waiting, ["replica app-1: stopped (ExternalStop)"]);
        let done: Vec<&str> = app.last_actions.iter().map(|action| action.action.as_str()).collect();
        assert_eq!(done, ["create network web_default", "start container web-app-1"]);
        assert_eq!(chain(&plan, Some("db-1")).plan.waiting, ["replica db-1: being stopped"]);
        assert!(Filter::of(&deployment(), Some("cache")).is_err());
    }

    #[test]
    fn when_nothing_was_done_it_is_said_why() {
        let why = |plan: Value| chain(&plan, Some("app")).why;
        assert_eq!(
            why(json!({"actions": [], "waiting": ["replica app-1: its health check fails"]})),
            "it waits: replica app-1: its health check fails"
        );
        assert_eq!(
            why(json!({"actions": [], "withheld": [{"subject": "replica app-1"}]})),
            "the recovery mode keeps evenkeel from acting"
        );
        let mut drifted = deployment();
        let made = "made by docker compose: looked after as it is, replaced when the manifest changes";
        let service = json!({"name": "app", "containers": [{"name": "web-app-1", "drift": [made]}]});
        let idle = Ok(json!({"actions": [], "waiting": []}));
        drifted.status.as_mut().unwrap().services = vec![serde_json::from_value(service).unwrap()];
        let why = |deployment: &Deployment| Chain::of(deployment, &idle, &Filter::of(deployment, None).unwrap()).why;
        assert!(why(&drifted).starts_with("it is as declared"), "where it came from is no difference");
        drifted.status.as_mut().unwrap().services[0].containers[0].drift.push("image is web:1, declared is web:2".into());
        assert!(why(&drifted).starts_with("it runs, and is not all as declared: web-app-1: image is web:1, declared is web:2"));
        let deployment = deployment();
        let blind = Chain::of(&deployment, &Err("no answer".into()), &Filter::of(&deployment, None).unwrap());
        assert_eq!(blind.why, "the engine cannot be seen, so nothing is done: no answer");
    }
}
