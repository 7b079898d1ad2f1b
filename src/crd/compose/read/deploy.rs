//! `deploy`: what of it makes sense on one engine.

use super::super::{Deploy, DeployResources, Placement, Resource, RestartPolicy};
use super::mounts::device_requests;
use super::refuse;
use super::scalars::{bytes, count, cpus, integer, mapping, one_of};
use crate::crd::compose::keys;
use crate::crd::decode::{Node, unsupported};

/// `deploy`, but for its parts that only Swarm knows.
pub(super) fn deploy(node: &Node) -> Option<Deploy> {
    let mut fields = node.fields()?;
    let deploy = Deploy {
        mode: fields.read("mode", mode),
        replicas: fields.read("replicas", integer),
        labels: fields.or_default("labels", mapping),
        resources: fields.or_default("resources", resources),
        restart_policy: fields.read("restart_policy", restart_policy),
        placement: Placement {},
    };
    refuse(&mut fields, keys::DEPLOY);
    fields.finish();
    Some(deploy)
}

fn mode(node: &Node) -> Option<String> {
    match one_of(node, &["replicated", "global", "replicated-job", "global-job"])? {
        mode if mode == "replicated" => Some(mode),
        mode => node.fail(unsupported(&format!("deploy.mode {mode}"), "use replicated, with replicas")),
    }
}

fn resources(node: &Node) -> Option<DeployResources> {
    let mut fields = node.fields()?;
    let resources =
        DeployResources { limits: fields.read("limits", limits), reservations: fields.read("reservations", reservations) };
    fields.finish();
    Some(resources)
}

fn limits(node: &Node) -> Option<Resource> {
    let mut fields = node.fields()?;
    let limits = Resource {
        cpus: fields.read("cpus", cpus),
        memory: fields.read("memory", bytes),
        pids: fields.read("pids", count),
        devices: Vec::new(),
    };
    fields.finish();
    Some(limits)
}

fn reservations(node: &Node) -> Option<Resource> {
    let mut fields = node.fields()?;
    let cpus = fields.read("cpus", |node| {
        node.warn("CPUs cannot be reserved on a single engine: it has no effect, as with Compose");
        cpus(node)
    });
    let reservations = Resource {
        cpus,
        memory: fields.read("memory", bytes),
        pids: None,
        devices: fields.or_default("devices", device_requests),
    };
    refuse(&mut fields, keys::RESERVATIONS);
    fields.finish();
    Some(reservations)
}

fn restart_policy(node: &Node) -> Option<RestartPolicy> {
    let mut fields = node.fields()?;
    let policy = RestartPolicy {
        condition: fields
            .read("condition", |node| one_of(node, &["none", "no", "on-failure", "any", "always", "unless-stopped"])),
        max_attempts: fields.read("max_attempts", integer),
    };
    refuse(&mut fields, keys::RESTART_POLICY);
    fields.finish();
    Some(policy)
}
