//! Keeps sled in step, and keeps the store going when sled does not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::index::{Index, Unusable};
use super::row::{Row, Rows};
use super::writer::Failure;
use crate::clock::{SharedClock, Timestamp};

/// Between two tries to get sled back.
const RETRY: Duration = Duration::from_secs(1);
/// Space that must be free beyond what is written, before sled is tried again.
const SPARE: usize = 1 << 20;

/// sled, or why it is not there.
pub(super) struct Mirror {
    folder: PathBuf,
    index: Result<Index, Down>,
}

struct Down {
    failure: Failure,
    retry_at: Instant,
}

impl Mirror {
    /// A mirror over an index that is open.
    pub fn new(folder: &Path, index: Index) -> Self {
        Self { folder: folder.to_owned(), index: Ok(index) }
    }

    /// A mirror whose index cannot be had now.
    pub fn without(folder: &Path, unusable: &Unusable) -> Self {
        Self { folder: folder.to_owned(), index: Err(Down::new(folder, unusable)) }
    }

    /// Makes it hold exactly these rows, if it is there.
    pub fn settle(&mut self, everything: &Rows, applied: u64, clock: &SharedClock) {
        if let Ok(index) = &mut self.index
            && let Err(unusable) = index.make_equal(everything, applied)
        {
            self.give_up(&unusable, clock);
        }
    }

    /// Writes rows. When sled was away, or is found broken, it is first brought up to `everything`, which has these rows too.
    pub fn write(
        &mut self,
        rows: &[(String, Option<Row>)],
        applied: u64,
        flush: bool,
        everything: impl Fn() -> Rows,
        clock: &SharedClock,
    ) -> Result<(), Failure> {
        if let Ok(index) = &mut self.index {
            match index.write(rows, applied, flush) {
                Ok(()) => return Ok(()),
                Err(unusable) => self.give_up(&unusable, clock),
            }
        }
        if let Err(down) = &self.index {
            if Instant::now() < down.retry_at {
                return Err(down.failure.clone());
            }
            self.index = self.reopened(&everything(), applied, clock).map_err(|unusable| Down::new(&self.folder, &unusable));
        }
        self.index.as_ref().map(|_| ()).map_err(|down| down.failure.clone())
    }

    /// Abandons an index that failed. Its folder is moved aside if it is broken; if the disk refused it there is nothing to
    /// learn from it, and its space is given back.
    fn give_up(&mut self, unusable: &Unusable, clock: &SharedClock) {
        let down = Down::new(&self.folder, unusable);
        tracing::error!(error = %down.failure.message, "the index cannot be written; the journal goes on");
        if let Ok(index) = std::mem::replace(&mut self.index, Err(down)) {
            index.abandon();
        }
        let cleared = match unusable {
            Unusable::Broken(_) => set_aside(&self.folder, clock.now()).map(drop),
            Unusable::Refused(_) => discard(&self.folder),
        };
        if let Err(error) = cleared {
            tracing::error!(%error, "the failed index cannot be moved out of the way");
        }
    }

    fn reopened(&self, everything: &Rows, applied: u64, clock: &SharedClock) -> Result<Index, Unusable> {
        let bytes: usize = everything.iter().map(|(name, row)| name.len() + row.text.len()).sum();
        probe(&self.folder, bytes).map_err(Unusable::Refused)?;
        let opened = Index::open(&self.folder).or_else(|unusable| {
            tracing::error!(?unusable, "the index cannot be opened and is made anew");
            set_aside(&self.folder, clock.now()).map_err(Unusable::Refused)?;
            Index::open(&self.folder)
        });
        let (mut index, _) = opened?;
        match index.make_equal(everything, applied) {
            Ok(()) => {
                tracing::info!("the index is written again");
                Ok(index)
            }
            Err(unusable) => {
                index.abandon();
                discard(&self.folder).map_err(Unusable::Refused)?;
                Err(unusable)
            }
        }
    }
}

impl Down {
    fn new(folder: &Path, unusable: &Unusable) -> Self {
        Self { failure: Failure::of(folder, unusable), retry_at: Instant::now() + RETRY }
    }
}

impl Failure {
    fn of(folder: &Path, unusable: &Unusable) -> Self {
        let attempt = format!("write the index {}", folder.display());
        match unusable {
            Unusable::Refused(error) => Self::new(attempt, error),
            Unusable::Broken(why) => Self::new(attempt, &std::io::Error::other(why.clone())),
        }
    }
}

/// Finds out whether there is space for an index, before sled does: one that meets a full disk cannot be closed any more.
fn probe(folder: &Path, bytes: usize) -> std::io::Result<()> {
    let path = folder.with_extension("probe");
    let written = std::fs::write(&path, vec![0; 2 * bytes + SPARE]);
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// Removes an index that was abandoned. Its file is still open: it is emptied first, so that its space is free at once.
fn discard(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::OpenOptions::new().write(true).open(path)?.set_len(0)?;
        }
    }
    std::fs::remove_dir_all(folder)
}

/// Moves a broken index out of the way, where people can look at it; earlier ones are removed. Returns where it is now.
pub(super) fn set_aside(folder: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = format!("{name}.damaged-");
    for old in folder.parent().into_iter().flat_map(std::fs::read_dir).flatten().flatten() {
        if old.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_dir_all(old.path())?;
        }
    }
    let aside = folder.with_file_name(format!("{prefix}{}", now.strftime("%Y%m%dT%H%M%S%.3fZ")));
    std::fs::rename(folder, &aside)?;
    Ok(aside)
}
