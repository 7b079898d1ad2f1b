//! `stop`, `start`, `suspend`, `resume`, `restart`, `retry`, `release`: what people lay on top of a manifest.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Api, Connection, deployment_path, list_path, name};
use super::failure::Failure;
use super::help;
use super::output::print;
use super::wait::{self, Seen};
use crate::clock::{Clock, SystemClock};
use crate::crd::{self, Deployment};
use crate::model::ReplicaId;

/// Which part of which deployment.
#[derive(Debug, Args)]
pub struct Target {
    /// Name of the deployment
    #[arg(value_parser = name)]
    pub(super) deployment: String,

    /// Only these services (web) or single replicas of them (web-2). Default: the whole deployment
    #[arg(value_name = "SERVICE")]
    pub(super) parts: Vec<String>,

    #[command(flatten)]
    pub(super) connection: Connection,
}

/// Stops a deployment, a service or a replica, and keeps it stopped.
///
/// Lays a Hold that survives everything but `start`: a changed manifest, a crash, a restart of evenkeel, of Docker or of
/// the host. When the command returns the Hold is on disk, and nothing covered by it is started any more; containers
/// that run get their grace period.
#[derive(Debug, Args)]
#[command(after_help = help::STOP)]
pub struct StopArgs {
    #[command(flatten)]
    target: Target,
    /// Why, for whoever asks later
    #[arg(long)]
    reason: Option<String>,
}

/// Lifts what was stopped or suspended, and starts it.
///
/// Starting a deployment lifts all its Holds, also those that evenkeel understood from a `docker stop`; starting a
/// service lifts those of the service. What waits in back-off or was given up is started at once. A manifest that says `state: Stopped` wins: then the file and line that say so are named.
#[derive(Debug, Args)]
#[command(after_help = help::START)]
pub struct StartArgs {
    #[command(flatten)]
    target: Target,
}

/// Takes hands off: nothing is started, stopped or changed until `resume`.
///
/// For a backup or a repair by hand. What runs goes on running, and a `docker stop` meanwhile is not read as a wish.
#[derive(Debug, Args)]
#[command(after_help = help::SUSPEND)]
pub struct SuspendArgs {
    #[command(flatten)]
    target: Target,
    /// When to resume without being told: a duration (2h, 30m) or a time (2026-09-01T06:00:00Z)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why, for whoever asks later
    #[arg(long)]
    reason: Option<String>,
}

/// Ends a suspension: what was declared meanwhile is put in force at once.
#[derive(Debug, Args)]
#[command(after_help = help::RESUME)]
pub struct ResumeArgs {
    #[command(flatten)]
    target: Target,
}

/// Restarts containers gracefully, one replica of a service at a time.
///
/// The wish is stored with the deployment, and fulfilled when all containers started later than it.
#[derive(Debug, Args)]
#[command(after_help = help::RESTART)]
pub struct RestartArgs {
    #[command(flatten)]
    target: Target,
}

/// Makes containers anew, one replica of a service at a time.
///
/// As after a changed manifest: the successor is made first, then takes the place of the old one with its volumes. The
/// wish is stored with the deployment, and fulfilled when all containers were made later than it.
#[derive(Debug, Args)]
#[command(after_help = help::RECREATE)]
pub struct RecreateArgs {
    #[command(flatten)]
    target: Target,
}

/// Starts over after failures: back-off ends, attempts are counted from 1 again.
#[derive(Debug, Args)]
#[command(after_help = help::RETRY)]
pub struct RetryArgs {
    #[command(flatten)]
    target: Target,
}

/// Hands containers back to Docker, to be kept up by it alone.
///
/// They get the restart policies that their manifest declares. Returns when Docker has them. What runs goes on running, without evenkeel, whatever the operator's mode; `evenkeel resume` takes them back.
/// Do this before evenkeel is removed from a host.
#[derive(Debug, Args)]
#[command(after_help = help::RELEASE)]
pub struct ReleaseArgs {
    /// Name of the deployment
    #[arg(value_parser = name, required_unless_present = "all")]
    deployment: Option<String>,
    /// All deployments, of all namespaces
    #[arg(long, conflicts_with = "deployment")]
    all: bool,
    /// How long to wait until Docker has them
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    timeout: crd::Duration,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel stop`.
pub async fn stop(args: StopArgs) -> Result<(), Failure> {
    let answer = args.target.post("stop", json!({ "reason": args.reason })).await?;
    args.target.tell_wish("stopped", &answer).await
}

/// `evenkeel start`.
pub async fn start(args: StartArgs) -> Result<(), Failure> {
    let answer = args.target.post("start", json!({})).await?;
    args.target.tell_lifted("started", &answer, "nothing was held; what had failed is started").await
}

/// `evenkeel suspend`.
pub async fn suspend(args: SuspendArgs) -> Result<(), Failure> {
    let until = args.until.as_deref().map(|text| until(text, SystemClock.now())).transpose().map_err(Failure::Usage)?;
    let answer = args.target.post("suspend", json!({ "reason": args.reason, "until": until })).await?;
    args.target.tell("suspended", &answer)
}

/// `evenkeel resume`.
pub async fn resume(args: ResumeArgs) -> Result<(), Failure> {
    let answer = args.target.post("resume", json!({})).await?;
    args.target.tell_lifted("resumed", &answer, "nothing was held").await
}

/// `evenkeel restart`.
pub async fn restart(args: RestartArgs) -> Result<(), Failure> {
    let answer = args.target.post("restart", json!({})).await?;
    args.target.tell_wish("restarting", &answer).await
}

/// `evenkeel recreate`.
pub async fn recreate(args: RecreateArgs) -> Result<(), Failure> {
    let answer = args.target.post("recreate", json!({})).await?;
    args.target.tell_wish("being made anew", &answer).await
}

/// `evenkeel retry`.
pub async fn retry(args: RetryArgs) -> Result<(), Failure> {
    let answer = args.target.post("retry", json!({})).await?;
    if args.target.bound().await.is_some() {
        return args.target.tell_wish("starting over", &answer).await;
    }
    let holds = args.target.held().await?;
    print(&args.target.started_over(&holds))
}

/// `evenkeel release`.
pub async fn release(args: ReleaseArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let released = match args.deployment {
        Some(name) => vec![(args.connection.namespace().to_owned(), name)],
        None => all_names(&api).await?,
    };
    for (namespace, name) in &released {
        api.post(&deployment_path(namespace, name, Some("release")), &json!({})).await?;
    }
    for (namespace, name) in &released {
        let what = format!("deployment {name} is released");
        wait::until(&api, namespace, name, args.timeout.0, &what, |seen| match seen {
            Seen::Gone => true,
            Seen::There(deployment) => is_released(deployment),
        })
        .await?;
        print(&format!(
            "deployment {name} is released: its containers run on under Docker's own restart policies; `evenkeel resume {name}` takes them back\n"
        ))?;
    }
    Ok(())
}

/// Whether the controller has looked at the deployment with the Hold in place, and left nothing to do.
fn is_released(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let seen = status.holds.iter().any(|hold| hold.reason == "Released");
    seen && !status.conditions.iter().any(|condition| condition.type_ == "Reconciling" && condition.status == "True")
}

async fn all_names(api: &Api) -> Result<Vec<(String, String)>, Failure> {
    let list = api.get(&list_path("deployments", None)).await?;
    let name = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
    Ok(list["items"].as_array().into_iter().flatten().map(|item| (name(item, "namespace"), name(item, "name"))).collect())
}

impl Target {
    /// Sends the command, with the parts sorted into services and replicas as the deployment knows them.
    pub(super) async fn post(&self, verb: &str, mut body: Value) -> Result<Value, Failure> {
        let api = self.connection.open().await?;
        let namespace = self.connection.namespace();
        if !self.parts.is_empty() {
            let object = api.get(&deployment_path(namespace, &self.deployment, None)).await?;
            let object: Deployment = serde_json::from_value(object).context("the operator's answer is no Deployment")?;
            let services: Vec<&str> = object.spec.services.keys().map(String::as_str).collect();
            let (services, replicas) = sort_parts(&self.deployment, &self.parts, &services).map_err(Failure::Usage)?;
            body["services"] = json!(services);
            body["replicas"] = json!(replicas);
        }
        api.post(&deployment_path(namespace, &self.deployment, Some(verb)), &body).await
    }

    /// The operator's `--mode`, where it keeps from being done what was just recorded.
    async fn bound(&self) -> Option<String> {
        let path = deployment_path(self.connection.namespace(), &self.deployment, Some("plan"));
        // The command has been taken: that its plan cannot be had, as without an engine, is no failure of it.
        let plan = self.connection.open().await.ok()?.get(&path).await.ok()?;
        plan["bound"].as_str().map(str::to_owned)
    }

    /// What was acted on, for people.
    pub(super) fn subject(&self) -> String {
        if self.parts.is_empty() {
            format!("deployment {}", self.deployment)
        } else {
            format!("{} of deployment {}", self.parts.join(", "), self.deployment)
        }
    }

    /// Says that what was wished is done, or that it is only recorded.
    async fn tell_wish(&self, what: &str, answer: &Value) -> Result<(), Failure> {
        match self.bound().await {
            Some(bound) => print(&recorded(&self.subject(), what, &bound)),
            None => self.tell(what, answer),
        }
    }

    fn tell(&self, what: &str, answer: &Value) -> Result<(), Failure> {
        let until = holds(answer).find_map(|hold| hold["spec"]["until"].as_str().map(|until| format!(" until {until}")));
        print(&format!("{} {what}{}\n", self.subject(), until.unwrap_or_default()))
    }

    /// The Holds on it, and on parts of it.
    async fn held(&self) -> Result<Vec<Value>, Failure> {
        let mut list = self.connection.open().await?.get(&list_path("holds", Some(self.connection.namespace()))).await?;
        let Value::Array(mut holds) = list["items"].take() else { return Ok(vec![]) };
        holds.retain(|hold| {
            let is_of = |service: &str| self.parts.is_empty() || self.parts.iter().any(|part| part == service);
            hold["spec"]["deployment"] == *self.deployment && hold["spec"]["service"].as_str().is_none_or(is_of)
        });
        Ok(holds)
    }

    /// What a retry does: nothing about what is held.
    fn started_over(&self, holds: &[Value]) -> String {
        if holds.is_empty() {
            return format!("{} starting over\n", self.subject());
        }
        let held: Vec<String> = holds.iter().map(describe_hold).collect();
        let target: Vec<&str> = std::iter::once(&self.deployment).chain(&self.parts).map(String::as_str).collect();
        let (held, target) = (held.join("; "), target.join(" "));
        format!("{} starting over, but for what is held: {held}; `evenkeel start {target}` lifts that\n", self.subject())
    }

    async fn tell_lifted(&self, what: &str, answer: &Value, nothing: &str) -> Result<(), Failure> {
        if let Some(bound) = self.bound().await {
            return print(&recorded(&self.subject(), what, &bound));
        }
        let lifted: Vec<String> = holds(answer).map(describe_hold).collect();
        if lifted.is_empty() {
            return print(&format!("{}: {nothing}\n", self.subject()));
        }
        print(&format!("{} {what}, lifted: {}\n", self.subject(), lifted.join("; ")))
    }
}

/// What is said of a command that the operator may not carry out.
fn recorded(subject: &str, what: &str, bound: &str) -> String {
    format!(
        "{subject} is recorded as {what}, and nothing is done: the operator runs with --mode {bound}. It is carried out once that is \
         Auto\n"
    )
}

/// The Holds of an answer, whether it is one, a list, or a list object.
fn holds(answer: &Value) -> impl Iterator<Item = &Value> {
    let list = answer.as_array().or_else(|| answer["items"].as_array());
    list.map_or(std::slice::from_ref(answer), Vec::as_slice).iter().filter(|object| object["kind"] == "Hold")
}

fn describe_hold(hold: &Value) -> String {
    let spec = &hold["spec"];
    let scope = match (spec["service"].as_str(), spec["replica"].as_u64()) {
        (Some(service), Some(replica)) => format!("{service}-{replica} "),
        (Some(service), None) => format!("{service} "),
        _ => String::new(),
    };
    let reason = spec["reason"].as_str().filter(|reason| !reason.is_empty()).map(|reason| format!(" ({reason})"));
    format!("{scope}{}{}", spec["state"].as_str().unwrap_or_default(), reason.unwrap_or_default())
}

/// Which of the parts are services and which replicas. A service's name wins.
pub fn sort_parts(deployment: &str, parts: &[String], services: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut whole, mut replicas) = (vec![], vec![]);
    for part in parts {
        let replica = part.parse::<ReplicaId>().ok().filter(|id| id.number > 0 && services.contains(&id.service.as_str()));
        if services.contains(&part.as_str()) {
            whole.push(part.clone());
        } else if replica.is_some() {
            replicas.push(part.clone());
        } else {
            return Err(format!("deployment {deployment} has no service {part:?}; it has: {}", services.join(", ")));
        }
    }
    Ok((whole, replicas))
}

/// A time to come, from itself or from a duration.
pub(super) fn until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let time = match (text.parse::<Timestamp>(), text.parse::<crd::Duration>()) {
        (Ok(time), _) => Ok(time),
        (_, Ok(duration)) => now
            .saturating_add(duration.0)
            .and_then(|time| time.round(jiff::Unit::Second))
            .map_err(|error| format!("--until {text}: {error}")),
        _ => Err(format!("--until {text:?} is neither a duration (2h, 30m) nor a time (2026-09-01T06:00:00Z)")),
    }?;
    if time > now { Ok(time) } else { Err(format!("--until {text} has passed already: it is {now} now")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_service_or_a_replica_of_one_and_a_services_name_wins() {
        let parts = ["web", "db-1", "web-2"].map(str::to_owned);
        let (services, replicas) = sort_parts("shop", &parts, &["db", "web", "web-2"]).unwrap();
        assert_eq!(services, ["web", "web-2"]);
        assert_eq!(replicas, ["db-1"]);

        let error = sort_parts("shop", &["wbe".to_owned()], &["db", "web"]).unwrap_err();
        assert_eq!(error, "deployment shop has no service \"wbe\"; it has: db, web");
        assert!(sort_parts("shop", &["web-0".to_owned()], &["web"]).is_err());
    }

    #[test]
    fn what_the_operators_mode_keeps_from_being_done_is_not_said_to_be_done() {
        assert_eq!(
            recorded("deployment web", "stopped", "Suggest"),
            "deployment web is recorded as stopped, and nothing is done: the operator runs with --mode Suggest. It is carried out once \
             that is Auto\n"
        );
    }

    #[test]
    fn a_retry_says_what_is_held() {
        let target = Target { deployment: "shop".into(), parts: vec!["web".into()], connection: Connection::default() };
        assert_eq!(target.started_over(&[]), "web of deployment shop starting over\n");
        let hold = json!({"spec": {"service": "web", "replica": 1, "state": "Stopped", "reason": "ExternalStop"}});
        assert_eq!(
            target.started_over(&[hold]),
            "web of deployment shop starting over, but for what is held: web-1 Stopped (ExternalStop); `evenkeel start shop web` lifts that\n"
        );
    }

    #[test]
    fn until_takes_a_duration_or_a_time_to_come() {
        let now: Timestamp = "2026-08-21T10:00:00Z".parse().unwrap();
        let uneven = "2026-08-21T10:00:00.123456Z".parse().unwrap();
        assert_eq!(until("2h", uneven).unwrap().to_string(), "2026-08-21T12:00:00Z");
        assert_eq!(until("2h", now).unwrap().to_string(), "2026-08-21T12:00:00Z");
        assert_eq!(until("2026-09-01T06:00:00+02:00", now).unwrap().to_string(), "2026-09-01T04:00:00Z");
        assert!(until("2020-01-01T00:00:00Z", now).unwrap_err().contains("has passed"));
        assert!(until("tomorrow", now).unwrap_err().contains("2h, 30m"));
    }

    #[test]
    fn the_holds_of_an_answer_are_found_in_any_of_its_shapes() {
        let hold =
            json!({"kind": "Hold", "spec": {"service": "web", "replica": 1, "state": "Stopped", "reason": "ExternalStop"}});
        for answer in [hold.clone(), json!([hold]), json!({"kind": "HoldList", "items": [hold]})] {
            assert_eq!(holds(&answer).map(describe_hold).collect::<Vec<_>>(), ["web-1 Stopped (ExternalStop)"]);
        }
        assert_eq!(holds(&json!([])).count(), 0);
    }
}
