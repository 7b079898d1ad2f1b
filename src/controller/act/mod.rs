//! The only place that acts: carries a plan out, each action after those it depends on, side by side where it may.
//!
//! It contains no policy. Right before a start it asks the registry once more whether anything holds the replica.

mod build;
mod ops;
mod pull;

use futures::stream::{FuturesUnordered, StreamExt};
use tracing::{Instrument, info_span};

use crate::model::{ActionResult, Desired, Outcome, Plan};

use super::Controller;

/// After so long a call no longer counts as work on the engine: a start takes 0.3 s, 2.4 s at worst under load (measured).
const HUNG: std::time::Duration = std::time::Duration::from_secs(5);

impl Controller {
    /// Carries out a plan. One outcome an action, in the plan's order. Jobs nobody wants any more are ended first.
    pub(super) async fn act(&self, desired: &Desired, plan: &Plan) -> Vec<Outcome> {
        for kind in &plan.cancel {
            self.jobs.cancel(&plan.key, kind);
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; plan.actions.len()];
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
                        outcomes[index] = Some(outcome(plan, index, ActionResult::Skipped { why }, std::time::Duration::ZERO));
                    }
                    Readiness::Go => {
                        begun[index] = true;
                        let made = ops::Made::of(plan, index, &outcomes);
                        running.push(self.perform(desired, plan, index, made));
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

    async fn perform(&self, desired: &Desired, plan: &Plan, index: usize, made: ops::Made) -> (usize, Outcome) {
        let action = &plan.actions[index];
        let span = info_span!(
            "action",
            otel.name = action.op.verb(),
            action = %action.op,
            cause = %action.cause,
            result = tracing::field::Empty
        );
        let began = tokio::time::Instant::now();
        let result = async {
            let result = self.within_bounds(self.carry_out(desired, action, &made)).await;
            tracing::Span::current().record("result", ops::word(&result));
            result
        }
        .instrument(span)
        .await;
        (index, outcome(plan, index, result, began.elapsed()))
    }
}

impl Controller {
    /// Runs a call among at most so many others. One that hangs gives its place up, so that it stalls only itself.
    async fn within_bounds<T>(&self, call: impl Future<Output = T>) -> T {
        // The semaphore is never closed, so this is always a permit.
        let permit = self.calls.acquire().await;
        tokio::pin!(call);
        tokio::select! {
            result = &mut call => return result,
            () = tokio::time::sleep(HUNG) => drop(permit),
        }
        call.await
    }
}

fn outcome(plan: &Plan, index: usize, result: ActionResult, took: std::time::Duration) -> Outcome {
    Outcome { action: plan.actions[index].clone(), result, took }
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
