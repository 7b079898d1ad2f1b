//! The fake engine's state. It changes in single steps, each of which may ask for timers; waiting is done outside.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::behaviour::{Behaviour, Chance, Pace};
use super::buffer::Buffer;
use super::containers::Unit;
use super::faults::{CallRecord, Fault, failure};
use super::inside::Inner;
use crate::clock::SharedClock;
use crate::docker::{Alive, Result};
use crate::model::{EngineEvent, EngineRun, EventKind, FailureKind, HealthStatus, Network, Volume};

/// Everything on the fake host.
pub(super) struct Machine {
    pub(super) clock: SharedClock,
    pub(super) chance: Chance,
    pub(super) pace: Pace,
    pub(super) power: Power,
    pub(super) run: EngineRun,
    pub(super) live_restore: bool,
    pub(super) containers: BTreeMap<String, Unit>,
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) volumes: BTreeMap<String, Volume>,
    pub(super) images: BTreeMap<String, FakeImage>,
    /// What a pull finds, by reference.
    pub(super) registry: BTreeMap<String, FakeImage>,
    /// What a build of a reference makes.
    pub(super) builds: BTreeMap<String, FakeImage>,
    /// By container name or image reference.
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    /// Host ports held by processes that are no containers, and by whom.
    pub(super) foreign_ports: BTreeMap<(u16, String), String>,
    pub(super) buffer: Buffer,
    /// Logs, commands and figures.
    pub(super) inner: Inner,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: Vec<CallRecord>,
    /// What [`Engine::alive`](crate::docker::Engine::alive) answers instead of the truth.
    pub(super) evidence: Option<Alive>,
    /// Cancelled when this run of the daemon ends, and every call to it.
    pub(super) ended: CancellationToken,
    /// Asked for by the step under way.
    pub(super) timers: Vec<(Duration, Appointment)>,
}

/// Whether the daemon can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// It serves.
    Up,
    /// Its listener is closed; it stops the containers.
    Stopping,
    /// There is none.
    Down,
}

/// Something that happens later, unless the container's run is another one by then.
#[derive(Debug, Clone, Copy)]
pub(super) enum Timer {
    /// The main process ends with this code.
    Exit(i64),
    /// The probe gives this verdict.
    Probe(HealthStatus),
    /// Docker's own restart policy starts it.
    Revive,
}

/// Which run of which container a timer is about.
#[derive(Debug, Clone)]
pub(super) struct Appointment {
    pub(super) container: String,
    pub(super) run: u32,
    pub(super) timer: Timer,
}

/// An image of the fake engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeImage {
    /// `sha256:..`; two images of one id are one.
    pub id: String,
    /// References, tags included.
    pub tags: Vec<String>,
    /// `name@sha256:..` references.
    pub digests: Vec<String>,
    /// Mount paths of anonymous volumes its containers get.
    pub volumes: Vec<String>,
    /// Labels its containers inherit.
    pub labels: BTreeMap<String, String>,
}

impl FakeImage {
    /// An image with one tag. `version` tells images of one tag apart.
    pub fn new(tag: &str, version: u32) -> Self {
        let digest = |salt: u64| {
            let seed = tag.bytes().fold(salt + u64::from(version), |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
            format!("sha256:{}", Chance::new(seed).id())
        };
        let name = tag.rsplit_once(':').map_or(tag, |(name, _)| name);
        Self {
            id: digest(1 << 32),
            tags: vec![tag.to_owned()],
            digests: vec![format!("{name}@{}", digest(2 << 32))],
            volumes: vec![],
            labels: BTreeMap::new(),
        }
    }

    /// The same with an anonymous volume at `path`.
    #[must_use]
    pub fn with_volume(mut self, path: &str) -> Self {
        self.volumes.push(path.to_owned());
        self
    }
}

impl Machine {
    pub(super) fn new(clock: SharedClock, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let run = EngineRun { engine_id: chance.id(), boot_id: Some(chance.id()), daemon: Some((1000, 1)) };
        let mut machine = Self {
            clock,
            chance,
            pace: Pace::measured(),
            power: Power::Up,
            run,
            live_restore: false,
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            builds: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            foreign_ports: BTreeMap::new(),
            buffer: Buffer::default(),
            inner: Inner::default(),
            faults: vec![],
            calls: vec![],
            evidence: None,
            ended: CancellationToken::new(),
            timers: vec![],
        };
        for (name, driver) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            machine.add_network(name, driver, BTreeMap::new());
        }
        machine.buffer.forget();
        machine
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says that something happened, if there is a daemon to say it.
    pub(super) fn emit(&mut self, kind: EventKind, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        if self.power == Power::Down {
            return;
        }
        let nanos = i64::try_from(self.now().as_nanosecond()).unwrap_or(i64::MAX);
        let event = EngineEvent { time_nanos: nanos, kind, action: action.to_owned(), id: id.to_owned(), attributes };
        self.buffer.push(nanos, event);
    }

    /// Asks for a timer on a container's present run.
    pub(super) fn later(&mut self, container: &str, after: Duration, timer: Timer) {
        let run = self.containers.get(container).map_or(0, |unit| unit.run);
        self.timers.push((after, Appointment { container: container.to_owned(), run, timer }));
    }

    /// The full id of a container given by id or name.
    pub(super) fn find(&self, container: &str) -> Result<String> {
        let bare = container.trim_start_matches('/');
        let by_name = || self.containers.values().find(|unit| unit.seen.name == bare).map(|unit| unit.seen.id.clone());
        let found = self.containers.contains_key(bare).then(|| bare.to_owned()).or_else(by_name);
        found.ok_or_else(|| failure(FailureKind::NotFound, format!("No such container: {bare}")))
    }

    /// A container's name where there is one of that id, else what was given.
    pub(super) fn name_of(&self, container: &str) -> String {
        self.containers.get(container).map_or_else(|| container.to_owned(), |unit| unit.seen.name.clone())
    }

    /// A network given by id or name; of several with one name, any.
    pub(super) fn find_network(&self, network: &str) -> Option<&Network> {
        self.networks.get(network).or_else(|| self.networks.values().find(|found| found.name == network))
    }
}
