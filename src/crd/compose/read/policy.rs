//! `x-evenkeel` of a service.

use super::super::ServicePolicy;
use super::scalars::one_of;
use crate::crd::decode::Node;
use crate::model::{OnChange, ReloadSignal};

/// What Compose has no word for.
pub(super) fn policy(node: &Node) -> Option<ServicePolicy> {
    let mut fields = node.fields()?;
    let policy = ServicePolicy { on_change: fields.read("onChange", on_change) };
    fields.finish();
    Some(policy)
}

fn on_change(node: &Node) -> Option<OnChange> {
    let mut fields = node.fields()?;
    let action = fields.required("action", |node| one_of(node, &["Recreate", "Restart", "Signal", "Ignore"]));
    let names = ReloadSignal::ALL.map(ReloadSignal::name);
    let chosen = fields.get("signal");
    let signal = chosen.as_ref().and_then(|node| one_of(node, &names));
    fields.finish();
    let signal = ReloadSignal::ALL.into_iter().find(|known| signal.as_deref() == Some(known.name()));
    Some(match action?.as_str() {
        "Signal" => OnChange::Signal(signal.unwrap_or_default()),
        _ if chosen.is_some() => return chosen?.fail("goes with action Signal only"),
        "Restart" => OnChange::Restart,
        "Ignore" => OnChange::Ignore,
        _ => OnChange::Recreate,
    })
}
