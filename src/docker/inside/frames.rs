//! Takes Docker's multiplexed stream apart: frames of a header (channel, length) and as many bytes. Pure.

use bytes::{Buf, Bytes, BytesMut};

use super::Channel;

/// Bytes of a frame's header: the channel, three zeros, the length in big-endian order.
const HEADER: usize = 8;

/// What is read of a frame so far. A frame is not waited for: it may be larger than memory.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::docker) struct Piece {
    pub(in crate::docker) channel: Channel,
    pub(in crate::docker) bytes: Bytes,
    /// Whether a frame begins with it.
    pub(in crate::docker) first: bool,
}

/// Reads frames from bytes as they come.
#[derive(Debug, Default)]
pub(in crate::docker) struct Frames {
    buffer: BytesMut,
    /// The frame under way: its channel, and how many bytes of it are still to come.
    open: Option<(Channel, usize)>,
}

impl Frames {
    pub(in crate::docker) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece; `None`: more bytes are needed.
    ///
    /// # Errors
    /// When what comes is no such stream; in words.
    pub(in crate::docker) fn next(&mut self) -> Result<Option<Piece>, String> {
        let first = self.open.is_none();
        let (channel, left) = match self.open.take() {
            Some(open) => open,
            None if self.buffer.len() < HEADER => return Ok(None),
            None => self.header()?,
        };
        let bytes = self.buffer.split_to(left.min(self.buffer.len())).freeze();
        let left = left - bytes.len();
        self.open = (left > 0).then_some((channel, left));
        if bytes.is_empty() && !first { Ok(None) } else { Ok(Some(Piece { channel, bytes, first })) }
    }

    fn header(&mut self) -> Result<(Channel, usize), String> {
        let (kind, zeros) = (self.buffer.get_u8(), [self.buffer.get_u8(), self.buffer.get_u8(), self.buffer.get_u8()]);
        let length = self.buffer.get_u32() as usize;
        match kind {
            0 | 1 if zeros == [0; 3] => Ok((Channel::Stdout, length)),
            // 3 is what the daemon itself has to say.
            2 | 3 if zeros == [0; 3] => Ok((Channel::Stderr, length)),
            _ => Err(format!("the stream is not multiplexed as it should be: a frame begins with {kind} {zeros:?}")),
        }
    }
}
