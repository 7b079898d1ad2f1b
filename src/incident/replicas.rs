//! What is wrong with a Deployment's replicas: one finding for each cause, read from the diagnoses of its status. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cause;
use super::facts::Finding;
use crate::crd::{ContainerStatus, DeploymentStatus, DiagnosisStatus, ServiceStatus, SuggestionStatus};
use crate::model::{FailureCause, ReplicaId};

/// What a Deployment's status says of its replicas. Of an older version it says less, until the next turn writes it anew: there a
/// diagnosis does not say whether it is of a failure or of what is in the way, nor a container whether it is ready.
pub(super) fn read(object: &Value) -> DeploymentStatus {
    let mut status = object["status"].clone();
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|field, _| matches!(field.as_str(), "services" | "holds" | "recovery" | "suggestions" | "waiting"));
    }
    for service in status["services"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let containers = service.get("containers").and_then(Value::as_array).into_iter().flatten();
        if containers.into_iter().any(|container| container["ready"].is_null()) {
            service.shift_remove("diagnoses");
        }
    }
    serde_json::from_value(status).unwrap_or_default()
}

/// What is wrong, by cause; failures by service as well, since each runs a program of its own, while what is in the way is often in
/// that of all. `given_up`: the replica that is worst off is.
pub(super) fn findings(status: &DeploymentStatus, alert_after: u32, given_up: bool) -> Vec<Finding> {
    let mut groups = BTreeMap::<(&str, Option<&str>), Vec<(String, &DiagnosisStatus)>>::new();
    let all = || status.services.iter().flat_map(|service| service.diagnoses.iter().map(move |diagnosis| (service, diagnosis)));
    for (service, diagnosis) in all().filter(|(_, diagnosis)| is_trouble_of_its_own(diagnosis)) {
        let is_of_services = all().any(|(_, other)| other.cause == diagnosis.cause && is_failure(other));
        let of_service = is_of_services.then_some(service.name.as_str());
        let replica = ReplicaId::new(&service.name, diagnosis.replica).to_string();
        groups.entry((&diagnosis.cause, of_service)).or_default().push((replica, diagnosis));
    }
    let ailing = ailing(status);
    let found = groups.into_iter().filter_map(|((_, service), of_it)| {
        let service = service.map(str::to_owned);
        Some(Finding { service, ..finding(status, &ailing, &of_it, alert_after)? })
    });
    found.chain(unread(status, alert_after, given_up)).collect()
}

/// Replicas that a person keeps evenkeel from running, and why each.
pub(super) fn held(status: &DeploymentStatus) -> BTreeMap<String, String> {
    let replicas =
        status.services.iter().flat_map(|service| (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number)));
    let why = |replica: &ReplicaId| {
        let hold = status.holds.iter().find(|hold| hold.covers(replica))?;
        let how = if hold.state == "Suspended" { "suspended by a Hold" } else { "held stopped" };
        Some(format!("{replica} is {how} ({})", hold.reason))
    };
    replicas.filter_map(|replica| Some((replica.to_string(), why(&replica)?))).collect()
}

/// A failure that counts as an attempt: also that of a job, which is over and so in the way.
fn is_failure(diagnosis: &DiagnosisStatus) -> bool {
    diagnosis.failed_at.is_some() || diagnosis.cause == FailureCause::ApplicationError.to_string()
}

/// Replicas that should be ready and are not.
pub(super) fn ailing(status: &DeploymentStatus) -> BTreeSet<String> {
    let held = held(status);
    let fine = |container: &ContainerStatus| container.ready || container.state == "paused";
    let ails = |service: &ServiceStatus, number: u32| {
        let container = service.containers.iter().find(|container| container.replica == number);
        !container.is_some_and(fine) && !held.contains_key(&ReplicaId::new(&service.name, number).to_string())
    };
    let lacking = status.services.iter().filter(|service| service.ready_replicas < service.replicas);
    let of_service = |service: &ServiceStatus| {
        let numbers = (1..=service.replicas).filter(|number| ails(service, *number));
        numbers.map(|number| ReplicaId::new(&service.name, number).to_string()).collect::<Vec<_>>()
    };
    lacking.flat_map(of_service).collect()
}

/// Not what merely follows from another replica's trouble, nor a restart of the host, which is told in one summary.
fn is_trouble_of_its_own(diagnosis: &DiagnosisStatus) -> bool {
    let is = |cause: FailureCause| diagnosis.cause == cause.to_string();
    let waits_for_another = diagnosis.failed_at.is_none() && is(FailureCause::DependencyDown);
    !waits_for_another && !is(FailureCause::EngineRestart) && !is(FailureCause::HostRestart)
}

/// What several replicas have in common.
fn finding(
    status: &DeploymentStatus,
    ailing: &BTreeSet<String>,
    of_it: &[(String, &DiagnosisStatus)],
    alert_after: u32,
) -> Option<Finding> {
    let (worst, diagnosis) = of_it.iter().max_by_key(|(_, diagnosis)| {
        let failed_at = diagnosis.failed_at.as_ref().map(|at| at.0);
        (diagnosis.given_up, failed_at)
    })?;
    let weight = |diagnosis: &DiagnosisStatus| match diagnosis.failed_at {
        Some(_) => cause::failing(diagnosis.attempts, alert_after, diagnosis.given_up),
        None => cause::IN_THE_WAY,
    };
    let weights = of_it.iter().map(|(_, diagnosis)| weight(diagnosis));
    let weight = weights.max_by_key(|weight| (weight.severity, Reverse(weight.patience)))?;
    let failed: Vec<&(String, &DiagnosisStatus)> = of_it.iter().filter(|(_, diagnosis)| is_failure(diagnosis)).collect();
    let lasting = of_it.iter().any(|(_, diagnosis)| diagnosis.failed_at.is_none());
    let mut found = Finding {
        cause: diagnosis.cause.clone(),
        severity: weight.severity,
        patience: weight.patience,
        summary: summary(worst, diagnosis, of_it),
        evidence: diagnosis.evidence.clone(),
        signature: diagnosis.signature.clone(),
        attempts: failed.iter().map(|(_, diagnosis)| diagnosis.attempts).max().unwrap_or_default(),
        failed_at: of_it.iter().filter_map(|(_, diagnosis)| diagnosis.failed_at.as_ref().map(|at| at.0)).max(),
        replicas: of_it.iter().map(|(replica, _)| replica.clone()).collect(),
        given_up: of_it.iter().filter(|(_, diagnosis)| diagnosis.given_up).map(|(replica, _)| replica.clone()).collect(),
        serves: failed.is_empty() && of_it.iter().all(|(replica, _)| !ailing.contains(replica)),
        lasting,
        ..Finding::default()
    };
    found.await_answer(status);
    Some(found)
}

/// What is wrong with each, in the words of each; of one that is given up, what that means first.
fn summary(worst: &str, diagnosis: &DiagnosisStatus, of_it: &[(String, &DiagnosisStatus)]) -> String {
    if diagnosis.given_up {
        return format!("replica {worst} is given up after {} attempts: {}", diagnosis.attempts, diagnosis.message);
    }
    let mut by_message = Vec::<(&str, Vec<&str>)>::new();
    for (replica, DiagnosisStatus { message, .. }) in of_it {
        match by_message.iter_mut().find(|(known, _)| known == message) {
            Some((_, replicas)) => replicas.push(replica),
            None => by_message.push((message, vec![replica])),
        }
    }
    let said = by_message.iter().map(|(message, replicas)| {
        let plural = if replicas.len() > 1 { "s" } else { "" };
        format!("replica{plural} {}: {message}", replicas.join(", "))
    });
    said.collect::<Vec<_>>().join("; ")
}

/// What is suggested, with the command that approves it, as `waiting` has it.
fn words<'s>(status: &'s DeploymentStatus, open: &'s SuggestionStatus) -> &'s str {
    let line = status.waiting.iter().find(|line| line.contains(&open.id));
    let said = line.and_then(|line| line.strip_prefix(&format!("replica {}: ", open.replica)).or(Some(line)));
    said.unwrap_or(&open.why)
}

/// The failure of the replica that is worst off, if nothing is known of what it comes from yet: its log is being read.
fn unread(status: &DeploymentStatus, alert_after: u32, given_up: bool) -> Option<Finding> {
    let recovery = status.recovery.as_ref()?;
    let failure = recovery.failure.as_ref()?;
    let of_it = |service: &ServiceStatus, number: u32| ReplicaId::new(&service.name, number).to_string() == recovery.replica;
    let known = |service: &ServiceStatus| service.diagnoses.iter().any(|diagnosis| of_it(service, diagnosis.replica));
    // What a person stopped is no trouble, however it failed before.
    if status.services.iter().any(known) || held(status).contains_key(&recovery.replica) {
        return None;
    }
    let weight = cause::failing(recovery.attempt, alert_after, given_up);
    let replica = recovery.replica.clone();
    let mut found = Finding {
        service: replica.parse::<ReplicaId>().ok().map(|replica| replica.service),
        cause: match failure {
            _ if failure.oom_killed => FailureCause::OutOfMemory.to_string(),
            _ if failure.exit_code.is_none() => FailureCause::Unhealthy.to_string(),
            _ => cause::CRASHED.to_owned(),
        },
        severity: weight.severity,
        patience: weight.patience,
        summary: format!("replica {replica} failed: {}", failure.message),
        evidence: vec![failure.message.clone()],
        attempts: recovery.attempt,
        failed_at: failure.at.as_ref().map(|at| at.0),
        given_up: if given_up { BTreeSet::from([replica.clone()]) } else { BTreeSet::new() },
        replicas: BTreeSet::from([replica]),
        unread: true,
        ..Finding::default()
    };
    found.await_answer(status);
    Some(found)
}

impl Finding {
    /// A failure that waits for a person's answer is mended by nobody else: it lasts, and says what would be done and how to have it.
    fn await_answer(&mut self, status: &DeploymentStatus) {
        if self.failed_at.is_none() {
            return;
        }
        let open = status.suggestions.iter().filter(|open| open.rung.is_some() && self.replicas.contains(&open.replica));
        let asked: Vec<&str> = open.map(|open| words(status, open)).collect();
        if !asked.is_empty() {
            self.summary = format!("{}; {}", self.summary, asked.join("; "));
            self.raise(cause::IN_THE_WAY);
        }
    }

    /// It is at least as bad as that.
    pub(super) fn raise(&mut self, weight: cause::Weight) {
        if (weight.severity, Reverse(weight.patience)) > (self.severity, Reverse(self.patience)) {
            (self.severity, self.patience) = (weight.severity, weight.patience);
        }
        self.lasting = true;
    }
}
