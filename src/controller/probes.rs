//! What is known from probes of our own: asked for at each turn, made beside it, read by the planner.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::docker::Engine;
use crate::model::{
    Container, ContainerState, Desired, DesiredService, History, Key, Memory, ProbeNews, ProbeTarget, ProbeWish, Probed,
    ReplicaId, RunId, RunState, Secrets, Snapshot, Unreachable,
};

use super::plan::slots;

/// The two ends of the channels to who makes the probes.
pub struct ProbeChannels {
    /// What is to be probed.
    pub wishes: mpsc::UnboundedSender<ProbeWish>,
    /// What the probes say.
    pub news: mpsc::UnboundedReceiver<ProbeNews>,
}

/// The probes of all containers.
pub(super) struct Probes {
    wishes: mpsc::UnboundedSender<ProbeWish>,
    engine: Arc<dyn Engine>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wished: HashMap<Key, BTreeMap<ReplicaId, ProbeTarget>>,
    told: HashMap<Key, Probed>,
    /// Until [`Probes::news`] takes it.
    news: Option<mpsc::UnboundedReceiver<ProbeNews>>,
}

impl Probes {
    pub fn new(channels: ProbeChannels, engine: Arc<dyn Engine>) -> Self {
        let ProbeChannels { wishes, news } = channels;
        Self { wishes, engine, state: Mutex::new(State { news: Some(news), ..State::default() }) }
    }

    /// Says which containers of a Deployment are to be probed, where that is new: those that run and may.
    pub fn want(&self, desired: &Desired, snapshot: &Snapshot, history: &History, memory: &Memory, now: Timestamp) {
        let mut targets = BTreeMap::new();
        if desired.services.values().any(|service| !service.probes.is_empty()) && is_alive(desired) {
            let slots = slots(desired, snapshot, history, memory);
            let is_here = self.engine.is_local() || self.engine.peer().is_some_and(|peer| is_a_containers(snapshot, peer));
            for service in desired.services.values().filter(|service| !service.probes.is_empty()) {
                let replicas = (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number));
                for replica in replicas.filter(|replica| desired.hold(replica, now).is_none()) {
                    let runs = |container: &&Container| container.state == ContainerState::Running;
                    if let Some(container) = slots.get(&replica).current.filter(runs) {
                        let address =
                            if is_here { address(desired, service, container, snapshot) } else { Err(Unreachable::Remote) };
                        targets.insert(replica, target(service, container, address));
                    }
                }
            }
        }
        self.wish(&desired.key, targets);
    }

    /// A Deployment that is gone is not probed any more.
    pub fn forget(&self, key: &Key) {
        self.wish(key, BTreeMap::new());
        self.lock().told.remove(key);
    }

    fn wish(&self, key: &Key, targets: BTreeMap<ReplicaId, ProbeTarget>) {
        let mut state = self.lock();
        if state.wished.get(key).map_or(targets.is_empty(), |before| *before == targets) {
            return;
        }
        if let Some(told) = state.told.get_mut(key) {
            told.retain(|id, news| targets.values().any(|target| target.run.container == *id && target.run == news.run));
        }
        match targets.is_empty() {
            true => drop(state.wished.remove(key)),
            false => drop(state.wished.insert(key.clone(), targets.clone())),
        }
        // Without anybody who probes nothing is ever known.
        let _ = self.wishes.send(ProbeWish { key: key.clone(), targets });
    }

    /// Takes in what the probes say.
    pub fn learn(&self, news: ProbeNews) {
        self.lock().told.entry(news.key.clone()).or_default().insert(news.run.container.clone(), news);
    }

    /// What is known of a Deployment's containers.
    pub fn of(&self, key: &Key) -> Probed {
        self.lock().told.get(key).cloned().unwrap_or_default()
    }

    /// What is told from now on; once.
    pub fn news(&self) -> Option<mpsc::UnboundedReceiver<ProbeNews>> {
        self.lock().news.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an address is that of a container of this engine. Who reaches the engine there, through a proxy before its socket, reaches
/// its other containers' addresses too.
fn is_a_containers(snapshot: &Snapshot, address: IpAddr) -> bool {
    let mut addresses = snapshot.containers.values().flat_map(|container| container.networks.values().map(|at| &at.address));
    addresses.any(|text| text.parse() == Ok(address))
}

/// Whether anything of it is to run.
fn is_alive(desired: &Desired) -> bool {
    desired.deletion.is_none() && desired.claimed_by.is_none() && desired.state == RunState::Running
}

fn target(service: &DesiredService, container: &Container, address: Result<String, Unreachable>) -> ProbeTarget {
    ProbeTarget {
        run: RunId { container: container.id.clone(), started_at: container.started_at },
        address,
        probes: service.probes.clone(),
        secrets: Secrets::of_env(&service.template.env),
    }
}

/// Where a container can be reached from this host: on the first of its declared networks, else on any; on the host itself where it
/// shares that one's network; at the address of the container whose network it shares.
fn address(
    desired: &Desired,
    service: &DesiredService,
    container: &Container,
    snapshot: &Snapshot,
) -> Result<String, Unreachable> {
    if container.network_mode == "host" {
        return Ok("127.0.0.1".to_owned());
    }
    let shared = container.network_mode.strip_prefix("container:").and_then(|id| snapshot.containers.get(id));
    let networks = shared.map_or(&container.networks, |parent| &parent.networks);
    let names = service.template.networks.iter().filter_map(|at| desired.networks.get(&at.network));
    let declared = names.filter_map(|network| networks.get(&network.name));
    let mut usable = declared.chain(networks.values()).filter(|attachment| !attachment.address.is_empty()).peekable();
    usable.peek().ok_or(Unreachable::NoAddress)?;
    let reached = usable.find(|attachment| !is_closed_to_host(snapshot, &attachment.network_id));
    reached.map(|attachment| attachment.address.clone()).ok_or(Unreachable::ClosedToHost)
}

/// The kernel lets a host and the containers of its own macvlan and ipvlan networks not talk to each other.
fn is_closed_to_host(snapshot: &Snapshot, network: &str) -> bool {
    snapshot.networks.get(network).is_some_and(|network| matches!(network.driver.as_str(), "macvlan" | "ipvlan"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::intent::story_container;
    use crate::model::Attachment;

    #[test]
    fn a_proxy_before_the_engines_socket_is_one_of_its_containers() {
        let mut proxy = story_container("proxy");
        proxy.networks.insert("front".into(), Attachment { address: "172.18.0.3".into(), ..Attachment::default() });
        let mut snapshot = Snapshot::default();
        snapshot.containers.insert("proxy".into(), Arc::new(proxy));
        assert!(is_a_containers(&snapshot, "172.18.0.3".parse().unwrap()));
        assert!(!is_a_containers(&snapshot, "192.168.1.5".parse().unwrap()), "an engine elsewhere");
    }
}
