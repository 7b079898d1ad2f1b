//! What is checked of an object beyond the shape of its fields. Pure; all errors at once, with field paths.

mod alert;
mod channel;
mod conflicts;
mod hold;
mod metadata;
mod monitoring;
mod names;
mod places;
mod references;
mod source;
mod spec;

use serde_json::Value;

use super::compose::Project;
use super::decode::{Node, Sink};
use super::{API_VERSION, Deployment, Kind, project_of};
pub(super) use monitoring::host as host_monitoring;
use places::Places;

/// Checks an object of `kind`. With `old`, also that nothing was changed that cannot be.
pub(super) fn check(kind: Kind, object: &Value, old: Option<&Value>, sink: &Sink) {
    let root = Node::new(object, "", sink);
    let Some(mut fields) = root.fields() else { return };
    let is = |expected: &'static str| {
        move |node: &Node| (node.value == expected).then_some(()).or_else(|| node.fail(format!("must be {expected}")))
    };
    fields.required("apiVersion", is(API_VERSION));
    fields.required("kind", is(kind.name()));
    let metadata = fields.required("metadata", metadata::read);
    fields.get("status");
    match kind {
        Kind::Hold => {
            fields.required("spec", hold::check);
        }
        Kind::Source => {
            fields.required("spec", source::check);
        }
        Kind::Channel => {
            fields.required("spec", channel::check);
        }
        Kind::Alert => {
            fields.required("spec", alert::check);
        }
        // Nobody but evenkeel writes one.
        Kind::Incident => {
            fields.get("spec");
        }
        Kind::Deployment => {
            let spec = fields.required("spec", spec::read);
            if let Some(spec) = spec {
                let metadata = metadata.unwrap_or_default();
                deployment(&Deployment { metadata, spec, status: None }, object, old, sink);
            }
        }
    }
    fields.finish();
}

fn deployment(deployment: &Deployment, object: &Value, old: Option<&Value>, sink: &Sink) {
    let mut name = project_of(deployment);
    if name.is_empty() {
        name.push_str("app");
    }
    names::project(deployment, &name, sink);
    if let Some(Ok(old)) = old.map(|old| serde_json::from_value::<Deployment>(old.clone())) {
        let before = project_of(&old);
        if before != name {
            let message = format!(
                "cannot be changed: it is {before:?} and would become {name:?}; delete the Deployment and make a new one"
            );
            sink.error("spec.project", message);
        }
    }
    let project = Project::collect(&name, &deployment.spec, sink);
    let checked = Checked { project: &project, profiles: &deployment.spec.profiles, places: Places::new(object), sink };
    names::check(&checked);
    references::check(&checked);
    conflicts::check(&checked);
}

/// What the checks of a project read.
struct Checked<'a> {
    project: &'a Project,
    /// Active profiles.
    profiles: &'a [String],
    /// Where in the object things stand.
    places: Places<'a>,
    sink: &'a Sink,
}

#[cfg(test)]
mod tests;
