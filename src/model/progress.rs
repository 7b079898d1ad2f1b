//! How far a job is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a job is, for people. Only the newest is kept, in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// Steps that are done: layers of a pull, steps of a build.
    pub done: u64,
    /// Steps known so far.
    pub total: u64,
    /// Bytes that came in.
    pub bytes: u64,
    /// Bytes expected, as far as it is known.
    pub total_bytes: u64,
    /// What is done right now, in words.
    pub text: String,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.total, self.text.as_str()) {
            (0, "") => f.write_str("waiting for the first answer"),
            (0, text) => f.write_str(text),
            (total, "") => write!(f, "{} of {total} steps", self.done),
            (total, text) => write!(f, "{} of {total} steps, {text}", self.done),
        }
    }
}
