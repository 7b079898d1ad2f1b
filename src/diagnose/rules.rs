//! Facts in, diagnosis out. Pure and deterministic. A cause is named only where a fact says so; else it is `Unknown`.

use std::time::Duration;

use crate::model::{Diagnosis, FailureCause, FailureKind, Subject, WaitReason};

use super::signature::normalised;
use super::words;

/// Lines of the log that are shown.
const SHOWN_LINES: usize = 3;

/// Lines at the end of a log in which words count: what stands further up need not have to do with the end.
const TELLING_LINES: usize = 12;

/// Failures in a row, each soon after the start, that make a loop of them.
const LOOP: u32 = 3;

/// A run that lasted longer is none of a loop's.
const LOOP_RUN: Duration = Duration::from_secs(60);

/// What is known of a failure.
#[derive(Debug, Clone, PartialEq)]
pub enum Facts<'f> {
    /// A run ended, and nobody wanted it.
    Ended(Ended<'f>),
    /// The engine did not start or make the container.
    Refused {
        /// Its words, redacted.
        message: &'f str,
    },
    /// It runs, and its probes fail.
    Unhealthy {
        /// Which probe, and what it said; redacted.
        failure: &'f str,
        /// It has been so from its start on.
        never_well: bool,
        /// The last lines of the log, oldest first; redacted.
        log: &'f [String],
    },
    /// Something outside of it is in the way.
    InTheWay {
        /// What about.
        subject: &'f Subject,
        /// Of what kind.
        kind: &'f FailureKind,
        /// For people, holder and remedy included.
        message: &'f str,
    },
    /// It waits for something.
    Waits(&'f WaitReason),
    /// It ended since the daemon went down, and is not back yet.
    WentDown {
        /// When the host was booted, if that was since.
        host_booted_at: Option<jiff::Timestamp>,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended<'f> {
    /// The exit code.
    pub exit_code: i64,
    /// Docker's flag.
    pub oom_killed: bool,
    /// It was killed through Docker, without a stop.
    pub killed: bool,
    /// Its memory is limited.
    pub limited: bool,
    /// Docker's own error text, redacted.
    pub error: &'f str,
    /// How long it ran, where that is known.
    pub ran_for: Option<Duration>,
    /// So many failures in a row, this one included.
    pub failures: u32,
    /// The last lines of the log, oldest first; redacted.
    pub log: &'f [String],
}

/// What a failure comes from. `None`: nothing is wrong with it, or nothing that is not said already.
pub fn diagnose(facts: &Facts<'_>) -> Option<Diagnosis> {
    match facts {
        Facts::Ended(ended) => Some(of_end(ended)),
        Facts::Refused { message } => {
            let cause = words::refusal(message).unwrap_or_default();
            Some(found(cause, String::new(), vec![format!("Docker: {message}")]))
        }
        Facts::Unhealthy { failure, never_well, log } => Some(of_health(failure, *never_well, log)),
        Facts::InTheWay { subject, kind, message } => {
            let cause = in_the_way(subject, kind);
            let more = if cause == FailureCause::BuildFailed { failing_step(message) } else { String::new() };
            Some(found(cause, more, vec![(*message).to_owned()]))
        }
        Facts::Waits(reason) => waits(reason),
        Facts::WentDown { host_booted_at: Some(at) } => {
            let evidence = format!("the host was booted at {at}, after it ended");
            Some(found(FailureCause::HostRestart, "it went down with the host".to_owned(), vec![evidence]))
        }
        Facts::WentDown { host_booted_at: None } => {
            let evidence = "the Docker daemon stopped it and was gone right after".to_owned();
            Some(found(FailureCause::EngineRestart, "it went down with the Docker daemon".to_owned(), vec![evidence]))
        }
    }
}

fn of_end(ended: &Ended<'_>) -> Diagnosis {
    let code = ended.exit_code;
    let mut evidence = vec![match signal(code) {
        Some(name) => format!("exit code {code} ({name})"),
        None => format!("exit code {code}"),
    }];
    if ended.oom_killed {
        evidence.push("Docker's out-of-memory flag is set".to_owned());
    }
    if !ended.error.is_empty() {
        evidence.push(format!("Docker: {}", ended.error));
    }
    let said = telling(ended.log);
    let (cause, more) = match () {
        () if ended.oom_killed && code != 0 => {
            (FailureCause::OutOfMemory, "probably: the kernel killed for lack of memory".to_owned())
        }
        () if ended.killed => (FailureCause::Killed, "killed through Docker (docker kill)".to_owned()),
        () if words::refusal(ended.error).is_some() => (words::refusal(ended.error).unwrap_or_default(), String::new()),
        () if said.is_some() => (said.as_ref().map(|(cause, _)| *cause).unwrap_or_default(), String::new()),
        () if not_found(ended) => (FailureCause::MissingCommand, String::new()),
        // Docker begins to watch for lack of memory after the start: what takes too much at once goes without the flag.
        () if code == 137 && ended.limited => {
            (FailureCause::OutOfMemory, "probably: its memory is limited, and nobody killed it through Docker".to_owned())
        }
        () if matches!(code, 129 | 130 | 137 | 143) => {
            (FailureCause::Killed, "by a signal from inside, or from the host".to_owned())
        }
        () => own_error(ended),
    };
    evidence.extend(match said.filter(|(telling, _)| *telling == cause) {
        Some((_, line)) => vec![format!("log: {line}")],
        None => last_lines(ended.log),
    });
    found(cause, more, evidence)
}

/// A shell that did not find a program says so last, and ends with 127.
fn not_found(ended: &Ended<'_>) -> bool {
    ended.exit_code == 127 && ended.log.last().is_some_and(|line| line.contains("not found"))
}

/// It ended of its own accord, and nothing says why.
fn own_error(ended: &Ended<'_>) -> (FailureCause, String) {
    let soon = ended.ran_for.is_some_and(|ran| ran < LOOP_RUN);
    match (ended.exit_code, signal(ended.exit_code)) {
        _ if ended.failures >= LOOP && soon => {
            (FailureCause::CrashLoop, format!("{} times in a row, each soon after its start", ended.failures))
        }
        (0, _) => (FailureCause::ApplicationError, "it ended without an error, and is to run always".to_owned()),
        (code, Some(name)) => (FailureCause::ApplicationError, format!("it was ended by {name} (exit code {code})")),
        (code, None) => (FailureCause::ApplicationError, format!("it ended by itself with exit code {code}")),
    }
}

/// The signal that an exit code stands for.
fn signal(code: i64) -> Option<&'static str> {
    Some(match code {
        129 => "SIGHUP",
        130 => "SIGINT",
        132 => "SIGILL",
        134 => "SIGABRT",
        135 => "SIGBUS",
        136 => "SIGFPE",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        143 => "SIGTERM",
        _ => return None,
    })
}

fn of_health(failure: &str, never_well: bool, log: &[String]) -> Diagnosis {
    let said = telling(log);
    let evidence = [vec![failure.to_owned()], last_lines(log)].concat();
    let refused = || ["refused", "can't connect", "cannot connect", "no answer", "exceeded timeout", "timed out"];
    match said {
        Some((cause @ (FailureCause::DiskFull | FailureCause::OutOfMemory), line)) => {
            found(cause, "it runs, and is unhealthy".to_owned(), vec![failure.to_owned(), format!("log: {line}")])
        }
        _ if never_well && refused().iter().any(|word| failure.to_lowercase().contains(word)) => {
            let more = "it has not answered since its start; give a slow one a start_period, or a startup probe";
            found(FailureCause::SlowStart, more.to_owned(), evidence)
        }
        _ => found(FailureCause::Unhealthy, "it runs, and its probe fails".to_owned(), evidence),
    }
}

fn in_the_way(subject: &Subject, kind: &FailureKind) -> FailureCause {
    match (kind, subject) {
        (FailureKind::PortHeld { .. }, _) => FailureCause::PortHeld,
        (FailureKind::NameHeld, _) => FailureCause::NameHeld,
        (FailureKind::NetworkMissing, _) => FailureCause::NetworkMissing,
        (FailureKind::ImageMissing, _) => FailureCause::ImageMissing,
        (FailureKind::ImageNotFound, _) => FailureCause::ImageNotFound,
        (FailureKind::ImageDenied, _) => FailureCause::ImageDenied,
        (FailureKind::RateLimited { .. }, _) => FailureCause::RegistryRateLimited,
        (FailureKind::RegistryUnavailable, _) => FailureCause::RegistryUnavailable,
        (FailureKind::WrongPlatform, _) => FailureCause::WrongPlatform,
        (FailureKind::BuildFailed, _) => FailureCause::BuildFailed,
        (FailureKind::NotFound, Subject::Network(_)) => FailureCause::NetworkMissing,
        (FailureKind::NotFound, Subject::Volume(_)) => FailureCause::VolumeMissing,
        (FailureKind::Unavailable | FailureKind::Timeout | FailureKind::Transient, _) => FailureCause::EngineFailing,
        (FailureKind::StartFailed | FailureKind::Refused | FailureKind::Conflict | FailureKind::NotFound, _) => {
            FailureCause::Unknown
        }
    }
}

fn waits(reason: &WaitReason) -> Option<Diagnosis> {
    use crate::model::Reason;
    let one = |cause, evidence: String| Some(found(cause, String::new(), vec![evidence]));
    match reason {
        WaitReason::Dependency { service, .. } => {
            one(FailureCause::DependencyDown, format!("service {service}, which it depends on, is not where it must be"))
        }
        // One that is not restarted for it, as it is to run once.
        WaitReason::Unhealthy { failure } => Some(of_health(failure, false, &[])),
        WaitReason::ProbeBroken { failure } => one(FailureCause::ProbeBroken, failure.clone()),
        WaitReason::NotOwned { holder } => one(FailureCause::NameHeld, holder.clone()),
        WaitReason::Building { failed: Some(message), .. } => build_failed(message),
        WaitReason::JobFailed { failure } => one(FailureCause::ApplicationError, failure.clone()),
        WaitReason::Obstacle { reason, message } => {
            let cause = match reason {
                Reason::PortHeld => FailureCause::PortHeld,
                Reason::NameHeld => FailureCause::NameHeld,
                Reason::NetworkMissing => FailureCause::NetworkMissing,
                Reason::VolumeMissing => FailureCause::VolumeMissing,
                Reason::ImageMissing => FailureCause::ImageMissing,
                Reason::WrongPlatform => FailureCause::WrongPlatform,
                Reason::BuildFailed => return build_failed(message),
                _ => return None,
            };
            one(cause, message.clone())
        }
        _ => None,
    }
}

fn build_failed(message: &str) -> Option<Diagnosis> {
    Some(found(FailureCause::BuildFailed, failing_step(message), vec![message.to_owned()]))
}

/// Which step of a build failed and how: the first line, what it put out follows.
fn failing_step(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

/// The last line of a log whose words tell what is wrong, and what that is.
fn telling(log: &[String]) -> Option<(FailureCause, String)> {
    log.iter().rev().take(TELLING_LINES).find_map(|line| words::line(line).map(|cause| (cause, line.clone())))
}

fn last_lines(log: &[String]) -> Vec<String> {
    log[log.len().saturating_sub(SHOWN_LINES)..].iter().map(|line| format!("log: {line}")).collect()
}

fn found(cause: FailureCause, more: String, evidence: Vec<String>) -> Diagnosis {
    let advice = advice(cause);
    let message = if more.is_empty() { advice.to_owned() } else { format!("{more}; {advice}") };
    // The last piece says most: a word of Docker's, or the line of the log that tells.
    let signature = format!("{cause}: {}", normalised(evidence.last().map_or("", String::as_str)));
    Diagnosis { cause, message, evidence, signature }
}

/// What to do about it.
fn advice(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::ApplicationError | FailureCause::CrashLoop => "read its log",
        FailureCause::OutOfMemory => "raise mem_limit, or find what takes the memory",
        FailureCause::Killed => "find who killed it",
        FailureCause::ConfigError => "mend its configuration",
        FailureCause::MissingCommand => "the program is not in the image: correct command, entrypoint or image",
        FailureCause::ExecFormat => {
            "the program is not for this machine, or a script without its first line: set platform, or build it anew"
        }
        FailureCause::PermissionDenied => "give it the rights, or another user",
        FailureCause::DiskFull => "make room on the disk",
        FailureCause::DependencyDown => "look at what it depends on",
        FailureCause::Unhealthy => "read its log",
        FailureCause::SlowStart => "see whether it ever comes up",
        FailureCause::ProbeBroken => "mend the probe",
        FailureCause::PortHeld => "free the port, or declare another",
        FailureCause::NameHeld => "remove or rename what has the name",
        FailureCause::NetworkMissing => "make the network",
        FailureCause::VolumeMissing => "make the volume",
        FailureCause::ImageMissing => "build or load the image, or allow pulls",
        FailureCause::ImageNotFound => "correct the image's name, or push it",
        FailureCause::ImageDenied => "log in to the registry as the user that evenkeel runs as",
        FailureCause::RegistryRateLimited => "wait, or log in",
        FailureCause::RegistryUnavailable => "see whether the registry can be reached",
        FailureCause::WrongPlatform => "set platform, or build the image for it",
        FailureCause::BuildFailed => "mend the Dockerfile or its context",
        FailureCause::EngineRestart | FailureCause::HostRestart => "it is started again",
        FailureCause::EngineFailing => "look at the Docker daemon's log",
        FailureCause::Unknown => "the facts do not say what it comes from",
    }
}
