//! The reference of all fields, as Markdown.

use std::fmt::Write;

use serde_json::Value;

use super::{COMPOSE_PARTS, definition};
use crate::crd::compose::keys::{Form, Key};
use crate::crd::{API_VERSION, Kind};

const INTRODUCTION: &str = "\
# Fields

Made from the source; `EVENKEEL_BLESS=1 cargo nextest run --lib crd::schema` writes it anew. For editors:
[deployment.json](schema/deployment.json), [hold.json](schema/hold.json), [source.json](schema/source.json),
[channel.json](schema/channel.json) and [alert.json](schema/alert.json); for `kubectl`: [crds.yaml](crds.yaml).
";

const COMPOSE: &str = "
## Compose

`spec.services`, `spec.networks`, `spec.volumes`, `spec.secrets` and `spec.configs` are written as the Compose Specification has them, short
and long forms alike. What differs:

- Values are literal: nothing is interpolated, a `$` stays a `$`.
- Paths of the host are absolute: a Deployment has no folder to start from.
- A valid key that is not supported yet is refused by name, never ignored. An unknown key is an error; `x-..` is let pass.
- YAML anchors and `<<` work, also within what they bring in. Octal numbers are text: `mode: 0440` and `\"0440\"` are the same.
- A null is as good as nothing, but for `command`, `entrypoint` and values of variables.
";

/// Every field of every kind: what may be written, its default, its meaning.
pub fn fields_reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for kind in Kind::ALL {
        let (kind, definition) = (kind.name(), serde_json::to_value(definition(kind)));
        let schema = &definition.unwrap_or_default()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let description = schema["description"].as_str().unwrap_or_default();
        let _ = write!(text, "\n## {kind}\n\n`apiVersion: {API_VERSION}`, `kind: {kind}`. {description}\n\n");
        head(&mut text, "Field", "Type");
        for part in ["spec", "status"] {
            properties(&mut text, part, &schema["properties"][part]);
        }
    }
    text.push_str(COMPOSE);
    for (part, table) in COMPOSE_PARTS {
        let _ = write!(text, "\n### spec.{part}\n\n");
        compose(&mut text, "", table);
    }
    text
}

fn head(text: &mut String, first: &str, second: &str) {
    let _ = writeln!(text, "| {first} | {second} | Meaning |\n|---|---|---|");
}

/// The rows of a schema's properties, deeper ones after their parents. Compose's parts and Kubernetes' own types are not entered.
fn properties(text: &mut String, path: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        let description = property["description"].as_str().unwrap_or_default();
        let default = match &property["default"] {
            Value::Null | Value::Object(_) | Value::Array(_) => String::new(),
            Value::String(text) if text.is_empty() => String::new(),
            _ if description.contains("efault") => String::new(),
            Value::String(text) => format!(" Default `{text}`."),
            default => format!(" Default `{default}`."),
        };
        let _ = writeln!(text, "| `{path}` | {} | {}{default} |", type_of(property), one_line(description));
        if name != "conditions" {
            self::properties(text, &path, property);
            self::properties(text, &format!("{path}[]"), &property["items"]);
        }
    }
}

fn type_of(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return "number or text".to_owned();
    }
    match (schema["type"].as_str().unwrap_or("any"), schema["format"].as_str()) {
        ("string", Some("date-time")) => "time (RFC 3339)".to_owned(),
        ("string", _) => "text".to_owned(),
        ("integer", _) => "whole number".to_owned(),
        ("boolean", _) => "true/false".to_owned(),
        ("array", _) => format!("list of {}", type_of(&schema["items"])),
        ("object", _) => "map".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// A table of Compose keys, what is refused beside them, then the same for each map within.
fn compose(text: &mut String, path: &str, table: &'static [Key]) {
    head(text, "Key", "Written as");
    for key in table.iter().filter(|key| !matches!(key.form, Form::Refused)) {
        let _ = writeln!(text, "| `{path}{}` | {} | {} |", key.name, written(key.form), one_line(key.text));
    }
    let refused: Vec<&Key> = table.iter().filter(|key| matches!(key.form, Form::Refused)).collect();
    if !refused.is_empty() {
        text.push_str("\nRefused by name:\n\n");
    }
    for key in refused {
        let why = if key.text.is_empty() { String::new() } else { format!(": {}", key.text) };
        let _ = writeln!(text, "- `{path}{}`{why}", key.name);
    }
    for key in table {
        if let Some((suffix, inner)) = inner_map(key.form) {
            let path = format!("{path}{}{suffix}.", key.name);
            let _ = write!(text, "\n`{}`:\n\n", path.trim_end_matches('.'));
            compose(text, &path, inner);
        }
    }
}

/// The map with known keys that a form takes, and how its path goes on.
fn inner_map(form: Form) -> Option<(&'static str, &'static [Key])> {
    match form {
        Form::Map(table) => Some(("", table)),
        Form::List(item) => inner_map(*item).map(|(_, table)| ("[]", table)),
        Form::MapOf(value) => inner_map(*value).map(|(_, table)| (".<name>", table)),
        Form::Nullable(inner) => inner_map(*inner),
        Form::Any(forms) => forms.iter().find_map(|form| inner_map(*form)),
        _ => None,
    }
}

fn written(form: Form) -> String {
    match form {
        Form::Text => "text".to_owned(),
        Form::Flag => "true/false".to_owned(),
        Form::Whole => "whole number".to_owned(),
        Form::Cpus => "number".to_owned(),
        Form::Size => "size (`64m`)".to_owned(),
        Form::Span => "duration (`1m30s`)".to_owned(),
        Form::Mode => "permissions (`\"0440\"`)".to_owned(),
        Form::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Form::Match { shown, .. } => shown.to_owned(),
        Form::Printed => "text or number".to_owned(),
        Form::List(item) => format!("list of {}", written(*item)),
        Form::Mapping => "map, or list of `key=value`".to_owned(),
        Form::Options | Form::Map(_) => "map".to_owned(),
        Form::MapOf(value) => format!("map of {}", written(*value)),
        Form::Nullable(inner) => written(*inner),
        Form::Any(forms) => forms.iter().map(|form| written(*form)).collect::<Vec<_>>().join(" or "),
        Form::Refused => String::new(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
