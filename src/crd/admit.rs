//! Admission: the one check that everything passes on its way into the store.

use serde_json::Value;

use super::decode::{Findings, Sink, without};
use super::{Alert, Channel, Deployment, FieldError, Hold, Source, validate};
use crate::model::{HoldState, REASON_STOPPED, REASON_SUSPENDED};

/// Kinds that users write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `deployments.evenkeel.dev`.
    Deployment,
    /// `holds.evenkeel.dev`.
    Hold,
    /// `sources.evenkeel.dev`.
    Source,
    /// `channels.evenkeel.dev`.
    Channel,
    /// `alerts.evenkeel.dev`.
    Alert,
    /// `incidents.evenkeel.dev`; made by evenkeel alone.
    Incident,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Deployment, Self::Hold, Self::Source, Self::Channel, Self::Alert, Self::Incident];

    /// As it stands in `kind:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Hold => "Hold",
            Self::Source => "Source",
            Self::Channel => "Channel",
            Self::Alert => "Alert",
            Self::Incident => "Incident",
        }
    }
}

/// An object that may be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// The object with its defaults filled in, without status.
    pub object: Value,
    /// Things worth a word that did not stop it.
    pub warnings: Vec<String>,
}

/// Fills in defaults and validates. Adds nothing from the outside world: no uid, no times, no look at other objects.
///
/// `old` is the stored object this one replaces: what cannot be changed is held against it. With `lenient` unknown
/// fields are warnings and dropped (Kubernetes' `fieldValidation=Warn`). `status` is dropped.
pub fn admit(kind: Kind, object: Value, old: Option<&Value>, lenient: bool) -> Result<Admitted, Vec<FieldError>> {
    let sink = Sink::new(lenient);
    validate::check(kind, &object, old, &sink);
    let Findings { errors, warnings, unknown } = sink.into_findings();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut object = without(object, "", &unknown);
    let unreadable = |error: serde_json::Error| {
        vec![FieldError { path: String::new(), message: format!("cannot be read as a {}: {error}", kind.name()), location: None }]
    };
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    match kind {
        Kind::Deployment => {
            let typed: Deployment = serde_json::from_value(object.clone()).map_err(unreadable)?;
            object["spec"]["state"] = serde_json::to_value(typed.spec.state).map_err(unreadable)?;
            object["spec"]["recovery"] = serde_json::to_value(typed.spec.recovery).map_err(unreadable)?;
        }
        Kind::Hold => {
            let typed: Hold = serde_json::from_value(object.clone()).map_err(unreadable)?;
            let reason = match typed.spec.state {
                _ if !typed.spec.reason.is_empty() => typed.spec.reason,
                HoldState::Stopped => REASON_STOPPED.to_owned(),
                HoldState::Suspended => REASON_SUSPENDED.to_owned(),
            };
            object["spec"]["reason"] = Value::String(reason);
            object["spec"]["by"] = Value::String(typed.spec.by);
        }
        Kind::Source => {
            let typed: Source = serde_json::from_value(object.clone()).map_err(unreadable)?;
            let spec = &mut object["spec"];
            spec["recurse"] = Value::Bool(typed.spec.recurse);
            spec["prune"] = Value::Bool(typed.spec.prune);
            spec["suspend"] = Value::Bool(typed.spec.suspend);
            spec["apply"] = serde_json::to_value(typed.spec.apply).map_err(unreadable)?;
            spec["interval"] = Value::String(super::Duration(typed.spec.interval()).to_string());
        }
        Kind::Channel => {
            let typed: Channel = serde_json::from_value(object.clone()).map_err(unreadable)?;
            object["spec"] = serde_json::to_value(typed.spec).map_err(unreadable)?;
        }
        Kind::Alert => {
            let typed: Alert = serde_json::from_value(object.clone()).map_err(unreadable)?;
            object["spec"] = serde_json::to_value(typed.spec).map_err(unreadable)?;
        }
        Kind::Incident => {}
    }
    if object["metadata"]["namespace"].as_str().unwrap_or_default().is_empty() {
        object["metadata"]["namespace"] = Value::String("default".to_owned());
    }
    Ok(Admitted { object, warnings })
}

/// The Compose project of a Deployment: `spec.project`, or `<name>`, or `<namespace>-<name>` outside `default`.
pub fn project_of(deployment: &Deployment) -> String {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    match (&deployment.spec.project, deployment.metadata.namespace.as_deref()) {
        (Some(project), _) => project.clone(),
        (None, None | Some("" | "default")) => name.to_owned(),
        (None, Some(namespace)) => format!("{namespace}-{name}"),
    }
}
