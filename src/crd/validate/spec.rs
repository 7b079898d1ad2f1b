//! `spec` of a Deployment, but for its Compose parts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::monitoring::monitoring;
use crate::crd::compose::read::{each, integer, one_of, text, word};
use crate::crd::decode::Node;
use crate::crd::{Backoff, DeclaredState, DeploymentSpec, Duration, Recovery, RecoveryAction};
use crate::model::{ExternalStop, RecoveryMode};

const ACTIONS: [(&str, RecoveryAction); 5] = [
    ("Restart", RecoveryAction::Restart),
    ("Recreate", RecoveryAction::Recreate),
    ("Pull", RecoveryAction::Pull),
    ("Rebuild", RecoveryAction::Rebuild),
    ("Rollback", RecoveryAction::Rollback),
];

/// The spec; Compose's parts as they stand.
pub(super) fn read(node: &Node) -> Option<DeploymentSpec> {
    let mut fields = node.fields()?;
    let mut spec = DeploymentSpec {
        project: fields.read("project", word),
        state: fields.or_default("state", |node| {
            choose(node, &[("Running", DeclaredState::Running), ("Stopped", DeclaredState::Stopped)])
        }),
        services: fields.required("services", services).unwrap_or_default(),
        networks: fields.or_default("networks", values),
        volumes: fields.or_default("volumes", values),
        secrets: fields.or_default("secrets", values),
        configs: fields.or_default("configs", values),
        profiles: fields.or_default("profiles", |node| each(node, text)),
        recovery: fields.or_default("recovery", recovery),
        monitoring: None,
        extensions: BTreeMap::new(),
    };
    spec.monitoring = fields.read("monitoring", |node| monitoring(node, &spec.services));
    fields.refuse("include", "write the services out");
    fields.refuse("models", "");
    fields.refuse("name", "the Compose project's name is spec.project");
    fields.refuse("version", "Compose has no use for it either: leave it out");
    fields.finish();
    Some(spec)
}

fn services(node: &Node) -> Option<BTreeMap<String, Value>> {
    let services = values(node)?;
    if services.is_empty() { node.fail("needs at least one service") } else { Some(services) }
}

fn values(node: &Node) -> Option<BTreeMap<String, Value>> {
    Some(node.entries()?.into_iter().map(|(key, node)| (key.to_owned(), node.value.clone())).collect())
}

/// What a word stands for.
pub(super) fn choose<T: Copy>(node: &Node, words: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let word = one_of(node, &names)?;
    words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

fn recovery(node: &Node) -> Option<Recovery> {
    let mut fields = node.fields()?;
    let default = Recovery::default();
    let modes = [("Auto", RecoveryMode::Auto), ("Suggest", RecoveryMode::Suggest), ("Observe", RecoveryMode::Observe)];
    let stops = [("Respect", ExternalStop::Respect), ("Revert", ExternalStop::Revert)];
    let recovery = Recovery {
        mode: fields.or_default("mode", |node| choose(node, &modes)),
        backoff: fields.or_default("backoff", backoff),
        max_attempts: fields.read("maxAttempts", at_least_one).unwrap_or(default.max_attempts),
        alert_after: fields.read("alertAfter", at_least_one).unwrap_or(default.alert_after),
        stable_window: fields.read("stableWindow", duration).unwrap_or(default.stable_window),
        verify_window: fields.read("verifyWindow", duration).unwrap_or(default.verify_window),
        external_stop: fields.or_default("externalStop", |node| choose(node, &stops)),
        actions: fields.read("actions", actions).unwrap_or(default.actions),
    };
    fields.finish();
    Some(recovery)
}

fn backoff(node: &Node) -> Option<Backoff> {
    let mut fields = node.fields()?;
    let default = Backoff::default();
    let backoff = Backoff {
        initial: fields.read("initial", positive).unwrap_or(default.initial),
        factor: fields.read("factor", factor).unwrap_or(default.factor),
        max: fields.read("max", positive).unwrap_or(default.max),
    };
    fields.finish();
    if backoff.initial > backoff.max {
        return node.fail(format!("initial ({}) is above max ({})", backoff.initial, backoff.max));
    }
    Some(backoff)
}

fn factor(node: &Node) -> Option<f64> {
    match node.value.as_f64() {
        Some(factor) if factor >= 1.0 => Some(factor),
        Some(_) => node.fail("must be at least 1"),
        None => node.expected("a number"),
    }
}

pub(super) fn duration(node: &Node) -> Option<Duration> {
    match text(node)?.parse() {
        Ok(duration) => Some(duration),
        Err(error) => node.fail::<Duration>(error),
    }
}

fn positive(node: &Node) -> Option<Duration> {
    let duration = duration(node)?;
    if duration == Duration::default() { node.fail("must be longer than nothing") } else { Some(duration) }
}

fn at_least_one(node: &Node) -> Option<u32> {
    let number = integer(node)?;
    if number == 0 { node.fail("must be at least 1") } else { Some(number) }
}

fn actions(node: &Node) -> Option<Vec<RecoveryAction>> {
    let actions = each(node, |node| choose(node, &ACTIONS))?;
    let twice = actions.iter().enumerate().any(|(index, action)| actions[..index].contains(action));
    match () {
        () if node.value.as_array().is_some_and(Vec::is_empty) => {
            node.fail("needs at least one; to do nothing write mode: Observe")
        }
        () if twice => node.fail("names an action twice"),
        () => Some(actions),
    }
}
