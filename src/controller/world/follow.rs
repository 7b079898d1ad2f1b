//! Follows the engine's events, and reconnects when they end.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::clock::Timestamp;
use crate::controller::intent::Gap;
use crate::docker::{Alive, Events};
use crate::model::{EngineEvent, EventKind, HealthStatus};
use crate::store;

use super::ask::Answer;
use super::connect::{Link, Unconnected};
use super::ledger::Baseline;
use super::look::Trust;
use super::picture;
use super::{Seen, State, World, WorldChange};

/// Pause before a full look that failed is repeated.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// First and longest pause before connecting again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A connection that lasted this long was a good one: the next pause is short again.
const LASTED: Duration = Duration::from_secs(5);
/// How often the cursor is written at most.
const WRITE: Duration = Duration::from_secs(1);
/// How often the clocks are compared.
const COMPARE: Duration = Duration::from_secs(5);
/// The wall clock has jumped when it moved this much against the steady one.
const JUMP: Duration = Duration::from_secs(2);

impl State {
    /// The next full look is due after `delay`.
    pub(super) fn list_again(&mut self, delay: Duration) {
        self.list_at = Instant::now() + delay;
    }
}

impl World {
    /// Connects, follows, and does so again until `shutdown`.
    pub(super) async fn follow_engine(
        &self,
        answers: &mut mpsc::UnboundedReceiver<Answer>,
        shutdown: &CancellationToken,
    ) -> store::Result<()> {
        let mut pauses = pauses();
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            let connected = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                connected = self.connect() => connected,
            };
            let why = match connected {
                Ok(link) => match self.follow(link, answers, shutdown).await {
                    Some(why) => why,
                    None => return Ok(()),
                },
                Err(Unconnected::Failed(failure)) => failure.message,
                Err(Unconnected::Taken(error)) => return Err(error),
            };
            self.lost(why);
            if began.elapsed() > LASTED {
                pauses = self::pauses();
            }
            let pause = pauses.next().unwrap_or(PAUSE.1);
            self.wait_out(pause, answers, shutdown).await;
        }
        Ok(())
    }

    /// Reads events until they end and says why they did; `None`: the operator is ending.
    async fn follow(
        &self,
        link: Link,
        answers: &mut mpsc::UnboundedReceiver<Answer>,
        shutdown: &CancellationToken,
    ) -> Option<String> {
        let mut events = self.linked(link);
        loop {
            let wake = self.wake();
            // The order matters: an answer counts only when everything the daemon sent before has been read.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                event = events.next() => match event {
                    Some(Ok(event)) => self.heard(&event),
                    Some(Err(failure)) => return Some(failure.message),
                    None => return Some("the engine ended the stream of its events".to_owned()),
                },
                Some(answer) = answers.recv() => self.answered(answer),
                () = tokio::time::sleep_until(wake) => self.on_time(),
                () = self.nudge.notified() => {}
            }
        }
    }

    /// A pause between two connections: what is due meanwhile is done.
    async fn wait_out(&self, pause: Duration, answers: &mut mpsc::UnboundedReceiver<Answer>, shutdown: &CancellationToken) {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(end) => return self.pass_time(),
                Some(answer) = answers.recv() => self.answered(answer),
            }
        }
    }

    /// A connection stands: tells what it means for what is open, and has everything looked at.
    fn linked(&self, link: Link) -> Events {
        let trust = {
            let state = &mut *self.state();
            info!(gap = ?link.gap, "following the engine's events");
            state.streams += 1;
            state.stream = Some(state.streams);
            state.seen.below_floor = link.gap == Gap::Replayed;
            if link.gap != Gap::Replayed {
                let floor = link.subscribed_at.as_nanosecond().try_into().unwrap_or(i64::MAX);
                let met_at = if link.gap == Gap::SameRun { state.seen.met_at } else { Some(link.subscribed_at) };
                let baseline = Baseline { cursor: link.anchor.clone(), run: link.run.clone(), floor, met_at };
                let (latest, settled, anchored) = (link.anchor.clone(), link.anchor.clone(), link.anchor.is_some());
                state.seen = Seen { latest, settled, floor, met_at, anchored, baseline: Some(baseline), ..Seen::default() };
            }
            if link.restarted.is_some() {
                state.restarted = link.restarted;
                state.contact.void();
            }
            state.seen.run = Some(link.run.clone());
            state.picture.set_run(link.run);
            state.intent.met_run(state.seen.met_at);
            let effects = state.intent.resumed(link.gap, link.subscribed_at, self.steady_now());
            self.carry_out(state, effects);
            // A look that the old connection took with it is not waited for, and does not count.
            (state.listing, state.going_down) = (false, false);
            if link.gap == Gap::Replayed && state.contact.is_seen() { Trust::Events } else { Trust::Nothing }
        };
        link.read.iter().for_each(|event| self.heard(event));
        self.look_around_soon(trust);
        link.events
    }

    fn lost(&self, why: String) {
        let state = &mut *self.state();
        if state.stream.take().is_some() {
            warn!(%why, "lost touch with the engine");
            let effects = state.intent.stream_ended(self.steady_now());
            self.carry_out(state, effects);
        } else if state.contact.was_tried() {
            debug!(%why, "the engine is still out of reach");
        } else {
            warn!(%why, "the engine is out of reach; it is tried again for ever");
        }
        (state.asking, state.asked) = (Vec::new(), false);
        if state.contact.bad(why.clone(), self.clock.now(), self.steady_now()) {
            self.tell(WorldChange::Lost { why });
        }
    }

    /// When something is due.
    fn wake(&self) -> Instant {
        let state = &mut *self.state();
        if state.seen.written.as_ref() != Some(&state.seen.settled) {
            // Never put off by the events that follow.
            state.tidy_at = state.tidy_at.min(Instant::now() + WRITE);
        }
        let until = |at: Timestamp| Duration::try_from(at.duration_since(self.steady_now())).unwrap_or_default();
        let intent = state.intent.wake_at().map(|at| Instant::now() + until(at));
        let list = (!state.listing).then_some(state.list_at);
        [intent, list].into_iter().flatten().fold(state.tidy_at, Instant::min)
    }

    fn on_time(&self) {
        self.pass_time();
        if Instant::now() >= self.state().tidy_at {
            self.write_seen();
            self.state().tidy_at = Instant::now() + COMPARE;
        }
        let jumped = self.clock_jumped();
        let (due, going_down) = {
            let state = self.state();
            (!state.listing && (jumped || Instant::now() >= state.list_at), state.going_down)
        };
        if due && going_down {
            self.look_around_if_alive();
        } else if due {
            self.look_around_soon(Trust::Events);
        }
    }

    /// What is due by itself, connected or not.
    fn pass_time(&self) {
        let state = &mut *self.state();
        let effects = state.intent.tick(self.steady_now());
        self.carry_out(state, effects);
        if let Some(why) = state.contact.newly_blind(self.steady_now(), self.options.blind_after) {
            self.tell(WorldChange::Lost { why });
        }
    }

    /// The daemon was going down and its events have not ended: it is looked at again only if it has come round.
    fn look_around_if_alive(&self) {
        let Some(me) = self.me.upgrade() else { return };
        self.state().list_again(RETRY);
        tokio::spawn(async move {
            if me.engine.alive().await == Alive::Yes {
                me.state().going_down = false;
                me.look_around_soon(Trust::Nothing);
            }
        });
    }

    fn clock_jumped(&self) -> bool {
        let state = &mut *self.state();
        let offset = self.clock.now().duration_since(self.steady_now());
        let moved = (offset - state.offset).unsigned_abs();
        if moved > JUMP {
            info!(seconds = moved.as_secs(), "the wall clock jumped; looking at everything");
            state.offset = offset;
        }
        moved > JUMP
    }

    /// An event: it changes the picture as far as it tells, and has its object looked at.
    pub(super) fn heard(&self, event: &EngineEvent) {
        match event.kind {
            EventKind::Container => self.heard_of_container(event),
            EventKind::Network => match event.attributes.get("container") {
                Some(container) => self.look_again(container),
                None => self.list_soon(event.kind),
            },
            EventKind::Volume if matches!(event.action.as_str(), "mount" | "unmount") => {}
            EventKind::Volume | EventKind::Image => self.list_soon(event.kind),
            EventKind::Other => {}
        }
        let state = &mut *self.state();
        state.seen.latest = Some(event.cursor());
        if !state.intent.is_open() {
            state.seen.settled.clone_from(&state.seen.latest);
        }
        self.drop_anchor(state);
    }

    fn heard_of_container(&self, event: &EngineEvent) {
        let Some(matters) = matters(&event.action) else { return };
        let owner = self.owner(&event.attributes);
        let state = &mut *self.state();
        state.picture.touch(&event.id);
        state.seen.below_floor &= event.time_nanos < state.seen.floor;
        if state.seen.below_floor {
            return;
        }
        // The decision first: a container is never shown as ended without its end.
        let effects = state.intent.event(event, owner, self.steady_now());
        self.carry_out(state, effects);
        let gone = self.change(state, event);
        if matters == Matters::ToThePicture && !gone {
            self.look_soon(state, &event.id);
        }
    }

    /// Changes the picture as far as the event tells. Returns whether the container is gone.
    fn change(&self, state: &mut State, event: &EngineEvent) -> bool {
        let (id, at) = (&event.id, event.at());
        let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
        match event.action.as_str() {
            "destroy" => {
                if let picture::Applied::Changed(labels) = state.picture.remove(id) {
                    self.touched(&labels);
                }
                return true;
            }
            "oom" => state.picture.ran_out_of_memory(id, at),
            "die" => {
                let code = attribute("exitCode").and_then(|code| code.parse().ok());
                state.picture.died(id, at, code);
            }
            "start" => state.picture.change(id, |container| picture::started(container, at)),
            "rename" => {
                let name = attribute("name").map(|name| name.trim_start_matches('/').to_owned());
                state.picture.change(id, |container| container.name = name.unwrap_or_else(|| container.name.clone()));
            }
            action => {
                let health = match action.strip_prefix("health_status:").map(str::trim) {
                    Some("healthy") => HealthStatus::Healthy,
                    // Shown with what the probe said, or not at all: the look that follows has it.
                    _ => return false,
                };
                state.picture.change(id, |container| {
                    if let Some(record) = &mut container.health {
                        record.status = health;
                    }
                });
            }
        }
        false
    }

    fn look_again(&self, id: &str) {
        let state = &mut *self.state();
        state.picture.touch(id);
        self.look_soon(state, id);
    }

    /// Lists networks, volumes or images again, beside everything else; once for many events.
    fn list_soon(&self, kind: EventKind) {
        let Some(me) = self.me.upgrade().filter(|_| self.state().picture.start_look(list_name(kind))) else { return };
        tokio::spawn(async move {
            loop {
                let listed = match kind {
                    EventKind::Network => me.refresh_networks().await,
                    EventKind::Volume => me.refresh_volumes().await,
                    _ => me.refresh_images().await,
                };
                if let Err(failure) = listed {
                    debug!(error = %failure, "a list failed; the next full look tries again");
                }
                if !me.state().picture.end_look(list_name(kind)) {
                    return;
                }
            }
        });
    }
}

fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default().with_min_delay(PAUSE.0).with_max_delay(PAUSE.1).with_jitter().without_max_times().build()
}

/// What an event about a container is good for.
#[derive(PartialEq, Eq)]
enum Matters {
    ToThePicture,
    ToTheDecision,
}

/// `None`: for nothing but to know how far events have been read.
fn matters(action: &str) -> Option<Matters> {
    match action {
        "kill" | "oom" => Some(Matters::ToTheDecision),
        "create" | "start" | "restart" | "die" | "stop" | "destroy" | "pause" | "unpause" | "rename" | "update" => {
            Some(Matters::ToThePicture)
        }
        _ if action.starts_with("health_status") => Some(Matters::ToThePicture),
        _ => None,
    }
}

/// The name under which looks at a whole list are counted; no container has it.
fn list_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Network => "networks",
        EventKind::Volume => "volumes",
        _ => "images",
    }
}
