//! YAML that every reader takes for the same, be it of YAML 1.1 (docker-compose 1, kubectl) or 1.2.
//!
//! They differ in what they take for a number, a date or a boolean (`1_000`, `0x1_0`, `2001-01-01`, `no`, `on`), so every text is
//! quoted that is not plainly a word.

use serde_json::Value;

/// What some reader takes for something else than text, though it is a word.
const NO_WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];

/// A value as YAML in block style, with the keys in their order.
pub fn to_string(value: &Value) -> String {
    lines(value).into_iter().map(|line| line + "\n").collect()
}

/// The lines of a value. Those of a text after its first stand deeper, wherever it stands.
fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().flat_map(|(key, value)| entry(key, value)).collect(),
        Value::Array(items) => match items.as_slice() {
            [] => vec!["[]".to_owned()],
            items => items.iter().flat_map(|item| led("- ", lines(item))).collect(),
        },
        Value::String(text) => block(text).unwrap_or_else(|| vec![scalar(text)]),
        // Numbers, booleans, null and what is empty are written as in JSON.
        other => vec![other.to_string()],
    }
}

fn entry(key: &str, value: &Value) -> Vec<String> {
    let key = scalar(key);
    let head = || std::iter::once(format!("{key}:"));
    match value {
        Value::Object(map) if !map.is_empty() => head().chain(lines(value).iter().map(|line| deeper(line))).collect(),
        Value::Array(items) if !items.is_empty() => head().chain(lines(value)).collect(),
        _ => led(&format!("{key}: "), lines(value)),
    }
}

/// The first line behind `lead`, the others below it and deeper.
fn led(lead: &str, lines: Vec<String>) -> Vec<String> {
    let line = |(index, line): (usize, String)| if index == 0 { format!("{lead}{line}") } else { deeper(&line) };
    lines.into_iter().enumerate().map(line).collect()
}

fn deeper(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!("  {line}") }
}

/// A text of several lines as a literal block, unless it has what a block cannot keep for sure.
fn block(text: &str) -> Option<Vec<String>> {
    let (head, body) = match text.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", text),
    };
    let kept = |line: &str| line.is_empty() || (!line.trim().is_empty() && line.chars().all(is_printable));
    let ends = body.starts_with(['\n', ' ']) || body.ends_with('\n') || !body.contains('\n');
    (!ends && body.split('\n').all(kept)).then(|| std::iter::once(head).chain(body.split('\n')).map(str::to_owned).collect())
}

/// A text in one line: bare if it is plainly a word, else in quotes.
fn scalar(text: &str) -> String {
    if is_word(text) { text.to_owned() } else { quoted(text) }
}

fn is_word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-./@=:".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(inner)
        && !text.ends_with(':')
        && !NO_WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// The quotes of JSON, which YAML has too; but JSON leaves more characters bare than YAML takes.
fn quoted(text: &str) -> String {
    let json = Value::String(text.to_owned()).to_string();
    let safe = |c: char| if is_printable(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    json.chars().map(safe).collect()
}

/// Whether every reader takes the character as it is. All that are not have at most four hexadecimal digits.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_is_not_plainly_a_word_is_quoted() {
        for word in ["web", "nginx:1.27", "/srv/data:/data", "A=b", "registry.example/a@sha256:1", "unless-stopped"] {
            assert_eq!(scalar(word), word);
        }
        for other in [
            "1_000",
            "1_0.5",
            "0x1_0",
            "0o17",
            "1_",
            "2001-01-01",
            "12:30",
            "1e3",
            "no",
            "On",
            "Y",
            "yes",
            "TRUE",
            "~",
            "null",
            "",
            ".5",
            ".inf",
            "-1",
            "+1",
            "<<",
            "=",
            "a b",
            "a:",
            "*a",
            "&a",
            "#a",
            "NaN",
            "%",
            "!a",
            "- a",
            "?",
        ] {
            assert_eq!(scalar(other), format!("\"{other}\""));
        }
        assert_eq!(scalar("a\"\\\u{7f}\u{85}\u{feff}\t"), r#""a\"\\\u007f\u0085\ufeff\t""#);
    }

    #[test]
    fn a_value_is_printed_in_blocks() {
        let value = json!({
            "b": {"x": [], "y": {}, "z": null}, "a": [{"k": 1, "l": ["m", [true, "n"]]}, "one\n\n  two\n"],
            "c": {"end": "one\ntwo", "odd": " one\ntwo\n\n"},
        });
        let text = to_string(&value);
        let expected = "b:\n  x: []\n  \"y\": {}\n  z: null\na:\n- k: 1\n  l:\n  - m\n  - - true\n    - \"n\"\n- |\n  one\n\n    two\n\
            c:\n  end: |-\n    one\n    two\n  odd: \" one\\ntwo\\n\\n\"\n";
        assert_eq!(text.lines().collect::<std::collections::BTreeSet<_>>(), expected.lines().collect(), "{text}");
        assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value, "{text}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            "[ a\n:#-]{0,12}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ a-z0-9:#~]{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_it_was(value in value()) {
            let value = json!({ "all": value });
            let text = to_string(&value);
            prop_assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value, "{}", text);
        }
    }
}
