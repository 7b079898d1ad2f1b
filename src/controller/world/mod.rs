//! The cached picture of Docker, kept true by events, and the reading of intent out of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::clock::{SharedClock, Timestamp};
use crate::docker::{self, Engine};
use crate::model::{Key, Snapshot, StopReason};
use crate::registry::Registry;
use crate::store;

/// What a [`World`] is set up with.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// `--instance` of this operator: whose labels are ours.
    pub instance: String,
    /// Between two full looks when no event asks for one.
    pub resync: Duration,
    /// How long the last picture is still shown when the engine is out of reach.
    pub blind_after: Duration,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self { instance: "default".to_owned(), resync: Duration::from_secs(30), blind_after: Duration::from_secs(10) }
    }
}

/// What can be seen of the engine.
#[derive(Debug, Clone)]
pub enum View {
    /// The picture, true as far as events tell.
    Seen(Arc<Snapshot>),
    /// Nothing that can be relied on: no plan is made.
    Blind {
        /// Since when.
        since: Timestamp,
        /// What was attempted and why it fails.
        why: String,
    },
}

/// What somebody who plans wants to hear. A reader that lags behind takes it as [`WorldChange::Everything`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldChange {
    /// Something of one Deployment, or of one Compose project, changed.
    Touched {
        /// The Deployment, where evenkeel's labels name it.
        key: Option<Key>,
        /// The Compose project, where that is all that is known.
        project: Option<String>,
    },
    /// Anything may have changed.
    Everything,
    /// The engine is out of reach, or going down.
    Lost {
        /// What was attempted and why it fails.
        why: String,
    },
    /// The engine is back, and it is another run of it: all that should run is to be run again.
    EngineRestarted {
        /// The host was booted, too.
        host: bool,
    },
}

/// The cached picture of the engine. One per operator.
pub struct World {}

#[allow(unused_variables, clippy::unimplemented)]
impl World {
    /// A world that sees nothing until [`World::run`] runs.
    pub fn new(engine: Arc<dyn Engine>, registry: Registry, clock: SharedClock, options: WorldOptions) -> Arc<Self> {
        unimplemented!()
    }

    /// Follows the engine until `shutdown`, then writes down how far it got.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        unimplemented!()
    }

    /// What can be seen now.
    pub fn view(&self) -> View {
        unimplemented!()
    }

    /// What changes, from now on.
    pub fn changes(&self) -> broadcast::Receiver<WorldChange> {
        unimplemented!()
    }

    /// Looks at one container again; the picture shows it when this returns.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_container(&self, id: &str) -> docker::Result<()> {
        unimplemented!()
    }

    /// Lists the networks again.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_networks(&self) -> docker::Result<()> {
        unimplemented!()
    }

    /// Lists the volumes again.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_volumes(&self) -> docker::Result<()> {
        unimplemented!()
    }

    /// Lists the images again.
    ///
    /// # Errors
    /// When the engine did not answer; the picture is as before.
    pub async fn refresh_images(&self) -> docker::Result<()> {
        unimplemented!()
    }

    /// Writes down that the stop (or removal by force) of a container that is about to be made is ours, so that it is never
    /// read as somebody else's. On disk when this returns. It holds until the container is started again.
    ///
    /// # Errors
    /// When it could not be written: the stop must not be made then.
    pub async fn mark_stop(&self, container_id: &str, reason: StopReason) -> store::Result<()> {
        unimplemented!()
    }

    /// Takes the mark back: the stop was refused, or is not wanted any more, and the container runs on.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn unmark_stop(&self, container_id: &str) -> store::Result<()> {
        unimplemented!()
    }
}
