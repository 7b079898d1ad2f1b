//! What others get to see: the picture, or that there is none; and what changed.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::{Key, Snapshot};

/// What a [`World`](super::World) is set up with.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// `--instance` of this operator: whose labels are ours.
    pub instance: String,
    /// Between two full looks when no event asks for one.
    pub resync: Duration,
    /// Whether to see to it that no other operator of this instance works on the engine. Only where operators come and go within
    /// one process, in tests and benches, it is not.
    pub sole: bool,
    /// How long the last picture is still shown when the engine is out of reach.
    pub blind_after: Duration,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self { instance: "default".to_owned(), resync: Duration::from_secs(30), sole: true, blind_after: Duration::from_secs(10) }
    }
}

/// What can be seen of the engine.
#[derive(Debug, Clone)]
pub enum View {
    /// The picture, true as far as events tell.
    Seen(Arc<Snapshot>),
    /// Nothing that can be relied on: no plan is made.
    Blind {
        /// Since when.
        since: Timestamp,
        /// What was attempted and why it fails.
        why: String,
    },
}

/// What somebody who plans wants to hear. A reader that lags behind takes it as [`WorldChange::Everything`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldChange {
    /// Something of one Deployment, or of one Compose project, changed.
    Touched {
        /// The Deployment, where evenkeel's labels name it.
        key: Option<Key>,
        /// The Compose project, where that is all that is known.
        project: Option<String>,
    },
    /// Anything may have changed.
    Everything,
    /// The engine is out of reach, or going down.
    Lost {
        /// What was attempted and why it fails.
        why: String,
    },
    /// The engine is back, and it is another run of it: all that should run is to be run again.
    EngineRestarted {
        /// The host was booted, too.
        host: bool,
    },
}

/// Whether the engine is in reach.
#[derive(Debug)]
pub(super) struct Contact {
    /// It has been looked at as a whole at least once.
    seen: bool,
    /// It has been seen, or could not be, at least once.
    tried: bool,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    /// By the wall clock, for people.
    since: Timestamp,
    /// By the steady clock; `None`: what was seen before does not count any more.
    began: Option<Timestamp>,
    why: String,
    /// That it became blind has been told.
    told: bool,
}

impl Contact {
    pub(super) fn never(now: Timestamp) -> Self {
        let why = "the engine has not been looked at yet".to_owned();
        Self { seen: false, tried: false, trouble: Some(Trouble { since: now, began: None, why, told: true }) }
    }

    /// It was looked at as a whole. Returns whether there was trouble before.
    pub(super) fn good(&mut self) -> bool {
        (self.seen, self.tried) = (true, true);
        self.trouble.take().is_some()
    }

    /// It is out of reach. Returns whether that is news.
    pub(super) fn bad(&mut self, why: String, wall: Timestamp, steady: Timestamp) -> bool {
        self.tried = true;
        match &mut self.trouble {
            Some(trouble) => {
                trouble.why = why;
                false
            }
            None => {
                self.trouble = Some(Trouble { since: wall, began: Some(steady), why, told: false });
                true
            }
        }
    }

    /// The last picture does not count any more.
    pub(super) fn void(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.began = None;
        }
    }

    pub(super) fn is_seen(&self) -> bool {
        self.seen
    }

    pub(super) fn was_tried(&self) -> bool {
        self.tried
    }

    pub(super) fn is_good(&self) -> bool {
        self.seen && self.trouble.is_none()
    }

    /// Since when and why nothing can be seen, if so.
    pub(super) fn blind(&self, steady: Timestamp, after: Duration) -> Option<(Timestamp, &str)> {
        let trouble = self.trouble.as_ref()?;
        let patient = |began: Timestamp| steady < began.saturating_add(after).unwrap_or(Timestamp::MAX);
        let blind = !self.seen || trouble.began.is_none_or(|began| !patient(began));
        blind.then_some((trouble.since, trouble.why.as_str()))
    }

    /// Why nothing can be seen any more, once, when it comes to that.
    pub(super) fn newly_blind(&mut self, steady: Timestamp, after: Duration) -> Option<String> {
        let why = self.blind(steady, after)?.1.to_owned();
        let trouble = self.trouble.as_mut().filter(|trouble| !trouble.told)?;
        trouble.told = true;
        Some(why)
    }
}
