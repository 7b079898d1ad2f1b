//! What figures of the past say: what is usual for a container, and whether its memory only grows. Pure.

use jiff::{SignedDuration, Timestamp};

use super::alerts::Level;

/// Figures that are needed to say what is usual.
const FEWEST: usize = 5;

/// In how many parts growth is looked for.
const PARTS: usize = 6;

/// Growth below this is no leak, in bytes: caches warm up, allocators round up.
const LEAST_GROWTH: f64 = 1024.0 * 1024.0;

/// The median of what was used in `past` before now; `None`: less than half of that time is known. `figures` are in order of time.
pub fn usual(figures: impl Iterator<Item = (Timestamp, f64)>, past: SignedDuration, now: Timestamp) -> Option<f64> {
    let (begin, half) = (now - past, now - past / 2);
    let mut figures = figures.filter(|(at, _)| (begin..=now).contains(at)).peekable();
    let reaches = figures.peek().is_some_and(|(first, _)| *first <= half);
    let mut known: Vec<f64> = figures.map(|(_, figure)| figure).collect();
    if known.len() < FEWEST || !reaches {
        return None;
    }
    let middle = known.len() / 2;
    Some(*known.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// How memory went over a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Its lowest point in the first part, in bytes.
    pub from: f64,
    /// In the last part.
    pub to: f64,
    /// Higher in each part than in the one before.
    pub steady: bool,
}

impl Course {
    /// Of the time `over` before now. `None`: a part of it is not known. `figures` may come in any order.
    pub fn of(figures: impl Iterator<Item = (Timestamp, u64)>, over: SignedDuration, now: Timestamp) -> Option<Self> {
        let begin = now - over;
        let mut lowest = [None::<u64>; PARTS];
        for (at, bytes) in figures.filter(|(at, _)| (begin..=now).contains(at)) {
            let part = at.duration_since(begin).as_secs_f64() / over.as_secs_f64() * PARTS as f64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 6")]
            let part = (part as usize).min(PARTS - 1);
            lowest[part] = Some(lowest[part].map_or(bytes, |low| low.min(bytes)));
        }
        let lowest = lowest.into_iter().collect::<Option<Vec<u64>>>()?;
        let steady = lowest.windows(2).all(|pair| pair[0] < pair[1]);
        Some(Self { from: lowest[0] as f64, to: lowest[PARTS - 1] as f64, steady })
    }

    /// How it is to a growth of `above` (a share, 0.2 for 20 percent).
    pub fn level(self, above: f64) -> Level {
        let growth = self.to - self.from;
        match () {
            () if self.steady && growth > self.from * above && growth >= LEAST_GROWTH => Level::Beyond,
            // A single step down does not end it: the collector of the program's garbage may have run once.
            () if growth > self.from * above / 2.0 => Level::Near,
            () => Level::Calm,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const MIB: u64 = 1024 * 1024;

    fn at(minute: i64) -> Timestamp {
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }

    fn course(memory: impl Fn(i64) -> u64) -> Option<Course> {
        Course::of((0..=60).map(|minute| (at(minute), memory(minute))), HOUR, at(60))
    }

    #[test]
    fn the_usual_is_the_median_and_needs_half_of_the_time() {
        let figures =
            |minutes: std::ops::RangeInclusive<i64>| minutes.map(|minute| (at(minute), if minute > 50 { 90.0 } else { 10.0 }));
        assert_eq!(usual(figures(0..=60), HOUR, at(60)), Some(10.0));
        assert_eq!(usual(figures(30..=60), HOUR, at(60)), Some(10.0));
        assert_eq!(usual(figures(31..=60), HOUR, at(60)), None);
        assert_eq!(usual(figures(-60..=-10), HOUR, at(60)), None);
        assert_eq!(usual(figures(51..=110), HOUR, at(110)), Some(90.0), "what lasts becomes the usual");
    }

    #[test]
    fn memory_that_only_grows_is_told_from_what_breathes_and_what_warmed_up() {
        let leak = course(|minute| 100 * MIB + minute as u64 * MIB).unwrap();
        assert_eq!(leak.level(0.2), Level::Beyond);
        assert_eq!(leak.level(0.6), Level::Near);
        let breathing = course(|minute| 100 * MIB + (minute % 10) as u64 * 20 * MIB).unwrap();
        assert_eq!(breathing.level(0.2), Level::Calm);
        // A sawtooth whose floor rises is one too.
        let sawtooth = course(|minute| 100 * MIB + minute as u64 * MIB + (minute % 7) as u64 * 9 * MIB).unwrap();
        assert_eq!(sawtooth.level(0.2), Level::Beyond);
        let warmed_up = course(|minute| if minute < 15 { 10 * MIB + minute as u64 * 10 * MIB } else { 200 * MIB }).unwrap();
        assert_eq!(warmed_up.level(0.2), Level::Near);
        let small = course(|minute| 1000 + minute as u64 * 1000).unwrap();
        assert_ne!(small.level(0.2), Level::Beyond);
        assert_eq!(Course::of((11..=60).map(|minute| (at(minute), 1)), HOUR, at(60)), None, "a part is not known");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Noise about a level is no leak, whatever the noise.
        #[test]
        fn noise_is_no_growth(noise in prop::collection::vec(0..20_u64, 61)) {
            let found = course(|minute| 100 * MIB + noise[usize::try_from(minute).unwrap()] * MIB).unwrap();
            prop_assert_ne!(found.level(0.25), Level::Beyond);
        }
    }
}
