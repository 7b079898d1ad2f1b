//! What people command: stop, suspend, start, resume, release, restart, retry, pull, rebuild, adopt.
//!
//! *Guarantees.* A stop is on disk before it is answered, and no start is made afterwards, but for one that was being made
//! and outlasted the gate's patience; that one is undone at the controller's next turn.
//!
//! *How a part of a held whole is started.* A Hold covers a Deployment, a service or a replica, and the most specific one
//! wins. `start SERVICE` while the whole Deployment is held therefore cuts that Hold: the other services get one of their own
//! with the same state, reason, author and time, then the wide one is removed. At no moment is anything free but what
//! was to be started. A service that is declared later is not held by the pieces.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::holds::{NewHold, described, laid_message, laid_reason, services, view};
use super::target::{Services, Target};
use super::{Registry, RegistryError, Result, Scope};
use crate::model::{
    AdoptRequest, HoldState, HoldView, Key, REASON_EXTERNAL_STOP, REASON_RELEASED, REASON_STOPPED, REASON_SUSPENDED, Reason,
    RebuildRequest, annotations,
};
use crate::store::{Kind, Object, Part, StoreError};

impl Registry {
    /// `evenkeel stop`: lays Holds `Stopped`. On disk when this returns; nothing is started afterwards.
    ///
    /// What is held that way already is returned as it is. Outside stops that the new Hold covers are replaced by it, so
    /// that a `docker start` by hand no longer lifts them. A Suspended Hold on a smaller part stays and wins there.
    pub async fn stop(&self, key: &Key, scope: &Scope, reason: Option<String>, by: &str) -> Result<Vec<Object>> {
        self.lay_all(key, scope, HoldState::Stopped, None, reason, by).await
    }

    /// `evenkeel suspend`: lays Holds `Suspended`, until a time or until lifted.
    pub async fn suspend(
        &self,
        key: &Key,
        scope: &Scope,
        until: Option<Timestamp>,
        reason: Option<String>,
        by: &str,
    ) -> Result<Vec<Object>> {
        let now = self.clock.now();
        if let Some(until) = until.filter(|until| *until <= now) {
            return Err(RegistryError::Refused(format!("cannot suspend until {until}: that is over, it is {now}")));
        }
        self.lay_all(key, scope, HoldState::Suspended, until, reason, by).await
    }

    /// `evenkeel reconcile source`, or a webhook: the Source is looked at again at once.
    pub async fn reconcile_source(&self, key: &Key) -> Result<Object> {
        let now = self.clock.now().to_string();
        let ask = move |object: &mut Value| {
            object["metadata"]["annotations"][annotations::REQUESTED_AT] = now.into();
            Ok::<_, StoreError>(())
        };
        Ok(self.store.modify(Kind::Source, key, Part::Main, None, ask).await?)
    }

    /// `evenkeel release`: lays a Hold `Suspended`, reason `Released`; the controller gives the declared policies back to Docker.
    pub async fn release(&self, key: &Key, by: &str) -> Result<Object> {
        self.deployment(key)?;
        let _gate = self.gates.stop(key).await;
        self.lay_one(key, Target::All, HoldState::Suspended, None, Some(REASON_RELEASED.into()), by).await
    }

    /// `evenkeel start`: lifts all Holds of the scope (of the whole Deployment: all). Refused on `spec.state: Stopped`,
    /// naming the file and line that says so. Returns the lifted Holds.
    pub async fn start(&self, key: &Key, scope: &Scope, by: &str) -> Result<Vec<Object>> {
        let deployment = self.deployment(key)?;
        if deployment["spec"]["state"] == "Stopped" {
            let source = deployment["metadata"]["annotations"][annotations::SOURCE].as_str();
            let place = source.map_or_else(|| "the stored object".to_owned(), |source| format!("the manifest {source}"));
            return Err(RegistryError::Refused(format!(
                "Deployment {key} is stopped by its own spec.state: Stopped, in {place}; change it there to Running"
            )));
        }
        // First the wish: what is lifted is planned at once, and must find it.
        self.annotate(key, scope, annotations::STARTED_AT).await?;
        self.lift_all(key, &deployment, scope, |_| true, by).await
    }

    /// `evenkeel resume`: lifts Holds `Suspended` of the scope.
    pub async fn resume(&self, key: &Key, scope: &Scope, by: &str) -> Result<Vec<Object>> {
        let deployment = self.deployment(key)?;
        self.lift_all(key, &deployment, scope, |hold| hold.state == HoldState::Suspended, by).await
    }

    /// `evenkeel restart`: annotates restartedAt, of the Deployment or of each service.
    pub async fn restart(&self, key: &Key, scope: &Scope) -> Result<Object> {
        whole_services("restart", scope)?;
        self.annotate(key, scope, annotations::RESTARTED_AT).await
    }

    /// `evenkeel recreate`: annotates recreatedAt, of the Deployment or of each service.
    pub async fn recreate(&self, key: &Key, scope: &Scope) -> Result<Object> {
        whole_services("recreate", scope)?;
        self.annotate(key, scope, annotations::RECREATED_AT).await
    }

    /// `evenkeel retry`: annotates retriedAt, of the Deployment or of each service.
    pub async fn retry(&self, key: &Key, scope: &Scope) -> Result<Object> {
        whole_services("retry", scope)?;
        self.annotate(key, scope, annotations::RETRIED_AT).await
    }

    /// `evenkeel pull`: annotates pulledAt, of the Deployment or of each service.
    pub async fn pull(&self, key: &Key, scope: &Scope) -> Result<Object> {
        whole_services("pull", scope)?;
        self.annotate(key, scope, annotations::PULLED_AT).await
    }

    /// `evenkeel rebuild`: annotates rebuiltAt, of the Deployment or of each service that is built.
    pub async fn rebuild(&self, key: &Key, scope: &Scope, no_cache: bool, pull: bool) -> Result<Object> {
        let deployment = self.deployment(key)?;
        let builds = |service: &str| !deployment["spec"]["services"][service]["build"].is_null();
        let pulled =
            scope.services.iter().find(|service| !deployment["spec"]["services"][*service].is_null() && !builds(service));
        if let Some(service) = pulled {
            let message = format!("Deployment {key}: the image of service {service} is not built, it has no build section");
            return Err(RegistryError::Refused(message));
        }
        if !services(&deployment)?.keys().any(|service| builds(service)) {
            return Err(RegistryError::Refused(format!(
                "Deployment {key} builds nothing: none of its services has a build section"
            )));
        }
        whole_services("rebuild", scope)?;
        let request = RebuildRequest { at: self.clock.now(), no_cache, pull };
        self.annotate_with(key, scope, annotations::REBUILT_AT, request.to_string()).await
    }

    /// `evenkeel adopt`: annotates adoptedAt, of the Deployment or of each service. What Compose made until now is taken over as it is,
    /// or made anew where it differs.
    pub async fn adopt(&self, key: &Key, scope: &Scope, recreate: bool, by: &str) -> Result<Object> {
        whole_services("adopt", scope)?;
        let request = AdoptRequest { at: self.clock.now(), recreate };
        tracing::debug!(deployment = %key, by, recreate, "adoption asked for");
        self.annotate_with(key, scope, annotations::ADOPTED_AT, request.to_string()).await
    }

    pub(super) fn deployment(&self, key: &Key) -> Result<Object> {
        let found = self.store.get(Kind::Deployment, key)?;
        found.ok_or_else(|| StoreError::NotFound { kind: Kind::Deployment, key: key.clone() }.into())
    }

    async fn lay_all(
        &self,
        key: &Key,
        scope: &Scope,
        state: HoldState,
        until: Option<Timestamp>,
        reason: Option<String>,
        by: &str,
    ) -> Result<Vec<Object>> {
        let targets = known_targets(key, self.deployment(key)?.as_ref(), scope)?;
        let _gate = self.gates.stop(key).await;
        let mut laid = Vec::with_capacity(targets.len());
        for target in targets {
            laid.push(self.lay_one(key, target, state, until, reason.clone(), by).await?);
        }
        Ok(laid)
    }

    async fn lay_one(
        &self,
        key: &Key,
        target: Target,
        state: HoldState,
        until: Option<Timestamp>,
        reason: Option<String>,
        by: &str,
    ) -> Result<Object> {
        let now = self.clock.now();
        let holds = self.holds_of(key)?;
        let same = |hold: &&HoldView| {
            let reason_fits = reason.as_ref().map_or(hold.reason != REASON_EXTERNAL_STOP, |reason| *reason == hold.reason);
            target_of(hold) == target && hold.state == state && hold.until == until && reason_fits && hold.in_force(now)
        };
        if let Some(name) = holds.iter().find(same).map(|hold| &hold.name)
            && let Some(object) = self.store.get(Kind::Hold, &Key::new(&key.namespace, name))?
        {
            return Ok(object);
        }
        let default = match state {
            HoldState::Stopped => REASON_STOPPED,
            HoldState::Suspended => REASON_SUSPENDED,
        };
        let reason = reason.unwrap_or_else(|| default.to_owned());
        let new = NewHold { target, state, reason, until, by: by.to_owned(), since: now };
        let object = self.lay(key, &new).await?;
        let outdated = |hold: &&HoldView| {
            let outside = state == HoldState::Stopped && hold.reason == REASON_EXTERNAL_STOP;
            (target_of(hold) == new.target && hold.state == state) || (outside && new.target.contains(&target_of(hold)))
        };
        for hold in holds.iter().filter(outdated) {
            self.remove_hold(key, &hold.name).await?;
        }
        let hold = view(&object)?;
        self.tell(key, laid_reason(&hold), laid_message(&hold, by)).await;
        Ok(object)
    }

    async fn lift_all(
        &self,
        key: &Key,
        deployment: &Value,
        scope: &Scope,
        wanted: impl Fn(&HoldView) -> bool,
        by: &str,
    ) -> Result<Vec<Object>> {
        let targets = known_targets(key, deployment, scope)?;
        let _gate = self.gates.stop(key).await;
        let mut lifted = Vec::new();
        for target in targets {
            let holds = self.holds_of(key)?;
            for hold in holds.iter().filter(|hold| wanted(hold)) {
                let covered = target_of(hold);
                if !target.contains(&covered) && !covered.contains(&target) {
                    continue;
                }
                if !target.contains(&covered) {
                    self.cut(key, hold, &holds, &covered.without(&target, &services(deployment)?)).await?;
                }
                lifted.extend(self.remove_hold(key, &hold.name).await?);
                let what = if target.contains(&covered) { String::new() } else { format!(" for {target}") };
                self.tell(key, Reason::HoldLifted, format!("{} was lifted{what} by {by}", described(hold))).await;
            }
        }
        Ok(lifted)
    }

    /// Lays the pieces of a wide Hold, each just older than what that piece has of its own, so that the latter still wins.
    async fn cut(&self, key: &Key, hold: &HoldView, holds: &[HoldView], pieces: &[Target]) -> Result<()> {
        let object = self.store.get(Kind::Hold, &Key::new(&key.namespace, &hold.name))?;
        let by = object.as_ref().and_then(|object| object["spec"]["by"].as_str()).unwrap_or_default();
        for piece in pieces {
            let own = holds.iter().filter(|own| target_of(own) == *piece).map(|own| own.since).min();
            let before_own = own.map(|own| own.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(own));
            let since = before_own.map_or(hold.since, |own| own.min(hold.since));
            let HoldView { state, reason, until, .. } = hold.clone();
            self.lay(key, &NewHold { target: piece.clone(), state, reason, until, by: by.to_owned(), since }).await?;
        }
        Ok(())
    }

    /// Writes now into an annotation of the Deployment, or into that of each service; a replica's is its service's.
    async fn annotate(&self, key: &Key, scope: &Scope, annotation: &str) -> Result<Object> {
        self.annotate_with(key, scope, annotation, self.clock.now().to_string()).await
    }

    async fn annotate_with(&self, key: &Key, scope: &Scope, annotation: &str, value: String) -> Result<Object> {
        let targets = known_targets(key, self.deployment(key)?.as_ref(), scope)?;
        let names = targets.iter().map(|target| match target.fields() {
            (Some(service), _) => format!("{annotation}.{service}"),
            (None, _) => annotation.to_owned(),
        });
        let names: Vec<String> = names.collect();
        let change = move |object: &mut Value| {
            for name in names {
                object["metadata"]["annotations"][name] = value.as_str().into();
            }
            Ok::<_, RegistryError>(())
        };
        self.store.modify(Kind::Deployment, key, Part::Main, None, change).await
    }
}

fn whole_services(command: &str, scope: &Scope) -> Result<()> {
    let Some(replica) = scope.replicas.first() else { return Ok(()) };
    Err(RegistryError::Refused(format!("cannot {command} replica {replica} alone: name its service, {}", replica.service)))
}

fn target_of(hold: &HoldView) -> Target {
    Target::new(hold.service.as_deref(), hold.replica)
}

/// What a command is about; refused if it is not there.
fn known_targets(key: &Key, deployment: &Value, scope: &Scope) -> Result<Vec<Target>> {
    let targets = Target::of(scope);
    if targets == [Target::All] {
        return Ok(targets);
    }
    let services: Services = services(deployment)?;
    match targets.iter().find_map(|target| target.unknown_in(&services)) {
        Some(unknown) => Err(RegistryError::Refused(format!("Deployment {key}: {unknown}"))),
        None => Ok(targets),
    }
}
