//! The files that an image is built from: one walk over the context, in a fixed order, for the digest and for the archive.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ignore::Ignore;
use super::stages;
use crate::model::{BuildSpec, Dockerfile};

/// Name, in the archive, of a Dockerfile that does not lie in the context.
const OUTSIDE: &str = ".evenkeel.dockerfile";

/// Why a context cannot be read; says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file or folder cannot be read.
    #[error("cannot read {path} for the build: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is there cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// A context that is ready to be walked.
#[derive(Debug)]
pub(super) struct Context {
    root: Option<PathBuf>,
    ignore: Ignore,
    /// Its name in the archive.
    pub dockerfile: String,
    /// Its text, where it does not lie in the context.
    pub outside: Option<Vec<u8>>,
}

/// One thing in the context.
pub(super) struct Entry<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its name below the root.
    pub name: &'a Path,
    /// What it is; a link is never followed.
    pub kind: EntryKind,
    /// Its metadata, a link's own.
    pub metadata: &'a Metadata,
}

/// What goes into an image. Sockets, devices and pipes do not.
pub(super) enum EntryKind {
    Folder,
    File,
    Link(PathBuf),
}

impl Entry<'_> {
    /// Permissions, the special bits included.
    pub fn mode(&self) -> u32 {
        self.metadata.permissions().mode() & 0o7777
    }

    /// Bytes of a file.
    pub fn size(&self) -> u64 {
        self.metadata.size()
    }
}

impl Context {
    /// Looks where Dockerfile and ignore file are.
    pub fn open(spec: &BuildSpec) -> Result<Self, ContextError> {
        if spec.remote().is_some() {
            return Ok(Self::elsewhere(spec));
        }
        let root = spec.folder().map(PathBuf::from);
        if let Some(root) = &root {
            let metadata = fs::metadata(root).map_err(|source| read(root, source))?;
            if !metadata.is_dir() {
                return Err(ContextError::Unusable(format!("the build context {} is no folder", root.display())));
            }
        }
        let (dockerfile, outside) = match &spec.dockerfile {
            Dockerfile::Inline(text) => (OUTSIDE.to_owned(), Some(text.clone().into_bytes())),
            Dockerfile::Path(path) => locate(root.as_deref(), path)?,
        };
        let mut ignore = match &root {
            Some(root) => ignore_of(root, &dockerfile)?,
            None => Ignore::default(),
        };
        // Docker sends both whatever the patterns say: the builder needs them.
        ignore.always_keep(&dockerfile);
        ignore.always_keep(".dockerignore");
        let context = Self { root, ignore, dockerfile, outside };
        if spec.images.is_empty() { Ok(context) } else { context.with_images(spec) }
    }

    /// One that the engine fetches: nothing is sent.
    fn elsewhere(spec: &BuildSpec) -> Self {
        let dockerfile = match &spec.dockerfile {
            Dockerfile::Path(path) => path.clone(),
            Dockerfile::Inline(_) => String::new(),
        };
        Self { root: None, ignore: Ignore::default(), dockerfile, outside: None }
    }

    /// Whether the engine fetches it.
    pub fn is_elsewhere(&self) -> bool {
        self.root.is_none() && self.outside.is_none()
    }

    /// The same with another Dockerfile, which has a stage for each image.
    fn with_images(self, spec: &BuildSpec) -> Result<Self, ContextError> {
        let text = stages::with_images(&self.text()?, &spec.images, spec.target.as_deref());
        let text = text.map_err(ContextError::Unusable)?;
        Ok(Self { dockerfile: OUTSIDE.to_owned(), outside: Some(text.into_bytes()), ..self })
    }

    /// The Dockerfile's text; empty where it cannot be read, which the builder tells.
    pub fn recipe(&self) -> String {
        self.text().unwrap_or_default()
    }

    fn text(&self) -> Result<String, ContextError> {
        let text = match (&self.outside, &self.root) {
            (Some(text), _) => text.clone(),
            (None, Some(root)) => {
                let path = root.join(&self.dockerfile);
                fs::read(&path).map_err(|why| read(&path, why))?
            }
            (None, None) => Vec::new(),
        };
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Shows everything that is not left out, folders before what is in them, in order of name.
    pub fn walk(&self, show: &mut dyn FnMut(&Entry<'_>) -> Result<(), ContextError>) -> Result<(), ContextError> {
        match &self.root {
            Some(root) => self.walk_folder(root, Path::new(""), show),
            None => Ok(()),
        }
    }

    fn walk_folder(
        &self,
        folder: &Path,
        name: &Path,
        show: &mut dyn FnMut(&Entry<'_>) -> Result<(), ContextError>,
    ) -> Result<(), ContextError> {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(|why| read(folder, why))?;
        let mut children: Vec<_> = listed.iter().map(fs::DirEntry::file_name).collect();
        children.sort_unstable();
        for child in children {
            let (path, name) = (folder.join(&child), name.join(&child));
            // Gone since the folder was listed: as if it had never been there.
            let metadata = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|why| read(&path, why))?,
            };
            self.meet(&path, &name, &metadata, show)?;
        }
        Ok(())
    }

    fn meet(
        &self,
        path: &Path,
        name: &Path,
        metadata: &Metadata,
        show: &mut dyn FnMut(&Entry<'_>) -> Result<(), ContextError>,
    ) -> Result<(), ContextError> {
        let text = name.to_string_lossy();
        let left_out = self.ignore.leaves_out(&text);
        if metadata.is_dir() {
            if !left_out {
                show(&Entry { path, name, kind: EntryKind::Folder, metadata })?;
            }
            let enter = !left_out || self.ignore.may_keep_within(&text);
            return if enter { self.walk_folder(path, name, show) } else { Ok(()) };
        }
        if left_out {
            return Ok(());
        }
        let kind = if metadata.is_file() {
            EntryKind::File
        } else if metadata.is_symlink() {
            EntryKind::Link(fs::read_link(path).map_err(|why| read(path, why))?)
        } else {
            return Ok(());
        };
        show(&Entry { path, name, kind, metadata })
    }
}

/// The Dockerfile's name in the archive, and its text if it lies outside of the context.
fn locate(root: Option<&Path>, path: &str) -> Result<(String, Option<Vec<u8>>), ContextError> {
    let clean = clean(&root.map_or_else(|| PathBuf::from(path), |root| root.join(path)));
    let within = root.and_then(|root| clean.strip_prefix(self::clean(root)).ok().map(Path::to_path_buf));
    match within {
        Some(name) => {
            fs::symlink_metadata(&clean).map_err(|why| read(&clean, why))?;
            Ok((name.to_string_lossy().into_owned(), None))
        }
        None => Ok((OUTSIDE.to_owned(), Some(fs::read(&clean).map_err(|why| read(&clean, why))?))),
    }
}

/// `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore`, else nothing.
fn ignore_of(root: &Path, dockerfile: &str) -> Result<Ignore, ContextError> {
    for name in [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()] {
        let path = root.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let unusable = |why| ContextError::Unusable(format!("{}: {why}", path.display()));
                return Ignore::parse(&text).map_err(unusable);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(read(&path, error)),
        }
    }
    Ok(Ignore::default())
}

/// A path without `.` and `..`, by its words alone.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

/// A failed read, with its place.
pub(super) fn read(path: &Path, source: io::Error) -> ContextError {
    ContextError::Read { path: path.display().to_string(), source }
}
