//! What an object's status says, as the fold of incidents reads it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::cause::{self, Meaning, Weight};
use super::replicas;
use crate::crd::{self, AlertSeverity, DeploymentStatus, IncidentSubject, SubjectKind};
use crate::model::{Key, WaitReason};

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
    /// What is wrong, or failed and is not forgotten yet; each with another cause or service.
    pub findings: Vec<Finding>,
    /// Replicas that should be ready and are not.
    pub ailing: BTreeSet<String>,
    /// Replicas that people hold, and why each.
    pub held: BTreeMap<String, String>,
    /// Figures beyond their thresholds: each is a trouble of its own, whatever the state.
    pub alerts: Vec<Finding>,
    /// How long it must be well for its incidents to be over.
    pub settle: Duration,
    /// It could not be looked at: the engine is away.
    pub blind: bool,
}

/// How a subject is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Fine,
    /// Nobody is to be called; why.
    Wanted(String),
    /// On its way from one state to another.
    Between,
    /// Something is wrong with it.
    Trouble,
    /// It is not known.
    Unseen,
}

/// Something that is wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// In one word.
    pub cause: String,
    /// How bad, once it has lasted for the patience.
    pub severity: AlertSeverity,
    /// How long it is only `info`.
    pub patience: Duration,
    /// For people.
    pub summary: String,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What makes it the same as an earlier one; empty where there is no diagnosis.
    pub signature: String,
    /// Attempts to mend it.
    pub attempts: u32,
    /// When it failed last, where that is a moment.
    pub failed_at: Option<Timestamp>,
    /// The service that fails; none: it may be about several.
    pub service: Option<String>,
    /// The replicas it is about, `service-number`; none: the whole subject.
    pub replicas: BTreeSet<String>,
    /// Those of them that are given up.
    pub given_up: BTreeSet<String>,
    /// It is so now. Else it failed at a moment, and may be well again.
    pub lasting: bool,
    /// All that it is about is ready all the same: nothing is down for it.
    pub serves: bool,
    /// What it comes from is still being found out.
    pub unread: bool,
}

impl Facts {
    /// How a Deployment is.
    pub fn of_deployment(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let settle = text("/spec/recovery/verifyWindow").parse::<crd::Duration>().map_or(VERIFY_WINDOW, |window| window.0);
        let alert_after = object.pointer("/spec/recovery/alertAfter").and_then(Value::as_u64).unwrap_or(ALERT_AFTER);
        let deleted = object["metadata"]["deletionTimestamp"].is_string();
        let (state, blind) = if deleted { (State::Wanted("it is being deleted".into()), false) } else { state(object) };
        let status = replicas::read(object);
        let alert_after = u32::try_from(alert_after).unwrap_or(u32::MAX);
        let findings = match state {
            State::Wanted(_) | State::Unseen => vec![],
            // Being stopped, as declared.
            State::Between if object["spec"]["state"] == "Stopped" => vec![],
            _ => deployment_findings(object, &status, alert_after),
        };
        Self {
            namespace: text("/metadata/namespace").to_owned(),
            subject: subject(SubjectKind::Deployment, object),
            state,
            findings,
            ailing: replicas::ailing(&status),
            held: replicas::held(&status),
            alerts: if deleted { vec![] } else { super::alerts::findings_of(object) },
            settle,
            blind,
        }
    }

    /// How a Source is.
    pub fn of_source(object: &Value) -> Self {
        let (state, findings) = match ready(object) {
            _ if object["spec"]["suspend"] == true => (State::Wanted("it is suspended".into()), vec![]),
            Some(("True", ..)) => (State::Fine, vec![]),
            Some(("False", reason, message)) => (State::Trouble, vec![Finding::lasting(reason, cause::SOURCE, message)]),
            _ => (State::Between, vec![]),
        };
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let subject = subject(SubjectKind::Source, object);
        Self::without_parts(namespace, subject, state, findings)
    }

    /// How the host is, by how many Deployments cannot be seen since its engine is away.
    pub fn of_host(blind: usize, why: &str) -> Self {
        let (state, findings) = match blind {
            0 => (State::Fine, vec![]),
            _ => (State::Trouble, vec![Finding::lasting(cause::ENGINE_UNAVAILABLE, cause::ENGINE, why)]),
        };
        let subject = IncidentSubject { kind: SubjectKind::Host, name: "host".into(), uid: String::new() };
        Self::without_parts("default", subject, state, findings)
    }

    /// A subject that is not there any more.
    pub fn of_gone(namespace: &str, subject: &IncidentSubject) -> Self {
        Self::without_parts(namespace, subject.clone(), State::Wanted("it was deleted".into()), vec![])
    }

    /// Of what has no replicas and no figures.
    fn without_parts(namespace: &str, subject: IncidentSubject, state: State, findings: Vec<Finding>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            subject,
            state,
            findings,
            ailing: BTreeSet::new(),
            held: BTreeMap::new(),
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

impl Finding {
    /// Something that is so now, of the subject as a whole.
    pub(super) fn lasting(cause: &str, weight: Weight, summary: &str) -> Self {
        let Weight { severity, patience } = weight;
        let evidence = vec![summary.to_owned()];
        let (cause, summary) = (cause.to_owned(), summary.to_owned());
        Self { cause, severity, patience, summary, evidence, lasting: true, ..Self::default() }
    }
}

/// What `Ready` of a Deployment means.
fn meaning_of(object: &Value, (status, reason, _): (&str, &str, &str)) -> Meaning {
    cause::meaning(status, reason, object["status"]["phase"].as_str().unwrap_or_default())
}

/// How a Deployment is, and whether that cannot be seen since the engine is away.
fn state(object: &Value) -> (State, bool) {
    let Some(ready) = ready(object) else { return (State::Unseen, false) };
    match meaning_of(object, ready) {
        Meaning::Fine => (State::Fine, false),
        Meaning::Wanted => (State::Wanted(first_line(ready.2)), false),
        Meaning::Between => (State::Between, false),
        Meaning::Blind => (State::Unseen, true),
        Meaning::Failing | Meaning::Trouble(_) => (State::Trouble, false),
    }
}

/// What is wrong with its replicas, and what `Ready` says beyond that.
fn deployment_findings(object: &Value, status: &DeploymentStatus, alert_after: u32) -> Vec<Finding> {
    let Some(ready @ (_, reason, message)) = ready(object) else { return vec![] };
    let given_up = reason == "BackOffExhausted";
    let mut findings = replicas::findings(status, alert_after, given_up);
    let ailing = replicas::ailing(status);
    // What the mode keeps from being done is the recovery of what failed and is not back.
    let is_withheld = |finding: &Finding| {
        reason == "Withheld" && finding.failed_at.is_some() && finding.replicas.iter().any(|replica| ailing.contains(replica))
    };
    match meaning_of(object, ready) {
        Meaning::Trouble(weight) => {
            let told = |finding: &&mut Finding| {
                is_withheld(finding) || cause::is_told_by(reason, &finding.cause, finding.failed_at.is_some())
            };
            let mut told = findings.iter_mut().filter(told).peekable();
            match told.peek() {
                Some(_) => told.for_each(|finding| {
                    if is_withheld(finding) && !finding.lasting {
                        finding.summary = format!("{}; {}", finding.summary, WaitReason::Withheld);
                    }
                    finding.raise(weight);
                }),
                None => findings.push(Finding::lasting(reason, weight, message)),
            }
        }
        // What comes next stands in the condition; what is wrong, in the failure.
        Meaning::Failing if findings.iter().all(|finding| finding.failed_at.is_none()) => {
            let weight = cause::failing(0, alert_after, given_up);
            findings.push(Finding::lasting(cause::CRASHED, weight, &first_line(message)));
        }
        _ => {}
    }
    findings
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
