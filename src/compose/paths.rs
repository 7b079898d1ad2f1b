//! Relative paths made absolute, or relative to the file that includes another.

use super::files::Files;
use super::node::{Node, Path, Value};
use super::sink::Sink;

/// The shortest path that is the same, as Go's `path.Clean`.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Two paths, one below the other, as Go's `filepath.Join`.
pub(super) fn join(base: &str, path: &str) -> String {
    match (base.is_empty(), path.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(path),
        (false, true) => clean(base),
        (false, false) => clean(&format!("{base}/{path}")),
    }
}

/// The folder of a path, as Go's `filepath.Dir`.
pub(super) fn folder(path: &str) -> String {
    match path.rfind('/') {
        Some(at) => clean(&path[..=at]),
        None => ".".to_owned(),
    }
}

/// `path` as seen from `base`; `path` itself where that cannot be said.
pub(super) fn relative(base: &str, path: &str) -> String {
    let (base, path) = (clean(base), clean(path));
    if base.starts_with('/') != path.starts_with('/') {
        return path;
    }
    let parts =
        |path: &str| path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts(&base), parts(&path));
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let mut steps = vec!["..".to_owned(); from.len() - common];
    steps.extend(to[common..].iter().cloned());
    if steps.is_empty() { ".".to_owned() } else { steps.join("/") }
}

/// What kind of path stands there.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    /// A build context: it may be a URL.
    Context,
    /// It may be a path of Windows.
    Either,
    /// Its first symbolic link is followed.
    Watched,
    Mount,
    Volume,
}

const PATHS: [(&str, Kind); 11] = [
    ("services.*.build.context", Kind::Context),
    ("services.*.build.additional_contexts.*", Kind::Context),
    ("services.*.build.ssh.*", Kind::Either),
    ("services.*.env_file.*.path", Kind::Plain),
    ("services.*.label_file.*", Kind::Plain),
    ("services.*.extends.file", Kind::Plain),
    ("services.*.develop.watch.*.path", Kind::Watched),
    ("services.*.volumes.*", Kind::Mount),
    ("configs.*.file", Kind::Either),
    ("secrets.*.file", Kind::Either),
    ("volumes.*", Kind::Volume),
];

/// Paths of a tree, taken from a folder.
pub(super) struct Resolver<'a> {
    /// The folder.
    pub base: &'a str,
    /// What `~` stands for.
    pub home: Option<&'a str>,
    /// Where links are looked up.
    pub files: &'a dyn Files,
}

impl Resolver<'_> {
    /// Makes all paths of a tree start from the folder.
    pub fn resolve(&self, node: &mut Node, path: &Path, sink: &Sink) {
        if let Some((_, kind)) = PATHS.iter().find(|(pattern, _)| path.is(pattern)) {
            return self.one(node, *kind, path, sink);
        }
        match &mut node.value {
            Value::Map(map) => map.iter_mut().for_each(|(key, node)| self.resolve(node, &path.key(key), sink)),
            Value::List(items) => {
                items.iter_mut().enumerate().for_each(|(index, item)| self.resolve(item, &path.item(index), sink));
            }
            _ => {}
        }
    }

    fn one(&self, node: &mut Node, kind: Kind, path: &Path, sink: &Sink) {
        match (kind, &mut node.value) {
            (Kind::Mount, Value::Map(map)) => {
                if map.get("type").and_then(Node::as_text) != Some("bind") {
                    return;
                }
                match map.get_mut("source") {
                    Some(source) => self.one(source, Kind::Either, path, sink),
                    None => sink.error(path, node.place, "must have a source, which is what a bind mounts"),
                }
            }
            (Kind::Volume, Value::Map(map)) => {
                if map.get("driver").and_then(Node::as_text) != Some("local") {
                    return;
                }
                if let Some(options) = map.get_mut("driver_opts").and_then(Node::as_map_mut)
                    && options.get("o").and_then(Node::as_text) == Some("bind")
                    && let Some(device) = options.get_mut("device")
                {
                    self.one(device, Kind::Either, path, sink);
                }
            }
            (Kind::Context, Value::Text(text)) if is_remote(text) => {}
            (Kind::Either, Value::Text(text)) => {
                let expanded = self.expand(text);
                *text = if expanded.starts_with('/') || is_windows(&expanded) { expanded } else { join(self.base, &expanded) };
            }
            (Kind::Watched, Value::Text(text)) => {
                let resolved = self.plain(text);
                *text = self.files.follow_first_link(&resolved).unwrap_or(resolved);
            }
            (Kind::Plain | Kind::Context, Value::Text(text)) => *text = self.plain(text),
            _ => {}
        }
    }

    fn plain(&self, text: &str) -> String {
        let expanded = self.expand(text);
        if expanded.starts_with('/') || expanded.is_empty() { expanded } else { join(self.base, &expanded) }
    }

    fn expand(&self, text: &str) -> String {
        match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => join(home, rest),
            _ => text.to_owned(),
        }
    }
}

/// Whether a build context is none of this machine's folders.
pub(super) fn is_remote(context: &str) -> bool {
    context.contains("://") || ["service:", "github.com/", "git@"].iter().any(|prefix| context.starts_with(prefix))
}

/// Whether it is an absolute path of Windows.
fn is_windows(path: &str) -> bool {
    let separator = |byte: Option<&u8>| matches!(byte, Some(b'/' | b'\\'));
    let bytes = path.as_bytes();
    let drive = bytes.get(1) == Some(&b':') && separator(bytes.get(2));
    drive || (separator(bytes.first()) && separator(bytes.get(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_joined_as_go_does() {
        for (path, cleaned) in
            [("", "."), ("/", "/"), ("a/../..", ".."), ("/../a//b/.", "/a/b"), ("./a/", "a"), ("../../a", "../../a")]
        {
            assert_eq!(clean(path), cleaned, "{path}");
        }
        assert_eq!(join("/project", "./data"), "/project/data");
        assert_eq!(join("/project", "../up"), "/up");
        assert_eq!(join("", "./a"), "a");
        assert_eq!(folder("/a/b.yaml"), "/a");
        assert_eq!(folder("b.yaml"), ".");
        assert_eq!(relative("/a/b", "/a/c/d"), "../c/d");
        assert_eq!(relative("/a", "/a"), ".");
    }
}
