//! What was used, kept on disk: a file a day, a line a minute.
//!
//! It stands beside the store of desired state, which must not grow with figures, and it is worth less: a line that cannot be read
//! is skipped, and a disk that is full costs figures, nothing else. Days that are over are thinned out to a line in ten minutes,
//! and the oldest go.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::counters::Point;
use super::host::HostPoint;

/// How many days are kept, today included.
pub const KEPT_DAYS: i64 = 14;

/// Bytes that all days may take. 200 containers fill a day with 25 MB before it is thinned out, then with a tenth.
pub const MOST_BYTES: u64 = 128 * 1024 * 1024;

/// How far apart the lines are of days that are over.
const THINNED: SignedDuration = SignedDuration::from_mins(10);

/// What was used in a minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<HostPoint>,
    /// Replicas, by `namespace/deployment/service-number`.
    pub(super) replicas: BTreeMap<String, Point>,
}

impl Line {
    /// The newest moment in it.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.host.iter().map(|point| point.at).chain(self.replicas.values().map(|point| point.at)).max()
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Days {
    dir: PathBuf,
}

impl Days {
    /// Those in `dir`, which is made when something is written.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Adds a line to the file of its day.
    pub(super) fn append(&self, line: &Line) -> io::Result<()> {
        let Some(at) = line.at() else { return Ok(()) };
        fs::create_dir_all(&self.dir)?;
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // At once, so that a kill leaves a whole line or a torn one that is skipped.
        File::options().create(true).append(true).open(self.file(day_of(at)))?.write_all(&text)
    }

    /// All lines from `since` on, in order, one at a time: fourteen days of many containers do not fit into memory.
    pub(super) fn read(&self, since: Timestamp) -> impl Iterator<Item = Line> + use<> {
        let first = day_of(since);
        let files = self.files().into_iter().filter(move |(day, _)| *day >= first);
        let lines = files.flat_map(|(_, path)| lines(&path));
        lines.filter(move |line| line.at().is_some_and(|at| at >= since))
    }

    /// Thins out what is of an earlier day than `now`, and removes what is too old or too much.
    pub(super) fn tidy(&self, now: Timestamp) -> io::Result<()> {
        let today = day_of(now);
        let oldest = day_of(now - SignedDuration::from_hours(24 * (KEPT_DAYS - 1)));
        let mut left = MOST_BYTES;
        for (day, path) in self.files().into_iter().rev() {
            let size = fs::metadata(&path)?.len();
            if day < oldest || size > left {
                fs::remove_file(&path)?;
                continue;
            }
            left -= size;
            if day < today && path.extension().is_some_and(|extension| extension == FRESH) {
                thin_out(&path)?;
            }
        }
        Ok(())
    }

    fn file(&self, day: Date) -> PathBuf {
        self.dir.join(format!("{day}.{FRESH}"))
    }

    /// The files by day, the oldest first.
    fn files(&self) -> Vec<(Date, PathBuf)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let day = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
        let mut files: Vec<_> = entries.filter_map(|entry| Some((day(&entry.path())?, entry.path()))).collect();
        files.sort();
        files
    }
}

/// Extension of a day as it is written, and of one that was thinned out.
const FRESH: &str = "minutes";
const THIN: &str = "tens";

/// Days are UTC's: the same wherever the operator runs.
fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn lines(path: &PathBuf) -> impl Iterator<Item = Line> + use<> {
    let lines = File::open(path).into_iter().flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok));
    lines.filter_map(|line| serde_json::from_slice(&line).ok())
}

/// Writes a file anew with one line for each ten minutes of it; whatever happens, one of the two is whole.
fn thin_out(path: &PathBuf) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path.with_extension("new"))?);
    let mut write = |lines: &mut Vec<Line>| -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut out, &merged(std::mem::take(lines)))?;
        out.write_all(b"\n")
    };
    // Ten minutes at a time are held. Lines are in order, but for a clock that was set back: then ten minutes may come twice.
    let (mut ten, mut lines_of_it) = (None, vec![]);
    for line in lines(path) {
        let Some(at) = line.at() else { continue };
        if ten.replace(at.as_second() / THINNED.as_secs()) != Some(at.as_second() / THINNED.as_secs()) {
            write(&mut lines_of_it)?;
        }
        lines_of_it.push(line);
    }
    write(&mut lines_of_it)?;
    out.into_inner()?.sync_all()?;
    fs::rename(path.with_extension("new"), path.with_extension(THIN))?;
    fs::remove_file(path)
}

fn merged(lines: Vec<Line>) -> Line {
    let mut host = None;
    let mut replicas: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for line in lines {
        host = line.host.or(host);
        line.replicas.into_iter().for_each(|(name, point)| replicas.entry(name).or_default().push(point));
    }
    let merged = replicas.into_iter().filter_map(|(name, points)| Some((name, Point::merged(&points)?)));
    Line { host, replicas: merged.collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::resources::counters::Counters;

    fn at(minute: i64) -> Timestamp {
        "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }

    fn line(minute: i64, cpu_percent: f64) -> Line {
        let nothing = Counters::default();
        let idle = Point::between(&nothing, &nothing, Duration::from_secs(60), at(minute)).unwrap();
        Line { host: None, replicas: [("default/web/app-1".to_owned(), Point { cpu_percent, ..idle })].into() }
    }

    fn days() -> (tempfile::TempDir, Days) {
        let dir = tempfile::tempdir().unwrap();
        let days = Days::new(dir.path().join("metrics"));
        (dir, days)
    }

    #[test]
    fn what_was_written_is_read_again_and_torn_lines_are_skipped() {
        let (_dir, days) = days();
        for minute in 1..=5 {
            days.append(&line(minute, 1.0)).unwrap();
        }
        File::options().append(true).open(days.file(day_of(at(1)))).unwrap().write_all(b"{\"replicas\":{\"x").unwrap();
        assert_eq!(days.read(at(4)).collect::<Vec<_>>(), [line(4, 1.0), line(5, 1.0)]);
        assert_eq!(days.read(at(0)).count(), 5);
        assert_eq!(days.read(at(6)).count(), 0);
    }

    #[test]
    fn a_day_that_is_over_is_thinned_out_once_and_old_ones_go() {
        let (_dir, days) = days();
        for minute in 1..=30 {
            days.append(&line(minute, minute as f64)).unwrap();
        }
        let next_day = at(24 * 60);
        days.tidy(next_day).unwrap();
        days.tidy(next_day).unwrap();
        let kept = days.read(at(0));
        let cpu = kept.map(|line| line.replicas["default/web/app-1"].cpu_percent).collect::<Vec<_>>();
        // Minutes 1 to 9, 10 to 19, 20 to 29, and 30.
        assert_eq!(cpu, [5.0, 14.5, 24.5, 30.0]);
        days.tidy(at(24 * 60 * KEPT_DAYS)).unwrap();
        assert_eq!(days.read(at(0)).count(), 0);
    }
}
