//! Whether everything is as specs and Holds say. Told from the store and the engine alone: what the planner thinks of it does not
//! count, but that it wants nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;

use crate::crd::Deployment;
use crate::docker::fake::FakeEngine;
use crate::model::{
    Container, ContainerState, DependencyCondition, Desired, DesiredService, DockerRestart, ExternalStop, HealthStatus, History,
    HoldState, Key, Memory, ReplicaId, RestartRule, RunState,
};
use crate::store::Kind;

use super::rig::{Operator, Rig};
use super::story::{MAX_ATTEMPTS, Story, Work};
use super::wire::owner;

/// What is not yet, or not any more, as it should be.
pub fn complaints(rig: &Rig, story: &Story) -> Vec<String> {
    let operator = rig.operator().unwrap();
    let scenes = scenes(rig, operator, story);
    let mut all: Vec<String> = scenes.iter().flat_map(Scene::complaints).collect();
    let known: BTreeMap<&Key, &Scene> = scenes.iter().map(|scene| (&scene.desired.key, scene)).collect();
    for container in rig.engine.containers() {
        let Some(key) = owner(&container.labels) else { continue };
        if !known.get(&key).is_some_and(|scene| scene.has_place_for(&container)) {
            all.push(format!("container {} ({:?}) is left over", container.name, container.state));
        }
    }
    for (key, hold) in rig.watch.notes().acknowledged.iter().filter(|(_, hold)| hold.in_force(rig.clock.now())) {
        if !operator.registry.holds_of(key).unwrap().iter().any(|found| found.name == hold.name) {
            all.push(format!("{hold:?} was acknowledged and is not there"));
        }
    }
    all
}

/// A replica that runs as it should, with nothing in the way of it going on to.
pub struct Sound {
    pub key: Key,
    pub replica: ReplicaId,
    /// `externalStop: Revert`.
    pub reverts: bool,
    pub container: Container,
}

/// All of them.
pub fn sound(rig: &Rig, story: &Story) -> Vec<Sound> {
    let of = |scene: &Scene| {
        let sound = scene.replicas().filter(|(service, replica)| scene.is_sound(service, replica));
        let shown = sound.map(|(_, replica)| Sound {
            key: scene.desired.key.clone(),
            reverts: scene.desired.recovery.external_stop == ExternalStop::Revert,
            container: scene.current(&replica).unwrap().clone(),
            replica,
        });
        shown.collect::<Vec<_>>()
    };
    scenes(rig, rig.operator().unwrap(), story).iter().flat_map(of).collect()
}

fn scenes<'a>(rig: &'a Rig, operator: &Operator, story: &'a Story) -> Vec<Scene<'a>> {
    let objects = operator.registry.store().list(Kind::Deployment, None).unwrap().items;
    let of = |object: &Arc<serde_json::Value>| {
        let object: Deployment = serde_json::from_value((**object).clone()).unwrap();
        Scene::of(rig, operator, story, &object)
    };
    objects.iter().map(of).collect()
}

/// One Deployment, and what is there of it.
struct Scene<'a> {
    rig: &'a Rig,
    story: &'a Story,
    desired: Desired,
    history: History,
    memory: Memory,
    /// Its plan.
    plan: Vec<String>,
    text: String,
    containers: BTreeMap<ReplicaId, Vec<Container>>,
}

impl<'a> Scene<'a> {
    fn of(rig: &'a Rig, operator: &Operator, story: &'a Story, object: &Deployment) -> Self {
        let key = Key::new("default", object.metadata.name.clone().unwrap());
        let store = operator.registry.store();
        let (plan, text) =
            match operator.controller.preview(&key).now_or_never().unwrap_or_else(|| Err("it is being compared".to_owned())) {
                Ok(preview) => (preview.actions.into_iter().map(|action| action.action).collect(), preview.text),
                Err(why) => (vec![format!("nothing, since {why}")], why),
            };
        let mut containers: BTreeMap<ReplicaId, Vec<Container>> = BTreeMap::new();
        for container in rig.engine.containers().into_iter().filter(|found| owner(&found.labels).as_ref() == Some(&key)) {
            containers.entry(container.replica().unwrap()).or_default().push(container);
        }
        Self {
            rig,
            story,
            desired: operator.controller.desired(&key, object).unwrap(),
            history: store.history(&key).unwrap(),
            memory: store.memory(&key).unwrap(),
            plan,
            text,
            containers,
        }
    }

    fn complaints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.plan.iter().map(|action| format!("{} is still to {action}", self.desired.key)).collect();
        if self.desired.deletion.is_some() {
            all.push(format!("{} is still being deleted: {}", self.desired.key, self.text));
            return all;
        }
        let wrong = self.replicas().filter_map(|(service, replica)| {
            self.wrong(service, &replica).map(|why| format!("{} {replica}: {why}\n{}", self.desired.key, self.text))
        });
        all.extend(wrong);
        all
    }

    fn replicas(&self) -> impl Iterator<Item = (&DesiredService, ReplicaId)> {
        let of = |service: &'_ DesiredService| {
            (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number)).collect::<Vec<_>>()
        };
        self.desired.services.values().flat_map(move |service| of(service).into_iter().map(move |replica| (service, replica)))
    }

    /// Whether a container may be there: it stands for a replica, alone; or hands must be kept off it.
    fn has_place_for(&self, container: &Container) -> bool {
        let Some(replica) = container.replica() else { return false };
        let suspended = self.hold(&replica) == Some(HoldState::Suspended);
        let declared = self.desired.services.get(&replica.service).is_some_and(|s| replica.number <= s.replicas);
        suspended || (declared && (self.containers[&replica].len() == 1 || self.waits(&replica)))
    }

    /// A replacement that waits may have its successor beside it.
    fn waits(&self, replica: &ReplicaId) -> bool {
        let service = &self.desired.services[&replica.service];
        let stopped = self.hold(replica).is_some() || self.desired.state == RunState::Stopped;
        stopped || self.excuse(service, replica).is_some()
    }

    fn hold(&self, replica: &ReplicaId) -> Option<HoldState> {
        self.desired.hold(replica, self.rig.clock.now()).map(|hold| hold.state)
    }

    fn current(&self, replica: &ReplicaId) -> Option<&Container> {
        self.containers.get(replica)?.iter().max_by_key(|container| (container.is_up(), container.started_at))
    }

    /// What is wrong with a replica.
    fn wrong(&self, service: &DesiredService, replica: &ReplicaId) -> Option<String> {
        let current = self.current(replica);
        let up = current.filter(|container| container.is_up());
        match self.hold(replica) {
            Some(HoldState::Suspended) => return None,
            Some(HoldState::Stopped) => return up.map(|_| "it is held stopped, and it runs".to_owned()),
            None if self.desired.state == RunState::Stopped => {
                return up.map(|_| "it is declared stopped, and it runs".to_owned());
            }
            None => {}
        }
        match up {
            Some(container) if container.state == ContainerState::Paused => None,
            Some(container) => self.differs(service, replica, container).filter(|_| self.excuse(service, replica).is_none()),
            None if self.is_over(service, replica)
                || self.gave_up(service, replica)
                || self.excuse(service, replica).is_some() =>
            {
                None
            }
            None => Some(format!("it should run, and does not: {:?}", current.map(|found| (found.state, found.exit_code)))),
        }
    }

    /// Whether it runs, is to go on to, and nothing of it would be otherwise after another start.
    fn is_sound(&self, service: &DesiredService, replica: &ReplicaId) -> bool {
        let free = self.hold(replica).is_none() && self.desired.state == RunState::Running && self.desired.deletion.is_none();
        // One that has run to its end counts as that, though somebody started it again by hand.
        let over = self.memory.completed(replica, &service.spec_hash).is_some();
        let lasting = service.restart != RestartRule::Once && !self.is(service, &[Work::Job]) && !over;
        let well = |container: &Container| is_well(container) && self.differs(service, replica, container).is_none();
        free && lasting && self.current(replica).is_some_and(well) && self.excuse(service, replica).is_none()
    }

    /// What of a running container is not as it is declared.
    fn differs(&self, service: &DesiredService, replica: &ReplicaId, container: &Container) -> Option<String> {
        let name = format!("{}-{replica}", self.desired.project);
        if container.spec_hash() != Some(service.spec_hash.as_str()) {
            return Some("it runs an old specification".to_owned());
        }
        if container.state != ContainerState::Running || container.restart_policy != DockerRestart::No || container.name != name {
            let Container { name, state, restart_policy, .. } = container;
            return Some(format!("it is not as it should be: {name}, {state:?}, {restart_policy:?}"));
        }
        let networks = self.rig.engine.networks();
        for attachment in &service.template.networks {
            let wanted = &self.desired.networks[&attachment.network].name;
            let attached = container.networks.get(wanted).map(|at| &at.network_id);
            if !networks.iter().any(|network| network.name == *wanted && Some(&network.id) == attached) {
                return Some(format!("it is not on network {wanted}: {attached:?}"));
            }
        }
        None
    }

    /// It has run to its end, and nothing but its own doing can have been that end.
    fn is_over(&self, service: &DesiredService, replica: &ReplicaId) -> bool {
        let Some(done) = self.memory.completed(replica, &service.spec_hash) else { return false };
        let ends_well = self.is(service, &[Work::Job]) || self.story.crashes_with_0();
        match service.restart {
            RestartRule::Once => true,
            RestartRule::Always => service.job && done.exit_code == 0 && ends_well,
            RestartRule::OnFailure { .. } | RestartRule::UntilCompleted => done.exit_code == 0 && ends_well,
        }
    }

    /// All attempts are spent, and it can have failed that often.
    fn gave_up(&self, service: &DesiredService, replica: &ReplicaId) -> bool {
        let max = match service.restart {
            RestartRule::OnFailure { max: Some(max) } => max,
            _ => MAX_ATTEMPTS,
        };
        let ends_for_ever = self.is(service, &[Work::Job]) && service.restart == RestartRule::Always && !service.job;
        let fails = self.is(service, &[Work::Flaky, Work::Loop, Work::Broken]);
        let may_fail = fails || ends_for_ever || self.story.failures() > 0;
        may_fail && self.history.replica(replica).attempts >= max
    }

    /// Something that is not its own keeps it from being made or started.
    fn excuse(&self, service: &DesiredService, replica: &ReplicaId) -> Option<&'static str> {
        let sibling_is_unwell = || {
            let mut others =
                (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number)).filter(|other| other != replica);
            others.any(|other| self.hold(&other).is_none() && !self.current(&other).is_some_and(is_well))
        };
        let unmet = || service.depends_on.iter().any(|(on, dependency)| !self.is_met(on, dependency.condition));
        let taken = || self.is_taken(service, replica);
        let excuses: [(&'static str, &dyn Fn() -> bool); 3] =
            [("a sibling is unwell", &sibling_is_unwell), ("a dependency is unmet", &unmet), ("its place is taken", &taken)];
        excuses.into_iter().find(|(_, is_so)| is_so()).map(|(excuse, _)| excuse)
    }

    fn is_met(&self, on: &str, condition: DependencyCondition) -> bool {
        let service = &self.desired.services[on];
        let met = |number| {
            let replica = ReplicaId::new(on, number);
            let current = self.current(&replica);
            let done = self.memory.completed(&replica, &service.spec_hash);
            let held = self.hold(&replica).is_some() || self.desired.state == RunState::Stopped;
            match condition {
                DependencyCondition::ServiceStarted => held || done.is_some() || current.is_some_and(Container::is_up),
                DependencyCondition::ServiceHealthy => current.is_some_and(is_well),
                DependencyCondition::ServiceCompletedSuccessfully => done.is_some_and(|done| done.exit_code == 0),
            }
        };
        (1..=service.replicas).all(met)
    }

    /// A stranger has a name that it needs.
    fn is_taken(&self, service: &DesiredService, replica: &ReplicaId) -> bool {
        let first = self.desired.key.name == "a0";
        let strangers = self.story.strangers;
        let name = strangers.container_has_a_name_of_ours && replica.to_string() == "s0-1";
        let networks = &service.template.networks;
        let network = strangers.network_has_a_name_of_ours && networks.iter().any(|at| at.network == "default");
        let volume = strangers.volume_has_a_name_of_ours && service.template.mounts.iter().any(|mount| mount.target == "/named");
        first && (name || network || volume)
    }

    fn is(&self, service: &DesiredService, works: &[Work]) -> bool {
        works.iter().any(|work| work.image() == service.template.image)
    }
}

fn is_well(container: &Container) -> bool {
    let healthy = container.health.as_ref().is_none_or(|health| health.status == HealthStatus::Healthy);
    container.state == ContainerState::Running && healthy
}

/// What somebody else made, without what restarts of the daemon do to it.
pub fn strangers(engine: &FakeEngine) -> Vec<String> {
    let theirs = |labels: &BTreeMap<String, String>| owner(labels).is_none();
    let containers = engine.containers().into_iter().filter(|found| theirs(&found.labels)).map(|found| {
        let networks: Vec<&String> = found.networks.keys().collect();
        let Container { id, name, labels, restart_policy, mounts, created_at, .. } = &found;
        format!("{id} {name} {labels:?} {restart_policy:?} {mounts:?} {created_at:?} {networks:?}")
    });
    let networks = engine.networks().into_iter().filter(|found| theirs(&found.labels)).map(|found| format!("{found:?}"));
    containers.chain(networks).collect()
}
