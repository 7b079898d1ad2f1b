//! `evenkeel pull`: newer versions of a deployment's images.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Api, deployment_path};
use super::failure::Failure;
use super::help;
use super::intent::Target;
use super::output::print;
use super::progress::Bars;
use crate::crd::{self, DeclaredState, Deployment, DeploymentStatus, ImageStatus};
use crate::model::{annotations, is_pinned};

/// How often is looked. The answers come out of the operator's memory.
const INTERVAL: Duration = Duration::from_millis(200);

/// Looks for newer versions of a deployment's images, and replaces the containers that run older ones.
///
/// The wish is stored with the deployment and fulfilled once, also when the operator is restarted meanwhile. What runs goes on
/// running until a newer image is here.
#[derive(Debug, Args)]
#[command(after_help = help::PULL)]
pub struct PullArgs {
    #[command(flatten)]
    target: Target,
    /// Show how far it is, and return when the images are here and the containers run them
    #[arg(long)]
    wait: bool,
    /// How long to wait; exit code 3 when it was in vain
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: crd::Duration,
}

/// `evenkeel pull`.
pub async fn pull(args: PullArgs) -> Result<(), Failure> {
    let target = &args.target;
    let answer = target.post("pull", json!({})).await?;
    let object: Deployment = serde_json::from_value(answer).context("the operator's answer is no Deployment")?;
    let wanted = wanted(&object, &target.parts);
    for skipped in wanted.iter().filter_map(|wanted| wanted.skipped.as_ref()) {
        print(&format!("{skipped}\n"))?;
    }
    if !args.wait {
        return print(&format!("{}: a pull is asked for\n", target.subject()));
    }
    let api = target.connection.open().await?;
    let lines = follow(&api, target, args.timeout, |object, status| judge(object, status, &wanted)).await?;
    print(&lines)
}

/// What is asked of one service.
struct Wanted {
    service: String,
    image: String,
    /// When it was asked for, as far as a status tells times.
    asked: Timestamp,
    /// Why there is nothing to pull, if so.
    skipped: Option<String>,
}

fn wanted(object: &Deployment, parts: &[String]) -> Vec<Wanted> {
    let annotation = |name: &str| object.metadata.annotations.as_ref()?.get(name)?.parse::<Timestamp>().ok();
    let services = object.spec.services.iter().filter(|(name, _)| parts.is_empty() || parts.contains(name));
    let want = |(name, service): (&String, &Value)| {
        let image = service["image"].as_str().unwrap_or_default().to_owned();
        let asked = annotation(&format!("{}.{name}", annotations::PULLED_AT)).max(annotation(annotations::PULLED_AT));
        let why = match service["pull_policy"].as_str() {
            _ if !service["build"].is_null() => Some("it is built: `evenkeel rebuild`"),
            _ if is_pinned(&image) => Some("it is named by digest, which never changes"),
            Some("never") => Some("its pull_policy is never"),
            _ => None,
        };
        Wanted {
            skipped: why.map(|why| format!("service {name}: image {image} is not pulled, {why}")),
            asked: asked.and_then(|at| at.round(rounding()).ok()).unwrap_or(Timestamp::UNIX_EPOCH),
            service: name.clone(),
            image,
        }
    };
    services.map(want).collect()
}

/// A status tells microseconds.
pub(super) fn rounding() -> jiff::TimestampRound {
    jiff::TimestampRound::new().smallest(jiff::Unit::Microsecond).mode(jiff::RoundMode::Floor)
}

/// Watches until all is done; what came of it, in lines.
pub(super) async fn follow(
    api: &Api,
    target: &Target,
    timeout: crd::Duration,
    judge: impl Fn(&Deployment, &DeploymentStatus) -> Judgement,
) -> Result<String, Failure> {
    let (namespace, name) = (target.connection.namespace(), target.deployment.as_str());
    let deadline = Instant::now() + timeout.0;
    let mut bars = Bars::new();
    loop {
        let progress = api.get(&deployment_path(namespace, name, Some("progress"))).await?;
        bars.show(&progress)?;
        let object = api.get(&deployment_path(namespace, name, None)).await?;
        let object: Deployment = serde_json::from_value(object).context("the operator's answer is no Deployment")?;
        let status = object.status.clone().unwrap_or_default();
        match judge(&object, &status) {
            Judgement::Done(lines) => return Ok(lines),
            Judgement::Failed(message) => return Err(anyhow!(message).into()),
            Judgement::Waits(what) if Instant::now() >= deadline => {
                let why = if status.waiting.is_empty() { String::new() } else { format!("; {}", status.waiting.join("; ")) };
                return Err(Failure::TimedOut(format!("waited {timeout} in vain until {what}{why}")));
            }
            Judgement::Waits(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// How far a request is.
pub(super) enum Judgement {
    /// All is as asked.
    Done(String),
    /// It failed; the operator goes on trying.
    Failed(String),
    /// What is waited for.
    Waits(String),
}

fn judge(object: &Deployment, status: &DeploymentStatus, wanted: &[Wanted]) -> Judgement {
    let (mut lines, mut waits) = (String::new(), None);
    let idle = object.spec.state == DeclaredState::Stopped || !status.holds.is_empty();
    for Wanted { service, image, asked, .. } in wanted.iter().filter(|wanted| wanted.skipped.is_none()) {
        let seen = status.services.iter().find(|seen| seen.name == *service);
        if seen.is_none() && Some(status.observed_generation) >= object.metadata.generation {
            lines += &format!("service {service}: not enabled, its profile is not active\n");
            continue;
        }
        let known = seen.and_then(|seen| seen.image.as_ref()).filter(|known| known.reference == *image);
        if let Some(failure) = known.and_then(|known| failure_since(known, *asked)) {
            return Judgement::Failed(format!("service {service}: {failure}; what runs goes on, and it is tried again"));
        }
        let Some(known) = known.filter(|known| known.pulled_at.as_ref().is_some_and(|at| at.0 >= *asked)) else {
            waits.get_or_insert(format!("image {image} is pulled"));
            continue;
        };
        let runs_another = |container: &&crd::ContainerStatus| known.id.as_ref().is_some_and(|id| container.image_id != *id);
        match seen.into_iter().flat_map(|seen| &seen.containers).find(runs_another) {
            Some(container) if !idle => {
                waits.get_or_insert(format!("container {} runs the new version of image {image}", container.name));
            }
            _ => lines += &format!("service {service}: {image} {}\n", known.digest.as_deref().unwrap_or("is pulled")),
        }
    }
    match waits {
        Some(what) => Judgement::Waits(what),
        None => Judgement::Done(lines),
    }
}

/// The failure of a pull since it was asked for, in words.
fn failure_since(known: &ImageStatus, asked: Timestamp) -> Option<String> {
    let failure = known.failure.as_ref().filter(|failure| failure.at.as_ref().is_some_and(|at| at.0 >= asked))?;
    Some(format!("{}: {}", failure.reason, failure.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "2026-08-21T10:00:00.25Z";

    fn object(pull_policy: &str, image: &str) -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "annotations": {annotations::PULLED_AT: ASKED}},
            "spec": {"services": {"app": {"image": image, "pull_policy": pull_policy}}},
        }))
        .unwrap()
    }

    fn judged(image: Value, runs: &str) -> String {
        let object = object("always", "app:1");
        let status =
            json!({"services": [{"name": "app", "image": image, "containers": [{"name": "web-app-1", "imageId": runs}]}]});
        match judge(&object, &serde_json::from_value(status).unwrap(), &wanted(&object, &[])) {
            Judgement::Done(lines) => format!("done: {lines}"),
            Judgement::Failed(message) => format!("failed: {message}"),
            Judgement::Waits(what) => format!("waits: {what}"),
        }
    }

    #[test]
    fn it_is_done_when_the_image_was_pulled_since_and_the_containers_run_it() {
        let image = |at: &str| json!({"reference": "app:1", "id": "new", "digest": "sha256:00", "pulledAt": at});
        assert_eq!(judged(Value::Null, "old"), "waits: image app:1 is pulled");
        assert_eq!(judged(image("2026-08-21T10:00:00.249999Z"), "new"), "waits: image app:1 is pulled");
        let there = image("2026-08-21T10:00:00.250000Z");
        assert_eq!(judged(there.clone(), "old"), "waits: container web-app-1 runs the new version of image app:1");
        assert_eq!(judged(there, "new"), "done: service app: app:1 sha256:00\n");
    }

    #[test]
    fn a_failure_counts_if_it_came_after_the_request() {
        let image = |at: &str| json!({"reference": "app:1", "failure": {"reason": "ImageDenied", "message": "no", "at": at}});
        assert_eq!(judged(image("2026-08-21T09:59:00.000000Z"), "old"), "waits: image app:1 is pulled");
        let failed = judged(image("2026-08-21T10:00:01.000000Z"), "old");
        assert_eq!(failed, "failed: service app: ImageDenied: no; what runs goes on, and it is tried again");
    }

    #[test]
    fn what_cannot_have_a_newer_version_is_skipped_and_said_so() {
        let skipped = |policy: &str, image: &str| wanted(&object(policy, image), &[])[0].skipped.clone().unwrap_or_default();
        assert_eq!(skipped("never", "app:1"), "service app: image app:1 is not pulled, its pull_policy is never");
        assert!(skipped("daily", "app@sha256:00").contains("digest"));
        assert_eq!(skipped("daily", "app:1"), "");
        assert!(wanted(&object("daily", "app:1"), &["db".to_owned()]).is_empty());
    }
}
