//! Durations as people write them: `500ms`, `5s`, `1m30s`, `10m`, `1h`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A span of time. Reads Compose's and Go's words (`us`, `ms`, `s`, `m`, `h`, `d`, `w`, also `1.5h`, `1m30s`, and a
/// bare `0`), writes the shortest of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Duration(pub std::time::Duration);

const UNITS: [(&str, f64); 9] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

impl Duration {
    /// A whole number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || format!("{text:?} is not a duration: write a number and a unit (us, ms, s, m, h, d, w), such as 5s or 1m30s");
        if text == "0" {
            return Ok(Self::default());
        }
        let mut seconds = 0.0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
            let after = &rest[digits..];
            let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let unit = UNITS.iter().find(|(name, _)| *name == &after[..letters]).ok_or_else(bad)?;
            seconds += number * unit.1;
            rest = &after[letters..];
        }
        if text.is_empty() { Err(bad()) } else { std::time::Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| bad()) }
    }
}

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut micros = self.0.as_micros();
        if micros == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)] {
            if micros >= size {
                write!(f, "{}{unit}", micros / size)?;
                micros %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_compose_and_go_write_and_writes_the_shortest() {
        for (text, seconds, written) in [
            ("5s", 5.0, "5s"),
            ("1m30s", 90.0, "1m30s"),
            ("300s", 300.0, "5m"),
            ("1.5h", 5400.0, "1h30m"),
            ("500ms", 0.5, "500ms"),
            ("0", 0.0, "0s"),
            ("1d", 86400.0, "24h"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.0.as_secs_f64(), seconds, "{text}");
            assert_eq!(duration.to_string(), written);
        }
    }

    #[test]
    fn refuses_what_is_no_duration_and_says_what_is() {
        for text in ["", "5", "s", "5 s", "-5s", "5x", "1..2s"] {
            assert!(text.parse::<Duration>().unwrap_err().contains("such as 5s"), "{text}");
        }
    }
}
