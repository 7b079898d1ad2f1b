//! What a container has used so far, and what two readings say of the time between. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One reading. The sums run since the container was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// CPU time, in nanoseconds.
    pub cpu_nanos: u64,
    /// Working set in bytes: memory without the page cache that can be taken back at once.
    pub memory_bytes: u64,
    /// What it may use at most, in bytes; 0: no limit of its own.
    pub memory_limit_bytes: u64,
    /// Received over its networks, in bytes.
    pub network_received_bytes: u64,
    /// Sent over its networks, in bytes.
    pub network_sent_bytes: u64,
    /// Read from block devices, in bytes.
    pub block_read_bytes: u64,
    /// Written to block devices, in bytes.
    pub block_written_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// What was used around one moment: over the ten seconds, the minute or the ten minutes before it. Rates are per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The end of that time.
    pub at: Timestamp,
    /// Percent of one CPU; two busy CPUs are 200.
    pub cpu_percent: f64,
    /// Working set in bytes; over a longer time, the largest.
    pub memory_bytes: u64,
    /// Bytes received per second.
    pub network_received_bytes: u64,
    /// Bytes sent per second.
    pub network_sent_bytes: u64,
    /// Bytes read from block devices per second.
    pub block_read_bytes: u64,
    /// Bytes written to block devices per second.
    pub block_written_bytes: u64,
    /// Processes and threads; over a longer time, the most.
    pub pids: u64,
}

impl Point {
    /// What was used between two readings, `passed` apart. `None` where no time passed, or a sum went back: the container was started
    /// anew between them.
    pub fn between(before: &Counters, now: &Counters, passed: Duration, at: Timestamp) -> Option<Self> {
        let seconds = Some(passed.as_secs_f64()).filter(|seconds| *seconds > 0.0)?;
        let rate = |before: u64, now: u64| now.checked_sub(before).map(|difference| difference as f64 / seconds);
        let whole = |before: u64, now: u64| rate(before, now).map(|rate| rate.round() as u64);
        Some(Self {
            at,
            // Nanoseconds a second are 1e-9 of a CPU, in percent 1e-7.
            cpu_percent: rounded(rate(before.cpu_nanos, now.cpu_nanos)? / 1e7),
            memory_bytes: now.memory_bytes,
            network_received_bytes: whole(before.network_received_bytes, now.network_received_bytes)?,
            network_sent_bytes: whole(before.network_sent_bytes, now.network_sent_bytes)?,
            block_read_bytes: whole(before.block_read_bytes, now.block_read_bytes)?,
            block_written_bytes: whole(before.block_written_bytes, now.block_written_bytes)?,
            pids: now.pids,
        })
    }

    /// One point for several of equal length, dated as the last: rates are their mean, memory and processes their maximum.
    pub fn merged(points: &[Self]) -> Option<Self> {
        let last = points.last()?;
        let count = points.len() as f64;
        let mean = |of: fn(&Self) -> u64| (points.iter().map(|point| of(point) as f64).sum::<f64>() / count).round() as u64;
        let most = |of: fn(&Self) -> u64| points.iter().map(of).max().unwrap_or_default();
        Some(Self {
            at: last.at,
            cpu_percent: rounded(points.iter().map(|point| point.cpu_percent).sum::<f64>() / count),
            memory_bytes: most(|point| point.memory_bytes),
            network_received_bytes: mean(|point| point.network_received_bytes),
            network_sent_bytes: mean(|point| point.network_sent_bytes),
            block_read_bytes: mean(|point| point.block_read_bytes),
            block_written_bytes: mean(|point| point.block_written_bytes),
            pids: most(|point| point.pids),
        })
    }
}

/// Two decimals: what is shown, and what is worth its place on disk.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// `312B`, `4.2MiB`, `1.9GiB`.
pub fn bytes(count: u64) -> String {
    let mut figure = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if figure < 1000.0 {
            return if unit == "B" || figure >= 100.0 { format!("{figure:.0}{unit}") } else { format!("{figure:.1}{unit}") };
        }
        figure /= 1024.0;
    }
    format!("{figure:.1}TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn rates_are_per_second_and_cpu_is_percent_of_one() {
        let before = Counters { cpu_nanos: 1_000_000_000, network_sent_bytes: 10, ..Counters::default() };
        let now = Counters { cpu_nanos: 16_000_000_000, network_sent_bytes: 1_010, memory_bytes: 7, pids: 3, ..before };
        let point = Point::between(&before, &now, TEN, at(10)).unwrap();
        assert_eq!((point.cpu_percent, point.network_sent_bytes, point.memory_bytes, point.pids), (150.0, 100, 7, 3));
    }

    #[test]
    fn a_container_that_was_started_anew_begins_anew() {
        let before = Counters { cpu_nanos: 5, ..Counters::default() };
        assert_eq!(Point::between(&before, &Counters::default(), TEN, at(10)), None);
        assert_eq!(Point::between(&before, &before, Duration::ZERO, at(0)), None);
    }

    #[test]
    fn points_are_merged_to_their_mean_and_the_most_of_memory() {
        let point = |second, cpu_percent, memory_bytes| {
            let idle = Point::between(&Counters::default(), &Counters::default(), TEN, at(second)).unwrap();
            Point { cpu_percent, memory_bytes, ..idle }
        };
        let merged = Point::merged(&[point(10, 10.0, 5), point(20, 20.0, 9), point(30, 0.0, 2)]).unwrap();
        assert_eq!((merged.at, merged.cpu_percent, merged.memory_bytes), (at(30), 10.0, 9));
        assert_eq!(Point::merged(&[]), None);
    }

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        for (count, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0KiB"),
            (4_404_019, "4.2MiB"),
            (536_870_912, "512MiB"),
            (2_u64.pow(41), "2.0TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
