//! The working folder of a Source: what a manifest may name beside itself, at a path that stays.
//!
//! # Guarantees
//! - A running container may have any of it mounted: files are replaced by rename, folders are never replaced or removed, and what
//!   we did not write is never touched.
//! - Nothing is written outside of it, whatever links are in it, ours or those of a container: no link is followed.
//! - It can be killed at any point: what was written is written down only when all of it is on disk, and the next time goes on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, mkdirat, openat, renameat, symlinkat, syncfs, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Commit;
use super::commit::{self, Entry, EntryKind};
use super::failure::{Failure, Trouble};

/// Largest file that is written.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Files that could not be written and are named.
const NOTICES: usize = 20;

/// Bytes that are read from the repository at once.
const BATCH: u64 = 32 * 1024 * 1024;

/// What was written, and of which commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Index {
    commit: String,
    files: BTreeMap<String, Written>,
    /// What could not be written, and why.
    notices: Vec<String>,
}

/// One file as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    id: String,
    kind: EntryKind,
}

/// A file that was written.
type Done = (String, Written);

/// A file and what is to be in it.
type Content = (String, Written, Vec<u8>);

/// Writes a commit into `<folder>/tree`. Returns what could not be written, and why.
///
/// # Errors
/// The repository cannot be read, or the disk says no.
pub async fn write(place: &[OsString], folder: &Path, commit: &Commit) -> Result<Vec<String>, Failure> {
    let place_of_index = folder.join("tree.json");
    let root = folder.join("tree");
    let mut index = read(root.clone(), place_of_index.clone()).await;
    if index.commit == commit.id {
        return Ok(index.notices);
    }
    let mut notices = Vec::new();
    let tree = commit::list(place, commit).await?;
    let wanted: BTreeMap<String, &Entry> = tree
        .iter()
        .filter(|(name, entry)| is_written(name, entry, &mut notices))
        .map(|(name, entry)| (name.clone(), entry))
        .collect();
    let gone: Vec<String> = index.files.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
    on_disk(&root, move |root| gone.iter().try_for_each(|name| remove(root, name))).await?;
    index.files.retain(|name, _| wanted.contains_key(name));
    let changed: Vec<(String, Written, u64)> = wanted
        .into_iter()
        .map(|(name, entry)| (name, Written { id: entry.id.clone(), kind: entry.kind }, entry.size))
        .filter(|(name, written, _)| index.files.get(name) != Some(written))
        .collect();
    for batch in batches(changed) {
        let ids: Vec<String> = batch.iter().map(|(_, written)| written.id.clone()).collect();
        let bytes = commit::blobs(place, &ids).await?;
        let contents: Vec<Content> =
            batch.into_iter().zip(bytes).map(|((name, written), bytes)| (name, written, bytes)).collect();
        let (written, refused) = on_disk(&root, move |root| put_all(root, contents)).await?;
        index.files.extend(written);
        notices.extend(refused);
    }
    index.commit.clone_from(&commit.id);
    notices.truncate(NOTICES);
    index.notices.clone_from(&notices);
    on_disk(&root, move |root| {
        syncfs(root)?;
        let text = serde_json::to_vec(&index)?;
        let draft = place_of_index.with_extension("json.new");
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, &place_of_index)
    })
    .await?;
    Ok(notices)
}

/// What was written before; nothing, if that is not known or the folder is gone.
async fn read(root: PathBuf, index: PathBuf) -> Index {
    let read = move || {
        let text = std::fs::read(&index).ok().filter(|_| root.is_dir())?;
        serde_json::from_slice(&text).ok()
    };
    tokio::task::spawn_blocking(read).await.ok().flatten().unwrap_or_default()
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
fn batches(files: Vec<(String, Written, u64)>) -> Vec<Vec<(String, Written)>> {
    let (mut batches, mut size) = (vec![Vec::new()], 0);
    for (name, written, bytes) in files {
        if size > 0 && size + bytes > BATCH {
            batches.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(last) = batches.last_mut() {
            last.push((name, written));
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Works on the folder, which is made if it is missing.
async fn on_disk<T: Send + 'static>(
    root: &Path,
    work: impl FnOnce(&OwnedFd) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let path = root.to_owned();
    let done = tokio::task::spawn_blocking(move || {
        if !path.is_dir() {
            std::fs::create_dir_all(&path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        work(&openat(CWD, &path, flags, Mode::empty())?)
    });
    done.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let trouble = if full { Trouble::DiskFull } else { Trouble::Other };
        Failure::new(trouble, format!("cannot write the working folder {}: {error}", root.display()))
    })
}

/// Writes files; those that were, and why others were not: something of somebody else's is in their place.
fn put_all(root: &OwnedFd, contents: Vec<Content>) -> io::Result<(Vec<Done>, Vec<String>)> {
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for (name, written, bytes) in contents {
        match put(root, &name, written.kind, &bytes) {
            Ok(()) => done.push((name, written)),
            Err(error) => match refusal(error) {
                Some(why) => refused.push(format!("{name} is not written into the working folder: {why}")),
                None => return Err(error.into()),
            },
        }
    }
    Ok((done, refused))
}

/// Why one file cannot be written, where that is no failure of the disk.
fn refusal(error: Errno) -> Option<&'static str> {
    match error {
        Errno::INVAL => Some("it is a link that leads out of the repository"),
        Errno::ACCESS | Errno::PERM => Some("its folder there is somebody else's"),
        Errno::ISDIR | Errno::NOTDIR | Errno::LOOP | Errno::NOTEMPTY | Errno::EXIST => {
            Some("something else is in its place there")
        }
        _ => None,
    }
}

fn put(root: &OwnedFd, name: &str, kind: EntryKind, bytes: &[u8]) -> Result<(), Errno> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let folder = open(root, folder, true)?;
    let draft = format!(".evenkeel-{}", uuid::Uuid::new_v4().simple());
    let written = write_draft(&folder, &draft, name, kind, bytes).and_then(|()| renameat(&folder, &draft, &folder, file));
    if written.is_err() {
        let _ = unlinkat(&folder, &draft, AtFlags::empty());
    }
    written
}

fn write_draft(folder: &OwnedFd, draft: &str, name: &str, kind: EntryKind, bytes: &[u8]) -> Result<(), Errno> {
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
    fchmod(&file, Mode::from_raw_mode(mode))
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
