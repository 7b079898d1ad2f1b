//! `.dockerignore`, by Docker's own rules (moby's `patternmatcher`), which are not git's.
//!
//! A pattern is anchored at the context's root. `*`, `?` and `[..]` stay within a name, `**` is any number of folders, none
//! included. A pattern that matches a folder matches all in it. The last pattern that matches counts; `!` takes back.

/// The patterns of one file, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// It takes back what earlier ones matched.
    exception: bool,
    /// The names in front of the first that holds a wildcard.
    literal: Vec<String>,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Char(char),
    /// `?`.
    One,
    /// `*`.
    Some,
    /// `**`, not at the end: nothing, or ..
    Folders,
    /// .. any text that ends with a slash. Always behind `Folders`.
    Within,
    /// `**` at the end.
    Rest,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    /// Reads a file's text.
    ///
    /// # Errors
    /// For people, when a pattern makes no sense to Docker.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty());
        let patterns: Result<Vec<Option<Pattern>>, String> = lines.map(Pattern::parse).collect();
        Ok(Self { patterns: patterns?.into_iter().flatten().collect() })
    }

    /// Takes back whatever matches this path, as if `!path` stood at the end.
    pub fn always_keep(&mut self, path: &str) {
        let literal = path.split('/').map(str::to_owned).collect();
        let tokens = path.chars().map(Token::Char).collect();
        self.patterns.push(Pattern { exception: true, literal, tokens });
    }

    /// Whether a path below the root is left out; names are divided by slashes.
    pub fn leaves_out(&self, path: &str) -> bool {
        let matching = self.patterns.iter().rev().find(|pattern| pattern.covers(path));
        matching.is_some_and(|pattern| !pattern.exception)
    }

    /// Whether something in a folder that is left out may have been taken back.
    pub fn may_keep_within(&self, folder: &str) -> bool {
        let names: Vec<&str> = folder.split('/').collect();
        let leads_there = |pattern: &&Pattern| pattern.literal.iter().zip(&names).all(|(wanted, name)| wanted == name);
        self.patterns.iter().filter(|pattern| pattern.exception).any(|pattern| leads_there(&pattern))
    }
}

impl Pattern {
    /// `None`: a pattern that can match nothing, such as `.`.
    fn parse(line: &str) -> Result<Option<Self>, String> {
        let (exception, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if exception && text.is_empty() {
            return Err("\"!\" alone takes nothing back: write a pattern behind it".to_owned());
        }
        let clean = clean(text);
        if clean.is_empty() {
            return Ok(None);
        }
        let wild = |name: &&str| name.contains(['*', '?', '[', '\\']);
        let literal = clean.split('/').take_while(|name| !wild(name)).map(str::to_owned).collect();
        let tokens = tokens(&clean).map_err(|why| format!("the pattern {line:?} {why}"))?;
        Ok(Some(Self { exception, literal, tokens }))
    }

    /// Whether it matches the path or a folder above it.
    fn covers(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.chain([path]).any(|part| self.matches(part))
    }

    /// Follows all ways through the pattern at once, so that no pattern takes long.
    fn matches(&self, text: &str) -> bool {
        let mut places = vec![false; self.tokens.len() + 1];
        places[0] = true;
        self.skip(&mut places);
        for char in text.chars() {
            let mut next = vec![false; self.tokens.len() + 1];
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| places[*at]) {
                match token {
                    Token::Char(wanted) => next[at + 1] |= *wanted == char,
                    Token::One => next[at + 1] |= char != '/',
                    Token::Some => next[at] |= char != '/',
                    Token::Rest => next[at] = true,
                    Token::Folders => {}
                    Token::Within => {
                        next[at] = true;
                        next[at + 1] |= char == '/';
                    }
                    Token::Class { negated, ranges } => {
                        let within = ranges.iter().any(|(from, to)| (*from..=*to).contains(&char));
                        next[at + 1] |= within != *negated;
                    }
                }
            }
            self.skip(&mut next);
            places = next;
        }
        places[self.tokens.len()]
    }

    /// From each place reached, those behind tokens that may match nothing.
    fn skip(&self, places: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Some | Token::Rest if places[at] => places[at + 1] = true,
                Token::Folders if places[at] => (places[at + 1], places[at + 2]) = (true, true),
                _ => {}
            }
        }
    }
}

/// A path without `.`, `..`, doubled, leading and trailing slashes, as Go's `filepath.Clean` has it.
fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|name| *name != "..") => drop(names.pop()),
            ".." if path.starts_with('/') => {}
            name => names.push(name),
        }
    }
    names.join("/")
}

fn tokens(pattern: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                match rest.peek() {
                    None => tokens.push(Token::Rest),
                    Some(_) => tokens.extend([Token::Folders, Token::Within]),
                }
            }
            '*' => tokens.push(Token::Some),
            '?' => tokens.push(Token::One),
            '[' => tokens.push(class(&mut rest)?),
            '\\' => tokens.push(Token::Char(rest.next().ok_or("ends with a backslash")?)),
            char => tokens.push(Token::Char(char)),
        }
    }
    Ok(tokens)
}

/// What stands between `[` and `]`.
fn class(rest: &mut impl Iterator<Item = char>) -> Result<Token, String> {
    let open = "has a \"[\" without its \"]\"";
    let mut next = || {
        let char = rest.next().ok_or(open)?;
        Ok::<_, String>(if char == '\\' { (rest.next().ok_or(open)?, true) } else { (char, false) })
    };
    let (mut negated, mut ranges): (bool, Vec<(char, char)>) = (false, Vec::new());
    let mut first = true;
    loop {
        match next()? {
            ('^', false) if first => negated = true,
            (']', false) if !ranges.is_empty() => return Ok(Token::Class { negated, ranges }),
            ('-', false) if !ranges.is_empty() => match (next()?, ranges.pop()) {
                ((']', false), Some(before)) => {
                    ranges.extend([before, ('-', '-')]);
                    return Ok(Token::Class { negated, ranges });
                }
                ((to, _), Some((from, _))) => ranges.push((from, to)),
                (_, None) => {}
            },
            (char, _) => ranges.push((char, char)),
        }
        first = false;
    }
}

#[cfg(test)]
#[path = "ignore_tests.rs"]
mod tests;
