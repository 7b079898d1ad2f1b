//! Recovery of a deployment: how far it is, what it rests on, what it decided, and what it suggests.

use crate::cli::output::{Look, plain, table};
use crate::cli::suggestion::action;
use crate::crd::{
    ContainerStatus, DecisionStatus, DeploymentStatus, DiagnosisStatus, RecoveryStatus, ServiceStatus, SuggestionStatus,
};

/// Attempts, and the last failure.
pub(super) fn lines(look: &Look, recovery: &RecoveryStatus, status: &DeploymentStatus) -> String {
    let RecoveryStatus { replica, attempt, max_attempts, next_attempt_at, given_up, failure } = recovery;
    let again = if is_held(status, replica) { "; it is held" } else { ", `evenkeel retry` starts over" };
    let next = match next_attempt_at {
        Some(time) => format!(", next {} ({})", look.until(time.0), time.0),
        None if runs(status, replica) => ": it runs, and starts over once it is stable".to_owned(),
        None if given_up.is_some() => format!(": given up ({}){again}", given_up.as_deref().unwrap_or_default()),
        None if attempt >= max_attempts => format!(": given up{again}"),
        None => String::new(),
    };
    let mut text = format!("  {replica}: attempt {attempt} of {max_attempts}{next}\n");
    if let Some(failure) = failure {
        let is_told = failure.message.contains("out of memory");
        let oom = if failure.oom_killed && !is_told { ", out of memory" } else { "" };
        let age = failure.at.as_ref().map(|time| format!(" {} ago", look.age(Some(time.0)))).unwrap_or_default();
        text.push_str(&format!("  last failure{age}: {}{oom}\n", plain(&failure.message)));
    }
    text
}

/// Whether a Hold keeps a replica as it is: then a retry starts nothing.
fn is_held(status: &DeploymentStatus, replica: &str) -> bool {
    replica.parse().is_ok_and(|replica| status.holds.iter().any(|hold| hold.covers(&replica)))
}

/// Whether a replica runs, and nothing is said against it.
fn runs(status: &DeploymentStatus, replica: &str) -> bool {
    let waits = status.waiting.iter().any(|line| line.starts_with(&format!("replica {replica}:")));
    let well = |container: &ContainerStatus| {
        container.state == "running" && container.health.as_deref().is_none_or(|health| health == "healthy")
    };
    let is_it =
        |service: &ServiceStatus, container: &ContainerStatus| format!("{}-{}", service.name, container.replica) == replica;
    let mut all = status.services.iter().flat_map(|service| service.containers.iter().map(move |found| (service, found)));
    !waits && all.any(|(service, container)| is_it(service, container) && well(container))
}

/// Why replicas are not as they should be, or failed last, and what that rests on.
pub(super) fn diagnoses(service: &ServiceStatus, status: &DeploymentStatus) -> String {
    let one = |found: &DiagnosisStatus| {
        // Without that time it is no failure of the past but something in its way now.
        let is_over = found.failed_at.is_some() && runs(status, &format!("{}-{}", service.name, found.replica));
        let since = if is_over { " (it failed so before; it runs now)" } else { "" };
        let evidence: String = found.evidence.iter().map(|line| format!("    {}\n", plain(line))).collect();
        format!("  {}-{}: {}: {}{since}\n{evidence}", service.name, found.replica, found.cause, plain(&found.message))
    };
    service.diagnoses.iter().map(one).collect()
}

/// What was decided, newest last, with what came of it.
pub(super) fn decisions(look: &Look, decisions: &[DecisionStatus]) -> String {
    let row = |decision: &DecisionStatus| {
        vec![
            look.age(decision.at.as_ref().map(|at| at.0)),
            decision.replica.clone(),
            decision.attempt.to_string(),
            decision.rung.clone(),
            decision.rule.clone(),
            decision.cause.clone(),
            decision.result.clone(),
            decision.trace_id.clone().unwrap_or_default(),
            plain(&decision.failure),
        ]
    };
    if decisions.is_empty() {
        return String::new();
    }
    let header = ["AGE", "REPLICA", "ATTEMPT", "RUNG", "RULE", "CAUSE", "RESULT", "TRACE", "FAILURE"];
    table(look, "  ", &header, decisions.iter().map(row).collect())
}

/// What waits for an answer, with the evidence.
pub(super) fn suggestions(name: &str, suggestions: &[SuggestionStatus]) -> String {
    let one = |suggestion: &SuggestionStatus| {
        let id = &suggestion.id;
        let diagnosis = suggestion
            .cause
            .as_ref()
            .map(|cause| format!("    {cause}: {}\n", plain(suggestion.message.as_deref().unwrap_or_default())));
        let evidence: String = suggestion.evidence.iter().map(|line| format!("    {}\n", plain(line))).collect();
        let answer = format!("    `evenkeel approve {name} {id}`, `evenkeel reject {name} {id}`\n");
        let what = format!("  {id}: {}, because {}\n", action(suggestion), plain(&suggestion.why));
        what + &diagnosis.unwrap_or_default() + &evidence + &answer
    };
    suggestions.iter().map(one).collect()
}
