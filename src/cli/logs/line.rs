//! One log, line by line.

use std::pin::Pin;

use anyhow::Context;
use futures::{AsyncBufRead, AsyncBufReadExt};
use jiff::Timestamp;

use super::Question;
use crate::cli::client::{deployment_path, encode};
use crate::cli::failure::Failure;
use crate::model::ReplicaId;

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was written; `None` where the log does not say.
    pub at: Option<Timestamp>,
    /// What was written, without its end.
    pub text: Vec<u8>,
}

/// The lines of a log as they come.
pub struct Lines {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
}

impl Lines {
    /// Opens the log of a replica. Times are always asked for: lines are merged by them.
    pub async fn open(
        question: &Question<'_>,
        id: &ReplicaId,
        follow: bool,
        since: Option<Timestamp>,
        tail: Option<u64>,
    ) -> Result<Self, Failure> {
        let mut query = format!("container={id}&timestamps=true&follow={follow}");
        query.extend(since.map(|since| format!("&sinceTime={}", encode(&format!("{since:.9}")))));
        query.extend(tail.map(|tail| format!("&tailLines={tail}")));
        let path = deployment_path(question.namespace, question.deployment, Some("log"));
        Ok(Self { reader: question.api.stream(&format!("{path}?{query}")).await? })
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Line>, Failure> {
        let mut text = vec![];
        let length = self.reader.read_until(b'\n', &mut text).await.context("a log broke off")?;
        Ok((length > 0).then(|| Line::read(text)))
    }
}

impl Line {
    /// A line as the API sends it: its time, a space, the text, a newline.
    pub fn read(mut bytes: Vec<u8>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        let stamp = bytes.iter().position(|byte| *byte == b' ');
        let at = stamp.and_then(|end| std::str::from_utf8(&bytes[..end]).ok()?.parse().ok());
        // An empty line may come as a time alone.
        let whole = || std::str::from_utf8(&bytes).ok()?.trim_end_matches('\r').parse().ok();
        match (at, stamp) {
            (Some(at), Some(end)) => Self { at: Some(at), text: bytes.split_off(end + 1) },
            _ => match whole() {
                Some(at) => Self { at: Some(at), text: vec![] },
                None => Self { at: None, text: bytes },
            },
        }
    }
}

/// How far a log has been read: from here on another stream goes on with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Time of the newest line.
    pub at: Option<Timestamp>,
    /// Lines of just that time.
    count: usize,
    /// How many of those the stream under way has repeated.
    repeated: usize,
}

impl Mark {
    /// Another stream begins at this mark; it repeats the lines of its time.
    pub fn rewind(&mut self) {
        self.repeated = 0;
    }

    /// Whether a line is new; if so, the mark moves to it. What bears no time is taken for new.
    pub fn passes(&mut self, line: &Line) -> bool {
        let Some(at) = line.at else { return true };
        match self.at {
            Some(newest) if at < newest => false,
            Some(newest) if at == newest && self.repeated < self.count => {
                self.repeated += 1;
                false
            }
            Some(newest) if at == newest => {
                (self.count, self.repeated) = (self.count + 1, self.repeated + 1);
                true
            }
            _ => {
                *self = Self { at: Some(at), count: 1, repeated: 1 };
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::read(text.as_bytes().to_vec())
    }

    #[test]
    fn a_line_is_a_time_and_bytes() {
        let seen = line("2026-08-21T10:00:00.000000001Z a  b \n");
        assert_eq!((seen.at.unwrap().subsec_nanosecond(), seen.text.as_slice()), (1, &b"a  b "[..]));
        assert_eq!(line("2026-08-21T10:00:00Z\n").text, b"");
        assert_eq!(line("2026-08-21T10:00:00Z \n").text, b"");
        assert_eq!(line("no time\n"), Line { at: None, text: b"no time".to_vec() });
        assert_eq!(Line::read(b"\xff\xfe".to_vec()).text, b"\xff\xfe");
    }

    #[test]
    fn what_a_new_stream_repeats_is_left_out_and_nothing_else() {
        let [one, two, three] = ["2026-08-21T10:00:00Z a", "2026-08-21T10:00:01Z b", "2026-08-21T10:00:01Z c"].map(line);
        let mut mark = Mark::default();
        assert!(mark.passes(&one) && mark.passes(&two));
        mark.rewind();
        assert!(!mark.passes(&one) && !mark.passes(&two));
        assert!(mark.passes(&three), "another line of the same time");
        mark.rewind();
        assert!(!mark.passes(&two) && !mark.passes(&three));
        assert!(mark.passes(&line("2026-08-21T10:00:02Z d")));
    }
}
