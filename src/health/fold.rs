//! From answers to a verdict: thresholds, and a window in which one that goes up and down is taken for bad. Pure.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::model::{Probe, ProbeStanding, ProbeVerdict};

/// So many falls within the flap window make it flap.
const FALLS: usize = 3;

/// What one probe brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Good or not.
    pub outcome: Outcome,
    /// What was said, redacted and cut.
    pub output: String,
}

/// What came of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Good,
    /// It failed.
    Bad,
    /// It could not be made as it is declared.
    Broken,
    /// It could not be made now, which is nobody's fault: it does not count.
    NotMade,
}

/// What is remembered of the answers of one probe in one run of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    verdict: Option<ProbeVerdict>,
    /// Answers in a row that were good, and since when.
    good: Option<(u32, Timestamp)>,
    /// Answers in a row that were not.
    bad: u32,
    /// When it fell last, oldest first, at most [`FALLS`].
    falls: VecDeque<Timestamp>,
}

impl Track {
    /// What the probe says by now; `None`: nothing yet.
    pub fn verdict(&self) -> Option<&ProbeVerdict> {
        self.verdict.as_ref()
    }

    /// Takes in an answer. Returns whether the verdict changed by it.
    pub fn fold(&mut self, probe: &Probe, answer: Answer, at: Timestamp) -> bool {
        let standing = match answer.outcome {
            Outcome::NotMade => return false,
            Outcome::Good => self.rose(probe, at),
            Outcome::Bad => self.fell(probe, ProbeStanding::Bad, at),
            Outcome::Broken => self.fell(probe, ProbeStanding::Broken, at),
        };
        let Some(standing) = standing.filter(|standing| self.verdict.as_ref().map(|last| last.standing) != Some(*standing))
        else {
            return false;
        };
        self.verdict = Some(ProbeVerdict { standing, at, output: answer.output });
        true
    }

    /// A good answer.
    fn rose(&mut self, probe: &Probe, at: Timestamp) -> Option<ProbeStanding> {
        self.bad = 0;
        let (times, since) = self.good.map_or((1, at), |(times, since)| (times.saturating_add(1), since));
        self.good = Some((times, since));
        if times < probe.success_threshold {
            return None;
        }
        let within = |from: Timestamp, to: Timestamp| to.duration_since(from).unsigned_abs() <= probe.flap_window;
        let flaps = self.falls.len() == FALLS && within(self.falls[0], self.falls[FALLS - 1]);
        match flaps && !probe.flap_window.is_zero() && at.duration_since(since).unsigned_abs() < probe.flap_window {
            true => Some(ProbeStanding::Flapping),
            false => {
                if flaps {
                    self.falls.clear();
                }
                Some(ProbeStanding::Good)
            }
        }
    }

    /// One that was not good.
    fn fell(&mut self, probe: &Probe, standing: ProbeStanding, at: Timestamp) -> Option<ProbeStanding> {
        self.good = None;
        self.bad = self.bad.saturating_add(1);
        if self.bad < probe.failure_threshold {
            return None;
        }
        if self.verdict.as_ref().is_some_and(|last| last.standing == ProbeStanding::Good) {
            self.falls.push_back(at);
            if self.falls.len() > FALLS {
                self.falls.pop_front();
            }
        }
        Some(standing)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Check;

    fn probe(success_threshold: u32, failure_threshold: u32, flap_window: u64) -> Probe {
        Probe {
            check: Check::TcpSocket { host: None, port: 1 },
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            success_threshold,
            failure_threshold,
            flap_window: Duration::from_secs(flap_window),
        }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn answer(letter: char) -> Answer {
        let outcome = match letter {
            '+' => Outcome::Good,
            '-' => Outcome::Bad,
            '!' => Outcome::Broken,
            _ => Outcome::NotMade,
        };
        Answer { outcome, output: letter.to_string() }
    }

    /// One answer a second, and the verdict after each: `.` none, `G`ood, `B`ad, `F`lapping, bro`K`en.
    fn story(probe: &Probe, answers: &str) -> String {
        let mut track = Track::default();
        let shown = |track: &Track| match track.verdict().map(|verdict| verdict.standing) {
            None => '.',
            Some(ProbeStanding::Good) => 'G',
            Some(ProbeStanding::Bad) => 'B',
            Some(ProbeStanding::Flapping) => 'F',
            Some(ProbeStanding::Broken) => 'K',
        };
        let after = |(at, letter): (usize, char)| {
            let before = track.clone();
            let changed = track.fold(probe, answer(letter), second(i64::try_from(at).unwrap()));
            assert_eq!(changed, before.verdict() != track.verdict());
            shown(&track)
        };
        answers.chars().enumerate().map(after).collect()
    }

    #[test]
    fn thresholds_count_answers_in_a_row() {
        assert_eq!(story(&probe(1, 3, 0), "--+--+---+"), "..GGGGGGBG");
        assert_eq!(story(&probe(3, 1, 0), "++-+++-"), "..BBBGB");
        assert_eq!(story(&probe(1, 2, 0), "+-.-.+"), "GGGBBG", "a probe that was not made counts for nothing");
    }

    #[test]
    fn a_probe_that_cannot_be_made_is_told_apart() {
        assert_eq!(story(&probe(1, 2, 0), "!!+!!--"), ".KGGKBB");
    }

    #[test]
    fn one_that_goes_up_and_down_is_bad_until_it_has_been_good_for_the_window() {
        assert_eq!(story(&probe(1, 1, 8), "+-+-+-++++++++++"), "GBGBGBFFFFFFFFGG");
        assert_eq!(story(&probe(1, 1, 4), "+-+-+-++-+++++"), "GBGBGBFFBFFFFG", "a fall begins it anew");
        assert_eq!(story(&probe(1, 1, 2), "+-+-+-+"), "GBGBGBG", "the falls are further apart than the window");
    }

    proptest! {
        #[test]
        fn it_never_falls_often_within_the_window(answers in "[+!.-]{0,200}", up in 1_u32..4, down in 1_u32..4, window in 0_u64..30) {
            let told = story(&probe(up, down, window), &answers);
            let letters: Vec<char> = told.chars().collect();
            let falls: Vec<usize> = (1..letters.len()).filter(|at| letters[at - 1] == 'G' && letters[*at] != 'G').collect();
            for falls in falls.windows(FALLS + 1) {
                let span = u64::try_from(falls[FALLS] - falls[0]).unwrap();
                prop_assert!(window == 0 || span > window, "{answers} {told}");
            }
            // What is told follows from the answers just given.
            let counted: Vec<char> = answers.chars().filter(|letter| *letter != '.').collect();
            let ends_with = |letters: &[char], times: u32| {
                let times = usize::try_from(times).unwrap();
                counted.len() >= times && counted[counted.len() - times..].iter().all(|letter| letters.contains(letter))
            };
            if ends_with(&['+'], up) {
                prop_assert!(matches!(letters.last(), Some('G' | 'F')), "{answers} {told}");
            }
            if ends_with(&['-', '!'], down) {
                prop_assert!(matches!(letters.last(), Some('B' | 'K')), "{answers} {told}");
            }
        }
    }
}
