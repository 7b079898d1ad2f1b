//! The change feed: a ring of the last changes of each kind that readers follow at their own pace.
//!
//! A writer appends and wakes; it never waits. A reader that falls out of the window gets [`StoreError::Expired`] and
//! lists anew. Kept are 10,000 changes of a kind, or [`ring_bytes`] of them. The ring keeps texts, not parsed objects: a
//! parsed object is five times as large, and those that are current are found through a weak pointer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::watch;

use super::{Change, ChangeKind, Kind, Object, Result, StoreError, lock};

/// Changes kept of a kind.
pub(super) const RING_CHANGES: usize = 10_000;
/// Bytes kept of Deployments, of which a host has most and which change most.
pub(super) const RING_BYTES: usize = 16 << 20;
/// Bytes kept of any other kind: the status of a Source that lists hundreds of files is written with each commit.
const FEW_BYTES: usize = 2 << 20;
/// Changes a reader takes at once.
const GULP: usize = 256;

/// The feeds of all kinds.
pub(super) struct Feed {
    feeds: [Arc<KindFeed>; Kind::ALL.len()],
}

struct KindFeed {
    ring: Mutex<Ring>,
    /// Revision of the newest change; wakes readers.
    tip: watch::Sender<u64>,
}

struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// So many bytes are kept.
    most: usize,
    /// Revision of the last change that is no longer kept.
    dropped: u64,
}

struct Entry {
    revision: u64,
    kind: ChangeKind,
    text: Box<str>,
    current: Weak<Value>,
}

/// Bytes kept of a kind.
fn ring_bytes(kind: Kind) -> usize {
    if kind == Kind::Deployment { RING_BYTES } else { FEW_BYTES }
}

impl Feed {
    /// Empty feeds; changes up to `revision` are not kept.
    pub fn new(revision: u64) -> Self {
        Self { feeds: Kind::ALL.map(|kind| Arc::new(KindFeed::new(revision, ring_bytes(kind)))) }
    }

    fn of(&self, kind: Kind) -> &Arc<KindFeed> {
        // In the order of `Kind::ALL`, which is that of the variants.
        &self.feeds[kind as usize]
    }

    /// Appends a change and wakes the readers.
    pub fn push(&self, kind: Kind, change: &Change) {
        let feed = self.of(kind);
        lock(&feed.ring).push(change);
        feed.tip.send_replace(change.revision);
    }

    /// The next changes of a kind after `since` that are there already.
    pub fn after(&self, kind: Kind, since: u64) -> Result<Vec<Change>> {
        lock(&self.of(kind).ring).after(since).map(Vec::from)
    }

    /// Changes of a kind after `since`, as they come.
    pub fn follow(&self, kind: Kind, since: u64) -> Result<BoxStream<'static, Result<Change>>> {
        let feed = self.of(kind);
        lock(&feed.ring).check(since)?;
        let reader = Reader { tip: feed.tip.subscribe(), feed: Arc::downgrade(feed), position: since, taken: VecDeque::new() };
        Ok(futures::stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Some(Ok(change)) => Some((Ok(change), Some(reader))),
                Some(Err(error)) => Some((Err(error), None)),
                None => None,
            }
        })
        .boxed())
    }
}

impl KindFeed {
    fn new(revision: u64, most: usize) -> Self {
        let ring = Ring { entries: VecDeque::new(), bytes: 0, most, dropped: revision };
        Self { ring: Mutex::new(ring), tip: watch::Sender::new(revision) }
    }
}

impl Ring {
    fn push(&mut self, change: &Change) {
        let text = change.object.to_string().into_boxed_str();
        self.bytes += text.len();
        let current = Arc::downgrade(&change.object);
        self.entries.push_back(Entry { revision: change.revision, kind: change.kind, text, current });
        while self.entries.len() > RING_CHANGES || (self.bytes > self.most && self.entries.len() > 1) {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.text.len();
                self.dropped = oldest.revision;
            }
        }
    }

    fn check(&self, since: u64) -> Result<()> {
        if since >= self.dropped { Ok(()) } else { Err(StoreError::Expired { wanted: since, oldest: self.dropped }) }
    }

    fn after(&self, position: u64) -> Result<VecDeque<Change>> {
        self.check(position)?;
        let start = self.entries.partition_point(|entry| entry.revision <= position);
        self.entries.range(start..).take(GULP).map(Entry::change).collect()
    }
}

impl Entry {
    fn change(&self) -> Result<Change> {
        let object: Object = match self.current.upgrade() {
            Some(object) => object,
            None => Arc::new(serde_json::from_str(&self.text).map_err(|error| StoreError::Corrupt(error.to_string()))?),
        };
        Ok(Change { kind: self.kind, object, revision: self.revision })
    }
}

struct Reader {
    /// Weak, so that the stream ends with the store.
    feed: Weak<KindFeed>,
    tip: watch::Receiver<u64>,
    position: u64,
    taken: VecDeque<Change>,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Change>> {
        loop {
            if let Some(change) = self.taken.pop_front() {
                self.position = change.revision;
                return Some(Ok(change));
            }
            self.tip.mark_unchanged();
            let taken = lock(&self.feed.upgrade()?.ring).after(self.position);
            match taken {
                Ok(changes) if changes.is_empty() => self.tip.changed().await.ok()?,
                Ok(changes) => self.taken = changes,
                Err(expired) => return Some(Err(expired)),
            }
        }
    }
}
