//! Opening: the journal is read, sled is held against it, and what disagrees is made good.
//!
//! | found | done |
//! |---|---|
//! | sled is behind the journal (a power loss) | the journal's tail is applied to it |
//! | sled cannot be opened, panics, does not match its seal, or contradicts the journal | it is moved aside and made anew from the journal |
//! | the disk is full or read-only | the journal is served alone until sled can be opened |
//! | the journal's end was torn by a crash | it is cut: nobody was told that it was written |
//! | the journal lost lines that sled has, removals too | they are taken from sled |
//! | the journal lost lines that sled had not got yet | it is told: nothing can bring them back |

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::index::{Index, Unusable};
use super::journal::{self, Contents, Journal};
use super::lock::lock_folder;
use super::mirror::{Mirror, set_aside};
use super::row::{self, FLOOR, Row, Rows};
use super::state::State;
use super::writer::{FLOOR_BLOCK, Inner, Writer};
use super::{Opened, Result, StoreError};
use crate::clock::SharedClock;

const JOURNAL: &str = "journal.jsonl";
const INDEX: &str = "index";

/// See [`Store::open`](super::Store::open).
pub(super) fn open(folder: &Path, clock: SharedClock) -> Result<(Inner, Opened)> {
    make_folder(folder)?;
    let lock = lock_folder(folder)?;
    let path = folder.join(JOURNAL);
    let contents = journal::read(&path).map_err(|source| failed("read", &path, source))?;
    let index_folder = folder.join(INDEX);
    let Found { rows, index, applied, mut opened } = find_rows(&contents, &index_folder, &clock);
    let (mut state, unreadable) = State::load(&rows);
    if let Some(row) = unreadable.first() {
        return Err(StoreError::Corrupt(format!("{}: row {row} makes no sense", path.display())));
    }
    let floor = rows.get(FLOOR).and_then(|row| row.text.parse().ok()).unwrap_or(0);
    state.revision = state.revision.max(floor);
    let journal = open_journal(&path, &contents, &rows, applied, &clock, &mut opened)?;
    if opened.lost.is_some() {
        // The floor may be among what is lost; no resourceVersion is handed out twice.
        state.revision += 2 * FLOOR_BLOCK;
    }
    let everything = state.rows(|name| journal.seq_of(name));
    let mut mirror = match index {
        Ok(index) => Mirror::new(&index_folder, index),
        Err(unusable) => Mirror::without(&index_folder, &unusable),
    };
    mirror.settle(&everything, journal.seq(), &clock);
    let writer = Writer::new(journal, mirror, state.revision);
    Ok((Inner::new(state, writer, clock, lock), opened))
}

struct Found {
    rows: Rows,
    index: std::result::Result<Index, Unusable>,
    applied: u64,
    opened: Opened,
}

fn find_rows(contents: &Contents, folder: &Path, clock: &SharedClock) -> Found {
    let existed = folder.exists();
    let opened = Index::open(folder).and_then(|(index, rows)| {
        // One with a seal is really empty: the process was killed before its first row got there.
        let opened_empty = existed && index.is_new() && !contents.rows.is_empty();
        let merged = if opened_empty { Err("it opened empty".into()) } else { merge(contents, &rows, index.applied()) };
        match merged {
            Ok(merged) => Ok((index, merged)),
            Err(why) => Err(Unusable::Broken(why)),
        }
    });
    let from_journal = || -> Rows {
        let live = contents.rows.values().filter_map(|record| Some((&record.row, record.seq, record.text.clone()?)));
        live.map(|(name, seq, text)| (name.clone(), Row { seq, text })).collect()
    };
    match opened {
        Ok((index, rows)) => {
            let rebuilt = (!existed && !contents.rows.is_empty()).then(|| "sled's folder was not there".to_owned());
            let applied = index.applied();
            if existed && applied < contents.last_seq {
                tracing::warn!(applied, journal = contents.last_seq, "sled was behind the journal; it is brought up to it");
            }
            Found { rows, index: Ok(index), applied, opened: Opened { rebuilt, ..Opened::default() } }
        }
        Err(Unusable::Refused(error)) => {
            tracing::error!(%error, "sled cannot be opened; the journal is served alone until it can");
            Found { rows: from_journal(), index: Err(Unusable::Refused(error)), applied: 0, opened: Opened::default() }
        }
        Err(Unusable::Broken(why)) => {
            let aside = set_aside(folder, clock.now());
            let moved = match &aside {
                Ok(aside) => format!("{why}; its folder is now {}", aside.display()),
                Err(error) => format!("{why}; its folder could not be moved aside: {error}"),
            };
            let index = match aside {
                Ok(_) => Index::open(folder).map(|(index, _)| index),
                Err(error) => Err(Unusable::Refused(error)),
            };
            Found { rows: from_journal(), index, applied: 0, opened: Opened { rebuilt: Some(moved), ..Opened::default() } }
        }
    }
}

/// Holds sled's rows against the journal's and returns what holds; an error says where they contradict each other.
fn merge(journal: &Contents, index: &Rows, applied: u64) -> std::result::Result<Rows, String> {
    let mut merged: Rows =
        index.iter().filter(|(name, _)| !row::is_journaled(name)).map(|(n, r)| (n.clone(), r.clone())).collect();
    let names: BTreeSet<&String> = journal.rows.keys().chain(index.keys().filter(|name| row::is_journaled(name))).collect();
    for name in names {
        if let Some(row) = merge_row(journal, name, index.get(name), applied)? {
            merged.insert(name.clone(), row);
        }
    }
    Ok(merged)
}

/// What holds of one row. Its sequence number says which of the two knows more of it; sled's rows are proven by its seal, the
/// journal's by their checksums, so what is newer is right, if the journal may have lost a record of it.
fn merge_row(journal: &Contents, name: &str, indexed: Option<&Row>, applied: u64) -> std::result::Result<Option<Row>, String> {
    let record = journal.rows.get(name);
    let journaled = record.and_then(|record| Some(Row { seq: record.seq, text: record.text.clone()? }));
    if indexed == journaled.as_ref() {
        return Ok(journaled);
    }
    let record_seq = record.map_or(0, |record| record.seq);
    let indexed_seq = indexed.map(|row| row.seq);
    // A row that sled does not have was removed, if sled has got as far as the journal's last word on it.
    let sled_is_newer = indexed_seq.map_or(record_seq <= applied, |seq| seq > record_seq);
    if !sled_is_newer && record_seq > applied {
        return Ok(journaled);
    }
    let journal_lost_some = journal.damaged > 0 || applied.max(indexed_seq.unwrap_or(0)) > journal.last_seq;
    if sled_is_newer && journal_lost_some {
        return Ok(indexed.cloned());
    }
    Err(format!("sled contradicts the journal about {name}"))
}

fn open_journal(
    path: &Path,
    contents: &Contents,
    rows: &Rows,
    applied: u64,
    clock: &SharedClock,
    opened: &mut Opened,
) -> Result<Journal> {
    let journaled: BTreeMap<_, _> = rows.iter().filter(|(name, _)| row::is_journaled(name)).collect();
    let known = |(name, row): (&&String, &&Row)| contents.rows.get(*name).is_some_and(|record| record.seq == row.seq);
    let adopted = journaled.iter().filter(|row| !known(*row)).count();
    let removed = contents.rows.iter().filter(|(name, record)| record.text.is_some() && !rows.contains_key(*name)).count();
    let live = journaled.iter().map(|(name, row)| ((*name).clone(), row.seq)).collect();
    let mut journal = Journal::open(path, contents, live, applied).map_err(|source| failed("open", path, source))?;
    let restored = adopted + removed;
    let keep: Option<PathBuf> = (contents.damaged > 0)
        .then(|| path.with_file_name(format!("{JOURNAL}.damaged-{}", clock.now().strftime("%Y%m%dT%H%M%S%.3fZ"))));
    if restored > 0 || contents.damaged > 0 {
        opened.repaired = Some(repaired(contents, restored));
    }
    if contents.damaged > 0 && contents.damaged_up_to > applied {
        opened.lost = Some(lost(path, contents, applied, keep.as_deref()));
    }
    if restored > 0 || contents.wants_compaction() {
        let rows: Vec<_> = journaled.into_iter().map(|(name, row)| (name.clone(), row.text.clone())).collect();
        match journal.rewrite(&rows, keep.as_deref()) {
            Err(error) if journal.is_spoilt() => return Err(failed("write", path, error)),
            Err(error) => tracing::warn!(%error, "the journal could not be compacted"),
            Ok(()) => {}
        }
    }
    Ok(journal)
}

/// What was wrong with the journal, and what was done about it.
fn repaired(contents: &Contents, restored: usize) -> String {
    let what = match (contents.missing, contents.damaged) {
        (true, _) => "was not there".to_owned(),
        (false, 0) => "had lost its end".to_owned(),
        (false, damaged) => format!("had {damaged} unreadable lines"),
    };
    format!("the journal {what}; {restored} rows were restored from sled")
}

/// What may be gone for good: what only a damaged line had.
fn lost(path: &Path, contents: &Contents, applied: u64, kept: Option<&Path>) -> String {
    let rows = contents.damaged_rows.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let of = if rows.is_empty() { String::new() } else { format!(" (of {rows})") };
    let kept = kept.map(|kept| format!("; the damaged file is kept as {}", kept.display())).unwrap_or_default();
    format!(
        "{} had {} unreadable lines{of}, and sled had got only what was written up to number {applied}: what such a line said after \
         that is lost. Look at `evenkeel get` and `evenkeel get holds`, and declare again what is missing{kept}",
        path.display(),
        contents.damaged,
    )
}

fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| failed("make the data folder", folder, source))?;
    // What was there before may be open to others; on a read-only disk it stays as it is.
    let _ = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    Ok(())
}

fn failed(attempt: &str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { attempt: format!("{attempt} {}", path.display()), source }
}
