//! Where everything stands: the shape of a YAML document with the place of each key and item.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, Span, StrInput};

use crate::crd::decode::{field_path, item_path};

/// Line and column, from 1.
type Place = (usize, usize);

/// Deeper nesting is not followed; the YAML parser refuses it anyway.
const MAX_DEPTH: usize = 200;

/// The shape of one document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    nodes: Vec<Shape>,
    root: usize,
    place: Place,
    duplicates: Vec<(String, Place)>,
}

/// One node; children are indices into [`Tree::nodes`]. An alias is the index of what it stands for.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Scalar,
    List(Vec<(Place, usize)>),
    Map(Vec<(String, Place, usize)>),
}

impl Tree {
    /// Reads the shape of a document whose first line is `offset` lines into its file. `None` if this parser disagrees
    /// with the one that reads values.
    pub fn read(text: &str, offset: usize) -> Option<Self> {
        // JSON's surrogate pairs are none of YAML's; what stands for them is as long.
        let text = &text.replace("\\ud", "\\u0").replace("\\uD", "\\u0");
        let mut builder = Builder {
            parser: Parser::new_from_str(text),
            offset,
            nodes: Vec::new(),
            anchors: HashMap::new(),
            duplicates: Vec::new(),
        };
        let (place, root) = builder.document()?;
        Some(Self { nodes: builder.nodes, root, place, duplicates: builder.duplicates })
    }

    /// Keys that stand in their map a second time.
    pub fn duplicates(&self) -> &[(String, Place)] {
        &self.duplicates
    }

    /// The place of a field's key or of a list's item, or of the nearest ancestor that is there.
    pub fn locate(&self, path: &str) -> Place {
        let (mut node, mut place) = (self.root, self.place);
        for segment in segments(path) {
            match self.child(node, segment, 0) {
                Some((child_place, child)) => (place, node) = (child_place, child),
                None => break,
            }
        }
        place
    }

    fn child(&self, node: usize, segment: &str, depth: usize) -> Option<(Place, usize)> {
        match &self.nodes[node] {
            Shape::Scalar => None,
            Shape::List(items) => items.get(segment.parse::<usize>().ok()?).copied(),
            Shape::Map(entries) => {
                let own = entries.iter().find(|(key, ..)| key == segment).map(|(_, place, node)| (*place, *node));
                own.or_else(|| {
                    entries.iter().filter(|(key, ..)| key == "<<").find_map(|(_, _, node)| self.merged(*node, segment, depth))
                })
            }
        }
    }

    /// Looks into what a `<<` brings in.
    fn merged(&self, node: usize, segment: &str, depth: usize) -> Option<(Place, usize)> {
        match &self.nodes[node] {
            _ if depth > MAX_DEPTH => None,
            Shape::List(items) => items.iter().find_map(|(_, item)| self.child(*item, segment, depth + 1)),
            _ => self.child(node, segment, depth + 1),
        }
    }
}

/// The keys and indices of a path as [`field_path`] and [`item_path`] write it.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (segment, after) = bracketed.split_once(']')?;
            rest = after;
            return Some(segment);
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (segment, after) = rest.split_at(end);
        rest = after;
        (!segment.is_empty()).then_some(segment)
    })
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    offset: usize,
    nodes: Vec<Shape>,
    anchors: HashMap<usize, usize>,
    duplicates: Vec<(String, Place)>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Place)> {
        let (event, span): (Event<'a>, Span) = self.parser.next_event()?.ok()?;
        Some((event, (span.start.line() + self.offset, span.start.col() + 1)))
    }

    fn document(&mut self) -> Option<(Place, usize)> {
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => return None,
                event => return Some((place, self.node(event, "", 0)?)),
            }
        }
    }

    /// The node that starts with `event`.
    fn node(&mut self, event: Event<'a>, path: &str, depth: usize) -> Option<usize> {
        let (shape, anchor) = match event {
            _ if depth > MAX_DEPTH => return None,
            Event::Alias(anchor) => return self.anchors.get(&anchor).copied(),
            Event::Scalar(_, _, anchor, _) => (Shape::Scalar, anchor),
            Event::SequenceStart(anchor, _) => (self.list(path, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(path, depth)?, anchor),
            _ => return None,
        };
        self.nodes.push(shape);
        let index = self.nodes.len() - 1;
        if anchor > 0 {
            self.anchors.insert(anchor, index);
        }
        Some(index)
    }

    fn list(&mut self, path: &str, depth: usize) -> Option<Shape> {
        let mut items = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                return Some(Shape::List(items));
            }
            let item = self.node(event, &item_path(path, items.len()), depth + 1)?;
            items.push((place, item));
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Option<Shape> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (event, place) = self.next()?;
            let key = match &event {
                Event::MappingEnd => return Some(Shape::Map(entries)),
                Event::Scalar(text, ..) => text.to_string(),
                _ => String::new(),
            };
            self.node(event, path, depth + 1)?;
            let path = field_path(path, &key);
            if !seen.insert(key.clone()) {
                self.duplicates.push((path.clone(), place));
            }
            let (event, _) = self.next()?;
            let value = self.node(event, &path, depth + 1)?;
            entries.push((key, place, value));
        }
    }
}
