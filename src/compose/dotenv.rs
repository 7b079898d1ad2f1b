//! Files of variables: `.env`, `env_file` and `label_file` in Compose's own form, and in docker's raw one.

use std::collections::BTreeMap;

use super::variables::{Lookup, substitute};

/// What is wrong in such a file: its line, from 1, and what.
pub(super) type Wrong = (usize, String);

/// Reads a file in Compose's form into `variables`. `outer` is asked first for what values refer to, then what was read.
///
/// # Errors
/// The line that makes no sense.
pub(super) fn read(text: &str, variables: &mut BTreeMap<String, String>, outer: &dyn Lookup) -> Result<(), Wrong> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    while let Some(key) = reader.key()? {
        match key {
            Key::Given(key) => {
                let value = reader.value(&Both { outer, read: variables })?;
                variables.insert(key, value);
            }
            Key::Inherited(key) => {
                if let Some(value) = outer.get(&key) {
                    variables.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

/// Reads a file as `docker run --env-file` does: what stands behind the `=` is the value, whatever it is.
///
/// # Errors
/// The line that makes no sense.
pub(super) fn read_raw(text: &str, variables: &mut BTreeMap<String, String>, outer: &dyn Lookup) -> Result<(), Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value.to_owned())));
        if key.is_empty() {
            return Err((index + 1, "has no name in front of its =".to_owned()));
        }
        if key.contains([' ', '\t']) {
            return Err((index + 1, format!("the name {key:?} contains a space")));
        }
        if let Some(value) = value.or_else(|| outer.get(key)) {
            variables.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

enum Key {
    Given(String),
    /// Without a value: it is taken from outside.
    Inherited(String),
}

struct Both<'a> {
    outer: &'a dyn Lookup,
    read: &'a BTreeMap<String, String>,
}

impl Lookup for Both<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.outer.get(name).or_else(|| self.read.get(name).cloned())
    }
    fn unset(&self, name: &str) {
        self.outer.unset(name);
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn advance(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    /// Goes to the next statement: blank lines and comments are left out.
    fn skip_to_statement(&mut self) {
        loop {
            self.advance(self.rest.len() - self.rest.trim_start().len());
            if !self.rest.starts_with('#') {
                return;
            }
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn key(&mut self) -> Result<Option<Key>, Wrong> {
        self.skip_to_statement();
        if self.rest.is_empty() {
            return Ok(None);
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.rest = after.trim_start_matches(is_blank);
        }
        // A last line without an end counts like any other; Compose makes a variable without a name of it.
        let (mut key, mut after, mut inherited) = (self.rest, self.rest.len(), true);
        for (at, char) in self.rest.char_indices() {
            match char {
                char if is_blank(char) => {}
                '=' | ':' | '\n' => {
                    (key, after, inherited) = (&self.rest[..at], at + 1, char == '\n');
                    break;
                }
                '_' | '.' | '-' | '[' | ']' => {}
                char if char.is_alphanumeric() => {}
                // Not the line itself: it may be part of a secret of several lines.
                char => return Err((self.line, format!("has the character {char:?} in the name of a variable"))),
            }
        }
        if self.rest.is_empty() {
            return Err((self.line, "has no name of a variable".to_owned()));
        }
        let key = key.trim_end().to_owned();
        if key.contains(' ') {
            return Err((self.line, format!("the name {key:?} contains a space")));
        }
        self.line += usize::from(inherited);
        self.rest = self.rest[after..].trim_start_matches(is_blank);
        Ok(Some(if inherited { Key::Inherited(key) } else { Key::Given(key) }))
    }

    fn value(&mut self, lookup: &dyn Lookup) -> Result<String, Wrong> {
        let start = self.line;
        let expand = |text: &str| substitute(text, lookup).map_err(|error| (start, error));
        let Some(quote) = self.rest.chars().next().filter(|char| matches!(char, '"' | '\'')) else {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            let value = line.split(" #").next().unwrap_or_default().trim_end();
            let value = expand(value)?;
            self.advance((end + 1).min(self.rest.len()));
            return Ok(value);
        };
        let (mut value, mut escaped) = (String::new(), false);
        for (at, char) in self.rest.char_indices().skip(1) {
            match char {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                char if char == quote && !escaped => {
                    let value = if quote == '"' { expand(&escapes(&value))? } else { value };
                    self.advance(at + 1);
                    return Ok(value);
                }
                char if char != quote && escaped => value.push('\\'),
                _ => {}
            }
            escaped = false;
            value.push(char);
        }
        Err((start, "has a value whose quotes are not closed".to_owned()))
    }
}

/// A blank that ends no line.
fn is_blank(char: char) -> bool {
    matches!(char, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// The escapes of text in double quotes; `\$` is a dollar that starts no variable.
fn escapes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let mut length = 1;
        match after.chars().next() {
            Some('$') => result.push_str("$$"),
            Some('a') => result.push('\u{7}'),
            Some('b') => result.push('\u{8}'),
            Some('f') => result.push('\u{c}'),
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some('v') => result.push('\u{b}'),
            Some('"') => result.push('"'),
            Some('\\') => result.push('\\'),
            Some('0') => {
                let digits = after[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
                length = 1 + digits;
                match u32::from_str_radix(&after[1..length], 8).ok().filter(|_| digits == 3).and_then(char::from_u32) {
                    Some(char) => result.push(char),
                    None => result.push_str(&rest[at..=at + length]),
                }
            }
            Some(other) => {
                result.push('\\');
                result.push(other);
                length = other.len_utf8();
            }
            None => {
                result.push('\\');
                length = 0;
            }
        }
        rest = &after[length..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Outer;

    impl Lookup for Outer {
        fn get(&self, name: &str) -> Option<String> {
            (name == "OUTER").then(|| "o".to_owned())
        }
        fn unset(&self, _: &str) {}
    }

    fn told(text: &str) -> Result<Vec<(String, String)>, Wrong> {
        let mut variables = BTreeMap::new();
        read(text, &mut variables, &Outer).map(|()| variables.into_iter().collect())
    }

    #[test]
    fn files_are_read_as_compose_reads_them() {
        for (text, expected) in [
            ("A=1\nB=$A-x\n", vec![("A", "1"), ("B", "1-x")]),
            ("A=\"q\\n$OUTER\"\n", vec![("A", "q\no")]),
            ("A='$B'\n", vec![("A", "$B")]),
            ("export A=5 # c\n", vec![("A", "5")]),
            ("A: 7\nB=a#b\n", vec![("A", "7"), ("B", "a#b")]),
            ("OUTER\nMISSING\nOUTER2", vec![("OUTER", "o")]),
            ("OUTER", vec![("OUTER", "o")]),
            ("A=\"\\101 \\0101 \\$X \\q\"\n", vec![("A", "\\101 A $X \\q")]),
            ("A=$$x ${U} ${U:-d}\nB=a\\nb\n", vec![("A", "$x  d"), ("B", "a\\nb")]),
            ("A.B=1\nA-C=2\n1D=3\n", vec![("1D", "3"), ("A-C", "2"), ("A.B", "1")]),
            ("  A = 1\nB= \"2\"\nC=\" a \"  \n", vec![("A", "1"), ("B", "2"), ("C", " a ")]),
            ("A=\"x\" y\nB=2\n", vec![("A", "x"), ("B", "2")]),
            ("A='two\nlines'\r\nB=1\r\n", vec![("A", "two\nlines"), ("B", "1")]),
            ("\u{feff}A=1\n# c\n\n", vec![("A", "1")]),
            ("A=\nB=", vec![("A", ""), ("B", "")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            assert_eq!(told(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (text, line) in [("A=1\nA B=1\n", 2), ("A=1\n\n!=2\n", 3), ("A='x\n", 1), ("A=${\n", 1)] {
            assert_eq!(told(text).unwrap_err().0, line, "{text:?}");
        }
    }

    #[test]
    fn raw_files_are_taken_as_they_are() {
        let mut variables = BTreeMap::new();
        read_raw("A='$B' # c\n  # no\nOUTER\nMISSING\nC=\n", &mut variables, &Outer).unwrap();
        let told: Vec<_> = variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["A='$B' # c", "C=", "OUTER=o"]);
        assert_eq!(read_raw("A=1\n=2\n", &mut variables, &Outer).unwrap_err().0, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn no_text_makes_it_panic(text in "([A-Z=:\"'$\\\\{}# \n0]|\\PC){0,30}") {
            let _ = told(&text);
        }
    }
}
