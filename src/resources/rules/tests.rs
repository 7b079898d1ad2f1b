use std::time::Duration;

use serde_json::json;

use super::*;
use crate::resources::counters::Counters;

fn at(second: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn point(second: i64, cpu_percent: f64, memory_bytes: u64) -> Point {
    let (before, now) = (Counters::default(), Counters { network_received_bytes: 10 * 1024, pids: 7, ..Counters::default() });
    let point = Point::between(&before, &now, Duration::from_secs(10), at(second)).unwrap();
    Point { cpu_percent, memory_bytes, ..point }
}

/// What the last hour was like.
struct Remembered(Vec<Point>);

impl Past for Remembered {
    fn recent(&self, _: &str) -> Vec<Point> {
        self.0.clone()
    }

    fn memory(&self, _: &str) -> Vec<(Timestamp, u64)> {
        self.0.iter().map(|point| (point.at, point.memory_bytes)).collect()
    }
}

fn figures(point: &Point) -> Figures<'_> {
    Figures {
        name: "app-1",
        point: Some(point),
        memory_limit: Some(1 << 30),
        started_at: Some(at(-1)),
        running: true,
        restarts: 4,
    }
}

/// Cause, level and message of each check.
fn found(rules: serde_json::Value, figures: &Figures<'_>, past: &[Point], now: i64) -> Vec<(String, Level, String)> {
    let rules: Rules = serde_json::from_value(rules).unwrap();
    let checks = of_replica(&rules, figures, &Remembered(past.to_vec()), at(now));
    checks.into_iter().map(|check| (check.cause.to_string(), check.level, check.message)).collect()
}

#[test]
fn figures_are_held_against_thresholds_in_their_own_measure() {
    let now = point(0, 97.26, 1000 << 20);
    let rules = json!({
        "cpu": {"above": "80%", "below": "5%"}, "memory": {"above": "90%"}, "network": {"above": "10MiB"}, "disk": {"below": "1KiB"},
        "pids": {"above": 6}, "restarts": {"above": 3},
    });
    let told = |cause: &str, level, message: &str| (cause.to_owned(), level, message.to_owned());
    assert_eq!(
        found(rules, &figures(&now), &[], 0),
        [
            told("HighCpu", Level::Beyond, "CPU of app-1 is 97.3%, above 80%"),
            told("LowCpu", Level::Calm, "CPU of app-1 is 97.3%, not below 5%"),
            told("HighMemory", Level::Beyond, "memory of app-1 is 1.0GiB (97.7% of 1.0GiB), above 90%"),
            told("HighNetwork", Level::Calm, "network traffic of app-1 is 1.0KiB/s, not above 10.0MiB/s"),
            told("LowDiskIo", Level::Beyond, "disk I/O of app-1 is 0B/s, below 1.0KiB/s"),
            told("HighPids", Level::Beyond, "number of processes of app-1 is 7, above 6"),
            told("RestartsHigh", Level::Beyond, "number of restarts of app-1 is 4, above 3"),
        ]
    );
}

#[test]
fn what_was_not_measured_is_unknown_and_what_does_not_run_is_not_asked() {
    let now = point(0, 50.0, 1);
    let rules =
        || json!({"cpu": {"above": "80%"}, "memory": {"above": "90%"}, "restarts": {"above": 3}, "spike": {}, "growth": {}});
    let levels =
        |figures: &Figures<'_>| found(rules(), figures, &[], 0).into_iter().map(|(_, level, _)| level).collect::<Vec<_>>();
    let unmeasured = Figures { point: None, started_at: Some(at(-100_000)), ..figures(&now) };
    let (unknown, beyond) = (Level::Unknown, Level::Beyond);
    assert_eq!(levels(&unmeasured), [unknown, unknown, beyond, unknown, unknown, unknown, unknown]);
    let unlimited = Figures { memory_limit: None, ..figures(&now) };
    assert_eq!(levels(&unlimited)[..2], [Level::Calm, unknown]);
    let ended = Figures { running: false, ..figures(&now) };
    assert_eq!(levels(&ended), [beyond]);
}

#[test]
fn a_spike_is_much_more_than_the_container_used_before() {
    let past: Vec<Point> = (0..360).map(|step| point(step * 10, 5.0, 100 << 20)).collect();
    let level = |cpu: f64, memory: u64| {
        let now = point(3600, cpu, memory << 20);
        let found = found(json!({"spike": {"factor": 3}}), &figures(&now), &past, 3600);
        (found[0].1, found[1].1, found[0].2.clone())
    };
    assert_eq!(level(14.9, 120), (Level::Near, Level::Calm, "CPU of app-1 is 14.9%, where 5.0% is usual".to_owned()));
    assert_eq!(level(16.0, 301).0, Level::Beyond);
    assert_eq!(level(16.0, 301).1, Level::Beyond);
    assert_eq!(level(15.0, 299).0, Level::Near, "three times little is little");
}

#[test]
fn what_another_container_used_is_not_usual_for_this_one() {
    let past: Vec<Point> = (0..360).map(|step| point(step * 10, 5.0, 100 << 20)).collect();
    let now = point(3600, 90.0, 900 << 20);
    let replaced = Figures { started_at: Some(at(3595)), ..figures(&now) };
    let found = found(json!({"spike": {}}), &replaced, &past, 3600);
    assert_eq!((found[0].1, found[0].2.as_str()), (Level::Calm, "CPU of app-1 is that of a new container"));
}

#[test]
fn memory_that_only_grows_is_told_once_the_container_is_old_enough() {
    let past: Vec<Point> = (0..=360).map(|step| point(step * 10, 5.0, (100 << 20) + step as u64 * (1 << 20))).collect();
    let rules = || json!({"growth": {"above": "50%", "over": "1h"}});
    let now = point(3600, 5.0, 460 << 20);
    let old = found(rules(), &figures(&now), &past, 3600);
    assert_eq!((old[0].0.as_str(), old[0].1), ("MemoryLeak", Level::Beyond));
    assert_eq!(old[0].2, "memory of app-1 went from 100MiB to 400MiB in 1h");
    let young = Figures { started_at: Some(at(1)), ..figures(&now) };
    assert_eq!(found(rules(), &young, &past, 3600)[0].1, Level::Calm);
}

#[test]
fn the_host_is_watched_by_file_system() {
    let disk = |path: &str, used: u64, files: u64| Disk {
        path: path.into(),
        used_bytes: used,
        total_bytes: 100,
        used_inodes: files,
        total_inodes: if files == 0 { 0 } else { 100 },
    };
    let host = HostPoint {
        at: at(0),
        cpu_percent: 99.0,
        cpus: 4,
        load: [1.0, 9.0, 3.0],
        memory_used_bytes: 3 << 30,
        memory_total_bytes: 4 << 30,
        disks: vec![disk("/var/lib/docker", 91, 95), disk("/srv", 85, 0)],
    };
    let found = |rules: &str| -> Vec<(String, Level)> {
        let checks = of_host(&rules.parse().unwrap(), &host);
        checks.into_iter().map(|check| (format!("{} {}", check.cause, check.subject), check.level)).collect()
    };
    let told = |cause: &str, level| (cause.to_owned(), level);
    assert_eq!(
        found("{}"),
        [
            told("DiskFilling /var/lib/docker", Level::Beyond),
            told("InodesFilling /var/lib/docker", Level::Beyond),
            told("DiskFilling /srv", Level::Near),
            told("InodesFilling /srv", Level::Unknown),
        ]
    );
    let more = found("{cpu: {above: 90%}, memory: {above: 2GiB}, load: {above: 200%}}");
    assert_eq!(
        more[..3],
        [told("HighCpu host", Level::Beyond), told("HighMemory host", Level::Beyond), told("HighLoad host", Level::Beyond)]
    );
    let load = of_host(&"{load: {above: 200%}}".parse().unwrap(), &host).remove(0);
    assert_eq!(load.message, "load of the host is 9 (225.0% of 4), above 200%");
    let disk = of_host(&HostMonitoring::default(), &host).remove(0);
    assert_eq!(disk.message, "use of the disk of /var/lib/docker is 91.0%, above 90%");
}
