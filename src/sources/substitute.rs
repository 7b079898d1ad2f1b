//! Variables in manifests: `${NAME}`, `${NAME:-default}`, and `$${NAME}` for what is to stay. Pure.

use std::collections::BTreeMap;

use super::files::Scan;
use crate::compose::is_compose;

/// Replaces variables in all files. A file that names one that has neither value nor default cannot be used. Compose files have
/// variables of their own: they find these in their environment.
pub fn substitute(scan: &mut Scan, variables: &BTreeMap<String, String>) {
    if variables.is_empty() {
        return;
    }
    scan.variables.clone_from(variables);
    for text in scan.files.values_mut() {
        if let Ok(read) = text
            && !is_compose(read)
        {
            *text = replace(read, variables);
        }
    }
}

fn replace(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        replaced.push_str(&rest[..at]);
        let after = &rest[at..];
        let (value, end) = if after.starts_with("$${") {
            ("${", 3)
        } else if let Some(variable) = Variable::read(after) {
            (variable.value(variables).ok_or_else(|| unknown(text, rest, at, variable.name))?, variable.end)
        } else {
            ("$", 1)
        };
        replaced.push_str(value);
        rest = &after[end..];
    }
    replaced.push_str(rest);
    Ok(replaced)
}

/// `${NAME}` or `${NAME:-default}` at the start of a text.
struct Variable<'a> {
    name: &'a str,
    default: Option<&'a str>,
    end: usize,
}

impl<'a> Variable<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix("${")?;
        let close = inner.find(['}', '\n']).filter(|close| inner[*close..].starts_with('}'))?;
        let (name, default) = match inner[..close].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..close], None),
        };
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let right = !name.is_empty() && name.chars().all(letter) && !name.starts_with(|c: char| c.is_ascii_digit());
        right.then_some(Self { name, default, end: close + 3 })
    }

    fn value(&self, variables: &'a BTreeMap<String, String>) -> Option<&'a str> {
        variables.get(self.name).map(String::as_str).or(self.default)
    }
}

fn unknown(text: &str, rest: &str, at: usize, name: &str) -> String {
    let before = &text[..text.len() - rest.len() + at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(
        "{line}:{column}: variable {name} has no value: name it in the Source's spec.substitute, or write ${{{name}:-default}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Result<String, String> {
        replace(text, &BTreeMap::from([("TAG".to_owned(), "1.2".to_owned()), ("EMPTY".to_owned(), String::new())]))
    }

    #[test]
    fn variables_become_their_values_and_all_else_stays() {
        for (text, result) in [
            ("image: web:${TAG}", "image: web:1.2"),
            ("${TAG}${TAG}", "1.21.2"),
            ("${OTHER:-3}-${EMPTY}-${EMPTY:-x}", "3--"),
            ("$${TAG} $TAG $$ ${a b} ${TAG", "${TAG} $TAG $$ ${a b} ${TAG"),
            ("größe: ${TAG} €", "größe: 1.2 €"),
        ] {
            assert_eq!(replaced(text).as_deref(), Ok(result), "{text}");
        }
    }

    #[test]
    fn a_variable_without_a_value_is_told_with_its_place() {
        assert!(replaced("a: 1\nb: ${NOPE}\n").unwrap_err().starts_with("2:4: variable NOPE has no value"));
    }

    #[test]
    fn without_variables_nothing_is_replaced() {
        let mut scan = Scan { files: BTreeMap::from([("a.yaml".to_owned(), Ok("${X}".to_owned()))]), ..Scan::default() };
        substitute(&mut scan, &BTreeMap::new());
        assert_eq!(scan.files["a.yaml"], Ok("${X}".to_owned()));
    }
}
