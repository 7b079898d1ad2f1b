//! What was used lately, in memory: every sample of the last hour, and how low memory went in each ten minutes of the last day.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tracing::warn;

use super::counters::Point;
use super::days::{Days, Line};
use super::host::HostPoint;
use super::rules::Past;
use crate::crd::ResourceAlert;
use crate::model::{Key, ReplicaId};

/// Between two samples, where nothing else is set.
pub const PERIOD: Duration = Duration::from_secs(10);

/// How long every sample is kept.
const FINE: SignedDuration = SignedDuration::from_hours(1);

/// Samples of that time, as they are taken by default: room for them is made at once, and not for twice as many.
const HOUR: usize = 362;

/// How long it is known how low memory went, and in which steps.
const COARSE: SignedDuration = SignedDuration::from_hours(24);
const STEP: SignedDuration = SignedDuration::from_mins(10);

/// All that is known of what was used: the last hour by the sample, days by the minute. Shared by who samples and who asks.
#[derive(Debug)]
pub struct History {
    recent: RwLock<Recent>,
    days: Days,
    /// Between two samples.
    period: OnceLock<Duration>,
    /// What is beyond a threshold of the machine.
    alerts: watch::Sender<Vec<ResourceAlert>>,
}

#[derive(Debug, Default)]
struct Recent {
    replicas: BTreeMap<String, VecDeque<Point>>,
    /// The lowest memory in each step before that, dated by its last sample.
    floors: BTreeMap<String, VecDeque<(Timestamp, u64)>>,
    host: VecDeque<HostPoint>,
    /// From when on every sample is here.
    began: Option<Timestamp>,
    /// Up to when it is on disk.
    written: Option<Timestamp>,
}

/// One moment of everything.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) host: Option<HostPoint>,
    pub(super) replicas: Vec<(String, Point)>,
}

/// How a replica is called here.
pub fn name_of(key: &Key, replica: &ReplicaId) -> String {
    format!("{key}/{replica}")
}

impl History {
    /// With days in this folder.
    pub fn new(dir: PathBuf) -> Self {
        Self { recent: RwLock::default(), days: Days::new(dir), period: OnceLock::new(), alerts: watch::Sender::new(vec![]) }
    }

    /// What the replicas of a Deployment used since then, in order: samples where they are still known, minutes before that. Reads
    /// files where memory does not reach back far enough.
    pub fn of(&self, key: &Key, since: Timestamp) -> BTreeMap<String, Vec<Point>> {
        let prefix = format!("{key}/");
        let fine: BTreeMap<String, Vec<Point>> = {
            let recent = self.read();
            let ours = recent.replicas.iter().filter_map(|(name, points)| Some((name.strip_prefix(&prefix)?, points)));
            let later = |points: &VecDeque<Point>| points.iter().filter(|point| point.at >= since).copied().collect();
            ours.map(|(name, points)| (name.to_owned(), later(points))).collect()
        };
        let mut all: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        for line in self.lines_before_memory(since).into_iter().flatten() {
            for (name, point) in line.replicas {
                let Some(name) = name.strip_prefix(&prefix) else { continue };
                let known = fine.get(name).and_then(|points| points.first());
                if known.is_none_or(|first| point.at < first.at) {
                    all.entry(name.to_owned()).or_default().push(point);
                }
            }
        }
        for (name, points) in fine {
            all.entry(name).or_default().extend(points);
        }
        all.retain(|_, points| !points.is_empty());
        all
    }

    /// The same of the machine.
    pub fn host(&self, since: Timestamp) -> Vec<HostPoint> {
        let fine: Vec<HostPoint> = self.read().host.iter().filter(|point| point.at >= since).cloned().collect();
        let first = fine.first().map_or(Timestamp::MAX, |point| point.at);
        let older = self.lines_before_memory(since).into_iter().flatten().filter_map(|line| line.host);
        let mut points: Vec<HostPoint> = older.filter(|point| point.at < first).collect();
        points.extend(fine);
        points
    }

    /// The machine, when it was last sampled.
    pub fn host_now(&self) -> Option<HostPoint> {
        self.read().host.back().cloned()
    }

    /// The newest point of each replica that was sampled after `since`.
    pub fn latest(&self, since: Timestamp) -> BTreeMap<String, Point> {
        let recent = self.read();
        let newest = recent.replicas.iter().filter_map(|(name, points)| Some((name.clone(), *points.back()?)));
        newest.filter(|(_, point)| point.at > since).collect()
    }

    /// The lines since then, where memory does not reach back as far.
    fn lines_before_memory(&self, since: Timestamp) -> Option<impl Iterator<Item = Line>> {
        let reaches = self.read().began.is_some_and(|began| began <= since);
        (!reaches).then(|| self.days.read(since))
    }

    /// Between two samples.
    pub fn period(&self) -> Duration {
        *self.period.get_or_init(|| PERIOD)
    }

    /// Says how long it is between two samples; once.
    pub(super) fn sampled_every(&self, period: Duration) {
        self.period.get_or_init(|| period);
    }

    /// What of the machine is beyond a threshold, now and whenever that changes.
    pub fn host_alerts(&self) -> watch::Receiver<Vec<ResourceAlert>> {
        self.alerts.subscribe()
    }

    /// Says what of the machine is beyond a threshold.
    pub(super) fn set_host_alerts(&self, alerts: &[ResourceAlert]) {
        self.alerts.send_if_modified(|known| {
            let changed = known != alerts;
            alerts.clone_into(known);
            changed
        });
    }

    /// Reads what the operator before wrote of the last day. Blocks.
    pub(super) fn warm_up(&self, now: Timestamp) {
        for line in self.days.read(now - COARSE) {
            let Some(at) = line.at().filter(|at| *at <= now) else { continue };
            self.write().keep(at, Sample { host: line.host, replicas: line.replicas.into_iter().collect() });
        }
    }

    /// Takes in a sample. Returns the minute that is over with it, if one is, for [`History::write_down`].
    pub(super) fn take(&self, now: Timestamp, sample: Sample) -> Option<Line> {
        let mut recent = self.write();
        recent.add(now, sample);
        recent.minute_over(now)
    }

    /// Writes down a minute. Blocks.
    pub(super) fn write_down(&self, line: &Line) {
        if let Err(error) = self.days.append(line) {
            warn!(%error, "what was used in the last minute cannot be written; it is not kept");
        }
    }

    /// Thins out and removes what is old on disk.
    pub(super) fn tidy(&self, now: Timestamp) {
        if let Err(error) = self.days.tidy(now) {
            warn!(%error, "old figures of what was used cannot be tidied up; tried again in an hour");
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Recent> {
        self.recent.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn add(&mut self, now: Timestamp, sample: Sample) {
        self.began = Some(self.began.map_or(now, |began| began.max(now - FINE)));
        self.keep(now, sample);
    }

    fn keep(&mut self, now: Timestamp, sample: Sample) {
        self.host.extend(sample.host);
        for (name, point) in sample.replicas {
            self.replicas.entry(name).or_insert_with(|| VecDeque::with_capacity(HOUR)).push_back(point);
        }
        let (oldest, floors) = (now - FINE, &mut self.floors);
        self.host.retain(|point| (oldest..=now).contains(&point.at));
        self.replicas.retain(|name, points| {
            // Those of the future are of a clock that was set back since.
            while let Some(point) = points.pop_front_if(|point| point.at < oldest || point.at > now) {
                lower(floors.entry(name.clone()).or_default(), &point);
            }
            !points.is_empty()
        });
        floors.retain(|_, floors| {
            while floors.pop_front_if(|(at, _)| *at < now - COARSE || *at > now).is_some() {}
            !floors.is_empty()
        });
    }

    /// What was used since the last line, once that is a minute ago.
    fn minute_over(&mut self, now: Timestamp) -> Option<Line> {
        let since = self.written.map_or(now, |written| written.min(now));
        self.written = Some(since);
        if now.duration_since(since) < SignedDuration::from_mins(1) {
            return None;
        }
        self.written = Some(now);
        let minute = |points: &VecDeque<Point>| {
            let points: Vec<Point> = points.iter().filter(|point| point.at > since).copied().collect();
            Point::merged(&points)
        };
        let replicas = self.replicas.iter().filter_map(|(name, points)| Some((name.clone(), minute(points)?)));
        let host = self.host.back().filter(|point| point.at > since).cloned();
        Some(Line { replicas: replicas.collect(), host })
    }
}

/// Takes a sample into the lowest of its step.
fn lower(floors: &mut VecDeque<(Timestamp, u64)>, point: &Point) {
    let step = |at: Timestamp| at.as_second() / STEP.as_secs();
    match floors.back_mut() {
        Some((at, low)) if step(*at) == step(point.at) => (*at, *low) = (point.at, point.memory_bytes.min(*low)),
        _ => floors.push_back((point.at, point.memory_bytes)),
    }
}

/// The past of a Deployment's replicas.
impl Past for (&History, &Key) {
    fn recent(&self, replica: &str) -> Vec<Point> {
        let (history, key) = self;
        history.read().replicas.get(&format!("{key}/{replica}")).into_iter().flatten().copied().collect()
    }

    fn memory(&self, replica: &str) -> Vec<(Timestamp, u64)> {
        let (history, key) = self;
        let (recent, name) = (history.read(), format!("{key}/{replica}"));
        let fine = recent.replicas.get(&name).into_iter().flatten().map(|point| (point.at, point.memory_bytes));
        recent.floors.get(&name).into_iter().flatten().copied().chain(fine).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::counters::Counters;

    fn at(second: i64) -> Timestamp {
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
    }

    fn play(history: &History, seconds: std::ops::Range<i64>) {
        let nothing = Counters::default();
        for second in seconds.step_by(10) {
            let idle = Point::between(&nothing, &nothing, Duration::from_secs(10), at(second)).unwrap();
            let point = Point { cpu_percent: 30.0, pids: 1, ..idle };
            let line = history.take(at(second), Sample { host: None, replicas: vec![("default/web/app-1".into(), point)] });
            line.iter().for_each(|line| history.write_down(line));
        }
    }

    fn of_app(history: &History, since: Timestamp) -> Vec<Point> {
        history.of(&Key::new("default", "web"), since).remove("app-1").unwrap_or_default()
    }

    #[test]
    fn the_last_hour_is_known_by_the_sample_and_what_was_before_by_the_minute() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path().join("metrics"));
        play(&history, 0..2 * 3600);
        let points = of_app(&history, at(0));
        let fine = points.iter().filter(|point| point.at >= at(3600)).count();
        assert!((355..=361).contains(&fine), "{fine}");
        assert!((57..=60).contains(&(points.len() - fine)), "{} in the hour before", points.len() - fine);
        assert!(points.windows(2).all(|pair| pair[0].at < pair[1].at), "in order");
        assert_eq!(of_app(&history, at(7100)).len(), 10);
        assert!(history.of(&Key::new("default", "we"), at(0)).is_empty());
    }

    #[test]
    fn an_operator_that_is_started_anew_knows_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        play(&History::new(dir.path().join("metrics")), 0..600);
        let history = History::new(dir.path().join("metrics"));
        let points = of_app(&history, at(0));
        assert!(points.len() >= 8, "{points:?}");
        assert!(points.iter().all(|point| (point.cpu_percent - 30.0).abs() < 0.01));
        assert!(history.latest(at(0)).is_empty(), "nothing is known of now");
    }

    #[test]
    fn memory_is_known_for_a_day_and_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path().join("metrics"));
        play(&history, 0..5 * 3600);
        let key = Key::new("default", "web");
        let known = (&history, &key).memory("app-1");
        assert!((24 + 360..=26 + 361).contains(&known.len()), "{}", known.len());
        assert!(known.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");

        let again = History::new(dir.path().join("metrics"));
        again.warm_up(at(5 * 3600));
        let known = (&again, &key).memory("app-1");
        assert!((24 + 55..=26 + 61).contains(&known.len()), "{}", known.len());
        assert!(known[0].0 < at(1200) && known.last().unwrap().0 > at(5 * 3600 - 100), "{known:?}");
        assert!((&again, &key).recent("app-1").len() > 50 && (&again, &key).recent("app-2").is_empty());
        assert!(again.latest(at(5 * 3600)).is_empty(), "nothing is known of now");
        assert!(of_app(&again, at(0)).len() > 290, "what is read is not told twice");
        play(&again, 29 * 3600..29 * 3600 + 10);
        assert_eq!((&again, &key).memory("app-1").len(), 1, "a day later it is forgotten");
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_figures_only() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("metrics"), "a file").unwrap();
        let history = History::new(dir.path().join("metrics"));
        play(&history, 0..600);
        assert_eq!(of_app(&history, at(590)).len(), 1);
    }
}
