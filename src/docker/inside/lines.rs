//! Puts the lines of a log together again. Pure.
//!
//! Docker stores a line of more than 16 KiB in several pieces and sends each as a frame of its own; with timestamps, each
//! piece gets one. And between the pieces of one channel's line there may be lines of the other.

use bytes::{BufMut, Bytes, BytesMut};

use super::frames::Piece;
use super::{Channel, LONGEST_LINE};

/// Whole lines from the pieces of frames.
#[derive(Debug, Default)]
pub(super) struct Lines {
    timestamps: bool,
    stdout: Line,
    stderr: Line,
}

/// A line that has not ended.
#[derive(Debug, Default)]
struct Line {
    text: BytesMut,
    /// The timestamp of a further piece is being left out.
    skipping: bool,
}

impl Lines {
    pub(super) fn new(timestamps: bool) -> Self {
        Self { timestamps, ..Self::default() }
    }

    /// The lines that are whole with this piece; empty if none is.
    pub(super) fn take(&mut self, piece: &Piece) -> Bytes {
        let timestamps = self.timestamps;
        let line = match piece.channel {
            Channel::Stdout => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
        };
        let mut bytes = &piece.bytes[..];
        line.skipping |= timestamps && piece.first && !line.text.is_empty();
        if line.skipping {
            let end = bytes.iter().position(|byte| *byte == b' ');
            line.skipping = end.is_none();
            bytes = end.map_or(&[], |end| &bytes[end + 1..]);
        }
        line.text.extend_from_slice(bytes);
        line.whole(timestamps)
    }

    /// What has not ended with a newline, now that nothing more comes.
    pub(super) fn rest(&mut self) -> Bytes {
        let mut rest = self.stdout.text.split();
        if !rest.is_empty() && !self.stderr.text.is_empty() {
            rest.put_u8(b'\n');
        }
        rest.extend_from_slice(&self.stderr.text.split());
        rest.freeze()
    }
}

impl Line {
    fn whole(&mut self, timestamps: bool) -> Bytes {
        if let Some(end) = self.text.iter().rposition(|byte| *byte == b'\n') {
            return self.text.split_to(end + 1).freeze();
        }
        if self.text.len() < LONGEST_LINE {
            return Bytes::new();
        }
        // What follows becomes a line of its own, of the same time.
        let stamp = if timestamps { self.text.iter().position(|byte| *byte == b' ').map_or(0, |end| end + 1) } else { 0 };
        let mut broken = std::mem::take(&mut self.text);
        self.text.extend_from_slice(&broken[..stamp]);
        broken.put_u8(b'\n');
        broken.freeze()
    }
}
