//! The only place that acts: carries a plan out, each action after those it depends on, side by side where it may.
//!
//! It contains no policy. Right before a start it asks the registry once more whether anything holds the replica.

mod build;
mod ops;
mod pull;
mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info_span};

use crate::clock::SharedClock;
use crate::model::{Action, ActionResult, Desired, JobKind, Outcome, Plan};

use super::Controller;

pub(super) use turn::Turn;

/// A call that takes longer goes on beside the turn and no longer counts as work on the engine: a start takes 0.3 s, 2.4 s at
/// worst under load (measured).
const HUNG: Duration = Duration::from_secs(5);

/// How often a turn that goes on tells what it has done.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// A plan that is being carried out.
pub(super) struct Course<'p> {
    controller: &'p Arc<Controller>,
    desired: &'p Arc<Desired>,
    plan: &'p Plan,
    turn: &'p Turn<'p>,
    begun: Vec<bool>,
    outcomes: Vec<Option<Outcome>>,
    running: FuturesUnordered<BoxFuture<'p, (usize, Outcome)>>,
    /// What was done and not returned yet.
    done: BTreeSet<usize>,
    over: bool,
}

impl Course<'_> {
    /// Goes on, and returns what was done meanwhile: after a while, or at the end. `None`: it has ended.
    pub(super) async fn next(&mut self) -> Option<Vec<Outcome>> {
        if self.over {
            return None;
        }
        let until = Instant::now() + TELL_EVERY;
        loop {
            let skipped = self.begin();
            let nothing_skipped = skipped.is_empty();
            self.done.extend(skipped);
            match timeout_at(until, self.running.next()).await {
                Ok(Some(ended)) => self.ended(ended),
                Ok(None) if nothing_skipped => break self.over = true,
                Ok(None) => {}
                Err(_) => break,
            }
        }
        Some(std::mem::take(&mut self.done).into_iter().filter_map(|index| self.outcomes[index].clone()).collect())
    }

    /// Awaits `work` while the calls under way go on: a slow disk must not keep them, and the places they take, from others.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(ended) = self.running.next(), if !self.running.is_empty() => self.ended(ended),
            }
        }
    }

    fn ended(&mut self, (index, outcome): (usize, Outcome)) {
        self.outcomes[index] = Some(outcome);
        self.done.insert(index);
    }

    /// Begins what may begin, and returns what never will.
    fn begin(&mut self) -> Vec<usize> {
        let mut skipped = vec![];
        for index in 0..self.plan.actions.len() {
            if self.begun[index] {
                continue;
            }
            match readiness(self.plan, &self.outcomes, index) {
                Readiness::Wait => continue,
                Readiness::Skip(why) => {
                    let action = self.plan.actions[index].clone();
                    self.outcomes[index] =
                        Some(outcome(&self.controller.clock, action, ActionResult::Skipped { why }, Duration::ZERO));
                    skipped.push(index);
                }
                Readiness::Go => {
                    let made = ops::Made::of(self.plan, index, &self.outcomes);
                    self.running.push(self.controller.perform(self.desired, self.plan, index, made, self.turn).boxed());
                }
            }
            self.begun[index] = true;
        }
        skipped
    }
}

impl Controller {
    /// Begins to carry out a plan. Jobs nobody wants any more are ended first.
    pub(super) fn act<'p>(self: &'p Arc<Self>, desired: &'p Arc<Desired>, plan: &'p Plan, turn: &'p Turn<'p>) -> Course<'p> {
        for kind in &plan.cancel {
            self.jobs.cancel(&plan.key, kind);
        }
        Course {
            controller: self,
            desired,
            plan,
            turn,
            begun: vec![false; plan.actions.len()],
            outcomes: vec![None; plan.actions.len()],
            running: FuturesUnordered::new(),
            done: BTreeSet::new(),
            over: false,
        }
    }

    /// Does one action among at most so many others. One that hangs gives its place up and becomes a job, so that it stalls only
    /// itself: its replica, not the rest of its Deployment.
    async fn perform(
        self: &Arc<Self>,
        desired: &Arc<Desired>,
        plan: &Plan,
        index: usize,
        made: ops::Made,
        turn: &Turn<'_>,
    ) -> (usize, Outcome) {
        let action = plan.actions[index].clone();
        let kind = JobKind::Call { subject: action.subject.clone(), op: action.op.to_string() };
        let (me, desired) = (Arc::clone(self), Arc::clone(desired));
        let span = info_span!(
            "action",
            otel.name = action.op.verb(),
            action = %action.op,
            cause = %action.cause,
            result = tracing::field::Empty
        );
        let work = async move {
            let began = Instant::now();
            let result = me.carry_out(&desired, &action, &made).await;
            tracing::Span::current().record("result", ops::word(&result));
            outcome(&me.clock, action, result, began.elapsed())
        };
        // What broke goes ahead of what is merely to be done. The semaphores are never closed, so this is always a permit.
        let calls = if plan.actions[index].cause.is_urgent() { &self.urgent_calls } else { &self.calls };
        let _permit = calls.acquire().await;
        if turn.is_over() {
            let why = "this turn has lasted long enough; the next one goes on".to_owned();
            return (index, outcome(&self.clock, plan.actions[index].clone(), ActionResult::Skipped { why }, Duration::ZERO));
        }
        let done = self.jobs.within(&plan.key, kind, HUNG, work.instrument(span)).await;
        (index, done.unwrap_or_else(|| outcome(&self.clock, plan.actions[index].clone(), ActionResult::Started, HUNG)))
    }
}

/// What came of an action that ends now, in the trace of the span that is current.
fn outcome(clock: &SharedClock, action: Action, result: ActionResult, took: Duration) -> Outcome {
    Outcome { action, result, at: clock.now(), took, trace_id: crate::telemetry::trace_id() }
}

enum Readiness {
    Go,
    Wait,
    Skip(String),
}

/// Whether all that an action comes after is done.
fn readiness(plan: &Plan, outcomes: &[Option<Outcome>], index: usize) -> Readiness {
    for before in &plan.actions[index].after {
        match outcomes[*before].as_ref().map(|outcome| &outcome.result) {
            None => return Readiness::Wait,
            Some(ActionResult::Done { .. } | ActionResult::Pulled(_) | ActionResult::Built(_)) => {}
            Some(ActionResult::Started) => return Readiness::Skip(format!("{} is under way", plan.actions[*before].op)),
            Some(ActionResult::Failed(_) | ActionResult::Skipped { .. }) => {
                return Readiness::Skip(format!("{} did not succeed", plan.actions[*before].op));
            }
        }
    }
    Readiness::Go
}
