//! What is looked at: all of it at the start, then what changed or what time changed.

use std::collections::BTreeSet;

use serde_json::Value;
use tracing::warn;

use super::incidents::{all, subject_of};
use super::ledger::Ledger;
use super::{Look, Notifier, Subject, key_of, typed};
use crate::crd::{Alert, AlertSeverity, Incident, SubjectKind};
use crate::incident::cause::RECOVERED;
use crate::incident::{Facts, facts};
use crate::model::{Key, Reason, annotations};
use crate::notify::notice::{Notice, id_of};
use crate::notify::outbox::Message;
use crate::notify::report;
use crate::notify::route::{announce, channels, key_of as alert_key};
use crate::notify::{status, template};
use crate::store::{self, Kind, Object, Part, StoreError};

impl Notifier {
    /// Looks at everything there is.
    pub(super) async fn begin(&mut self) -> store::Result<()> {
        self.looks.clear();
        if !self.unwritten.is_empty() {
            self.looks.insert(Look::Unwritten, self.clock.now());
        }
        self.blind.clear();
        let mut incidents = all(&self.store.list(Kind::Incident, None)?.items);
        let unwritten = self.unwritten.iter().filter_map(|key| Some((key.clone(), self.incidents.get(key)?.clone())));
        incidents.extend(unwritten);
        self.incidents = incidents;
        self.channels = self.store.list(Kind::Channel, None)?.items.iter().map(|object| key_of(object)).collect();
        let alerts = self.store.list(Kind::Alert, None)?.items;
        self.alerts = alerts.iter().filter_map(|object| Some((key_of(object), typed::<Alert>(object)?))).collect();
        let events = self.store.list(Kind::Event, None)?.items;
        self.open_ledger(&events).await?;
        self.sweep().await;
        let deployments = self.store.list(Kind::Deployment, None)?.items;
        let sources = self.store.list(Kind::Source, None)?.items;
        self.miss(&deployments, &sources).await?;
        for deployment in &deployments {
            self.deployment(&key_of(deployment), deployment).await?;
        }
        for source in &sources {
            self.source(source).await?;
        }
        self.host().await?;
        for key in self.alerts.keys().cloned().collect::<Vec<_>>() {
            self.show_alert(&key).await;
            self.report(&key).await?;
        }
        self.route_all().await?;
        for event in &events {
            self.event(event).await?;
        }
        for channel in self.store.list(Kind::Channel, None)?.items {
            self.test(&key_of(&channel), &channel).await?;
        }
        Ok(())
    }

    /// Reads the ledger. At the very first start there is none: what happened before it is not told.
    async fn open_ledger(&mut self, events: &[Object]) -> store::Result<()> {
        if self.ledger.is_some() {
            return Ok(());
        }
        if let Some(ledger) = Ledger::load(&self.store)? {
            self.ledger = Some(ledger);
            return Ok(());
        }
        let there = summaries(events);
        let ledger = self.ledger.insert(Ledger::default());
        for event in events.iter().filter(|event| is_summary(event)) {
            ledger.note_event(event_name(event), last_seen(event), &there);
        }
        ledger.save(&self.store).await;
        Ok(())
    }

    /// Looks at what time may have changed.
    pub(super) async fn look_again(&mut self) -> store::Result<()> {
        let now = self.clock.now();
        let due: Vec<Look> = self.looks.iter().filter(|(_, at)| **at <= now).map(|(look, _)| look.clone()).collect();
        for look in due {
            self.looks.remove(&look);
            match look {
                Look::Subject(subject) => self.look_at(&subject).await?,
                Look::Incident(key) => {
                    if let Some(incident) = self.incidents.get(&key).cloned() {
                        self.tell_people(incident).await?;
                    }
                }
                Look::Report(alert) => self.report(&alert).await?,
                Look::Sweep => self.sweep().await,
                Look::Unwritten => self.write_again().await?,
            }
        }
        Ok(())
    }

    /// Looks at a subject as the store has it now.
    pub(super) async fn look_at(&mut self, subject: &Subject) -> store::Result<()> {
        match subject {
            (SubjectKind::Host, _) => self.host().await,
            (SubjectKind::Deployment, key) => match self.store.get(Kind::Deployment, key)? {
                Some(object) => self.deployment(key, &object).await,
                None => self.gone(SubjectKind::Deployment, key).await,
            },
            (SubjectKind::Source, key) => match self.store.get(Kind::Source, key)? {
                Some(object) => self.source(&object).await,
                None => self.gone(SubjectKind::Source, key).await,
            },
        }
    }

    pub(super) async fn deployment(&mut self, key: &Key, object: &Value) -> store::Result<()> {
        let facts = Facts::of_deployment(object);
        let was_blind = !self.blind.is_empty();
        if facts.blind {
            let why = facts::ready_message(object).to_owned();
            self.blind.insert(key.clone(), why);
        } else {
            self.blind.remove(key);
        }
        self.fold(&facts).await?;
        if was_blind || !self.blind.is_empty() { self.host().await } else { Ok(()) }
    }

    pub(super) async fn source(&mut self, object: &Value) -> store::Result<()> {
        self.fold(&Facts::of_source(object)).await
    }

    pub(super) async fn host(&mut self) -> store::Result<()> {
        let why = self.blind.values().next().cloned().unwrap_or_default();
        let alerts = self.host_alerts.borrow_and_update().clone();
        self.fold(&Facts::of_host(self.blind.len(), &why).alerting(&alerts)).await
    }

    /// Something is not there any more: its incidents are over.
    pub(super) async fn gone(&mut self, kind: SubjectKind, key: &Key) -> store::Result<()> {
        let subject = (kind, key.clone());
        let of_it: Vec<Incident> = self.incidents.values().filter(|incident| subject_of(incident) == subject).cloned().collect();
        for incident in of_it {
            self.fold(&Facts::of_gone(&key.namespace, &incident.spec.subject)).await?;
        }
        if kind == SubjectKind::Deployment && self.blind.remove(key).is_some() { self.host().await } else { Ok(()) }
    }

    /// Ends incidents whose subject went while nobody looked.
    async fn miss(&mut self, deployments: &[Object], sources: &[Object]) -> store::Result<()> {
        let lives = |incident: &Incident| {
            let (kind, key) = subject_of(incident);
            let objects = match kind {
                SubjectKind::Deployment => deployments,
                SubjectKind::Source => sources,
                SubjectKind::Host => return true,
            };
            objects.iter().any(|object| key_of(object) == key)
        };
        let over = |incident: &Incident| incident.status.as_ref().is_some_and(|status| status.phase.is_over());
        let dead: Vec<Incident> =
            self.incidents.values().filter(|incident| !lives(incident) && !over(incident)).cloned().collect();
        for incident in dead {
            let (_, key) = subject_of(&incident);
            self.fold(&Facts::of_gone(&key.namespace, &incident.spec.subject)).await?;
        }
        Ok(())
    }

    pub(super) async fn alert(&mut self, key: &Key, object: &Object) -> store::Result<()> {
        let Some(alert) = typed::<Alert>(object) else { return Ok(()) };
        let known = self.alerts.insert(key.clone(), alert.clone());
        if known.is_some_and(|known| known.spec == alert.spec && known.metadata.uid == alert.metadata.uid) {
            return Ok(());
        }
        self.show_alert(key).await;
        self.report(key).await?;
        self.route_all().await
    }

    /// Holds every incident of which something may be told against the Alerts.
    async fn route_all(&mut self) -> store::Result<()> {
        let worth = |incident: &Incident| {
            let Some(status) = &incident.status else { return true };
            !status.phase.is_over() || status.told.iter().any(|told| !told.resolved)
        };
        let all: Vec<Incident> = self.incidents.values().filter(|incident| worth(incident)).cloned().collect();
        for incident in all {
            self.tell_people(incident).await?;
        }
        Ok(())
    }

    /// Says in an Alert's status whether it can do its work.
    async fn show_alert(&mut self, key: &Key) {
        let Some(alert) = self.alerts.get(key) else { return };
        let all = channels(alert);
        let missing: Vec<String> =
            all.iter().filter(|channel| !self.channels.contains(channel)).map(ToString::to_string).collect();
        let broken = alert.spec.template.as_ref().and_then(|template| template::check(template).err());
        let (value, reason, message) = match (missing.as_slice(), broken) {
            ([], None) => ("True", Reason::Routed, format!("told on {} channels", all.len())),
            ([], Some(why)) => ("False", Reason::TemplateBroken, format!("told in evenkeel's own words: {why}")),
            (missing, _) => {
                ("False", Reason::ChannelMissing, format!("there is no Channel {}: what is for it waits", missing.join(", ")))
            }
        };
        let before = alert.status.clone();
        let mut after = before.clone().unwrap_or_default();
        after.observed_generation = alert.metadata.generation.unwrap_or_default();
        status::set(&mut after.conditions, after.observed_generation, value, reason, &message, self.clock.now());
        if before.as_ref() == Some(&after) {
            return;
        }
        let status = serde_json::to_value(after).unwrap_or_default();
        let write = move |object: &mut Value| {
            object["status"] = status;
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Alert, key, Part::Status, None, write).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => warn!(alert = %key, %error, "the status of an Alert cannot be written"),
        }
    }

    pub(super) async fn channel(&mut self, key: &Key, object: &Object, gone: bool) -> store::Result<()> {
        let other = if gone { self.channels.remove(key) } else { self.channels.insert(key.clone()) };
        if other {
            for alert in self.alerts.keys().cloned().collect::<Vec<_>>() {
                self.show_alert(&alert).await;
            }
        }
        if gone { Ok(()) } else { self.test(key, object).await }
    }

    /// Puts a test message into the outbox, if one was asked for and not made yet.
    async fn test(&mut self, key: &Key, channel: &Value) -> store::Result<()> {
        let Some(asked) = channel["metadata"]["annotations"][annotations::TESTED_AT].as_str() else { return Ok(()) };
        if channel["status"]["test"]["requestedAt"].as_str() == Some(asked) {
            return Ok(());
        }
        let now = self.clock.now();
        let uid = channel["metadata"]["uid"].as_str().unwrap_or_default();
        let notice = Notice::test(key, uid, asked, now).from_host(&self.host);
        let message = Message {
            channel: key.clone(),
            alert: None,
            since: now,
            not_before: None,
            tries: 0,
            test: Some(asked.into()),
            parts: vec![],
            notice,
        };
        self.outbox.put(message).await;
        Ok(())
    }

    /// Tells the summary after a restart of the host or the daemon, once.
    pub(super) async fn event(&mut self, event: &Value) -> store::Result<()> {
        let (name, last) = (event_name(event), last_seen(event));
        if !is_summary(event) || self.ledger.as_ref().is_some_and(|ledger| ledger.has_event(name, last)) {
            return Ok(());
        }
        let now = self.clock.now();
        let message = event["message"].as_str().unwrap_or_default();
        let alerts: Vec<Alert> = self.alerts.values().cloned().collect();
        let drafts = announce(&alerts, AlertSeverity::Warning, RECOVERED, now, |alert, channel| {
            let uid = alert.metadata.uid.as_deref().unwrap_or_default();
            Notice::recovered(id_of(&[name, last, uid, &channel.to_string()]), message, now)
        });
        self.send(drafts).await;
        let there = self.store.list(Kind::Event, None)?.items;
        let ledger = self.ledger.get_or_insert_default();
        ledger.note_event(name, last, &summaries(&there));
        ledger.save(&self.store).await;
        Ok(())
    }

    /// Makes the reports of an Alert that are due, and notes when the next one is.
    async fn report(&mut self, key: &Key) -> store::Result<()> {
        let Some(alert) = self.alerts.get(key).cloned() else { return Ok(()) };
        let now = self.clock.now();
        let sent = |period| self.ledger.as_ref().and_then(|ledger| ledger.report(key, period));
        for (period, slot) in report::due(&alert, sent, now) {
            let labelled = |incident: &Incident| Ok((incident.clone(), self.labels(incident)?));
            let incidents = self.incidents.values().map(labelled).collect::<store::Result<Vec<_>>>()?;
            let drafts = report::drafts(&alert, (period, slot), &incidents, now);
            self.send(drafts).await;
            let alerts: Vec<Key> = self.alerts.values().map(alert_key).collect();
            let ledger = self.ledger.get_or_insert_default();
            ledger.note_report(key, period, slot, alerts.into_iter());
            ledger.save(&self.store).await;
        }
        match report::next(&alert, now) {
            Some(at) => drop(self.looks.insert(Look::Report(key.clone()), at)),
            None => drop(self.looks.remove(&Look::Report(key.clone()))),
        }
        Ok(())
    }
}

/// Names of the summaries among Events.
fn summaries(events: &[Object]) -> BTreeSet<String> {
    events.iter().filter(|event| is_summary(event)).map(|event| event_name(event).to_owned()).collect()
}

/// Whether an Event is the summary after a restart.
fn is_summary(event: &Value) -> bool {
    event["reason"] == RECOVERED && event["involvedObject"]["kind"] == "Host"
}

fn event_name(event: &Value) -> &str {
    event["metadata"]["name"].as_str().unwrap_or_default()
}

fn last_seen(event: &Value) -> &str {
    event["lastTimestamp"].as_str().unwrap_or_default()
}
