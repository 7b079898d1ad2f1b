//! What a look at a container tells: the exact run it is in, ends that no event told of, and restarts that failed.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::{Container, Verdict};

use super::episode::{Died, Episode, Stage};
use super::{Effect, Gap, Intent, Owner, after, signals};

/// The daemon's clock and ours may differ so much and still be the same one, read a moment apart.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

impl Intent {
    /// A container of ours was looked at, after all events fed so far.
    pub fn looked(&mut self, container: &Container, owner: Owner, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(started_at) = container.started_at else { return effects };
        let id = &container.id;
        let episode = self.episodes.entry(id.clone()).or_default();
        episode.owner = Some(owner);
        episode.stop_signal = Some(signals::stop_signal(container.stop_signal.as_deref()));
        let another_run = !episode.start_is_rough && episode.started_at.is_some_and(|known| known < started_at);
        if another_run {
            self.started(id, started_at, &mut effects);
        }
        let Some(episode) = self.episodes.get_mut(id) else { return effects };
        episode.settle_start(id, started_at, &mut effects);
        episode.followed |= container.is_up();
        if !container.is_up() {
            let gap = self.gap.filter(|(_, subscribed_at)| !episode.followed && !ended_between(container, *subscribed_at, now));
            let ended_before = |moment: Timestamp| container.finished_at.is_some_and(|end| end <= moment);
            let gap = match self.run_met_at {
                Some(moment) if !episode.followed && ended_before(moment) => Some(Gap::OtherRun),
                _ => gap.map(|(gap, _)| gap),
            };
            episode.seen_down(container, gap, now, &mut effects);
        }
        effects
    }

    /// A container is not there any more, and no event has said so.
    pub fn vanished(&mut self, container_id: &str, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.destroyed(container_id, now, &mut effects);
        effects
    }

    /// The containers something is known of, gone ones that are being decided on left out.
    pub fn known(&self) -> impl Iterator<Item = &String> {
        self.episodes.iter().filter(|(_, episode)| !episode.gone).map(|(id, _)| id)
    }

    /// Held containers: each full look has to see whether a restart by hand has failed since.
    pub fn held_outside(&self) -> impl Iterator<Item = &String> {
        let held = |episode: &Episode| episode.stage == Stage::Decided(Verdict::ExternalStop);
        self.episodes.iter().filter(move |(_, episode)| held(episode)).map(|(id, _)| id)
    }
}

/// Whether a container ended after the events were resumed, as far as its own clock tells. One that ended in what is the future
/// by our clock ended before: the host came up with its clock behind.
fn ended_between(container: &Container, subscribed_at: Timestamp, now: Timestamp) -> bool {
    container.finished_at.is_some_and(|end| subscribed_at < end && end <= after(now, CLOCKS_DIFFER))
}

impl Episode {
    /// The run's exact time of start is known now.
    fn settle_start(&mut self, id: &str, started_at: Timestamp, effects: &mut Vec<Effect>) {
        let changed = self.started_at != Some(started_at);
        self.started_at = Some(started_at);
        self.start_is_rough = false;
        if changed && !self.signals.is_empty() {
            self.signals.started_at = Some(started_at);
            effects.push(Effect::Signalled);
        }
        if changed {
            self.say(id, effects);
        }
    }

    fn seen_down(&mut self, container: &Container, gap: Option<Gap>, now: Timestamp, effects: &mut Vec<Effect>) {
        let id = &container.id;
        match &self.stage {
            Stage::Up => {
                let at = container.finished_at.unwrap_or(now);
                self.died = Some(Died { at, exit_code: Some(container.exit_code), by_look: true });
                match (self.mark.as_ref().map(|mark| mark.reason), gap) {
                    (Some(reason), _) => self.decide(id, Verdict::Ours(reason), effects),
                    (None, Some(Gap::OtherRun | Gap::UnknownRun)) => self.decide(id, Verdict::Shutdown, effects),
                    (None, Some(_)) => self.decide(id, Verdict::Unknown, effects),
                    (None, None) => self.enter(id, Stage::Missed, now, effects),
                }
            }
            Stage::Person { .. } | Stage::Rereading if self.restart_failed(container) => {
                self.decide(id, Verdict::Killed, effects)
            }
            Stage::Rereading => self.enter(id, Stage::Holding, now, effects),
            Stage::Decided(Verdict::ExternalStop) if self.restart_failed(container) => {
                effects.extend(self.owner.clone().map(|owner| Effect::Lift { owner, at: now }));
                self.decide(id, Verdict::Killed, effects);
            }
            _ => {}
        }
    }

    /// Somebody started it again after the stop, and the start failed: Docker sends no event for that.
    fn restart_failed(&self, container: &Container) -> bool {
        let told = self.died.as_ref().and_then(|died| died.exit_code);
        !container.error.is_empty() || told.is_some_and(|code| code != container.exit_code)
    }
}
