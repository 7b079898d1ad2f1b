//! What the Compose Specification allows, held against a tree: unknown keys, wrong types, missing fields.
//!
//! `schema/forms.txt` has every key and what may stand there, in a notation of its own; [`form`] reads it.

mod form;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::node::{Node, Path, Place, Value};
use super::sink::Sink;
use form::{Form, Map};

/// What is wrong.
struct Found {
    path: Path,
    place: Place,
    /// How deep it lies: of several forms, the one that fits best fails deepest.
    depth: usize,
    message: String,
    /// What was wanted instead, if only the kind of the value is wrong.
    wanted: Option<String>,
}

#[expect(clippy::expect_used, reason = "the forms are part of the program, and a test reads them")]
fn forms() -> &'static BTreeMap<&'static str, Form> {
    static FORMS: OnceLock<BTreeMap<&'static str, Form>> = OnceLock::new();
    FORMS.get_or_init(|| form::read(include_str!("schema/forms.txt")).expect("the forms can be read"))
}

/// Tells everything in a tree that the Specification does not allow.
pub(super) fn validate(root: &Node, sink: &Sink) {
    let mut found = Vec::new();
    check(&forms()["file"], root, &Path::default(), &mut found);
    for wrong in found {
        sink.error(&wrong.path, wrong.place, wrong.message);
    }
}

/// The keys of a service that the Specification knows.
#[cfg(test)]
pub(super) fn service_keys() -> Vec<&'static str> {
    let Form::Map(service) = &forms()["service"] else { return Vec::new() };
    service.fields.iter().map(|(key, ..)| *key).collect()
}

fn check(form: &Form, node: &Node, path: &Path, found: &mut Vec<Found>) {
    let wanted = match (form, &node.value) {
        (Form::Anything, _) => return,
        (Form::Named(name), _) => return check(&forms()[name], node, path, found),
        (Form::Any(forms), _) => return any(forms, node, path, found),
        (Form::Whole(least, most), Value::Int(_) | Value::Big(_)) => return bounds(*least, *most, node, path, found),
        (Form::Whole(least, most), Value::Float(number)) if number.fract() == 0.0 => {
            return bounds(*least, *most, node, path, found);
        }
        (Form::Words(words), Value::Text(_)) => {
            if !words.iter().any(|word| node.as_text() == Some(*word)) {
                found.push(wrong(node, path, format!("must be one of {}, not {}", words.join(", "), node.print())));
            }
            return;
        }
        (Form::Match(pattern), Value::Text(text)) => {
            if !pattern.is_in(text) {
                found.push(wrong(node, path, format!("must match {}, and {text:?} does not", pattern.shown())));
            }
            return;
        }
        (Form::Number, Value::Int(_) | Value::Big(_) | Value::Float(_))
        | (Form::Text, Value::Text(_))
        | (Form::Flag, Value::Bool(_))
        | (Form::Null, Value::Null) => return,
        (Form::List { item, unique }, Value::List(items)) => return list(item, *unique, items, path, found),
        (Form::Map(keys), Value::Map(_)) => return map(keys, node, path, found),
        (Form::Whole(..), _) => "a whole number",
        (Form::Number, _) => "a number",
        (Form::Text | Form::Words(_) | Form::Match(_), _) => "text",
        (Form::Flag, _) => "true or false",
        (Form::List { .. }, _) => "a list",
        (Form::Map(_), _) => "a map",
        (Form::Null, _) => "nothing",
    };
    found.push(Found { wanted: Some(wanted.to_owned()), ..wrong(node, path, format!("must be {wanted}, not {}", shown(node))) });
}

fn wrong(node: &Node, path: &Path, message: String) -> Found {
    Found { path: path.clone(), place: node.place, depth: path.0.len(), message, wanted: None }
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Time(_) => {
            format!("{} ({}); write it in quotes if it is meant as text", node.kind(), node.print())
        }
        _ => node.kind().to_owned(),
    }
}

/// Where several forms are allowed: none of them being of the right kind is one mistake, else the form that fits best tells.
fn any(forms: &[Form], node: &Node, path: &Path, found: &mut Vec<Found>) {
    let mut failed: Vec<Vec<Found>> = Vec::new();
    for form in forms {
        let mut wrong = Vec::new();
        check(form, node, path, &mut wrong);
        if wrong.is_empty() {
            return;
        }
        failed.push(wrong);
    }
    let here = |errors: &Vec<Found>| errors.len() == 1 && errors[0].depth == path.0.len() && errors[0].wanted.is_some();
    if failed.iter().all(here) {
        let wanted = failed.iter().filter_map(|errors| errors[0].wanted.as_deref()).filter(|kind| *kind != "nothing");
        let wanted = wanted.collect::<Vec<_>>().join(" or ");
        found.push(Found { wanted: Some(wanted.clone()), ..wrong(node, path, format!("must be {wanted}, not {}", shown(node))) });
        return;
    }
    let deepest = |errors: &Vec<Found>| errors.iter().map(|error| error.depth).max().unwrap_or_default();
    let best = failed.into_iter().reduce(|best, errors| if deepest(&errors) > deepest(&best) { errors } else { best });
    found.extend(best.unwrap_or_default());
}

fn bounds(least: Option<i64>, most: Option<i64>, node: &Node, path: &Path, found: &mut Vec<Found>) {
    #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
    let number = match node.value {
        Value::Int(number) => number as f64,
        Value::Big(number) => number as f64,
        Value::Float(number) => number,
        _ => return,
    };
    #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
    let [least, most] = [least, most].map(|bound| bound.map(|bound| bound as f64));
    if let Some(least) = least.filter(|least| number < *least) {
        found.push(wrong(node, path, format!("must be at least {least}")));
    }
    if let Some(most) = most.filter(|most| number > *most) {
        found.push(wrong(node, path, format!("must be at most {most}")));
    }
}

fn map(keys: &Map, node: &Node, path: &Path, found: &mut Vec<Found>) {
    let Some(map) = node.as_map() else { return };
    for (required, ..) in keys.fields.iter().filter(|(key, required, _)| *required && !map.contains_key(*key)) {
        found.push(wrong(node, path, format!("is missing {required}")));
    }
    for (key, value) in map {
        let here = path.key(key);
        let field = keys.fields.iter().find(|(name, ..)| name == key).map(|(_, _, form)| form);
        let chosen = keys.chosen.iter().filter(|(chosen, _)| chosen.covers(key)).map(|(_, form)| form);
        let mut known = keys.open || (keys.extensions && key.starts_with("x-"));
        for form in field.into_iter().chain(chosen) {
            known = true;
            check(form, value, &here, found);
        }
        if !known {
            // As deep as what it stands beside, and telling more than that.
            found.push(Found { depth: here.0.len(), ..wrong(value, &here, unknown(keys, key, value)) });
        }
    }
}

/// Words for a key that nobody knows.
fn unknown(keys: &Map, key: &str, value: &Node) -> String {
    if keys.fields.is_empty() {
        return format!("{key:?} cannot be a name here: letters, digits, '.', '_' and '-' can");
    }
    let known = || keys.fields.iter().map(|(known, ..)| *known);
    let near = known().map(|known| (strsim::damerau_levenshtein(known, key), known)).filter(|(far, _)| *far <= 2).min();
    match near {
        Some((_, near)) => format!("is no key of Compose here: did you mean {near}?"),
        None if value.as_map().is_some() && keys.fields.len() < 20 => {
            format!("is no key of Compose here: known are {}", known().collect::<Vec<_>>().join(", "))
        }
        None => "is no key of Compose here".to_owned(),
    }
}

fn list(item_form: &Form, unique: bool, items: &[Node], path: &Path, found: &mut Vec<Found>) {
    for (index, item) in items.iter().enumerate() {
        check(item_form, item, &path.item(index), found);
    }
    for (index, item) in items.iter().enumerate().filter(|_| unique) {
        if let Some(first) = items[..index].iter().position(|other| same(other, item)) {
            let message = format!("stands here a second time (it is item {first} too): keep one");
            found.push(wrong(item, &path.item(index), message));
        }
    }
}

/// Numbers are the same by their value.
fn same(one: &Node, other: &Node) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "as JSON has it")]
    let number = |node: &Node| match node.value {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    };
    one == other || matches!((number(one), number(other)), (Some(one), Some(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All names in a form.
    fn names(form: &Form, found: &mut Vec<&'static str>) {
        match form {
            Form::Named(name) => found.push(name),
            Form::Any(forms) => forms.iter().for_each(|form| names(form, found)),
            Form::List { item, .. } => names(item, found),
            Form::Map(map) => {
                map.fields.iter().for_each(|(_, _, form)| names(form, found));
                map.chosen.iter().for_each(|(_, form)| names(form, found));
            }
            _ => {}
        }
    }

    #[test]
    fn every_name_in_the_forms_is_written_there() {
        let mut found = vec!["file"];
        forms().values().for_each(|form| names(form, &mut found));
        let strangers: Vec<_> = found.into_iter().filter(|name| !forms().contains_key(name)).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        assert!(service_keys().len() >= 92, "{}", service_keys().len());
    }
}
