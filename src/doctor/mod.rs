//! Looks at what evenkeel leans on, and says how to mend what is wrong.
//!
//! The operator examines itself for the API, and the command line examines what it can see where no operator answers.
//! Judging is pure; gathering reads, and changes nothing but a test file in the data folder.

mod certificate;
mod disk;
mod engine;
mod git;
mod mounts;
mod objects;
mod pools;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::docker::Inside;
use crate::model::Key;

/// How long a disk may take; one that hangs is itself a finding.
const DISK_DEADLINE: Duration = Duration::from_secs(5);

/// How bad it is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not go on doing so.
    Warn,
    /// It does not work.
    Fail,
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at: `engine`, `data folder`, ..
    pub check: String,
    /// How it is.
    pub result: Verdict,
    /// What was seen.
    pub message: String,
    /// How to mend it, where there is something to mend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &str, message: impl Into<String>) -> Self {
        Self { check: check.to_owned(), result: Verdict::Ok, message: message.into(), remedy: None }
    }

    /// It works, and may not go on doing so.
    pub fn warn(check: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.to_owned(), result: Verdict::Warn, message: message.into(), remedy: Some(remedy.into()) }
    }

    /// It does not work.
    pub fn fail(check: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.to_owned(), result: Verdict::Fail, message: message.into(), remedy: Some(remedy.into()) }
    }
}

/// What is examined.
pub struct Subject<'a> {
    /// The engine.
    pub engine: &'a dyn Inside,
    /// Name of the operator on it.
    pub instance: &'a str,
    /// The operator's data folder.
    pub data_dir: &'a Path,
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// What only the operator itself knows; `None` where it is not asked.
    pub operator: Option<Known>,
}

/// What only the operator knows.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Its Deployments.
    pub deployments: BTreeSet<Key>,
    /// Those that were given back to Docker, policies and all.
    pub released: BTreeSet<Key>,
    /// How many of its Sources are read by the git program.
    pub git_sources: usize,
    /// By how much the wall clock has moved against the monotonic one since it was started.
    pub clock_moved: SignedDuration,
}

/// Examines it all.
pub async fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = engine::examine(subject).await;
    findings.extend(objects::examine(subject).await);
    let now = subject.clock.now();
    let data_folder = move |path: &Path| [disk::data_folder(path)].into_iter().chain(certificate::examine(path, now)).collect();
    findings.extend(look_at("data folder", subject.data_dir, DISK_DEADLINE, data_folder).await);
    findings.push(git::examine(subject.operator.as_ref().map_or(0, |known| known.git_sources)).await);
    findings.extend(subject.operator.as_ref().map(|known| engine::steps(known.clock_moved)));
    findings
}

/// Looks at a disk. A stuck one holds up a thread of its own, neither a worker of the runtime nor whoever asked.
async fn look_at(
    check: &str,
    place: &Path,
    deadline: Duration,
    look: impl FnOnce(&Path) -> Vec<Finding> + Send + 'static,
) -> Vec<Finding> {
    let path = place.to_owned();
    let why = match timeout(deadline, spawn_blocking(move || look(&path))).await {
        Ok(Ok(findings)) => return findings,
        Ok(Err(error)) => format!("cannot be looked at: {error}"),
        Err(_) => format!("its disk has not answered within {} s", deadline.as_secs()),
    };
    vec![Finding::fail(check, format!("{}: {why}", place.display()), "see the kernel's log (dmesg) for its disk")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_hangs_holds_nobody_up_and_is_a_finding() {
        let (answer, hang) = std::sync::mpsc::channel::<()>();
        let stuck = move |_: &Path| {
            let _ = hang.recv();
            vec![]
        };
        let seen = look_at("data folder", Path::new("/data"), Duration::ZERO, stuck).await;
        assert_eq!((seen[0].check.as_str(), seen[0].result), ("data folder", Verdict::Fail));
        drop(answer);
    }
}
