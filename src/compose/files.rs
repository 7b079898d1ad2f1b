//! Where Compose files and what they name are read from: a disk, a commit, a test.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Files by their absolute paths.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// It is not there (`NotFound`), cannot be read, or is no UTF-8 text (`InvalidData`).
    fn read(&self, path: &str) -> io::Result<String>;

    /// What is at a path, links followed; nothing: there is nothing.
    fn kind(&self, path: &str) -> Option<Kind>;

    /// The path with the first symbolic link on the way replaced by where it leads; nothing: there is no link.
    fn follow_first_link(&self, path: &str) -> Option<String>;
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// Anything else.
    File,
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// A file above this size is none that Compose reads.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Opens a regular file, links followed. Anything else is refused before it can block or do something: a pipe waits for a writer,
/// and to open a device may be an action.
///
/// # Errors
/// It is not there, cannot be read, or is none.
pub fn open_regular(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    regular(&std::fs::metadata(path)?)?;
    // What is put in its place meanwhile is not waited for either.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

fn regular(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let (error, message) = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => (io::ErrorKind::IsADirectory, "is a folder"),
        () if kind.is_fifo() => (io::ErrorKind::InvalidInput, "is a named pipe, and only regular files are read"),
        () if kind.is_socket() => (io::ErrorKind::InvalidInput, "is a socket, and only regular files are read"),
        () => (io::ErrorKind::InvalidInput, "is a device, and only regular files are read"),
    };
    Err(io::Error::new(error, message))
}

impl Files for Disk {
    fn read(&self, path: &str) -> io::Result<String> {
        let file = open_regular(path)?;
        let mut text = String::new();
        // A file may grow while it is read.
        if file.take(LARGEST + 1).read_to_string(&mut text)? as u64 > LARGEST {
            let message = format!("is larger than {} MiB", LARGEST / 1024 / 1024);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(text)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let found = std::fs::metadata(path).ok()?;
        Some(if found.is_dir() { Kind::Folder } else { Kind::File })
    }

    fn follow_first_link(&self, path: &str) -> Option<String> {
        let mut way = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            way = format!("{way}/{part}");
            if std::fs::symlink_metadata(&way).is_ok_and(|found| found.is_symlink()) {
                let real = std::fs::canonicalize(&way).ok()?;
                return Some(path.replacen(&way, &real.display().to_string(), 1));
            }
        }
        None
    }
}

/// Files that are given: by path, with their text.
#[derive(Debug, Clone, Default)]
pub struct Given(pub BTreeMap<String, String>);

impl Files for Given {
    fn read(&self, path: &str) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such file"))
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let folder = format!("{}/", path.trim_end_matches('/'));
        match self.0.contains_key(path) {
            true => Some(Kind::File),
            false => self.0.range(folder.clone()..).next().filter(|(file, _)| file.starts_with(&folder)).map(|_| Kind::Folder),
        }
    }

    fn follow_first_link(&self, _: &str) -> Option<String> {
        None
    }
}

/// Files of another, with a note of all that was asked for, be it there or not.
pub struct Noted<'a> {
    files: &'a dyn Files,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Noted<'a> {
    /// Takes notes of what is read of `files`.
    pub fn new(files: &'a dyn Files) -> Self {
        Self { files, asked: RefCell::default() }
    }

    /// All paths that were asked for.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    fn note(&self, path: &str) {
        self.asked.borrow_mut().insert(path.to_owned());
    }
}

impl Files for Noted<'_> {
    fn read(&self, path: &str) -> io::Result<String> {
        self.note(path);
        self.files.read(path)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        self.note(path);
        self.files.kind(path)
    }

    fn follow_first_link(&self, path: &str) -> Option<String> {
        self.files.follow_first_link(path)
    }
}
