//! Does what the decision table asks for: what is only shown at once, what others rely on once it is written.

use std::time::Duration;

use tracing::info;

use crate::clock::Timestamp;
use crate::controller::intent::Effect;
use crate::model::{End, Verdict};

use super::ledger::Baseline;
use super::scribe::{Done, Note};
use super::{Seen, State, World, WorldChange};

/// How long a write takes at most, for all who wait for it.
const WRITTEN_BY: Duration = Duration::from_secs(5);

impl World {
    /// Does what the decision table asks for, in its order.
    pub(super) fn carry_out(&self, state: &mut State, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Decided { container_id, end } => self.decided(state, &container_id, end),
                Effect::Forget { container_id } => self.forget(state, &container_id),
                Effect::AskAlive { container_id } => {
                    state.asking.push(container_id);
                    self.ask_alive(state);
                }
                Effect::Inspect { container_id } => self.look_soon(state, &container_id),
                Effect::Hold { container_id, owner, at } => self.note(Note::Hold { container_id, owner, at }),
                Effect::Lift { owner, at } => self.note(Note::Lift { owner, at }),
                Effect::Signalled => {
                    let signalled = state.intent.signalled();
                    if signalled != state.signalled {
                        state.signalled.clone_from(&signalled);
                        self.note(Note::Signals(signalled));
                    }
                }
            }
        }
        let mut vacated = state.intent.vacated();
        vacated.iter_mut().for_each(|place| place.until = self.on_the_wall(place.until));
        for key in state.picture.set_vacated(vacated) {
            self.tell(WorldChange::Touched { key: Some(key), project: None });
        }
        if !state.intent.is_open() {
            state.seen.settled.clone_from(&state.seen.latest);
        }
        self.nudge.notify_one();
    }

    /// An open end is shown at once; one that is decided, once it is written.
    fn decided(&self, state: &mut State, container_id: &str, mut end: End) {
        if let Verdict::Pending { until } = &mut end.verdict {
            *until = self.on_the_wall(*until);
            say(state, container_id);
            return state.picture.set_end(container_id, Some(end));
        }
        let known = state.picture.end(container_id).is_some_and(|known| known.verdict == end.verdict);
        let shown = if known { end.clone() } else { End { verdict: Verdict::Pending { until: self.soon() }, ..end.clone() } };
        state.picture.set_end(container_id, Some(shown));
        self.queue_end(state, container_id, Some(end), None);
    }

    fn forget(&self, state: &mut State, container_id: &str) {
        if state.picture.end(container_id).is_some() || state.said.contains_key(container_id) {
            state.picture.set_end(container_id, None);
            self.queue_end(state, container_id, None, None);
        }
    }

    pub(super) fn write_end_note(&self, container_id: &str, end: Option<End>, done: Option<Done>) {
        let state = &mut *self.state();
        self.queue_end(state, container_id, end, done);
    }

    fn queue_end(&self, state: &mut State, id: &str, end: Option<End>, done: Option<Done>) {
        let said = say(state, id);
        self.note(Note::End { container_id: id.to_owned(), end, said, done });
    }

    /// An end is on disk: it is shown, unless something else was said since.
    pub(super) fn show_end(&self, container_id: &str, end: Option<End>, said: u64) {
        let state = &mut *self.state();
        if state.said.get(container_id) != Some(&said) {
            return;
        }
        if end.is_none() {
            state.said.remove(container_id);
        }
        let verdict = end.as_ref().map(|end| end.verdict.clone());
        state.picture.set_end(container_id, end);
        if let Some(container) = state.picture.container(container_id) {
            if let Some(verdict) = verdict.filter(|_| !container.is_up()) {
                info!(container = %container.name, ?verdict, exit_code = container.exit_code, "a container's run has ended");
            }
            self.touched(&container.labels);
        }
    }

    /// The Hold of a container is on disk.
    pub(super) fn held(&self, container_id: &str) {
        let state = &mut *self.state();
        let effects = state.intent.held(container_id);
        self.carry_out(state, effects);
    }

    /// How far the events have been read, if that is news.
    pub(super) fn write_seen(&self) {
        let state = &mut *self.state();
        // While there is trouble nobody has looked what this run of the engine did to the containers.
        let Some(run) = state.seen.run.clone().filter(|_| state.contact.is_good()) else { return };
        let settled = state.seen.settled.clone();
        if state.seen.written.as_ref() != Some(&settled) {
            state.seen.written = Some(settled.clone());
            self.note(Note::Seen { cursor: settled, run });
        }
    }

    /// The buffer was empty when this run of the daemon was met: its first event has to survive a SIGKILL, as a baseline does, and
    /// is written at once. While nobody has looked what the run did to the containers, it waits.
    pub(super) fn drop_anchor(&self, state: &mut State) {
        let (Some(run), Some(_)) = (state.seen.run.clone(), &state.seen.settled) else { return };
        if state.contact.is_good() && !std::mem::replace(&mut state.seen.anchored, true) {
            let Seen { settled: cursor, floor, met_at, .. } = &state.seen;
            self.note(Note::Baseline(Baseline { cursor: cursor.clone(), run, floor: *floor, met_at: *met_at }));
        }
    }

    /// When a write that has just been asked for will be done, generously.
    fn soon(&self) -> Timestamp {
        self.clock.now().saturating_add(WRITTEN_BY).unwrap_or(Timestamp::MAX)
    }
}

/// Something is said about the end of a container: what was said before no longer counts.
fn say(state: &mut State, container_id: &str) -> u64 {
    state.sayings += 1;
    state.said.insert(container_id.to_owned(), state.sayings);
    state.sayings
}
