//! The engine: whether it answers, how it is set up, what time it has.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::{DISK_DEADLINE, Finding, Subject, disk, look_at, pools};
use crate::docker::{Facts, Listener};
use crate::model::{EngineFailure, FailureKind};

/// Clocks that differ by less are taken for one.
const TOLERABLE: SignedDuration = SignedDuration::from_secs(2);

/// All that the engine's own answer tells.
pub(super) async fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let asked = subject.clock.now();
    let facts = match subject.engine.facts().await {
        Ok(facts) => facts,
        Err(failure) => return vec![unreachable(&failure)],
    };
    let answered = subject.clock.now();
    let mut findings = vec![reachable(&facts), listener(&facts), restore(&facts), cgroups(&facts)];
    findings.extend(facts.time.map(|time| skew(time, asked, answered)));
    findings.push(pools::left(&facts.address_pools, &facts.subnets));
    if facts.listener != Listener::Remote {
        let root = |path: &Path| vec![disk::docker_root(path)];
        findings.extend(look_at("Docker's disk", facts.root_dir.as_ref(), DISK_DEADLINE, root).await);
    }
    findings.extend(facts.warnings.iter().map(|warning| own_warning(warning)));
    findings
}

fn reachable(facts: &Facts) -> Finding {
    let Facts { address, version, api_version, operating_system, kernel, .. } = facts;
    Finding::ok("engine", format!("Docker {version} (API {api_version}) at {address}, on {operating_system}, Linux {kernel}"))
}

fn unreachable(failure: &EngineFailure) -> Finding {
    let denied = failure.message.to_lowercase().contains("permission denied");
    let remedy = match failure.kind {
        _ if denied => "run as root, or join the group that owns the socket: usermod -aG docker USER, then log in anew",
        FailureKind::Unavailable => "start it (systemctl start docker), or say where it is with --docker-host or DOCKER_HOST",
        FailureKind::Timeout => "it hangs: see journalctl -u docker, and its disk",
        _ => "see journalctl -u docker",
    };
    Finding::fail("engine", failure.message.clone(), remedy)
}

fn listener(facts: &Facts) -> Finding {
    let check = "socket";
    match facts.listener {
        Listener::Daemon => Finding::ok(check, "dockerd holds it itself"),
        Listener::Systemd => {
            Finding::ok(check, "systemd holds it (socket activation); evenkeel does not wake a daemon that was stopped")
        }
        Listener::Remote => Finding::warn(
            check,
            "the engine is reached over TCP: a daemon that goes down is told from a person's stop by pings alone",
            "run evenkeel beside the engine, over its unix socket",
        ),
        Listener::Unknown => Finding::warn(
            check,
            "who holds it cannot be seen: a daemon that goes down can be taken for a person who stops a container",
            "run evenkeel in the host's pid namespace (in a container: pid: host), as root, and without a proxy before the socket",
        ),
    }
}

fn restore(facts: &Facts) -> Finding {
    let says = if facts.live_restore {
        "on: containers outlive the daemon"
    } else {
        "off: containers end with the daemon, and evenkeel starts them again"
    };
    Finding::ok("live-restore", says)
}

fn cgroups(facts: &Facts) -> Finding {
    let Facts { cgroup_version, cgroup_driver, .. } = facts;
    match cgroup_version.as_str() {
        "2" => Finding::ok("cgroups", format!("version 2, driver {cgroup_driver}")),
        version => Finding::warn(
            "cgroups",
            format!("version {version:?}, driver {cgroup_driver}: memory figures are coarser, and new engines give it up"),
            "boot with systemd.unified_cgroup_hierarchy=1",
        ),
    }
}

fn skew(engine: Timestamp, asked: Timestamp, answered: Timestamp) -> Finding {
    let (before, after) = (asked.duration_since(engine), engine.duration_since(answered));
    let off = before.max(after).max(SignedDuration::ZERO);
    if off <= TOLERABLE {
        return Finding::ok("clock", "the engine has the same time");
    }
    Finding::warn(
        "clock",
        format!("the engine's clock is off by {} s: events seem older or newer than they are", off.as_secs()),
        "synchronise both hosts: timedatectl set-ntp true",
    )
}

/// The wall clock against the monotonic one.
pub(super) fn steps(moved: SignedDuration) -> Finding {
    if moved.abs() <= TOLERABLE {
        return Finding::ok("clock steps", "none since the operator was started");
    }
    Finding::warn(
        "clock steps",
        format!(
            "the wall clock has moved by {} s since the operator was started, or the host slept: ages and back-offs are off by as much",
            moved.as_secs()
        ),
        "keep it in step: timedatectl set-ntp true",
    )
}

fn own_warning(warning: &str) -> Finding {
    let text = warning.trim_start_matches("WARNING:").trim();
    let remedy = if text.contains("bridge-nf-call") {
        "sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 (after modprobe br_netfilter)"
    } else if text.contains("swap limit") {
        "boot with swapaccount=1, or leave memswap_limit out"
    } else {
        "this is Docker's own warning: see docker info"
    };
    Finding::warn("engine says", text, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_clock_is_off_only_by_what_asking_does_not_explain() {
        assert_eq!(skew(at(105), at(100), at(110)).result, Verdict::Ok);
        assert_eq!(skew(at(99), at(100), at(101)).result, Verdict::Ok);
        let ahead = skew(at(160), at(100), at(101));
        assert_eq!(ahead.result, Verdict::Warn);
        assert!(ahead.message.contains("59 s"), "{ahead:?}");
        assert!(skew(at(40), at(100), at(101)).message.contains("60 s"));
    }

    #[test]
    fn an_engine_that_is_away_is_told_with_what_to_do() {
        let failure = |kind, message: &str| EngineFailure { kind, message: message.to_owned() };
        let away = unreachable(&failure(FailureKind::Unavailable, "no connection to unix:///x: Permission denied (os error 13)"));
        assert!(away.result == Verdict::Fail && away.remedy.unwrap().contains("group"));
        let away = unreachable(&failure(FailureKind::Unavailable, "no connection: connection refused"));
        assert!(away.remedy.unwrap().contains("systemctl start docker"));
    }
}
