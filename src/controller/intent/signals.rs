//! Signals that a container got through Docker.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A signal other than the stop signal and KILL that was sent this long before the end did not cause it (log rotation, reload).
const LONG_AGO: Duration = Duration::from_secs(60);

const KILL: i32 = 9;
const TERM: i32 = 15;
/// Stands for a signal that could not be read.
const UNREADABLE: i32 = 0;

/// The signals a container got in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signals {
    /// The run: when the container was started.
    pub(super) started_at: Option<Timestamp>,
    numbers: BTreeSet<i32>,
    last_at: Option<Timestamp>,
}

impl Signals {
    /// One more; `number` as in the event's attribute.
    pub(super) fn add(&mut self, number: Option<&str>, at: Timestamp) {
        self.numbers.insert(number.and_then(|text| text.parse().ok()).unwrap_or(UNREADABLE));
        self.last_at = Some(at);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Nothing but KILL, and that is not what `docker stop` begins with.
    pub(super) fn only_kill(&self, stop_signal: Option<i32>) -> bool {
        stop_signal.is_some_and(|stop| stop != KILL) && self.numbers.iter().eq([&KILL])
    }

    /// Neither KILL nor the stop signal, and long before `died_at`: it ended of its own accord all the same.
    pub(super) fn were_harmless(&self, stop_signal: Option<i32>, died_at: Timestamp) -> bool {
        let Some(stop) = stop_signal else { return false };
        let deadly = [KILL, UNREADABLE, stop].iter().any(|number| self.numbers.contains(number));
        let long_ago = |at: Timestamp| Duration::try_from(died_at.duration_since(at)).is_ok_and(|gap| gap >= LONG_AGO);
        !deadly && self.last_at.is_none_or(long_ago)
    }
}

/// The number of a configured stop signal (`SIGQUIT`, `quit`, `3`, `SIGRTMIN+3`); none configured is TERM. One that cannot be read
/// is 0, which is never taken for another.
pub(super) fn stop_signal(configured: Option<&str>) -> i32 {
    let Some(text) = configured.map(str::trim).filter(|text| !text.is_empty()) else { return TERM };
    if let Ok(number) = text.parse() {
        return number;
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ABRT" | "IOT" => 6,
        "KILL" => KILL,
        "USR1" => 10,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => TERM,
        "CONT" => 18,
        "STOP" => 19,
        "WINCH" => 28,
        "PWR" => 30,
        _ => real_time(name).unwrap_or(UNREADABLE),
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`, as Docker counts them.
fn real_time(name: &str) -> Option<i32> {
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(number) => number.parse::<i32>().ok(),
        None => rest.is_empty().then_some(0),
    };
    match name.strip_prefix("RTMIN") {
        Some(rest) => Some(34 + offset(rest, '+')?),
        None => Some(64 - offset(name.strip_prefix("RTMAX")?, '-')?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_signals_are_read_in_all_of_dockers_spellings() {
        let read = |text| stop_signal(Some(text));
        assert_eq!((read("SIGKILL"), read("kill"), read("9")), (9, 9, 9));
        assert_eq!((read("SIGRTMIN+3"), read("RTMAX-2"), read("SIGRTMIN")), (37, 62, 34));
        assert_eq!((stop_signal(None), read(""), read("SIGWINCH")), (15, 15, 28));
        assert_eq!((read("SIGNONSENSE"), read("RTMIN-3")), (0, 0));
    }
}
