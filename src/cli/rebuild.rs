//! `evenkeel rebuild`: a deployment's images built anew.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::help;
use super::intent::Target;
use super::output::print;
use super::pull::{Judgement, follow, rounding};
use crate::crd::{self, BuildStatus, DeclaredState, Deployment, DeploymentStatus};
use crate::model::{RebuildRequest, annotations};

/// Builds a deployment's images anew, and replaces the containers that run older ones.
///
/// A changed build context is noticed without this; it is for what a context does not show, such as packages that are newer by
/// now. The wish is stored with the deployment and fulfilled once, also when the operator is restarted meanwhile. What runs goes
/// on running until the new image is here.
#[derive(Debug, Args)]
#[command(after_help = help::REBUILD)]
pub struct RebuildArgs {
    #[command(flatten)]
    target: Target,
    /// Use no cached layer
    #[arg(long)]
    no_cache: bool,
    /// Pull base images though they are here
    #[arg(long)]
    pull: bool,
    /// Show how far it is, and return when the images are here and the containers run them
    #[arg(long)]
    wait: bool,
    /// How long to wait; exit code 3 when it was in vain
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    timeout: crd::Duration,
}

/// `evenkeel rebuild`.
pub async fn rebuild(args: RebuildArgs) -> Result<(), Failure> {
    let target = &args.target;
    let answer = target.post("rebuild", json!({"noCache": args.no_cache, "pull": args.pull})).await?;
    let object: Deployment = serde_json::from_value(answer).context("the operator's answer is no Deployment")?;
    let wanted = wanted(&object, &target.parts);
    if !args.wait {
        return print(&format!("{}: a build is asked for\n", target.subject()));
    }
    let api = target.connection.open().await?;
    let lines = follow(&api, target, args.timeout, |object, status| judge(object, status, &wanted)).await?;
    print(&lines)
}

/// What is asked of one service.
struct Wanted {
    service: String,
    /// When it was asked for, as far as a status tells times.
    asked: Timestamp,
}

fn wanted(object: &Deployment, parts: &[String]) -> Vec<Wanted> {
    let annotation = |name: &str| Some(object.metadata.annotations.as_ref()?.get(name)?.parse::<RebuildRequest>().ok()?.at);
    let built = |(name, service): &(&String, &Value)| !service["build"].is_null() && (parts.is_empty() || parts.contains(name));
    let want = |(name, _): (&String, &Value)| {
        let asked = annotation(&format!("{}.{name}", annotations::REBUILT_AT)).max(annotation(annotations::REBUILT_AT));
        let asked = asked.and_then(|at| at.round(rounding()).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        Wanted { service: name.clone(), asked }
    };
    object.spec.services.iter().filter(built).map(want).collect()
}

fn judge(object: &Deployment, status: &DeploymentStatus, wanted: &[Wanted]) -> Judgement {
    let (mut lines, mut waits) = (String::new(), None);
    let idle = object.spec.state == DeclaredState::Stopped || !status.holds.is_empty();
    for Wanted { service, asked } in wanted {
        let seen = status.services.iter().find(|seen| seen.name == *service);
        let known = seen.and_then(|seen| seen.build.as_ref());
        if let Some(failure) = known.and_then(|known| failure_since(known, *asked)) {
            return Judgement::Failed(format!("service {service}: {failure}\nwhat runs goes on, and it is tried again"));
        }
        let Some(known) = known.filter(|known| known.built_at.as_ref().is_some_and(|at| at.0 >= *asked)) else {
            waits.get_or_insert(format!("the image of service {service} is built"));
            continue;
        };
        let runs_another = |container: &&crd::ContainerStatus| known.id.as_ref().is_some_and(|id| container.image_id != *id);
        match seen.into_iter().flat_map(|seen| &seen.containers).find(runs_another) {
            Some(container) if !idle => {
                waits.get_or_insert(format!("container {} runs the new image {}", container.name, known.reference));
            }
            _ => lines += &format!("service {service}: {} {}\n", known.reference, known.id.as_deref().unwrap_or("is built")),
        }
    }
    match waits {
        Some(what) => Judgement::Waits(what),
        None => Judgement::Done(lines),
    }
}

/// The failure of a build since it was asked for, in words.
fn failure_since(known: &BuildStatus, asked: Timestamp) -> Option<&str> {
    let failure = known.failure.as_ref().filter(|failure| failure.at.as_ref().is_some_and(|at| at.0 >= asked))?;
    Some(&failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "web", "annotations": {annotations::REBUILT_AT: "2026-08-21T10:00:00.25Z no-cache"}},
            "spec": {"services": {"app": {"build": "/src"}, "db": {"image": "db:1"}}},
        }))
        .unwrap()
    }

    fn judged(build: Value, runs: &str) -> String {
        let status =
            json!({"services": [{"name": "app", "build": build, "containers": [{"name": "web-app-1", "imageId": runs}]}]});
        match judge(&object(), &serde_json::from_value(status).unwrap(), &wanted(&object(), &[])) {
            Judgement::Done(lines) => format!("done: {lines}"),
            Judgement::Failed(message) => format!("failed: {message}"),
            Judgement::Waits(what) => format!("waits: {what}"),
        }
    }

    #[test]
    fn it_is_done_when_the_image_was_built_since_and_the_containers_run_it() {
        let build = |at: &str| json!({"reference": "web-app", "id": "new", "builtAt": at});
        assert_eq!(judged(Value::Null, "old"), "waits: the image of service app is built");
        assert_eq!(judged(build("2026-08-21T10:00:00.249999Z"), "new"), "waits: the image of service app is built");
        let there = build("2026-08-21T10:00:00.250000Z");
        assert_eq!(judged(there.clone(), "old"), "waits: container web-app-1 runs the new image web-app");
        assert_eq!(judged(there, "new"), "done: service app: web-app new\n");
    }

    #[test]
    fn a_failure_counts_if_it_came_after_the_request() {
        let build = |at: &str| json!({"reference": "web-app", "failure": {"message": "exit code 1\n  no such file", "at": at}});
        assert_eq!(judged(build("2026-08-21T09:59:00.000000Z"), "old"), "waits: the image of service app is built");
        let failed = judged(build("2026-08-21T10:00:01.000000Z"), "old");
        assert!(failed.starts_with("failed: service app: exit code 1\n  no such file\nwhat runs goes on"), "{failed}");
    }

    #[test]
    fn services_whose_image_is_pulled_are_none_of_it() {
        let names = |parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            wanted(&object(), &parts).into_iter().map(|wanted| wanted.service).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["app"]);
        assert!(names(&["db"]).is_empty());
    }
}
