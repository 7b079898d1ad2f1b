//! An engine of numbers and names, without time of its own: for what must hold of plans alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::controller::plan::plan;
use crate::controller::record;
use crate::crd::Deployment;
use crate::model::{
    Action, Attachment, Container, ContainerSpec, ContainerState, Desired, Diagnosis, DockerRestart, End, FailureCause, History,
    HoldView, Image, Memory, Mount, MountSource, Network, NetworkAttachment, NetworkMode, NetworkRef, Observed, Op, Plan,
    RecoveryMode, Snapshot, Target, Verdict, Volume, familiar_reference,
};
use crate::resolve::resolve;

use super::story::{App, Strangers, Work};
use super::wire::{of_another_operator, owner};

/// One Deployment and the engine it is on.
pub struct Model {
    pub app: App,
    pub holds: Vec<HoldView>,
    pub deletion: Option<bool>,
    pub snapshot: Snapshot,
    pub history: History,
    pub memory: Memory,
    pub now: Timestamp,
    pub desired: Desired,
    made: u64,
}

impl Model {
    pub fn new(app: App, strangers: Strangers) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let (history, memory) = (History::default(), Memory::default());
        let snapshot = Snapshot::default();
        let desired = desired(&app, &[], None);
        let mut model = Self { app, holds: vec![], deletion: None, snapshot, history, memory, now, desired, made: 0 };
        for work in Work::ALL.into_iter().filter(|work| *work != Work::Remote) {
            model.pull(&work.image());
        }
        model.network("strangers", BTreeMap::new());
        if strangers.network_has_a_name_of_ours {
            model.network("a0_default", BTreeMap::new());
        }
        if strangers.volume_has_a_name_of_ours {
            model.volume("a0_data", BTreeMap::new());
        }
        let name = if strangers.container_has_a_name_of_ours { "a0-s0-1" } else { "stranger" };
        for (name, labels) in [(name, BTreeMap::new()), ("of-another-operator", of_another_operator())] {
            let spec = ContainerSpec { name: name.into(), image: Work::Plain.image(), labels, ..ContainerSpec::default() };
            let id = model.create(&spec, &BTreeMap::new());
            model.start(&id);
        }
        model
    }

    /// Something that is declared has changed.
    pub fn declare(&mut self) {
        self.desired = desired(&self.app, &self.holds, self.deletion);
    }

    pub fn plan(&self) -> Plan {
        let observed = Observed { snapshot: Arc::new(self.snapshot.clone()), ..Observed::default() };
        plan(&self.desired, &observed, &self.history, &self.memory, self.now)
    }

    /// One turn, of which only the first `upto` actions are carried out. Returns its plan.
    pub fn turn(&mut self, upto: usize) -> Plan {
        let (desired, plan) = (self.desired.clone(), self.plan());
        let observed = Observed { snapshot: Arc::new(self.snapshot.clone()), ..Observed::default() };
        record::see_running(&desired, &observed, &mut self.history, &self.memory);
        for note in &plan.notes {
            record::notes::keep(note, &mut self.history, &mut self.memory);
        }
        // What it comes from is known by the next turn.
        let failures = self.history.replicas.values_mut().filter_map(|record| record.failure.as_mut());
        failures.filter(|failure| failure.diagnosis.is_none()).for_each(|failure| failure.diagnosis = Some(own_error()));
        record::count_attempts(&desired, &plan, &mut self.history, self.now);
        let mut made = BTreeMap::new();
        for (index, action) in plan.actions.iter().enumerate().take(upto) {
            self.now += SignedDuration::from_millis(10);
            if let Some(id) = self.carry_out(action, &made) {
                made.insert(index, id);
            }
        }
        self.now += SignedDuration::from_secs(1);
        plan
    }

    fn carry_out(&mut self, action: &Action, made: &BTreeMap<usize, String>) -> Option<String> {
        let id = |target: &Target| match target {
            Target::Existing { id, .. } => id.clone(),
            Target::Made { action, .. } => made[action].clone(),
        };
        let network_id = |network: &NetworkRef| match network {
            NetworkRef::Id(id) => id.clone(),
            NetworkRef::Made(action) => made[action].clone(),
        };
        match &action.op {
            Op::CreateNetwork(spec) => return Some(self.network(&spec.name, spec.labels.clone())),
            Op::RemoveNetwork { id } => drop(self.snapshot.networks.remove(id)),
            Op::CreateVolume(spec) => self.volume(&spec.name, spec.labels.clone()),
            Op::RemoveVolume { name } => drop(self.snapshot.volumes.remove(name)),
            Op::Pull { image, .. } => self.pull(image),
            Op::Build { .. } => unreachable!("nothing is built in these worlds"),
            Op::CreateContainer { spec, networks } => {
                let networks = networks.iter().map(|(key, network)| (key.clone(), network_id(network))).collect();
                return Some(self.create(spec, &networks));
            }
            Op::Start(target) => self.start(&id(target)),
            Op::Stop { target, reason, .. } => self.ends(&id(target), 143, Verdict::Ours(*reason)),
            Op::Signal { .. } => {}
            Op::RemoveContainer(target) => self.remove(&id(target)),
            Op::Rename { target, to } => self.change(&id(target), |container| container.name.clone_from(to)),
            Op::Connect { target, network, name, attachment } => {
                let attached = Self::attached(&network_id(network), attachment);
                self.change(&id(target), |container| drop(container.networks.insert(name.clone(), attached)));
            }
            Op::Disconnect { target, network } => self.change(&id(target), |container| drop(container.networks.remove(network))),
            Op::SetRestartPolicy { target, policy } => {
                self.change(&id(target), |container| container.restart_policy.clone_from(policy));
            }
            Op::Tag { image_id, reference } => {
                let image = self.snapshot.images.get_mut(image_id);
                image.unwrap().tags.push(familiar_reference(reference));
            }
        }
        None
    }

    pub fn start(&mut self, id: &str) {
        let now = self.now;
        self.snapshot.ends.remove(id);
        self.change(id, |container| {
            container.state = ContainerState::Running;
            container.started_at = Some(now);
        });
    }

    /// A container's run ends, and this is said of it.
    pub fn ends(&mut self, id: &str, exit_code: i64, verdict: Verdict) {
        let now = self.now;
        self.change(id, |container| {
            container.state = ContainerState::Exited;
            container.exit_code = exit_code;
            container.finished_at = Some(now);
        });
        let started_at = self.snapshot.containers[id].started_at;
        self.snapshot.ends.insert(id.to_owned(), End { started_at, verdict, at: now, exit_code: Some(exit_code) });
    }

    pub fn remove(&mut self, id: &str) {
        self.snapshot.containers.remove(id);
        self.snapshot.ends.remove(id);
    }

    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        change(Arc::make_mut(self.snapshot.containers.get_mut(id).unwrap()));
    }

    /// Ids of containers of ours that are so.
    pub fn ours(&self, so: impl Fn(&Container) -> bool) -> Vec<String> {
        let found = self.snapshot.containers.values().filter(|found| owner(&found.labels).is_some() && so(found));
        found.map(|found| found.id.clone()).collect()
    }

    fn create(&mut self, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> String {
        let id = self.id();
        assert!(!self.snapshot.containers.values().any(|found| found.name == spec.name), "the name {} is taken", spec.name);
        let image_id = self.snapshot.image(&spec.image).unwrap().id.clone();
        let attach = |at: &NetworkAttachment| {
            let network = &self.snapshot.networks[&networks[&at.network]];
            (network.name.clone(), Self::attached(&network.id, at))
        };
        let mut mounts: Vec<Mount> = vec![];
        let mut volumes = vec![];
        for mount in &spec.mounts {
            let source = match &mount.source {
                MountSource::Volume { name, .. } => name.clone(),
                MountSource::Anonymous { carry_over } => carry_over.clone().unwrap_or_else(|| format!("{id:f<64}")),
                _ => continue,
            };
            volumes.push(source.clone());
            mounts.push(Mount { kind: "volume".into(), source, destination: mount.target.clone() });
        }
        if spec.image == Work::Data.image() && !mounts.iter().any(|mount| mount.destination == "/data") {
            volumes.push(format!("{id:e<64}"));
            mounts.push(Mount { kind: "volume".into(), source: format!("{id:e<64}"), destination: "/data".into() });
        }
        let container = Container {
            id: id.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            image_id,
            image: spec.image.clone(),
            state: ContainerState::Created,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            stop_signal: None,
            created_at: Some(self.now),
            started_at: None,
            finished_at: None,
            health: None,
            restart_policy: DockerRestart::No,
            restart_count: 0,
            networks: if spec.network == NetworkMode::Networks {
                spec.networks.iter().map(attach).collect()
            } else {
                BTreeMap::new()
            },
            network_mode: String::new(),
            namespace_parents: vec![],
            mounts,
            ports: vec![],
        };
        volumes.iter().for_each(|name| self.volume(name, BTreeMap::new()));
        self.snapshot.containers.insert(id.clone(), Arc::new(container));
        id
    }

    fn attached(network_id: &str, attachment: &NetworkAttachment) -> Attachment {
        Attachment { network_id: network_id.to_owned(), aliases: attachment.aliases.clone(), address: String::new() }
    }

    fn network(&mut self, name: &str, labels: BTreeMap<String, String>) -> String {
        let id = self.id();
        let network = Network { id: id.clone(), name: name.to_owned(), labels, driver: "bridge".into() };
        self.snapshot.networks.insert(id.clone(), network);
        id
    }

    fn volume(&mut self, name: &str, labels: BTreeMap<String, String>) {
        let volume = Volume { name: name.to_owned(), labels, driver: "local".into() };
        self.snapshot.volumes.entry(name.to_owned()).or_insert(volume);
    }

    fn pull(&mut self, reference: &str) {
        let id = format!("sha256:{}", self.id());
        self.snapshot.images.insert(id.clone(), Image { id, tags: vec![familiar_reference(reference)], digests: vec![] });
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("{:064x}", self.made)
    }
}

/// A failure that any rung may help against.
fn own_error() -> Diagnosis {
    let cause = FailureCause::ApplicationError;
    Diagnosis { cause, signature: format!("{cause}: exit code"), ..Diagnosis::default() }
}

fn desired(app: &App, holds: &[HoldView], deletion: Option<bool>) -> Desired {
    let mut manifest = app.manifest("a0");
    if let Some(volumes) = deletion {
        manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        manifest["metadata"]["annotations"]["evenkeel.dev/delete-volumes"] = volumes.to_string().into();
    }
    let object: Deployment = serde_json::from_value(manifest).unwrap();
    resolve(&object, holds.to_vec(), "default", RecoveryMode::Auto, None, None).unwrap()
}
