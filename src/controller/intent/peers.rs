//! Containers that were signalled at about the same time, whoever's they are: a daemon that goes down signals all of them at
//! once, and its stream of events stays open until the slowest has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::EngineEvent;

use super::{QUIET, after};

/// A shutdown signals everything within this time (measured: 76 ms).
const AT_ONCE: Duration = Duration::from_secs(2);
/// Ended this long ago it says nothing about a stop of now.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// How many signals per container are remembered.
const SIGNALS: usize = 8;

/// Which containers were signalled when.
#[derive(Debug, Default)]
pub(super) struct Peers {
    signalled: BTreeMap<String, Signalled>,
}

#[derive(Debug, Default)]
struct Signalled {
    /// In the daemon's time, newest last.
    at: Vec<Timestamp>,
    /// When the last of its end was seen.
    ended: Option<Timestamp>,
}

impl Peers {
    /// Any container's event.
    pub(super) fn event(&mut self, event: &EngineEvent, now: Timestamp) {
        match event.action.as_str() {
            "kill" => {
                let times = &mut self.signalled.entry(event.id.clone()).or_default().at;
                if times.len() == SIGNALS {
                    times.remove(0);
                }
                times.push(event.at());
            }
            "die" | "stop" | "destroy" => {
                if let Some(signalled) = self.signalled.get_mut(&event.id) {
                    signalled.ended = Some(now);
                }
                self.signalled.retain(|_, one| one.ended.is_none_or(|ended| now < after(ended, FORGOTTEN)));
            }
            "start" => drop(self.signalled.remove(&event.id)),
            _ => {}
        }
    }

    /// When it will have been quiet for long enough after the end of this container (seen at `since`) and of all that were
    /// signalled together with it; `None` while one of them has not ended.
    pub(super) fn quiet_at(&self, id: &str, since: Timestamp) -> Option<Timestamp> {
        let own = self.signalled.get(id).map_or(&[][..], |signalled| &signalled.at);
        let together = |other: &&Signalled| other.at.iter().any(|at| own.iter().any(|mine| at_once(*at, *mine)));
        let others = self.signalled.iter().filter(|(other, _)| *other != id).map(|(_, signalled)| signalled);
        let last = others.filter(together).try_fold(since, |last, other| Some(last.max(other.ended?)))?;
        Some(after(last, QUIET))
    }
}

fn at_once(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).unsigned_abs() <= AT_ONCE
}
