//! Which process is behind the engine's address, and whether it is there to stay.

use std::io;
use std::path::Path;

use super::proc::{self, Process};

/// Name of the daemon's process.
const DAEMON: &str = "dockerd";

/// Who holds the engine's listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    /// Not a socket of this machine.
    Remote,
    /// Somebody who cannot be seen from here (another pid namespace), or whom we do not know (a proxy).
    Unknown,
    /// dockerd itself.
    Daemon(Process),
    /// systemd, which starts dockerd when somebody connects (Debian's `docker.socket`).
    Activator {
        /// The listening socket, which dockerd holds too while it serves it.
        inode: u64,
        /// dockerd, where it was seen to hold it.
        daemon: Option<Process>,
    },
}

impl Keeper {
    /// What a connection just made tells: `peer` is the process that made the listening socket.
    pub(super) fn meet(self, peer: Option<i32>, path: &Path) -> Self {
        let Some(peer) = peer.filter(|pid| *pid > 0) else { return Self::Unknown };
        match self {
            Self::Daemon(process) if process.pid == peer && process.lives() => return self,
            Self::Activator { inode, daemon: Some(daemon) } if daemon.holds(inode) == Some(true) => return self,
            _ => {}
        }
        match proc::name(peer).as_deref() {
            Some(DAEMON) => Process::of(peer).map_or(Self::Unknown, Self::Daemon),
            Some("systemd") => proc::unix_listener(peer, path).map_or(Self::Unknown, |inode| Self::Activator {
                inode,
                daemon: daemons().find(|process| process.holds(inode) == Some(true)),
            }),
            _ => Self::Unknown,
        }
    }

    /// The daemon's process, where it is known.
    pub(super) fn daemon(self) -> Option<Process> {
        match self {
            Self::Daemon(process) => Some(process),
            Self::Activator { daemon, .. } => daemon,
            Self::Remote | Self::Unknown => None,
        }
    }

    /// Refuses to connect where that would wake a daemon that has stopped: whoever stopped it meant it.
    pub(super) fn let_sleep(self) -> io::Result<()> {
        // One that may not be looked into is given the benefit of the doubt.
        if self.is_asleep(|inode| daemons().any(|process| process.holds(inode) != Some(false))) {
            let says = "the daemon has stopped; systemd holds its socket, and evenkeel does not wake it (systemctl start docker)";
            return Err(io::Error::new(io::ErrorKind::NotConnected, says));
        }
        Ok(())
    }

    /// The daemon that was seen has ended, and none serves the socket in its place. One that was never seen may be woken: at
    /// boot nobody else may do it.
    pub(super) fn is_asleep(self, is_served: impl FnOnce(u64) -> bool) -> bool {
        matches!(self, Self::Activator { inode, daemon: Some(daemon) } if !daemon.lives() && !is_served(inode))
    }
}

fn daemons() -> impl Iterator<Item = Process> {
    proc::pids().filter(|pid| proc::name(*pid).as_deref() == Some(DAEMON)).filter_map(Process::of)
}
