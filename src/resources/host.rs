//! The machine's own figures: CPU, memory, load, disks.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::counters::rounded;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// A folder on it.
    pub path: String,
    /// In use, in bytes, with what is kept back for root.
    pub used_bytes: u64,
    /// Its size in bytes.
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
    folders: Vec<PathBuf>,
    /// Busy and all CPU time at the reading before, in ticks.
    before: Option<(u64, u64)>,
}

impl HostReader {
    /// Of the machine whose processes are at `proc`, with the file systems of these folders.
    pub fn at(proc: impl Into<PathBuf>, folders: Vec<PathBuf>) -> Self {
        Self { proc: proc.into(), folders, before: None }
    }

    /// A reading; `None` where `/proc` says nothing, and at the first time, when there is nothing to compare with.
    pub fn read(&mut self, at: Timestamp) -> Option<HostPoint> {
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
            disks: disks(&self.folders),
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

/// Each file system once, by the first folder on it.
fn disks(folders: &[PathBuf]) -> Vec<Disk> {
    let mut devices = vec![];
    let first = |folder: &&PathBuf| {
        let device = rustix::fs::stat(folder.as_path()).map(|found| found.st_dev).ok();
        let known = device.is_some_and(|device| devices.contains(&device));
        devices.extend(device);
        !known
    };
    folders.iter().filter(first).filter_map(|folder| disk(folder)).collect()
}

fn disk(folder: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk {
        path: folder.display().to_string(),
        used_bytes: bytes(found.f_blocks.saturating_sub(found.f_bavail)),
        total_bytes: bytes(found.f_blocks),
        used_inodes: found.f_files.saturating_sub(found.f_ffree),
        total_inodes: found.f_files,
    })
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
        let disk = disk(Path::new("/")).unwrap();
        assert!(disk.total_bytes > 0 && disk.used_bytes <= disk.total_bytes, "{disk:?}");
    }

    #[test]
    fn a_file_system_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        for folder in [&one, &other] {
            fs::create_dir(folder).unwrap();
        }
        let told = disks(&[one.clone(), other, "/proc".into(), "/nowhere/at/all".into()]);
        let told: Vec<&str> = told.iter().map(|disk| disk.path.as_str()).collect();
        assert_eq!(told, [one.to_str().unwrap(), "/proc"]);
    }

    #[test]
    fn the_first_reading_has_nothing_to_compare_with() {
        let mut reader = HostReader::at("/proc", vec!["/".into()]);
        assert_eq!(reader.read(Timestamp::UNIX_EPOCH), None);
        let again = HostReader { before: Some((0, 1)), ..reader }.read(Timestamp::UNIX_EPOCH).unwrap();
        assert!((0.0..=100.0).contains(&again.cpu_percent) && again.memory_total_bytes > 0, "{again:?}");
    }
}
