//! Evidence that the daemon lives on (intent contract, 3.1), and which run of it this is.
//!
//! A daemon that is going down closes its listener before it kills the first container. So where dockerd owns its socket, a
//! ping over a connection made now tells. Where systemd owns it a connection would wait in the backlog and be answered by the
//! next daemon, or wake one that was stopped on purpose: there, none is made, and it tells that dockerd still holds the
//! listening socket. Over TCP the ping is all there is; it tells as much, as long as no proxy in between holds connections back.

use std::io;
use std::time::Duration;

use bollard::errors::Error;

use super::daemon::Keeper;
use super::events::Open;
use super::wire::{Endpoint, Wire};
use super::{Alive, proc};
use crate::model::EngineRun;

/// How long the evidence may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Gathers the evidence. `stream` is the event stream opened last: once it has ended, so has its daemon.
pub(super) async fn evidence(wire: &Wire, stream: Option<Open>) -> Alive {
    let evidence = match wire.keeper() {
        Keeper::Remote | Keeper::Daemon(_) => pinged(wire).await,
        Keeper::Activator { inode, daemon } => daemon.map_or(Alive::Unknown, |daemon| match daemon.holds(inode) {
            Some(true) => Alive::Yes,
            Some(false) => Alive::No,
            None => Alive::Unknown,
        }),
        Keeper::Unknown => Alive::Unknown,
    };
    // Looked at last: an answer counts only if the stream outlived it.
    if stream.is_some_and(|stream| !stream.is_open()) { Alive::No } else { evidence }
}

async fn pinged(wire: &Wire) -> Alive {
    match tokio::time::timeout(LIMIT, wire.ping()).await {
        Ok(Ok(()) | Err(Error::DockerResponseServerError { .. })) => Alive::Yes,
        // A full backlog is no sign of a daemon that has closed its listener.
        Ok(Err(Error::IOError { err })) if err.kind() == io::ErrorKind::WouldBlock => Alive::Unknown,
        Ok(Err(_)) => Alive::No,
        Err(_) => Alive::Unknown,
    }
}

/// Which run of host and daemon this is, by what the last connection found.
pub(super) fn run(wire: &Wire, engine_id: String) -> EngineRun {
    let local = matches!(wire.endpoint(), Endpoint::Unix(_));
    let boot_id = local.then(|| std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()).flatten();
    EngineRun {
        engine_id,
        boot_id: boot_id.map(|id| id.trim_end().to_owned()),
        daemon: wire.keeper().daemon().map(|process| (process.pid, process.started)),
    }
}

/// Who listens on a port of the engine's machine; looked for where the daemon sees ports, which may be a network of its own.
pub(super) fn port_holder(wire: &Wire, port: u16, protocol: &str) -> Option<String> {
    if matches!(wire.endpoint(), Endpoint::Tcp { .. }) {
        return None;
    }
    let observer = wire.keeper().daemon().map_or_else(|| std::process::id().cast_signed(), |daemon| daemon.pid);
    let holder = proc::holder(proc::port_listener(observer, port, protocol)?)?;
    Some(format!("{} (pid {})", proc::name(holder.pid)?, holder.pid))
}
