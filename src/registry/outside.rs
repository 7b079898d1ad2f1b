//! What was understood from outside evenkeel, and the last look before a start.

use jiff::Timestamp;

use super::gates::StartPermit;
use super::holds::{NewHold, described, laid_message, laid_reason, view};
use super::target::Target;
use super::{Registry, Result};
use crate::model::{HoldState, HoldView, Key, REASON_EXTERNAL_STOP, Reason, ReplicaId};
use crate::store::Kind;

const BY: &str = "docker";

impl Registry {
    /// Lays the Hold that an outside stop at `at` (its `since`) was understood as (`by: docker`, reason `ExternalStop`), unless one
    /// is there. None is laid while the replica is suspended (hands off: nothing is read into a stop either), where the Deployment
    /// says `externalStop: Revert`, or where there is no such Deployment. Returns whether one was laid.
    pub async fn hold_external_stop(&self, key: &Key, replica: &ReplicaId, at: Timestamp) -> Result<bool> {
        let _gate = self.gates.stop(key).await;
        let Some(deployment) = self.store.get(Kind::Deployment, key)? else { return Ok(false) };
        let deleted = !deployment["metadata"]["deletionTimestamp"].is_null();
        if deleted || deployment["spec"]["recovery"]["externalStop"] == "Revert" {
            return Ok(false);
        }
        let now = self.clock.now();
        let holds = self.holds_of(key)?;
        let suspended_then =
            winner(&holds, replica, at).is_some_and(|hold| hold.state == HoldState::Suspended && hold.since <= at);
        let stopped = holds.iter().any(|hold| hold.state == HoldState::Stopped && hold.covers(replica) && hold.in_force(now));
        if suspended_then || stopped {
            return Ok(false);
        }
        let new = NewHold {
            target: Target::Replica(replica.clone()),
            state: HoldState::Stopped,
            reason: REASON_EXTERNAL_STOP.to_owned(),
            until: None,
            by: BY.to_owned(),
            since: at,
        };
        let hold = view(&*self.lay(key, &new).await?)?;
        self.tell(key, laid_reason(&hold), laid_message(&hold, BY)).await;
        Ok(true)
    }

    /// Lifts the outside-stop Hold of a replica, since somebody started it by hand at `at`. One laid for a later stop stays.
    /// Returns whether there was one.
    pub async fn lift_external_stop(&self, key: &Key, replica: &ReplicaId, at: Timestamp) -> Result<bool> {
        let own = Target::Replica(replica.clone());
        let holds = self.holds_of(key)?;
        let outside = holds.iter().filter(|hold| hold.reason == REASON_EXTERNAL_STOP && hold.since <= at);
        let mut lifted = false;
        for hold in outside.filter(|hold| Target::new(hold.service.as_deref(), hold.replica) == own) {
            lifted |= self.remove_hold(key, &hold.name).await?.is_some();
            self.tell(key, Reason::HoldLifted, format!("{} was lifted: {replica} was started by hand", described(hold))).await;
        }
        Ok(lifted)
    }

    /// Asked right before any start: `Ok(permit)` lets the start be made while the permit lives; `Err(why)` says which Hold or
    /// state forbids it. A stop that is being written waits for the permits of that Deployment, at most 800 ms.
    pub async fn may_start(&self, key: &Key, replica: &ReplicaId) -> std::result::Result<StartPermit, String> {
        let permit = self.gates.start(key).await;
        let unknown = |error: &dyn std::fmt::Display| format!("whether {replica} may be started cannot be read: {error}");
        let deployment = self.store.get(Kind::Deployment, key).map_err(|error| unknown(&error))?;
        let deployment = deployment.ok_or_else(|| format!("Deployment {key} is gone"))?;
        if !deployment["metadata"]["deletionTimestamp"].is_null() {
            return Err(format!("Deployment {key} is being deleted"));
        }
        if deployment["spec"]["state"] == "Stopped" {
            return Err(format!("Deployment {key} says spec.state: Stopped"));
        }
        let holds = self.holds_of(key).map_err(|error| unknown(&error))?;
        match winner(&holds, replica, self.clock.now()) {
            Some(hold) => Err(format!("{} keeps {replica} from being started", described(hold))),
            None => Ok(permit),
        }
    }
}

/// The Hold in force for a replica: the most specific scope wins, then the newest.
fn winner<'a>(holds: &'a [HoldView], replica: &ReplicaId, now: Timestamp) -> Option<&'a HoldView> {
    let covering = holds.iter().filter(|hold| hold.covers(replica) && hold.in_force(now));
    covering.max_by_key(|hold| (hold.service.is_some(), hold.replica.is_some(), hold.since))
}
