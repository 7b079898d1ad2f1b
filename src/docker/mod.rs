//! The engine: the trait that everything above talks to, the real client behind it, and a fake one.
//!
//! bollard is named in this folder only. Every call has a deadline; a call that outlives it fails with
//! [`FailureKind::Timeout`](crate::model::FailureKind::Timeout) and stalls nobody else.

mod alive;
mod build;
mod client;
mod compare;
mod connect;
mod convert;
mod credentials;
mod daemon;
mod error;
mod events;
pub mod fake;
mod files;
mod hooks;
mod inside;
mod limits;
mod mounts;
mod proc;
mod pull;
mod read;
mod security;
mod tls;
mod version;
mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::model::{
    BuildSpec, Container, ContainerSpec, ContainerState, DockerRestart, EngineEvent, EngineFailure, EngineRun, EventCursor,
    FileSpec, HookSpec, Image, Network, NetworkAttachment, NetworkSpec, Progress, ReloadSignal, Volume, VolumeSpec,
};

pub use build::{DigestCache, InputError};
pub use client::Client;
pub use connect::{ConnectError, connect};
pub use inside::{AddressPool, Channel, Exec, ExecSpec, Facts, Inside, LONGEST_LINE, Listener, LogQuery, Logs, Usage};
pub use tls::TlsError;

/// Results of engine calls.
pub type Result<T> = std::result::Result<T, EngineFailure>;

/// The stream of engine events. It ends with one error, or silently; either way connect anew and list.
pub type Events = BoxStream<'static, Result<EngineEvent>>;

/// What the engine says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its id (`docker info`).
    pub id: String,
    /// Its version, e.g. `20.10.24`.
    pub version: String,
    /// API version in use, e.g. `1.41`.
    pub api_version: String,
    /// Host name of its machine.
    pub host: String,
}

/// One line of the container list: enough to see whether an inspect is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLine {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Docker's state.
    pub state: ContainerState,
    /// Docker's status text, up to what changes by itself: `Up (healthy)`, `Exited (0)`.
    pub status: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether the daemon that sent an event goes on living (intent contract, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// It answers, or still holds its listening socket.
    Yes,
    /// It is going down.
    No,
    /// Cannot be told from here.
    Unknown,
}

/// A Docker Engine.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What it says about itself.
    async fn info(&self) -> Result<EngineInfo>;
    /// Which run of host and daemon this is.
    async fn run(&self) -> Result<EngineRun>;
    /// Whether it answers at all.
    async fn ping(&self) -> Result<()>;
    /// Evidence that the daemon lives on, gathered as section 3.1 of the intent contract says; at most 1 s.
    async fn alive(&self) -> Alive;

    /// Events from now on, or from `since` on, that one included, as far back as the daemon's buffer goes.
    /// When this returns the daemon has subscribed us.
    async fn events(&self, since: Option<EventCursor>) -> Result<Events>;

    /// All containers, ours or not.
    async fn list_containers(&self) -> Result<Vec<ContainerLine>>;
    /// One container; `None` if it is gone.
    async fn inspect_container(&self, id: &str) -> Result<Option<Container>>;
    /// In what a container differs from what it would be made from, a line each, without values that may be secrets; `None` if it is gone.
    /// `networks` gives the real name of each network key of the spec.
    async fn compare_container(
        &self,
        id: &str,
        spec: &ContainerSpec,
        networks: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<String>>>;
    /// All networks.
    async fn list_networks(&self) -> Result<Vec<Network>>;
    /// All volumes.
    async fn list_volumes(&self) -> Result<Vec<Volume>>;
    /// All images.
    async fn list_images(&self) -> Result<Vec<Image>>;

    /// Makes a container. `networks` gives the engine's id for each network key of the spec. Returns its id.
    async fn create_container(&self, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> Result<String>;
    /// Writes configs and secrets into one that has not been started yet.
    async fn write_files(&self, id: &str, files: &[FileSpec]) -> Result<()>;
    /// Starts it. One that runs already is no error.
    async fn start_container(&self, id: &str) -> Result<()>;
    /// Stops it gracefully and returns when it has stopped. One that is stopped or gone is no error.
    async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<()>;
    /// Ends it by signal 9 and returns when it has ended: seen from outside a crash, where a stop looks like a person's. One that has
    /// ended or is gone is no error.
    async fn kill_container(&self, id: &str) -> Result<()>;
    /// Runs a command in it to its end, which must be a good one: exit code 0 within `limit`.
    async fn run_hook(&self, id: &str, hook: &HookSpec, limit: Duration) -> Result<()>;
    /// Sends its main process a signal.
    async fn signal_container(&self, id: &str, signal: ReloadSignal) -> Result<()>;
    /// Removes it (`force`: also when running), without its anonymous volumes. One that is gone is no error.
    async fn remove_container(&self, id: &str, force: bool) -> Result<()>;
    /// Gives it another name.
    async fn rename_container(&self, id: &str, name: &str) -> Result<()>;
    /// Sets Docker's own restart policy; its processes are not touched.
    async fn set_restart_policy(&self, id: &str, policy: &DockerRestart) -> Result<()>;

    /// Makes a network, returns its id. The caller has looked whether one of that name exists.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<String>;
    /// Removes it. One that is gone is no error.
    async fn remove_network(&self, id: &str) -> Result<()>;
    /// Attaches a container, by network id, under the given names. One that is attached already is no error.
    async fn connect_network(&self, network_id: &str, container_id: &str, attachment: &NetworkAttachment) -> Result<()>;
    /// Detaches a container by force, by network name or id. One that is not attached is no error.
    async fn disconnect_network(&self, network: &str, container_id: &str) -> Result<()>;

    /// Makes a volume.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()>;
    /// Removes it. One that is gone is no error.
    async fn remove_volume(&self, name: &str) -> Result<()>;

    /// Pulls an image, saying how far it is, and returns when it is there: its digest (`sha256:..`), where the registry said one.
    /// Dropping the future cancels the pull.
    async fn pull(&self, image: &str, platform: Option<&str>, progress: &watch::Sender<Progress>) -> Result<Option<String>>;
    /// Builds an image, saying how far it is, and returns its id when it is there. Dropping the future ends the build.
    async fn build(&self, spec: &BuildSpec, progress: &watch::Sender<Progress>) -> Result<String>;
    /// Gives an image a reference.
    async fn tag(&self, image_id: &str, reference: &str) -> Result<()>;
    /// Who listens on a port of this host, where that can be read: a process name with its pid.
    fn port_holder(&self, port: u16, protocol: &str) -> Option<String>;
    /// Whether its containers run on this machine, so that their addresses are reached from here.
    fn is_local(&self) -> bool {
        true
    }
    /// The address at which it was reached last, where that is over TCP. One of its own containers has it: a proxy before its socket.
    fn peer(&self) -> Option<IpAddr> {
        None
    }
}
