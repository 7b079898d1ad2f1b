//! One Channel: what waits for it is delivered, one message at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::outbox::{Message, Next, Outbox};
use super::send::{self, Failure, Transport};
use super::status::{self, Outcome};
use crate::clock::SharedClock;
use crate::controller::plan::spread;
use crate::crd::{Channel, ChannelStatus};
use crate::model::{About, Happening, Key, Reason, Severity};
use crate::store::{Kind, Part, Store, StoreError};

/// The first wait after a failure; it doubles with each that follows.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest, unless the receiver asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Within which messages are counted against `perMinute`.
const MINUTE: Duration = Duration::from_secs(60);
/// How long nothing is done at most: a clock that was set is noticed then.
const LOOK: Duration = Duration::from_secs(60);
/// Pause when the store cannot be read or written.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Delivers for one Channel.
#[derive(Clone)]
pub struct Postman {
    pub key: Key,
    pub store: Store,
    pub outbox: Outbox,
    pub clock: SharedClock,
    pub transport: Arc<dyn Transport>,
    /// Called when the Channel is another one.
    pub changed: Arc<Notify>,
}

/// What is remembered between attempts.
#[derive(Default)]
struct Memory {
    /// Attempts that failed in a row.
    failures: u32,
    /// No attempt before.
    not_before: Option<Instant>,
    /// When the last messages went out.
    sent: VecDeque<Instant>,
}

/// How a round ended.
enum Round {
    /// Look again at once.
    Again,
    /// Look again then, or when something changes.
    Wait(Duration),
    /// The Channel is gone, or work is to end.
    Over,
}

impl Postman {
    /// Delivers until `stopping`, or until the Channel is gone.
    pub async fn run(self, stopping: CancellationToken) {
        let mut memory = Memory::default();
        let mut put = self.outbox.changes();
        loop {
            put.mark_unchanged();
            let round = match self.round(&mut memory, &stopping).await {
                Ok(round) => round,
                Err(error) => {
                    warn!(channel = %self.key, %error, "a delivery could not be written down; trying again");
                    Round::Wait(STORE_RETRY)
                }
            };
            let wait = match round {
                Round::Again => continue,
                Round::Wait(wait) => wait.min(LOOK),
                Round::Over => return,
            };
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                _ = put.changed() => {}
                // What was mended is tried at once.
                () = self.changed.notified() => memory.not_before = None,
            }
        }
    }

    async fn round(&self, memory: &mut Memory, stopping: &CancellationToken) -> Result<Round, StoreError> {
        let Some(object) = self.store.get(Kind::Channel, &self.key)? else { return Ok(Round::Over) };
        let Ok(channel) = serde_json::from_value::<Channel>(Value::clone(&object)) else {
            warn!(channel = %self.key, "the stored Channel cannot be read");
            return Ok(Round::Wait(LOOK));
        };
        let now = self.clock.now();
        if let Err(error) = self.outbox.settle().await {
            debug!(channel = %self.key, %error, "the outbox is kept in memory");
        }
        for message in self.outbox.expired(&self.key, now) {
            let why = format!("nobody took it for {} h", super::outbox::LONGEST.as_hours());
            self.give_up(&channel, &message, why, Reason::Undeliverable, now).await?;
        }
        // Programs want each message, people not each at once.
        if channel.spec.webhook.is_none() {
            self.outbox.gather(&self.key, now).await;
        }
        let wait = match self.outbox.next(&self.key, now) {
            Next::Nothing => LOOK,
            Next::At(at) => span(now, at),
            Next::Message(message) if message.test.is_none() && channel.spec.suspend => {
                debug!(id = message.notice.id, "the Channel is suspended");
                LOOK
            }
            Next::Message(message) => match self.must_wait(memory, channel.spec.per_minute).filter(|_| message.test.is_none()) {
                Some(wait) => wait,
                None => {
                    memory.sent.push_back(Instant::now());
                    // Only the attempt is cut off: what came of one is always written down.
                    let attempt = self.transport.send(&channel.spec, &message.notice);
                    let Some(sent) = stopping.run_until_cancelled(attempt).await else { return Ok(Round::Over) };
                    self.settle(memory, &channel, &message, sent).await?;
                    return Ok(Round::Again);
                }
            },
        };
        self.show(&channel, |_| {}).await?;
        Ok(Round::Wait(wait))
    }

    /// How long the back-off or the limit keeps from the next attempt.
    fn must_wait(&self, memory: &mut Memory, per_minute: u32) -> Option<Duration> {
        let now = Instant::now();
        while memory.sent.front().is_some_and(|sent| now.duration_since(*sent) >= MINUTE) {
            memory.sent.pop_front();
        }
        let surplus = (memory.sent.len() + 1).saturating_sub(usize::try_from(per_minute).unwrap_or(usize::MAX));
        let full = surplus.checked_sub(1).and_then(|index| memory.sent.get(index)).map(|sent| *sent + MINUTE);
        let until = memory.not_before.max(full)?;
        (until > now).then(|| until.duration_since(now))
    }

    /// Writes down what came of an attempt.
    async fn settle(
        &self,
        memory: &mut Memory,
        channel: &Channel,
        message: &Message,
        sent: Result<(), Failure>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        match sent {
            Ok(()) => {
                *memory = Memory { sent: std::mem::take(&mut memory.sent), ..Memory::default() };
                self.outbox.remove(message).await;
                info!(channel = %self.key, id = message.notice.id, title = message.notice.title, "told");
                self.show(channel, |status| status::attempted(status, message, &Outcome::Delivered, now)).await
            }
            Err(Failure { why, reason, permanent, .. }) if permanent || message.test.is_some() => {
                self.give_up(channel, message, why, reason, now).await
            }
            Err(Failure { why, reason, after, .. }) => {
                let wait = self.back_off(memory, after, &message.notice.id);
                let next_at = now.saturating_add(wait).unwrap_or(now);
                warn!(channel = %self.key, id = message.notice.id, tries = message.tries + 1, %next_at, "not taken: {why}");
                self.outbox.failed(message).await;
                self.show(channel, |status| status::attempted(status, message, &Outcome::Later { why, reason, next_at }, now))
                    .await
            }
        }
    }

    fn back_off(&self, memory: &mut Memory, after: Option<Duration>, seed: &str) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(1 << memory.failures.min(20)).min(LONGEST_WAIT);
        memory.failures = memory.failures.saturating_add(1);
        let wait = spread(doubled, &format!("{seed}#{}", memory.failures)).max(after.unwrap_or_default());
        memory.not_before = Some(Instant::now() + wait);
        wait
    }

    async fn give_up(
        &self,
        channel: &Channel,
        message: &Message,
        why: String,
        reason: Reason,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox.remove(message).await;
        warn!(channel = %self.key, id = message.notice.id, title = message.notice.title, "given up: {why}");
        // Whoever asked for a test is told.
        if message.test.is_none() {
            self.tell(reason, &why).await?;
        }
        self.show(channel, |status| status::attempted(status, message, &Outcome::GivenUp { why, reason }, now)).await
    }

    /// Tells that a message is given up, without the message in it: a receiver that refuses them all is told once, and counted.
    async fn tell(&self, reason: Reason, why: &str) -> Result<(), StoreError> {
        let message = format!("a message is given up: {why}");
        let about = About::Channel(self.key.clone());
        self.store.tell(Happening { about, reason, severity: Severity::Warning, message, trace_id: None }).await
    }

    /// Brings the Channel's status up to date, with what `change` says beside it.
    async fn show(&self, channel: &Channel, change: impl FnOnce(&mut ChannelStatus)) -> Result<(), StoreError> {
        let before: Option<ChannelStatus> =
            self.store.get(Kind::Channel, &self.key)?.and_then(|object| serde_json::from_value(object["status"].clone()).ok());
        let mut status = before.clone().unwrap_or_default();
        status.observed_generation = channel.metadata.generation.unwrap_or_default();
        channel.spec.kind().clone_into(&mut status.kind);
        status.server = send::server(&channel.spec);
        status.queued = u32::try_from(self.outbox.len(&self.key)).unwrap_or(u32::MAX);
        if status.conditions.is_empty() {
            status::ready(&mut status, "Unknown", Reason::NothingSent, "nothing was sent yet", self.clock.now());
        }
        change(&mut status);
        if before.as_ref() == Some(&status) {
            return Ok(());
        }
        let status = serde_json::to_value(status).unwrap_or_default();
        let write = move |object: &mut Value| {
            object["status"] = status;
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Channel, &self.key, Part::Status, None, write).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn span(now: Timestamp, at: Timestamp) -> Duration {
    let span: SignedDuration = at.duration_since(now);
    Duration::try_from(span).unwrap_or_default()
}
