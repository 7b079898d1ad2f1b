//! One container's run: what was seen since its start, and how far the decision about its end is.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::{End, EngineEvent, StopReason, Verdict};

use super::peers::Peers;
use super::{ANSWER_WAIT, Effect, Gap, KILL_WAIT, LOOK_AGAIN, MARK_LIFE, Owner, QUIET, STOP_WAIT, Signals, after};

/// What was seen of one container since its start.
#[derive(Debug, Default)]
pub(super) struct Episode {
    pub(super) owner: Option<Owner>,
    /// The signal `docker stop` begins with; `None`: not looked at yet.
    pub(super) stop_signal: Option<i32>,
    /// The run. From a `start` event it is a little late, until a look tells it exactly.
    pub(super) started_at: Option<Timestamp>,
    pub(super) start_is_rough: bool,
    pub(super) signals: Signals,
    /// Signals of ours whose `kill` has not come yet, by number, and when they were sent.
    pub(super) own_signals: Vec<(i32, Timestamp)>,
    pub(super) mark: Option<Mark>,
    pub(super) died: Option<Died>,
    /// When the `stop` came, in the daemon's time.
    stopped: Option<Timestamp>,
    /// It was removed; only its place is left.
    pub(super) gone: bool,
    /// Seen running, or heard of, since the events were last resumed after a gap: its end is told by events.
    pub(super) followed: bool,
    pub(super) stage: Stage,
    /// What was last said about when this will be decided.
    pub(super) until: Timestamp,
}

/// A stop of ours, written down before it was made.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) reason: StopReason,
    pub(super) at: Timestamp,
    /// A signal followed: the stop was made.
    pub(super) signalled: bool,
}

/// The end of the run.
#[derive(Debug)]
pub(super) struct Died {
    /// In the daemon's time.
    pub(super) at: Timestamp,
    pub(super) exit_code: Option<i64>,
    /// A look has told of it: its `die` is still on the way.
    pub(super) by_look: bool,
}

/// How far the decision is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It runs, for all that is known.
    #[default]
    Up,
    /// Seen not running, and no `die` has come yet.
    Missed,
    /// `kill` and `die`: a `stop` may follow.
    AwaitingStop,
    /// `kill`, `die` and `stop`: does the daemon live on?
    Asking,
    /// Nobody can tell whether it does: wait and see.
    Provisional { since: Timestamp },
    /// A person stopped it; perhaps to start it again at once.
    Person { show_at: Timestamp },
    /// Nobody did: has a restart failed?
    Rereading,
    /// The Hold is being written.
    Holding,
    /// The stream of events ended before it was decided.
    Cut,
    /// Decided.
    Decided(Verdict),
}

impl Stage {
    /// Whether an answer about the daemon's life decides it, late ones included.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self, Self::Asking | Self::Provisional { .. })
    }

    /// Whether only more events, or the life of the daemon, can decide it.
    pub(super) fn hangs_on_the_stream(&self) -> bool {
        matches!(self, Self::Missed | Self::AwaitingStop | Self::Asking | Self::Provisional { .. })
    }
}

impl Episode {
    /// From what was written down: signals are added by the caller.
    pub(super) fn restored(end: End) -> Self {
        let mut episode = Self { started_at: end.started_at, ..Self::default() };
        match end.verdict {
            Verdict::Pending { .. } => {}
            Verdict::Ours(reason) => episode.mark = Some(Mark { reason, at: end.at, signalled: false }),
            verdict => {
                episode.died = Some(Died { at: end.at, exit_code: end.exit_code, by_look: false });
                episode.stage = Stage::Decided(verdict);
            }
        }
        episode
    }

    /// Signals that were written down, of the run they were written for.
    pub(super) fn restore_signals(&mut self, signals: Signals) {
        self.started_at = self.started_at.or(signals.started_at);
        if let Some(mark) = &mut self.mark {
            mark.signalled = true;
        }
        self.signals = signals;
    }

    /// Whether an end is being decided on.
    pub(super) fn is_open(&self) -> bool {
        let half = self.stage == Stage::Up && self.stopped.is_some();
        half || !matches!(self.stage, Stage::Up | Stage::Missed | Stage::Decided(_))
    }

    pub(super) fn killed(&mut self, id: &str, event: &EngineEvent, effects: &mut Vec<Effect>) {
        let at = event.at();
        if self.is_of_an_older_run(at) || self.is_own_signal(event) {
            return;
        }
        if self.died.as_ref().is_some_and(|died| at > died.at) {
            // Only what runs can be signalled: its start was missed.
            self.begin(id, at, effects);
        }
        if let Some(mark) = &mut self.mark {
            if !mark.signalled && at > after(mark.at, MARK_LIFE) {
                self.mark = None;
                effects.push(Effect::Forget { container_id: id.to_owned() });
            } else {
                mark.signalled = true;
            }
        }
        self.signals.started_at = self.started_at;
        self.signals.add(event.attributes.get("signal").map(String::as_str), at);
        effects.push(Effect::Signalled);
    }

    /// Whether the `kill` is that of a signal of ours, of which there is one the less then.
    fn is_own_signal(&mut self, event: &EngineEvent) -> bool {
        let number = event.attributes.get("signal").and_then(|text| text.parse::<i32>().ok());
        let known = self.own_signals.iter().position(|(sent, _)| Some(*sent) == number);
        known.map(|index| self.own_signals.remove(index)).is_some()
    }

    pub(super) fn died(&mut self, id: &str, event: &EngineEvent, now: Timestamp, effects: &mut Vec<Effect>) {
        let at = event.at();
        let known = self.died.as_ref().filter(|died| !died.by_look).map(|died| died.at);
        if self.is_of_an_older_run(at) || known.is_some_and(|known| at <= known) {
            return;
        }
        if known.is_some() {
            // A second end: a start was missed. The signals are kept, they may be of this run.
            self.stopped = None;
        }
        let exit_code = event.attributes.get("exitCode").and_then(|code| code.parse().ok());
        let seen_before = self.died.replace(Died { at, exit_code, by_look: false }).is_some() && known.is_none();
        if seen_before && self.is_past_the_stop() {
            return;
        }
        if let Some(reason) = self.mark.as_ref().map(|mark| mark.reason) {
            self.decide(id, Verdict::Ours(reason), effects);
        } else if self.stopped.is_some_and(|stop| near(stop, at)) {
            self.enter(id, Stage::Asking, now, effects);
        } else if self.signals.is_empty() {
            self.decide(id, Verdict::OwnAccord, effects);
        } else {
            self.enter(id, Stage::AwaitingStop, now, effects);
        }
    }

    pub(super) fn stopped(&mut self, id: &str, at: Timestamp, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.is_of_an_older_run(at) || self.mark.is_some() {
            return;
        }
        self.stopped = Some(at);
        if self.stage == Stage::Up {
            self.until = after(now, STOP_WAIT);
        }
        // Decided meanwhile and not started since: the `stop` was late, or the container ended by itself as it was sent.
        let undecided = matches!(
            self.stage,
            Stage::Missed | Stage::AwaitingStop | Stage::Cut | Stage::Decided(Verdict::OwnAccord | Verdict::Killed)
        );
        if undecided && self.died.as_ref().is_some_and(|died| near(died.at, at)) {
            self.enter(id, Stage::Asking, now, effects);
        }
    }

    /// It was started at `at`. Returns whether that is news: not so where its end is known to be later.
    pub(super) fn begun(&mut self, id: &str, at: Timestamp, effects: &mut Vec<Effect>) -> bool {
        if self.died.as_ref().is_some_and(|died| died.at > at) {
            return false;
        }
        self.begin(id, at, effects);
        true
    }

    fn begin(&mut self, id: &str, at: Timestamp, effects: &mut Vec<Effect>) {
        // A stop of ours that was written down after this start is for the run that it began.
        let mark = self.mark.take().filter(|mark| mark.at > at);
        let had_end = self.died.is_some() || self.stage != Stage::Up;
        if had_end && mark.is_none() {
            effects.push(Effect::Forget { container_id: id.to_owned() });
        }
        if !self.signals.is_empty() {
            effects.push(Effect::Signalled);
        }
        let (owner, stop_signal, followed) = (self.owner.take(), self.stop_signal, self.followed);
        *self = Self { owner, stop_signal, mark, followed, started_at: Some(at), start_is_rough: true, ..Self::default() };
    }

    pub(super) fn destroyed(&mut self, id: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        self.gone = true;
        match self.stage {
            Stage::Up | Stage::Missed => self.stage = Stage::Decided(Verdict::Unknown),
            Stage::AwaitingStop if self.signals.only_kill(self.stop_signal) => self.decide(id, Verdict::Killed, effects),
            Stage::Rereading => self.enter(id, Stage::Holding, now, effects),
            _ => {}
        }
    }

    /// There are events again.
    pub(super) fn resumed(&mut self, id: &str, gap: Gap, now: Timestamp, effects: &mut Vec<Effect>) {
        let complete = self.died.is_some() && self.stopped.is_some();
        match gap {
            Gap::Replayed if complete => self.enter(id, Stage::Asking, now, effects),
            Gap::Replayed if self.died.is_some() => self.enter(id, Stage::AwaitingStop, now, effects),
            Gap::Replayed => self.enter(id, Stage::Missed, now, effects),
            // The very daemon that made the stop answers again: no better evidence that it lives on.
            Gap::SameRun if complete => self.enter(id, Stage::Person { show_at: after(now, super::SHOW_AFTER) }, now, effects),
            Gap::SameRun => self.decide(id, Verdict::Unknown, effects),
            Gap::OtherRun | Gap::UnknownRun => self.decide(id, Verdict::Shutdown, effects),
        }
    }

    /// Goes on to an open stage, and says when more will be known.
    pub(super) fn enter(&mut self, id: &str, stage: Stage, now: Timestamp, effects: &mut Vec<Effect>) {
        let container_id = id.to_owned();
        let ask = match &stage {
            Stage::Asking => Some(Effect::AskAlive { container_id }),
            Stage::Rereading if self.gone => return self.enter(id, Stage::Holding, now, effects),
            Stage::Rereading => Some(Effect::Inspect { container_id }),
            Stage::Holding => {
                let at = self.stopped.or_else(|| self.died.as_ref().map(|died| died.at)).unwrap_or(now);
                let Some(owner) = self.owner.clone() else { return self.decide(id, Verdict::ExternalStop, effects) };
                Some(Effect::Hold { container_id, owner, at })
            }
            _ => None,
        };
        self.until = match &stage {
            Stage::AwaitingStop if self.signals.only_kill(self.stop_signal) => after(now, KILL_WAIT),
            Stage::AwaitingStop | Stage::Missed | Stage::Rereading => after(now, STOP_WAIT),
            Stage::Asking => after(now, ANSWER_WAIT),
            Stage::Provisional { since } => after(*since, QUIET),
            Stage::Person { show_at } => *show_at,
            Stage::Holding | Stage::Cut | Stage::Up | Stage::Decided(_) => after(now, LOOK_AGAIN),
        };
        self.stage = stage;
        self.say_pending(id, effects);
        effects.extend(ask);
    }

    /// It is decided.
    pub(super) fn decide(&mut self, id: &str, verdict: Verdict, effects: &mut Vec<Effect>) {
        self.stage = Stage::Decided(verdict);
        if !self.signals.is_empty() {
            effects.push(Effect::Signalled);
        }
        self.say(id, effects);
    }

    /// Says again what is known: the run has got its exact time of start.
    pub(super) fn say(&self, id: &str, effects: &mut Vec<Effect>) {
        match &self.stage {
            Stage::Up => {}
            Stage::Decided(verdict) => {
                let end = self.end_at(verdict.clone(), self.died.as_ref().map_or(self.until, |died| died.at));
                effects.push(Effect::Decided { container_id: id.to_owned(), end });
            }
            _ => self.say_pending(id, effects),
        }
    }

    fn say_pending(&self, id: &str, effects: &mut Vec<Effect>) {
        let at = self.died.as_ref().map_or(self.until, |died| died.at);
        let end = self.end_at(Verdict::Pending { until: self.until }, at);
        effects.push(Effect::Decided { container_id: id.to_owned(), end });
    }

    pub(super) fn end_at(&self, verdict: Verdict, at: Timestamp) -> End {
        End { started_at: self.started_at, verdict, at, exit_code: self.died.as_ref().and_then(|died| died.exit_code) }
    }

    /// When [`Episode::tick`] has something to do.
    pub(super) fn due(&self, id: &str, peers: &Peers) -> Option<Timestamp> {
        match self.stage {
            Stage::Up => self.stopped.map(|_| self.until),
            Stage::Decided(_) => None,
            Stage::Provisional { since } => Some(peers.quiet_at(id, since).map_or(self.until, |quiet| quiet.min(self.until))),
            _ => Some(self.until),
        }
    }

    pub(super) fn tick(&mut self, id: &str, peers: &Peers, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.due(id, peers).is_none_or(|due| now < due) {
            return;
        }
        match self.stage {
            Stage::AwaitingStop => self.decide(id, self.without_a_stop(), effects),
            Stage::Missed => self.decide(id, Verdict::Unknown, effects),
            Stage::Asking => self.enter(id, Stage::Provisional { since: now }, now, effects),
            Stage::Provisional { since } if peers.quiet_at(id, since).is_some_and(|quiet| quiet <= now) => {
                self.enter(id, Stage::Rereading, now, effects);
            }
            Stage::Person { .. } => self.enter(id, Stage::Rereading, now, effects),
            Stage::Rereading => self.enter(id, Stage::Holding, now, effects),
            Stage::Provisional { .. } | Stage::Holding | Stage::Cut => {
                self.until = after(now, LOOK_AGAIN);
                self.say_pending(id, effects);
            }
            Stage::Up => self.stopped = None,
            Stage::Decided(_) => {}
        }
    }

    /// All that is waited for after `kill`, `die` and `stop` has been asked.
    fn is_past_the_stop(&self) -> bool {
        self.stage.is_asking() || matches!(self.stage, Stage::Person { .. } | Stage::Rereading | Stage::Holding)
    }

    /// `kill`, `die`, and no `stop` in time.
    fn without_a_stop(&self) -> Verdict {
        let harmless = self.died.as_ref().is_some_and(|died| self.signals.were_harmless(self.stop_signal, died.at));
        if harmless { Verdict::OwnAccord } else { Verdict::Killed }
    }

    fn is_of_an_older_run(&self, at: Timestamp) -> bool {
        !self.start_is_rough && self.started_at.is_some_and(|started| at < started)
    }
}

/// Close enough for a `die` and a `stop` of the same stop.
fn near(one: Timestamp, other: Timestamp) -> bool {
    let apart: Duration = one.duration_since(other).unsigned_abs();
    apart <= STOP_WAIT
}
