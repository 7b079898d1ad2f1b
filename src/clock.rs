//! The only place that asks what time it is, so that everything else can be tested with paused time.

use std::sync::Arc;

pub use jiff::Timestamp;

/// A source of wall-clock time. Shared by handle: every worker gets a clone.
pub type SharedClock = Arc<dyn Clock>;

/// Tells the wall-clock time. Waiting is done with tokio's monotonic timers, never with this.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that follows tokio's timer, so that a test with paused time moves both together.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    base: Timestamp,
    start: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that reads `base` at this moment of tokio's time.
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, start: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        // A test never runs for the thousands of years that would overflow; saturate all the same.
        self.base.saturating_add(self.start.elapsed()).unwrap_or(self.base)
    }
}
