//! Holds what was sampled against what is declared, and writes down what comes of it: in the status of Deployments, in a note of
//! the host's, and as Events.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tracing::warn;

use super::alerts::{Check, Watched};
use super::counters::Point;
use super::history::{History, name_of};
use super::host::HostPoint;
use super::rules::{Figures, of_host, of_replica};
use super::sampler::DEADLINE;
use crate::crd::{AlertState, HostMonitoring, Monitoring, ResourceAlert};
use crate::model::{About, Happening, Key, Reason, ReplicaId, Severity};
use crate::store::{self, Kind, Object, Part, Rest, Store, StoreError};

/// The store's name for what is known of the host.
const NOTE: &str = "host-alerts";

/// So many samples may be missing before that is a gap, beside the time that the engine takes to answer where it is asked.
const MISSING: u32 = 3;

/// Phases in which attempts of the past are nobody's trouble.
const QUIET: [&str; 3] = ["Stopped", "Suspended", "Completed"];

/// A container that was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// What it used.
    pub point: Point,
    /// Bytes of memory it may use at most, if somebody says so.
    pub memory_limit: Option<u64>,
}

/// What was sampled, by name of the replica.
pub(super) type Sampled = HashMap<String, Measured>;

/// Holds figures against rules.
pub(super) struct Monitor {
    store: Store,
    history: Arc<History>,
    host_rules: HostMonitoring,
    host: Watched,
    /// By uid: a namesake has alerts of its own.
    deployments: BTreeMap<String, Watched>,
    gap: SignedDuration,
    /// When the disk is tried again.
    rest: Rest,
}

/// A Deployment of which something is watched, or was.
struct Subject<'a> {
    key: Key,
    uid: &'a str,
    object: &'a Value,
}

impl Monitor {
    /// One that goes on where the store says that the one before was.
    pub fn new(store: Store, history: Arc<History>, host_rules: HostMonitoring, period: Duration) -> Self {
        let known = store.note(NOTE).unwrap_or_else(|error| {
            warn!(%error, "alerts of the host cannot be read; they begin anew");
            None
        });
        let known: Vec<ResourceAlert> = known.and_then(|known| serde_json::from_value(known).ok()).unwrap_or_default();
        history.set_host_alerts(&known);
        let gap =
            SignedDuration::try_from(period.saturating_mul(MISSING).saturating_add(DEADLINE)).unwrap_or(SignedDuration::MAX);
        Self {
            store,
            history,
            host_rules,
            host: Watched::restored(known),
            deployments: BTreeMap::new(),
            gap,
            rest: Rest::default(),
        }
    }

    /// Looks at what was sampled of the machine.
    pub async fn look_at_host(&mut self, point: &HostPoint, now: Timestamp) {
        self.hold_host_against(&of_host(&self.host_rules, point), now).await;
    }

    /// The host is not looked at any more: what fired is over.
    pub async fn look_away_from_host(&mut self, now: Timestamp) {
        self.hold_host_against(&[], now).await;
    }

    async fn hold_host_against(&mut self, checks: &[Check], now: Timestamp) {
        let turned = self.host.step(checks, now, self.gap);
        let shown = self.host.shown();
        self.history.set_host_alerts(&shown);
        let alerts = (!shown.is_empty()).then(|| json!(shown));
        let is_known = self.store.note(NOTE).is_ok_and(|known| known == alerts);
        if !is_known && self.rest.until(now).is_none() {
            let written = self.store.put_note(NOTE, alerts).await;
            self.note_written(&About::Host, written, now);
        }
        self.tell(&About::Host, turned).await;
    }

    /// Whether a write worked; where it did not, nothing is written for a while.
    fn note_written(&mut self, about: &About, written: store::Result<()>, now: Timestamp) {
        match written {
            Ok(()) => self.rest.worked(),
            Err(error) if self.rest.failed(now) => warn!(?about, %error, "alerts cannot be written; they are when that can be"),
            Err(_) => {}
        }
    }

    /// Looks at all Deployments.
    pub async fn look_at(&mut self, objects: &[Object], sampled: &Sampled, now: Timestamp) {
        let mut before = std::mem::take(&mut self.deployments);
        for object in objects {
            let Some(subject) = Subject::of(object) else { continue };
            let known = before.remove(subject.uid);
            let stored = &object["status"]["alerts"];
            if subject.object["spec"]["monitoring"].is_null() && stored.is_null() && known.is_none() {
                continue;
            }
            let restored = || Watched::restored(serde_json::from_value(stored.clone()).unwrap_or_default());
            let mut watched = known.unwrap_or_else(restored);
            let checks = subject.checks(&self.history, sampled, now);
            let turned = watched.step(&checks, now, self.gap);
            let alerts = shown(&watched);
            let about = About::Deployment(subject.key.clone(), Some(subject.uid.to_owned()));
            if *stored != alerts && self.rest.until(now).is_none() {
                let written = self.write(&subject, alerts).await;
                self.note_written(&about, written, now);
            }
            self.tell(&about, turned).await;
            self.deployments.insert(subject.uid.to_owned(), watched);
        }
    }

    /// Writes alerts into the status. The rest of it is the controller's.
    async fn write(&self, subject: &Subject<'_>, alerts: Value) -> store::Result<()> {
        let uid = subject.uid.to_owned();
        let write = move |object: &mut Value| {
            // A namesake was made meanwhile, or nobody looked at this one yet.
            if object["metadata"]["uid"] == *uid
                && let Some(status) = object["status"].as_object_mut()
            {
                status.shift_remove("alerts");
                if !alerts.is_null() {
                    status.insert("alerts".to_owned(), alerts);
                }
            }
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Deployment, &subject.key, Part::Status, None, write).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn tell(&self, about: &About, turned: Vec<ResourceAlert>) {
        for alert in turned {
            let (reason, severity) = match alert.state {
                AlertState::Resolved => (Reason::AlertResolved, Severity::Normal),
                AlertState::Firing | AlertState::Pending => (Reason::AlertFiring, Severity::Warning),
            };
            let message = format!("{}: {}", alert.cause, alert.message);
            let happening = Happening { about: about.clone(), reason, severity, message, trace_id: None };
            if let Err(error) = self.store.tell(happening).await {
                warn!(%error, "an Event could not be written");
            }
        }
    }
}

/// What a status is to say.
fn shown(watched: &Watched) -> Value {
    let alerts = watched.shown();
    if alerts.is_empty() { Value::Null } else { json!(alerts) }
}

impl<'a> Subject<'a> {
    fn of(object: &'a Value) -> Option<Self> {
        let text = |field: &str| object["metadata"][field].as_str();
        Some(Self { key: Key::new(text("namespace")?, text("name")?), uid: text("uid")?, object })
    }

    /// All figures of its replicas, held against its rules.
    fn checks(&self, history: &History, sampled: &Sampled, now: Timestamp) -> Vec<Check> {
        let written = &self.object["spec"]["monitoring"];
        if written.is_null() || self.object["metadata"]["deletionTimestamp"].is_string() {
            return vec![];
        }
        let rules: Monitoring = match serde_json::from_value(written.clone()) {
            Ok(rules) => rules,
            Err(error) => {
                warn!(deployment = %self.key, %error, "spec.monitoring cannot be read; nothing is watched");
                return vec![];
            }
        };
        let quiet = self.object["status"]["phase"].as_str().is_some_and(|phase| QUIET.contains(&phase));
        let mut checks = vec![];
        for (replica, container) in containers(self.object) {
            let (name, measured) = (replica.to_string(), sampled.get(&name_of(&self.key, &replica)));
            let mut rules = rules.of(&replica.service);
            if quiet && rules.restarts.is_some() {
                rules = Cow::Owned(crate::crd::Rules { restarts: None, ..rules.into_owned() });
            }
            let figures = Figures {
                name: &name,
                point: measured.map(|measured| &measured.point),
                memory_limit: measured.and_then(|measured| measured.memory_limit),
                started_at: container["startedAt"].as_str().and_then(|at| at.parse().ok()),
                running: container["state"] == "running",
                restarts: container["restarts"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or_default(),
            };
            checks.extend(of_replica(&rules, &figures, &(history, &self.key), now));
        }
        checks
    }
}

/// The containers that a Deployment's status names, each replica once.
pub(super) fn containers(object: &Value) -> Vec<(ReplicaId, &Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let services = object["status"]["services"].as_array().into_iter().flatten();
    let containers = services.flat_map(|service| {
        let containers = service["containers"].as_array().into_iter().flatten();
        containers.map(move |container| {
            let number = container["replica"].as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default();
            (ReplicaId { service: text(&service["name"]), number }, container)
        })
    });
    containers.collect()
}

#[cfg(test)]
mod tests;
