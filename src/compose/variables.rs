//! Variables in text: `$A`, `${A}`, `${A:-b}`, `${A-b}`, `${A:?b}`, `${A?b}`, `${A:+b}`, `${A+b}`, nested, and `$$`.

/// Where variables come from.
pub(super) trait Lookup {
    /// The value of a variable.
    fn get(&self, name: &str) -> Option<String>;
    /// A variable that is not set is taken for empty.
    fn unset(&self, name: &str);
}

/// Variables within defaults of variables, at most.
const DEEPEST: usize = 64;
/// Bytes that a value comes to, at most: variables of variables double it.
const LARGEST: usize = 16 << 20;

/// Puts variables into a text.
///
/// # Errors
/// What is wrong with the text, or which required variable is missing.
pub(super) fn substitute(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    nested(text, lookup, 0)
}

fn nested(text: &str, lookup: &dyn Lookup, depth: usize) -> Result<String, String> {
    if depth > DEEPEST {
        return Err(format!("has variables in the defaults of variables, more than {DEEPEST} deep"));
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = braced(inside).ok_or_else(|| {
                // Not the text itself: it may be a password.
                "has an invalid variable: write ${NAME}, ${NAME:-default}, .. or $$ for a dollar".to_owned()
            })?;
            let (value, used) = expand(&inside[..end], lookup, depth)?;
            result.push_str(&value);
            rest = &inside[used..];
        } else {
            let length = name_length(after);
            if length == 0 {
                result.push('$');
            } else {
                result.push_str(&plain(&after[..length], lookup));
            }
            rest = &after[length..];
        }
        if result.len() > LARGEST {
            return Err(format!("comes to more than {} MiB", LARGEST >> 20));
        }
    }
    result.push_str(rest);
    Ok(result)
}

fn plain(name: &str, lookup: &dyn Lookup) -> String {
    lookup.get(name).unwrap_or_else(|| {
        lookup.unset(name);
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    let starts = text.starts_with(|char: char| char == '_' || char.is_ascii_alphabetic());
    let end = text.find(|char: char| char != '_' && !char.is_ascii_alphanumeric()).unwrap_or(text.len());
    if starts { end } else { 0 }
}

/// How far an expression in braces reaches, its last brace included: with an operator as far as there is a closing brace
/// in the line, since what follows the expression itself is read on with it.
fn braced(inside: &str) -> Option<usize> {
    let name = name_length(inside);
    let rest = &inside[name..];
    if name == 0 {
        return None;
    }
    if rest.starts_with('}') {
        return Some(name + 1);
    }
    operator(rest)?;
    let line = rest.find('\n').unwrap_or(rest.len());
    rest[..line].rfind('}').map(|at| name + at + 1)
}

/// The operator that a text starts with.
fn operator(text: &str) -> Option<&'static str> {
    [":-", ":?", ":+", "-", "?", "+"].into_iter().find(|operator| text.starts_with(operator))
}

/// The value of an expression in braces (without its first), and how much of the text it takes.
fn expand(expression: &str, lookup: &dyn Lookup, depth: usize) -> Result<(String, usize), String> {
    let end = closing(expression).unwrap_or(expression.len() - 1);
    let body = &expression[..end];
    let (name, tail) = body.split_at(name_length(body));
    let Some(operator) = operator(tail) else { return Ok((plain(name, lookup), end + 1)) };
    let word = nested(&tail[operator.len()..], lookup, depth + 1)?;
    let value = lookup.get(name);
    let filled = value.clone().filter(|value| !operator.starts_with(':') || !value.is_empty());
    let value = match (&operator[operator.len() - 1..], filled) {
        ("-", filled) => filled.unwrap_or(word),
        ("+", Some(_)) => word,
        ("+", None) => value.unwrap_or_default(),
        (_, Some(filled)) => filled,
        (_, None) if word.is_empty() => return Err(format!("the required variable {name} is missing a value")),
        (_, None) => return Err(format!("the required variable {name} is missing a value: {word}")),
    };
    Ok((value, end + 1))
}

/// Where the brace closes that was open before the text. As Compose counts: a brace right after an opening one does not.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (1, 1);
    while at < bytes.len() {
        match bytes[at] {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Given(RefCell<Vec<String>>);

    impl Lookup for Given {
        fn get(&self, name: &str) -> Option<String> {
            match name {
                "A" => Some("a".to_owned()),
                "EMPTY" => Some(String::new()),
                "DOLLAR" => Some("$A".to_owned()),
                _ => None,
            }
        }
        fn unset(&self, name: &str) {
            self.0.borrow_mut().push(name.to_owned());
        }
    }

    fn told(text: &str) -> String {
        substitute(text, &Given::default()).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn all_forms_are_replaced_as_compose_does() {
        for (text, result) in [
            ("no", "no"),
            ("$A ${A} $$A $", "a a $A $"),
            ("$1 $ A $-", "$1 $ A $-"),
            ("${U:-d}${EMPTY:-d}${A:-d}", "dda"),
            ("${U-d}|${EMPTY-d}|${A-d}", "d||a"),
            ("${U:+d}|${EMPTY:+d}|${A:+d}", "||d"),
            ("${U+d}|${EMPTY+d}|${A+d}", "|d|d"),
            ("${A:?no}${A?no}${EMPTY?no}", "aa"),
            ("${U:-${V:-x}y}z", "xyz"),
            ("${U:-{}}", "{}"),
            ("${U:-{a}}b}", "{a}b}"),
            ("${U:-a} b ${U-c} d", "a b c d"),
            ("${U:-}", ""),
            ("${U:-a:b-c?d+e}", "a:b-c?d+e"),
            ("$DOLLAR", "$A"),
            ("$U", ""),
            ("é${A}é$Aé", "éaéaé"),
        ] {
            assert_eq!(told(text), result, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["${", "${}", "${1}", "${A", "${A:b}", "${A!}", "${U:-a\nb}", "${A b}"] {
            assert!(told(text).contains("invalid variable"), "{text}");
        }
        assert_eq!(told("${U:?because $A}"), "error: the required variable U is missing a value: because a");
        assert_eq!(told("${EMPTY:?}"), "error: the required variable EMPTY is missing a value");
        assert!(told("${A:-${U?x}}").starts_with("error"), "defaults are read though they are not used");
    }

    #[test]
    fn what_is_unset_is_told() {
        let given = Given::default();
        substitute("$U ${V} ${W:-x} $A", &given).unwrap();
        assert_eq!(*given.0.borrow(), ["U", "V"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn no_text_makes_it_panic(text in "([${}:?+A-]|\\PC|\n){0,20}") {
            let _ = substitute(&text, &Given::default());
        }

        #[test]
        fn text_without_dollars_stays(text in "[^$]{0,40}") {
            prop_assert_eq!(told(&text), text);
        }

        #[test]
        fn doubled_dollars_come_out_single(text in "\\PC{0,40}") {
            prop_assert_eq!(told(&text.replace('$', "$$")), text);
        }
    }
}
