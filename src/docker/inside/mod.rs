//! Looking into containers, and at the engine's machine: logs, commands run inside, resources used, facts.
//!
//! The controller needs none of this; the doors for people do. That is why it is a trait of its own.

mod client;
mod facts;
pub(super) mod frames;
mod lines;
mod usage;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::io::AsyncWrite;

use super::{Engine, Result};

pub use facts::{AddressPool, Facts, Listener};
pub use usage::Usage;

#[cfg(test)]
mod tests;

/// Longest line of a log that is passed on as one; a longer one is broken into several.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// Which part of a container's log is read, and how it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Go on as it is written, until the container ends.
    pub follow: bool,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Only what was written then or later.
    pub since: Option<Timestamp>,
    /// Begin each line with the time it was written, RFC 3339 with nine digits, and a space.
    pub timestamps: bool,
}

/// A log: whole lines, several at a time or one, in the order they were written. Only the last one may lack its newline.
/// Dropping it ends the call.
pub type Logs = BoxStream<'static, Result<Bytes>>;

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Further variables, `NAME=value`.
    pub env: Vec<String>,
    /// `user[:group]`; `None`: the container's.
    pub user: Option<String>,
    /// Folder to run it in; `None`: the container's.
    pub workdir: Option<String>,
    /// Whether it gets our input; else its stdin is empty.
    pub stdin: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
}

/// Where a piece of output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output; with a terminal, everything.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A command that runs in a container. Dropping it closes the command's input and output; the engine does not end it.
pub struct Exec {
    /// The engine's id of it.
    pub id: String,
    /// What it writes; ends when it does.
    pub output: BoxStream<'static, Result<(Channel, Bytes)>>,
    /// What it reads; shutting this down is its end of input.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
}

/// An engine that can be looked into.
#[async_trait]
pub trait Inside: Engine {
    /// The log of a container, by id or name.
    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Logs>;

    /// Runs a command in a container that runs.
    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec>;
    /// Tells the terminal of a command how large it is, in characters.
    async fn resize_exec(&self, exec: &str, width: u16, height: u16) -> Result<()>;
    /// The exit code of a command; `None` while it runs.
    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>>;

    /// What a container uses now. Takes one to two seconds, over which CPU use is measured.
    async fn usage(&self, container: &str) -> Result<Usage>;

    /// What the engine says about itself and its machine, for people.
    async fn facts(&self) -> Result<Facts>;
}
