//! Scalars of the Compose model, written as `docker compose config` writes them.

use std::fmt;

use serde::{Serialize, Serializer};

/// A number of bytes; written as a decimal string. -1 is "no limit" where Docker knows that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub i64);

/// A span of time; written as Go writes it: `1m30s`, `1h0m0s`, `500ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub std::time::Duration);

/// Permissions of a file; written in octal with a leading zero: `0440`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// A number of CPUs; Compose keeps 32 bits of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Cpus(pub f32);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0{:o}", self.0))
    }
}

impl Serialize for Cpus {
    /// Go writes a whole number without a fraction.
    #[expect(clippy::cast_possible_truncation, reason = "whole and within i32 by the check")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 1e9 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            // By its shortest text: widening 0.001 would give 0.0010000000474974513.
            serializer.serialize_f64(self.0.to_string().parse().unwrap_or_default())
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        let seconds = self.0.as_secs();
        if seconds == 0 {
            return match nanos {
                0 => f.write_str("0s"),
                1..1_000 => write!(f, "{nanos}ns"),
                1_000..1_000_000 => write!(f, "{}µs", f64::from(nanos) / 1e3),
                _ => write!(f, "{}ms", f64::from(nanos) / 1e6),
            };
        }
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}", seconds % 60)?;
        if nanos > 0 {
            f.write_str(format!(".{nanos:09}").trim_end_matches('0'))?;
        }
        f.write_str("s")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn spans_are_written_as_go_does() {
        for (millis, written) in [
            (0, "0s"),
            (500, "500ms"),
            (1_500, "1.5s"),
            (60_000, "1m0s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
            (86_400_000, "24h0m0s"),
        ] {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), written);
        }
        assert_eq!(Span(Duration::from_nanos(1_500)).to_string(), "1.5µs");
    }

    #[test]
    fn bytes_modes_and_cpus_are_written_as_compose_does() {
        let json = |value: &dyn erased::Json| value.json();
        assert_eq!(json(&Bytes(67_108_864)), "\"67108864\"");
        assert_eq!(json(&Bytes(-1)), "\"-1\"");
        assert_eq!(json(&FileMode(0o440)), "\"0440\"");
        assert_eq!(json(&Cpus(0.5)), "0.5");
        assert_eq!(json(&Cpus(2.0)), "2");
        assert_eq!(json(&Cpus(0.001)), "0.001");
    }

    mod erased {
        pub trait Json {
            fn json(&self) -> String;
        }
        impl<T: serde::Serialize> Json for T {
            fn json(&self) -> String {
                serde_json::to_string(self).unwrap()
            }
        }
    }
}
