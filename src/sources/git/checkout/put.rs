//! One file into the working folder: how it gets there, and what may be in its place.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fdatasync, mkdirat, openat, readlinkat, renameat,
    renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::{Seen, Written};
use crate::sources::git::commit::{self, EntryKind};
use crate::sources::turn::Over;

/// A file, what is to be in it, whether what is there under its name is ours, and whether a folder of that name had files of ours.
pub(super) struct Content {
    pub(super) name: String,
    pub(super) written: Written,
    pub(super) bytes: Vec<u8>,
    pub(super) ours: bool,
    pub(super) was_folder: bool,
}

/// What came of writing files.
#[derive(Default)]
pub(super) struct Put {
    /// Those that were.
    pub(super) done: Vec<(String, Written)>,
    /// Those that cannot be as long as the commit is what it is, and why.
    pub(super) refused: Vec<(String, String)>,
    /// Those in whose place is something else, and what.
    pub(super) obstructed: Vec<(String, String)>,
    /// Folders that were moved out of the way, by where they are now.
    pub(super) aside: Vec<String>,
}

/// Whether it is a regular file.
pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Writes files; with `durably`, each so that it survives a power failure.
pub(super) fn put_all(root: &OwnedFd, contents: Vec<Content>, durably: bool, over: &Over) -> io::Result<Put> {
    let mut result = Put::default();
    for content in contents {
        over.check()?;
        let put = put(root, &content, durably, &mut result.aside);
        let Content { name, written, .. } = content;
        match put {
            Ok(seen) => result.done.push((name, Written { seen, ..written })),
            Err(error) => {
                let (why, lasting) = refusal(error).ok_or(error)?;
                let message = format!("{name} is not written into the working folder: {why}");
                if lasting { result.refused.push((name, message)) } else { result.obstructed.push((name, message)) }
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
        Errno::ISDIR => Some(("a folder of an older commit, which may be mounted, is in its place there: move it away", false)),
        Errno::NOTEMPTY => Some(("a folder with something in it is in its place there: move it away", false)),
        Errno::NOTDIR | Errno::LOOP => {
            Some(("something else than a folder is in the place of its folder there: move it away", false))
        }
        Errno::EXIST => Some(("something else is in its place there: move it away", false)),
        _ => None,
    }
}

fn put(root: &OwnedFd, content: &Content, durably: bool, aside: &mut Vec<String>) -> Result<Seen, Errno> {
    let Content { name, written: Written { kind, .. }, bytes, ours, was_folder } = content;
    let (below, file) = name.rsplit_once('/').unwrap_or(("", name));
    let folder = open(root, below, true)?;
    let draft = hidden_name();
    let written = write_draft(&folder, &draft, name, *kind, bytes, durably).and_then(|()| {
        let seen = Seen::of(&statat(&folder, &draft, AtFlags::SYMLINK_NOFOLLOW)?);
        // What is there and was not ours is somebody's, unless it is what we would write: that it is ours may have been forgotten.
        let ours = *ours || is_same(&folder, file, *kind, bytes);
        let place = || if ours { renameat(&folder, &draft, &folder, file) } else { place(&folder, &draft, file) };
        match place() {
            // A container may have it mounted for the files that we had in it, and would look into it for ever.
            Err(_) if *was_folder && is_folder(&folder, file) => return Err(Errno::ISDIR),
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) if is_folder(&folder, file) => {
                let moved = move_aside(&folder, file)?;
                aside.push(if below.is_empty() { moved } else { format!("{below}/{moved}") });
                place()?;
            }
            placed => placed?,
        }
        Ok(seen)
    });
    if written.is_err() {
        let _ = unlinkat(&folder, &draft, AtFlags::empty());
    }
    written
}

/// A name that is nobody's.
fn hidden_name() -> String {
    format!(".evenkeel-{}", uuid::Uuid::new_v4().simple())
}

fn is_folder(folder: &OwnedFd, name: &str) -> bool {
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

/// Gives an empty folder another name, and says which. Docker makes such a folder where a file that is to be mounted is missing. It
/// is not removed: a running container may have it mounted, and goes on with it.
fn move_aside(folder: &OwnedFd, name: &str) -> Result<String, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty())?;
    for entry in Dir::read_from(&opened)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Err(Errno::NOTEMPTY);
        }
    }
    let aside = hidden_name();
    renameat(folder, name, folder, &aside)?;
    Ok(aside)
}

/// Removes a folder that was moved aside, unless something was written into it since.
pub(super) fn remove_aside(root: &OwnedFd, name: &str) {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    if let Err(error) = open(root, folder, false).and_then(|folder| unlinkat(&folder, file, AtFlags::REMOVEDIR)) {
        tracing::warn!(folder = name, %error, "a folder that was in the place of a file stays in the working folder");
    }
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
pub(super) fn remove(root: &OwnedFd, name: &str) -> io::Result<()> {
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
