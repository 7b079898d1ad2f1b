//! The working folder of a Source: what a manifest may name beside itself, at a path that stays.
//!
//! # Guarantees
//! - A running container may have any of it mounted: files are replaced by rename, folders are never replaced or removed, and what
//!   we did not write is never touched.
//! - What is missing is written again at the next look. A file that was edited or replaced is left as it is until a commit changes
//!   it: it may hold what a container wrote.
//! - Nothing is written outside of it, whatever links are in it, ours or those of a container: no link is followed.
//! - It can be killed at any point: what is ours is written down before it is made, that it is whole only when all of it is on
//!   disk, and the next time goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fdatasync, mkdirat, openat, readlinkat, renameat,
    renameat_with, statat, symlinkat, syncfs, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Commit;
use super::commit::{self, Blobs, Entry, EntryKind, Tree};
use super::failure::Failure;
use crate::sources::turn::{Over, Turn};

/// Largest file that is written.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Files that could not be written and are named.
const NOTICES: usize = 20;

/// Bytes that are read from the repository at once.
const BATCH: u64 = 32 * 1024 * 1024;

/// Up to so many files are made durable one by one; more of them with all that others write to that disk.
const FEW: usize = 32;

/// The working folder, and what is known of it.
pub struct Checkout {
    root: PathBuf,
    /// Where what was written is written down.
    place_of_index: PathBuf,
    index: Option<Index>,
}

/// What was written, and of which commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Index {
    /// The commit, once all of it is there.
    commit: String,
    files: BTreeMap<String, Written>,
    /// What could not be written, and why.
    notices: Vec<String>,
    /// Something of somebody else's is in the place of a file: it is tried again.
    obstructed: bool,
}

/// One file as it was written; a file that is ours and may be anything has no id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    id: String,
    kind: EntryKind,
    /// What it looked like then: inode, size, time of its last change.
    seen: Seen,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(u64, i64, i64, i64);

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self(stat.st_ino, stat.st_size, stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default())
    }
}

/// A file, what is to be in it, and whether what is there under its name is ours.
struct Content {
    name: String,
    written: Written,
    bytes: Vec<u8>,
    ours: bool,
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// What came of writing files: those that were, why others were not, and whether that can change without a commit.
#[derive(Default)]
struct Put {
    done: Vec<(String, Written)>,
    refused: Vec<(String, String)>,
    obstructed: bool,
}

impl Checkout {
    /// The one at `<folder>/tree`.
    pub fn of(folder: &Path) -> Self {
        Self { root: folder.join("tree"), place_of_index: folder.join("tree.json"), index: None }
    }

    /// Makes the folder what the commit says. Returns what could not be written, and why.
    ///
    /// # Errors
    /// The repository cannot be read, or the disk says no.
    pub async fn write(
        &mut self,
        turn: &Turn,
        place: &[OsString],
        commit: &Commit,
        blobs: &mut Blobs,
    ) -> Result<Vec<String>, Failure> {
        let index = match self.index.take() {
            Some(index) => index,
            None => self.read(turn).await,
        };
        let mut index = self.examined(turn, index).await?;
        let whole = index.commit == commit.id && !index.obstructed && index.files.values().all(|written| !written.id.is_empty());
        if !whole {
            let tree = blobs.tree(place, commit).await?;
            index = self.update(turn, place, commit, blobs, &tree, index).await?;
        }
        let notices = index.notices.clone();
        self.index = Some(index);
        Ok(notices)
    }

    /// Makes it so, whatever is there.
    async fn update(
        &self,
        turn: &Turn,
        place: &[OsString],
        commit: &Commit,
        blobs: &Blobs,
        tree: &Tree,
        mut index: Index,
    ) -> Result<Index, Failure> {
        let mut notices = Vec::new();
        let wanted: BTreeMap<&String, &Entry> =
            tree.iter().filter(|(name, entry)| is_written(name, entry, &mut notices)).collect();
        let gone: Vec<String> = index.files.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        let is_there = |name: &String, entry: &Entry| {
            index.files.get(name).is_some_and(|found| found.id == entry.id && found.kind == entry.kind)
        };
        let changed: Vec<(String, Entry)> = wanted
            .into_iter()
            .filter(|(name, entry)| !is_there(name, entry))
            .map(|(name, entry)| (name.clone(), entry.clone()))
            .collect();
        let few = changed.len() <= FEW;
        let ours: BTreeSet<String> = index.files.keys().cloned().collect();
        index.commit.clear();
        index.files.extend(changed.iter().map(|(name, _)| (name.clone(), Written::default())));
        self.write_down(turn, &index, false).await?;
        gone.iter().for_each(|name| drop(index.files.remove(name)));
        let remove_all =
            move |root: &OwnedFd, over: &Over| gone.iter().try_for_each(|name| over.check().and_then(|()| remove(root, name)));
        self.on_disk(turn, remove_all).await?;
        index.obstructed = false;
        for batch in batches(changed) {
            let contents = contents(place, blobs, batch, &ours).await?;
            let put = self.on_disk(turn, move |root, over| put_all(root, contents, few, over)).await?;
            index.files.extend(put.done);
            index.obstructed |= put.obstructed;
            for (name, why) in put.refused {
                index.files.remove(&name);
                notices.push(why);
            }
        }
        index.commit.clone_from(&commit.id);
        notices.truncate(NOTICES);
        index.notices = notices;
        self.write_down(turn, &index, !few).await?;
        Ok(index)
    }

    /// What was written before; nothing, if that is not known.
    async fn read(&self, turn: &Turn) -> Index {
        let index = self.place_of_index.clone();
        let read = move |_: &Over| Ok(serde_json::from_slice(&std::fs::read(&index)?)?);
        turn.work(read).await.unwrap_or_default()
    }

    /// Of what was removed since it was written, or is no file any more, it is only known that it is ours.
    async fn examined(&self, turn: &Turn, mut index: Index) -> Result<Index, Failure> {
        let (index, lost) = self
            .on_disk(turn, move |root, _| {
                let mut lost = 0_usize;
                for (name, written) in index.files.iter_mut().filter(|(_, written)| !written.id.is_empty()) {
                    let found = statat(root, name, AtFlags::SYMLINK_NOFOLLOW);
                    // What is in a file that somebody wrote may be nowhere else.
                    let is_left = |found: Stat| Seen::of(&found) == written.seen || is_file(&found);
                    if !found.is_ok_and(is_left) {
                        (*written, lost) = (Written::default(), lost + 1);
                    }
                }
                Ok((index, lost))
            })
            .await?;
        if lost > 0 {
            tracing::warn!(folder = %self.root.display(), files = lost, "files were removed by somebody: they are written again");
        }
        Ok(index)
    }

    /// Writes down what is there; with `all`, after everything is on the disk.
    async fn write_down(&self, turn: &Turn, index: &Index, all: bool) -> Result<(), Failure> {
        let (text, place) = (serde_json::to_vec(index), self.place_of_index.clone());
        self.on_disk(turn, move |root, over| {
            if all {
                syncfs(root)?;
            }
            over.check()?;
            let draft = place.with_extension("json.new");
            std::fs::write(&draft, text?)?;
            std::fs::rename(&draft, &place)
        })
        .await
    }

    /// Works on the folder, which is made if it is missing.
    async fn on_disk<T: Send + 'static>(
        &self,
        turn: &Turn,
        work: impl FnOnce(&OwnedFd, &Over) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let path = self.root.clone();
        let done = turn.work(move |over| {
            if !path.is_dir() {
                std::fs::create_dir_all(&path)?;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            work(&openat(CWD, &path, flags, Mode::empty())?, over)
        });
        done.await.map_err(|error| Failure::of_disk(format!("cannot write the working folder {}", self.root.display()), &error))
    }
}

/// What is to be in files: what is known of the commit's texts, and what else the repository has.
async fn contents(
    place: &[OsString],
    blobs: &Blobs,
    batch: Vec<(String, Entry)>,
    ours: &BTreeSet<String>,
) -> Result<Vec<Content>, Failure> {
    let (known, unknown): (Vec<_>, Vec<_>) = batch.into_iter().partition(|(_, entry)| blobs.known(&entry.id).is_some());
    let ids: Vec<String> = unknown.iter().map(|(_, entry)| entry.id.clone()).collect();
    let read = if ids.is_empty() { Vec::new() } else { commit::blobs(place, &ids).await? };
    let texts: Vec<Vec<u8>> = known.iter().filter_map(|(_, entry)| Some(blobs.known(&entry.id)?.as_bytes().to_vec())).collect();
    let all = known.into_iter().chain(unknown).zip(texts.into_iter().chain(read));
    let content = |((name, entry), bytes): ((String, Entry), Vec<u8>)| Content {
        ours: ours.contains(&name),
        written: Written { id: entry.id, kind: entry.kind, ..Written::default() },
        name,
        bytes,
    };
    Ok(all.map(content).collect())
}

/// Whether an entry of the commit is written; if not, why.
fn is_written(name: &str, entry: &Entry, notices: &mut Vec<String>) -> bool {
    let odd = name.split('/').any(|part| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git"));
    match entry.kind {
        EntryKind::Submodule => false,
        _ if odd => {
            notices.push(format!("{name} has a name that no file may have: it is not written"));
            false
        }
        _ if entry.size > LARGEST => {
            notices.push(format!("{name} is larger than {} MiB: it is not written", LARGEST / 1024 / 1024));
            false
        }
        _ => true,
    }
}

/// Cuts what is to be read into pieces that fit into memory.
fn batches(files: Vec<(String, Entry)>) -> Vec<Vec<(String, Entry)>> {
    let (mut batches, mut size) = (vec![Vec::new()], 0);
    for (name, entry) in files {
        if size > 0 && size + entry.size > BATCH {
            batches.push(Vec::new());
            size = 0;
        }
        size += entry.size;
        if let Some(last) = batches.last_mut() {
            last.push((name, entry));
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Writes files; with `durably`, each so that it survives a power failure.
fn put_all(root: &OwnedFd, contents: Vec<Content>, durably: bool, over: &Over) -> io::Result<Put> {
    let mut result = Put::default();
    for content in contents {
        over.check()?;
        let put = put(root, &content, durably);
        let Content { name, written, .. } = content;
        match put {
            Ok(seen) => result.done.push((name, Written { seen, ..written })),
            Err(error) => {
                let (why, lasting) = refusal(error).ok_or(error)?;
                result.obstructed |= !lasting;
                result.refused.push((name.clone(), format!("{name} is not written into the working folder: {why}")));
            }
        }
    }
    Ok(result)
}

/// Why one file cannot be written, where that is no failure of the disk; and whether only another commit can change it.
fn refusal(error: Errno) -> Option<(&'static str, bool)> {
    match error {
        Errno::INVAL => Some(("it is a link that leads out of the repository", true)),
        Errno::ACCESS | Errno::PERM => Some(("its folder there is somebody else's", false)),
        Errno::ISDIR | Errno::NOTDIR | Errno::LOOP | Errno::NOTEMPTY | Errno::EXIST => {
            Some(("something else is in its place there", false))
        }
        _ => None,
    }
}

fn put(root: &OwnedFd, content: &Content, durably: bool) -> Result<Seen, Errno> {
    let Content { name, written: Written { kind, .. }, bytes, ours } = content;
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let folder = open(root, folder, true)?;
    let draft = format!(".evenkeel-{}", uuid::Uuid::new_v4().simple());
    let written = write_draft(&folder, &draft, name, *kind, bytes, durably).and_then(|()| {
        let seen = Seen::of(&statat(&folder, &draft, AtFlags::SYMLINK_NOFOLLOW)?);
        // What is there and was not ours is somebody's, unless it is what we would write: that it is ours may have been forgotten.
        if *ours || is_same(&folder, file, *kind, bytes) {
            renameat(&folder, &draft, &folder, file)?;
        } else {
            place(&folder, &draft, file)?;
        }
        Ok(seen)
    });
    if written.is_err() {
        let _ = unlinkat(&folder, &draft, AtFlags::empty());
    }
    written
}

/// Gives a draft its name, which nothing has yet.
fn place(folder: &OwnedFd, draft: &str, file: &str) -> Result<(), Errno> {
    match renameat_with(folder, draft, folder, file, RenameFlags::NOREPLACE) {
        // A file system that cannot do it in one step.
        Err(Errno::INVAL | Errno::NOSYS) => match statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(folder, draft, folder, file),
            found => found.and(Err(Errno::EXIST)),
        },
        done => done,
    }
}

/// Whether something holds just what is to be written there.
fn is_same(folder: &OwnedFd, file: &str, kind: EntryKind, bytes: &[u8]) -> bool {
    if kind == EntryKind::Link {
        return readlinkat(folder, file, Vec::new()).is_ok_and(|target| target.as_bytes() == bytes);
    }
    let size = bytes.len() as u64;
    let found = statat(folder, file, AtFlags::SYMLINK_NOFOLLOW);
    if !found.is_ok_and(|found| is_file(&found) && u64::try_from(found.st_size) == Ok(size)) {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(opened) = openat(folder, file, flags, Mode::empty()) else { return false };
    let mut there = Vec::new();
    File::from(opened).take(size + 1).read_to_end(&mut there).is_ok() && there == bytes
}

fn write_draft(folder: &OwnedFd, draft: &str, name: &str, kind: EntryKind, bytes: &[u8], durably: bool) -> Result<(), Errno> {
    if kind == EntryKind::Link {
        let target = std::str::from_utf8(bytes).map_err(|_| Errno::INVAL)?;
        // One that leads out of the repository is none of ours to make; what `..` behind a name leads to, another link can change.
        let (up, down) = (target.trim_start_matches("../"), |part: &str| part == "..");
        if commit::join(name, target).is_none() || (up != ".." && up.split('/').any(down)) {
            return Err(Errno::INVAL);
        }
        return symlinkat(target, folder, draft);
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = if kind == EntryKind::Program { 0o755 } else { 0o644 };
    let mut file = File::from(openat(folder, draft, flags, Mode::from_raw_mode(mode))?);
    let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    file.write_all(bytes).map_err(failed)?;
    // Whatever the umask takes away: containers run as any user.
    fchmod(&file, Mode::from_raw_mode(mode))?;
    if durably { fdatasync(&file) } else { Ok(()) }
}

/// Makes a folder for everybody to look into, whatever the umask takes away.
fn make_folder(here: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    match mkdirat(here, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {
            let made = openat(here.as_fd(), name, flags, Mode::empty())?;
            fchmod(&made, Mode::from_raw_mode(0o755))?;
            Ok(made)
        }
        Err(Errno::EXIST) => openat(here.as_fd(), name, flags, Mode::empty()),
        Err(error) => Err(error),
    }
}

/// Removes a file that we wrote. That it is gone, or something else by now, is none of our business.
fn remove(root: &OwnedFd, name: &str) -> io::Result<()> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    match open(root, folder, false).and_then(|folder| unlinkat(&folder, file, AtFlags::empty())) {
        Ok(()) | Err(Errno::NOENT | Errno::ISDIR | Errno::NOTDIR | Errno::LOOP | Errno::PERM | Errno::ACCESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a folder below, step by step, so that no link is followed.
fn open(root: &OwnedFd, folder: &str, make: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = openat(root, ".", flags, Mode::empty())?;
    for part in folder.split('/').filter(|part| !part.is_empty()) {
        let next = match openat(here.as_fd(), part, flags, Mode::empty()) {
            Err(Errno::NOENT) if make => make_folder(&here, part, flags),
            opened => opened,
        };
        here = next?;
    }
    Ok(here)
}
