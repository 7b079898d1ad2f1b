//! What became of actions.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, BuildRecord, Pulled, Reason};

/// One action and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was asked.
    pub action: Action,
    /// What came of it.
    pub result: ActionResult,
    /// When it ended.
    pub at: Timestamp,
    /// How long the call took.
    pub took: Duration,
    /// The trace that has the call's span, where traces are made.
    pub trace_id: Option<String>,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionResult {
    /// Done. For a creation: the id of what was made.
    Done {
        /// Container or network id.
        id: Option<String>,
    },
    /// Done: an image was pulled, or the registry said that the one here is the newest.
    Pulled(Pulled),
    /// Done: an image was built.
    Built(BuildRecord),
    /// It goes on beside the key's turn.
    Started,
    /// It failed.
    Failed(EngineFailure),
    /// Not tried, because of an action it depends on, or because a Hold came in between.
    Skipped {
        /// Why.
        why: String,
    },
}

/// A failure of the engine, classified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineFailure {
    /// What kind.
    pub kind: FailureKind,
    /// What was attempted, on what, and what the engine said.
    pub message: String,
}

/// Kinds of failure that are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum FailureKind {
    /// The object is not there (404).
    NotFound,
    /// The container name is taken (409 on create or rename).
    NameHeld,
    /// A host port is taken.
    PortHeld {
        /// Host port, where the message names it.
        port: Option<u16>,
        /// `tcp`, `udp`, `sctp`.
        protocol: String,
    },
    /// A network it needs is not there.
    NetworkMissing,
    /// The image is not there.
    ImageMissing,
    /// The registry has no such image or tag.
    ImageNotFound,
    /// The registry wants (other) credentials.
    ImageDenied,
    /// The registry's rate limit.
    RateLimited {
        /// How long it wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// The registry cannot be reached or is broken.
    RegistryUnavailable,
    /// The image is not made for the platform that is asked for.
    WrongPlatform,
    /// The image cannot be built: its recipe, a step of it, or its context.
    BuildFailed,
    /// The container's command, image or configuration cannot be run: a failure of the container itself.
    StartFailed,
    /// The engine refuses the request as wrong (400).
    Refused,
    /// In use or in the wrong state (409).
    Conflict,
    /// The engine cannot be reached.
    Unavailable,
    /// The call's deadline passed.
    Timeout,
    /// The engine answered 5xx or 429 without a reason of its own: worth trying again soon.
    Transient,
}

impl FailureKind {
    /// Whether it is the container's own fault: it spends a recovery attempt. Everything else is an obstacle.
    pub fn spends_attempt(&self) -> bool {
        matches!(self, Self::StartFailed | Self::Refused)
    }

    /// What keeps an image from being pulled, in one word.
    pub fn pull_reason(&self) -> Reason {
        match self {
            Self::ImageNotFound => Reason::ImageNotFound,
            Self::ImageDenied => Reason::ImageDenied,
            Self::RateLimited { .. } => Reason::RegistryRateLimited,
            Self::RegistryUnavailable => Reason::RegistryUnavailable,
            Self::WrongPlatform => Reason::WrongPlatform,
            _ => Reason::ImagePullBackOff,
        }
    }

    /// Whether the engine itself, not the request, is to blame: tried again soon.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Transient | Self::Conflict | Self::NotFound)
    }
}
