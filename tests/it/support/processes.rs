//! Processes that tests started: signals, and ending what is left of them.

use std::path::Path;
use std::process::Command;

use super::{eventually, secs};

/// Sends a signal (`TERM`, `KILL`, `STOP`, `CONT`) to a process.
#[track_caller]
pub fn signal(name: &str, pid: i64) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill is installed");
    assert!(status.success(), "kill -{name} {pid}: {status}");
}

/// Whether the process exists and is not a zombie.
pub fn lives(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Kills every process that was started with a path inside `dir`, and what those started; unmounts what they mounted there.
///
/// Only what this test made lives under its own folder, so nothing else is met.
pub fn end_all_under(dir: &Path) {
    let inside = format!("{}/", dir.display());
    eventually(secs(20), "the test's own processes end", || {
        let left = processes_of(&inside);
        if left.is_empty() {
            return Ok(());
        }
        let pids: Vec<String> = left.iter().map(ToString::to_string).collect();
        let _ = Command::new("kill").arg("-KILL").args(&pids).output();
        Err(format!("pids {}", pids.join(" ")))
    });
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|target| target.starts_with(&inside));
    targets.for_each(|target| {
        let _ = Command::new("umount").args(["--lazy", target]).output();
    });
}

/// Pids of processes whose command line names a path inside, their descendants included, this process not.
fn processes_of(inside: &str) -> Vec<i64> {
    let all: Vec<(i64, i64, String)> =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| read(&entry.ok()?.path())).collect();
    let own = i64::from(std::process::id());
    let mut found: Vec<i64> =
        all.iter().filter(|(pid, _, line)| *pid != own && line.contains(inside)).map(|(pid, ..)| *pid).collect();
    while let Some(&(child, ..)) = all.iter().find(|(pid, parent, _)| found.contains(parent) && !found.contains(pid)) {
        found.push(child);
    }
    found
}

/// Pid, parent and command line of a live process.
fn read(proc: &Path) -> Option<(i64, i64, String)> {
    let pid = proc.file_name()?.to_str()?.parse().ok()?;
    let line = String::from_utf8_lossy(&std::fs::read(proc.join("cmdline")).ok()?).replace('\0', " ");
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some((pid, parent, line))
}
