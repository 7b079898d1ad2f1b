//! What is declared, held against what was sampled. Pure.

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alerts::{Check, Level};
use super::counters::{Point, bytes};
use super::host::{Disk, HostPoint};
use super::past::{Course, usual};
use crate::crd::{Amount, Growth, HostMonitoring, ResourceCause, Rules, Spike, SpikeMetric, Threshold};

/// What is known of a replica now.
#[derive(Debug, Clone, Copy)]
pub struct Figures<'a> {
    /// `service-number`.
    pub name: &'a str,
    /// What it used, if it was sampled this time.
    pub point: Option<&'a Point>,
    /// Bytes of memory that it may use at most; `None`: nobody knows.
    pub memory_limit: Option<u64>,
    /// When its container was started, where that is known.
    pub started_at: Option<Timestamp>,
    /// Whether it runs.
    pub running: bool,
    /// Attempts to bring it back.
    pub restarts: u32,
}

/// What is known of a replica's past.
pub trait Past {
    /// Its samples of the last hour, in order.
    fn recent(&self, replica: &str) -> Vec<Point>;
    /// Its memory, for up to a day: one by one lately, the lowest of each ten minutes before.
    fn memory(&self, replica: &str) -> Vec<(Timestamp, u64)>;
}

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Shown {
    Percent,
    Bytes,
    Rate,
    Number,
}

impl Shown {
    fn text(self, figure: f64) -> String {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
        let whole = figure.max(0.0) as u64;
        match self {
            Self::Percent => format!("{figure:.1}%"),
            Self::Bytes => bytes(whole),
            Self::Rate => format!("{}/s", bytes(whole)),
            Self::Number => format!("{}", (figure * 100.0).round() / 100.0),
        }
    }
}

/// A figure as it is held against thresholds.
struct Metric<'a> {
    metric: &'static str,
    /// With what its message begins.
    what: Cow<'a, str>,
    subject: &'a str,
    shown: Shown,
    figure: Option<f64>,
    /// What 100 percent are; `None`: not known.
    whole: Option<f64>,
    /// What it is called where it is above, and below.
    causes: [ResourceCause; 2],
}

impl Metric<'_> {
    /// A check for each side of a threshold.
    fn against(&self, threshold: &Threshold, lasting: Duration) -> Vec<Check> {
        let sides = [(threshold.above, "above", self.causes[0]), (threshold.below, "below", self.causes[1])];
        let check = |(amount, side, cause): (Option<Amount>, &str, ResourceCause)| {
            let amount = amount?;
            let limit = match amount {
                Amount::Number(number) => Some(number),
                Amount::Percent(_) => self.whole.map(|whole| amount.of(whole)),
            };
            let level = match (self.figure, limit) {
                (Some(figure), Some(limit)) if side == "above" => Level::under(figure, limit, threshold.hysteresis()),
                (Some(figure), Some(limit)) => Level::over(figure, limit, threshold.hysteresis()),
                _ => Level::Unknown,
            };
            let (figure, bound) = self.words(amount);
            let place = if level == Level::Beyond { side.to_owned() } else { format!("not {side}") };
            Some(Check {
                cause,
                metric: self.metric,
                subject: self.subject.to_owned(),
                level,
                lasting,
                severity: threshold.severity,
                message: format!("{} is {figure}, {place} {bound}", self.what),
            })
        };
        sides.into_iter().filter_map(check).collect()
    }

    /// The figure and the threshold in the threshold's own measure.
    fn words(&self, amount: Amount) -> (String, String) {
        let figure = self.figure.unwrap_or_default();
        match (amount, self.shown, self.whole) {
            (Amount::Percent(percent), Shown::Bytes | Shown::Number, Some(whole)) if whole > 0.0 => {
                let share = Shown::Percent.text(figure / whole * 100.0);
                (format!("{} ({share} of {})", self.shown.text(figure), self.shown.text(whole)), format!("{percent}%"))
            }
            (Amount::Percent(percent), ..) => (self.shown.text(figure), format!("{percent}%")),
            (Amount::Number(number), ..) => (self.shown.text(figure), self.shown.text(number)),
        }
    }
}

/// What is found of a replica.
pub fn of_replica(rules: &Rules, figures: &Figures<'_>, past: &impl Past, now: Timestamp) -> Vec<Check> {
    use ResourceCause::{
        HighCpu, HighDiskIo, HighMemory, HighNetwork, HighPids, LowCpu, LowDiskIo, LowMemory, LowNetwork, LowPids, RestartsHigh,
    };
    let name = figures.name;
    let of = |figure: fn(&Point) -> f64| figures.point.map(figure);
    let metric = |metric, what: &str, shown, figure, whole, causes| Metric {
        metric,
        what: format!("{what} of {name}").into(),
        subject: name,
        shown,
        figure,
        whole,
        causes,
    };
    let limit = figures.memory_limit.map(|limit| limit as f64);
    let restarts = Some(f64::from(figures.restarts));
    let running = [
        (&rules.cpu, metric("cpu", "CPU", Shown::Percent, of(|point| point.cpu_percent), Some(100.0), [HighCpu, LowCpu])),
        (&rules.memory, metric("memory", "memory", Shown::Bytes, of(memory), limit, [HighMemory, LowMemory])),
        (&rules.network, metric("network", "network traffic", Shown::Rate, of(network), None, [HighNetwork, LowNetwork])),
        (&rules.disk, metric("disk", "disk I/O", Shown::Rate, of(disk), None, [HighDiskIo, LowDiskIo])),
        (&rules.pids, metric("pids", "number of processes", Shown::Number, of(pids), None, [HighPids, LowPids])),
    ];
    let running = running.iter().filter(|_| figures.running);
    let mut checks: Vec<Check> =
        running.filter_map(|(rule, metric)| rule.as_ref().map(|rule| metric.against(rule, rule.lasting()))).flatten().collect();
    if let Some(rule) = &rules.restarts {
        let metric = metric("restarts", "number of restarts", Shown::Number, restarts, None, [RestartsHigh; 2]);
        // They were made already: there is nothing to wait for.
        checks.extend(metric.against(rule, rule.lasting.unwrap_or_default().0));
    }
    if figures.running {
        checks.extend(rules.spike.iter().flat_map(|spike| spikes(spike, figures, past, now)));
        checks.extend(rules.growth.as_ref().map(|growth| grows(growth, figures, past, now)));
    }
    checks
}

fn memory(point: &Point) -> f64 {
    point.memory_bytes as f64
}

fn network(point: &Point) -> f64 {
    point.network_received_bytes.saturating_add(point.network_sent_bytes) as f64
}

fn disk(point: &Point) -> f64 {
    point.block_read_bytes.saturating_add(point.block_written_bytes) as f64
}

fn pids(point: &Point) -> f64 {
    point.pids as f64
}

/// Below this much more than usual nothing is a spike: percent of a CPU, bytes, bytes a second.
fn least(metric: SpikeMetric) -> f64 {
    match metric {
        SpikeMetric::Cpu => 10.0,
        SpikeMetric::Memory => 32.0 * 1024.0 * 1024.0,
        SpikeMetric::Network => 100.0 * 1024.0,
    }
}

fn spikes(spike: &Spike, figures: &Figures<'_>, past: &impl Past, now: Timestamp) -> Vec<Check> {
    let reach = signed(spike.past.0);
    // What another container used says nothing of this one.
    let mut recent = past.recent(figures.name);
    recent.retain(|point| figures.started_at <= Some(point.at));
    let young = figures.started_at.is_some_and(|started| now.duration_since(started) < reach / 2);
    let check = |metric: &SpikeMetric| {
        let (of, what, shown): (fn(&Point) -> f64, _, _) = match metric {
            SpikeMetric::Cpu => (|point| point.cpu_percent, "CPU", Shown::Percent),
            SpikeMetric::Memory => (memory, "memory", Shown::Bytes),
            SpikeMetric::Network => (network, "network traffic", Shown::Rate),
        };
        let usual = usual(recent.iter().map(|point| (point.at, of(point))), reach, now);
        let figure = figures.point.map(of);
        let limit = usual.map(|usual| (usual * spike.factor).max(usual + least(*metric)));
        let level = match figure.zip(limit) {
            Some((figure, limit)) => Level::under(figure, limit, 0.1),
            None if young => Level::Calm,
            None => Level::Unknown,
        };
        let (now, before) = (shown.text(figure.unwrap_or_default()), shown.text(usual.unwrap_or_default()));
        let message = match usual {
            None if young => format!("{what} of {} is that of a new container", figures.name),
            _ => format!("{what} of {} is {now}, where {before} is usual", figures.name),
        };
        Check {
            cause: ResourceCause::Spike,
            metric: metric.word(),
            subject: figures.name.to_owned(),
            level,
            lasting: spike.lasting.0,
            severity: spike.severity,
            message,
        }
    };
    spike.metrics.iter().map(check).collect()
}

fn grows(growth: &Growth, figures: &Figures<'_>, past: &impl Past, now: Timestamp) -> Check {
    let over = signed(growth.over.0);
    // What another container used says nothing of this one.
    let young = figures.started_at.is_some_and(|started| now.duration_since(started) < over);
    let course = if young { None } else { Course::of(past.memory(figures.name).into_iter(), over, now) };
    let level = match course {
        None if young => Level::Calm,
        None => Level::Unknown,
        Some(course) => course.level(growth.above.0 / 100.0),
    };
    let message = match course {
        None => format!("memory of {} is that of a new container", figures.name),
        Some(Course { from, to, .. }) => {
            let (from, to) = (Shown::Bytes.text(from), Shown::Bytes.text(to));
            format!("memory of {} went from {from} to {to} in {}", figures.name, growth.over)
        }
    };
    Check {
        cause: ResourceCause::MemoryLeak,
        metric: "memory",
        subject: figures.name.to_owned(),
        level,
        lasting: Duration::ZERO,
        severity: growth.severity,
        message,
    }
}

fn signed(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

/// What is found of the host.
pub fn of_host(rules: &HostMonitoring, point: &HostPoint) -> Vec<Check> {
    use ResourceCause::{DiskFilling, HighCpu, HighLoad, HighMemory, InodesFilling, LowCpu, LowMemory};
    let (total, used) = (point.memory_total_bytes as f64, point.memory_used_bytes as f64);
    let metric = |metric, what: &'static str, shown, figure, whole, causes| Metric {
        metric,
        what: what.into(),
        subject: "host",
        shown,
        figure: Some(figure),
        whole: Some(whole),
        causes,
    };
    let whole = [
        (&rules.cpu, metric("cpu", "CPU of the host", Shown::Percent, point.cpu_percent, 100.0, [HighCpu, LowCpu])),
        (&rules.memory, metric("memory", "memory of the host", Shown::Bytes, used, total, [HighMemory, LowMemory])),
        (&rules.load, metric("load", "load of the host", Shown::Number, point.load[1], f64::from(point.cpus), [HighLoad; 2])),
    ];
    let mut checks: Vec<Check> = whole
        .iter()
        .filter_map(|(rule, metric)| rule.as_ref().map(|rule| metric.against(rule, rule.lasting())))
        .flatten()
        .collect();
    for disk in &point.disks {
        let rule = |rule: &Option<Threshold>, metric, what: &str, (used, total): (u64, u64), cause| {
            let rule = rule.as_ref()?;
            let full = (total > 0).then(|| used as f64 / total as f64 * 100.0);
            let metric = Metric {
                metric,
                what: format!("{what} {}", disk.path).into(),
                subject: &disk.path,
                shown: Shown::Percent,
                figure: full,
                whole: Some(100.0),
                causes: [cause; 2],
            };
            Some(metric.against(rule, rule.lasting()))
        };
        let Disk { used_bytes, total_bytes, used_inodes, total_inodes, .. } = *disk;
        checks.extend(
            rule(&rules.disk, "disk", "use of the disk of", (used_bytes, total_bytes), DiskFilling).into_iter().flatten(),
        );
        checks.extend(
            rule(&rules.inodes, "inodes", "use of the files of", (used_inodes, total_inodes), InodesFilling)
                .into_iter()
                .flatten(),
        );
    }
    checks
}

#[cfg(test)]
mod tests;
