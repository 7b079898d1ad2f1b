//! Opening: the journal is read, sled is held against it, and what disagrees is made good.
//!
//! | found | done |
//! |---|---|
//! | sled is behind the journal (a power loss) | the journal's tail is applied to it |
//! | sled cannot be opened, panics, does not match its seal, or contradicts the journal | it is moved aside and made anew from the journal |
//! | the disk is full or read-only | the journal is served alone until sled can be opened |
//! | the journal's end was torn by a crash | it is cut: nobody was told that it was written |
//! | the journal lost lines that sled has | they are taken from sled |

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
use super::writer::{Inner, Writer};
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
        let opened_empty = existed && rows.is_empty() && !contents.rows.is_empty();
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
            Found { rows, index: Ok(index), applied, opened: Opened { rebuilt, repaired: None } }
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
            Found { rows: from_journal(), index, applied: 0, opened: Opened { rebuilt: Some(moved), repaired: None } }
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

fn merge_row(journal: &Contents, name: &str, indexed: Option<&Row>, applied: u64) -> std::result::Result<Option<Row>, String> {
    let record = journal.rows.get(name);
    let journaled = record.and_then(|record| Some(Row { seq: record.seq, text: record.text.clone()? }));
    let record_seq = record.map_or(0, |record| record.seq);
    if record_seq > applied || indexed == journaled.as_ref() {
        return Ok(journaled);
    }
    // From here on sled claims to know what the journal does not say.
    let indexed_seq = indexed.map_or(0, |row| row.seq);
    let journal_lost_its_end = applied > journal.last_seq;
    if indexed_seq > journal.last_seq || (journal_lost_its_end && indexed.is_none()) {
        return Ok(indexed.cloned());
    }
    if journal.damaged > 0 {
        return Ok(if indexed_seq > record_seq { indexed.cloned() } else { journaled });
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
    let live = journaled.iter().map(|(name, row)| ((*name).clone(), row.seq)).collect();
    let mut journal = Journal::open(path, contents, live, applied).map_err(|source| failed("open", path, source))?;
    if adopted > 0 || contents.damaged > 0 {
        let what = if contents.missing { "was not there".into() } else { format!("had {} unreadable lines", contents.damaged) };
        opened.repaired = Some(format!("the journal {what}; {adopted} rows were taken from sled"));
    }
    if adopted > 0 || contents.wants_compaction() {
        let keep: Option<PathBuf> = (contents.damaged > 0)
            .then(|| path.with_file_name(format!("{JOURNAL}.damaged-{}", clock.now().strftime("%Y%m%dT%H%M%S%.3fZ"))));
        let rows: Vec<_> = journaled.into_iter().map(|(name, row)| (name.clone(), row.text.clone())).collect();
        match journal.rewrite(&rows, keep.as_deref()) {
            Err(error) if journal.is_spoilt() => return Err(failed("write", path, error)),
            Err(error) => tracing::warn!(%error, "the journal could not be compacted"),
            Ok(()) => {}
        }
    }
    Ok(journal)
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
