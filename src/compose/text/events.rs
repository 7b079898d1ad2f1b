//! YAML text to raw nodes: what was written, its tag and its place; aliases resolved, nothing interpreted.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Wrong;
use crate::compose::node::{Path, Place};
use crate::crd::yaml::in_words;

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 120;
/// More nodes than that, aliases counted as often as they are used, are refused.
const MAX_NODES: usize = 2_000_000;
/// How far lines are moved to the right that the parser wants to be indented.
const MOVED: usize = 60;

/// A node as it was written.
#[derive(Debug)]
pub(super) struct Raw {
    /// Where it stands.
    pub place: Place,
    /// Its tag: `!reset`, `!!str`, ..
    pub tag: Option<String>,
    /// What it is.
    pub shape: Shape,
    /// How many nodes it has, itself included.
    size: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Shape {
    /// A scalar; `plain`: without quotes.
    Scalar {
        /// Its text.
        text: String,
        /// Without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Rc<Raw>>),
    /// A map in the order it was written.
    Map(Vec<Entry>),
}

/// How what no parser reads is told.
const UNREADABLE: &str = "cannot be read as YAML";

/// A key and what stands under it.
pub(super) type Entry = (Rc<Raw>, Rc<Raw>);

/// Reads all documents.
pub(super) fn parse(file: usize, text: &str) -> Result<Vec<Rc<Raw>>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = &checked(file, text)?;
    match documents(file, text, &HashSet::new()) {
        Ok(documents) => Ok(documents),
        Err(wrong) if wrong.message.starts_with(UNREADABLE) => tolerant(file, text, wrong),
        Err(wrong) => Err(wrong),
    }
}

/// The text that libyaml accepts. Where a blank line of tabs stands between comments Compose's parser goes on, and libyaml
/// does not: its tabs are taken out.
fn checked(file: usize, text: &str) -> Result<String, Wrong> {
    let mut text = text.to_owned();
    for _ in 0..100 {
        let Err(wrong) = check(file, &text) else { return Ok(text) };
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let at = wrong.place.line.wrapping_sub(1);
        if !lines.get(at).is_some_and(|line| line.trim().is_empty() && line.contains('\t')) {
            return Err(wrong);
        }
        let filled = |line: &&&str| !line.trim().is_empty();
        let neighbours = [lines[..at].iter().rev().find(filled), lines[at..].iter().find(filled)];
        if !neighbours.iter().all(|line| line.is_some_and(|line| line.trim_start().starts_with('#'))) {
            return Err(wrong);
        }
        lines[at] = "\n";
        text = lines.concat();
    }
    check(file, &text).map(|()| text)
}

/// libyaml's verdict, which is Compose's.
fn check(file: usize, text: &str) -> Result<(), Wrong> {
    for document in serde_yaml::Deserializer::from_str(text) {
        if let Err(error) = IgnoredAny::deserialize(document) {
            let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let message = in_words(text, Some((line, column)), message);
            return Err(wrong(Place { file, line, column }, format!("{UNREADABLE}: {message}")));
        }
    }
    Ok(())
}

/// What libyaml lets pass and the other parser does not is made harmless, one line after the other: lines within brackets
/// or quotes that stand too far left are moved, tabs behind a colon become blanks.
fn tolerant(file: usize, text: &str, first: Wrong) -> Result<Vec<Rc<Raw>>, Wrong> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let (mut moved, mut place, mut message) = (HashSet::new(), first.place, first.message.clone());
    for _ in 0..200 {
        if message.contains("valid YAML whitespace") {
            let Some(line) = lines.get_mut(place.line.wrapping_sub(1)) else { break };
            let blank = |(at, char): (usize, char)| if char == '\t' && at < place.column { ' ' } else { char };
            let changed: String = line.chars().enumerate().map(blank).collect();
            if changed == *line {
                break;
            }
            *line = changed;
        } else {
            // Of a quoted text the place of its start is told, and a later line of it is meant.
            let quoted = message.contains("quoted scalar");
            let (from, last) = if quoted { (place.line + 1, lines.len()) } else { (place.line, place.line) };
            let Some(next) = (from..=last).find(|line| !moved.contains(line)) else { break };
            let Some(found) = lines.get_mut(next.wrapping_sub(1)) else { break };
            found.insert_str(0, &" ".repeat(MOVED));
            moved.insert(next);
        }
        match documents(file, &lines.concat(), &moved) {
            Ok(documents) => return Ok(documents),
            Err(wrong) => (place, message) = (wrong.place, wrong.message),
        }
    }
    Err(first)
}

/// The documents of a text of which some lines were moved to the right.
fn documents(file: usize, text: &str, moved: &HashSet<usize>) -> Result<Vec<Rc<Raw>>, Wrong> {
    let mut builder =
        Builder { parser: Parser::new_from_str(text), file, moved: moved.clone(), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => builder.anchors.clear(),
            event => documents.push(builder.node(event, span, 0)?),
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: usize,
    moved: HashSet<usize>,
    anchors: HashMap<usize, Rc<Raw>>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn place(&self, span: Span) -> Place {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let moved = if self.moved.contains(&line) { MOVED } else { 0 };
        Place { file: self.file, line, column: column.saturating_sub(moved).max(1) }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Wrong> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let marker = error.marker();
                let place = Place { file: self.file, line: marker.line(), column: marker.col() + 1 };
                Err(wrong(place, format!("{UNREADABLE}: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The node that starts with `event`.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Rc<Raw>, Wrong> {
        let place = self.place(span);
        if depth > MAX_DEPTH {
            return Err(wrong(place, "is nested too deeply".to_owned()));
        }
        let (shape, anchor, tag, size) = match event {
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor).cloned() else {
                    return Err(wrong(place, "is an alias of what it stands in".to_owned()));
                };
                self.count(target.size, place)?;
                return Ok(target);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                // An empty scalar comes as `~`.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                (Shape::Scalar { text, plain }, anchor, tag, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                let items = self.list(depth)?;
                let size = items.iter().map(|item| item.size).sum();
                (Shape::List(items), anchor, tag, size)
            }
            Event::MappingStart(anchor, tag) => {
                let entries = self.map(depth)?;
                let size = entries.iter().map(|(_, value)| value.size).sum();
                (Shape::Map(entries), anchor, tag, size)
            }
            _ => return Err(wrong(place, UNREADABLE.to_owned())),
        };
        self.count(1, place)?;
        let raw = Rc::new(Raw { place, tag: tag.and_then(|tag| name(&tag)), shape, size: size + 1 });
        if anchor > 0 {
            self.anchors.insert(anchor, raw.clone());
        }
        Ok(raw)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Wrong> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { Err(wrong(place, "stands for too much: an alias of aliases".to_owned())) } else { Ok(()) }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Raw>>, Wrong> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Wrong> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((key, value));
        }
    }
}

/// A tag in its short form; none where it says nothing.
fn name(tag: &Tag) -> Option<String> {
    if tag.is_yaml_core_schema() {
        return match tag.suffix.as_str() {
            "map" | "seq" => None,
            suffix => Some(format!("!!{suffix}")),
        };
    }
    Some(format!("{}{}", tag.handle, tag.suffix))
}

fn wrong(place: Place, message: String) -> Wrong {
    Wrong { path: Path::default(), place, message }
}
