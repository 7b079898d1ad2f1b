//! What is wrong with a Deployment's replicas: one finding for each cause, read from the diagnoses of its status. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cause;
use super::facts::Finding;
use crate::crd::{ContainerStatus, DeploymentStatus, DiagnosisStatus, ServiceStatus};
use crate::model::{FailureCause, ReplicaId};

/// What a Deployment's status says of its replicas. Of an older version it says less, until the next turn writes it anew: there a
/// diagnosis does not say whether it is of a failure or of what is in the way, nor a container whether it is ready.
pub(super) fn read(object: &Value) -> DeploymentStatus {
    let mut status = object["status"].clone();
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|field, _| matches!(field.as_str(), "services" | "holds" | "recovery"));
    }
    for service in status["services"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let containers = service.get("containers").and_then(Value::as_array).into_iter().flatten();
        if containers.into_iter().any(|container| container["ready"].is_null()) {
            service.shift_remove("diagnoses");
        }
    }
    serde_json::from_value(status).unwrap_or_default()
}

/// What is wrong, by cause. `given_up`: the replica that is worst off is.
pub(super) fn findings(status: &DeploymentStatus, alert_after: u32, given_up: bool) -> Vec<Finding> {
    let mut by_cause = BTreeMap::<&str, Vec<(String, &DiagnosisStatus)>>::new();
    for service in &status.services {
        for diagnosis in service.diagnoses.iter().filter(|diagnosis| is_trouble_of_its_own(diagnosis)) {
            let replica = ReplicaId::new(&service.name, diagnosis.replica).to_string();
            by_cause.entry(&diagnosis.cause).or_default().push((replica, diagnosis));
        }
    }
    by_cause.into_values().filter_map(|of_it| finding(&of_it, alert_after)).chain(unread(status, alert_after, given_up)).collect()
}

/// Replicas that should be ready and are not.
pub(super) fn ailing(status: &DeploymentStatus) -> BTreeSet<String> {
    let held = |service: &ServiceStatus, number: u32| {
        status.holds.iter().any(|hold| {
            hold.service.as_ref().is_none_or(|held| *held == service.name) && hold.replica.is_none_or(|held| held == number)
        })
    };
    let fine = |container: &ContainerStatus| container.ready || container.state == "paused";
    let ails = |service: &ServiceStatus, number: u32| {
        let container = service.containers.iter().find(|container| container.replica == number);
        !container.is_some_and(fine) && !held(service, number)
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
fn finding(of_it: &[(String, &DiagnosisStatus)], alert_after: u32) -> Option<Finding> {
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
    let all: Vec<&str> = of_it.iter().map(|(replica, _)| replica.as_str()).collect();
    let attempts = diagnosis.attempts;
    let who = match all.as_slice() {
        _ if diagnosis.given_up => format!("replica {worst} is given up after {attempts} attempts"),
        [one] => format!("replica {one}"),
        many => format!("replicas {}", many.join(", ")),
    };
    Some(Finding {
        cause: diagnosis.cause.clone(),
        severity: weight.severity,
        patience: weight.patience,
        summary: format!("{who}: {}", diagnosis.message),
        evidence: diagnosis.evidence.clone(),
        signature: diagnosis.signature.clone(),
        attempts: of_it.iter().map(|(_, diagnosis)| diagnosis.attempts).max().unwrap_or_default(),
        failed_at: of_it.iter().filter_map(|(_, diagnosis)| diagnosis.failed_at.as_ref().map(|at| at.0)).max(),
        replicas: all.into_iter().map(str::to_owned).collect(),
        given_up: of_it.iter().filter(|(_, diagnosis)| diagnosis.given_up).map(|(replica, _)| replica.clone()).collect(),
        lasting: of_it.iter().any(|(_, diagnosis)| diagnosis.failed_at.is_none()),
        unread: false,
    })
}

/// The failure of the replica that is worst off, if nothing is known of what it comes from yet: its log is being read.
fn unread(status: &DeploymentStatus, alert_after: u32, given_up: bool) -> Option<Finding> {
    let recovery = status.recovery.as_ref()?;
    let failure = recovery.failure.as_ref()?;
    let of_it = |service: &ServiceStatus, number: u32| ReplicaId::new(&service.name, number).to_string() == recovery.replica;
    let known = |service: &ServiceStatus| service.diagnoses.iter().any(|diagnosis| of_it(service, diagnosis.replica));
    if status.services.iter().any(known) {
        return None;
    }
    let weight = cause::failing(recovery.attempt, alert_after, given_up);
    let replica = recovery.replica.clone();
    Some(Finding {
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
    })
}

impl Finding {
    /// It is at least as bad as that.
    pub(super) fn raise(&mut self, weight: cause::Weight) {
        if (weight.severity, Reverse(weight.patience)) > (self.severity, Reverse(self.patience)) {
            (self.severity, self.patience) = (weight.severity, weight.patience);
        }
        self.lasting = true;
    }
}
