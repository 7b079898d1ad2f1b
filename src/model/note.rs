//! What a plan noticed and must be remembered.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Adopted, AdoptedNetwork, FailedRun, FileMarks, ReplicaId, RolledBack, Rule, Suggestion};

/// Something the record must keep.
#[derive(Debug, Clone, PartialEq)]
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
        /// Docker's out-of-memory flag.
        oom_killed: bool,
        /// The run.
        run: FailedRun,
    },
    /// A failure seen for the first time.
    Failed {
        /// Which.
        replica: ReplicaId,
        /// Of which spec.
        spec_hash: String,
        /// When it ended, or the probe that showed it.
        at: Timestamp,
        /// What failed.
        failure: String,
        /// Its exit code; `None`: it runs, and is unhealthy.
        exit_code: Option<i64>,
        /// Docker's OOM flag.
        oom_killed: bool,
        /// The run, for the diagnosis.
        run: FailedRun,
    },
    /// `alertAfter` attempts have failed.
    Alert {
        /// Which.
        replica: ReplicaId,
        /// Attempts so far.
        attempts: u32,
    },
    /// No attempt is made any more, or none for a long time: each told once.
    Exhausted {
        /// Which.
        replica: ReplicaId,
        /// Attempts made.
        attempts: u32,
        /// Why there are no more.
        rule: Rule,
        /// When it is tried again all the same.
        until: Option<Timestamp>,
    },
    /// A service's image is taken back to one that worked.
    RolledBack {
        /// Whose.
        service: String,
        /// The reference that names it.
        reference: String,
        /// From where to where.
        record: RolledBack,
    },
    /// What is suggested to people by now, all of it.
    Suggestions(BTreeMap<String, Suggestion>),
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
    /// A container that evenkeel did not make is taken over.
    Adopted {
        /// As which.
        replica: ReplicaId,
        /// Its name.
        name: String,
        /// What is remembered of it.
        record: Adopted,
        /// It does not run, since that moment, and somebody may have meant that: it stays so until somebody starts it.
        at_rest: Option<Timestamp>,
    },
    /// A network that evenkeel did not make is used as its own from now on.
    AdoptedNetwork {
        /// Its name.
        name: String,
        /// What is remembered of it.
        record: AdoptedNetwork,
    },
    /// A volume that evenkeel did not make is used as its own from now on.
    AdoptedVolume {
        /// Its name.
        name: String,
        /// When.
        at: Timestamp,
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
