//! The machine's own figures: CPU, memory, load, disks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::counters::rounded;

/// How long a file system may take to say how full it is. One that hangs may never answer.
const DISK_DEADLINE: Duration = Duration::from_secs(2);

/// What the machine uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPoint {
    /// When.
    pub at: Timestamp,
    /// Percent of all CPUs together, 0 to 100, since the reading before.
    pub cpu_percent: f64,
    /// How many CPUs there are.
    #[serde(default)]
    pub cpus: u32,
    /// How many processes ran or waited for a CPU or a disk, over the last minute, five and fifteen.
    pub load: [f64; 3],
    /// Memory that is not available, in bytes.
    pub memory_used_bytes: u64,
    /// All memory, in bytes.
    pub memory_total_bytes: u64,
    /// The file systems that matter, by folder.
    pub disks: Vec<Disk>,
}

/// A file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// A folder on it.
    pub path: String,
    /// In use, in bytes, with what is kept back for root.
    pub used_bytes: u64,
    /// Its size in bytes; 0 while it does not answer.
    pub total_bytes: u64,
    /// Files in use.
    pub used_inodes: u64,
    /// Files it has room for; 0 where it has no such bound.
    pub total_inodes: u64,
}

/// Reads them.
#[derive(Debug)]
pub struct HostReader {
    proc: PathBuf,
    /// Busy and all CPU time at the reading before, in ticks.
    before: Option<(u64, u64)>,
}

impl HostReader {
    /// Of the machine whose processes are at `proc`.
    pub fn at(proc: impl Into<PathBuf>) -> Self {
        Self { proc: proc.into(), before: None }
    }

    /// A reading, with the disks as they were read; `None` where `/proc` says nothing, and at the first time, when there is nothing to
    /// compare with.
    pub fn read(&mut self, at: Timestamp, disks: Vec<Disk>) -> Option<HostPoint> {
        let text = |name: &str| fs::read_to_string(self.proc.join(name)).ok();
        let stat = text("stat")?;
        let now = cpu_ticks(&stat)?;
        let (total, available) = memory(&text("meminfo")?)?;
        let load = load(&text("loadavg")?)?;
        let before = self.before.replace(now)?;
        let passed = now.1.checked_sub(before.1).filter(|passed| *passed > 0)?;
        Some(HostPoint {
            at,
            cpu_percent: rounded(now.0.saturating_sub(before.0) as f64 / passed as f64 * 100.0),
            cpus: cpus(&stat),
            load,
            memory_used_bytes: total.saturating_sub(available),
            memory_total_bytes: total,
            disks,
        })
    }
}

/// Busy and all ticks of all CPUs, from `/proc/stat`.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are counted among user already.
    let all = ticks.get(..8)?.iter().sum::<u64>();
    Some((all - ticks[3] - ticks[4], all))
}

/// How many CPUs there are.
fn cpus(stat: &str) -> u32 {
    let numbered =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    stat.lines().filter(numbered).count().try_into().unwrap_or(u32::MAX)
}

/// Total and available bytes, from `/proc/meminfo`.
fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some((bytes("MemTotal")?, bytes("MemAvailable")?))
}

fn load(loadavg: &str) -> Option<[f64; 3]> {
    let mut figures = loadavg.split_whitespace().map(str::parse);
    Some([figures.next()?.ok()?, figures.next()?.ok()?, figures.next()?.ok()?])
}

/// The file systems of some folders. Each is read beside the rest: one that hangs, as a network's may, holds up nothing else.
#[derive(Debug, Default)]
pub struct Disks(Vec<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// A reading that has not answered yet.
    asked: Option<oneshot::Receiver<Option<(u64, Disk)>>>,
    /// It did not answer in time, which was told.
    hangs: bool,
    /// Its device, as of the last answer.
    device: Option<u64>,
}

impl Disks {
    /// Those of these folders.
    pub fn of(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let folder = |path| Folder { path, asked: None, hangs: false, device: None };
        Self(folders.into_iter().map(folder).collect())
    }

    /// Each file system once, by the first folder on it. One that was there and does not answer is of no size.
    pub async fn read(&mut self) -> Vec<Disk> {
        self.0.iter_mut().for_each(Folder::ask);
        let (now, mut devices, mut disks) = (Instant::now(), BTreeSet::new(), vec![]);
        for folder in &mut self.0 {
            let Some((device, disk)) = folder.answer(now).await else { continue };
            if devices.insert(device) {
                disks.push(disk);
            }
        }
        disks
    }
}

impl Folder {
    fn ask(&mut self) {
        if self.asked.is_some() {
            return;
        }
        let (tell, asked) = oneshot::channel();
        let path = self.path.clone();
        // A thread of its own: the end of the process waits for none that hangs.
        let begun = std::thread::Builder::new().name("disk".to_owned()).spawn(move || {
            // Nobody waits for it any more when the operator ends.
            let _ = tell.send(disk(&path));
        });
        self.asked = begun.ok().map(|_| asked);
    }

    /// What it says, on which device; `None`: it cannot be read.
    async fn answer(&mut self, now: Instant) -> Option<(u64, Disk)> {
        let asked = self.asked.as_mut()?;
        let patience = if self.hangs { Duration::ZERO } else { DISK_DEADLINE };
        let Ok(found) = timeout_at(now + patience, asked).await else {
            if !self.hangs {
                warn!(folder = %self.path.display(), "the file system does not answer; how full it is is not known until it does");
            }
            self.hangs = true;
            let unknown = Disk { path: self.path.display().to_string(), ..Disk::default() };
            return self.device.map(|device| (device, unknown));
        };
        if std::mem::take(&mut self.hangs) {
            info!(folder = %self.path.display(), "the file system answers again");
        }
        self.asked = None;
        let found = found.ok().flatten();
        self.device = found.as_ref().map(|(device, _)| *device);
        found
    }
}

/// How full the file system of a folder is, and its device.
fn disk(folder: &Path) -> Option<(u64, Disk)> {
    let device = rustix::fs::stat(folder).ok()?.st_dev;
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let disk = Disk {
        path: folder.display().to_string(),
        used_bytes: bytes(found.f_blocks.saturating_sub(found.f_bavail)),
        total_bytes: bytes(found.f_blocks),
        used_inodes: found.f_files.saturating_sub(found.f_ffree),
        total_inodes: found.f_files,
    };
    Some((device, disk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        assert_eq!(cpu_ticks("cpu  10 1 5 80 4 0 0 0 0 0\ncpu0 1 2\n"), Some((16, 100)));
        assert_eq!(cpu_ticks("intr 1\n"), None);
        assert_eq!(cpus("cpu  1\ncpu0 1\ncpu1 1\nintr 1\n"), 2);
        assert_eq!(memory("MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   40 kB\n"), Some((102_400, 40_960)));
        assert_eq!(load("0.10 0.20 1.30 1/200 4\n"), Some([0.1, 0.2, 1.3]));
        let (_, disk) = disk(Path::new("/")).unwrap();
        assert!(disk.total_bytes > 0 && disk.used_bytes <= disk.total_bytes, "{disk:?}");
    }

    #[tokio::test]
    async fn a_file_system_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        for folder in [&one, &other] {
            fs::create_dir(folder).unwrap();
        }
        let told = Disks::of([one.clone(), other, "/proc".into(), "/nowhere/at/all".into()]).read().await;
        let told: Vec<&str> = told.iter().map(|disk| disk.path.as_str()).collect();
        assert_eq!(told, [one.to_str().unwrap(), "/proc"]);
    }

    // In real time: threads do not hold up a paused clock.
    #[tokio::test]
    async fn a_file_system_that_hangs_is_of_no_size_and_holds_up_no_other() {
        let mut disks = Disks::of(["/".into(), "/proc".into()]);
        // As a mount whose server is gone: asked once, and never answered.
        let (answers, asked) = oneshot::channel();
        (disks.0[0].asked, disks.0[0].device) = (Some(asked), Some(u64::MAX));
        let told: Vec<(String, bool)> = disks.read().await.into_iter().map(|disk| (disk.path, disk.total_inodes > 0)).collect();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].0.as_str(), told[0].1, told[1].0.as_str()), ("/", false, "/proc"));
        answers.send(disk(Path::new("/"))).unwrap();
        assert!(disks.read().await[0].total_bytes > 0, "it answers again");
    }

    #[test]
    fn the_first_reading_has_nothing_to_compare_with() {
        let mut reader = HostReader::at("/proc");
        assert_eq!(reader.read(Timestamp::UNIX_EPOCH, vec![]), None);
        let again = HostReader { before: Some((0, 1)), ..reader }.read(Timestamp::UNIX_EPOCH, vec![]).unwrap();
        assert!((0.0..=100.0).contains(&again.cpu_percent) && again.memory_total_bytes > 0, "{again:?}");
    }
}
