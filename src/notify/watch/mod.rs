//! The worker that notices: it follows the store, folds what it sees into incidents, and puts into the outbox what is to be told.
//!
//! *Order.* An incident is written after the messages it owes are in the outbox. What a SIGKILL cuts off in between is done again at
//! the next start, from the same statuses and with the same ids.
//!
//! *A full disk* is what people must hear of: nothing here waits for a write. What the disk does not take is told from memory, and
//! written when it can be; a restart of the operator until then may tell it once more.

mod incidents;
mod ledger;
mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::ledger::Ledger;
use super::outbox::{Message, Outbox};
use super::route::Draft;
use super::template;
use crate::clock::SharedClock;
use crate::crd::{Alert, Incident, ResourceAlert, SubjectKind};
use crate::model::{About, Happening, Key, Reason, Severity};
use crate::store::{self, Change, Kind, Object, Rest, Store};

/// Pause when the store cannot be read or written.
const RETRY: Duration = Duration::from_secs(1);
/// How long nothing is looked at, at most: a clock that was set is noticed then.
const LOOK: Duration = Duration::from_secs(60);
/// What is followed.
const KINDS: [Kind; 6] = [Kind::Deployment, Kind::Source, Kind::Event, Kind::Alert, Kind::Channel, Kind::Incident];

/// What has incidents.
type Subject = (SubjectKind, Key);

/// Notices, and says what is to be told.
pub struct Notifier {
    store: Store,
    outbox: Outbox,
    clock: SharedClock,
    /// Name of this host, for messages.
    host: String,
    incidents: BTreeMap<Key, Incident>,
    /// Those that the disk did not take as they are here.
    unwritten: BTreeSet<Key>,
    /// When the disk is tried again.
    rest: Rest,
    alerts: BTreeMap<Key, Alert>,
    /// Deployments that cannot be seen, and why.
    blind: BTreeMap<Key, String>,
    /// What of the host is beyond a threshold.
    host_alerts: watch::Receiver<Vec<ResourceAlert>>,
    /// Channels that are there.
    channels: BTreeSet<Key>,
    /// When to look at what again.
    looks: BTreeMap<Look, Timestamp>,
    /// Read once: what the disk did not take of it is here.
    ledger: Option<Ledger>,
}

/// Something that time alone may change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Subject(Subject),
    Incident(Key),
    Report(Key),
    Sweep,
    /// At what the disk did not take.
    Unwritten,
}

impl Notifier {
    /// Does nothing until it is run.
    pub fn new(store: Store, outbox: Outbox, clock: SharedClock, host: String) -> Self {
        Self {
            store,
            outbox,
            clock,
            host,
            incidents: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            rest: Rest::default(),
            alerts: BTreeMap::new(),
            blind: BTreeMap::new(),
            host_alerts: watch::Sender::new(vec![]).subscribe(),
            channels: BTreeSet::new(),
            looks: BTreeMap::new(),
            ledger: None,
        }
    }

    /// One that hears what of the host is beyond a threshold, too.
    pub fn hearing(self, host_alerts: watch::Receiver<Vec<ResourceAlert>>) -> Self {
        Self { host_alerts, ..self }
    }

    /// Works until `stopping`.
    pub async fn run(mut self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            if let Err(error) = self.follow(&stopping).await {
                warn!(%error, "what happens cannot be followed; trying again");
                sleep(RETRY).await;
            }
        }
    }

    /// Looks at everything, then follows what changes, until `stopping`; a step that was begun is ended. An error where it can be
    /// followed no longer.
    async fn follow(&mut self, stopping: &CancellationToken) -> store::Result<()> {
        let streams = KINDS.map(|kind| self.changes(kind)).into_iter().collect::<store::Result<Vec<_>>>()?;
        let mut changes = select_all(streams);
        self.begin().await?;
        loop {
            self.look_again().await?;
            let pause = self.pause();
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                change = changes.next() => match change {
                    None => {
                        sleep(RETRY).await;
                        return Ok(());
                    }
                    Some((kind, change)) => self.see(kind, change?).await?,
                },
                // Who measures may have ended: then it does not change any more.
                Ok(()) = self.host_alerts.changed() => self.host().await?,
                () = sleep(pause) => {}
            }
        }
    }

    fn changes(&self, kind: Kind) -> store::Result<BoxStream<'static, (Kind, store::Result<Change>)>> {
        Ok(self.store.changes(kind, None)?.map(move |change| (kind, change)).boxed())
    }

    /// How long there is nothing to look at.
    fn pause(&self) -> Duration {
        let next = self.looks.values().min();
        let now = self.clock.now();
        next.map_or(LOOK, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default()).min(LOOK)
    }

    async fn see(&mut self, kind: Kind, change: Change) -> store::Result<()> {
        // By level: what counts is how it is now, not how it was when the change was written.
        let key = key_of(&change.object);
        let now = self.store.get(kind, &key)?;
        let (object, gone) = now.map_or((change.object, true), |object| (object, false));
        match kind {
            Kind::Deployment if gone => self.gone(SubjectKind::Deployment, &key).await,
            Kind::Deployment => self.deployment(&key, &object).await,
            Kind::Source if gone => self.gone(SubjectKind::Source, &key).await,
            Kind::Source => self.source(&object).await,
            Kind::Event if gone => Ok(()),
            Kind::Event => self.event(&object).await,
            Kind::Alert if gone => {
                self.alerts.remove(&key);
                self.looks.remove(&Look::Report(key));
                Ok(())
            }
            Kind::Alert => self.alert(&key, &object).await,
            Kind::Channel => self.channel(&key, &object, gone).await,
            Kind::Incident if gone => {
                self.incidents.remove(&key);
                self.unwritten.remove(&key);
                self.looks.remove(&Look::Incident(key));
                Ok(())
            }
            Kind::Incident => self.people_spoke(&key, &object).await,
            Kind::Hold => Ok(()),
        }
    }

    /// Puts messages into the outbox, in the words of their Alerts.
    async fn send(&mut self, drafts: Vec<Draft>) {
        let now = self.clock.now();
        for mut draft in drafts {
            draft.notice = draft.notice.from_host(&self.host);
            if let Some(template) = self.alerts.get(&draft.alert).and_then(|alert| alert.spec.template.as_ref())
                && let Err(why) = template::apply(template, &mut draft.notice)
            {
                warn!(alert = %draft.alert, "told in evenkeel's own words: {why}");
            }
            let channel = draft.channel.clone();
            let lost = self.outbox.put(Message::new(draft, now)).await;
            if !lost.is_empty() {
                let message = format!("{} messages wait, the oldest are given up", super::outbox::MOST);
                self.tell(About::Channel(channel), Reason::QueueFull, Severity::Warning, message).await;
            }
        }
    }

    /// Writes an Event. That it cannot be written stops nothing.
    async fn tell(&self, about: About, reason: Reason, severity: Severity, message: String) {
        let happening = Happening { about, reason, severity, message, trace_id: None };
        if let Err(error) = self.store.tell(happening).await {
            warn!(%error, "an Event could not be written");
        }
    }
}

/// An object as what it is; one that cannot be read is told in the log.
fn typed<T: DeserializeOwned>(object: &Object) -> Option<T> {
    serde_json::from_value(Value::clone(object))
        .map_err(|error| warn!(object = %key_of(object), %error, "a stored object cannot be read"))
        .ok()
}

fn key_of(object: &Value) -> Key {
    let metadata = &object["metadata"];
    Key::new(metadata["namespace"].as_str().unwrap_or("default"), metadata["name"].as_str().unwrap_or_default())
}

/// The name of this host.
pub fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if read.trim().is_empty() { "localhost".to_owned() } else { read.trim().to_owned() }
}
