//! Scalars and plain collections of the Compose model, in every form Compose takes them.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::super::{Bytes, Cpus, FileMode, Span};
use super::words;
use crate::crd::decode::Node;

/// Text. Numbers must be quoted, as Compose asks for.
pub(in crate::crd) fn text(node: &Node) -> Option<String> {
    match node.value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => node.expected("text: write it in quotes"),
        _ => node.expected("text"),
    }
}

/// Text; an empty one is as good as none.
pub(in crate::crd) fn word(node: &Node) -> Option<String> {
    text(node).filter(|text| !text.is_empty())
}

/// Text, a number or true/false, as text.
pub(super) fn printed(node: &Node) -> Option<String> {
    match node.value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(print(number)),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => node.expected("text, a number or true/false"),
    }
}

/// A number as Go prints it: `1`, not `1.0`.
fn print(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && (float == 0.0 || (1e-4..1e21).contains(&float.abs())) => float.to_string(),
        Some(float) if number.is_f64() => {
            let text = format!("{float:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        _ => number.to_string(),
    }
}

/// True or false, also as a quoted word.
pub(super) fn flag(node: &Node) -> Option<bool> {
    let word = match node.value {
        Value::Bool(flag) => return Some(*flag),
        Value::String(text) => text.to_lowercase(),
        _ => return node.expected("true or false"),
    };
    match word.as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => node.fail("must be true or false"),
    }
}

/// A whole number, also quoted.
pub(in crate::crd) fn integer<T: TryFrom<i64>>(node: &Node) -> Option<T> {
    let number = match node.value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => return node.expected("a whole number"),
    };
    match number.map(T::try_from) {
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => node.fail("is out of range"),
        None => node.fail("must be a whole number"),
    }
}

/// A whole number of which 0 is as good as none.
pub(super) fn count<T: TryFrom<i64> + PartialEq + Default>(node: &Node) -> Option<T> {
    integer(node).filter(|number| *number != T::default())
}

/// A number of CPUs; 0 is as good as none.
#[expect(clippy::cast_possible_truncation, reason = "Compose keeps 32 bits")]
pub(super) fn cpus(node: &Node) -> Option<Cpus> {
    let number: Option<f64> = match node.value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => return node.expected("a number of CPUs, such as 0.5"),
    };
    match number {
        Some(number) if number >= 0.0 && number.is_finite() => (number > 0.0).then_some(Cpus(number as f32)),
        _ => node.fail("must be a number of CPUs, such as 0.5"),
    }
}

/// A number of bytes: a whole number, or text with a unit (`64m`, `1.5 GB`; powers of 1024). 0 is as good as none.
pub(super) fn bytes(node: &Node) -> Option<Bytes> {
    let bytes = match node.value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => parse_bytes(text),
        _ => return node.expected("a number of bytes, such as 64m"),
    };
    match bytes {
        Some(bytes) => (bytes != 0).then_some(Bytes(bytes)),
        None => node.fail("is not a size: write a number and a unit (b, k, m, g, t, p), such as 64m or 1.5g"),
    }
}

/// Docker's words for sizes. Negative ones only as a plain number.
#[expect(clippy::cast_possible_truncation, reason = "checked against i64's range")]
pub(in crate::crd) fn parse_bytes(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let unit = text[end..].trim_start_matches(' ').to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if unit.len() <= 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = text[..end].parse().ok()?;
    let bytes = number * 1024_f64.powi(power);
    (unit.matches('b').count() <= 1 && (0.0..9.2e18).contains(&bytes)).then_some(bytes as i64)
}

/// A span of time: `1m30s`.
pub(super) fn span(node: &Node) -> Option<Span> {
    let Value::String(text) = node.value else { return node.expected("a duration, such as 30s or 1m30s") };
    match text.parse::<crate::crd::Duration>() {
        Ok(duration) => Some(Span(duration.0)),
        Err(error) => node.fail(error),
    }
}

/// Permissions: octal as text, or a number as it is (`0o440`).
pub(super) fn file_mode(node: &Node) -> Option<FileMode> {
    let mode = match node.value {
        Value::String(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => return node.expected("permissions, such as \"0440\""),
    };
    match mode.filter(|mode| *mode <= 0o7777) {
        Some(mode) => Some(FileMode(mode)),
        None => node.fail("must be octal permissions, such as \"0440\""),
    }
}

/// A command: a list of words, or a line that is split. An empty one clears the image's.
pub(super) fn command(node: &Node) -> Option<Vec<String>> {
    let line = match node.value {
        Value::Array(_) => return each(node, text),
        Value::String(line) => line,
        _ => return node.expected("a command: text or a list of words"),
    };
    match words::split(line) {
        Ok(split) => {
            if let Some(char) = split.cut_at.and_then(|at| line.chars().nth(at)) {
                node.warn(&format!(
                    "no shell reads this line: Compose drops everything from {char:?} on; write [sh, -c, \"..\"]"
                ));
            }
            Some(split.words)
        }
        Err(error) => node.fail(format!("is not a command line: it {error}")),
    }
}

/// Every item of a list that reads well.
pub(in crate::crd) fn each<'a, T>(node: &Node<'a>, read: impl Fn(&Node<'a>) -> Option<T>) -> Option<Vec<T>> {
    Some(node.items()?.iter().filter_map(read).collect())
}

/// A list of text. What stands twice (up to a `=`) is kept in its last version, as Compose does.
pub(super) fn texts(node: &Node) -> Option<Vec<String>> {
    each(node, text).map(|texts| unique(texts, |text| text.split('=').next().unwrap_or_default().to_owned()))
}

/// Lists in which a `=` is no separator.
pub(super) fn texts_as_they_are(node: &Node) -> Option<Vec<String>> {
    each(node, text)
}

/// One text or a list of them.
pub(super) fn text_or_texts(node: &Node) -> Option<Vec<String>> {
    if node.is_list() { texts(node) } else { word(node).map(|text| vec![text]) }
}

/// A list of text and numbers, as text.
pub(super) fn printed_list(node: &Node) -> Option<Vec<String>> {
    each(node, printed).map(|items| unique(items, Clone::clone))
}

/// Keeps one item for each key: in the place of the first, the value of the last.
pub(super) fn unique<T, K: PartialEq>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(items.len());
    for item in items {
        match kept.iter_mut().find(|other| key(other) == key(&item)) {
            Some(other) => *other = item,
            None => kept.push(item),
        }
    }
    kept
}

/// `KEY=value` lines or a map; a key without a value has none.
pub(super) fn environment(node: &Node) -> Option<BTreeMap<String, Option<String>>> {
    let pairs = |node: &Node| {
        let line = text(node)?;
        let (key, value) = line.split_once('=').map_or((line.as_str(), None), |(key, value)| (key, Some(value.to_owned())));
        match key.ends_with(char::is_whitespace) {
            true => node.fail("has a space before the \"=\": it would be part of the variable's name"),
            false => Some((key.to_owned(), value)),
        }
    };
    if node.is_list() {
        return Some(each(node, pairs)?.into_iter().collect());
    }
    let Value::Object(_) = node.value else { return node.expected("a map, or a list of KEY=value") };
    let value = |node: &Node| if node.value.is_null() { Some(None) } else { printed(node).map(Some) };
    Some(node.entries()?.iter().filter_map(|(key, node)| Some(((*key).to_owned(), value(node)?))).collect())
}

/// `key=value` lines or a map; a key without a value has an empty one.
pub(super) fn mapping(node: &Node) -> Option<BTreeMap<String, String>> {
    Some(environment(node)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// A map of text and numbers; null is empty.
pub(super) fn options(node: &Node) -> Option<BTreeMap<String, String>> {
    let value = |node: &Node| if node.value.is_null() { Some(String::new()) } else { printed(node) };
    Some(node.entries()?.iter().filter_map(|(key, node)| Some(((*key).to_owned(), value(node)?))).collect())
}

/// An IP address.
pub(super) fn ip(node: &Node) -> Option<String> {
    let text = word(node)?;
    if text.parse::<std::net::IpAddr>().is_ok() { Some(text) } else { node.fail(format!("{text:?} is not an IP address")) }
}

/// A MAC address.
pub(super) fn mac(node: &Node) -> Option<String> {
    let text = word(node)?;
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    let right = pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok());
    if right { Some(text) } else { node.fail(format!("{text:?} is not a MAC address, such as 02:42:ac:11:00:02")) }
}

/// One of these words.
pub(in crate::crd) fn one_of(node: &Node, words: &[&str]) -> Option<String> {
    let text = word(node)?;
    if words.contains(&text.as_str()) {
        Some(text)
    } else {
        node.fail(format!("must be one of {}, not {text:?}", words.join(", ")))
    }
}
