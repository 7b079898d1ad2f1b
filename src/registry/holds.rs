//! Holds: read for the planner, laid, lifted, checked.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::target::{Services, Target};
use super::{Registry, RegistryError, Result};
use crate::crd::compose::Project;
use crate::crd::{API_VERSION, Deployment, FieldError, HoldSpec, list_errors, project_of};
use crate::model::{About, Happening, HoldState, HoldView, Key, REASON_EXTERNAL_STOP, Reason, Severity};
use crate::store::{Kind, Object, StoreError};

/// Tries to find a free name for a Hold; each of a million.
const NAME_TRIES: usize = 5;
/// Longest start of a Hold's name, so that all of it stays a valid name.
const NAME_LENGTH: usize = 240;

/// A Hold that is to be laid.
#[derive(Debug, Clone)]
pub(super) struct NewHold {
    pub target: Target,
    pub state: HoldState,
    pub reason: String,
    pub until: Option<Timestamp>,
    pub by: String,
    pub since: Timestamp,
}

impl Registry {
    /// The Holds on a Deployment, ended ones included, oldest first.
    pub fn holds_of(&self, key: &Key) -> Result<Vec<HoldView>> {
        let listing = self.store.list(Kind::Hold, Some(&key.namespace))?;
        let of_it = listing.items.iter().filter(|object| object["spec"]["deployment"] == *key.name);
        let mut views = of_it.map(|object| view(object)).collect::<Result<Vec<_>>>()?;
        views.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
        Ok(views)
    }

    /// Writes a Hold under a name that is made up.
    pub(super) async fn lay(&self, key: &Key, hold: &NewHold) -> Result<Object> {
        let mut tries = 0;
        loop {
            tries += 1;
            let name = made_up_name(&key.name, &hold.target);
            match self.store.create(Kind::Hold, hold_object(key, &name, hold)).await {
                Err(StoreError::AlreadyExists { .. }) if tries < NAME_TRIES => {}
                done => return Ok(done?),
            }
        }
    }

    /// Removes a Hold; `None`: it was gone already.
    pub(super) async fn remove_hold(&self, key: &Key, name: &str) -> Result<Option<Object>> {
        match self.store.delete(Kind::Hold, &Key::new(&key.namespace, name), None).await {
            Ok((last, _)) => Ok(Some(last)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes Holds whose time has come, and tells so. Returns what was removed.
    pub async fn lift_ended(&self, key: &Key) -> Result<Vec<Object>> {
        let now = self.clock.now();
        let mut lifted = Vec::new();
        for hold in self.holds_of(key)?.iter().filter(|hold| !hold.in_force(now)) {
            lifted.extend(self.remove_hold(key, &hold.name).await?);
            let until = hold.until.unwrap_or(now);
            self.tell(key, Reason::HoldLifted, format!("{} has ended, as it was to at {until}", described(hold))).await;
        }
        Ok(lifted)
    }

    /// Removes all Holds of a Deployment that is gone.
    pub(super) async fn drop_holds(&self, key: &Key) -> Result<()> {
        for hold in self.holds_of(key)? {
            self.remove_hold(key, &hold.name).await?;
        }
        Ok(())
    }

    /// Completes a Hold that somebody wrote as an object: who and when are said by the server, and what it covers must exist.
    pub(super) fn complete_hold(&self, object: &mut Value, old: Option<&Value>, by: &str) -> Result<()> {
        let (key, target) = covered(object)?;
        if let Some(old) = old.filter(|old| said(old) == said(object)) {
            object["spec"]["by"] = old["spec"]["by"].clone();
            object["spec"]["since"] = old["spec"]["since"].clone();
        } else {
            object["spec"]["by"] = by.into();
            object["spec"]["since"] = self.clock.now().to_string().into();
        }
        if old.is_some_and(|old| covered(old).is_ok_and(|before| before == (key.clone(), target.clone()))) {
            return Ok(());
        }
        let Some(deployment) = self.store.get(Kind::Deployment, &key)? else {
            return Err(invalid(object, "spec.deployment", format!("there is no Deployment {key} to hold")));
        };
        match target.unknown_in(&services(&deployment)?) {
            Some(unknown) => {
                Err(invalid(object, if target.fields().1.is_some() { "spec.replica" } else { "spec.service" }, unknown))
            }
            None => Ok(()),
        }
    }

    /// Tells people of a change to what is held. That it cannot be told does not undo it.
    pub(super) async fn tell(&self, key: &Key, reason: Reason, message: String) {
        let about = About::Deployment(key.clone(), None);
        let happening = Happening { about, reason, severity: Severity::Normal, message, trace_id: None };
        if let Err(error) = self.store.tell(happening).await {
            tracing::warn!(deployment = %key, %error, "an Event could not be written");
        }
    }
}

/// What a Hold object covers: the Deployment, and which part of it.
pub(super) fn covered(object: &Value) -> Result<(Key, Target)> {
    let spec = spec_of(object)?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    Ok((Key::new(namespace, spec.deployment), Target::new(spec.service.as_deref(), spec.replica)))
}

/// What is to be told when a Hold was laid.
pub(super) fn laid_message(hold: &HoldView, by: &str) -> String {
    let until = hold.until.map(|until| format!(" until {until}")).unwrap_or_default();
    let kept = match hold.state {
        HoldState::Stopped => "kept stopped",
        HoldState::Suspended => "left alone",
    };
    let target = Target::new(hold.service.as_deref(), hold.replica);
    format!("{target}: {kept}{until} by Hold {} ({}), laid by {by}", hold.name, hold.reason)
}

/// The reason under which a laid Hold is told.
pub(super) fn laid_reason(hold: &HoldView) -> Reason {
    match hold.state {
        _ if hold.reason == REASON_EXTERNAL_STOP => Reason::ExternalStop,
        HoldState::Stopped => Reason::Held,
        HoldState::Suspended => Reason::Suspended,
    }
}

/// A Hold in a message.
pub(super) fn described(hold: &HoldView) -> String {
    let target = Target::new(hold.service.as_deref(), hold.replica);
    format!("Hold {} ({:?}: {}) on {target}", hold.name, hold.state, hold.reason)
}

/// A Hold object as the planner sees it.
pub(super) fn view(object: &Value) -> Result<HoldView> {
    let spec = spec_of(object)?;
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
    Ok(HoldView {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        service: spec.service,
        replica: spec.replica,
        state: spec.state,
        reason: spec.reason,
        until: spec.until.map(|time| time.0),
        since: spec.since.map(|time| time.0).or(created).unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

/// Services of a Deployment and how many replicas each has.
pub(super) fn services(deployment: &Value) -> Result<Services> {
    let unreadable = |error: String| RegistryError::Refused(format!("the Deployment's services cannot be read: {error}"));
    let typed: Deployment = serde_json::from_value(deployment.clone()).map_err(|error| unreadable(error.to_string()))?;
    let project = Project::read(&project_of(&typed), &typed.spec).map_err(|errors| unreadable(list_errors(&errors)))?;
    Ok(project.services.iter().map(|(name, service)| (name.clone(), service.replicas())).collect())
}

fn spec_of(object: &Value) -> Result<HoldSpec> {
    serde_json::from_value(object["spec"].clone()).map_err(|error| invalid(object, "spec", error.to_string()))
}

/// What a writer of a Hold says, without what the server fills in.
fn said(object: &Value) -> Option<Map<String, Value>> {
    let mut spec = object["spec"].as_object()?.clone();
    spec.retain(|field, value| field != "by" && field != "since" && !value.is_null());
    Some(spec)
}

fn invalid(object: &Value, path: &str, message: String) -> RegistryError {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    RegistryError::Invalid { kind: Kind::Hold, name, errors: vec![FieldError { path: path.into(), message, location: None }] }
}

fn hold_object(key: &Key, name: &str, hold: &NewHold) -> Value {
    let (service, replica) = hold.target.fields();
    let mut spec = json!({"deployment": key.name});
    if let Some(service) = service {
        spec["service"] = service.into();
    }
    if let Some(replica) = replica {
        spec["replica"] = replica.into();
    }
    spec["state"] = json!(hold.state);
    spec["reason"] = hold.reason.clone().into();
    if let Some(until) = hold.until {
        spec["until"] = until.to_string().into();
    }
    spec["by"] = hold.by.clone().into();
    spec["since"] = hold.since.to_string().into();
    json!({
        "apiVersion": API_VERSION,
        "kind": "Hold",
        "metadata": {"name": name, "namespace": key.namespace},
        "spec": spec,
    })
}

/// `<deployment>[-<service>[-<n>]]-<random5>`, with what a name may not have turned into dashes.
pub(super) fn made_up_name(deployment: &str, target: &Target) -> String {
    let scope = match target {
        Target::All => deployment.to_owned(),
        Target::Service(service) => format!("{deployment}-{service}"),
        Target::Replica(replica) => format!("{deployment}-{replica}"),
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let scope: String = scope.chars().map(safe).take(NAME_LENGTH).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", scope.trim_matches('-'), &random[..5])
}
