//! Gets in touch with the engine, and finds out what lies between the last event processed and now.

use std::sync::PoisonError;
use std::time::Duration;

use futures::StreamExt;

use crate::clock::Timestamp;
use crate::controller::intent::Gap;
use crate::docker::{self, Events};
use crate::model::{EngineEvent, EngineFailure, EngineRun, EventCursor, FailureKind};

use super::World;
use crate::store::{self, StoreError};

/// How long the daemon may take to begin with what its buffer holds. It does so in the moment it subscribes us.
const REPLAY: Duration = Duration::from_secs(1);
/// The daemon hands out its buffer in one go: after a pause of this length it has.
const QUIET: Duration = Duration::from_millis(100);

/// A connection to the engine.
pub(super) struct Link {
    pub(super) events: Events,
    /// Events read from it already, and not processed.
    pub(super) read: Vec<EngineEvent>,
    pub(super) run: EngineRun,
    pub(super) gap: Gap,
    /// Whether the host was booted, where this is another run than the last one seen.
    pub(super) restarted: Option<bool>,
    /// An event from before, by which the buffer is known again although none has been processed yet.
    pub(super) anchor: Option<EventCursor>,
    pub(super) subscribed_at: Timestamp,
}

/// Why there is no connection.
pub(super) enum Unconnected {
    /// The engine cannot be had: tried again.
    Failed(EngineFailure),
    /// Another operator works on it, or nobody can tell.
    Taken(StoreError),
}

impl From<EngineFailure> for Unconnected {
    fn from(failure: EngineFailure) -> Self {
        Self::Failed(failure)
    }
}

/// How two runs of host and daemon compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinship {
    Same,
    Other { host: bool },
    Unknown,
}

pub(super) fn compare(before: &EngineRun, now: &EngineRun) -> Kinship {
    let host = matches!((&before.boot_id, &now.boot_id), (Some(before), Some(now)) if before != now);
    match (before.daemon, now.daemon) {
        _ if host => Kinship::Other { host },
        _ if before.engine_id != now.engine_id => Kinship::Other { host },
        (Some(before), Some(now)) if before != now => Kinship::Other { host },
        (Some(_), Some(_)) => Kinship::Same,
        _ => Kinship::Unknown,
    }
}

impl World {
    /// Subscribes to the engine's events, from the last one processed on where that can still be had.
    pub(super) async fn connect(&self) -> Result<Link, Unconnected> {
        let (cursor, before) = {
            let state = self.state();
            (state.seen.latest.clone(), state.seen.run.clone())
        };
        let run = self.engine.run().await?;
        self.lock_engine(&run.engine_id).map_err(Unconnected::Taken)?;
        let kinship = before.as_ref().map_or(Kinship::Unknown, |before| compare(before, &run));
        let replay = match cursor {
            Some(cursor) if !matches!(kinship, Kinship::Other { .. }) => self.replay(cursor).await?,
            _ => None,
        };
        let anchor = if replay.is_none() { self.anchor().await? } else { None };
        let subscribed_at = self.clock.now();
        let (gap, (events, read)) = match replay {
            Some(replay) => (Gap::Replayed, replay),
            None => (gap(kinship), (self.engine.events(None).await?, Vec::new())),
        };
        if self.engine.run().await? != run {
            let message = "the engine restarted while its events were being subscribed to".to_owned();
            return Err(EngineFailure { kind: FailureKind::Unavailable, message }.into());
        }
        let restarted = match kinship {
            Kinship::Other { host } => Some(host),
            Kinship::Same | Kinship::Unknown => None,
        };
        Ok(Link { events, read, run, gap, restarted, anchor, subscribed_at })
    }

    /// Nobody else of this instance works on the engine: before anything of it is read.
    fn lock_engine(&self, engine_id: &str) -> store::Result<()> {
        let mut lock = self.engine_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.options.sole && lock.as_ref().is_none_or(|(locked, _)| locked != engine_id) {
            let taken = self.ledger.lock_engine(engine_id, &self.options.instance)?;
            *lock = taken.map(|lock| (engine_id.to_owned(), lock));
        }
        Ok(())
    }

    /// The newest event that the daemon's buffer holds.
    async fn anchor(&self) -> docker::Result<Option<EventCursor>> {
        let everything = EventCursor { time_nanos: 1, id: String::new(), action: String::new() };
        let mut events = self.engine.events(Some(everything)).await?;
        let mut newest = None;
        let read = async {
            while let Ok(Some(Ok(event))) = tokio::time::timeout(QUIET, events.next()).await {
                newest = Some(event.cursor());
            }
        };
        // A daemon that never pauses has newer events than this one, and they will be processed.
        let _ = tokio::time::timeout(REPLAY, read).await;
        Ok(newest)
    }

    /// The stream of events from `cursor` on, if the daemon's buffer still holds that very event; what was read to find out.
    async fn replay(&self, cursor: EventCursor) -> docker::Result<Option<(Events, Vec<EngineEvent>)>> {
        let at = cursor.time_nanos;
        let mut events = self.engine.events(Some(cursor.clone())).await?;
        let mut read = Vec::new();
        loop {
            let event = match tokio::time::timeout(REPLAY, events.next()).await {
                Ok(Some(event)) => event?,
                Ok(None) | Err(_) => return Ok(None),
            };
            if event.cursor() == cursor {
                return Ok(Some((events, read)));
            }
            if event.time_nanos != at {
                return Ok(None);
            }
            // Of the same nanosecond: perhaps processed before, and feeding it again does no harm.
            read.push(event);
        }
    }
}

fn gap(kinship: Kinship) -> Gap {
    match kinship {
        Kinship::Same => Gap::SameRun,
        Kinship::Other { .. } => Gap::OtherRun,
        Kinship::Unknown => Gap::UnknownRun,
    }
}
