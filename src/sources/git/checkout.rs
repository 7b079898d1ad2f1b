//! The working folder of a Source: what a manifest may name beside itself, at a path that stays.
//!
//! # Guarantees
//! - A running container may have any of it mounted: files are replaced by rename, folders are never replaced or removed, and what
//!   we did not write is never touched. One exception: an empty folder that is in the place of a file, and never had files of ours, is
//!   moved aside, as Docker makes one where the file was missing when it was to be mounted (docs/adr/0012).
//! - What is missing is written again at the next look. A file that was edited or replaced is left as it is until a commit changes
//!   it: it may hold what a container wrote.
//! - Nothing is written outside of it, whatever links are in it, ours or those of a container: no link is followed.
//! - It can be killed at any point: what is ours is written down before it is made, that it is whole only when all of it is on
//!   disk, and the next time goes on.

mod put;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, openat, statat, syncfs};
use serde::{Deserialize, Serialize};

use self::put::{Content, is_file, put_all, remove, remove_aside};
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
    /// Those of them in whose place something of somebody else's is: they are tried again.
    obstacles: Vec<String>,
    /// Folders that were moved out of the way of the commit's files.
    aside: Vec<String>,
    /// Folders in which files were written, of this commit or an older one.
    folders: BTreeSet<String>,
    /// Files that a commit changed, and of which nobody has taken note yet.
    changed: BTreeSet<String>,
}

/// What came of writing a commit into the working folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedOut {
    /// What could not be written, and why.
    pub notices: Vec<String>,
    /// Those of them in whose place something else is.
    pub obstacles: Vec<String>,
    /// The files that commits changed of which nobody has taken note yet, by their absolute paths.
    pub changed: BTreeSet<PathBuf>,
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

impl Checkout {
    /// The one at `<folder>/tree`.
    pub fn of(folder: &Path) -> Self {
        Self { root: folder.join("tree"), place_of_index: folder.join("tree.json"), index: None }
    }

    /// Makes the folder what the commit says.
    ///
    /// # Errors
    /// The repository cannot be read, or the disk says no.
    pub async fn write(
        &mut self,
        turn: &Turn,
        place: &[OsString],
        commit: &Commit,
        blobs: &mut Blobs,
    ) -> Result<CheckedOut, Failure> {
        let index = match self.index.take() {
            Some(index) => index,
            None => self.read(turn).await,
        };
        let mut index = self.examined(turn, index).await?;
        let whole =
            index.commit == commit.id && index.obstacles.is_empty() && index.files.values().all(|written| !written.id.is_empty());
        if !whole {
            let tree = blobs.tree(place, commit).await?;
            index = self.update(turn, place, commit, blobs, &tree, index).await?;
        }
        let root = std::path::absolute(&self.root).unwrap_or_else(|_| self.root.clone());
        let changed = index.changed.iter().map(|name| root.join(name)).collect();
        let checked_out = CheckedOut { notices: index.notices.clone(), obstacles: index.obstacles.clone(), changed };
        self.index = Some(index);
        Ok(checked_out)
    }

    /// Somebody has taken note of what changed: it need not be told again, not by an operator that follows this one either.
    ///
    /// # Errors
    /// The disk says no.
    pub async fn noted(&mut self, turn: &Turn) -> Result<(), Failure> {
        let Some(index) = self.index.as_mut().filter(|index| !index.changed.is_empty()) else { return Ok(()) };
        index.changed.clear();
        let index = index.clone();
        self.write_down(turn, &index, false).await
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
        // By another commit their containers have been made anew.
        let aside = if index.commit == commit.id { Vec::new() } else { std::mem::take(&mut index.aside) };
        let ours: BTreeSet<String> = index.files.keys().cloned().collect();
        index.folders.extend(index.files.keys().flat_map(|name| folders_of(name)).map(str::to_owned).collect::<Vec<_>>());
        // What somebody removed is only written again.
        let is_other = |name: &&String| index.files.get(*name).is_none_or(|before| !before.id.is_empty());
        let other: Vec<String> = changed.iter().map(|(name, _)| name).chain(&gone).filter(is_other).cloned().collect();
        index.changed.extend(other);
        index.commit.clear();
        index.files.extend(changed.iter().map(|(name, _)| (name.clone(), Written::default())));
        self.write_down(turn, &index, false).await?;
        gone.iter().for_each(|name| drop(index.files.remove(name)));
        let remove_all = move |root: &OwnedFd, over: &Over| {
            aside.iter().for_each(|name| remove_aside(root, name));
            gone.iter().try_for_each(|name| over.check().and_then(|()| remove(root, name)))
        };
        self.on_disk(turn, remove_all).await?;
        index.obstacles.clear();
        for batch in batches(changed) {
            let contents = contents(place, blobs, batch, &ours, &index.folders).await?;
            let put = self.on_disk(turn, move |root, over| put_all(root, contents, few, over)).await?;
            index.files.extend(put.done);
            index.aside.extend(put.aside);
            index.obstacles.extend(put.obstructed.iter().map(|(_, why)| why.clone()));
            for (name, why) in put.refused.into_iter().chain(put.obstructed) {
                index.files.remove(&name);
                index.changed.remove(&name);
                notices.push(why);
            }
        }
        index.commit.clone_from(&commit.id);
        notices.truncate(NOTICES);
        index.obstacles.truncate(NOTICES);
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
    folders: &BTreeSet<String>,
) -> Result<Vec<Content>, Failure> {
    let (known, unknown): (Vec<_>, Vec<_>) = batch.into_iter().partition(|(_, entry)| blobs.known(&entry.id).is_some());
    let ids: Vec<String> = unknown.iter().map(|(_, entry)| entry.id.clone()).collect();
    let read = if ids.is_empty() { Vec::new() } else { commit::blobs(place, &ids).await? };
    let texts: Vec<Vec<u8>> = known.iter().filter_map(|(_, entry)| Some(blobs.known(&entry.id)?.as_bytes().to_vec())).collect();
    let all = known.into_iter().chain(unknown).zip(texts.into_iter().chain(read));
    let content = |((name, entry), bytes): ((String, Entry), Vec<u8>)| Content {
        ours: ours.contains(&name),
        was_folder: folders.contains(&name),
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

/// The folders that a file is in.
fn folders_of(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
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
