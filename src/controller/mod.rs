//! The controller: looks, decides, acts, records.
//!
//! | file | what | touches the world |
//! |---|---|---|
//! | `reconcile` | the table of contents: one turn of one Deployment | |
//! | `triggers` | what makes a Deployment's turn come: its own changes, Docker's, jobs, timers | reads |
//! | `world` | the cached picture of Docker, kept true by events | reads |
//! | `intent` | who stopped what: the decision table | pure |
//! | `plan` | what to do: the only place that decides | pure |
//! | `act` | does it: the only place that acts | writes |
//! | `jobs` | what takes long goes on beside the turn | writes |
//! | `status` | what to tell people | pure |
//! | `probes` | what is known from probes of our own | |
//! | `evidence` | the last lines of runs that failed | |
//! | `likeness` | how containers that Compose made compare with what is declared | reads |
//! | `follow` | which mounted files count | pure |
//! | `inputs` | what is known of them, and of what images are built from | |
//! | `record` | history, memory, Events | store |
//! | `projects` | the Compose projects on the engine, and whose they are | |
//! | `registries` | pulls under way and refusals, over all Deployments | store |
//! | `boot` | one summary after a restart of daemon or host | store |

mod act;
mod boot;
mod evidence;
mod follow;
mod inputs;
mod jobs;
mod likeness;
mod probes;
mod reconcile;
mod record;
mod registries;
mod triggers;

pub mod intent;
pub mod plan;
pub mod preview;
pub mod projects;
pub mod status;
pub mod world;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::docker::Engine;
use crate::model::{Key, Memory, RecoveryMode};
use crate::registry::Registry;
use crate::store::Store;

use boot::Boot;
use evidence::Evidence;
use inputs::Inputs;
use jobs::Jobs;
use likeness::Likenesses;
use probes::Probes;
use registries::Registries;
use world::World;

pub use evidence::LogChannels;
pub use inputs::InputChannels;
pub use probes::ProbeChannels;

/// Engine calls under way at once for all Deployments. Measured: from four on both of two cores are busy, sixteen stretch each start.
const CALLS_AT_ONCE: usize = 8;

/// The same of those that bring back what broke, beside the others: a crashed container does not wait behind a bring-up.
const URGENT_CALLS_AT_ONCE: usize = 4;

/// What the controller is set up with.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--instance`.
    pub instance: String,
    /// `--mode`: the upper bound of every Deployment's recovery mode.
    pub bound: RecoveryMode,
    /// Between two turns of a Deployment when nothing happens.
    pub resync: Duration,
    /// The watched folder, for the label that tells Compose where a project's file is.
    pub manifests: Option<std::path::PathBuf>,
    /// Where Sources keep the files of repositories, in a folder for each.
    pub sources: std::path::PathBuf,
    /// Where the API is, `https://host:port`, for what people are asked.
    pub api: Option<String>,
}

/// What every turn needs. One per operator.
pub struct Controller {
    engine: Arc<dyn Engine>,
    world: Arc<World>,
    registry: Registry,
    store: Store,
    clock: SharedClock,
    options: Options,
    jobs: Jobs,
    inputs: Inputs,
    probes: Probes,
    evidence: Evidence,
    likenesses: Likenesses,
    registries: Registries,
    boot: Boot,
    /// What must not be lost of Deployments and is not on disk yet, since that is full.
    owed: Mutex<HashMap<Key, Memory>>,
    calls: Semaphore,
    urgent_calls: Semaphore,
    /// Turns that act right now.
    acting: AtomicUsize,
    /// The last plan of each Deployment that acted, and how often in a row it was the same: the brake on going in circles.
    repeats: Mutex<HashMap<Key, (String, u32)>>,
}

impl Controller {
    /// A controller that does nothing until [`Controller::run`] runs.
    #[expect(clippy::too_many_arguments, reason = "each is one neighbour that it works with")]
    pub fn new(
        engine: Arc<dyn Engine>,
        world: Arc<World>,
        registry: Registry,
        clock: SharedClock,
        options: Options,
        inputs: InputChannels,
        probes: ProbeChannels,
        logs: LogChannels,
    ) -> Arc<Self> {
        let store = registry.store().clone();
        let jobs = Jobs::new(clock.clone());
        let probes = Probes::new(probes, Arc::clone(&engine));
        Arc::new(Self {
            engine,
            world,
            boot: Boot::new(store.clone(), clock.clone()),
            registries: Registries::new(store.clone(), clock.clone(), jobs.waker()),
            store,
            registry,
            jobs,
            inputs: Inputs::new(inputs),
            probes,
            evidence: Evidence::new(logs),
            likenesses: Likenesses::default(),
            clock,
            options,
            owed: Mutex::default(),
            calls: Semaphore::new(CALLS_AT_ONCE),
            urgent_calls: Semaphore::new(URGENT_CALLS_AT_ONCE),
            acting: AtomicUsize::new(0),
            repeats: Mutex::default(),
        })
    }

    /// Keeps what could not be written (`Some`), or knows that it has been.
    fn owe(&self, key: &Key, memory: Option<Memory>) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        match memory {
            Some(memory) => owed.insert(key.clone(), memory),
            None => owed.remove(key),
        };
    }

    /// What could not be written yet of a Deployment.
    fn owed(&self, key: &Key) -> Option<Memory> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn owes(&self, key: &Key) -> bool {
        self.owed(key).is_some()
    }

    /// Forgets what is kept in memory of a Deployment that is gone.
    fn forget(&self, key: &Key) {
        self.owe(key, None);
        self.boot.forget(key);
        self.inputs.forget(key);
        self.probes.forget(key);
        drop(self.evidence.take(key));
        self.jobs.forget(key);
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Reconciles until `shutdown`; turns under way are finished, containers are left running.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) -> crate::store::Result<()> {
        let summary = tokio::spawn(Arc::clone(&self).summarise_restarts(shutdown.clone()));
        let result = triggers::run(Arc::clone(&self), shutdown).await;
        self.jobs.abort_all();
        summary.abort();
        result
    }
}
