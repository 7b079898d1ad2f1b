//! Why something failed: the facts are gathered here, beside everybody's turn, and judged by pure rules.
//!
//! | file | what |
//! |---|---|
//! | `rules` | facts in, diagnosis out; pure |
//! | `words` | what programs and the engine say, and what it comes from; pure |
//! | `signature` | what makes a failure the same as an earlier one; pure |
//! | this one | reads the last lines of logs: local, bounded, with a deadline, never before a restart |

pub mod rules;
mod signature;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::docker::{Inside, LogQuery};
use crate::model::{LogNews, LogWish, Secrets};

/// How long a log may take. It is local; one that is not is not waited for.
const DEADLINE: Duration = Duration::from_secs(2);

/// Logs that are read at once.
const AT_ONCE: usize = 4;

/// Lines that are asked for: some may be of the run after the failure.
const ASKED: u64 = 200;

/// Most bytes that are read.
const READ: usize = 256 * 1024;

/// Lines that are kept, and their length in characters.
const KEPT: usize = 40;
const LONGEST: usize = 300;

/// What a run wrote may be stamped a little later than its end; the next one has not begun by then.
const SLACK: SignedDuration = SignedDuration::from_millis(20);

/// Docker says that a run began when it has been told so: by then a short one has written all it had to say.
const HEAD_START: SignedDuration = SignedDuration::from_secs(3);

/// The worker.
pub struct Logs {
    engine: Arc<dyn Inside>,
    wishes: mpsc::UnboundedReceiver<LogWish>,
    news: mpsc::UnboundedSender<LogNews>,
}

impl Logs {
    /// A worker that does nothing until [`Logs::run`] runs.
    pub fn new(engine: Arc<dyn Inside>, wishes: mpsc::UnboundedReceiver<LogWish>, news: mpsc::UnboundedSender<LogNews>) -> Self {
        Self { engine, wishes, news }
    }

    /// Reads what is wished until `shutdown`. Every wish is answered, if only with no lines.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let wish = tokio::select! {
                () = shutdown.cancelled() => return,
                wish = self.wishes.recv() => wish,
            };
            // Without a controller there is nobody to read for.
            let Some(wish) = wish else { return };
            let (engine, news, places) = (Arc::clone(&self.engine), self.news.clone(), Arc::clone(&places));
            tokio::spawn(async move {
                // Never closed.
                let _place = places.acquire().await;
                let lines = timeout(DEADLINE, read(engine.as_ref(), &wish)).await.unwrap_or_else(|_| {
                    debug!(container = %wish.container, "its log was not read in time");
                    Vec::new()
                });
                let LogWish { key, replica, failed_at, .. } = wish;
                // Nobody to tell: the operator ends.
                let _ = news.send(LogNews { key, replica, failed_at, lines });
            });
        }
    }
}

/// The last lines that were written until the failure.
async fn read(engine: &dyn Inside, wish: &LogWish) -> Vec<String> {
    let began = wish.started_at.map(|at| at.saturating_sub(HEAD_START).unwrap_or(at));
    let before = wish.failed_before.map(|at| at.saturating_add(SLACK).unwrap_or(at));
    let query = LogQuery { tail: Some(ASKED), since: began.max(before), timestamps: true, ..LogQuery::default() };
    let mut stream = match engine.logs(&wish.container, &query).await {
        Ok(stream) => stream,
        Err(failure) => {
            debug!(container = %wish.container, error = %failure, "its log cannot be read");
            return Vec::new();
        }
    };
    let mut text = BytesMut::new();
    while let Some(Ok(part)) = stream.next().await {
        text.extend_from_slice(&part);
        // The end tells the cause. A line that is torn at its beginning has no time, and is passed over.
        let surplus = text.len().saturating_sub(READ);
        text.advance(surplus);
    }
    let until = wish.failed_at.saturating_add(SLACK).unwrap_or(wish.failed_at);
    let secrets = wish.secrets.clone();
    // Much text: looking for secrets in it takes tens of milliseconds, in which a thread of the runtime would do nothing else.
    let redacted = tokio::task::spawn_blocking(move || lines(&String::from_utf8_lossy(&text), until, &secrets));
    redacted.await.unwrap_or_default()
}

/// The last lines of a log with timestamps that are not from after `until`, without the timestamps: redacted, then cut.
fn lines(text: &str, until: Timestamp, secrets: &Secrets) -> Vec<String> {
    let of_run = text.lines().filter_map(|line| {
        let (at, said) = line.split_once(' ')?;
        let at: Timestamp = at.parse().ok()?;
        (at <= until).then_some(said)
    });
    // A secret may go over several lines (a key): it is looked for in all of them at once.
    let whole = secrets.hide(&of_run.collect::<Vec<_>>().join("\n"));
    let shown: Vec<String> = whole.lines().map(|line| secrets.excerpt(line, LONGEST)).filter(|line| !line.is_empty()).collect();
    shown[shown.len().saturating_sub(KEPT)..].to_vec()
}
