//! The last lines of runs that failed: asked for when a failure is noted, read beside it, judged with the turn that follows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::model::{Desired, Key, LogNews, LogWish, Note, Secrets};

/// The two ends of the channels to who reads logs.
pub struct LogChannels {
    /// Which logs are to be read.
    pub wishes: mpsc::UnboundedSender<LogWish>,
    /// What they say.
    pub news: mpsc::UnboundedReceiver<LogNews>,
}

/// What logs say of failures.
pub(super) struct Evidence {
    wishes: mpsc::UnboundedSender<LogWish>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: HashMap<Key, Vec<LogNews>>,
    /// Until [`Evidence::news`] takes it.
    news: Option<mpsc::UnboundedReceiver<LogNews>>,
}

impl Evidence {
    pub fn new(channels: LogChannels) -> Self {
        let LogChannels { wishes, news } = channels;
        Self { wishes, state: Mutex::new(State { news: Some(news), ..State::default() }) }
    }

    /// Has the log of a run read that a note says to have failed.
    pub fn want(&self, desired: &Desired, note: &Note) {
        let (replica, at, run) = match note {
            Note::Failed { replica, at, run, .. } => (replica, at, run),
            Note::Completed { replica, at, run, exit_code, .. } if *exit_code != 0 => (replica, at, run),
            _ => return,
        };
        let env = desired.services.get(&replica.service).map(|service| service.template.env.as_slice()).unwrap_or_default();
        // Without anybody who reads there is no evidence but what is known.
        let _ = self.wishes.send(LogWish {
            key: desired.key.clone(),
            replica: replica.clone(),
            failed_at: *at,
            container: run.container.clone(),
            started_at: run.started_at,
            failed_before: run.failed_before,
            secrets: Secrets::of_env(env),
        });
    }

    /// Takes in what was read.
    pub fn learn(&self, news: LogNews) {
        self.lock().found.entry(news.key.clone()).or_default().push(news);
    }

    /// What was read since the last turn.
    pub fn take(&self, key: &Key) -> Vec<LogNews> {
        self.lock().found.remove(key).unwrap_or_default()
    }

    /// What is told from now on; once.
    pub fn news(&self) -> Option<mpsc::UnboundedReceiver<LogNews>> {
        self.lock().news.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
