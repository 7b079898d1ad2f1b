//! Label and field selectors. Pure.

use serde_json::Value;

/// What a list or a watch is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selectors {
    labels: Vec<LabelRule>,
    fields: Vec<FieldRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LabelRule {
    key: String,
    test: LabelTest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTest {
    In(Vec<String>),
    /// True also where the label is missing, as in Kubernetes.
    NotIn(Vec<String>),
    Exists,
    Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRule {
    path: String,
    value: String,
    equal: bool,
}

impl Selectors {
    /// Reads both, in Kubernetes' syntax; the empty text selects everything.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(fields)? })
    }

    /// Narrows to one name too.
    pub fn named(mut self, name: &str) -> Self {
        self.fields.push(FieldRule { path: "metadata.name".into(), value: name.into(), equal: true });
        self
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether `object` is selected.
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|rule| rule.matches(object)) && self.fields.iter().all(|rule| rule.matches(object))
    }
}

impl LabelRule {
    fn matches(&self, object: &Value) -> bool {
        let value = object.pointer("/metadata/labels").and_then(|labels| labels.get(&self.key)).and_then(Value::as_str);
        match &self.test {
            LabelTest::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            LabelTest::NotIn(values) => value.is_none_or(|value| values.iter().all(|unwanted| unwanted != value)),
            LabelTest::Exists => value.is_some(),
            LabelTest::Missing => value.is_none(),
        }
    }
}

impl FieldRule {
    fn matches(&self, object: &Value) -> bool {
        let found = self.path.split('.').try_fold(object, |value, name| value.get(name));
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        (text == self.value) == self.equal
    }
}

fn parse_labels(text: &str) -> Result<Vec<LabelRule>, String> {
    split_outside_parentheses(text).into_iter().filter(|part| !part.is_empty()).map(parse_label).collect()
}

/// Splits at the commas that separate requirements, not at those that separate values in `in (a, b)`.
fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn parse_label(part: &str) -> Result<LabelRule, String> {
    let rule = |key: &str, test| {
        let key = key.trim();
        let usable = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if usable {
            Ok(LabelRule { key: key.to_owned(), test })
        } else {
            Err(format!(
                "labelSelector: cannot read {part:?}: write key=value, key!=value, key in (a,b), key notin (a,b), key or !key"
            ))
        }
    };
    if let Some(key) = part.strip_prefix('!') {
        return rule(key, LabelTest::Missing);
    }
    if let Some((before, values)) = part.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        return match before.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => rule(key, LabelTest::In(values)),
            Some((key, "notin")) => rule(key, LabelTest::NotIn(values)),
            _ => rule("", LabelTest::Exists),
        };
    }
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return rule(key, LabelTest::NotIn(one(value)));
    }
    match part.split_once("==").or_else(|| part.split_once('=')) {
        Some((key, value)) => rule(key, LabelTest::In(one(value))),
        None => rule(part, LabelTest::Exists),
    }
}

fn parse_fields(text: &str) -> Result<Vec<FieldRule>, String> {
    split_unescaped(text).iter().filter(|part| !part.is_empty()).map(|part| parse_field(part)).collect()
}

fn parse_field(part: &str) -> Result<FieldRule, String> {
    let (path, value, equal) = match part.split_once("!=") {
        Some((path, value)) => (path, value, false),
        None => match part.split_once("==").or_else(|| part.split_once('=')) {
            Some((path, value)) => (path, value, true),
            None => return Err(format!("fieldSelector: cannot read {part:?}: write path=value or path!=value")),
        },
    };
    Ok(FieldRule { path: path.trim().trim_start_matches('.').to_owned(), value: unescape(value), equal })
}

/// Splits at commas that no backslash stands before.
fn split_unescaped(text: &str) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in text.chars() {
        match parts.last_mut() {
            Some(part) if c != ',' || escaped => part.push(c),
            _ => parts.push(String::new()),
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let (mut out, mut escaped) = (String::new(), false);
    for c in text.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selected(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop", "generation": 3, "labels": {"app": "web", "tier": "front", "evenkeel.dev/x": ""}},
            "involvedObject": {"kind": "Deployment", "name": "we,b=\\"},
        });
        Selectors::parse(labels, fields).unwrap().matches(&object)
    }

    #[test]
    fn labels_are_selected_in_every_form() {
        for labels in [
            "",
            "app=web",
            "app==web",
            " app = web , tier=front",
            "app!=db",
            "missing!=x",
            "app in (db, web)",
            "app in (web),tier notin (back,middle)",
            "missing notin (x)",
            "app",
            "evenkeel.dev/x",
            "evenkeel.dev/x=",
            "!missing",
        ] {
            assert!(selected(labels, ""), "{labels}");
        }
        for labels in ["app=db", "app!=web", "app in (db)", "app notin (web)", "missing", "!app", "missing=", "missing in (x)"] {
            assert!(!selected(labels, ""), "{labels}");
        }
    }

    #[test]
    fn fields_are_selected_by_dotted_path() {
        for fields in [
            "metadata.name=web",
            "metadata.name==web,metadata.namespace=shop",
            "metadata.generation=3",
            "metadata.name!=db",
            "involvedObject.uid=",
            "involvedObject.kind=Deployment",
            r"involvedObject.name=we\,b\=\\",
        ] {
            assert!(selected("", fields), "{fields}");
        }
        for fields in ["metadata.name=db", "metadata.name!=web", "spec.nodeName=x", "metadata.name.first=w"] {
            assert!(!selected("", fields), "{fields}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for labels in ["=web", "a b", "app in web", "app near (web)", "!", "app in (web"] {
            assert!(Selectors::parse(labels, "").is_err(), "{labels}");
        }
        assert!(Selectors::parse("", "metadata.name").is_err());
    }
}
