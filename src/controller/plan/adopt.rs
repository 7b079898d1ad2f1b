//! What Compose made in our places before: taken over as it is, or left alone with the difference named.
//!
//! A container is taken over when Compose's own hash on it is that of the declaration, when it compares as the same, or when
//! somebody asked for it; a network or a volume of the project, when it is of the declared kind. Nothing is restarted for it, and nothing
//! that another operator owns is looked at.

use crate::model::{
    AdoptRequest, Adopted, AdoptedNetwork, Cause, Container, ContainerState, DesiredService, DockerRestart, Network, NetworkSpec,
    Note, REASON_EXTERNAL_STOP, RecoveryMode, ReplicaId, Volume, VolumeSpec, WaitReason, labels,
};

use super::holds::{Standing, standing};
use super::{Planner, Slots, later};

/// Between two tries to hold a container against its declaration.
const COMPARE_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// The hash formula of Compose that ours follows: 2.30 to 2.40. Another hash of such a version is another declaration.
const FORMULA: std::ops::RangeInclusive<(u32, u32)> = (2, 30)..=(2, 40);

/// Takes over what can be, and says what keeps the rest from it.
pub(super) fn take_over<'a>(planner: &mut Planner<'a>, slots: &mut Slots<'a>) {
    for (replica, container) in slots.strangers() {
        if matches!(standing(planner, &replica), Standing::Suspended { .. }) {
            continue;
        }
        let Some(service) = planner.desired.services.get(&replica.service) else { continue };
        match claim(planner, service, container) {
            Ok(differs) => {
                slots.take_over(replica.clone(), container);
                adopt(planner, service, &replica, container, differs);
            }
            Err(wait) => {
                let until = matches!(wait, WaitReason::Comparing { .. }).then(|| later(planner.now, COMPARE_AGAIN));
                planner.wait_replica(&replica, wait, until);
                planner.settled.insert(replica);
            }
        }
    }
    for (replica, container) in slots.unrecorded(planner) {
        if matches!(standing(planner, &replica), Standing::Suspended { .. }) {
            continue;
        }
        let Some(service) = planner.desired.services.get(&replica.service) else { continue };
        planner.note(noted(service, &replica, container, vec![], None));
    }
}

/// In what a container that is taken over differs from its declaration; or why it is not.
fn claim(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> Result<Vec<String>, WaitReason> {
    if planner.snapshot.unread.contains(&container.id) {
        return Err(WaitReason::Comparing { container: container.name.clone() });
    }
    if is_withheld(planner) {
        return Err(WaitReason::Withheld);
    }
    if same_hash(service, container) {
        return Ok(vec![]);
    }
    let likeness = planner.likeness.get(&container.id).filter(|likeness| likeness.spec_hash == service.spec_hash);
    let Some(likeness) = likeness else { return Err(WaitReason::Comparing { container: container.name.clone() }) };
    if likeness.differs.is_empty() || asked(service, container).is_some() {
        return Ok(likeness.differs.clone());
    }
    Err(WaitReason::NotAdopted { message: refusal(planner, container, &likeness.differs) })
}

/// The operator itself may do nothing: then nothing is taken over either.
fn is_withheld(planner: &Planner<'_>) -> bool {
    planner.desired.recovery.bound < RecoveryMode::Auto
}

fn refusal(planner: &Planner<'_>, container: &Container, differs: &[String]) -> String {
    let name = &planner.desired.key.name;
    format!(
        "docker compose made container {}, and it is not what is declared: {}; `evenkeel adopt {name}` takes it over as it is, \
         with --recreate it is made anew",
        container.name,
        differs.join("; ")
    )
}

/// Compose's own hash of its definition is that of the declaration.
pub(super) fn same_hash(service: &DesiredService, container: &Container) -> bool {
    let hash = |found: &Found| found.get(labels::COMPOSE_CONFIG_HASH).cloned();
    hash(&container.labels).is_some_and(|found| Some(found) == hash(&service.template.labels))
}

/// The request to take a container over though it differs, if there is one since it was made.
fn asked(service: &DesiredService, container: &Container) -> Option<AdoptRequest> {
    service.adopt.filter(|asked| container.created_at.is_some_and(|made| made < asked.at))
}

/// Whether a container that was taken over with differences was asked to be made anew.
pub(super) fn recreation_due(service: &DesiredService, adopted: &Adopted, container: &Container) -> bool {
    !adopted.differs.is_empty() && asked(service, container).is_some_and(|asked| asked.recreate)
}

fn adopt(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container, differs: Vec<String>) {
    let at_rest = at_rest(container);
    let finished = at_rest.is_some() && ran_to_its_end(service, container);
    planner.note(noted(service, replica, container, differs, at_rest.filter(|_| !finished)));
    if let Some(at) = at_rest {
        if finished {
            planner.note(super::ended::completed(planner, service, replica, container, at, container.exit_code));
            planner.wait_replica(replica, WaitReason::Completed, None);
        } else {
            planner.wait_replica(replica, WaitReason::Stopped { reason: REASON_EXTERNAL_STOP.to_owned() }, None);
        }
        planner.settled.insert(replica.clone());
    }
}

fn noted(
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    differs: Vec<String>,
    at_rest: Option<jiff::Timestamp>,
) -> Note {
    let record = Adopted {
        container_id: container.id.clone(),
        spec_hash: service.spec_hash.clone(),
        restart: container.restart_policy.clone(),
        differs,
    };
    Note::Adopted { replica: replica.clone(), name: container.name.clone(), record, at_rest }
}

/// Since when a container does not run; `None`: it does, or is about to.
fn at_rest(container: &Container) -> Option<jiff::Timestamp> {
    match container.state {
        ContainerState::Exited | ContainerState::Dead => container.finished_at.or(container.created_at),
        ContainerState::Created => container.created_at,
        _ => None,
    }
}

/// Whether an end with 0 was the end of its work: under Docker's policies that leave such a one be.
fn ran_to_its_end(service: &DesiredService, container: &Container) -> bool {
    let left_be = matches!(container.restart_policy, DockerRestart::No | DockerRestart::OnFailure(_));
    container.state == ContainerState::Exited && container.exit_code == 0 && left_be && (service.job || service.ends())
}

/// Why Docker's own policy is taken off a container: it has just been taken over, or somebody set it since.
pub(super) fn policy_cause(planner: &Planner<'_>, replica: &ReplicaId, container: &Container) -> Cause {
    let fresh = planner.plan.notes.iter().any(
        |note| matches!(note, Note::Adopted { replica: of, record, .. } if of == replica && record.container_id == container.id),
    );
    let kept = planner.memory.adopted(replica, &container.id).is_some_and(|known| known.restart == container.restart_policy);
    if fresh || kept { Cause::Adopted } else { Cause::PolicyDrift }
}

/// Whether a network was made by Compose for this project and key, and nothing says that its definition is another one.
pub(super) fn network(planner: &mut Planner<'_>, slots: &Slots<'_>, spec: &NetworkSpec, found: &Network) -> Option<WaitReason> {
    if !of_project(planner, &found.labels, &spec.labels, labels::COMPOSE_NETWORK) {
        return Some(WaitReason::NotOwned { holder: foreign_network(found) });
    }
    let driver = spec.driver.as_deref().is_none_or(|driver| driver.is_empty() || driver == "default" || driver == found.driver);
    let asked = planner.desired.services.values().any(|service| service.adopt.is_some());
    let why = if !driver {
        Some(format!("its driver is {}, declared is {}", found.driver, spec.driver.as_deref().unwrap_or_default()))
    } else {
        other_hash(&found.labels, &spec.labels).then(|| "its definition is another one".to_owned())
    };
    let nothing_ours = slots.all().next().is_none() && !planner.settled.is_empty();
    match why {
        Some(why) if !asked => Some(not_adopted(planner, "network", &found.name, &why)),
        _ if is_withheld(planner) => Some(WaitReason::Withheld),
        _ if nothing_ours => Some(not_adopted(planner, "network", &found.name, "containers of that project are on it")),
        _ => {
            let record = AdoptedNetwork { id: found.id.clone(), spec_hash: spec.hash.clone() };
            planner.note(Note::AdoptedNetwork { name: found.name.clone(), record });
            None
        }
    }
}

fn foreign_network(found: &Network) -> String {
    let id = found.id.get(..12).unwrap_or(&found.id);
    format!("network {} ({id}) was made by somebody else; declare it `external: true` to use it, or remove it", found.name)
}

/// The same of a volume.
pub(super) fn volume(planner: &mut Planner<'_>, spec: &VolumeSpec, found: &Volume) -> Option<WaitReason> {
    if !of_project(planner, &found.labels, &spec.labels, labels::COMPOSE_VOLUME) {
        let holder = format!("volume {} was made by somebody else; declare it `external: true` to use it", spec.name);
        return Some(WaitReason::NotOwned { holder });
    }
    let driver = spec.driver.as_deref().filter(|driver| !driver.is_empty()).unwrap_or("local");
    let asked = planner.desired.services.values().any(|service| service.adopt.is_some());
    if driver != found.driver && !asked {
        let why = format!("its driver is {}, declared is {driver}", found.driver);
        return Some(not_adopted(planner, "volume", &spec.name, &why));
    }
    if is_withheld(planner) {
        return Some(WaitReason::Withheld);
    }
    planner.note(Note::AdoptedVolume { name: spec.name.clone(), at: planner.now });
    None
}

fn not_adopted(planner: &Planner<'_>, what: &str, name: &str, why: &str) -> WaitReason {
    let deployment = &planner.desired.key.name;
    let message = format!("docker compose made {what} {name}, and {why}; `evenkeel adopt {deployment}` takes it over as it is");
    WaitReason::NotAdopted { message }
}

type Found = std::collections::BTreeMap<String, String>;

/// Whether Compose's labels name this project and the same key, and no operator's do.
fn of_project(planner: &Planner<'_>, found: &Found, declared: &Found, key: &str) -> bool {
    found.get(labels::COMPOSE_PROJECT) == Some(&planner.desired.project)
        && found.get(key).is_some_and(|found| Some(found) == declared.get(key))
        && !found.contains_key(labels::INSTANCE)
}

/// Whether Compose's hash says that the definition is another one: by the formula that ours follows.
fn other_hash(found: &Found, declared: &Found) -> bool {
    let [hash, wanted] = [found, declared].map(|labels| labels.get(labels::COMPOSE_CONFIG_HASH));
    let version = found.get(labels::COMPOSE_VERSION).and_then(|version| {
        let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    hash.is_some() && hash != wanted && version.is_some_and(|version: (u32, u32)| FORMULA.contains(&version))
}

/// Whether a network is in use by a container that is not ours: then it is left where it is.
pub(super) fn is_shared(planner: &Planner<'_>, slots: &Slots<'_>, network: &Network) -> bool {
    let on_it = |container: &&std::sync::Arc<Container>| container.networks.values().any(|at| at.network_id == network.id);
    let others = planner.snapshot.containers.values().filter(on_it);
    let adopted = planner.memory.adopted_shared.networks.get(&network.name).is_some_and(|known| known.id == network.id);
    adopted && others.into_iter().any(|container| !slots.all().any(|ours| ours.id == container.id))
}
