//! This process's terminal: raw while a command has it, and as it was afterwards.

use std::io;

use anyhow::Context;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::cli::failure::Failure;
use crate::model::remote::Size;

/// The terminal passes every key on. Dropping it, also in a panic, restores what was before.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Makes the terminal at stdin raw.
    pub fn enter() -> Result<Self, Failure> {
        let attempt = "cannot set up the terminal";
        let before = tcgetattr(io::stdin()).map_err(io::Error::from).context(attempt)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(io::Error::from).context(attempt)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// The terminal's size; `None` where it has none.
pub fn size() -> Option<Size> {
    let seen = tcgetwinsize(io::stdin()).ok()?;
    (seen.ws_col > 0 && seen.ws_row > 0).then_some(Size { width: seen.ws_col, height: seen.ws_row })
}
