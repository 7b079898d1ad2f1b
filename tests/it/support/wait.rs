//! Waiting for a condition, and watching that it stays.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Looks until `look` says `Ok`, and gives that back; fails after `bound` with the last state seen.
#[track_caller]
pub fn eventually<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(state) if start.elapsed() >= bound => panic!("not within {bound:?}: {what}; last seen: {state}"),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Looks all through `duration`; fails at once when `look` says `Err`.
#[track_caller]
pub fn holds_for(duration: Duration, what: &str, mut look: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while start.elapsed() < duration {
        if let Err(state) = look() {
            panic!("held only for {:?} of {duration:?}: {what}; seen: {state}", start.elapsed());
        }
        std::thread::sleep(POLL);
    }
}

/// Looks until what is seen has not changed for `quiet`, and gives that back; fails after `bound`.
#[track_caller]
pub fn settled<T: PartialEq + Debug>(quiet: Duration, bound: Duration, what: &str, mut look: impl FnMut() -> T) -> T {
    let mut last = (look(), Instant::now());
    eventually(bound, what, || {
        let seen = look();
        if seen != last.0 {
            last = (seen, Instant::now());
        }
        check(last.1.elapsed() >= quiet, || format!("{:?}, still changing", last.0))
    });
    last.0
}

/// `Ok` if the condition is true, else what is seen instead.
pub fn check(condition: bool, state: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(state()) }
}

/// `Ok` if both are equal, else what is seen instead.
pub fn same<T: PartialEq + Debug>(seen: T, wanted: T) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{seen:?} instead of {wanted:?}")) }
}

/// Seconds, as the acceptance cases write their bounds.
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
