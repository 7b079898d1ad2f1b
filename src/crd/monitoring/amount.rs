//! Thresholds as people write them.

use std::fmt;
use std::str::FromStr;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::crd::compose::read::parse_bytes;

/// A threshold as it is written: percent of a whole, or a number (of bytes, of things).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Percent.
    Percent(f64),
    /// A number.
    Number(f64),
}

impl Amount {
    /// Reads `80%`, `512MiB`, `10MB/s`, `3`.
    pub(in crate::crd) fn read(value: &Value) -> Option<Self> {
        let text = match value {
            Value::Number(number) => return number.as_f64().filter(|number| *number >= 0.0).map(Self::Number),
            Value::String(text) => text.trim(),
            _ => return None,
        };
        if let Ok(Share(percent)) = text.parse() {
            return Some(Self::Percent(percent));
        }
        let number = text.parse().ok().or_else(|| parse_bytes(text.trim_end_matches("/s")).map(|bytes| bytes as f64));
        number.filter(|number: &f64| number.is_finite() && *number >= 0.0).map(Self::Number)
    }

    /// What it comes to, where `whole` is 100 percent.
    pub fn of(self, whole: f64) -> f64 {
        match self {
            Self::Percent(percent) => whole * percent / 100.0,
            Self::Number(number) => number,
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Percent(percent) => Share(*percent).serialize(serializer),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative, and in range")]
            Self::Number(number) if number.fract() == 0.0 && *number < 1e15 => serializer.serialize_u64(*number as u64),
            Self::Number(number) => serializer.serialize_f64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).ok_or_else(|| serde::de::Error::custom(format!("{value} is no amount, such as 80%, 512MiB or 3")))
    }
}

/// A number or text: structural schemas have a word of their own for that.
pub(super) fn amount_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true})
}

/// Percent, not negative: `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
        let percent = percent.filter(|percent| percent.is_finite() && *percent >= 0.0);
        percent.map(Self).ok_or_else(|| format!("{text:?} is no percentage: write it as 10%"))
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}
