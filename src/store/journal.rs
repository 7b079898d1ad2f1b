//! The journal: the truth for what cannot be found again.
//!
//! *Guarantees.* [`Journal::append`] returns when the records are on disk (`fdatasync`), or has changed nothing that a later
//! start would take for acknowledged. Reading needs no space on the disk. A tail that was torn off by a crash is cut.
//!
//! *Assumptions.* One process at a time; the data folder's lock sees to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::Record;

/// Row of the first line: which format this is.
const FORMAT: &str = "format";
const FORMAT_TEXT: &str = r#"{"name":"evenkeel journal","version":1}"#;
/// A journal smaller than this is not worth compacting.
const SMALL: u64 = 4 << 20;

/// What a journal file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The newest record of each row, removals included.
    pub rows: BTreeMap<String, Record>,
    /// The highest sequence number.
    pub last_seq: u64,
    /// Lines that cannot be read. One that was torn off while it was written is none of them: nobody was told of it.
    pub damaged: usize,
    /// No line that cannot be read had a higher sequence number than this.
    pub damaged_up_to: u64,
    /// Names of rows that can still be made out in such lines.
    pub damaged_rows: BTreeSet<String>,
    /// Whether there is no file.
    pub missing: bool,
    /// Up to where it is good.
    length: u64,
    /// Length of the file.
    file_length: u64,
    /// Its end is damaged and no end of a line: nothing can be appended.
    unended: bool,
    /// Records read.
    lines: usize,
}

/// An open journal.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Length up to which everything is acknowledged.
    length: u64,
    /// Length after the last compaction.
    compacted: u64,
    /// Last sequence number handed out; never reused.
    seq: u64,
    /// Sequence number of each live row.
    live: BTreeMap<String, u64>,
    /// The file may hold what was not acknowledged: it must be written anew before anything is appended.
    spoilt: bool,
}

/// Reads a journal file, wherever it was torn.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents { missing: true, ..Contents::default() }),
        Err(error) => return Err(error),
    };
    let mut contents = Contents { file_length: bytes.len() as u64, ..Contents::default() };
    let mut position = 0;
    let mut bad = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        position += line.len();
        let Some(record) = line.strip_suffix(b"\n").and_then(Record::read) else {
            bad.push(line);
            continue;
        };
        contents.damaged(std::mem::take(&mut bad));
        contents.length = position as u64;
        contents.lines += 1;
        if record.row == FORMAT {
            check_format(record.text.as_deref())?;
            continue;
        }
        contents.last_seq = contents.last_seq.max(record.seq);
        if contents.rows.get(&record.row).is_none_or(|before| before.seq < record.seq) {
            contents.rows.insert(record.row.clone(), record);
        }
    }
    contents.damaged_up_to = contents.last_seq;
    contents.end(bad);
    Ok(contents)
}

fn check_format(text: Option<&str>) -> io::Result<()> {
    if text == Some(FORMAT_TEXT) {
        return Ok(());
    }
    let message = format!("it is of another version of evenkeel ({})", text.unwrap_or("no format"));
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Whether a line without an end was torn off while it was written: text, perhaps cut within a character, and then perhaps
/// zeros, which a file system shows where it had made room and not written yet.
fn is_torn(line: &[u8]) -> bool {
    let written = line.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let written = &line[..written];
    let text = match std::str::from_utf8(written) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    text && !written.contains(&0)
}

impl Contents {
    fn damaged(&mut self, lines: Vec<&[u8]>) {
        self.damaged += lines.len();
        self.damaged_rows.extend(lines.into_iter().filter_map(Record::row_named));
    }

    /// What comes after the last good line: torn off by a crash, or damaged. What is damaged is not cut: it may be looked at.
    fn end(&mut self, lines: Vec<&[u8]>) {
        let Some(last) = lines.last() else { return };
        let ended = last.ends_with(b"\n");
        let text = lines.iter().all(|line| std::str::from_utf8(line).is_ok_and(|line| !line.contains('\0')));
        if lines.len() == 1 && !ended && is_torn(last) {
            return;
        }
        // A line end may have been damaged too: the starts of lines count as well.
        let starts = lines.iter().map(|line| Record::starts_in(line)).sum::<usize>();
        let most = self.last_seq + lines.len().max(starts) as u64;
        self.damaged_up_to = if ended && text { most } else { u64::MAX };
        self.damaged(lines);
        self.length = self.file_length;
        self.unended = !ended;
    }

    /// Whether it is worth writing anew at a start: damaged, or most of it is history.
    pub fn wants_compaction(&self) -> bool {
        let live = self.rows.values().filter(|record| record.text.is_some()).count();
        self.missing || self.lines == 0 || self.damaged > 0 || self.lines > 2 * live + 100
    }
}

impl Journal {
    /// Opens it to append; what is torn is cut off. `contents` is what [`read`] found, `live` the rows that hold, and no
    /// sequence number up to `used` is handed out again.
    pub fn open(path: &Path, contents: &Contents, live: BTreeMap<String, u64>, used: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if contents.file_length > contents.length {
            file.set_len(contents.length)?;
            file.sync_data()?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            length: contents.length,
            compacted: contents.length,
            seq: contents.last_seq.max(used),
            live,
            spoilt: contents.lines == 0 || contents.unended,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last sequence number handed out.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Sequence number of a live row.
    pub fn seq_of(&self, row: &str) -> Option<u64> {
        self.live.get(row).copied()
    }

    /// Whether [`Journal::rewrite`] must be called before the next [`Journal::append`], or should be since it has grown.
    pub fn wants_rewrite(&self) -> bool {
        self.spoilt || (self.length > SMALL && self.length > 4 * self.compacted)
    }

    /// Whether nothing can be appended before it has been written anew.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt
    }

    /// Writes rows (`None`: removes them) and returns when they are on disk, with their sequence numbers.
    pub fn append(&mut self, rows: &[(String, Option<Arc<str>>)]) -> io::Result<Vec<u64>> {
        let mut lines = Vec::new();
        let mut seqs = Vec::with_capacity(rows.len());
        for (row, text) in rows {
            self.seq += 1;
            seqs.push(self.seq);
            Record { seq: self.seq, row: row.clone(), text: text.clone() }.write(&mut lines);
        }
        if let Err(error) = self.file.write_all(&lines) {
            // Half a line would be cut at the next start, but a whole one of a refused write would be taken for good.
            self.spoilt = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed sync nobody knows what is on disk: only a new file is sure.
            self.spoilt = true;
            return Err(error);
        }
        self.length += lines.len() as u64;
        for ((row, text), seq) in rows.iter().zip(&seqs) {
            match text {
                Some(_) => self.live.insert(row.clone(), *seq),
                None => self.live.remove(row),
            };
        }
        Ok(seqs)
    }

    /// Writes the journal anew with these rows only, each under the sequence number it has (a new one if it has none),
    /// and puts it in place of the old one in one step. `keep_old`: where the old file is kept.
    pub fn rewrite(&mut self, rows: &[(String, Arc<str>)], keep_old: Option<&Path>) -> io::Result<()> {
        let mut lines = Vec::new();
        Record { seq: 0, row: FORMAT.into(), text: Some(FORMAT_TEXT.into()) }.write(&mut lines);
        let mut live = BTreeMap::new();
        for (row, text) in rows {
            let seq = self.live.get(row).copied().unwrap_or_else(|| {
                self.seq += 1;
                self.seq
            });
            Record { seq, row: row.clone(), text: Some(text.clone()) }.write(&mut lines);
            live.insert(row.clone(), seq);
        }
        let new_path = self.path.with_extension("new");
        match self.replace(&new_path, &lines, keep_old) {
            Ok(file) => self.file = file,
            Err(error) => {
                // Space is what is missing most often; the half-written file must not keep more of it. Growth that could
                // not be compacted away is put up with until it has grown as much again.
                let _ = std::fs::remove_file(&new_path);
                self.compacted = self.length;
                return Err(error);
            }
        }
        self.length = lines.len() as u64;
        self.compacted = self.length;
        self.live = live;
        self.spoilt = false;
        Ok(())
    }

    fn replace(&self, new_path: &Path, lines: &[u8], keep_old: Option<&Path>) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(new_path)?;
        file.write_all(lines)?;
        file.sync_all()?;
        if let Some(kept) = keep_old {
            std::fs::hard_link(&self.path, kept)?;
        }
        std::fs::rename(new_path, &self.path)?;
        sync_folder(&self.path)?;
        OpenOptions::new().append(true).open(&self.path)
    }
}

/// Makes a rename in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_tore_off_is_told_from_what_was_damaged() {
        for torn in ["{\"seq\":7,\"row", "{\"seq\":7,\"text\":\"fü"] {
            for cut in 1..=torn.len() {
                assert!(is_torn(&torn.as_bytes()[..cut]), "{cut} of {torn}");
                assert!(is_torn(&[&torn.as_bytes()[..cut], &[0; 9]].concat()), "{cut} of {torn} and zeros");
            }
        }
        assert!(!is_torn(b"{\"seq\":7,\0\"row"), "zeros within");
        assert!(!is_torn(b"{\"seq\":7,\xff\"row"), "no text within");
    }
}
