//! What goes wrong on purpose, and what was asked of the engine.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{EngineFailure, FailureKind};

/// The calls of [`Engine`](crate::docker::Engine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named like the call")]
pub enum Verb {
    Info,
    Run,
    Ping,
    Alive,
    Events,
    ListContainers,
    InspectContainer,
    ListNetworks,
    ListVolumes,
    ListImages,
    Logs,
    Exec,
    ResizeExec,
    ExecExitCode,
    Usage,
    Facts,
    CreateContainer,
    StartContainer,
    StopContainer,
    SignalContainer,
    RunHook,
    RemoveContainer,
    RenameContainer,
    SetRestartPolicy,
    CreateNetwork,
    RemoveNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    CreateVolume,
    RemoveVolume,
    Pull,
    Build,
    Tag,
}

impl Verb {
    /// Whether the call changes something on the engine.
    pub fn changes(self) -> bool {
        self >= Self::CreateContainer
    }
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub verb: Verb,
    /// On what: the name of a container, network, volume or image. Empty for calls about everything.
    pub subject: String,
}

/// What a fault does to the call it meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It fails; nothing is done.
    Fail(FailureKind),
    /// It is done, and fails all the same: the answer was lost.
    LoseAnswer(FailureKind),
    /// It is done so much later.
    Delay(Duration),
    /// It never answers: its deadline ends it; nothing is done.
    Hang,
}

/// A fault that waits for the calls it is meant for.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) verb: Verb,
    pub(super) subject: Option<String>,
    pub(super) effect: Effect,
    pub(super) times: u32,
}

/// Takes the first fault meant for this call.
pub(super) fn take(faults: &mut Vec<Fault>, verb: Verb, subject: &str) -> Option<Effect> {
    let meant = |fault: &Fault| fault.verb == verb && fault.subject.as_ref().is_none_or(|wanted| wanted == subject);
    let index = faults.iter().position(meant)?;
    let fault = &mut faults[index];
    let effect = fault.effect.clone();
    fault.times -= 1;
    if fault.times == 0 {
        faults.remove(index);
    }
    Some(effect)
}

/// A failure in the fake engine's words.
pub(super) fn failure(kind: FailureKind, message: impl Into<String>) -> EngineFailure {
    EngineFailure { kind, message: message.into() }
}
