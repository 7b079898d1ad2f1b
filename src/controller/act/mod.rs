//! The only place that acts: carries a plan out, each action after those it depends on, side by side where it may.
//!
//! It contains no policy. Right before a start it asks the registry once more whether anything holds the replica.

mod build;
mod ops;
mod pull;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tracing::{Instrument, info_span};

use crate::model::{Action, ActionResult, Desired, JobKind, Outcome, Plan};

use super::Controller;

/// A call that takes longer goes on beside the turn and no longer counts as work on the engine: a start takes 0.3 s, 2.4 s at
/// worst under load (measured).
const HUNG: Duration = Duration::from_secs(5);

/// After so long a turn begins nothing new: its status is told, and the next turn goes on with a new plan. So nobody waits behind
/// the hundred containers of another Deployment, and a sibling that crashed meanwhile is seen.
const TURN: Duration = Duration::from_secs(3);

impl Controller {
    /// Carries out a plan. One outcome an action, in the plan's order. Jobs nobody wants any more are ended first.
    pub(super) async fn act(self: &Arc<Self>, desired: &Arc<Desired>, plan: &Plan) -> Vec<Outcome> {
        for kind in &plan.cancel {
            self.jobs.cancel(&plan.key, kind);
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; plan.actions.len()];
        let first_call = OnceLock::new();
        let mut running = FuturesUnordered::new();
        let mut begun = vec![false; plan.actions.len()];
        loop {
            let mut skipped = false;
            for index in 0..plan.actions.len() {
                if begun[index] {
                    continue;
                }
                match readiness(plan, &outcomes, index) {
                    Readiness::Wait => {}
                    Readiness::Skip(why) => {
                        begun[index] = true;
                        skipped = true;
                        outcomes[index] =
                            Some(outcome(plan.actions[index].clone(), ActionResult::Skipped { why }, Duration::ZERO));
                    }
                    Readiness::Go => {
                        begun[index] = true;
                        let made = ops::Made::of(plan, index, &outcomes);
                        running.push(self.perform(desired, plan, index, made, &first_call));
                    }
                }
            }
            match running.next().await {
                Some((index, done)) => outcomes[index] = Some(done),
                None if skipped => {}
                None => break,
            }
        }
        outcomes.into_iter().flatten().collect()
    }

    /// Does one action among at most so many others. One that hangs gives its place up and becomes a job, so that it stalls only
    /// itself: its replica, not the rest of its Deployment.
    async fn perform(
        self: &Arc<Self>,
        desired: &Arc<Desired>,
        plan: &Plan,
        index: usize,
        made: ops::Made,
        first_call: &OnceLock<Instant>,
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
            outcome(action, result, began.elapsed())
        };
        // What broke goes ahead of what is merely to be done. The semaphores are never closed, so this is always a permit.
        let calls = if plan.actions[index].cause.is_urgent() { &self.urgent_calls } else { &self.calls };
        let _permit = calls.acquire().await;
        if first_call.get_or_init(Instant::now).elapsed() > TURN {
            let why = "this turn has lasted long enough; the next one goes on".to_owned();
            return (index, outcome(plan.actions[index].clone(), ActionResult::Skipped { why }, Duration::ZERO));
        }
        let done = self.jobs.within(&plan.key, kind, HUNG, work.instrument(span)).await;
        (index, done.unwrap_or_else(|| outcome(plan.actions[index].clone(), ActionResult::Started, HUNG)))
    }
}

/// What came of an action, in the trace of the span that is current.
fn outcome(action: Action, result: ActionResult, took: Duration) -> Outcome {
    Outcome { action, result, took, trace_id: crate::telemetry::trace_id() }
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
