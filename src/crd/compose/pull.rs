//! `pull_policy`, in Compose's words.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Seconds of `daily`.
const DAY: u64 = 24 * 3600;

/// When an image is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it is not there.
    Missing,
    /// Never.
    Never,
    /// Whenever a container is made.
    Always,
    /// Never, since it is built.
    Build,
    /// When the last pull is so long ago.
    Every {
        /// As written: `daily`, `weekly` or `every_12h`.
        word: String,
        /// How long.
        interval: Duration,
    },
}

impl PullPolicy {
    /// Reads a word; `None`: it is none of those that are known.
    ///
    /// # Errors
    /// When the duration of `every_..` is none.
    pub fn read(word: &str) -> Option<Result<Self, String>> {
        let every = |seconds: u64| Self::Every { word: word.to_owned(), interval: Duration::from_secs(seconds) };
        Some(Ok(match word {
            "missing" | "if_not_present" => Self::Missing,
            "never" => Self::Never,
            "always" => Self::Always,
            "build" => Self::Build,
            "daily" => every(DAY),
            "weekly" => every(7 * DAY),
            _ => return word.strip_prefix("every_").map(|text| seconds(text).map(every)),
        }))
    }

    /// Compose's canonical word.
    pub fn word(&self) -> &str {
        match self {
            Self::Missing => "missing",
            Self::Never => "never",
            Self::Always => "always",
            Self::Build => "build",
            Self::Every { word, .. } => word,
        }
    }
}

impl Serialize for PullPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Whole numbers with `w`, `d`, `h`, `m` or `s`, added up: `1d12h`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} after every_ is no duration: write whole numbers with w, d, h, m or s, such as every_1d12h");
    let (mut sum, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(unit_at);
        let mut tail = tail.chars();
        let unit = match tail.next() {
            Some('w') => 7 * DAY,
            Some('d') => DAY,
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = tail.as_str();
    }
    if sum == 0 { Err(wrong()) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_compose_is_read_and_printed_as_compose_prints_it() {
        let read = |word: &str| PullPolicy::read(word).unwrap().unwrap();
        assert_eq!((read("missing"), read("if_not_present")), (PullPolicy::Missing, PullPolicy::Missing));
        assert_eq!((read("never"), read("always")), (PullPolicy::Never, PullPolicy::Always));
        for (word, hours) in [("daily", 24), ("weekly", 168), ("every_12h", 12), ("every_1d12h", 36), ("every_2w", 336)] {
            let every = PullPolicy::Every { word: word.to_owned(), interval: Duration::from_secs(hours * 3600) };
            assert_eq!(read(word), every);
            assert_eq!(serde_json::to_value(every).unwrap(), word);
        }
    }

    #[test]
    fn a_duration_that_is_none_is_said_to_be_so_and_other_words_are_none_of_these() {
        for word in ["every_", "every_12", "every_h", "every_0s", "every_1y", "every_1.5h", "every_99999999999999999999w"] {
            assert!(PullPolicy::read(word).unwrap().unwrap_err().contains("every_1d12h"), "{word}");
        }
        for word in ["", "sometimes", "refresh", "Always"] {
            assert!(PullPolicy::read(word).is_none(), "{word}");
        }
    }
}
