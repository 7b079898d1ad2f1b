//! The outbox: messages that wait for their delivery, in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::notice::{News, Notice};
use super::route::Draft;
use crate::model::Key;
use crate::store::{self, Store};

/// Messages that wait for a Channel at most; beyond that the oldest go.
pub(super) const MOST: usize = 1000;
/// A message that could not be delivered for so long is given up.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(72);

/// So many messages that wait for their first try become one, and no more than [`PARTS`] of them.
const MANY: usize = 4;
const PARTS: usize = 50;
/// Tries of a message before the others have theirs.
const TRIES: u32 = 5;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Where it goes.
    pub channel: Key,
    /// The Alert that wanted it; absent: a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Key>,
    /// Since when it waits.
    pub since: Timestamp,
    /// It is not sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Attempts that failed.
    #[serde(default)]
    pub tries: u32,
    /// For a test, the wish that it fulfils: it is tried once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// What it was made of, where much was told at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// What.
    pub notice: Notice,
}

impl Message {
    /// What an Alert wants to be sent.
    pub fn new(draft: Draft, now: Timestamp) -> Self {
        let Draft { alert, channel, not_before, notice } = draft;
        Self { channel, alert: Some(alert), since: now, not_before, tries: 0, test: None, parts: vec![], notice }
    }

    /// Whether it may become a part of a larger one.
    fn is_part(&self, now: Timestamp) -> bool {
        let due = self.not_before.is_none_or(|at| at <= now);
        due && self.tries == 0 && self.test.is_none() && self.parts.is_empty() && self.notice.kind != News::Report
    }
}

/// What a Channel has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing waits.
    Nothing,
    /// Nothing before then.
    At(Timestamp),
    /// This one.
    Message(Box<Message>),
}

/// Handle on the outbox; clones share it.
#[derive(Clone)]
pub struct Outbox {
    store: Store,
    queues: Arc<Mutex<BTreeMap<Key, Queue>>>,
    /// Ids of messages that the journal does not have as they are here: the disk did not take that. Held while one is written, so
    /// that the journal ends as memory does.
    owed: Arc<tokio::sync::Mutex<BTreeSet<String>>>,
    changed: watch::Sender<u64>,
}

/// Messages of a Channel, by id.
type Queue = BTreeMap<String, Message>;

impl Outbox {
    /// What the store has. A message that cannot be read is told in the log and left out.
    pub fn open(store: Store) -> Self {
        let mut queues = BTreeMap::<Key, Queue>::new();
        for (id, message) in store.messages::<Message>() {
            match message {
                Ok(message) => drop(queues.entry(message.channel.clone()).or_default().insert(id, message)),
                Err(error) => tracing::warn!(%error, "a message cannot be read and is left out"),
            }
        }
        Self { store, queues: Arc::new(Mutex::new(queues)), owed: Arc::default(), changed: watch::Sender::new(0) }
    }

    /// Takes a message. In the journal when this returns, or in memory alone where the disk does not take it: a full disk is what
    /// people must hear of, and [`Self::settle`] writes it later. One that waits already is left as it is. Returns the messages that
    /// had to go, since too many wait.
    pub async fn put(&self, message: Message) -> Vec<Message> {
        let id = message.notice.id.clone();
        let surplus = {
            let mut queues = self.lock();
            let queue = queues.entry(message.channel.clone()).or_default();
            if queue.contains_key(&id) {
                return vec![];
            }
            queue.insert(id.clone(), message);
            let mut oldest: Vec<(Timestamp, String)> = queue.iter().map(|(id, message)| (message.since, id.clone())).collect();
            oldest.sort();
            let surplus: Vec<String> = oldest.iter().take(queue.len().saturating_sub(MOST)).map(|(_, id)| id.clone()).collect();
            surplus.iter().filter_map(|id| queue.remove(id)).collect::<Vec<_>>()
        };
        self.write(&id).await;
        for message in &surplus {
            self.write(&message.notice.id).await;
        }
        self.wake();
        surplus
    }

    /// Writes what the disk did not take until now.
    ///
    /// # Errors
    /// When it still does not: what rests on it, as an incident that says what was told of it, must not be written either.
    pub async fn settle(&self) -> store::Result<()> {
        let mut owed = self.owed.lock().await;
        while let Some(id) = owed.first().cloned() {
            self.store.put_message(&id, self.message(&id).as_ref()).await?;
            owed.remove(&id);
        }
        Ok(())
    }

    /// Writes a message as it is in memory: or that it is done, if it is not there.
    async fn write(&self, id: &str) {
        let mut owed = self.owed.lock().await;
        match self.store.put_message(id, self.message(id).as_ref()).await {
            Ok(()) => drop(owed.remove(id)),
            Err(error) => {
                if owed.is_empty() {
                    tracing::warn!(id, %error, "the outbox cannot be written; it is kept in memory, and written when it can be");
                }
                owed.insert(id.to_owned());
            }
        }
    }

    fn message(&self, id: &str) -> Option<Message> {
        self.lock().values().find_map(|queue| queue.get(id)).cloned()
    }

    /// Makes one message of those that wait for their first try, if they are many: people are not to be called for each. In the
    /// journal when this returns.
    pub async fn gather(&self, channel: &Key, now: Timestamp) {
        let mut parts: Vec<Message> = {
            let queues = self.lock();
            let queue = queues.get(channel).into_iter().flat_map(BTreeMap::values);
            queue.filter(|message| message.is_part(now)).cloned().collect()
        };
        if parts.len() < MANY {
            return;
        }
        parts.sort_by(|a, b| (a.since, &a.notice.id).cmp(&(b.since, &b.notice.id)));
        parts.truncate(PARTS);
        let notices: Vec<&Notice> = parts.iter().map(|part| &part.notice).collect();
        let whole = Message {
            channel: channel.clone(),
            alert: None,
            since: parts.first().map_or(now, |first| first.since),
            not_before: None,
            tries: 0,
            test: None,
            parts: parts.iter().map(|part| part.notice.id.clone()).collect(),
            notice: Notice::several(&notices, now),
        };
        // A SIGKILL in between leaves parts beside the whole: `tidy` removes them. Where the disk takes nothing, each goes by itself.
        if let Err(error) = self.store.put_message(&whole.notice.id, Some(&whole)).await {
            tracing::debug!(%channel, %error, "many messages cannot be made one");
            return;
        }
        if let Some(queue) = self.lock().get_mut(channel) {
            queue.insert(whole.notice.id.clone(), whole.clone());
        }
        self.drop_parts(&whole).await;
    }

    /// Removes what became part of a larger message. To be called before anything is delivered.
    pub async fn tidy(&self) {
        let wholes: Vec<Message> =
            self.lock().values().flat_map(BTreeMap::values).filter(|message| !message.parts.is_empty()).cloned().collect();
        for whole in wholes {
            self.drop_parts(&whole).await;
        }
    }

    /// All from memory first: nothing is to be delivered beside the whole, whatever the disk takes.
    async fn drop_parts(&self, whole: &Message) {
        if let Some(queue) = self.lock().get_mut(&whole.channel) {
            queue.retain(|id, _| !whole.parts.contains(id));
        }
        for id in &whole.parts {
            self.write(id).await;
        }
    }

    /// Writes down that an attempt failed.
    pub async fn failed(&self, message: &Message) {
        let mut again = message.clone();
        again.tries += 1;
        if let Some(queue) = self.lock().get_mut(&message.channel) {
            queue.insert(message.notice.id.clone(), again);
        }
        self.write(&message.notice.id).await;
    }

    /// Takes a message out: it was delivered, or given up.
    pub async fn remove(&self, message: &Message) {
        // From memory first: where the journal is full it is not to be sent again and again. A new start may send it once more.
        if let Some(queue) = self.lock().get_mut(&message.channel) {
            queue.remove(&message.notice.id);
        }
        self.write(&message.notice.id).await;
    }

    /// Drops what waits for a Channel that is gone.
    pub async fn forget(&self, channel: &Key) {
        let queue = self.lock().remove(channel).unwrap_or_default();
        for id in queue.keys() {
            self.write(id).await;
        }
    }

    /// What a Channel is to send now: the oldest whose time has come. One that its receiver chokes on has a few tries, then it lets
    /// the others by. A test goes first.
    pub fn next(&self, channel: &Key, now: Timestamp) -> Next {
        let queues = self.lock();
        let Some(queue) = queues.get(channel) else { return Next::Nothing };
        let due = queue.values().filter(|message| message.not_before.is_none_or(|at| at <= now));
        let first = due.min_by_key(|message| (message.test.is_none(), message.tries / TRIES, message.since, &message.notice.id));
        match (first, queue.values().filter_map(|message| message.not_before).min()) {
            (Some(message), _) => Next::Message(Box::new(message.clone())),
            (None, Some(at)) => Next::At(at),
            (None, None) => Next::Nothing,
        }
    }

    /// Messages that wait for a Channel.
    pub fn len(&self, channel: &Key) -> usize {
        self.lock().get(channel).map_or(0, BTreeMap::len)
    }

    /// Messages that have waited too long.
    pub fn expired(&self, channel: &Key, now: Timestamp) -> Vec<Message> {
        let queues = self.lock();
        let messages = queues.get(channel).into_iter().flat_map(BTreeMap::values);
        messages
            .filter(|message| now.duration_since(message.since.max(message.not_before.unwrap_or(message.since))) > LONGEST)
            .cloned()
            .collect()
    }

    /// Tells when something was put in.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
