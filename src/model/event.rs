//! Events: what Docker says happened, and what evenkeel tells people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Reason};

/// One event of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The daemon's time, in nanoseconds since the epoch.
    pub time_nanos: i64,
    /// What kind of object.
    pub kind: EventKind,
    /// Docker's word: `start`, `die`, `kill`, `health_status: unhealthy`, ..
    pub action: String,
    /// Id of the object (a volume's or image's name or id).
    pub id: String,
    /// Labels and details (`exitCode`, `signal`, `name`, `container`, ..).
    pub attributes: BTreeMap<String, String>,
}

/// Kinds of objects in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// An image.
    Image,
    /// Anything else.
    Other,
}

/// Names one event in the daemon's buffer; kept to know later whether the buffer still holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCursor {
    /// The daemon's time, in nanoseconds since the epoch.
    pub time_nanos: i64,
    /// Object id.
    pub id: String,
    /// Docker's word.
    pub action: String,
}

impl EngineEvent {
    /// When it happened.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.time_nanos.into()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// What names it in the buffer.
    pub fn cursor(&self) -> EventCursor {
        EventCursor { time_nanos: self.time_nanos, id: self.id.clone(), action: self.action.clone() }
    }
}

/// Something to tell people: becomes a Kubernetes-shaped core/v1 Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// What it is about; `None`: the host as a whole.
    pub about: About,
    /// One word for machines.
    pub reason: Reason,
    /// Whether it needs attention.
    pub severity: Severity,
    /// For people: what, on what, why, what now.
    pub message: String,
    /// Trace it belongs to, 32 hex digits.
    pub trace_id: Option<String>,
}

/// What a happening is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A Deployment; its uid where it exists.
    Deployment(Key, Option<String>),
    /// A Source.
    Source(Key),
    /// A Channel.
    Channel(Key),
    /// A manifest file, by path relative to its source's folder.
    Manifest(String),
    /// This host and its engine.
    Host,
}

/// Kubernetes' two types of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For information.
    Normal,
    /// Needs attention.
    Warning,
}
