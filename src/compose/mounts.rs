//! The short form of mounts: `[source:]target[:options]`.

use super::node::{Map, Node, Place, Value};
use super::paths::clean;

/// A mount as its short form says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Short {
    source: String,
    /// Where it is seen, as written.
    pub target: String,
    read_only: bool,
    nocopy: bool,
    propagation: Option<String>,
    selinux: Option<String>,
    /// One or two letters: Compose says nothing of what kind of volume it is.
    brief: bool,
}

/// Reads a short form.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(spec: &str) -> Result<Short, String> {
    let mut mount = Short::default();
    if spec.is_empty() {
        return Err("is empty: write target or source:target".to_owned());
    }
    if spec.len() <= 2 {
        return Ok(Short { target: spec.to_owned(), brief: true, ..mount });
    }
    let sections = sections(spec);
    let last = sections.len() - 1;
    for (index, section) in sections.iter().enumerate() {
        match index {
            _ if section.is_empty() => return Err(format!("{spec:?} has nothing between two colons")),
            0 if last == 0 => mount.target.clone_from(section),
            0 => mount.source.clone_from(section),
            1 => mount.target.clone_from(section),
            2 if index == last => section.split(',').for_each(|option| mount.option(option)),
            _ => return Err(format!("{spec:?} has too many colons")),
        }
    }
    Ok(mount)
}

/// What stands between colons; a colon after a single letter belongs to a drive of Windows, one within `${..}` to a variable.
fn sections(spec: &str) -> Vec<String> {
    let (mut sections, mut section, mut depth) = (Vec::new(), String::new(), 0_usize);
    for (at, char) in spec.char_indices() {
        let drive = char == ':' && section.chars().count() == 1 && section.chars().all(char::is_alphabetic);
        match char {
            '$' if spec[at + 1..].starts_with('{') => {
                depth += 1;
                section.push(char);
            }
            '}' if depth > 0 => {
                depth -= 1;
                section.push(char);
            }
            ':' if depth == 0 && !drive => sections.push(std::mem::take(&mut section)),
            _ => section.push(char),
        }
    }
    sections.push(section);
    sections
}

impl Short {
    fn option(&mut self, option: &str) {
        match option {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "nocopy" => self.nocopy = true,
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => self.propagation = Some(option.to_owned()),
            "z" | "Z" => self.selinux = Some(option.to_owned()),
            _ => {}
        }
    }

    /// The long form of it.
    pub fn into_node(self, place: Place) -> Node {
        let mut map = Map::new();
        let bind = is_path(&self.source);
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), Node { value, place }));
        put("type", Value::Text(if bind { "bind" } else { "volume" }.to_owned()));
        if !self.source.is_empty() {
            put("source", Value::Text(self.source));
        }
        if !self.target.is_empty() {
            put("target", Value::Text(clean(&self.target)));
        }
        if self.read_only {
            put("read_only", Value::Bool(true));
        }
        let mut options = Map::new();
        let mut option = |key: &str, value: Value| drop(options.insert(key.to_owned(), Node { value, place }));
        let labelled = self.selinux.is_some() || self.propagation.is_some();
        if let Some(selinux) = self.selinux {
            option("selinux", Value::Text(selinux));
        }
        if let Some(propagation) = self.propagation {
            option("propagation", Value::Text(propagation));
        }
        if bind {
            option("create_host_path", Value::Bool(true));
        }
        if bind || labelled {
            put("bind", Value::Map(options));
        }
        if (!bind && !self.brief) || self.nocopy {
            let mut volume = Map::new();
            if self.nocopy {
                volume.insert("nocopy".to_owned(), Node { value: Value::Bool(true), place });
            }
            put("volume", Value::Map(volume));
        }
        Node { value: Value::Map(map), place }
    }
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    let drive = chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':');
    drive || source.starts_with(['.', '/', '~']) || source.starts_with(r"\\")
}
