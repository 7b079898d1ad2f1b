//! Incidents: folded, told, written, and forgotten when they are old.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tracing::warn;

use super::{Look, Notifier, Subject, key_of, typed};
use crate::crd::{AlertSeverity, Incident, IncidentStatus, SubjectKind, TimelineEntry};
use crate::incident::{Facts, Folded, fold};
use crate::model::{About, Key, Reason, Severity};
use crate::notify::route::{Routed, route};
use crate::store::{self, Kind, Object, Part, StoreError};

/// How long an incident that is over is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Incidents that are over and kept; beyond that the oldest go.
const MOST: usize = 500;
/// Between two looks for incidents that are past their time.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

impl Notifier {
    /// Folds how a subject is into its incidents, and tells what comes of it.
    pub(super) async fn fold(&mut self, facts: &Facts) -> store::Result<()> {
        let subject = facts.key();
        let of_it: Vec<Incident> = self.incidents.values().filter(|incident| subject_of(incident) == subject).cloned().collect();
        self.bury(&of_it, facts).await?;
        let Folded { changed, look_again } = fold(&of_it, facts, self.clock.now());
        match look_again {
            Some(at) => drop(self.looks.insert(Look::Subject(subject), at)),
            None => drop(self.looks.remove(&Look::Subject(subject))),
        }
        for incident in changed {
            self.apply(incident).await?;
        }
        Ok(())
    }

    /// Ends the incidents of namesakes that are gone.
    async fn bury(&mut self, incidents: &[Incident], facts: &Facts) -> store::Result<()> {
        let over = |incident: &&Incident| incident.status.as_ref().is_some_and(|status| status.phase.is_over());
        let namesakes = incidents.iter().filter(|incident| incident.spec.subject.uid != facts.subject.uid && !over(incident));
        for incident in namesakes {
            let gone = Facts::of_gone(&facts.namespace, &incident.spec.subject);
            for ended in fold(incidents, &gone, self.clock.now()).changed {
                self.apply(ended).await?;
            }
        }
        Ok(())
    }

    /// Tells and writes an incident that is new or different.
    async fn apply(&mut self, mut incident: Incident) -> store::Result<()> {
        let key = key_of_incident(&incident);
        let before = self.incidents.get(&key).and_then(|known| known.status.clone()).unwrap_or_default();
        // Its uid is in the ids of its messages.
        if self.rests() {
            self.unwritten.insert(key.clone());
        } else {
            match self.write_main(&mut incident).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => self.not_written(&key, &error),
            }
        }
        let after = incident.status.clone().unwrap_or_default();
        self.tell_people(incident).await?;
        self.tell_events(&key, &before, &after).await;
        Ok(())
    }

    /// Puts into the outbox what is to be told of an incident, then writes its status. A disk that is full keeps nobody from being
    /// told: what cannot be written is kept in this process until it can.
    pub(super) async fn tell_people(&mut self, mut incident: Incident) -> store::Result<()> {
        let key = key_of_incident(&incident);
        let labels = self.labels(&incident)?;
        let alerts: Vec<_> = self.alerts.values().cloned().collect();
        let Routed { drafts, told, look_again } = route(&incident, &labels, &alerts, self.clock.now());
        match look_again {
            Some(at) => drop(self.looks.insert(Look::Incident(key.clone()), at)),
            None => drop(self.looks.remove(&Look::Incident(key.clone()))),
        }
        self.send(drafts).await;
        incident.status.get_or_insert_default().told = told;
        let known = self.incidents.get(&key).is_some_and(|known| known.status == incident.status);
        if known && !self.unwritten.contains(&key) {
            return Ok(());
        }
        if self.rests() {
            self.unwritten.insert(key.clone());
            self.incidents.insert(key, incident);
            return Ok(());
        }
        // What says that it was told is not on disk before what is to be told is.
        let written = match self.outbox.settle().await {
            Ok(()) => self.write(&key, &mut incident).await,
            Err(error) => Err(error),
        };
        match written {
            // Somebody deleted it meanwhile.
            Ok(false) => {
                self.unwritten.remove(&key);
                self.incidents.remove(&key);
            }
            Ok(true) => {
                self.unwritten.remove(&key);
                self.incidents.insert(key, incident);
                self.rest.worked();
            }
            Err(error) => {
                self.not_written(&key, &error);
                self.incidents.insert(key, incident);
            }
        }
        Ok(())
    }

    /// Whether nothing is written for a while, since the disk took nothing the last time.
    fn rests(&self) -> bool {
        self.rest.until(self.clock.now()).is_some()
    }

    /// An incident could not be written: all that were not are tried again together, less and less often.
    fn not_written(&mut self, key: &Key, error: &StoreError) {
        let now = self.clock.now();
        if self.rest.failed(now) {
            warn!(incident = %key, %error, "incidents cannot be written; they are told, and written when that can be");
        }
        self.looks.extend(self.rest.until(now).map(|again| (Look::Unwritten, again)));
        self.unwritten.insert(key.clone());
    }

    /// Writes what could not be written before, until one cannot again.
    pub(super) async fn write_again(&mut self) -> store::Result<()> {
        for key in self.unwritten.clone() {
            if self.rests() {
                return Ok(());
            }
            if let Some(incident) = self.incidents.get(&key).cloned() {
                self.tell_people(incident).await?;
            }
        }
        Ok(())
    }

    /// Writes an incident. `false`: it is not there any more.
    async fn write(&self, key: &Key, incident: &mut Incident) -> store::Result<bool> {
        if self.unwritten.contains(key) && !self.write_main(incident).await? {
            return Ok(false);
        }
        let status = serde_json::to_value(&incident.status).unwrap_or_default();
        let write = move |object: &mut Value| {
            object["status"] = status;
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Incident, key, Part::Status, None, write).await {
            Ok(object) => {
                if let Some(written) = typed::<Incident>(&object) {
                    *incident = written;
                }
                Ok(true)
            }
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes what of an incident is not its status: that it is there, and its cause. `false`: it is not there any more.
    async fn write_main(&self, incident: &mut Incident) -> store::Result<bool> {
        if incident.metadata.uid.is_none() {
            let Some(made) = self.create(incident).await? else { return Ok(false) };
            incident.metadata = made.metadata;
            return Ok(true);
        }
        let key = key_of_incident(incident);
        let Some(stored) = self.store.get(Kind::Incident, &key)? else { return Ok(false) };
        let cause = incident.spec.cause.clone();
        if stored["spec"]["cause"] == *cause {
            return Ok(true);
        }
        let write = move |object: &mut Value| {
            object["spec"]["cause"] = cause.into();
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Incident, &key, Part::Main, None, write).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, incident: &Incident) -> store::Result<Option<Incident>> {
        let object = serde_json::to_value(incident).unwrap_or_default();
        match self.store.create(Kind::Incident, object).await {
            Ok(object) => Ok(typed(&object)),
            // Made before a SIGKILL and not known here: read anew.
            Err(StoreError::AlreadyExists { .. }) => {
                let key = key_of_incident(incident);
                Ok(self.store.get(Kind::Incident, &key)?.and_then(|object| typed(&object)))
            }
            Err(error) => Err(error),
        }
    }

    /// Labels of the Deployment that an incident is about.
    pub(super) fn labels(&self, incident: &Incident) -> store::Result<BTreeMap<String, String>> {
        let (kind, key) = subject_of(incident);
        if kind != SubjectKind::Deployment {
            return Ok(BTreeMap::new());
        }
        let object = self.store.get(Kind::Deployment, &key)?;
        let labels = object.map(|object| object["metadata"]["labels"].clone()).unwrap_or_default();
        Ok(serde_json::from_value(labels).unwrap_or_default())
    }

    /// What happened to an incident, as Events about its subject: only once it is more than a crash that is being mended.
    async fn tell_events(&self, key: &Key, before: &IncidentStatus, after: &IncidentStatus) {
        let Some(incident) = self.incidents.get(key) else { return };
        let fresh = |entry: &&TimelineEntry| !before.timeline.contains(entry);
        for entry in after.timeline.iter().filter(fresh) {
            let opened = before.severity < AlertSeverity::Warning || before.openings != after.openings;
            let (reason, severity) = match entry.what.as_str() {
                "Escalated" if opened => (Reason::IncidentOpened, Severity::Warning),
                "Escalated" => (Reason::IncidentEscalated, Severity::Warning),
                "Resolved" | "Closed" if after.severity >= AlertSeverity::Warning => (Reason::IncidentResolved, Severity::Normal),
                _ => continue,
            };
            let (kind, subject) = subject_of(incident);
            let about = match kind {
                SubjectKind::Deployment => About::Deployment(subject, None),
                SubjectKind::Source => About::Source(subject),
                SubjectKind::Host => About::Host,
            };
            self.tell(about, reason, severity, format!("incident {}: {}", key.name, entry.message)).await;
        }
    }

    /// An incident that is another one: a person may have spoken.
    pub(super) async fn people_spoke(&mut self, key: &Key, object: &Object) -> store::Result<()> {
        let Some(mut incident) = typed::<Incident>(object) else { return Ok(()) };
        if let Some(known) = self.incidents.get(key).filter(|_| self.unwritten.contains(key)) {
            incident.status.clone_from(&known.status);
            incident.spec.cause.clone_from(&known.spec.cause);
        }
        let known = self.incidents.insert(key.clone(), incident.clone());
        if known.is_some_and(|known| known.spec == incident.spec) {
            return Ok(());
        }
        self.look_at(&subject_of(&incident)).await?;
        match self.incidents.get(key).cloned() {
            Some(incident) => self.tell_people(incident).await,
            None => Ok(()),
        }
    }

    /// Removes incidents that are past their time.
    pub(super) async fn sweep(&mut self) {
        let now = self.clock.now();
        let ended = |incident: &Incident| {
            let status = incident.status.as_ref().filter(|status| status.phase.is_over())?;
            status.resolved_at.as_ref().map(|at| at.0)
        };
        let mut over: Vec<(Timestamp, Key)> =
            self.incidents.iter().filter_map(|(key, incident)| Some((ended(incident)?, key.clone()))).collect();
        over.sort();
        let surplus = over.len().saturating_sub(MOST);
        let old = over.iter().enumerate().filter(|(index, (at, _))| *index < surplus || now.duration_since(*at) > KEPT);
        for (_, (_, key)) in old {
            match self.store.delete(Kind::Incident, key, None).await {
                Ok(_) | Err(StoreError::NotFound { .. }) => drop(self.incidents.remove(key)),
                Err(error) => {
                    warn!(incident = %key, %error, "an old incident cannot be removed; it is tried again");
                    break;
                }
            }
        }
        self.looks.insert(Look::Sweep, now.saturating_add(SWEEP).unwrap_or(now));
    }
}

/// What an incident is about.
pub(super) fn subject_of(incident: &Incident) -> Subject {
    let namespace = incident.metadata.namespace.as_deref().unwrap_or("default");
    (incident.spec.subject.kind, Key::new(namespace, &incident.spec.subject.name))
}

fn key_of_incident(incident: &Incident) -> Key {
    let metadata = &incident.metadata;
    Key::new(metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default())
}

/// Incidents as the store has them.
pub(super) fn all(objects: &[Object]) -> BTreeMap<Key, Incident> {
    objects.iter().filter_map(|object| Some((key_of(object), typed(object)?))).collect()
}
