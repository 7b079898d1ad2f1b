//! The cached picture of Docker, kept true by events, and the reading of intent out of them.
//!
//! # Flow
//! Connect: which run of the daemon is it, subscribe (from the last event processed on, where the daemon's buffer still
//! holds it), then list. From then on every event changes the picture at once as far as it tells, and has just its object
//! looked at again; a full look follows every reconnect, every resync and every jump of the wall clock.
//!
//! # Guarantees
//! - No question to the engine holds up the reading of events, or another object's.
//! - An answer is shown only if nothing newer is known of its object; a list that fails changes nothing.
//! - A container of ours that is down has an `End` in the picture, if only "not decided yet".
//! - Verdicts are on disk before they are shown, and the cursor never passes the start of an undecided sequence: an
//!   operator that is killed reads it again.

mod ask;
mod connect;
mod effects;
mod follow;
mod ledger;
mod look;
mod picture;
mod scribe;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::SignedDuration;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::{SharedClock, Timestamp, TokioClock};
use crate::controller::intent::{Intent, Owner};
use crate::docker::{self, Engine};
use crate::model::{End, EngineRun, EventCursor, Key, ReloadSignal, ReplicaId, StopReason, Verdict, labels};
use crate::registry::Registry;
use crate::store::{self, StoreError};
use crate::telemetry::chain;

use ask::Answer;
use ledger::{Baseline, Ledger, Signalled};
use picture::{Labels, Picture};
use scribe::Note;
use view::Contact;
pub use view::{View, WorldChange, WorldOptions};

/// Changes a slow reader may lag behind before it is told to look at everything.
const BACKLOG: usize = 1024;

/// The cached picture of the engine. One per operator.
pub struct World {
    me: Weak<World>,
    engine: Arc<dyn Engine>,
    ledger: Arc<dyn Ledger>,
    clock: SharedClock,
    /// Goes on evenly whatever happens to the wall clock: deadlines are kept in it.
    steady: TokioClock,
    options: WorldOptions,
    state: Mutex<State>,
    changes: broadcast::Sender<WorldChange>,
    notes: mpsc::UnboundedSender<Note>,
    answers: mpsc::UnboundedSender<Answer>,
    /// The receiving ends, until [`World::run`] takes them.
    ends: Mutex<Option<(mpsc::UnboundedReceiver<Note>, mpsc::UnboundedReceiver<Answer>)>>,
    /// Something may be due earlier than it was.
    nudge: Notify,
    /// The engine that this operator has to itself, by id.
    engine_lock: Mutex<Option<(String, store::Lock)>>,
}

/// What is known, behind one lock that is never held across an await.
struct State {
    picture: Picture,
    intent: Intent,
    contact: Contact,
    /// What was said last about each container's end, by number: only that is shown when it is on disk.
    said: BTreeMap<String, u64>,
    sayings: u64,
    signalled: Signalled,
    /// Containers about which it is to be asked whether the daemon lives on.
    asking: Vec<String>,
    asked: bool,
    seen: Seen,
    /// The open stream of events; each has a number of its own.
    stream: Option<u64>,
    streams: u64,
    /// The daemon said that it is going down, and has not been seen to come round.
    going_down: bool,
    /// A full look is under way.
    listing: bool,
    list_at: Instant,
    /// When the cursor is written and the clocks are compared.
    tidy_at: Instant,
    /// The engine was restarted (the host, too?), which is told once it has been looked at.
    restarted: Option<bool>,
    /// How far the wall clock is ahead of the steady one.
    offset: SignedDuration,
}

/// How far the events have been read.
#[derive(Default)]
struct Seen {
    run: Option<EngineRun>,
    latest: Option<EventCursor>,
    /// The last event before the first undecided sequence.
    settled: Option<EventCursor>,
    /// The moment, in the daemon's nanoseconds, before which its events were not for us: the run was new to us then.
    floor: i64,
    /// When the run was met.
    met_at: Option<Timestamp>,
    /// To be written once the engine has been seen as a whole.
    baseline: Option<Baseline>,
    /// The baseline names an event.
    anchored: bool,
    /// A replay has not come to `floor` yet.
    below_floor: bool,
    /// What was written of this run last, if anything was.
    written: Option<Option<EventCursor>>,
}

/// Where it stands that a stop is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// On disk: every later operator knows.
    Written,
    /// In this process alone: the next operator reads a stop as a person's, and an end by signal 9 as a crash.
    Kept,
}

impl World {
    /// A world that sees nothing until [`World::run`] runs.
    pub fn new(engine: Arc<dyn Engine>, registry: Registry, clock: SharedClock, options: WorldOptions) -> Arc<Self> {
        Self::with_ledger(engine, Arc::new(registry), clock, options)
    }

    fn with_ledger(engine: Arc<dyn Engine>, ledger: Arc<dyn Ledger>, clock: SharedClock, options: WorldOptions) -> Arc<Self> {
        let recorded = ledger.recorded().unwrap_or_else(|error| {
            warn!(%error, "reading what was understood before failed; what is found stopped counts as unknown");
            Default::default()
        });
        let now = clock.now();
        let mut picture = Picture::default();
        for (id, end) in &recorded.ends {
            picture.set_end(id, Some(end.clone()));
        }
        let state = State {
            picture,
            intent: Intent::restore(recorded.ends, recorded.signals.clone()),
            contact: Contact::never(now),
            said: BTreeMap::new(),
            sayings: 0,
            signalled: recorded.signals,
            asking: Vec::new(),
            asked: false,
            seen: Seen {
                run: recorded.run,
                latest: recorded.cursor.clone(),
                settled: recorded.cursor,
                floor: recorded.floor,
                met_at: recorded.met_at,
                anchored: true,
                ..Seen::default()
            },
            stream: None,
            streams: 0,
            going_down: false,
            listing: false,
            list_at: Instant::now(),
            tidy_at: Instant::now(),
            restarted: None,
            offset: SignedDuration::ZERO,
        };
        let (notes, to_write) = mpsc::unbounded_channel();
        let (answers, answered) = mpsc::unbounded_channel();
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            engine,
            ledger,
            clock,
            steady: TokioClock::starting_at(now),
            options,
            state: Mutex::new(state),
            changes: broadcast::Sender::new(BACKLOG),
            notes,
            answers,
            ends: Mutex::new(Some((to_write, answered))),
            nudge: Notify::new(),
            engine_lock: Mutex::default(),
        })
    }

    /// Follows the engine until `shutdown`, then writes down how far it got. Runs once.
    ///
    /// # Errors
    /// When another operator of the same instance works on the engine: nothing of it has been shown then.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) -> store::Result<()> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((to_write, mut answers)) = ends else { return Ok(()) };
        let scribe = tokio::spawn(Arc::clone(&self).scribe(to_write));
        let followed = self.follow_engine(&mut answers, &shutdown).await;
        self.write_seen();
        self.note(Note::Close);
        if let Err(error) = scribe.await {
            warn!(%error, "the writing of what was understood ended early");
        }
        followed
    }

    /// What can be seen now.
    pub fn view(&self) -> View {
        let state = self.state();
        match state.contact.blind(self.steady_now(), self.options.blind_after) {
            Some((since, why)) => View::Blind { since, why: why.to_owned() },
            None => View::Seen(Arc::clone(state.picture.snapshot())),
        }
    }

    /// Whether the engine has answered, or failed to, since this operator began.
    pub fn was_tried(&self) -> bool {
        self.state().contact.was_tried()
    }

    /// What changes, from now on.
    pub fn changes(&self) -> broadcast::Receiver<WorldChange> {
        self.changes.subscribe()
    }

    /// Looks at one container again; the picture shows it when this returns.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_container(&self, id: &str) -> docker::Result<()> {
        self.look(id).await.map(drop)
    }

    /// Lists the networks again.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_networks(&self) -> docker::Result<()> {
        let asked = self.state().picture.moment();
        let networks = self.engine.list_networks().await?;
        let changed = self.state().picture.list_networks(asked, networks);
        self.touched_all(changed.unwrap_or_default());
        Ok(())
    }

    /// Lists the volumes again.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_volumes(&self) -> docker::Result<()> {
        let asked = self.state().picture.moment();
        let volumes = self.engine.list_volumes().await?;
        let changed = self.state().picture.list_volumes(asked, volumes);
        self.touched_all(changed.unwrap_or_default());
        Ok(())
    }

    /// Lists the images again.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_images(&self) -> docker::Result<()> {
        let asked = self.state().picture.moment();
        let images = self.engine.list_images().await?;
        let changed = self.state().picture.list_images(asked, images);
        self.touched_all(changed.unwrap_or_default());
        Ok(())
    }

    /// Writes down that the stop (or removal by force) of a container that is about to be made is ours, so that it is never
    /// read as somebody else's. On disk when this returns. It holds until the container is started again.
    ///
    /// What is to stay stopped, and what is unhealthy, is ended though the disk is full: the mark is kept in this process alone.
    ///
    /// # Errors
    /// When it could not be written: the stop must not be made then.
    pub async fn mark_stop(&self, container_id: &str, reason: StopReason) -> store::Result<Mark> {
        let end = self.state().intent.marked(container_id, reason, self.clock.now());
        match self.write_mark(container_id, Some(end)).await {
            Err(error) if matches!(reason, StopReason::Held | StopReason::Unhealthy) => {
                warn!(container = %container_id, error = %chain(&error), "a stop is made though its mark could not be written");
                Ok(Mark::Kept)
            }
            Err(error) => {
                self.state().intent.unmarked(container_id);
                Err(error)
            }
            Ok(()) => Ok(Mark::Written),
        }
    }

    /// Takes the mark back: the stop was refused, or is not wanted any more, and the container runs on.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn unmark_stop(&self, container_id: &str) -> store::Result<()> {
        if !self.state().intent.unmarked(container_id) {
            return Ok(());
        }
        self.write_mark(container_id, None).await
    }

    /// Says that a signal which is about to be sent is ours, so that it is never taken for somebody else's. Nothing of it needs to
    /// outlive this process: a signal of which it is not known whose it was makes no Hold either.
    pub fn mark_signal(&self, container_id: &str, signal: ReloadSignal) {
        let at = self.clock.now();
        self.state().intent.signalling(container_id, signal, at);
    }

    /// The last look before a start: a plan may be older than what was seen since. `Err` says what forbids it.
    ///
    /// # Errors
    /// When the container runs by now, or has ended and it is not decided who ended it.
    pub fn may_start(&self, container_id: &str) -> Result<(), String> {
        let state = self.state();
        let snapshot = state.picture.snapshot();
        let Some(container) = snapshot.containers.get(container_id) else { return Ok(()) };
        let undecided = snapshot.ends.get(container_id).is_some_and(|end| matches!(end.verdict, Verdict::Pending { .. }));
        match () {
            () if snapshot.unread.contains(container_id) => Err("the engine has not answered what state it is in".to_owned()),
            () if container.is_up() => Err("it runs already".to_owned()),
            () if undecided => Err("it ended since, and who stopped it is not decided yet".to_owned()),
            () => Ok(()),
        }
    }

    async fn write_mark(&self, container_id: &str, end: Option<End>) -> store::Result<()> {
        let (done, written) = oneshot::channel();
        self.write_end_note(container_id, end, Some(done));
        let nobody = |_| StoreError::Locked(format!("write down the stop of container {container_id}: the operator is ending"));
        written.await.map_err(nobody)?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn steady_now(&self) -> Timestamp {
        use crate::clock::Clock;
        self.steady.now()
    }

    /// A moment of the steady clock as the wall clock shows it.
    fn on_the_wall(&self, at: Timestamp) -> Timestamp {
        at.saturating_add(self.clock.now().duration_since(self.steady_now())).unwrap_or(at)
    }

    fn note(&self, note: Note) {
        // The scribe ends with the operator, which has nothing to write any more then.
        let _ = self.notes.send(note);
    }

    fn tell(&self, change: WorldChange) {
        // Without readers there is nobody to tell.
        let _ = self.changes.send(change);
    }

    /// Says whose object changed.
    fn touched(&self, labels: &Labels) {
        let key = self.is_ours(labels).then(|| key_of(labels)).flatten();
        let project = labels.get(labels::COMPOSE_PROJECT).filter(|_| key.is_none()).cloned();
        self.tell(match (key, project) {
            (None, None) => WorldChange::Everything,
            (key, project) => WorldChange::Touched { key, project },
        });
    }

    fn touched_all(&self, changed: Vec<Labels>) {
        changed.iter().for_each(|labels| self.touched(labels));
    }

    fn is_ours(&self, labels: &Labels) -> bool {
        labels.get(labels::INSTANCE).is_some_and(|instance| *instance == self.options.instance)
    }

    /// Whose container this is: by our labels, or one that `docker compose` made in the place of one of ours.
    fn owner(&self, labels: &Labels) -> Option<Owner> {
        let replica = ReplicaId::from_labels(labels)?;
        let key = match labels.get(labels::INSTANCE) {
            Some(_) if self.is_ours(labels) => key_of(labels)?,
            Some(_) => return None,
            None => {
                let claimant = self.ledger.claimant(labels.get(labels::COMPOSE_PROJECT)?)?;
                Some(claimant).filter(|key| self.ledger.stood_there(key, &replica))?
            }
        };
        Some(Owner { key, replica })
    }
}

fn key_of(labels: &Labels) -> Option<Key> {
    Some(Key::new(labels.get(labels::NAMESPACE)?, labels.get(labels::DEPLOYMENT)?))
}
