//! The fake daemon's event buffer and its subscribers.

use std::collections::VecDeque;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::faults::failure;
use crate::docker::Result;
use crate::model::{EngineEvent, FailureKind};

/// So many events the daemon keeps.
const KEPT: usize = 256;

/// Keeps the last events and hands new ones to whoever has subscribed.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    kept: VecDeque<EngineEvent>,
    subscribers: Vec<UnboundedSender<Result<EngineEvent>>>,
    last_nanos: i64,
}

impl Buffer {
    /// Records an event; no two have the same time.
    pub(super) fn push(&mut self, now_nanos: i64, mut event: EngineEvent) {
        self.last_nanos = now_nanos.max(self.last_nanos + 1);
        event.time_nanos = self.last_nanos;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        if !hidden(&event) {
            self.subscribers.retain(|subscriber| subscriber.send(Ok(event.clone())).is_ok());
        }
    }

    /// What is kept from `since` on, then what comes.
    pub(super) fn subscribe(&mut self, since: Option<i64>) -> UnboundedReceiver<Result<EngineEvent>> {
        let (sender, receiver) = unbounded_channel();
        let wanted = |event: &&EngineEvent| !hidden(event) && since.is_some_and(|since| event.time_nanos >= since);
        for event in self.kept.iter().filter(wanted) {
            // The receiver is in our hands: it cannot be closed.
            let _ = sender.send(Ok(event.clone()));
        }
        self.subscribers.push(sender);
        receiver
    }

    /// Ends all streams, as a connection that breaks does.
    pub(super) fn cut(&mut self) {
        for subscriber in self.subscribers.drain(..) {
            let _ = subscriber.send(Err(failure(FailureKind::Unavailable, "cannot go on reading the engine's events: cut")));
        }
    }

    /// A new daemon remembers nothing.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }
}

/// Probes and `docker exec` fill the buffer, but evenkeel does not subscribe to them.
fn hidden(event: &EngineEvent) -> bool {
    event.action.starts_with("exec_")
}
