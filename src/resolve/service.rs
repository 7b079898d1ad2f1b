//! One service: how many containers, made from what, kept running how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Problems, Scope, build, container, hash, labels, policy};
use crate::crd::compose::{Hook, PullPolicy, Service};
use crate::model::{
    Dependency, DependencyCondition, DesiredService, DockerRestart, HookSpec, PullRule, RestartRule, annotations,
};

/// Between stop signal and KILL, where the service does not say.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// All enabled services.
pub(super) fn all(scope: &Scope, problems: &mut Problems) -> BTreeMap<String, DesiredService> {
    let jobs: BTreeSet<&str> = scope.enabled.values().flat_map(|service| awaited_to_complete(service)).collect();
    let resolve =
        |(name, service): (&&str, &&Service)| ((*name).to_owned(), one(scope, name, service, jobs.contains(name), problems));
    scope.enabled.iter().map(resolve).collect()
}

fn one(scope: &Scope, name: &str, service: &Service, job: bool, problems: &mut Problems) -> DesiredService {
    let spec_hash = hash::spec_hash(scope, service);
    let mut template = container::template(scope, name, service, problems);
    template.labels = labels::container(scope, name, service, &spec_hash);
    let (restart, declared_restart) = policy::restart(service).unwrap_or_else(|message| {
        problems.add(name, "restart", message);
        (RestartRule::UntilCompleted, DockerRestart::No)
    });
    let build = service.build.as_ref().map(|own| build::spec(scope, name, service, own, &template.image, problems));
    DesiredService {
        name: name.to_owned(),
        replicas: service.replicas(),
        container_name: service.container_name.clone(),
        restart,
        declared_restart,
        job,
        depends_on: depends_on(scope, name, service, problems),
        spec_hash,
        template,
        stop_grace: service.stop_grace_period.map_or(STOP_GRACE, |span| span.0),
        pull: pull(service),
        build,
        post_start: service.post_start.iter().map(hook).collect(),
        pre_stop: service.pre_stop.iter().map(hook).collect(),
        on_change: service.evenkeel.as_ref().and_then(|own| own.on_change),
        followed: Vec::new(),
        restarted_at: policy::requested(scope.deployment, annotations::RESTARTED_AT, name),
        recreated_at: policy::requested(scope.deployment, annotations::RECREATED_AT, name),
        retried_at: policy::requested(scope.deployment, annotations::RETRIED_AT, name),
        start_asked_at: policy::requested(scope.deployment, annotations::STARTED_AT, name),
        adopt: policy::adopt(scope.deployment, name),
        pulled_at: policy::requested(scope.deployment, annotations::PULLED_AT, name),
        rebuild: policy::rebuild(scope.deployment, name),
    }
}

fn hook(hook: &Hook) -> HookSpec {
    let Hook { command, user, privileged, working_dir, environment } = hook.clone();
    let env = environment.into_iter().map(container::variable).collect();
    HookSpec { command, user, privileged, working_dir, env }
}

/// Services this one awaits with `service_completed_successfully`: they are jobs.
fn awaited_to_complete(service: &Service) -> impl Iterator<Item = &str> {
    let awaited = |condition| condition == DependencyCondition::ServiceCompletedSuccessfully;
    service.depends_on.iter().filter(move |(_, dependency)| awaited(dependency.condition)).map(|(name, _)| name.as_str())
}

/// What must be before it starts. One that is not required and not enabled is not waited for, as in Compose.
fn depends_on(scope: &Scope, name: &str, service: &Service, problems: &mut Problems) -> BTreeMap<String, Dependency> {
    let mut resolved = BTreeMap::new();
    for (on, dependency) in &service.depends_on {
        if scope.enabled.contains_key(on.as_str()) {
            let &crate::crd::compose::Dependency { condition, restart, required } = dependency;
            resolved.insert(on.clone(), Dependency { condition, restart, required });
        } else if dependency.required {
            problems.add(name, format_args!("depends_on.{on}"), missing(scope, on));
        }
    }
    resolved
}

/// Why a service that is referred to cannot be had.
pub(super) fn missing(scope: &Scope, service: &str) -> String {
    match scope.project.services.get(service) {
        Some(declared) => format!(
            "service {service:?} is not enabled: add one of its profiles ({}) to spec.profiles",
            declared.profiles.join(", ")
        ),
        None => format!("there is no service {service:?}"),
    }
}

fn pull(service: &Service) -> PullRule {
    match &service.pull_policy {
        // What is built is never pulled, whatever the rule.
        None | Some(PullPolicy::Missing | PullPolicy::Build) => PullRule::Missing,
        Some(PullPolicy::Never) => PullRule::Never,
        Some(PullPolicy::Always) => PullRule::Always,
        Some(PullPolicy::Every { interval, .. }) => PullRule::Every(*interval),
    }
}
