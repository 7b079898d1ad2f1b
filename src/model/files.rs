//! Files of the host that containers have mounted, and what follows when one changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{InputNews, InputWish, Key};

/// What a service wants when a file that its containers have mounted changes: `x-evenkeel.onChange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnChange {
    /// Its containers are made anew, one replica at a time.
    #[default]
    Recreate,
    /// They are stopped and started again.
    Restart,
    /// Their main process gets a signal.
    Signal(ReloadSignal),
    /// Nothing.
    Ignore,
}

/// Signals that programs take for "read your files again".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReloadSignal {
    /// `SIGHUP`.
    #[default]
    Hup,
    /// `SIGUSR1`.
    Usr1,
    /// `SIGUSR2`.
    Usr2,
    /// `SIGWINCH`.
    Winch,
}

impl ReloadSignal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hup, Self::Usr1, Self::Usr2, Self::Winch];

    /// Its name: `SIGHUP`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Winch => "SIGWINCH",
        }
    }

    /// Its number on Linux.
    pub const fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Usr1 => 10,
            Self::Usr2 => 12,
            Self::Winch => 28,
        }
    }
}

impl fmt::Display for ReloadSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A path of the host that a container has mounted and whose changes count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FollowedFile {
    /// Absolute path.
    pub path: String,
    /// Only another file in its place counts: what is written into it may be the container's own doing.
    pub replaced_only: bool,
    /// A folder counts too, with all that is in it; otherwise only a regular file does.
    pub folder: bool,
}

/// What was found of a followed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// What is in it, and which file it is.
    pub mark: FileMark,
    /// Since when it has been known to be so, at the latest.
    pub seen_at: Timestamp,
}

/// What tells a file's content apart from another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileMark {
    /// SHA-256 of its content, in hex.
    pub digest: String,
    /// Its inode: another one means that another file is in its place.
    pub inode: u64,
    /// It is a folder, which is followed with all that is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folder: bool,
}

impl FileMark {
    /// There is no file at the path: nothing, or a folder, which the engine makes where a file that is to be mounted is missing.
    pub const ABSENT: Self = Self { digest: String::new(), inode: 0, folder: false };

    /// Whether there is no file.
    pub fn is_absent(&self) -> bool {
        self.digest.is_empty()
    }

    /// Whether a container that was made with it has a folder there, for ever: a file can only be mounted over a file.
    pub fn is_folder(&self) -> bool {
        self.folder || self.is_absent()
    }

    /// Whether it was a folder that nobody looked into, and `there` is what is in a folder: nothing is known to have changed.
    pub fn is_unread(&self, there: &Self) -> bool {
        self.is_absent() && there.folder
    }
}

/// What was found of followed files. One that cannot be read, or is none that counts, is left out.
pub type FileStates = BTreeMap<FollowedFile, FileState>;

/// What a replica's container was made with, by path.
pub type FileMarks = BTreeMap<String, FileMark>;

/// The files of a Deployment that are to be looked after. None: no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWish {
    /// Whose.
    pub key: Key,
    /// Which.
    pub files: BTreeSet<FollowedFile>,
}

/// What was found of the files of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNews {
    /// Whose.
    pub key: Key,
    /// What was asked for.
    pub files: BTreeSet<FollowedFile>,
    /// What was found.
    pub states: FileStates,
}

/// What is to be looked after on the disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// What images are built from.
    Builds(InputWish),
    /// What containers have mounted.
    Files(FileWish),
}

/// What was found on the disk.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Of what an image is built from.
    Build(Box<InputNews>),
    /// Of what containers have mounted.
    Files(FileNews),
}

impl News {
    /// Whose it is.
    pub fn key(&self) -> &Key {
        match self {
            Self::Build(news) => &news.key,
            Self::Files(news) => &news.key,
        }
    }
}
