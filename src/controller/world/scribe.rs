//! Writes down what the world understood, in the order in which it did, beside the reading of events: a slow disk delays no
//! event. What others rely on is shown only once it is written.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::clock::Timestamp;
use crate::controller::intent::Owner;
use crate::model::{End, EngineRun, EventCursor};
use crate::store;

use super::World;
use super::ledger::{Baseline, Signalled};

/// Pause before a Hold that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Where to tell what became of a write.
pub(super) type Done = oneshot::Sender<store::Result<()>>;

/// Something to write down.
pub(super) enum Note {
    /// How a container's run ended: the `said`-th thing said of an end; `done` is told what became of it.
    End { container_id: String, end: Option<End>, said: u64, done: Option<Done> },
    /// A person stopped a container.
    Hold { container_id: String, owner: Owner, at: Timestamp },
    /// A person started one.
    Lift { owner: Owner, at: Timestamp },
    /// The signals that running containers have got.
    Signals(Signalled),
    /// How far the events have been read.
    Seen { cursor: Option<EventCursor>, run: EngineRun },
    /// Where the reading of this run's events began.
    Baseline(Baseline),
    /// Nothing more follows.
    Close,
}

impl World {
    /// Writes until [`Note::Close`].
    pub(super) async fn scribe(self: Arc<Self>, mut notes: mpsc::UnboundedReceiver<Note>) {
        while let Some(note) = notes.recv().await {
            match note {
                Note::End { container_id, end, said, done } => self.write_end(&container_id, end, said, done).await,
                Note::Hold { container_id, owner, at } => self.write_hold(container_id, owner, at).await,
                Note::Lift { owner, at } => self.write_lift(owner, at).await,
                Note::Signals(signals) => warn_of(self.ledger.put_signals(&signals).await, "the signals that containers got"),
                Note::Seen { cursor, run } => warn_of(self.ledger.put_seen(cursor, run).await, "how far events have been read"),
                Note::Baseline(baseline) => {
                    warn_of(self.ledger.put_baseline(&baseline).await, "where the reading of events began")
                }
                Note::Close => return,
            }
        }
    }

    async fn write_end(&self, container_id: &str, end: Option<End>, said: u64, done: Option<Done>) {
        let written = self.ledger.put_end(container_id, end.clone()).await;
        match done {
            // Whoever asked has gone: nothing relies on it.
            Some(done) => drop(done.send(written)),
            // Only a Hold must not be lost, and that has a record of its own: at worst this end is read as unknown after a crash.
            None => warn_of(written, "how a container's run ended"),
        }
        self.show_end(container_id, end, said);
    }

    async fn write_hold(&self, container_id: String, owner: Owner, at: Timestamp) {
        if !self.state().intent.is_holding(&container_id) {
            return;
        }
        match self.ledger.hold(&owner, at).await {
            Ok(()) => self.held(&container_id),
            Err(error) => {
                warn!(deployment = %owner.key, replica = %owner.replica, %error, "writing the Hold for an outside stop failed; trying again");
                self.write_later(Note::Hold { container_id, owner, at });
            }
        }
    }

    async fn write_lift(&self, owner: Owner, at: Timestamp) {
        if let Err(error) = self.ledger.lift(&owner, at).await {
            warn!(deployment = %owner.key, replica = %owner.replica, %error, "lifting the Hold of an outside stop failed; trying again");
            self.write_later(Note::Lift { owner, at });
        }
    }

    fn write_later(&self, note: Note) {
        let notes = self.notes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RETRY).await;
            // Nobody writes any more: the operator is ending.
            let _ = notes.send(note);
        });
    }
}

fn warn_of(written: store::Result<()>, what: &str) {
    if let Err(error) = written {
        warn!(%error, "writing down {what} failed; it is read again from the engine's events after a restart");
    }
}
