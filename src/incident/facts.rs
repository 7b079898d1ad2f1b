//! What an object's status says, as the fold of incidents reads it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::cause::{self, Meaning, Weight};
use crate::crd::{self, AlertSeverity, IncidentSubject, SubjectKind};
use crate::model::Key;

/// How long the end of a trouble must last by itself, where no Deployment says it.
const SETTLE: Duration = Duration::from_secs(10);
/// The default of `recovery.verifyWindow` and `recovery.alertAfter`, for objects that were stored without it.
const VERIFY_WINDOW: Duration = Duration::from_secs(60);
const ALERT_AFTER: u64 = 3;

/// How a subject is.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Namespace of its incidents.
    pub namespace: String,
    /// Which.
    pub subject: IncidentSubject,
    /// How it is.
    pub state: State,
    /// A failure that is not forgotten yet, whatever the state.
    pub failure: Option<Finding>,
    /// Figures beyond their thresholds: each is a trouble of its own, whatever the state.
    pub alerts: Vec<Finding>,
    /// How long it must be well for its incidents to be over.
    pub settle: Duration,
    /// It could not be looked at: the engine is away.
    pub blind: bool,
}

/// How a subject is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// All is well.
    Fine,
    /// Nobody is to be called; why.
    Wanted(String),
    /// On its way, or not to be seen.
    Between,
    /// Something is wrong.
    Trouble(Finding),
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// In one word.
    pub cause: String,
    /// How bad, once it has lasted for the patience.
    pub severity: AlertSeverity,
    /// How long it is only `info`.
    pub patience: Duration,
    /// For people.
    pub summary: String,
    /// Attempts to mend it.
    pub attempts: u32,
    /// When it failed last, where that is a moment.
    pub failed_at: Option<Timestamp>,
}

impl Facts {
    /// How a Deployment is.
    pub fn of_deployment(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let span = text("/spec/recovery/verifyWindow").parse::<crd::Duration>().map_or(VERIFY_WINDOW, |window| window.0);
        let (state, blind, failure) = deployment_state(object);
        let deleted = object["metadata"]["deletionTimestamp"].is_string();
        Self {
            namespace: text("/metadata/namespace").to_owned(),
            subject: subject(SubjectKind::Deployment, object),
            state: if deleted { State::Wanted("it is being deleted".into()) } else { state },
            failure,
            alerts: super::alerts::findings_of(object),
            settle: span,
            blind: blind && !deleted,
        }
    }

    /// How a Source is.
    pub fn of_source(object: &Value) -> Self {
        let state = match ready(object) {
            _ if object["spec"]["suspend"] == true => State::Wanted("it is suspended".into()),
            Some(("True", ..)) => State::Fine,
            Some(("False", reason, message)) => State::Trouble(Finding {
                cause: reason.to_owned(),
                severity: cause::SOURCE.severity,
                patience: cause::SOURCE.patience,
                summary: message.to_owned(),
                attempts: 0,
                failed_at: None,
            }),
            _ => State::Between,
        };
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let subject = subject(SubjectKind::Source, object);
        Self { namespace, subject, state, failure: None, alerts: vec![], settle: SETTLE, blind: false }
    }

    /// How the host is, by how many Deployments cannot be seen since its engine is away.
    pub fn of_host(blind: usize, why: &str) -> Self {
        let Weight { severity, patience } = cause::ENGINE;
        let state = match blind {
            0 => State::Fine,
            _ => State::Trouble(Finding {
                cause: cause::ENGINE_UNAVAILABLE.to_owned(),
                severity,
                patience,
                summary: why.to_owned(),
                attempts: 0,
                failed_at: None,
            }),
        };
        let subject = IncidentSubject { kind: SubjectKind::Host, name: "host".into(), uid: String::new() };
        Self { namespace: "default".into(), subject, state, failure: None, alerts: vec![], settle: SETTLE, blind: false }
    }

    /// A subject that is not there any more.
    pub fn of_gone(namespace: &str, subject: &IncidentSubject) -> Self {
        Self {
            namespace: namespace.to_owned(),
            subject: subject.clone(),
            state: State::Wanted("it was deleted".into()),
            failure: None,
            alerts: vec![],
            settle: SETTLE,
            blind: false,
        }
    }

    /// Its name, for maps.
    pub fn key(&self) -> (SubjectKind, Key) {
        (self.subject.kind, Key::new(&self.namespace, &self.subject.name))
    }
}

fn subject(kind: SubjectKind, object: &Value) -> IncidentSubject {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    IncidentSubject { kind, name: text("name"), uid: text("uid") }
}

/// The message of the condition `Ready`.
pub fn ready_message(object: &Value) -> &str {
    ready(object).map_or("", |(.., message)| message)
}

/// Status, reason and message of the condition `Ready`.
fn ready(object: &Value) -> Option<(&str, &str, &str)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    let text = |field: &str| ready[field].as_str().unwrap_or_default();
    Some((text("status"), text("reason"), text("message")))
}

fn deployment_state(object: &Value) -> (State, bool, Option<Finding>) {
    let Some((status, reason, message)) = ready(object) else { return (State::Between, false, None) };
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    let given_up = reason == "BackOffExhausted";
    let failure = failure(object, given_up);
    let state = match cause::meaning(status, reason, phase) {
        Meaning::Fine => State::Fine,
        Meaning::Wanted => State::Wanted(first_line(message)),
        Meaning::Between => State::Between,
        Meaning::Blind => return (State::Between, true, failure),
        // What comes next stands in the condition; what is wrong, in the failure.
        Meaning::Failing => State::Trouble(match failure.clone().filter(|_| !given_up) {
            Some(failure) => failure,
            None => Finding { summary: first_line(message), ..failure.clone().unwrap_or_else(|| unexplained(message, given_up)) },
        }),
        Meaning::Trouble(Weight { severity, patience }) => State::Trouble(Finding {
            cause: reason.to_owned(),
            severity,
            patience,
            summary: message.to_owned(),
            attempts: 0,
            failed_at: None,
        }),
    };
    (state, false, failure)
}

/// The failure that the recovery speaks of.
fn failure(object: &Value, given_up: bool) -> Option<Finding> {
    let recovery = object["status"]["recovery"].as_object()?;
    let failure = recovery.get("failure")?;
    let attempts = recovery.get("attempt").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let alert_after = object.pointer("/spec/recovery/alertAfter").and_then(Value::as_u64).unwrap_or(ALERT_AFTER);
    let replica = recovery.get("replica").and_then(Value::as_str).unwrap_or_default();
    let message = failure["message"].as_str().unwrap_or_default();
    Some(Finding {
        cause: if failure["oomKilled"] == true { cause::OUT_OF_MEMORY } else { cause::CRASHED }.to_owned(),
        severity: cause::failing(attempts, u32::try_from(alert_after).unwrap_or(u32::MAX), given_up),
        patience: Duration::ZERO,
        summary: format!("replica {replica} failed: {message}"),
        attempts,
        failed_at: failure["at"].as_str().and_then(|at| at.parse().ok()),
    })
}

/// A failure that nothing more is known of.
fn unexplained(message: &str, given_up: bool) -> Finding {
    Finding {
        cause: cause::CRASHED.to_owned(),
        severity: cause::failing(0, 1, given_up),
        patience: Duration::ZERO,
        summary: first_line(message),
        attempts: 0,
        failed_at: None,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
