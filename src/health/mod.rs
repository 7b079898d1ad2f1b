//! Makes the probes that services declare, and tells what they say.
//!
//! # Flow
//! The controller says which runs of which containers are to be probed ([`ProbeWish`]); a change of a verdict is told as
//! [`ProbeNews`]. What follows from that, a restart or not being ready, is decided by the planner.
//!
//! # Guarantees
//! - Each probe has a task and a deadline of its own; one that hangs keeps nobody waiting. First probes are spread over a second.
//! - A command that has not ended is not started a second time beside itself.
//! - What is told is of the run it names. Output is redacted before it is cut.
//! - While the startup probe has not succeeded no other is made.

mod ask;
pub mod fold;
mod grpc;
mod http;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::clock::SharedClock;
use crate::model::{
    Check, Key, Probe, ProbeKind, ProbeNews, ProbeStanding, ProbeTarget, ProbeVerdict, ProbeWish, ReplicaId, fraction,
};

pub use ask::Asker;
use fold::{Answer, Outcome, Track};

/// The first probes of many containers that were started together are spread over so long.
const SPREAD: Duration = Duration::from_secs(1);

/// Makes one probe, however long that takes: who calls it has a deadline.
#[async_trait]
pub trait Ask: Send + Sync + 'static {
    /// Asks once.
    /// `begun` says that the container itself is being asked: what the engine takes before is not the container's.
    async fn ask(&self, target: &ProbeTarget, check: &Check, begun: &Begun) -> Answer;
}

/// The worker.
pub struct Health {
    wishes: mpsc::UnboundedReceiver<ProbeWish>,
    prober: Prober,
}

#[derive(Clone)]
struct Prober {
    ask: Arc<dyn Ask>,
    news: mpsc::UnboundedSender<ProbeNews>,
    clock: SharedClock,
}

impl Health {
    /// A worker that does nothing until [`Health::run`] runs.
    pub fn new(
        wishes: mpsc::UnboundedReceiver<ProbeWish>,
        news: mpsc::UnboundedSender<ProbeNews>,
        ask: Arc<dyn Ask>,
        clock: SharedClock,
    ) -> Self {
        Self { wishes, prober: Prober { ask, news, clock } }
    }

    /// Probes what is wished until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut attended: HashMap<(Key, ReplicaId), (ProbeTarget, AbortOnDropHandle<()>)> = HashMap::new();
        loop {
            let wish = tokio::select! {
                () = shutdown.cancelled() => return,
                wish = self.wishes.recv() => wish,
            };
            // Without a controller there is nobody to probe for.
            let Some(ProbeWish { key, targets }) = wish else { return };
            attended.retain(|(owner, replica), (target, _)| *owner != key || targets.get(replica) == Some(target));
            for (replica, target) in targets {
                attended.entry((key.clone(), replica)).or_insert_with(|| {
                    let task = tokio::spawn(self.prober.clone().attend(key.clone(), target.clone()));
                    (target, AbortOnDropHandle::new(task))
                });
            }
        }
    }
}

/// What is told of one run.
struct Told {
    key: Key,
    target: ProbeTarget,
    verdicts: Mutex<BTreeMap<ProbeKind, ProbeVerdict>>,
}

impl Prober {
    /// Makes all probes of one run: the startup probe until it succeeds, then the others for as long as they are wished.
    async fn attend(self, key: Key, target: ProbeTarget) {
        let probes = target.probes.clone();
        let told = Told { key, target, verdicts: Mutex::default() };
        if let Some(startup) = &probes.startup {
            self.follow(&told, ProbeKind::Startup, startup).await;
        }
        let others = probes.each().filter(|(kind, _)| *kind != ProbeKind::Startup);
        join_all(others.map(|(kind, probe)| self.follow(&told, kind, probe))).await;
    }

    /// Makes one probe again and again; the startup probe until it has succeeded.
    async fn follow(&self, told: &Told, kind: ProbeKind, probe: &Probe) {
        let mut ticks = interval_at(self.first(told, kind, probe), probe.period);
        // Who was late is not hurried: the container has done nothing for it.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut track, mut open) = (Track::default(), None);
        loop {
            ticks.tick().await;
            let answer = self.ask(told, probe, &mut open).await;
            debug!(deployment = %told.key, probe = kind.word(), ?answer, "a probe was made");
            if !track.fold(probe, answer, self.clock.now()) {
                continue;
            }
            let Some(verdict) = track.verdict() else { continue };
            if !self.tell(told, kind, verdict) || (kind == ProbeKind::Startup && verdict.standing == ProbeStanding::Good) {
                return;
            }
        }
    }

    /// When the first probe is made: after the delay that is declared, counted from the container's start, a little spread.
    fn first(&self, told: &Told, kind: ProbeKind, probe: &Probe) -> Instant {
        let now = self.clock.now();
        let started = told.target.run.started_at.unwrap_or(now);
        let ran = Duration::try_from(now.duration_since(started)).unwrap_or_default();
        let spread = SPREAD.min(probe.period).mul_f64(fraction(&format!("{}{kind:?}", told.target.run.container)));
        Instant::now() + probe.initial_delay.saturating_sub(ran) + spread
    }

    /// Asks once, within the deadline. A command that outlives it stays open, and is looked after before another one is run.
    async fn ask<'a>(&'a self, told: &'a Told, probe: &'a Probe, open: &mut Option<Pending<'a>>) -> Answer {
        let stays = matches!(probe.check, Check::Exec { .. });
        let mut asked = open.take().unwrap_or_else(|| {
            let begun = Begun::default();
            let question = self.question(told, probe, begun.clone()).boxed();
            Pending { question, begun, late: false }
        });
        match timeout(probe.timeout, &mut asked.question).await {
            Ok(answer) if !asked.late => answer,
            Ok(_) => Answer { outcome: Outcome::Bad, output: "the command of an earlier probe ended only now".to_owned() },
            Err(_) => {
                let begun = asked.begun.is();
                asked.late |= begun;
                *open = stays.then_some(asked);
                let outcome = if begun { Outcome::Bad } else { Outcome::NotMade };
                Answer { outcome, output: format!("no answer within {} s", probe.timeout.as_secs_f64()) }
            }
        }
    }

    async fn question(&self, told: &Told, probe: &Probe, begun: Begun) -> Answer {
        self.ask.ask(&told.target, &probe.check, &begun).await
    }

    /// Whether there is anybody to hear it.
    fn tell(&self, told: &Told, kind: ProbeKind, verdict: &ProbeVerdict) -> bool {
        let mut verdicts = told.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(kind, verdict.clone());
        let news = ProbeNews { key: told.key.clone(), run: told.target.run.clone(), verdicts: verdicts.clone() };
        self.news.send(news).is_ok()
    }
}

/// A question that is open.
struct Pending<'a> {
    question: BoxFuture<'a, Answer>,
    begun: Begun,
    /// It was answered too late, and that is told.
    late: bool,
}

/// Whether a container itself is being asked by now.
#[derive(Debug, Clone, Default)]
pub struct Begun(Arc<AtomicBool>);

impl Begun {
    /// From now on it is.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long ago a moment was.
fn age(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}
