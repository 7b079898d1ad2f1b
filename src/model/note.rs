//! What a plan noticed and must be remembered.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{DockerRestart, FileMarks, ReplicaId};

/// Something the record must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It ran long enough: its attempts are forgiven.
    Stable(ReplicaId),
    /// It ended and is done, for this spec hash.
    Completed {
        /// Which.
        replica: ReplicaId,
        /// Of which spec.
        spec_hash: String,
        /// When.
        at: Timestamp,
        /// 0, or that of a run-once service that failed.
        exit_code: i64,
    },
    /// A failure seen for the first time.
    Failed {
        /// Which.
        replica: ReplicaId,
        /// Of which spec.
        spec_hash: String,
        /// When it ended.
        at: Timestamp,
        /// What failed.
        failure: String,
        /// Its exit code.
        exit_code: i64,
        /// Docker's OOM flag.
        oom_killed: bool,
    },
    /// `alertAfter` attempts have failed.
    Alert {
        /// Which.
        replica: ReplicaId,
        /// Attempts so far.
        attempts: u32,
    },
    /// All attempts are spent: told once.
    Exhausted {
        /// Which.
        replica: ReplicaId,
        /// Attempts made.
        attempts: u32,
    },
    /// Started over: a changed spec, `retry`, or a host boot.
    StartedOver(ReplicaId),
    /// Nobody saw why it is not running, though it ran before.
    IntentUnknown(ReplicaId),
    /// Anonymous volumes in use, by mount path: kept so that a replacement gets them.
    Volumes {
        /// Whose.
        replica: ReplicaId,
        /// Path in the container -> volume name.
        names: BTreeMap<String, String>,
    },
    /// A container that evenkeel did not make is in the place of one it made, and is taken over.
    Adopted {
        /// Which.
        replica: ReplicaId,
        /// Full id of the container.
        container_id: String,
        /// Spec hash at that moment: the container is replaced only when this changes.
        spec_hash: String,
        /// Docker's restart policy that was on it.
        restart: DockerRestart,
    },
    /// A newer image could not be pulled, and a container is made from the one that is there.
    OldImage {
        /// Which.
        replica: ReplicaId,
        /// Its reference.
        image: String,
        /// Why there is no newer one.
        failure: String,
    },
    /// Contents of mounted files that a replica's container has.
    Files {
        /// Which.
        replica: ReplicaId,
        /// By path.
        marks: FileMarks,
    },
    /// All that a deletion must remove is gone: the finalizer can go.
    Cleaned,
}
