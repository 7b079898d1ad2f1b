//! How fake containers come into being and go.

use std::collections::BTreeMap;

use super::faults::failure;
use super::machine::Machine;
use crate::docker::Result;
use crate::model::{
    Attachment, Container, ContainerSpec, ContainerState, DockerRestart, EventKind, FailureKind, HealthStatus, Mount,
    MountSource, MountSpec, NamespaceMode, Network, NetworkAttachment, NetworkMode, Volume, familiar_reference,
};

/// A container and what an inspect does not show.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// What an inspect shows.
    pub(super) seen: Container,
    /// What it was made from.
    pub(super) spec: ContainerSpec,
    /// How often it was started; a timer of an older run is void.
    pub(super) run: u32,
    /// By network name: the network's id and how it is attached there.
    pub(super) endpoints: BTreeMap<String, (String, NetworkAttachment)>,
    /// A person, or evenkeel, stopped it: Docker's own policy lets it lie.
    pub(super) stopped_by_hand: bool,
    /// The probe's verdict before it was frozen.
    pub(super) health_before_freeze: Option<HealthStatus>,
}

impl Machine {
    /// Makes a container. As on a real engine, networks are only looked for when it is started.
    pub(super) fn create(&mut self, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> Result<String> {
        let attempt = format!("cannot create container {} from image {}", spec.name, spec.image);
        if let Some(holder) = self.containers.values().find(|unit| unit.seen.name == spec.name) {
            let says =
                format!("Conflict. The container name \"/{}\" is already in use by container {:?}", spec.name, holder.seen.id);
            return Err(failure(FailureKind::NameHeld, format!("{attempt}: {says}")));
        }
        let wanted = familiar_reference(&spec.image);
        let named =
            |image: &&super::FakeImage| image.id == spec.image || image.tags.contains(&wanted) || image.digests.contains(&wanted);
        let Some(image) = self.images.values().find(named).cloned() else {
            return Err(failure(FailureKind::ImageMissing, format!("{attempt}: No such image: {wanted}")));
        };
        let endpoints =
            self.endpoints(spec, networks).map_err(|why| failure(FailureKind::Refused, format!("{attempt}: {why}")))?;
        let id = self.chance.id();
        let mounts = self.mounts(spec, &image.volumes);
        let seen = Container {
            id: id.clone(),
            name: spec.name.clone(),
            labels: image.labels.iter().chain(&spec.labels).map(|(key, value)| (key.clone(), value.clone())).collect(),
            image_id: image.id.clone(),
            image: spec.image.clone(),
            state: ContainerState::Created,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            stop_signal: spec.stop_signal.clone(),
            created_at: Some(self.now()),
            started_at: None,
            finished_at: None,
            health: None,
            restart_policy: spec.restart.clone(),
            restart_count: 0,
            networks: BTreeMap::new(),
            network_mode: network_mode(spec, networks),
            namespace_parents: [&spec.ipc, &spec.pid].into_iter().flatten().filter_map(parent).collect(),
            mounts,
            ports: spec.ports.iter().map(|port| port.host.clone()).collect(),
        };
        let unit = Unit { seen, spec: spec.clone(), run: 0, endpoints, stopped_by_hand: false, health_before_freeze: None };
        self.containers.insert(id.clone(), unit);
        self.show_networks(&id);
        self.emit_container(&id, "create", &[]);
        Ok(id)
    }

    /// Removes one that is not running.
    pub(super) fn destroy(&mut self, id: &str) {
        self.emit_container(id, "destroy", &[]);
        self.containers.remove(id);
    }

    /// Gives it another name.
    pub(super) fn rename(&mut self, id: &str, name: &str) -> Result<()> {
        let holder = self.containers.values().find(|unit| unit.seen.name == name).map(|unit| unit.seen.id.clone());
        if holder.is_some_and(|holder| holder != id) {
            let says = format!("cannot rename container: Conflict. The container name \"/{name}\" is already in use");
            return Err(failure(FailureKind::NameHeld, says));
        }
        let Some(unit) = self.containers.get_mut(id) else { return Err(gone(id)) };
        let old = std::mem::replace(&mut unit.seen.name, name.to_owned());
        self.emit_container(id, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(())
    }

    /// Sets Docker's own restart policy.
    pub(super) fn set_policy(&mut self, id: &str, policy: &DockerRestart) -> Result<()> {
        self.containers.get_mut(id).ok_or_else(|| gone(id))?.seen.restart_policy = policy.clone();
        self.emit_container(id, "update", &[]);
        Ok(())
    }

    /// Attaches it to a network; one that it is attached to already is no error.
    pub(super) fn attach(&mut self, network: &str, id: &str, attachment: &NetworkAttachment) -> Result<()> {
        let Some(found) = self.find_network(network).cloned() else {
            return Err(failure(FailureKind::NetworkMissing, format!("cannot connect: network {network} not found")));
        };
        let unit = self.containers.get_mut(id).ok_or_else(|| gone(id))?;
        if unit.endpoints.get(&found.name).is_some_and(|(known, _)| *known == found.id) {
            return Ok(());
        }
        unit.endpoints.insert(found.name.clone(), (found.id.clone(), attachment.clone()));
        let up = unit.seen.is_up();
        self.show_networks(id);
        if up {
            self.emit_network(&found, "connect", id);
        }
        Ok(())
    }

    /// Detaches it, by network name or id.
    pub(super) fn detach(&mut self, network: &str, id: &str) {
        let Some(unit) = self.containers.get_mut(id) else { return };
        let Some(name) =
            unit.endpoints.iter().find(|(name, (known, _))| *name == network || known == network).map(|(name, _)| name.clone())
        else {
            return;
        };
        unit.endpoints.remove(&name);
        let up = unit.seen.is_up();
        self.show_networks(id);
        if let Some(found) = self.find_network(network).cloned().filter(|_| up) {
            self.emit_network(&found, "disconnect", id);
        }
    }

    /// Writes into the inspect what is attached. The id of a network shows from the first start on, the address while it runs.
    pub(super) fn show_networks(&mut self, id: &str) {
        let Some(unit) = self.containers.get_mut(id) else { return };
        let (started, up) = (unit.run > 0, unit.seen.is_up());
        let short = id.get(..12).unwrap_or(id).to_owned();
        let show = |(name, (network, attachment)): (&String, &(String, NetworkAttachment))| {
            let mut aliases = attachment.aliases.clone();
            aliases.extend(started.then(|| short.clone()));
            let attachment = Attachment {
                network_id: if started { network.clone() } else { String::new() },
                aliases,
                address: if up { "172.18.0.2".to_owned() } else { String::new() },
            };
            (name.clone(), attachment)
        };
        unit.seen.networks = unit.endpoints.iter().map(show).collect();
    }

    /// An event about a container, with its labels, name and image as a real one has them.
    pub(super) fn emit_container(&mut self, id: &str, action: &str, details: &[(&str, &str)]) {
        let Some(unit) = self.containers.get(id) else { return };
        let mut attributes = unit.seen.labels.clone();
        attributes.insert("name".to_owned(), unit.seen.name.clone());
        attributes.insert("image".to_owned(), unit.seen.image.clone());
        attributes.extend(details.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.emit(EventKind::Container, action, id, attributes);
    }

    /// An event about a network and a container.
    pub(super) fn emit_network(&mut self, network: &Network, action: &str, container: &str) {
        let details = [("name", network.name.as_str()), ("type", network.driver.as_str()), ("container", container)];
        let attributes = details.iter().filter(|(_, value)| !value.is_empty());
        let attributes = attributes.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.emit(EventKind::Network, action, &network.id, attributes);
    }

    fn endpoints(
        &self,
        spec: &ContainerSpec,
        ids: &BTreeMap<String, String>,
    ) -> std::result::Result<BTreeMap<String, (String, NetworkAttachment)>, String> {
        let default_bridge = NetworkAttachment::default();
        let attached: Vec<(&str, &NetworkAttachment)> = match spec.network {
            NetworkMode::Networks => spec
                .networks
                .iter()
                .map(|at| {
                    Ok((ids.get(&at.network).ok_or(format!("its network {:?} does not exist yet", at.network))?.as_str(), at))
                })
                .collect::<std::result::Result<_, String>>()?,
            NetworkMode::Bridge => vec![("bridge", &default_bridge)],
            _ => vec![],
        };
        let named = attached.into_iter().map(|(id, at)| match self.find_network(id) {
            Some(network) => (network.name.clone(), (network.id.clone(), at.clone())),
            None => (id.to_owned(), (id.to_owned(), at.clone())),
        });
        Ok(named.collect())
    }

    /// The mounts of the spec, then the image's anonymous volumes where nothing else is mounted. Volumes are made as needed.
    fn mounts(&mut self, spec: &ContainerSpec, image_volumes: &[String]) -> Vec<Mount> {
        let mut mounts: Vec<Mount> = vec![];
        for MountSpec { source, target, .. } in &spec.mounts {
            let (kind, source) = match source {
                MountSource::Bind { path, .. } => ("bind", path.clone()),
                MountSource::Volume { name, .. } => ("volume", self.volume(Some(name))),
                MountSource::Anonymous { carry_over } => ("volume", self.volume(carry_over.as_deref())),
                MountSource::Tmpfs { .. } => ("tmpfs", String::new()),
            };
            mounts.push(Mount { kind: kind.to_owned(), source, destination: target.clone() });
        }
        for path in image_volumes {
            if !mounts.iter().any(|mount| mount.destination == *path) && !spec.tmpfs.contains_key(path) {
                mounts.push(Mount { kind: "volume".to_owned(), source: self.volume(None), destination: path.clone() });
            }
        }
        mounts
    }

    /// The name of a volume, made without labels if there is none; no name: a new anonymous one.
    fn volume(&mut self, name: Option<&str>) -> String {
        let name = name.map_or_else(|| self.chance.id(), str::to_owned);
        if !self.volumes.contains_key(&name) {
            self.add_volume(Volume { name: name.clone(), labels: BTreeMap::new(), driver: "local".to_owned() });
        }
        name
    }
}

fn network_mode(spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> String {
    match &spec.network {
        NetworkMode::Networks => {
            let first = spec.networks.first().and_then(|first| networks.get(&first.network));
            first.map_or("none", String::as_str).to_owned()
        }
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Service(name) | NetworkMode::Container(name) => format!("container:{name}"),
    }
}

fn parent(mode: &NamespaceMode) -> Option<String> {
    match mode {
        NamespaceMode::Container(id) => Some(id.clone()),
        NamespaceMode::Plain(_) | NamespaceMode::Service(_) => None,
    }
}

/// The failure of a call on a container that is not there.
pub(super) fn gone(id: &str) -> crate::model::EngineFailure {
    failure(FailureKind::NotFound, format!("No such container: {id}"))
}
