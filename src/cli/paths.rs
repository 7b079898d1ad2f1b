//! Where things are when nothing is said: operator and clients must agree.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the defaults depend on.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Whether this process is root's.
    pub root: bool,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            root: std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0),
            home: folder("HOME"),
            state_home: folder("XDG_STATE_HOME"),
            runtime_dir: folder("XDG_RUNTIME_DIR"),
        }
    }

    /// Default of `--data-dir`.
    pub fn data_dir(&self) -> PathBuf {
        if self.root {
            return "/var/lib/evenkeel".into();
        }
        let state = self.state_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/state")));
        state.unwrap_or_else(|| "/tmp".into()).join("evenkeel")
    }

    /// Default of `--socket`.
    pub fn socket(&self) -> PathBuf {
        if self.root {
            return SYSTEM_SOCKET.into();
        }
        self.runtime_dir.clone().unwrap_or_else(|| self.data_dir()).join("evenkeel.sock")
    }

    /// The socket a client tries: that of an own operator if there is one, else that of the host's.
    pub fn socket_to_try(&self) -> PathBuf {
        let own = self.socket();
        if own.exists() || !Path::new(SYSTEM_SOCKET).exists() { own } else { SYSTEM_SOCKET.into() }
    }
}

const SYSTEM_SOCKET: &str = "/run/evenkeel/evenkeel.sock";
