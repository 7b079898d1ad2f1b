//! Looks at the engine: at one container, or at everything.

use std::time::Duration;

use futures::StreamExt;
use tracing::{debug, warn};

use crate::docker::{self, ContainerLine};
use crate::model::Container;

use super::picture::Applied;
use super::scribe::Note;
use super::{State, World, WorldChange};

/// Looks at single containers that may be under way at once in a full look.
const AT_ONCE: usize = 8;
/// How long a full look waits for single containers; those that take longer are shown as unread.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a look is repeated because an event overtook it.
const OVERTAKEN: usize = 5;
/// A container that a list does not have, and no event told of, is looked at again after this: the event is on its way.
const BEFORE_GONE: Duration = Duration::from_secs(1);

/// How much a full look takes for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Events have told of everything: only what the list shows to be different is looked at.
    Events,
    /// Events may be missing: everything is looked at.
    Nothing,
}

impl World {
    /// Looks at one container until no event overtakes the answer. Returns whether the picture changed.
    pub(super) async fn look(&self, id: &str) -> docker::Result<bool> {
        for _ in 0..OVERTAKEN {
            let asked = self.state().picture.moment();
            let seen = self.engine.inspect_container(id).await.inspect_err(|_| self.state().picture.distrust(id))?;
            match self.seen(id, asked, seen) {
                Applied::Stale => {}
                Applied::Same => return Ok(false),
                Applied::Changed(_) => return Ok(true),
            }
        }
        self.state().picture.distrust(id);
        Ok(false)
    }

    fn seen(&self, id: &str, asked: u64, mut seen: Option<Container>) -> Applied {
        if let Some(container) = &mut seen {
            self.judge_age(container);
        }
        let owner = seen.as_ref().and_then(|container| self.owner(&container.labels));
        let state = &mut *self.state();
        let applied = state.picture.apply(id, asked, seen);
        if applied == Applied::Stale {
            return applied;
        }
        let effects = match (state.picture.container(id).cloned(), owner) {
            (Some(container), Some(owner)) => state.intent.looked(&container, owner, self.steady_now()),
            (Some(_), None) => Vec::new(),
            (None, _) => state.intent.vanished(id, self.steady_now()),
        };
        self.carry_out(state, effects);
        if let Applied::Changed(labels) = &applied {
            self.touched(labels);
        }
        applied
    }

    /// Marks a health record that nobody keeps up any more: the last probe, or the start, is more than two of its periods ago.
    fn judge_age(&self, container: &mut Container) {
        let Container { health: Some(health), started_at, .. } = container else { return };
        let last = health.last_probe_at.max(*started_at);
        let age = last.map(|at| self.clock.now().duration_since(at)).and_then(|age| Duration::try_from(age).ok());
        health.stale = age.is_some_and(|age| age > health.period.saturating_mul(2));
    }

    /// Has a container looked at beside everything else; a look under way is followed by another.
    pub(super) fn look_soon(&self, state: &mut State, id: &str) {
        let Some(me) = self.me.upgrade().filter(|_| state.picture.start_look(id)) else { return };
        let id = id.to_owned();
        tokio::spawn(async move {
            loop {
                if let Err(failure) = me.look(&id).await {
                    debug!(container = %id, error = %failure, "looking at a container failed; the next full look tries again");
                }
                if !me.state().picture.end_look(&id) {
                    return;
                }
            }
        });
    }

    /// Has everything looked at beside the reading of events, unless that is being done.
    pub(super) fn look_around_soon(&self, trust: Trust) {
        let Some(me) = self.me.upgrade() else { return };
        let stream = {
            let state = &mut *self.state();
            if std::mem::replace(&mut state.listing, true) {
                return;
            }
            state.stream
        };
        tokio::spawn(async move {
            let result = me.look_around(trust).await;
            me.looked_around(stream, result);
        });
    }

    /// A full look. Returns whether it changed the picture.
    async fn look_around(&self, trust: Trust) -> docker::Result<bool> {
        let asked = self.state().picture.moment();
        let (containers, networks, volumes, images) = futures::join!(
            self.engine.list_containers(),
            self.engine.list_networks(),
            self.engine.list_volumes(),
            self.engine.list_images()
        );
        let (lines, networks, volumes, images) = (containers?, networks?, volumes?, images?);
        let (due, mut changed) = {
            let state = &mut *self.state();
            let changed = [
                state.picture.list_networks(asked, networks),
                state.picture.list_volumes(asked, volumes),
                state.picture.list_images(asked, images),
            ];
            (self.due(state, &lines, asked, trust), changed.iter().flatten().any(|changed| !changed.is_empty()))
        };
        changed |= self.look_at_all(due).await;
        changed |= self.state().picture.sketch(&lines, asked);
        Ok(changed)
    }

    /// Which containers a full look has to look at.
    fn due(&self, state: &mut State, lines: &[ContainerLine], asked: u64, trust: Trust) -> Vec<String> {
        let mut due = state.picture.due(lines);
        let absent = state.picture.missing(lines, asked);
        match trust {
            Trust::Nothing => {
                due = lines.iter().map(|line| line.id.clone()).chain(absent).collect();
                due.extend(self.forgotten(state, lines));
            }
            Trust::Events => {
                let held = state.intent.held_outside().filter(|id| lines.iter().any(|line| line.id == **id));
                due.extend(held.cloned());
                due.extend(state.picture.stale());
                absent.into_iter().for_each(|id| self.look_before_gone(id));
            }
        }
        due.sort_unstable();
        due.dedup();
        due
    }

    /// Containers something is written of that are not there any more.
    fn forgotten(&self, state: &State, lines: &[ContainerLine]) -> Vec<String> {
        let gone = |id: &&String| !lines.iter().any(|line| line.id == **id) && state.picture.container(id).is_none();
        state.intent.known().filter(gone).cloned().collect()
    }

    fn look_before_gone(&self, id: String) {
        let Some(me) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            tokio::time::sleep(BEFORE_GONE).await;
            let state = &mut *me.state();
            me.look_soon(state, &id);
        });
    }

    /// Looks at several containers; returns when all have answered or patience is over, and whether anything changed.
    async fn look_at_all(&self, ids: Vec<String>) -> bool {
        let Some(me) = self.me.upgrade().filter(|_| !ids.is_empty()) else { return false };
        let looks = tokio::spawn(async move {
            let me = &me;
            let look = |id: String| async move {
                me.look(&id).await.unwrap_or_else(|failure| {
                    warn!(container = %id, error = %failure, "looking at a container failed; the next full look tries again");
                    false
                })
            };
            futures::stream::iter(ids).map(look).buffer_unordered(AT_ONCE).fold(false, async |any, one| any || one).await
        });
        // What takes longer goes on beside, and tells of its changes itself.
        matches!(tokio::time::timeout(PATIENCE, looks).await, Ok(Ok(true)) | Err(_))
    }

    fn looked_around(&self, stream: Option<u64>, result: docker::Result<bool>) {
        let state = &mut *self.state();
        state.listing = false;
        state.list_again(match result {
            Ok(_) => self.options.resync,
            Err(_) => self.options.resync.min(super::follow::RETRY),
        });
        self.nudge.notify_one();
        if state.stream.is_none() || state.stream != stream || state.going_down {
            return;
        }
        match result {
            Ok(changed) => {
                let back = state.contact.good();
                // After the verdicts on what was found, which are on their way to disk.
                if let Some(baseline) = state.seen.baseline.take() {
                    self.note(Note::Baseline(baseline));
                }
                self.drop_anchor(state);
                if let Some(host) = state.restarted.take() {
                    self.tell(WorldChange::EngineRestarted { host });
                }
                if changed || back {
                    self.tell(WorldChange::Everything);
                }
            }
            Err(failure) => {
                warn!(error = %failure, "looking at the engine failed; what was seen before is kept");
                if state.contact.bad(failure.message.clone(), self.clock.now(), self.steady_now()) {
                    self.tell(WorldChange::Lost { why: failure.message });
                }
            }
        }
    }
}
