//! What is in the files that containers have mounted: a digest of each, read where it may have changed.
//!
//! Only regular files are opened; contents are read within limits, and of what a container may write only once for each file that
//! takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::compose::open_regular;
use crate::model::{FileMark, FileState, FileStates, FollowedFile};

/// Bytes that are read of one path at most; what is larger is data and does not count.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Files of one folder at most.
const MOST: usize = 4096;

/// What was changed so shortly before it was read is read again next time: another change would not show in its times.
const FRESH: Duration = Duration::from_secs(2);

/// What is known of followed files from one look to the next.
#[derive(Debug, Default)]
pub struct Mounted {
    known: BTreeMap<FollowedFile, Known>,
    folders: BTreeSet<(PathBuf, u64)>,
}

/// One path as it was found.
#[derive(Debug)]
struct Known {
    /// Its files by the way to them, the path itself being the empty one.
    stamps: Vec<(PathBuf, Stamp)>,
    settled: bool,
    state: FileState,
}

/// What changes with a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mounted {
    /// Looks at all of them. What cannot be read or does not count is left out. Blocks.
    pub fn look(&mut self, files: &BTreeSet<FollowedFile>, now: Timestamp) -> FileStates {
        self.folders.clear();
        self.known.retain(|file, _| files.contains(file));
        let mut states = FileStates::new();
        for file in files {
            self.watch_parents(Path::new(&file.path));
            if let Ok(Some(state)) = self.file(file, now) {
                states.insert(file.clone(), state);
            }
        }
        states
    }

    /// Folders of the last look, with their inodes: where a change shows.
    pub fn folders(&self) -> Vec<(PathBuf, u64)> {
        self.folders.iter().cloned().collect()
    }

    /// The folder that names the path, and that of what it leads to.
    fn watch_parents(&mut self, path: &Path) {
        let real = std::fs::canonicalize(path).ok();
        for folder in [Some(path), real.as_deref()].into_iter().flatten().filter_map(Path::parent) {
            self.watch(folder);
        }
    }

    fn watch(&mut self, folder: &Path) {
        if let Ok(found) = std::fs::metadata(folder) {
            self.folders.insert((folder.to_owned(), found.ino()));
        }
    }

    fn file(&mut self, file: &FollowedFile, now: Timestamp) -> io::Result<Option<FileState>> {
        let path = Path::new(&file.path);
        let found = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() && !file.folder => return Ok(Some(self.absent(file, now))),
            Err(error) if is_missing(&error) && !file.folder => return Ok(Some(self.absent(file, now))),
            found => found?,
        };
        let mut stamps = vec![(PathBuf::new(), Stamp::of(&found))];
        if found.is_dir() && file.folder {
            self.walk(path, Path::new(""), &mut stamps)?;
        } else if !found.is_file() {
            return Ok(None);
        }
        let size: u64 = stamps.iter().map(|(_, stamp)| stamp.size).sum();
        if size > LARGEST || stamps.len() > MOST {
            return Ok(None);
        }
        let known = self.known.get(file);
        let same = |known: &&Known| match file.replaced_only {
            true => known.state.mark.inode == found.ino(),
            false => known.settled && known.stamps == stamps,
        };
        if let Some(known) = known.filter(same) {
            return Ok(Some(FileState { seen_at: known.state.seen_at.min(now), ..known.state.clone() }));
        }
        let mark = FileMark { digest: digest(path, &stamps)?, inode: found.ino(), folder: found.is_dir() };
        let seen_at = known.map(|known| &known.state).filter(|state| state.mark == mark).map_or(now, |state| state.seen_at);
        // A clock that was set back would have it changed after every start that follows.
        let seen_at = seen_at.min(now);
        let settled = stamps.iter().all(|(_, stamp)| !stamp.is_fresh(now));
        let state = FileState { mark, seen_at };
        self.known.insert(file.clone(), Known { stamps, settled, state: state.clone() });
        Ok(Some(state))
    }

    /// There is no file at the path.
    fn absent(&mut self, file: &FollowedFile, now: Timestamp) -> FileState {
        let known = self.known.get(file).map(|known| &known.state).filter(|state| state.mark.is_absent());
        let state = FileState { mark: FileMark::ABSENT, seen_at: known.map_or(now, |state| state.seen_at.min(now)) };
        self.known.insert(file.clone(), Known { stamps: Vec::new(), settled: true, state: state.clone() });
        state
    }

    /// The regular files below a folder, links not followed, in the order of their names.
    fn walk(&mut self, root: &Path, below: &Path, stamps: &mut Vec<(PathBuf, Stamp)>) -> io::Result<()> {
        self.watch(&root.join(below));
        let mut names: Vec<_> =
            std::fs::read_dir(root.join(below))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            let here = below.join(name);
            let found = std::fs::symlink_metadata(root.join(&here))?;
            if found.is_dir() && stamps.len() <= MOST {
                self.walk(root, &here, stamps)?;
            } else if found.is_file() {
                stamps.push((here, Stamp::of(&found)));
            }
        }
        Ok(())
    }
}

impl Stamp {
    fn of(found: &std::fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: if found.is_file() { found.size() } else { 0 },
            mode: found.mode(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let changed = Timestamp::from_second(self.changed.0).unwrap_or(Timestamp::MAX);
        changed.saturating_add(FRESH).is_ok_and(|settled| settled >= now)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// SHA-256 over names, permissions and contents.
fn digest(path: &Path, stamps: &[(PathBuf, Stamp)]) -> io::Result<String> {
    let mut sum = Sha256::new();
    for (name, stamp) in stamps {
        // Joined to nothing, a path would end with a slash.
        let file = if name.as_os_str().is_empty() { path.to_owned() } else { path.join(name) };
        let name = name.as_os_str().as_bytes();
        sum.update((name.len() as u64).to_le_bytes());
        sum.update(name);
        sum.update(stamp.mode.to_le_bytes());
        if file.is_dir() {
            continue;
        }
        let content = hash(&file)?;
        sum.update(content);
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = open_regular(path)?.take(LARGEST);
    let mut sum = Sha256::new();
    io::copy(&mut file, &mut sum)?;
    Ok(sum.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(4_000_000_000 + second).unwrap()
    }

    fn file(path: &Path, replaced_only: bool, folder: bool) -> BTreeSet<FollowedFile> {
        BTreeSet::from([FollowedFile { path: path.display().to_string(), replaced_only, folder }])
    }

    #[test]
    fn content_counts_and_a_touch_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.conf");
        let files = file(&path, false, false);
        let mut mounted = Mounted::default();
        fs::write(&path, "a").unwrap();
        let first = mounted.look(&files, at(1));
        fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(mounted.look(&files, at(2)), first);
        fs::write(&path, "b").unwrap();
        let second = mounted.look(&files, at(3));
        let [(_, old), (_, new)] = [first.first_key_value().unwrap(), second.first_key_value().unwrap()];
        assert!(old.mark.digest != new.mark.digest && new.seen_at == at(3) && old.seen_at == at(1));
        assert_eq!(mounted.folders().len(), 1);
    }

    fn mark(states: &FileStates) -> FileMark {
        states.first_key_value().unwrap().1.mark.clone()
    }

    #[test]
    fn a_file_that_is_missing_and_a_folder_in_its_place_are_no_file_until_one_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.conf");
        let files = file(&path, false, false);
        let mut mounted = Mounted::default();
        let missing = mounted.look(&files, at(0));
        assert_eq!(mark(&missing), FileMark::ABSENT);
        fs::create_dir(&path).unwrap();
        assert_eq!(mounted.look(&files, at(1)), missing, "and that since then");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "a").unwrap();
        let there = mounted.look(&files, at(2));
        assert!(!mark(&there).is_absent() && there[files.first().unwrap()].seen_at == at(2));
    }

    #[test]
    fn one_path_that_two_services_follow_in_two_ways_is_looked_at_in_both() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "a").unwrap();
        let [asked, unasked] = [true, false].map(|all| file(folder.path(), false, all));
        let states = Mounted::default().look(&asked.union(&unasked).cloned().collect(), at(0));
        let absent = |files: &BTreeSet<FollowedFile>| states[files.first().unwrap()].mark.is_absent();
        assert_eq!((absent(&asked), absent(&unasked)), (false, true));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_change_of_the_future() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.conf");
        fs::write(&path, "a").unwrap();
        for replaced_only in [false, true] {
            let files = file(&path, replaced_only, false);
            let mut mounted = Mounted::default();
            mounted.look(&files, at(10));
            assert_eq!(mounted.look(&files, at(3)).first_key_value().unwrap().1.seen_at, at(3));
        }
    }

    #[test]
    fn what_a_container_may_write_counts_when_another_file_is_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        let files = file(&path, true, false);
        fs::write(&path, "a").unwrap();
        let mut mounted = Mounted::default();
        let first = mounted.look(&files, at(0));
        fs::write(&path, "written by the container").unwrap();
        assert_eq!(mounted.look(&files, at(1)), first);
        fs::write(folder.path().join("new"), "b").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(mounted.look(&files, at(2)), first);
    }

    #[test]
    fn folders_count_where_that_is_asked_for_and_nothing_but_files_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a"), "a").unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let mut mounted = Mounted::default();
        assert_eq!(mark(&mounted.look(&file(folder.path(), false, false), at(0))), FileMark::ABSENT);
        assert_eq!(mounted.look(&file(&pipe, false, false), at(0)), FileStates::new());
        let files = file(folder.path(), false, true);
        let first = mounted.look(&files, at(1));
        assert_eq!((first.len(), mounted.folders().len()), (1, 3));
        fs::write(folder.path().join("sub/b"), "").unwrap();
        assert_ne!(mounted.look(&files, at(2)).first_key_value().unwrap().1.mark, first.first_key_value().unwrap().1.mark);
    }
}
