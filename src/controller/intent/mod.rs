//! Who ended a container's run: the decision table of the intent contract, as a state machine without a clock.
//!
//! # Flow
//! The worker ([`super::world`]) feeds every container event ([`Intent::event`]), every look at a container
//! ([`Intent::looked`]), the answers to what was asked ([`Intent::alive`], [`Intent::held`]), what becomes of the event
//! stream ([`Intent::stream_ended`], [`Intent::resumed`]) and the time ([`Intent::tick`] at [`Intent::wake_at`]). It gets
//! [`Effect`]s back and carries them out in that order.
//!
//! # Guarantees
//! - A `die` with no signal through Docker since the start is decided in the same call.
//! - An end of a run that was marked as ours never becomes a Hold.
//! - A Hold is asked for only after `kill`, `die` and `stop` were seen and the daemon was found to live on after them.
//! - Feeding the same events again changes nothing that was decided.
//!
//! # Assumptions
//! `now` never goes back and runs as a monotonic clock does; events carry the daemon's own time, and only gaps between two
//! of them are taken from it. Events of one container arrive in the order in which the daemon made them.

mod episode;
mod look;
mod peers;
mod signals;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use story::container as story_container;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::docker::Alive;
use crate::model::{End, EngineEvent, EventKind, Key, ReloadSignal, ReplicaId, StopReason, Vacated, Verdict};

use episode::{Episode, Mark, Stage};
use peers::Peers;
pub use signals::Signals;

/// `die` and `stop` of one stop are at most this far apart: five times the worst measured on a loaded machine.
pub const STOP_WAIT: Duration = Duration::from_secs(5);
/// The same where only signal 9 was sent and that is not the stop signal: `docker stop`, even `-t 0`, sends the stop signal first.
pub const KILL_WAIT: Duration = Duration::from_secs(1);
/// A person's stop is shown when nobody has started the container for this long: `docker restart` and Compose's recreate do.
pub const SHOW_AFTER: Duration = Duration::from_secs(3);
/// Where nobody can tell whether the daemon lives on: a stop is a person's when it has gone on living for this long.
pub const QUIET: Duration = Duration::from_secs(10);
/// A question to the engine that got no answer for this long is answered for it: "cannot be told".
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// A mark of ours with no signal following within this time was for a stop that was never made.
const MARK_LIFE: Duration = Duration::from_secs(300);
/// The same of a signal of ours: a call that is not answered for this long was not made.
const SIGNAL_LIFE: Duration = Duration::from_secs(60);
/// How far ahead an open end is said to be decided when that hangs on something without a time of its own.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Whose container it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The Deployment.
    pub key: Key,
    /// Which replica of it.
    pub replica: ReplicaId,
}

/// What the worker has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// How a run ended, as far as is known: [`Verdict::Pending`] is for showing only, everything else is written down first.
    Decided {
        /// Which container.
        container_id: String,
        /// The end.
        end: End,
    },
    /// What was written about the end of this container is void.
    Forget {
        /// Which container.
        container_id: String,
    },
    /// Ask whether the daemon lives on, on a connection made after this, and give the answer to [`Intent::alive`].
    AskAlive {
        /// About which container.
        container_id: String,
    },
    /// Look at the container again and give what is seen to [`Intent::looked`].
    Inspect {
        /// Which container.
        container_id: String,
    },
    /// Lay the Hold for an outside stop, and say so to [`Intent::held`] once it is on disk.
    Hold {
        /// Which container was stopped.
        container_id: String,
        /// Whose it is, or was.
        owner: Owner,
        /// When it was stopped, in the daemon's time.
        at: Timestamp,
    },
    /// Lift the Hold of an outside stop, if there is one from before `at`.
    Lift {
        /// Whose container runs again.
        owner: Owner,
        /// When it was started, in the daemon's time.
        at: Timestamp,
    },
    /// [`Intent::signalled`] changed: write it down.
    Signalled,
}

/// What became of the events between two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// None is missing: the daemon's buffer still holds the last one processed, and what followed is being fed.
    Replayed,
    /// Some may be missing; it is the same run of the daemon.
    SameRun,
    /// Some are missing; daemon or host restarted in between.
    OtherRun,
    /// Some may be missing, and nobody can tell whether it is the same run.
    UnknownRun,
}

/// What was seen of each container since its start, and what follows from it.
#[derive(Debug, Default)]
pub struct Intent {
    episodes: BTreeMap<String, Episode>,
    peers: Peers,
    /// How containers that ended before the time are judged: nobody will tell how they did.
    gap: Option<(Gap, Timestamp)>,
    /// When the present run of the daemon was met.
    run_met_at: Option<Timestamp>,
}

impl Intent {
    /// Goes on from what was written down: ends by container id, and the signals that running containers had got.
    pub fn restore(ends: impl IntoIterator<Item = (String, End)>, signalled: BTreeMap<String, Signals>) -> Self {
        let mut episodes: BTreeMap<String, Episode> = ends.into_iter().map(|(id, end)| (id, Episode::restored(end))).collect();
        for (id, signals) in signalled {
            episodes.entry(id).or_default().restore_signals(signals);
        }
        Self { episodes, ..Self::default() }
    }

    /// Something happened to a container; `owner` says whose it is, if it is one of ours.
    pub fn event(&mut self, event: &EngineEvent, owner: Option<Owner>, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        if event.kind != EventKind::Container {
            return effects;
        }
        self.peers.event(event, now);
        if owner.is_none() && !self.episodes.contains_key(&event.id) {
            return effects;
        }
        let episode = self.episodes.entry(event.id.clone()).or_default();
        episode.owner = owner.or(episode.owner.take());
        episode.followed = true;
        match event.action.as_str() {
            "kill" => episode.killed(&event.id, event, &mut effects),
            "die" => episode.died(&event.id, event, now, &mut effects),
            "stop" => episode.stopped(&event.id, event.at(), now, &mut effects),
            "start" => self.started(&event.id, event.at(), &mut effects),
            "destroy" => episode.destroyed(&event.id, now, &mut effects),
            _ => {}
        }
        self.drop_done(&event.id, &mut effects);
        effects
    }

    /// The answer to [`Effect::AskAlive`], and whether the stream of events that was open when it was asked is open still.
    pub fn alive(&mut self, container_id: &str, answer: Alive, stream_open: bool, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(episode) = self.episodes.get_mut(container_id).filter(|episode| stream_open && episode.stage.is_asking()) {
            match answer {
                Alive::Yes => episode.enter(container_id, Stage::Person { show_at: after(now, SHOW_AFTER) }, now, &mut effects),
                Alive::No => episode.decide(container_id, Verdict::Shutdown, &mut effects),
                Alive::Unknown if episode.stage != Stage::Asking => {}
                Alive::Unknown => episode.enter(container_id, Stage::Provisional { since: now }, now, &mut effects),
            }
        }
        self.drop_done(container_id, &mut effects);
        effects
    }

    /// The stream of events ended. What is open stays open until it is known what became of the daemon.
    pub fn stream_ended(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.peers = Peers::default();
        for (id, episode) in &mut self.episodes {
            if episode.stage.hangs_on_the_stream() {
                episode.enter(id, Stage::Cut, now, &mut effects);
            }
        }
        effects
    }

    /// The present run of the daemon was met at that moment. What had ended by then went down with the one before, though it be seen
    /// much later: when a look at it succeeds.
    pub fn met_run(&mut self, at: Option<Timestamp>) {
        self.run_met_at = at;
    }

    /// There is a stream of events again, from `subscribed_at` on in the daemon's time; `gap` says what lies between.
    pub fn resumed(&mut self, gap: Gap, subscribed_at: Timestamp, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.gap = (gap != Gap::Replayed).then_some((gap, subscribed_at));
        if self.gap.is_some() {
            self.episodes.values_mut().for_each(|episode| episode.followed = false);
        }
        let cut: Vec<String> = self.ids(|episode| matches!(episode.stage, Stage::Cut));
        for id in cut {
            if let Some(episode) = self.episodes.get_mut(&id) {
                episode.resumed(&id, gap, now, &mut effects);
            }
            self.drop_done(&id, &mut effects);
        }
        effects
    }

    /// The stop of a container that is about to be made is ours. Returns the end to write down before it is made.
    pub fn marked(&mut self, container_id: &str, reason: StopReason, at: Timestamp) -> End {
        let episode = self.episodes.entry(container_id.to_owned()).or_default();
        episode.mark = Some(Mark { reason, at, signalled: false });
        let died = episode.died.as_ref().map(|died| died.at);
        if died.is_some() {
            episode.stage = Stage::Decided(Verdict::Ours(reason));
        }
        episode.end_at(Verdict::Ours(reason), died.unwrap_or(at))
    }

    /// A signal that is about to be sent to a container, for it to read its files again, is ours: it says nothing of a later end.
    pub fn signalling(&mut self, container_id: &str, signal: ReloadSignal, at: Timestamp) {
        let episode = self.episodes.entry(container_id.to_owned()).or_default();
        episode.own_signals.retain(|(_, sent)| after(*sent, SIGNAL_LIFE) > at);
        episode.own_signals.push((signal.number(), at));
    }

    /// The stop that was marked is not made. Returns whether there was a mark to take back.
    pub fn unmarked(&mut self, container_id: &str) -> bool {
        let running = self.episodes.get_mut(container_id).filter(|episode| episode.died.is_none());
        running.is_some_and(|episode| episode.mark.take().is_some())
    }

    /// Whether the Hold that was asked for is still wanted.
    pub fn is_holding(&self, container_id: &str) -> bool {
        self.episodes.get(container_id).is_some_and(|episode| episode.stage == Stage::Holding)
    }

    /// The Hold asked for is on disk.
    pub fn held(&mut self, container_id: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(episode) = self.episodes.get_mut(container_id).filter(|episode| matches!(episode.stage, Stage::Holding)) {
            episode.decide(container_id, Verdict::ExternalStop, &mut effects);
        }
        self.drop_done(container_id, &mut effects);
        effects
    }

    /// Time has passed: whatever was due by `now` is decided.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        for id in self.ids(|_| true) {
            let Some(episode) = self.episodes.get_mut(&id) else { continue };
            episode.tick(&id, &self.peers, now, &mut effects);
            self.drop_done(&id, &mut effects);
        }
        effects
    }

    /// When [`Intent::tick`] has something to do.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.episodes.iter().filter_map(|(id, episode)| episode.due(id, &self.peers)).min()
    }

    /// Whether an end is being decided on. Its events are fed again if the operator dies now.
    pub fn is_open(&self) -> bool {
        self.episodes.values().any(Episode::is_open)
    }

    /// Places that stay empty until it is decided who emptied them.
    pub fn vacated(&self) -> Vec<Vacated> {
        let open = self.episodes.iter().filter(|(_, episode)| episode.gone && episode.is_open());
        let place = open.filter_map(|(_, episode)| {
            let Owner { key, replica } = episode.owner.clone()?;
            Some(Vacated { key, replica, until: episode.until })
        });
        place.collect()
    }

    /// Containers that got signals in their present run: to be written down, since the events that told are not kept.
    pub fn signalled(&self) -> BTreeMap<String, Signals> {
        let undecided = |episode: &Episode| !matches!(episode.stage, Stage::Decided(_)) && !episode.signals.is_empty();
        let signalled = self.episodes.iter().filter(|(_, episode)| undecided(episode));
        signalled.map(|(id, episode)| (id.clone(), episode.signals.clone())).collect()
    }

    fn started(&mut self, id: &str, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(episode) = self.episodes.get_mut(id) else { return };
        if !episode.begun(id, at, effects) {
            return;
        }
        let Some(owner) = episode.owner.clone() else { return };
        let replaced = self.ids(|other| other.owner.as_ref() == Some(&owner) && other.died.is_some() && other.is_open());
        for other in replaced {
            if let Some(episode) = self.episodes.get_mut(&other) {
                episode.decide(&other, Verdict::ExternalStop, effects);
            }
            self.drop_done(&other, effects);
        }
        effects.push(Effect::Lift { owner, at });
    }

    fn destroyed(&mut self, id: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(episode) = self.episodes.get_mut(id) {
            episode.destroyed(id, now, effects);
        }
        self.drop_done(id, effects);
    }

    /// Forgets a container that is gone, once nothing is left to decide.
    fn drop_done(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let done = self.episodes.get(id).is_some_and(|episode| episode.gone && !episode.is_open());
        if done && let Some(episode) = self.episodes.remove(id) {
            effects.retain(|effect| !matches!(effect, Effect::Decided { container_id, .. } if container_id == id));
            effects.push(Effect::Forget { container_id: id.to_owned() });
            if !episode.signals.is_empty() {
                effects.push(Effect::Signalled);
            }
        }
    }

    fn ids(&self, wanted: impl Fn(&Episode) -> bool) -> Vec<String> {
        self.episodes.iter().filter(|(_, episode)| wanted(episode)).map(|(id, _)| id.clone()).collect()
    }
}

/// `at` plus `delay`; the end of time if that is too far.
fn after(at: Timestamp, delay: Duration) -> Timestamp {
    at.saturating_add(delay).unwrap_or(Timestamp::MAX)
}
