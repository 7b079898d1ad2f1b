//! sled: every row under its name, rebuildable from the journal and from memory.
//!
//! sled 0.34 does not fail cleanly. When its files are damaged it panics, or opens with rows silently missing: so each
//! write carries a seal, the count and a checksum of all rows, and an index is taken for good only if its rows match it.
//! A snapshot that a SIGKILL left half-written is taken by sled for the newest one: it is removed before sled sees it.
//! When a write of a large page met a full disk, its next flush, which dropping it makes too, waits for ever: so it is run
//! on a thread of its own with a deadline, and one that has failed is abandoned, never dropped.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::row::{Row, Rows};

/// sled's own cache; the store reads from memory.
const CACHE_BYTES: u64 = 2 << 20;
/// Rows written at once when many are.
const CHUNK: usize = 500;
const SEAL: &str = "seal";
/// How long a call into sled may take before it is taken to hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why it cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// The disk or its owner says no: it may be whole.
    Refused(io::Error),
    /// It is broken, and this is how.
    Broken(String),
}

/// What each write says of all rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seal {
    /// Journal sequence up to which it has everything.
    applied: u64,
    rows: u64,
    sum: u64,
}

/// An open index.
pub(super) struct Index {
    /// `None`: it was abandoned.
    db: Option<sled::Db>,
    seal: Seal,
    /// It had no seal when it was opened.
    is_new: bool,
    /// Checksum of each row that it holds.
    sums: BTreeMap<String, u32>,
}

impl Index {
    /// Opens it, or makes it, and reads all rows.
    pub fn open(folder: &Path) -> Result<(Self, Rows), Unusable> {
        if !folder.exists() {
            DirBuilder::new().mode(0o700).create(folder).map_err(Unusable::Refused)?;
        }
        remove_unfinished(folder).map_err(Unusable::Refused)?;
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).mode(sled::Mode::LowSpace);
        let (db, seal, rows) = guarded("open", move || {
            let db = config.open().map_err(classify)?;
            match read_all(&db) {
                Ok((seal, rows)) => Ok((db, seal, rows)),
                Err(unusable) => {
                    std::mem::forget(db);
                    Err(unusable)
                }
            }
        })?;
        close_to_others(folder);
        let mut index = Self { db: Some(db), seal: Seal::default(), is_new: seal.is_none(), sums: BTreeMap::new() };
        for (name, row) in &rows {
            index.count(name, Some(row));
        }
        let checked = match seal {
            Some(seal) => index.check(seal),
            None if rows.is_empty() => index.write(&[], 0, true),
            None => Err(broken("it opened without its seal")),
        };
        match checked {
            Ok(()) => Ok((index, rows)),
            Err(unusable) => {
                index.abandon();
                Err(unusable)
            }
        }
    }

    /// Journal sequence up to which it has everything.
    pub fn applied(&self) -> u64 {
        self.seal.applied
    }

    /// Whether nothing was ever written to it, for all that it says.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Writes rows (`None`: removes them) in one step. `flush`: returns when a SIGKILL cannot take them back.
    pub fn write(&mut self, rows: &[(String, Option<Row>)], applied: u64, flush: bool) -> Result<(), Unusable> {
        for (name, row) in rows {
            self.count(name, row.as_ref());
        }
        self.seal.applied = applied;
        let mut batch = sled::Batch::default();
        for (name, row) in rows {
            match row {
                Some(row) => batch.insert(name.as_bytes(), encode(row)),
                None => batch.remove(name.as_bytes()),
            }
        }
        batch.insert(SEAL, serde_json::to_vec(&self.seal).unwrap_or_default());
        let Some(db) = self.db.clone() else { return Err(broken("it was abandoned")) };
        guarded("write", move || {
            let written = db.apply_batch(batch).and_then(|()| if flush { db.flush().map(drop) } else { Ok(()) });
            // The index has another handle: this one is never the last, whose drop would flush.
            written.map_err(classify)
        })
    }

    /// Makes it hold exactly these rows.
    pub fn make_equal(&mut self, wanted: &Rows, applied: u64) -> Result<(), Unusable> {
        let surplus = self.sums.keys().filter(|name| !wanted.contains_key(*name)).map(|name| (name.clone(), None));
        let differing = wanted.iter().filter(|(name, row)| self.sums.get(*name) != Some(&checksum(name, row)));
        let changes: Vec<_> = surplus.chain(differing.map(|(name, row)| (name.clone(), Some(row.clone())))).collect();
        for chunk in changes.chunks(CHUNK) {
            self.write(chunk, self.seal.applied, false)?;
        }
        self.write(&[], applied, true)
    }

    /// Gives it up after a failure: its threads and its open file stay until the process exits.
    pub fn abandon(mut self) {
        std::mem::forget(self.db.take());
    }

    fn check(&mut self, seal: Seal) -> Result<(), Unusable> {
        if (seal.rows, seal.sum) != (self.seal.rows, self.seal.sum) {
            let message = format!("it opened with {} rows that do not match its seal ({} rows)", self.seal.rows, seal.rows);
            return Err(Unusable::Broken(message));
        }
        self.seal = seal;
        Ok(())
    }

    fn count(&mut self, name: &str, row: Option<&Row>) {
        let before = match row {
            Some(row) => {
                let sum = checksum(name, row);
                self.seal.rows += 1;
                self.seal.sum = self.seal.sum.wrapping_add(sum.into());
                self.sums.insert(name.to_owned(), sum)
            }
            None => self.sums.remove(name),
        };
        if let Some(before) = before {
            self.seal.rows -= 1;
            self.seal.sum = self.seal.sum.wrapping_sub(before.into());
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        let closed = guarded("close", move || {
            drop(db);
            Ok(())
        });
        if let Err(unusable) = closed {
            tracing::warn!(?unusable, "the index was not closed cleanly; the journal has what matters");
        }
    }
}

fn read_all(db: &sled::Db) -> Result<(Option<Seal>, Rows), Unusable> {
    let mut seal = None;
    let mut rows = Rows::new();
    for entry in db.iter() {
        let (name, value) = entry.map_err(classify)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| broken("a row's name is no text"))?;
        if name == SEAL {
            seal = Some(serde_json::from_slice(&value).map_err(|_| broken("its seal cannot be read"))?);
        } else {
            let row = decode(&value).ok_or_else(|| broken(&format!("row {name} cannot be read")))?;
            rows.insert(name, row);
        }
    }
    Ok((seal, rows))
}

fn broken(what: &str) -> Unusable {
    Unusable::Broken(what.to_owned())
}

fn encode(row: &Row) -> Vec<u8> {
    [&row.seq.to_be_bytes(), row.text.as_bytes()].concat()
}

fn decode(value: &[u8]) -> Option<Row> {
    let (seq, text) = value.split_first_chunk::<8>()?;
    Some(Row { seq: u64::from_be_bytes(*seq), text: std::str::from_utf8(text).ok()?.into() })
}

fn checksum(name: &str, row: &Row) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&row.seq.to_be_bytes());
    hasher.update(row.text.as_bytes());
    hasher.finalize()
}

/// Runs sled on a thread of its own: it panics on damage it meets, and it can hang.
fn guarded<T: Send + 'static>(attempt: &str, work: impl FnOnce() -> Result<T, Unusable> + Send + 'static) -> Result<T, Unusable> {
    let (answer, answered) = mpsc::channel();
    let run = move || drop(answer.send(catch_unwind(AssertUnwindSafe(work))));
    std::thread::Builder::new().name(format!("sled-{attempt}")).spawn(run).map_err(Unusable::Refused)?;
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
            let first_line = text.as_deref().and_then(|text| text.lines().next()).unwrap_or("no message");
            Err(Unusable::Broken(format!("sled panicked at {attempt}: {first_line}")))
        }
        Err(_) => Err(Unusable::Broken(format!("sled did not come back from {attempt} within {PATIENCE:?}"))),
    }
}

fn classify(error: sled::Error) -> Unusable {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull, WouldBlock};
    match error {
        sled::Error::Io(error) => match error.kind() {
            StorageFull | ReadOnlyFilesystem | PermissionDenied | QuotaExceeded | OutOfMemory | WouldBlock => {
                Unusable::Refused(error)
            }
            _ => Unusable::Broken(error.to_string()),
        },
        other => Unusable::Broken(other.to_string()),
    }
}

/// Removes snapshots that were being written when the process was killed (sled 0.34.7, `get_snapshot_files`).
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// sled makes its files readable by all; the folder is ours alone, and so shall they be.
fn close_to_others(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.map(|file| file.path()).filter(|path| path.is_file()) {
        let _ = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    }
}
