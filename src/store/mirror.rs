//! Keeps sled in step, and keeps the store going when sled does not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::index::{Index, Unusable};
use super::row::{Row, Rows};
use super::writer::Failure;
use crate::clock::{SharedClock, Timestamp};

/// Between two tries to get sled back.
const RETRY: Duration = Duration::from_secs(1);

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

    fn give_up(&mut self, unusable: &Unusable, clock: &SharedClock) {
        let failure = Failure::of(&self.folder, unusable);
        tracing::error!(error = %failure.message, "the index cannot be written; the journal goes on");
        let broken = matches!(unusable, Unusable::Broken(_));
        let mut down = Down { failure, retry_at: Instant::now() + RETRY };
        if broken {
            down.retry_at = Instant::now();
        }
        if let Ok(index) = std::mem::replace(&mut self.index, Err(down)) {
            index.close(broken);
        }
        if broken && let Err(error) = set_aside(&self.folder, clock.now()) {
            tracing::error!(%error, "the broken index cannot be moved aside");
        }
    }

    fn reopened(&self, everything: &Rows, applied: u64, clock: &SharedClock) -> Result<Index, Unusable> {
        let opened = Index::open(&self.folder).or_else(|unusable| match unusable {
            Unusable::Broken(why) => {
                tracing::error!(why, "the index is broken and is made anew");
                set_aside(&self.folder, clock.now()).map_err(Unusable::Refused)?;
                Index::open(&self.folder)
            }
            refused => Err(refused),
        });
        let (mut index, _) = opened?;
        index.make_equal(everything, applied)?;
        tracing::info!("the index is written again");
        Ok(index)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let gone = Down { failure: Failure::of(&self.folder, &Unusable::Broken("closed".into())), retry_at: Instant::now() };
        if let Ok(index) = std::mem::replace(&mut self.index, Err(gone)) {
            index.close(false);
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
