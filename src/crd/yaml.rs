//! Manifests as text: several YAML documents a file, each field with its line and column.

mod tree;
mod value;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::value::in_words;
use super::{API_VERSION, FieldError, Kind, Location};
use tree::Tree;

/// One document of a manifest file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// `Deployment` or `Hold`; empty when the document does not say, or what it says is not known.
    pub kind: String,
    /// `metadata.name`, empty when it is missing.
    pub name: String,
    /// `metadata.namespace`, `default` when it is missing.
    pub namespace: String,
    /// Line the document's first node stands on, from 1.
    pub line: usize,
    /// What it holds, anchors and merge keys resolved. `Null` when it could not be read.
    pub value: Value,
    /// What is wrong with it as text: syntax, duplicate keys, an unknown kind. The object is not to be used then.
    pub errors: Vec<FieldError>,
    /// File name as the user knows it.
    pub file: String,
    tree: Option<Tree>,
    /// Of a document that was made, not read: where each of its fields comes from.
    made: Option<BTreeMap<String, Location>>,
}

impl Document {
    /// A Deployment that was made of something else, such as a Compose file; `places` says by path where each field was
    /// written. With `errors` it is not to be used.
    pub fn made(value: Value, file: &str, places: BTreeMap<String, Location>, errors: Vec<FieldError>) -> Self {
        let mut document = Self { value, file: file.to_owned(), errors, made: Some(places), ..Self::default() };
        document.line = document.locate("").map_or(1, |place| place.line);
        document.namespace = "default".to_owned();
        if !document.value.is_null() {
            document.identify();
        }
        document
    }

    /// Takes a prefix off the names of its files, where they have it.
    pub fn shorten(&mut self, prefix: &str) {
        let shorten = |file: &mut String| {
            if let Some(short) = file.strip_prefix(prefix) {
                *file = short.to_owned();
            }
        };
        shorten(&mut self.file);
        // A message may name a file that one of these reads.
        if prefix.len() > 1 {
            self.errors.iter_mut().for_each(|error| error.message = error.message.replace(prefix, ""));
        }
        let errors = self.errors.iter_mut().filter_map(|error| error.location.as_mut());
        let places = self.made.iter_mut().flat_map(|places| places.values_mut());
        errors.chain(places).for_each(|location| shorten(&mut location.file));
    }

    /// Where a field stands: its key, or the nearest ancestor that is there.
    pub fn locate(&self, path: &str) -> Option<Location> {
        if let Some(places) = &self.made {
            let mut path = path;
            let found = loop {
                match (places.get(path), path.rfind(['.', '['])) {
                    (Some(place), _) => break Some(place.clone()),
                    (None, Some(at)) => path = &path[..at],
                    (None, None) => break places.get("").cloned(),
                }
            };
            return found.or_else(|| Some(Location { file: self.file.clone(), line: 1, column: 1 }));
        }
        let (line, column) = self.tree.as_ref().map_or((self.line, 1), |tree| tree.locate(path));
        Some(Location { file: self.file.clone(), line, column })
    }

    /// Gives errors their places, and sorts them by these.
    pub fn place(&self, errors: Vec<FieldError>) -> Vec<FieldError> {
        // What a Deployment has under spec stands at the top of what it was made of.
        let path = |path: String| match path.strip_prefix("spec.") {
            Some(short) if self.made.is_some() => short.to_owned(),
            _ => path,
        };
        let placed =
            errors.into_iter().map(|error| FieldError { location: self.locate(&error.path), path: path(error.path), ..error });
        let mut placed: Vec<FieldError> = placed.collect();
        placed.sort_by_key(|error| error.location.as_ref().map(|location| (location.line, location.column)));
        placed
    }

    fn text(&self, path: &str) -> String {
        self.value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Learns kind and name from the value.
    fn identify(&mut self) {
        self.name = self.text("/metadata/name");
        self.namespace =
            Some(self.text("/metadata/namespace")).filter(|text| !text.is_empty()).unwrap_or_else(|| "default".to_owned());
        let kind = self.text("/kind");
        if Kind::ALL.iter().any(|known| known.name() == kind) {
            self.kind = kind;
            return;
        }
        let known = Kind::ALL.map(Kind::name).join(", ");
        let message = match () {
            () if !kind.is_empty() => format!("unknown kind {kind:?}: known are {known} ({API_VERSION})"),
            () if !self.value.is_object() => {
                format!("is no object: a manifest starts with apiVersion: {API_VERSION} and kind: Deployment")
            }
            () if self.value.get("services").is_some() => format!(
                "looks like a Compose file: name it compose.yaml to have it read as one, or write apiVersion: {API_VERSION}, kind: Deployment, metadata.name, and put services under spec"
            ),
            () => format!("kind is missing: known are {known} ({API_VERSION})"),
        };
        let path = if kind.is_empty() { "" } else { "kind" };
        self.errors.push(FieldError { path: path.to_owned(), message, location: self.locate(path) });
    }
}

/// Reads a file of manifests (YAML or JSON). Empty documents are left out; one that cannot be read carries its errors,
/// the others are read all the same. A `Hold` is read too: whether it may come from there is the caller's business.
pub fn parse_manifests(file: &str, text: &str) -> Vec<Document> {
    pieces(text).into_iter().filter_map(|(line, piece)| document(file, line, piece)).collect()
}

/// The documents of a stream with the line each starts at. A line that starts with `---` or `...` ends a document
/// wherever it stands, so that one that cannot be read does not spoil the next.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let marks = |line: &str, mark: &str| {
        line.strip_prefix(mark).is_some_and(|rest| rest.trim_end() == "" || rest.starts_with([' ', '\t']))
    };
    let (mut pieces, mut start, mut first_line, mut at) = (Vec::new(), 0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if marks(line, "---") || marks(line, "...") {
            pieces.push((first_line, &text[start..at]));
            let ends = marks(line, "...");
            start = if ends { at + line.len() } else { at };
            first_line = index + 1 + usize::from(ends);
        }
        at += line.len();
    }
    pieces.push((first_line, &text[start..]));
    let blank = |line: &str| line.trim().is_empty() || line.starts_with(['#', '%']);
    pieces.retain(|(_, piece)| !piece.lines().all(blank));
    pieces
}

fn document(file: &str, first_line: usize, piece: &str) -> Option<Document> {
    let offset = first_line - 1;
    let mut document =
        Document { file: file.to_owned(), line: first_line, namespace: "default".to_owned(), ..Document::default() };
    match value::read(piece) {
        Ok(read) if read.value.is_null() && read.errors.is_empty() => return None,
        Ok(read) => {
            document.tree = Tree::read(piece, offset);
            document.value = read.value;
            document.errors = document.place(read.errors);
        }
        Err(error) => {
            document.tree = error.duplicate_keys.then(|| Tree::read(piece, offset)).flatten();
            let (line, column) = error.place.unwrap_or((1, 1));
            let location = Some(Location { file: file.to_owned(), line: line + offset, column });
            document.errors = vec![FieldError { path: String::new(), message: error.message, location }];
        }
    }
    if let Some(tree) = &document.tree {
        document.line = tree.locate("").0;
        let duplicates = tree.duplicates();
        if !duplicates.is_empty() {
            let error = |path: &String, (line, column)| FieldError {
                path: path.clone(),
                message: "stands here a second time: keep one".to_owned(),
                location: Some(Location { file: file.to_owned(), line, column }),
            };
            document.errors = duplicates.iter().map(|(path, place)| error(path, *place)).collect();
        }
    }
    if document.errors.is_empty() || !document.value.is_null() {
        document.identify();
    }
    Some(document)
}

#[cfg(test)]
mod tests;
