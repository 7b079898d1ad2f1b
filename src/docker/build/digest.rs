//! A digest over all that an image is built from. Contents are read again only where a file may have changed.
//!
//! In it: names, kinds, permissions, contents and targets of links; the Dockerfile, arguments, stage, labels and the other
//! words of the build that change what comes out of it. Not in it: times and owners, since the builder gives all files to root
//! and its own cache knows no times either; secrets and agents, which leave no trace in an image; `no_cache` and `pull`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::context::{Context, ContextError, Entry, EntryKind, read};
use super::{archive, environment};
use crate::clock::Timestamp;
use crate::model::{BuildSpec, Dockerfile};

/// A file that was changed so shortly before it was read is read again next time: within the grain of a file system's
/// times another change would not show.
const FRESH: Duration = Duration::from_secs(2);

/// What is kept between two looks at one context.
#[derive(Debug, Default)]
pub struct DigestCache {
    files: HashMap<PathBuf, (Stamp, [u8; 32])>,
    /// Folders that the last look went through, the root included, with their inodes: where a change can show.
    folders: Vec<(PathBuf, u64)>,
}

/// What changes with a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl DigestCache {
    /// The digest, in hex. Blocks; a large context that has not changed costs a `stat` a file.
    ///
    /// # Errors
    /// When a file, a folder or the ignore file cannot be read, or is gone.
    pub fn digest(&mut self, spec: &BuildSpec, now: Timestamp) -> Result<String, ContextError> {
        self.folders.clear();
        let context = Context::open(spec)?;
        let mut sum = Sum::default();
        words(&mut sum, spec, &context);
        let before = std::mem::take(&mut self.files);
        if let Some(root) = spec.folder() {
            let inode = std::fs::metadata(root).map_err(|why| read(Path::new(root), why))?.ino();
            self.folders.push((PathBuf::from(root), inode));
        }
        context.walk(&mut |entry| {
            self.add(&mut sum, entry, &before, now)?;
            Ok(())
        })?;
        Ok(sum.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Folders of the last look with their inodes: where a change of the context shows. None after a look that failed.
    pub fn folders(&self) -> &[(PathBuf, u64)] {
        &self.folders
    }

    fn add(
        &mut self,
        sum: &mut Sum,
        entry: &Entry<'_>,
        before: &HashMap<PathBuf, (Stamp, [u8; 32])>,
        now: Timestamp,
    ) -> Result<(), ContextError> {
        sum.bytes(entry.name.as_os_str().as_bytes());
        match &entry.kind {
            EntryKind::Folder => {
                sum.bytes(b"folder");
                sum.number(u64::from(entry.mode()));
                self.folders.push((entry.path.to_owned(), entry.metadata.ino()));
            }
            EntryKind::Link(target) => {
                sum.bytes(b"link");
                sum.bytes(target.as_os_str().as_bytes());
            }
            EntryKind::File => {
                sum.bytes(b"file");
                sum.number(u64::from(entry.mode()));
                sum.bytes(&self.content(entry, before, now)?);
            }
        }
        Ok(())
    }

    fn content(
        &mut self,
        entry: &Entry<'_>,
        before: &HashMap<PathBuf, (Stamp, [u8; 32])>,
        now: Timestamp,
    ) -> Result<[u8; 32], ContextError> {
        let stamp = Stamp::of(entry);
        let known = before.get(entry.name).filter(|(known, _)| *known == stamp).map(|(_, content)| *content);
        let content = match known {
            Some(content) => content,
            None => hash_file(entry.path).map_err(|why| read(entry.path, why))?,
        };
        if !stamp.is_fresh(now) {
            self.files.insert(entry.name.to_owned(), (stamp, content));
        }
        Ok(content)
    }
}

impl Stamp {
    fn of(entry: &Entry<'_>) -> Self {
        let metadata = entry.metadata;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let changed = Timestamp::from_second(self.changed.0).unwrap_or(Timestamp::MAX);
        changed.saturating_add(FRESH).is_ok_and(|settled| settled >= now)
    }
}

/// Adds what the build says besides its files.
fn words(sum: &mut Sum, spec: &BuildSpec, context: &Context) {
    let BuildSpec {
        image: _,
        tags,
        context: _,
        images,
        dockerfile,
        args,
        target,
        labels,
        cache_from: _,
        network,
        platform,
        no_cache: _,
        pull: _,
        shm_size: _,
        extra_hosts,
        ulimits: _,
        secrets: _,
        ssh: _,
    } = spec;
    sum.bytes(b"evenkeel build 1");
    if let Dockerfile::Path(_) = dockerfile {
        sum.text(Some(&context.dockerfile));
    }
    sum.bytes(context.outside.as_deref().unwrap_or_default());
    for (name, value) in environment::resolved(args) {
        sum.bytes(name.as_bytes());
        sum.bytes(value.as_bytes());
    }
    for (name, value) in labels {
        sum.bytes(name.as_bytes());
        sum.bytes(value.as_bytes());
    }
    [target, network, platform].into_iter().for_each(|word| sum.text(word.as_deref()));
    tags.iter().chain(extra_hosts).for_each(|word| sum.bytes(word.as_bytes()));
    // Only where there are any, so that a build without them stays the one that it was.
    if let Some(url) = spec.remote() {
        sum.text(Some(url));
    }
    for (name, image) in images {
        sum.bytes(name.as_bytes());
        sum.bytes(image.as_bytes());
    }
}

/// SHA-256 of a file, read in pieces.
fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file: File = archive::open_file(path)?;
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(sum.finalize().into()),
            Ok(read) => sum.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A digest of pieces that know their length, so that no two sequences of pieces are the same text.
#[derive(Default)]
struct Sum(Sha256);

impl Sum {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.bytes(text.unwrap_or_default().as_bytes());
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
