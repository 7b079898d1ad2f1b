//! What an unquoted word of YAML is: a number, a date, true, nothing, or text.

use super::node::Value;

/// How go-yaml reads an unquoted scalar: YAML 1.2 with the octals (`0440`) and underscores of 1.1.
pub(super) fn resolve(text: &str) -> Value {
    if let Some(word) = word(text) {
        return word;
    }
    match text.as_bytes().first() {
        Some(b'.') => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            date(text).map(Value::Time).or_else(|| number(text)).unwrap_or_else(|| Value::Text(text.to_owned()))
        }
        _ => Value::Text(text.to_owned()),
    }
}

fn word(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    if let Some(whole) = whole(&plain) {
        return Some(whole);
    }
    if decimal(&plain) { plain.parse().ok().map(Value::Float) } else { None }
}

/// A whole number in the base that its prefix says, `0` being that of octals.
fn whole(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match (negative, i64::try_from(size)) {
        (false, Ok(number)) => Some(Value::Int(number)),
        (false, Err(_)) => Some(Value::Big(size)),
        (true, Ok(number)) => Some(Value::Int(-number)),
        (true, Err(_)) => (size == i64::MIN.unsigned_abs()).then_some(Value::Int(i64::MIN)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(before, after)| (before, Some(after)));
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let bare = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !bare.is_empty() && digits(bare)
    });
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_is_right && digits(before) && digits(after) && !(before.is_empty() && after.is_empty())
}

/// A date, with or without a time, as RFC 3339 text.
pub(super) fn date(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return None;
    }
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at + 1..], text.as_bytes()[at] == b' '))),
        None => (text, None),
    };
    let numbers: Vec<&str> = day.split('-').collect();
    let &[year, month, day] = numbers.as_slice() else { return None };
    let small = |text: &str, most: i8| text.parse::<i8>().ok().filter(|_| (1..=2).contains(&text.len())).filter(|n| *n <= most);
    let (month, day) = (small(month, 12)?, small(day, 31)?);
    jiff::civil::Date::new(year.parse().ok()?, month, day).ok()?;
    let Some((time, bare)) = time else { return Some(format!("{year}-{month:02}-{day:02}T00:00:00Z")) };
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        _ if bare => (time, "Z"),
        Some(at) => (&time[..at], &time[at..]),
        None => return None,
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, ""), |(clock, fraction)| (clock, fraction));
    let parts: Vec<&str> = clock.split(':').collect();
    let &[hour, minute, second] = parts.as_slice() else { return None };
    let (hour, minute, second) = (small(hour, 23)?, small(minute, 59)?, small(second, 59)?);
    let zone_is_right = zone == "Z" || (zone.len() == 6 && zone.as_bytes()[3] == b':');
    if !zone_is_right || fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_compose_reads_them() {
        for (text, value) in [
            ("yes", Value::Text("yes".into())),
            ("0440", Value::Int(288)),
            ("08", Value::Float(8.0)),
            ("0o17", Value::Int(15)),
            ("0x1F", Value::Int(31)),
            ("-0x1F", Value::Int(-31)),
            ("0b11", Value::Int(3)),
            ("1_000", Value::Int(1000)),
            ("+5", Value::Int(5)),
            ("1e3", Value::Float(1000.0)),
            (".5", Value::Float(0.5)),
            ("5.", Value::Float(5.0)),
            ("1:30", Value::Text("1:30".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("-", Value::Text("-".into())),
            ("12345678901234567890", Value::Big(12_345_678_901_234_567_890)),
            ("2024-01-02", Value::Time("2024-01-02T00:00:00Z".into())),
            ("2024-1-2 3:4:5.50", Value::Time("2024-01-02T03:04:05.5Z".into())),
            ("2024-13-02", Value::Text("2024-13-02".into())),
            ("TRUE", Value::Bool(true)),
            ("~", Value::Null),
            ("", Value::Null),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }
}
