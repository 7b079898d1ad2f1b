//! The context as a tar stream. It is made on a thread of its own, piece by piece, and stops when nobody reads it any more.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::context::{Context, ContextError, Entry, EntryKind, read};

/// Bytes of a piece, and pieces that wait for a slow engine.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 8;

/// `O_NOFOLLOW` and `O_NONBLOCK` of Linux: a link or a pipe that has taken a file's place is not opened, nor waited for.
const NEVER_FOLLOW: i32 = 0o400_000 | 0o4_000;

/// What the engine reads.
pub(super) type ArchiveBody = StreamBody<ReceiverStream<io::Result<Frame<Bytes>>>>;

/// How the sending goes, seen from outside.
#[derive(Clone, Default)]
pub(super) struct Sending {
    sent: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Sending {
    /// Bytes taken by the engine so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why the archive broke off, if it did: the engine only sees that it did.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Begins to send a context.
pub(super) fn send(context: Context) -> (ArchiveBody, Sending) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let sending = Sending::default();
    let told = sending.clone();
    tokio::task::spawn_blocking(move || {
        let pipe = Pipe { sender: Some(sender.clone()), piece: BytesMut::with_capacity(PIECE), sent: Arc::clone(&told.sent) };
        if let Err(error) = write(&context, pipe) {
            let error = error.to_string();
            *told.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            // The body ends broken, so that the engine does not take half a context for a whole one. Where nobody reads any
            // more it is broken already.
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    (StreamBody::new(ReceiverStream::new(receiver)), sending)
}

fn write(context: &Context, pipe: Pipe) -> Result<(), ContextError> {
    // An engine that is to fetch the context takes no archive beside it, not even an empty one.
    if context.is_elsewhere() {
        return Ok(());
    }
    let mut tar = tar::Builder::new(pipe);
    let written = context.walk(&mut |entry| append(&mut tar, entry)).and_then(|()| match &context.outside {
        Some(text) => append_text(&mut tar, &context.dockerfile, text),
        None => Ok(()),
    });
    if written.is_err() {
        // Dropping it would write the archive's end.
        tar.get_mut().sender = None;
        return written;
    }
    tar.into_inner().and_then(|mut pipe| pipe.flush()).map_err(|why| read(Path::new("the archive"), why))
}

fn append(tar: &mut tar::Builder<Pipe>, entry: &Entry<'_>) -> Result<(), ContextError> {
    let mut header = header(entry);
    let written = match &entry.kind {
        EntryKind::Folder => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, entry.name, io::empty())
        }
        EntryKind::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, entry.name, target)
        }
        EntryKind::File => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(entry.size());
            open_file(entry.path).and_then(|file| {
                let content = Exactly { file: file.take(entry.size()), missing: entry.size() };
                tar.append_data(&mut header, entry.name, content)
            })
        }
    };
    written.map_err(|why| read(entry.path, why))
}

/// Files belong to root, as when the docker command sends them.
fn header(entry: &Entry<'_>) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode());
    header.set_mtime(u64::try_from(entry.metadata.mtime()).unwrap_or_default());
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn append_text(tar: &mut tar::Builder<Pipe>, name: &str, text: &[u8]) -> Result<(), ContextError> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, name, text).map_err(|why| read(Path::new(name), why))
}

/// Opens a file that was seen to be one, and nothing else.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(NEVER_FOLLOW).open(path)
}

/// As many bytes as the header promised, or an error.
struct Exactly {
    file: io::Take<File>,
    missing: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.missing = self.missing.saturating_sub(read as u64);
        if read == 0 && self.missing > 0 && !buffer.is_empty() {
            return Err(io::Error::other("it became shorter while it was sent; the build is tried again"));
        }
        Ok(read)
    }
}

/// A writer whose other end is the body of a request.
struct Pipe {
    /// `None`: it is broken, and what is written goes nowhere.
    sender: Option<mpsc::Sender<io::Result<Frame<Bytes>>>>,
    piece: BytesMut,
    sent: Arc<AtomicU64>,
}

impl Pipe {
    fn pass_on(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE)).freeze();
        let length = piece.len() as u64;
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the engine stopped reading");
        let Some(sender) = &self.sender else { return Ok(()) };
        sender.blocking_send(Ok(Frame::data(piece))).map_err(gone)?;
        self.sent.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..fits]);
        if self.piece.len() == PIECE {
            self.pass_on()?;
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
