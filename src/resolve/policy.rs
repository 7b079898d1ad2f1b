//! How things are kept running: restart rules, recovery, deletion, and what people ask for by annotation.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::crd::compose::Service;
use crate::crd::{Deployment, Recovery, RecoveryAction};
use crate::model::{
    AdoptRequest, Answer, Deletion, DockerRestart, FINALIZER_ORPHAN, RebuildRequest, RecoveryMode, RecoveryPolicy, RestartRule,
    Rung, annotations,
};

/// `restart`, or `deploy.restart_policy`, which wins as it does in Compose: as our rule, and in Docker's words.
pub(super) fn restart(service: &Service) -> Result<(RestartRule, DockerRestart), String> {
    if let Some(policy) = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref()) {
        // The Compose Specification's default; Compose itself leaves such a service without a policy.
        return rule(policy.condition.as_deref().unwrap_or("any"), policy.max_attempts);
    }
    let Some(text) = service.restart.as_deref().filter(|text| !text.is_empty()) else {
        return Ok((RestartRule::UntilCompleted, DockerRestart::No));
    };
    let (word, max) = match text.split_once(':') {
        Some((word, max)) => {
            let max = max.parse().map_err(|_| format!("{text:?}: what follows the colon is not a number of attempts"))?;
            (word, Some(max))
        }
        None => (text, None),
    };
    rule(word, max)
}

fn rule(word: &str, max: Option<u32>) -> Result<(RestartRule, DockerRestart), String> {
    Ok(match word {
        "no" | "none" => (RestartRule::Once, DockerRestart::No),
        "always" | "any" => (RestartRule::Always, DockerRestart::Always),
        "unless-stopped" => (RestartRule::Always, DockerRestart::UnlessStopped),
        // Docker reads 0 as "without a limit"; ours is then recovery.maxAttempts.
        "on-failure" => {
            let max = max.filter(|max| *max > 0);
            (RestartRule::OnFailure { max }, DockerRestart::OnFailure(max.unwrap_or_default()))
        }
        other => return Err(format!("{other:?} is no restart policy: write no, always, unless-stopped or on-failure[:n]")),
    })
}

/// `spec.recovery` under the operator's bound.
pub(super) fn recovery(spec: &Recovery, bound: RecoveryMode) -> RecoveryPolicy {
    RecoveryPolicy {
        mode: spec.mode.min(bound),
        bound,
        initial: spec.backoff.initial.0,
        factor: spec.backoff.factor,
        max: spec.backoff.max.0,
        max_attempts: spec.max_attempts,
        alert_after: spec.alert_after,
        stable_window: spec.stable_window.0,
        verify_window: spec.verify_window.0,
        external_stop: spec.external_stop,
        actions: spec.actions.iter().map(rung).collect(),
    }
}

fn rung(action: &RecoveryAction) -> Rung {
    match action {
        RecoveryAction::Restart => Rung::Restart,
        RecoveryAction::Recreate => Rung::Recreate,
        RecoveryAction::Pull => Rung::Pull,
        RecoveryAction::Rebuild => Rung::Rebuild,
        RecoveryAction::Rollback => Rung::Rollback,
    }
}

/// What people said to suggestions. Text that is no answer says nothing.
pub(super) fn answers(metadata: &ObjectMeta) -> Vec<Answer> {
    let all = metadata.annotations.iter().flatten();
    let answer = |(name, text): (&String, &String)| text.parse().ok().filter(|_| name.starts_with(annotations::ANSWER));
    all.filter_map(answer).collect()
}

/// How it is to be deleted, if it is.
pub(super) fn deletion(metadata: &ObjectMeta) -> Option<Deletion> {
    metadata.deletion_timestamp.as_ref()?;
    let finalizers = metadata.finalizers.iter().flatten();
    let volumes = metadata.annotations.as_ref().and_then(|all| all.get(annotations::DELETE_VOLUMES));
    Some(Deletion {
        orphan: finalizers.into_iter().any(|finalizer| finalizer == FINALIZER_ORPHAN),
        volumes: volumes.is_some_and(|value| value == "true"),
    })
}

/// The rebuild that is asked for: of the Deployment or of the one service, whichever is later.
pub(super) fn rebuild(deployment: &Deployment, service: &str) -> Option<RebuildRequest> {
    let all = deployment.metadata.annotations.as_ref()?;
    let narrow = format!("{}.{service}", annotations::REBUILT_AT);
    let asked = [annotations::REBUILT_AT, narrow.as_str()].into_iter().filter_map(|name| all.get(name)?.parse().ok());
    asked.max_by_key(|request: &RebuildRequest| request.at)
}

/// The adoption that is asked for: of the Deployment or of the one service, whichever is later.
pub(super) fn adopt(deployment: &Deployment, service: &str) -> Option<AdoptRequest> {
    let all = deployment.metadata.annotations.as_ref()?;
    let narrow = format!("{}.{service}", annotations::ADOPTED_AT);
    let asked = [annotations::ADOPTED_AT, narrow.as_str()].into_iter().filter_map(|name| all.get(name)?.parse().ok());
    asked.max_by_key(|request: &AdoptRequest| request.at)
}

/// The time an annotation asks for, of the Deployment or of the one service, whichever is later. Text that is no time asks for nothing: it must not
/// keep a Deployment from being healed.
pub(super) fn requested(deployment: &Deployment, annotation: &str, service: &str) -> Option<Timestamp> {
    let all = deployment.metadata.annotations.as_ref()?;
    let at = |name: &str| all.get(name)?.parse::<Timestamp>().ok();
    at(annotation).max(at(&format!("{annotation}.{service}")))
}
