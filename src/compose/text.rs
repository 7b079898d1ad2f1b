//! Compose files as text: YAML with anchors, merge keys, `!reset` and `!override`, and the place of everything.

mod events;

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use base64::Engine;

use super::node::{Map, Node, Path, Place, Value};
use super::scalar;
use events::{Entry, Raw, Shape};

/// One document of a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// What it says.
    pub root: Node,
    /// What `!reset` and `!override` take away from what was said before.
    pub resets: Vec<Path>,
}

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The field, where it is known.
    pub path: Path,
    /// Where it stands.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

/// Reads all documents of a file.
pub(super) fn read(file: usize, text: &str) -> Result<Vec<Document>, Vec<Wrong>> {
    let raw = events::parse(file, text).map_err(|wrong| vec![wrong])?;
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for root in raw {
        let mut reader = Reader::default();
        let root = reader.node(&root, &Path::default()).unwrap_or_default();
        errors.append(&mut reader.errors);
        documents.push(Document { root, resets: reader.resets });
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

#[derive(Default)]
struct Reader {
    resets: Vec<Path>,
    errors: Vec<Wrong>,
    /// `!reset` within an anchor counts where the anchor stands, not where it is used.
    reset: HashSet<*const Raw>,
}

impl Reader {
    fn wrong(&mut self, path: &Path, place: Place, message: impl Into<String>) {
        self.errors.push(Wrong { path: path.clone(), place, message: message.into() });
    }

    /// The value, or nothing where it was reset.
    fn node(&mut self, raw: &Rc<Raw>, path: &Path) -> Option<Node> {
        match raw.tag.as_deref() {
            Some("!reset") => {
                if self.reset.insert(Rc::as_ptr(raw)) {
                    self.resets.push(path.clone());
                }
                return None;
            }
            Some("!override") => self.resets.push(path.clone()),
            _ => {}
        }
        let value = match &raw.shape {
            Shape::Scalar { text, plain } => self.scalar(raw, text, *plain, path),
            Shape::List(items) => {
                let item = |(index, item): (usize, &Rc<Raw>)| self.node(item, &path.item(index));
                Value::List(items.iter().enumerate().filter_map(item).collect())
            }
            Shape::Map(entries) => Value::Map(self.map(entries, path)),
        };
        Some(Node { value, place: raw.place })
    }

    fn scalar(&mut self, raw: &Raw, text: &str, plain: bool, path: &Path) -> Value {
        match raw.tag.as_deref() {
            None if plain => scalar::resolve(text),
            Some("!!binary") => match base64::engine::general_purpose::STANDARD.decode(text.trim()) {
                Ok(bytes) => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => {
                    self.wrong(path, raw.place, "is tagged !!binary and is no base64");
                    Value::Null
                }
            },
            Some(tag @ ("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp")) => {
                let value = scalar::resolve(text);
                let right = match (tag, &value) {
                    ("!!int", Value::Int(_) | Value::Big(_)) | ("!!float", Value::Float(_)) => true,
                    ("!!bool", Value::Bool(_)) | ("!!null", Value::Null) | ("!!timestamp", Value::Time(_)) => true,
                    #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
                    ("!!float", Value::Int(number)) => return Value::Float(*number as f64),
                    _ => false,
                };
                if !right {
                    self.wrong(path, raw.place, format!("is tagged {tag}, and {text:?} is none"));
                }
                value
            }
            _ => Value::Text(text.to_owned()),
        }
    }

    /// A map with what its `<<` bring in: own keys win, then earlier maps.
    fn map(&mut self, entries: &[Entry], path: &Path) -> Map {
        let (mut map, mut merges) = (Map::new(), Vec::new());
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for (key, value) in entries {
            let Shape::Scalar { text, plain } = &key.shape else {
                self.wrong(path, key.place, "has a key that is no text");
                continue;
            };
            let here = path.key(text);
            if let Some(first) = seen.insert(text, key.place) {
                self.wrong(&here, key.place, format!("stands here a second time (first in line {}): keep one", first.line));
                continue;
            }
            let merge = key.tag.as_deref() == Some("!!merge") || (key.tag.is_none() && *plain && text == "<<");
            if merge {
                merges.push((key.place, self.node(value, path), path));
                continue;
            }
            if !matches!(self.scalar(key, text, *plain, path), Value::Text(_)) {
                self.wrong(path, key.place, format!("the key {text} must be text: write it in quotes"));
                continue;
            }
            if let Some(mut node) = self.node(value, &here) {
                node.place = key.place;
                map.insert(text.clone(), node);
            }
        }
        for (place, merged, path) in merges {
            let sources = match merged.map(|node| node.value) {
                Some(Value::List(items)) => items,
                Some(value) => vec![Node { value, place }],
                None => continue,
            };
            for source in sources {
                let Value::Map(source) = source.value else {
                    self.wrong(path, place, "<< must name a map or a list of maps");
                    continue;
                };
                for (key, node) in source {
                    map.entry(key).or_insert(node);
                }
            }
        }
        map
    }
}
