//! Reading a container's counters from the kernel's own files: control groups of both versions, and `/proc`.
//!
//! That costs a few file reads where the engine's `stats` costs a connection and a second. It works where evenkeel sees the
//! machine's own control groups; where it does not, the container is not found, and the engine is asked.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::counters::Counters;

/// The control groups of a machine.
#[derive(Debug)]
pub struct Cgroups {
    /// `/sys/fs/cgroup`.
    root: PathBuf,
    /// `/proc`.
    proc: PathBuf,
    /// Version 2: all controllers in one tree.
    unified: bool,
    /// Where containers were found, by full id.
    places: HashMap<String, Place>,
}

/// Where a container's figures are.
#[derive(Debug, Clone)]
struct Place {
    /// Below the root, in version 1 below each controller.
    path: String,
    /// One of its processes, by which its network is found.
    pid: u32,
}

impl Cgroups {
    /// Those that are mounted at `root`, with processes at `proc`.
    pub fn at(root: impl Into<PathBuf>, proc: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let unified = root.join("cgroup.controllers").exists();
        Self { root, proc: proc.into(), unified, places: HashMap::new() }
    }

    /// The counters of a container that runs, by full id; `None`: it cannot be found here.
    pub fn read(&mut self, id: &str) -> Option<Counters> {
        let known = self.places.get(id).cloned();
        if let Some(counters) = known.and_then(|place| self.read_at(&place).ok()) {
            return Some(counters);
        }
        // It may have been started anew: with other processes, or elsewhere.
        self.places.remove(id);
        let place = self.find(id)?;
        let counters = self.read_at(&place).ok()?;
        self.places.insert(id.to_owned(), place);
        Some(counters)
    }

    /// Forgets where containers are that `wanted` does not name.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.places.retain(|id, _| wanted(id));
    }

    /// As Docker lays them: by its own driver, or by systemd's.
    fn find(&self, id: &str) -> Option<Place> {
        let paths = [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
        paths.into_iter().find_map(|path| {
            let pids = fs::read_to_string(self.file("memory", &path, "cgroup.procs")).ok()?;
            let pid = pids.lines().next()?.trim().parse().ok()?;
            Some(Place { path, pid })
        })
    }

    fn file(&self, controller: &str, path: &str, name: &str) -> PathBuf {
        let tree = if self.unified { self.root.clone() } else { self.root.join(controller) };
        tree.join(path).join(name)
    }

    fn read_at(&self, place: &Place) -> io::Result<Counters> {
        let text = |controller: &str, name: &str| fs::read_to_string(self.file(controller, &place.path, name));
        let (received, sent) = self.network(place.pid)?;
        let mut counters = Counters { network_received_bytes: received, network_sent_bytes: sent, ..Counters::default() };
        counters.pids = number(&text("pids", "pids.current")?);
        if self.unified {
            counters.cpu_nanos = field(&text("cpu", "cpu.stat")?, "usage_usec").saturating_mul(1_000);
            let (used, inactive) = (number(&text("memory", "memory.current")?), text("memory", "memory.stat")?);
            counters.memory_bytes = used.saturating_sub(field(&inactive, "inactive_file"));
            counters.memory_limit_bytes = limit(&text("memory", "memory.max").unwrap_or_default());
            // Absent where the controller is not delegated.
            let io = text("io", "io.stat").unwrap_or_default();
            (counters.block_read_bytes, counters.block_written_bytes) = (pairs(&io, "rbytes="), pairs(&io, "wbytes="));
        } else {
            counters.cpu_nanos = number(&text("cpuacct", "cpuacct.usage")?);
            let (used, inactive) = (number(&text("memory", "memory.usage_in_bytes")?), text("memory", "memory.stat")?);
            counters.memory_bytes = used.saturating_sub(field(&inactive, "total_inactive_file"));
            counters.memory_limit_bytes = limit(&text("memory", "memory.limit_in_bytes").unwrap_or_default());
            let io = text("blkio", "blkio.throttle.io_service_bytes_recursive").unwrap_or_default();
            (counters.block_read_bytes, counters.block_written_bytes) = (operations(&io, "Read"), operations(&io, "Write"));
        }
        Ok(counters)
    }

    /// Bytes received and sent in the network of a process; nothing where that is the machine's own: it is not the container's.
    fn network(&self, pid: u32) -> io::Result<(u64, u64)> {
        let process = self.proc.join(pid.to_string());
        let namespace = |process: &Path| fs::read_link(process.join("ns/net"));
        let own = namespace(&process)?;
        if namespace(&self.proc.join("1")).is_ok_and(|machine| machine == own) {
            return Ok((0, 0));
        }
        Ok(traffic(&fs::read_to_string(process.join("net/dev"))?))
    }
}

/// A file that holds one number; `max` and what cannot be read are 0.
fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_default()
}

/// A limit; 0 where there is none, which version 1 writes as the largest number of whole pages.
fn limit(text: &str) -> u64 {
    Some(number(text)).filter(|limit| *limit < 1 << 62).unwrap_or_default()
}

/// The number after a name, in lines `name number`.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(number).unwrap_or_default()
}

/// The sum of `rbytes=1` over the devices of an `io.stat`.
fn pairs(text: &str, name: &str) -> u64 {
    text.split_whitespace().filter_map(|word| word.strip_prefix(name)).map(number).sum()
}

/// The sum over devices of lines `8:0 Read 1`.
fn operations(text: &str, name: &str) -> u64 {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words.len() == 3 && words[1] == name).map(|words| number(words[2])).sum()
}

/// Received and sent of all devices but the loopback, in a `net/dev`.
fn traffic(text: &str) -> (u64, u64) {
    let devices = text.lines().filter_map(|line| line.split_once(':')).filter(|(device, _)| device.trim() != "lo");
    devices.fold((0, 0), |(received, sent), (_, figures)| {
        let figures: Vec<u64> = figures.split_whitespace().map(number).collect();
        let at = |index: usize| figures.get(index).copied().unwrap_or_default();
        (received + at(0), sent + at(8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const NET_DEV: &str = "Inter-|   Receive |  Transmit\n face |bytes packets\n    lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n  \
                           eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n  eth1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";

    fn lay(root: &Path, files: &[(String, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn process(root: &Path, pid: u32, namespace: &str) {
        fs::create_dir_all(root.join(format!("proc/{pid}/ns"))).unwrap();
        std::os::unix::fs::symlink(namespace, root.join(format!("proc/{pid}/ns/net"))).unwrap();
        lay(root, &[(format!("proc/{pid}/net/dev"), NET_DEV)]);
    }

    #[test]
    fn version_two_is_read_as_systemd_lays_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("cg/system.slice/docker-{ID}.scope/{name}");
        lay(
            dir.path(),
            &[
                ("cg/cgroup.controllers".into(), "cpu memory"),
                (at("cgroup.procs"), "42\n43\n"),
                (at("cpu.stat"), "usage_usec 2500\nuser_usec 1\n"),
                (at("memory.current"), "1000\n"),
                (at("memory.stat"), "anon 1\ninactive_file 400\n"),
                (at("memory.max"), "4096\n"),
                (at("io.stat"), "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n"),
                (at("pids.current"), "2\n"),
            ],
        );
        process(dir.path(), 42, "net:[2]");
        process(dir.path(), 1, "net:[1]");
        let read = Cgroups::at(dir.path().join("cg"), dir.path().join("proc")).read(ID).unwrap();
        let wanted = Counters {
            cpu_nanos: 2_500_000,
            memory_bytes: 600,
            memory_limit_bytes: 4096,
            network_received_bytes: 101,
            network_sent_bytes: 202,
            block_read_bytes: 11,
            block_written_bytes: 22,
            pids: 2,
        };
        assert_eq!(read, wanted);
    }

    #[test]
    fn version_one_is_read_as_docker_lays_it_and_the_machines_network_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let at = |controller: &str, name: &str| format!("cg/{controller}/docker/{ID}/{name}");
        lay(
            dir.path(),
            &[
                (at("memory", "cgroup.procs"), "42\n"),
                (at("cpuacct", "cpuacct.usage"), "77\n"),
                (at("memory", "memory.usage_in_bytes"), "1000\n"),
                (at("memory", "memory.limit_in_bytes"), "9223372036854771712\n"),
                (at("memory", "memory.stat"), "inactive_file 1\ntotal_inactive_file 300\n"),
                (at("blkio", "blkio.throttle.io_service_bytes_recursive"), "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n"),
                (at("pids", "pids.current"), "1\n"),
            ],
        );
        process(dir.path(), 42, "net:[1]");
        process(dir.path(), 1, "net:[1]");
        let mut cgroups = Cgroups::at(dir.path().join("cg"), dir.path().join("proc"));
        let read = cgroups.read(ID).unwrap();
        assert_eq!((read.cpu_nanos, read.memory_bytes, read.memory_limit_bytes, read.pids), (77, 700, 0, 1));
        assert_eq!((read.network_sent_bytes, read.block_read_bytes, read.block_written_bytes), (0, 5, 6));

        fs::remove_dir_all(dir.path().join("cg/memory/docker")).unwrap();
        assert_eq!(cgroups.read(ID), None, "it has ended");
    }
}
