//! What Compose files of a commit name beside themselves, out of the object database.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::compose::{Files, Kind};

/// Files and folders by the absolute path at which they lie in the working folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Beside {
    /// Where the repository's own root lies.
    root: PathBuf,
    /// What was found, by path.
    pub found: BTreeMap<String, Found>,
}

/// What is at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Found {
    /// A file, and its text.
    Text(String),
    /// A file that is not read, and why: `is larger than 4 MiB`.
    Unreadable(String),
    /// A folder.
    Folder,
}

impl Beside {
    /// Nothing yet of a repository whose files lie at `root`.
    pub fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), found: BTreeMap::new() }
    }
}

impl Files for Beside {
    fn read(&self, path: &str) -> io::Result<String> {
        match self.found.get(path) {
            Some(Found::Text(text)) => Ok(text.clone()),
            Some(Found::Unreadable(why)) => Err(io::Error::new(io::ErrorKind::InvalidData, why.clone())),
            Some(Found::Folder) => Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
            None if Path::new(path).starts_with(&self.root) => {
                Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file"))
            }
            None => {
                let message = "it lies outside of the repository, and only what is committed is read";
                Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
            }
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        self.found.get(path).map(|found| if *found == Found::Folder { Kind::Folder } else { Kind::File })
    }

    /// Links are resolved when the commit is read.
    fn follow_first_link(&self, _: &str) -> Option<String> {
        None
    }
}
