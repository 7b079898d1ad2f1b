//! Single values as `docker compose config` writes them.

use serde_json::{Value as Json, json};

use super::Kind;
use crate::compose::interpolate::{flag, short, whole};
use crate::compose::node::{Node, Value, json_float};

/// A value of a single kind; the outer none: it is of no such kind, the inner: it is left out.
pub(super) fn write(kind: Kind, node: &Node) -> Option<Result<Option<Json>, String>> {
    Some(match kind {
        Kind::Text => text(node).map(|text| (!text.is_empty()).then(|| json!(text))),
        Kind::Flag => read_flag(node).map(|flag| flag.then(|| json!(true))),
        Kind::GivenFlag => read_flag(node).map(|flag| Some(json!(flag))),
        Kind::Whole => read_whole(node).map(|number| (number != 0).then(|| json!(number))),
        Kind::GivenWhole => read_whole(node).map(|number| Some(json!(number))),
        Kind::Count => count(node).map(|number| (number != 0).then(|| json!(number))),
        Kind::GivenCount => count(node).map(|number| Some(json!(number))),
        Kind::Short => number(node).map(|number| (number != 0.0).then(|| shortest(number))),
        Kind::Bytes => bytes(node).map(|bytes| (bytes != 0).then(|| json!(bytes.to_string()))),
        Kind::Span => span(node).map(|nanos| (nanos != 0).then(|| json!(written(nanos)))),
        Kind::GivenSpan => span(node).map(|nanos| Some(json!(written(nanos)))),
        Kind::Mode => mode(node).map(|mode| Some(json!(format!("0{mode:o}")))),
        Kind::Devices => devices(node).map(|count| (count != 0).then(|| json!(count))),
        Kind::Ulimit => ulimit(node).map(Some),
        _ => return None,
    })
}

/// Text; a whole number counts as such.
pub(super) fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(format!("must be text, not {}", node.kind())),
    }
}

fn read_flag(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Bool(flag) => Ok(*flag),
        Value::Text(text) => flag(text),
        _ => Err(format!("must be true or false, not {}", node.kind())),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "as Compose does")]
fn read_whole(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(number) => Ok(*number),
        Value::Big(number) => Ok(*number as i64),
        Value::Float(number) => Ok(*number as i64),
        Value::Text(text) => whole(text),
        _ => Err(format!("must be a whole number, not {}", node.kind())),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as Compose does")]
fn count(node: &Node) -> Result<u64, String> {
    match node.value {
        Value::Int(number) => u64::try_from(number).map_err(|_| format!("must not be negative, as {number} is")),
        Value::Big(number) => Ok(number),
        Value::Float(number) if number >= 0.0 => Ok(number as u64),
        Value::Float(number) => Err(format!("must not be negative, as {number} is")),
        _ => Err(format!("must be a whole number, not {}", node.kind())),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "Compose keeps 32 bits")]
fn number(node: &Node) -> Result<f32, String> {
    match &node.value {
        Value::Int(number) => Ok(*number as f32),
        Value::Big(number) => Ok(*number as f32),
        Value::Float(number) => Ok(*number as f32),
        Value::Text(text) => short(text),
        _ => Err(format!("must be a number, not {}", node.kind())),
    }
}

/// By its shortest text: widening 0.1 would give 0.10000000149011612.
fn shortest(number: f32) -> Json {
    json_float(number.to_string().parse().unwrap_or_default())
}

fn bytes(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(number) => Ok(*number),
        Value::Text(text) => parse_bytes(text)
            .ok_or_else(|| format!("{text:?} is no size: write a number and a unit (b, k, m, g, t, p), such as 64m or 1.5g")),
        _ => Ok(0),
    }
}

/// Docker's words for sizes: a number, at most one space, and a unit of powers of 1024.
#[expect(clippy::cast_possible_truncation, reason = "as Compose does")]
fn parse_bytes(text: &str) -> Option<i64> {
    let end = text.rfind(|char: char| char.is_ascii_digit() || matches!(char, '.' | ' '))?;
    let blank = text.as_bytes()[end] == b' ';
    let number: f64 = text[..if blank { end } else { end + 1 }].parse().ok()?;
    let unit = text[end + 1..].to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    (number >= 0.0).then(|| (number * 1024_f64.powi(power)) as i64)
}

fn mode(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(number) => Ok(*number),
        Value::Text(text) => i64::from_str_radix(text, 8).map_err(|_| format!("must be octal permissions, not {text:?}")),
        _ => Err(format!("must be octal permissions, not {}", node.kind())),
    }
}

fn devices(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(number) => Ok(*number),
        Value::Text(text) if text.eq_ignore_ascii_case("all") => Ok(-1),
        Value::Text(text) => text.parse().map_err(|_| format!("must be all or a whole number, not {text:?}")),
        _ => Err(format!("must be all or a whole number, not {}", node.kind())),
    }
}

fn ulimit(node: &Node) -> Result<Json, String> {
    let limit = |key: &str| match node.get(key).map(|node| &node.value) {
        None => Ok(0),
        Some(Value::Int(number)) => Ok(*number),
        Some(_) => Err(format!("{key} must be a whole number")),
    };
    match node.value {
        Value::Int(number) if number != 0 => Ok(json!(number)),
        Value::Int(_) => Ok(json!({})),
        _ => {
            let limits = [("soft", limit("soft")?), ("hard", limit("hard")?)];
            Ok(limits.into_iter().filter(|(_, limit)| *limit != 0).map(|(key, limit)| (key.to_owned(), json!(limit))).collect())
        }
    }
}

/// A span of time in nanoseconds: numbers with units, as Go reads them, and days and weeks.
fn span(node: &Node) -> Result<i128, String> {
    let text = node.print();
    parse_span(&text).ok_or_else(|| format!("{text:?} is no duration: write such as 30s, 1m30s or 1d"))
}

pub(super) fn parse_span(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let nanos: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 18 || fraction.len() > 18 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        total += whole * nanos + part * nanos / 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        if total > i128::from(i64::MAX) {
            return None;
        }
        rest = after;
    }
    Some(if negative { -total } else { total })
}

/// As Go writes a span: `1m30s`, `1h0m0s`, `1.5s`, `500ms`.
fn written(nanos: i128) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let fraction = |unit: u128| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", size / unit, size % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let (minutes, rest) = (size / 60_000_000_000, size % 60_000_000_000);
            let seconds = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_read_and_written_as_compose_does() {
        for (text, bytes) in [
            ("64m", Some(67_108_864)),
            ("1.5 GB", Some(1_610_612_736)),
            ("10", Some(10)),
            ("2GiB", Some(2_147_483_648)),
            ("-1", None),
            ("1xb", None),
            ("m", None),
            ("1 b", Some(1)),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
        for (text, span) in [
            ("1m30s", Some("1m30s")),
            ("90s", Some("1m30s")),
            ("1d2h", Some("26h0m0s")),
            ("1.5s", Some("1.5s")),
            ("500ms", Some("500ms")),
            ("1h", Some("1h0m0s")),
            ("0", Some("0s")),
            ("-2s", Some("-2s")),
            ("1500us", Some("1.5ms")),
            ("10", None),
            ("", None),
            ("5x", None),
        ] {
            assert_eq!(parse_span(text).map(written), span.map(str::to_owned), "{text}");
        }
    }
}
