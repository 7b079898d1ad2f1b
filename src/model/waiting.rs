//! What is not done now, and what it waits for.

use jiff::Timestamp;

use super::{DependencyCondition, Reason, ReplicaId, Rule, Subject};

/// Something not done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What waits.
    pub subject: Subject,
    /// For what.
    pub reason: WaitReason,
    /// Until when, if that is known.
    pub until: Option<Timestamp>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// The next attempt is not due yet.
    BackOff {
        /// The attempt that comes next.
        attempt: u32,
        /// Of how many.
        max: u32,
        /// What failed.
        failure: String,
    },
    /// No attempt is made any more, or none for a long time.
    BackOffExhausted {
        /// How many were made.
        attempts: u32,
        /// What failed last.
        failure: String,
        /// Why there are no more.
        rule: Rule,
        /// It is tried again all the same, when that is over.
        again: bool,
    },
    /// A run-once service ended with a failure; it is not run again for this spec.
    JobFailed {
        /// What failed.
        failure: String,
    },
    /// Who stopped it is not known yet.
    IntentPending,
    /// Another service is not where it must be.
    Dependency {
        /// That service.
        service: String,
        /// What is asked of it.
        condition: DependencyCondition,
        /// It will not get there by itself.
        failed: bool,
    },
    /// It ran to its end; that counts until the spec changes.
    Completed,
    /// A replica before it is still being replaced.
    RollingUpdate {
        /// That replica.
        replica: ReplicaId,
    },
    /// A job is under way, and a container cannot be made before it ends.
    Pulling,
    /// A build is under way; what runs goes on meanwhile.
    Building {
        /// Digest of what it is built from.
        input: String,
        /// Why the last try of the same failed, if it did.
        failed: Option<String>,
    },
    /// It is being read what an image is built from.
    ReadingInput,
    /// A newer version of an image is looked for; what runs goes on meanwhile.
    Refreshing,
    /// A newer version of an image could not be looked for; what runs goes on meanwhile.
    NotRefreshed {
        /// What is wrong, and what to do.
        message: String,
    },
    /// As many pulls from that registry are under way as may be.
    RegistryBusy {
        /// `host[:port]`.
        registry: String,
        /// A container cannot be made before; else only a newer version is looked for.
        needed: bool,
    },
    /// A job is under way.
    Stopping,
    /// A call about it goes on, longer than it should.
    Unanswered {
        /// The call: `start container web-app-1`.
        op: String,
    },
    /// It is within its health check's start period or has not become healthy yet.
    HealthStarting,
    /// Its probes fail, and it is to run once only: it is not restarted.
    Unhealthy {
        /// What fails, with the last output.
        failure: String,
    },
    /// It lives, and its readiness probe fails.
    NotReady {
        /// What fails, with the last output.
        failure: String,
    },
    /// A probe cannot be made as it is declared, and says nothing of it.
    ProbeBroken {
        /// Which, and what is wrong with it.
        failure: String,
    },
    /// It is up, and no probe says any more how it is.
    HealthUnknown,
    /// A person paused it.
    Paused,
    /// Docker is removing it.
    Removing,
    /// Docker's own restart policy is at work; it is being taken off.
    Restarting,
    /// Stopped by a Hold or by the manifest.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Hands off.
    Suspended {
        /// Why.
        reason: String,
    },
    /// A name, network, volume or the project belongs to somebody else.
    NotOwned {
        /// Who holds it.
        holder: String,
    },
    /// A container, network or volume that Compose made is in its place, and not what is declared.
    NotAdopted {
        /// What it is and what to do.
        message: String,
    },
    /// A container that Compose made is in its place, and is being held against what is declared.
    Comparing {
        /// Its name.
        container: String,
    },
    /// Something of the engine's or a registry's is in the way; tried again at the cap for ever.
    Obstacle {
        /// Machine-readable reason.
        reason: Reason,
        /// What is wrong, and what to do.
        message: String,
    },
    /// `recovery.mode` or `--mode` keeps evenkeel from doing it.
    Withheld,
    /// The same, and a person can approve it.
    Suggested {
        /// What would be done and why, and how to approve it.
        message: String,
    },
}
