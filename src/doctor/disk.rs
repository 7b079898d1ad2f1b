//! Folders: whether they can be written to, and how much room is left.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Finding, mounts};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    bytes: u64,
    free_bytes: u64,
    inodes: u64,
    free_inodes: u64,
}

impl Room {
    fn at(path: &Path) -> Result<Self, String> {
        let seen = rustix::fs::statvfs(path).map_err(|error| format!("{}: {}", path.display(), std::io::Error::from(error)))?;
        let size = seen.f_frsize;
        Ok(Self {
            bytes: seen.f_blocks * size,
            free_bytes: seen.f_bavail * size,
            inodes: seen.f_files,
            free_inodes: seen.f_favail,
        })
    }

    /// Some file systems make inodes as they need them, and say that there are none.
    fn few_inodes(self, percent: u64) -> bool {
        self.inodes > 0 && self.free_inodes * 100 < self.inodes * percent
    }

    fn few_bytes(self, percent: u64, least: u64) -> bool {
        self.free_bytes < least || (self.free_bytes * 100 < self.bytes * percent && self.free_bytes < 10 * GIB)
    }

    fn in_words(self) -> String {
        let inodes = match self.inodes {
            0 => String::new(),
            inodes => format!(", {}% of inodes", self.free_inodes * 100 / inodes),
        };
        let free = match self.free_bytes {
            bytes if bytes >= 10 * GIB => format!("{} GiB", bytes / GIB),
            bytes => format!("{} MiB", bytes / MIB),
        };
        format!("{free} free ({}%){inodes}", self.free_bytes * 100 / self.bytes.max(1))
    }
}

/// The operator's data folder.
pub(super) fn data_folder(path: &Path) -> Finding {
    let check = "data folder";
    let place = path.display();
    if !path.is_dir() {
        let remedy = "`evenkeel run` makes it; if it has run elsewhere, name that folder with --data-dir";
        return Finding::warn(check, format!("{place} is not there"), remedy);
    }
    if let Err(error) = try_write(path) {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "run as the operator's user, or give the folder to it: chown -R USER".to_owned()
            }
            std::io::ErrorKind::StorageFull => format!("free space: {place} takes no more"),
            _ => "see the kernel's log (dmesg) for its disk".to_owned(),
        };
        return Finding::fail(check, format!("{place} cannot be written to: {error}"), remedy);
    }
    let room = match Room::at(path) {
        Ok(room) => room,
        Err(error) => return Finding::warn(check, format!("how full it is cannot be seen: {error}"), "look with df"),
    };
    let kind = mounts::file_system(path).unwrap_or_else(|| "an unknown file system".to_owned());
    let says = format!("{place} can be written to, {} on {kind}", room.in_words());
    match kind.as_str() {
        _ if room.few_bytes(5, 100 * MIB) || room.few_inodes(5) => {
            Finding::warn(check, says, "free space, or move it with --data-dir")
        }
        "tmpfs" | "ramfs" => Finding::warn(check, says, "all is lost at the next boot: put it on a disk with --data-dir"),
        "overlay" => Finding::warn(check, says, "all is lost with this container: mount a volume there"),
        kind if kind.starts_with("nfs") || kind.starts_with("fuse") || matches!(kind, "cifs" | "smb3" | "9p") => {
            Finding::warn(check, says, "locks and fsync are not to be relied on there: put it on a disk of this host")
        }
        _ => Finding::ok(check, says),
    }
}

/// Writes, syncs and removes a small file, which nobody shares who tries it at the same time.
fn try_write(folder: &Path) -> std::io::Result<()> {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    let path = folder.join(format!(".doctor-{}-{}", std::process::id(), TRIES.fetch_add(1, Ordering::Relaxed)));
    let written = File::create(&path).and_then(|mut file| file.write_all(b"evenkeel doctor\n").and_then(|()| file.sync_all()));
    written.and(fs::remove_file(&path))
}

/// Where Docker keeps images, containers and volumes.
pub(super) fn docker_root(path: &Path) -> Finding {
    let check = "Docker's disk";
    match Room::at(path) {
        Err(error) => {
            Finding::warn(check, format!("how full it is cannot be seen from here: {error}"), "run as root on Docker's host")
        }
        Ok(room) => {
            let says = format!("{}: {}", path.display(), room.in_words());
            let remedy = "see what takes the room (docker system df), and remove what nobody uses";
            match room {
                room if room.free_bytes < 100 * MIB => Finding::fail(check, says, remedy),
                room if room.few_bytes(10, GIB) || room.few_inodes(5) => Finding::warn(check, says, remedy),
                _ => Finding::ok(check, says),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let seen = data_folder(dir.path());
        assert_ne!(seen.result, Verdict::Fail, "{seen:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(data_folder(&dir.path().join("none")).result, Verdict::Warn);
    }

    #[test]
    fn several_may_try_it_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let many = || (0..50).map(|_| try_write(dir.path())).collect::<std::io::Result<Vec<()>>>();
        let tried = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(many));
            threads.map(|thread| thread.join().unwrap().map(|done| done.len()))
        });
        assert!(tried.iter().all(Result::is_ok), "{tried:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn little_room_is_told_in_bytes_or_inodes() {
        let room = Room { bytes: 100 * GIB, free_bytes: 50 * GIB, inodes: 100, free_inodes: 50 };
        assert!(!room.few_bytes(10, GIB) && !room.few_inodes(5));
        assert!(Room { free_bytes: 3 * GIB, ..room }.few_bytes(10, GIB));
        assert!(Room { free_inodes: 1, ..room }.few_inodes(5));
        assert!(!Room { inodes: 0, free_inodes: 0, ..room }.few_inodes(5), "btrfs counts none");
        assert_eq!(room.in_words(), "50 GiB free (50%), 50% of inodes");
    }
}
