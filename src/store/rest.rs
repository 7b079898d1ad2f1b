//! What could not be written is written again after a pause: all of it together, and less and less often.

use std::time::Duration;

use jiff::Timestamp;

/// The first pause; it doubles with each failure that follows.
const FIRST: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// Whether to write now, where a full disk would refuse each of many writes.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    failures: u32,
    /// From when, until when nothing is written.
    pause: Option<(Timestamp, Timestamp)>,
}

impl Rest {
    /// Until when nothing is to be written; `None`: it may be.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        // A clock that was set back ends it.
        self.pause.filter(|(from, until)| (*from..*until).contains(&now)).map(|(_, until)| until)
    }

    /// A write failed. Whether it is the first one since one did not, which is worth a word.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        let pause = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.pause = Some((now, now.saturating_add(pause).unwrap_or(Timestamp::MAX)));
        self.failures == 1
    }

    /// A write did not fail.
    pub fn worked(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_rests_longer_each_time_and_says_so_once() {
        let mut rest = Rest::default();
        assert_eq!(rest.until(second(0)), None);
        assert!(rest.failed(second(0)));
        assert_eq!((rest.until(second(4)), rest.until(second(5))), (Some(second(5)), None));
        assert!(!rest.failed(second(5)));
        assert_eq!(rest.until(second(5)), Some(second(15)));
        assert_eq!(rest.until(second(1)), None, "the clock was set back");
        for _ in 0..50 {
            rest.failed(second(20));
        }
        assert_eq!(rest.until(second(20)), Some(second(320)));
        rest.worked();
        assert!(rest.until(second(20)).is_none() && rest.failed(second(21)));
    }
}
