//! The notation of `forms.txt`, read into [`Form`]s.

use std::collections::BTreeMap;

/// What may stand at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// Whatever there is.
    Anything,
    /// Text.
    Text,
    /// A whole number, within bounds.
    Whole(Option<i64>, Option<i64>),
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// Nothing.
    Null,
    /// Text that has this in it.
    Match(Pattern),
    /// One of these words.
    Words(Vec<&'static str>),
    /// A list; `unique`: nothing in it twice.
    List {
        /// What its items are.
        item: Box<Form>,
        /// Whether nothing may stand in it twice.
        unique: bool,
    },
    /// A map.
    Map(Map),
    /// Any of these.
    Any(Vec<Form>),
    /// What is written under this name.
    Named(&'static str),
}

/// What some texts have to have in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// A name that Docker takes.
    ContainerName,
    /// A word of `pull_policy`.
    PullPolicy,
}

impl Pattern {
    /// As a regular expression, for people.
    pub fn shown(self) -> &'static str {
        match self {
            Self::ContainerName => "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
            Self::PullPolicy => "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
        }
    }

    /// Whether it is anywhere in a text.
    pub fn is_in(self, text: &str) -> bool {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match self {
            Self::ContainerName => {
                let chars: Vec<char> = text.chars().collect();
                chars.windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && name(pair[1]))
            }
            Self::PullPolicy => {
                let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
                words.into_iter().any(|word| text.contains(word)) || has_every(text)
            }
        }
    }
}

/// `every_([0-9]+[wdhms])+`
fn has_every(text: &str) -> bool {
    text.match_indices("every_").any(|(at, word)| {
        let rest = &text[at + word.len()..];
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(['w', 'd', 'h', 'm', 's'])
    })
}

/// The keys of a map.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Map {
    /// Keys by name, with whether they must be there.
    pub fields: Vec<(&'static str, bool, Form)>,
    /// Keys of the user's choice.
    pub chosen: Vec<(Chosen, Form)>,
    /// Whether `x-..` may stand there.
    pub extensions: bool,
    /// Whether other keys may stand there too.
    pub open: bool,
}

/// Which keys a user may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Letters, digits, `.`, `_` and `-`.
    Name,
    /// Lower-case letters.
    Lower,
    /// Any but an empty one.
    Any,
}

impl Chosen {
    /// Whether a key is one of them.
    pub fn covers(self, key: &str) -> bool {
        match self {
            Self::Name => !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')),
            Self::Lower => !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase()),
            Self::Any => key.chars().any(|c| c != '\n'),
        }
    }
}

/// All forms of a text by their names; `Err`: where it cannot be read.
pub(super) fn read(text: &'static str) -> Result<BTreeMap<&'static str, Form>, String> {
    let mut reader = Reader { rest: text };
    let mut forms = BTreeMap::new();
    while let Some(name) = reader.word() {
        reader.expect(":")?;
        forms.insert(name, reader.form()?);
    }
    if reader.rest.is_empty() { Ok(forms) } else { Err(reader.wrong("a name")) }
}

struct Reader {
    rest: &'static str,
}

impl Reader {
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\n', ',']);
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    fn take(&mut self, mark: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.take(mark) { Ok(()) } else { Err(self.wrong(mark)) }
    }

    fn wrong(&self, wanted: &str) -> String {
        format!("{wanted} is missing before {:?}", self.rest.lines().next().unwrap_or_default())
    }

    fn word(&mut self) -> Option<&'static str> {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn form(&mut self) -> Result<Form, String> {
        let mut forms = vec![self.one()?];
        while self.take("|") {
            match (self.one()?, forms.last_mut()) {
                (Form::Words(more), Some(Form::Words(words))) => words.extend(more),
                (form, _) => forms.push(form),
            }
        }
        Ok(if forms.len() == 1 { forms.remove(0) } else { Form::Any(forms) })
    }

    fn one(&mut self) -> Result<Form, String> {
        if self.take("\"") {
            let (word, rest) = self.rest.split_once('"').ok_or_else(|| self.wrong("\""))?;
            self.rest = rest;
            return Ok(Form::Words(vec![word]));
        }
        if self.take("{") {
            return self.map();
        }
        if self.take("[") {
            return self.list(false);
        }
        Ok(match self.word().ok_or_else(|| self.wrong("a form"))? {
            "anything" => Form::Anything,
            "text" => Form::Text,
            "number" => Form::Number,
            "flag" => Form::Flag,
            "null" => Form::Null,
            "container_name" => Form::Match(Pattern::ContainerName),
            "pull_policy" => Form::Match(Pattern::PullPolicy),
            "whole" => self.bounds()?,
            "set" if self.take("[") => self.list(true)?,
            name => Form::Named(name),
        })
    }

    fn list(&mut self, unique: bool) -> Result<Form, String> {
        let item = Box::new(self.form()?);
        self.expect("]")?;
        Ok(Form::List { item, unique })
    }

    fn bounds(&mut self) -> Result<Form, String> {
        if !self.take("(") {
            return Ok(Form::Whole(None, None));
        }
        let (bounds, rest) = self.rest.split_once(')').ok_or_else(|| self.wrong(")"))?;
        let (least, most) = bounds.split_once("..").ok_or_else(|| self.wrong(".."))?;
        self.rest = rest;
        Ok(Form::Whole(least.parse().ok(), most.parse().ok()))
    }

    fn map(&mut self) -> Result<Form, String> {
        let mut map = Map::default();
        while !self.take("}") {
            if self.take("...") {
                map.open = true;
            } else if self.take("x-") {
                map.extensions = true;
            } else if self.take("<") {
                let chosen = match self.word() {
                    Some("name") => Chosen::Name,
                    Some("lower") => Chosen::Lower,
                    Some("any") => Chosen::Any,
                    _ => return Err(self.wrong("name, lower or any")),
                };
                self.expect(">")?;
                self.expect(":")?;
                map.chosen.push((chosen, self.form()?));
            } else {
                let key = self.word().ok_or_else(|| self.wrong("a key"))?;
                let required = self.take("!");
                self.expect(":")?;
                map.fields.push((key, required, self.form()?));
            }
        }
        Ok(Form::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notation_is_read_as_its_head_says() {
        let forms =
            read("# words\na: { one!: text | null, x- }\nb: set[whole(0..9)] | \"x\" | \"y\"\nc: { <lower>: a, ... }\n").unwrap();
        let one = ("one", true, Form::Any(vec![Form::Text, Form::Null]));
        assert_eq!(forms["a"], Form::Map(Map { fields: vec![one], extensions: true, ..Map::default() }));
        let set = Form::List { item: Box::new(Form::Whole(Some(0), Some(9))), unique: true };
        assert_eq!(forms["b"], Form::Any(vec![set, Form::Words(vec!["x", "y"])]));
        let chosen = vec![(Chosen::Lower, Form::Named("a"))];
        assert_eq!(forms["c"], Form::Map(Map { chosen, open: true, ..Map::default() }));
        assert_eq!(read("a: [text"), Err("] is missing before \"\"".to_owned()));
    }
}
