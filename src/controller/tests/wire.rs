//! The operator's line to the engine. It ends with the operator, and every call on it is held against the promises.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{SharedClock, Timestamp};
use crate::docker::fake::FakeEngine;
use crate::docker::{Alive, ContainerLine, Engine, EngineInfo, Events, Result};
use crate::model::{
    BuildSpec, Container, ContainerSpec, DockerRestart, EngineRun, EventCursor, FileSpec, HoldView, HookSpec, Image, Key,
    Network, NetworkAttachment, NetworkSpec, Progress, ReloadSignal, ReplicaId, Volume, VolumeSpec, labels,
};
use crate::registry::Registry;
use crate::store::Kind;

/// What was noticed on the line, whoever the operator was.
#[derive(Default)]
pub struct Watch {
    notes: Mutex<Notes>,
}

#[derive(Default)]
pub struct Notes {
    /// Promises that were broken.
    pub broken: Vec<String>,
    /// Holds that somebody was told to be laid, and has not asked to lift since.
    pub acknowledged: Vec<(Key, HoldView)>,
    /// Starts since it was asked last, by Deployment and replica.
    pub starts: BTreeMap<(Key, ReplicaId), u32>,
    /// Volumes may go with these Deployments: somebody said so.
    pub volumes_may_go: Vec<Key>,
}

impl Watch {
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }
}

/// One operator's line to the engine.
pub struct Wire {
    pub engine: FakeEngine,
    pub registry: Registry,
    pub clock: SharedClock,
    pub watch: Arc<Watch>,
    /// Cancelled when the operator is killed: what it has under way is over, and nothing it does gets through any more.
    pub dead: CancellationToken,
}

impl Wire {
    /// A call, unless the operator is dead: then whoever makes it is gone in that moment.
    async fn through<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.dead.cancelled() => std::panic::resume_unwind(Box::new("killed")),
            answer = call => answer,
        }
    }

    fn broken(&self, what: String) {
        if !self.dead.is_cancelled() {
            self.watch.notes().broken.push(format!("{}: {what}", self.clock.now()));
        }
    }

    /// A change of a container: it must be ours.
    fn owned_container(&self, call: &str, id: &str) -> Option<Container> {
        let container = self.engine.container(id)?;
        if owner(&container.labels).is_none() {
            self.broken(format!("{call} {}, which somebody else made", container.name));
        }
        Some(container)
    }

    fn owned_network(&self, call: &str, network: &str) {
        let found = self.engine.networks().into_iter().find(|found| found.id == network || found.name == network);
        if let Some(found) = found.filter(|found| owner(&found.labels).is_none()) {
            self.broken(format!("{call} network {} ({}), which somebody else made", found.name, found.id));
        }
    }

    /// Nothing may be made in a place that somebody else has.
    fn free(&self, call: &str, holder: Option<(String, BTreeMap<String, String>)>) {
        if let Some((name, _)) = holder.filter(|(_, labels)| owner(labels).is_none()) {
            self.broken(format!("{call} {name}, which somebody else has"));
        }
    }

    /// A start: nothing holds the replica, and it has the anonymous volumes it had before.
    fn start(&self, id: &str) {
        let Some(container) = self.owned_container("start", id) else { return };
        let (Some(key), Some(replica)) = (owner(&container.labels), container.replica()) else { return };
        *self.watch.notes().starts.entry((key.clone(), replica.clone())).or_default() += 1;
        if let Some(why) = self.forbidden(&key, &replica) {
            self.broken(format!("start {}: {why}", container.name));
        }
        self.carried_over(&key, &replica, &container);
    }

    fn forbidden(&self, key: &Key, replica: &ReplicaId) -> Option<String> {
        let now = self.clock.now();
        let told = |(of, hold): &&(Key, HoldView)| of == key && hold.covers(replica) && hold.in_force(now);
        if let Some((_, hold)) = self.watch.notes().acknowledged.iter().find(told) {
            return Some(format!("{hold:?} was acknowledged"));
        }
        // One of this very moment may be newer than the last look at it.
        let stands = |hold: &HoldView| hold.covers(replica) && hold.in_force(now) && hold.since < now;
        if let Some(hold) = self.registry.holds_of(key).unwrap().into_iter().find(stands) {
            return Some(format!("{hold:?} is in the store"));
        }
        let object = self.registry.store().get(Kind::Deployment, key).unwrap()?;
        (object["spec"]["state"] == "Stopped").then(|| "its manifest says Stopped".to_owned())
    }

    fn carried_over(&self, key: &Key, replica: &ReplicaId, container: &Container) {
        let memory = self.registry.store().memory(key).unwrap();
        let there = |name: &str| self.engine.volumes().iter().any(|volume| volume.name == name);
        for (path, name) in memory.volumes.get(&replica.to_string()).into_iter().flatten() {
            let mounted = container.mounts.iter().find(|mount| mount.destination == *path);
            if there(name) && mounted.is_none_or(|mounted| mounted.source != *name) {
                self.broken(format!("start {} without its volume {name} at {path}", container.name));
            }
        }
    }
}

/// The Deployment that labels name as the owner, for this operator.
pub fn owner(found: &BTreeMap<String, String>) -> Option<Key> {
    let ours = found.get(labels::INSTANCE).is_some_and(|instance| instance == "default");
    ours.then(|| Some(Key::new(found.get(labels::NAMESPACE)?, found.get(labels::DEPLOYMENT)?))).flatten()
}

/// Labels of a container that another operator made for a Deployment of the same name.
pub fn of_another_operator() -> BTreeMap<String, String> {
    let labels = [
        (labels::INSTANCE, "other"),
        (labels::NAMESPACE, "default"),
        (labels::DEPLOYMENT, "a0"),
        (labels::SERVICE, "s0"),
        (labels::REPLICA, "1"),
        (labels::COMPOSE_PROJECT, "a0"),
    ];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

#[async_trait]
impl Engine for Wire {
    async fn info(&self) -> Result<EngineInfo> {
        self.through(self.engine.info()).await
    }

    async fn run(&self) -> Result<EngineRun> {
        self.through(self.engine.run()).await
    }

    async fn ping(&self) -> Result<()> {
        self.through(self.engine.ping()).await
    }

    async fn alive(&self) -> Alive {
        self.through(self.engine.alive()).await
    }

    async fn events(&self, since: Option<EventCursor>) -> Result<Events> {
        self.through(self.engine.events(since)).await
    }

    async fn list_containers(&self) -> Result<Vec<ContainerLine>> {
        self.through(self.engine.list_containers()).await
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<Container>> {
        self.through(self.engine.inspect_container(id)).await
    }

    async fn compare_container(
        &self,
        id: &str,
        spec: &ContainerSpec,
        networks: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<String>>> {
        self.through(self.engine.compare_container(id, spec, networks)).await
    }

    async fn list_networks(&self) -> Result<Vec<Network>> {
        self.through(self.engine.list_networks()).await
    }

    async fn list_volumes(&self) -> Result<Vec<Volume>> {
        self.through(self.engine.list_volumes()).await
    }

    async fn list_images(&self) -> Result<Vec<Image>> {
        self.through(self.engine.list_images()).await
    }

    async fn create_container(&self, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> Result<String> {
        self.free("create container", self.engine.container(&spec.name).map(|found| (found.name, found.labels)));
        self.through(self.engine.create_container(spec, networks)).await
    }

    async fn write_files(&self, id: &str, files: &[FileSpec]) -> Result<()> {
        self.owned_container("write files into", id);
        self.through(self.engine.write_files(id, files)).await
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        self.start(id);
        self.through(self.engine.start_container(id)).await
    }

    async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<()> {
        self.owned_container("stop", id);
        self.through(self.engine.stop_container(id, grace_seconds)).await
    }

    async fn kill_container(&self, id: &str) -> Result<()> {
        self.owned_container("kill", id);
        self.through(self.engine.kill_container(id)).await
    }

    async fn run_hook(&self, id: &str, hook: &HookSpec, limit: Duration) -> Result<()> {
        self.owned_container("run a hook in", id);
        self.through(self.engine.run_hook(id, hook, limit)).await
    }

    async fn signal_container(&self, id: &str, signal: ReloadSignal) -> Result<()> {
        self.owned_container("signal", id);
        self.through(self.engine.signal_container(id, signal)).await
    }

    async fn remove_container(&self, id: &str, force: bool) -> Result<()> {
        self.owned_container("remove", id);
        self.through(self.engine.remove_container(id, force)).await
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        self.owned_container("rename", id);
        self.through(self.engine.rename_container(id, name)).await
    }

    async fn set_restart_policy(&self, id: &str, policy: &DockerRestart) -> Result<()> {
        self.owned_container("set the restart policy of", id);
        self.through(self.engine.set_restart_policy(id, policy)).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<String> {
        let holder = self.engine.networks().into_iter().find(|found| found.name == spec.name);
        self.free("create network", holder.map(|found| (found.name, found.labels)));
        self.through(self.engine.create_network(spec)).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.owned_network("remove", id);
        self.through(self.engine.remove_network(id)).await
    }

    async fn connect_network(&self, network_id: &str, container_id: &str, attachment: &NetworkAttachment) -> Result<()> {
        self.owned_container("connect", container_id);
        self.owned_network("connect to", network_id);
        self.through(self.engine.connect_network(network_id, container_id, attachment)).await
    }

    async fn disconnect_network(&self, network: &str, container_id: &str) -> Result<()> {
        self.owned_container("disconnect", container_id);
        self.through(self.engine.disconnect_network(network, container_id)).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let holder = self.engine.volumes().into_iter().find(|found| found.name == spec.name);
        self.free("create volume", holder.map(|found| (found.name, found.labels)));
        self.through(self.engine.create_volume(spec)).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let found = self.engine.volumes().into_iter().find(|found| found.name == name);
        let owner = found.and_then(|found| owner(&found.labels));
        if owner.is_none_or(|owner| !self.watch.notes().volumes_may_go.contains(&owner)) {
            self.broken(format!("remove volume {name}, which nobody asked for"));
        }
        self.through(self.engine.remove_volume(name)).await
    }

    async fn pull(&self, image: &str, platform: Option<&str>, progress: &watch::Sender<Progress>) -> Result<Option<String>> {
        self.through(self.engine.pull(image, platform, progress)).await
    }

    async fn build(&self, spec: &BuildSpec, progress: &watch::Sender<Progress>) -> Result<String> {
        self.through(self.engine.build(spec, progress)).await
    }

    async fn tag(&self, image_id: &str, reference: &str) -> Result<()> {
        self.through(self.engine.tag(image_id, reference)).await
    }

    fn port_holder(&self, port: u16, protocol: &str) -> Option<String> {
        self.engine.port_holder(port, protocol)
    }
}

/// A Hold as it was acknowledged.
pub fn acknowledged(object: &serde_json::Value) -> HoldView {
    let spec = &object["spec"];
    let text = |field: &str| spec[field].as_str().map(str::to_owned);
    let time = |field: &str| spec[field].as_str().map(|text| text.parse::<Timestamp>().unwrap());
    HoldView {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        service: text("service"),
        replica: spec["replica"].as_u64().map(|number| number.try_into().unwrap()),
        state: serde_json::from_value(spec["state"].clone()).unwrap(),
        reason: text("reason").unwrap_or_default(),
        until: time("until"),
        since: time("since").unwrap_or_default(),
    }
}
