//! `evenkeel wait`, and waiting as other commands need it.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::time::Instant;

use super::client::{Api, Connection, deployment_path, name};
use super::failure::Failure;
use super::help;
use super::output::print;
use crate::crd::{self, Deployment, DeploymentStatus, Phase};

/// How often is looked. The answer comes out of the operator's memory.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits until a deployment is as it is asked to be.
#[derive(Debug, Args)]
#[command(after_help = help::WAIT)]
pub struct WaitArgs {
    /// Name of the deployment
    #[arg(value_parser = name)]
    deployment: String,
    /// What to wait for: condition=Ready, condition=Healthy=False, phase=Stopped, delete
    #[arg(long = "for", value_name = "WHAT", value_parser = goal)]
    goal: Goal,
    /// How long to wait; exit code 3 when it was in vain
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: crd::Duration,
    #[command(flatten)]
    connection: Connection,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// A condition has a status.
    Condition(String, String),
    /// The phase is this word.
    Phase(String),
    /// The deployment is gone.
    Delete,
}

/// What was seen of a deployment.
#[derive(Debug)]
pub enum Seen {
    /// It is not there.
    Gone,
    /// It is there.
    There(Box<Deployment>),
}

/// `evenkeel wait`.
pub async fn wait(args: WaitArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    if args.goal != Goal::Delete {
        // Waiting for something to become Ready that nobody declared is a slip.
        api.get(&deployment_path(namespace, &args.deployment, None)).await?;
    }
    let what = format!("deployment {} has {}", args.deployment, args.goal);
    until(&api, namespace, &args.deployment, args.timeout.0, &what, |seen| args.goal.reached(seen)).await?;
    print(&format!("{}\n", if args.goal == Goal::Delete { format!("deployment {} is gone", args.deployment) } else { what }))
}

/// Looks until `reached` says so.
///
/// # Errors
/// [`Failure::TimedOut`] with what was seen last.
pub async fn until(
    api: &Api,
    namespace: &str,
    name: &str,
    timeout: Duration,
    what: &str,
    reached: impl Fn(&Seen) -> bool,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    loop {
        let seen = match api.get(&deployment_path(namespace, name, None)).await {
            Ok(object) => Seen::There(serde_json::from_value(object).context("the operator's answer is no Deployment")?),
            Err(failure) if failure.is_not_found() => Seen::Gone,
            Err(failure) => return Err(failure),
        };
        if reached(&seen) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let timeout = crd::Duration(timeout);
            return Err(Failure::TimedOut(format!("waited {timeout} in vain until {what}: {}", seen.in_words())));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Goal {
    fn reached(&self, seen: &Seen) -> bool {
        let deployment = match (self, seen) {
            (Self::Delete, seen) => return matches!(seen, Seen::Gone),
            (_, Seen::Gone) => return false,
            (_, Seen::There(deployment)) => deployment,
        };
        let Some(status) = up_to_date(deployment) else { return false };
        match self {
            Self::Condition(kind, wanted) => {
                status.conditions.iter().any(|condition| condition.type_ == *kind && condition.status == *wanted)
            }
            Self::Phase(wanted) => format!("{:?}", status.phase).eq_ignore_ascii_case(wanted),
            Self::Delete => false,
        }
    }
}

/// The status, if it speaks of what is declared now.
fn up_to_date(deployment: &Deployment) -> Option<&DeploymentStatus> {
    let status = deployment.status.as_ref()?;
    (Some(status.observed_generation) >= deployment.metadata.generation).then_some(status)
}

impl Seen {
    fn in_words(&self) -> String {
        let Self::There(deployment) = self else { return "it is gone".to_owned() };
        let Some(status) = &deployment.status else { return "nothing is known of it yet".to_owned() };
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let why = ready.map(|ready| format!(", {}: {}", ready.reason, ready.message)).unwrap_or_default();
        format!("it is {:?}, {} ready{why}", status.phase, status.ready)
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Condition(kind, wanted) => write!(f, "condition {kind}={wanted}"),
            Self::Phase(phase) => write!(f, "phase {phase}"),
            Self::Delete => f.write_str("been deleted"),
        }
    }
}

fn goal(text: &str) -> Result<Goal, String> {
    let mut words = text.splitn(3, '=');
    match (words.next(), words.next().filter(|word| !word.is_empty()), words.next()) {
        (Some("delete"), None, None) => Ok(Goal::Delete),
        (Some("phase"), Some(phase), None) => match Phase::ALL.map(|known| format!("{known:?}")) {
            known if known.iter().any(|known| known.eq_ignore_ascii_case(phase)) => Ok(Goal::Phase(phase.to_owned())),
            known => Err(format!("there is no phase {phase}: phases are {}", known.join(", "))),
        },
        (Some("condition"), Some(kind), wanted) => Ok(Goal::Condition(kind.to_owned(), wanted.unwrap_or("True").to_owned())),
        _ => Err("write condition=TYPE[=STATUS], phase=PHASE or delete".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(generation: i64, observed: i64) -> Seen {
        let condition = json!({"type": "Ready", "status": "True", "reason": "Running", "message": "all 2 run",
            "lastTransitionTime": "2026-08-21T10:00:00Z"});
        Seen::There(
            serde_json::from_value(json!({
                "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
                "metadata": {"name": "web", "generation": generation},
                "spec": {"services": {}},
                "status": {"observedGeneration": observed, "phase": "Running", "ready": "2/2", "conditions": [condition]}
            }))
            .unwrap(),
        )
    }

    #[test]
    fn a_goal_is_read_from_words() {
        assert_eq!(goal("condition=Ready"), Ok(Goal::Condition("Ready".into(), "True".into())));
        assert_eq!(goal("condition=Healthy=False"), Ok(Goal::Condition("Healthy".into(), "False".into())));
        assert_eq!(goal("phase=Stopped"), Ok(Goal::Phase("Stopped".into())));
        assert_eq!(goal("delete"), Ok(Goal::Delete));
        for wrong in ["", "ready", "phase=", "phase=Up", "delete=now", "condition"] {
            assert!(goal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_of_an_older_generation_reaches_no_goal() {
        for text in ["condition=Ready", "phase=Running", "phase=running"] {
            let goal = goal(text).unwrap();
            assert!(goal.reached(&deployment(2, 2)), "{text}");
            assert!(!goal.reached(&deployment(3, 2)), "{text}");
            assert!(!goal.reached(&Seen::Gone), "{text}");
        }
    }

    #[test]
    fn what_was_seen_last_is_told_when_the_time_is_up() {
        assert_eq!(deployment(1, 1).in_words(), "it is Running, 2/2 ready, Running: all 2 run");
        assert_eq!(Seen::Gone.in_words(), "it is gone");
    }
}
