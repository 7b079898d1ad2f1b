//! How long a turn may go on beginning calls.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::controller::Controller;
use crate::controller::triggers::fingerprint;
use crate::controller::world::View;
use crate::model::{Desired, HealthStatus, Observed, Snapshot};
use crate::store::Kind;

/// After so long a turn begins nothing new when somebody waits for its end: another Deployment that acts too, a changed object or
/// Hold, a sibling that ended or fell ill. The next turn goes on with a new plan.
const WANTED: Duration = Duration::from_secs(3);

/// The same when nobody does. Each end of a turn costs the wait for its last calls: at one end in three seconds a tenth of a bring-up
/// of 50 containers (measured).
const ALONE: Duration = Duration::from_secs(15);

/// A turn that acts.
pub(in crate::controller) struct Turn<'c> {
    controller: &'c Controller,
    desired: &'c Desired,
    /// What of the object called for this turn.
    asked: Value,
    /// What the plan saw.
    seen: &'c Observed,
    first_call: OnceLock<Instant>,
}

impl<'c> Turn<'c> {
    /// The turn of `desired` begins to act, on what `asked` of its object and `seen` of the engine led to.
    pub(in crate::controller) fn begin(
        controller: &'c Controller,
        desired: &'c Desired,
        asked: Value,
        seen: &'c Observed,
    ) -> Self {
        controller.acting.fetch_add(1, Ordering::Relaxed);
        Self { controller, desired, asked, seen, first_call: OnceLock::new() }
    }

    /// Whether nothing new is to be begun; its time runs from the first time that this is asked.
    pub(super) fn is_over(&self) -> bool {
        let lasted = self.first_call.get_or_init(Instant::now).elapsed();
        lasted > ALONE || lasted > WANTED && (self.controller.acting.load(Ordering::Relaxed) > 1 || self.has_news())
    }

    /// Whether a new plan would be another one for more than what this turn has done.
    fn has_news(&self) -> bool {
        let key = &self.desired.key;
        let object = self.controller.store.get(Kind::Deployment, key).ok().flatten();
        let same_object = object.is_some_and(|object| fingerprint(&object) == self.asked);
        let same_holds = self.controller.registry.holds_of(key).is_ok_and(|holds| holds == self.desired.holds);
        let all_well = matches!(self.controller.world.view(), View::Seen(now) if !self.something_went_wrong(&now));
        let same_probes = self.controller.probes.of(key) == self.seen.probed;
        !(same_object && same_holds && all_well && same_probes)
    }

    fn something_went_wrong(&self, now: &Snapshot) -> bool {
        let (key, project, then) = (&self.desired.key, &self.desired.project, &self.seen.snapshot);
        let is_up = |id: &str| now.containers.get(id).is_some_and(|container| container.is_up());
        let went = then.containers.related(key, project).any(|container| container.is_up() && !is_up(&container.id));
        let mut down = now.containers.related(key, project).filter(|container| !container.is_up());
        let is_ill = |snapshot: &Snapshot, id: &str| {
            let health = snapshot.containers.get(id).and_then(|container| container.health.as_ref());
            health.is_some_and(|health| health.status == HealthStatus::Unhealthy)
        };
        let mut up = now.containers.related(key, project).filter(|container| container.is_up());
        let fell_ill = up.any(|container| is_ill(now, &container.id) && !is_ill(then, &container.id));
        went || fell_ill || down.any(|container| then.ends.get(&container.id) != now.ends.get(&container.id))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.controller.acting.fetch_sub(1, Ordering::Relaxed);
    }
}
