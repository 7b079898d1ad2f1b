//! The files of one commit, out of the object database: a commit is read as a whole, whatever happens to its branch meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Commit;
use super::command::Run;
use super::failure::{Failure, Trouble};
use crate::crd::SourceSpec;
use crate::sources::beside::{Beside, Found};
use crate::sources::compose;
use crate::sources::files::{LARGEST, Scan, is_manifest};
use crate::sources::substitute::substitute;

/// Links that are followed one after the other.
const LINKS: usize = 8;

/// How a pointer of Git LFS begins.
const LFS: &str = "version https://git-lfs.github.com/spec/";

/// What is told of a commit beside its manifests; more is summed up.
const NOTICES: usize = 20;

/// Texts by the id of their blob: those of the last commit, so that only what changed is read.
#[derive(Default)]
pub struct Blobs {
    texts: HashMap<String, Arc<str>>,
    /// What was found last, and of what: a commit never changes.
    last: Option<(Look, Arc<Scan>, Vec<String>)>,
    /// All files of the commit that is being looked at.
    tree: Option<(String, Arc<Tree>)>,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    commit: String,
    path: String,
    recurse: bool,
    variables: BTreeMap<String, String>,
}

/// What there is: the manifests, and what is not taken.
#[derive(Debug)]
struct Listing {
    manifests: Vec<(String, Result<Entry, String>)>,
    notices: Vec<String>,
    /// Submodules and links, of which Deployments may have come before they took a folder's place.
    not_followed: BTreeMap<String, String>,
}

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Id of its blob.
    pub id: String,
    /// In bytes.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryKind {
    /// A file.
    #[default]
    File,
    /// A file that can be executed.
    Program,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// Whole trees by path.
pub(super) type Tree = BTreeMap<String, Entry>;

impl Blobs {
    /// The manifests below a folder of a commit, variables replaced, and what is not taken. `place` says git where the repository
    /// is, `root` is where its files will lie. The same commit gives the same scan, not a copy of it.
    ///
    /// # Errors
    /// The folder is not there, or the repository cannot be read.
    pub async fn scan(
        &mut self,
        place: &[OsString],
        commit: &Commit,
        root: &Path,
        spec: &SourceSpec,
    ) -> Result<(Arc<Scan>, Vec<String>), Failure> {
        let (path, recurse) = (spec.path.as_deref().unwrap_or_default(), spec.recurse);
        let variables = spec.substitute.clone();
        let look = Look { commit: commit.id.clone(), path: path.to_owned(), recurse, variables };
        if let Some((_, scan, notices)) = self.last.as_ref().filter(|(last, ..)| *last == look) {
            return Ok((Arc::clone(scan), notices.clone()));
        }
        let Listing { manifests, notices, not_followed } = self.find(place, commit, path, recurse).await?;
        let text = |(relative, entry): (String, Result<Entry, String>)| (relative, entry.and_then(|entry| self.text(&entry)));
        let scan = Scan {
            files: manifests.into_iter().map(text).collect(),
            root: root.join(clean(path)),
            beside: Some(Arc::default()),
            variables: spec.substitute.clone(),
            not_followed,
            ..Scan::default()
        };
        let mut scan = self.with_beside(place, commit, root, scan).await?;
        substitute(&mut scan, &spec.substitute);
        let scan = Arc::new(scan);
        self.last = Some((look, Arc::clone(&scan), notices.clone()));
        Ok((scan, notices))
    }

    /// Adds what the Compose files of a commit name beside themselves: each look tells what is asked for, until nothing more of the
    /// commit is.
    async fn with_beside(&mut self, place: &[OsString], commit: &Commit, root: &Path, mut scan: Scan) -> Result<Scan, Failure> {
        let mains = compose::mains(&scan.files);
        if mains.is_empty() {
            return Ok(scan);
        }
        let tree = self.tree(place, commit).await?;
        let mut beside = Beside::of(root);
        scan.beside = Some(Arc::new(beside.clone()));
        let (mut open, mut looked) = (mains, BTreeSet::new());
        while !open.is_empty() {
            let asked = asked_by(&scan, open).await?;
            let mut fresh = BTreeSet::new();
            for path in asked.iter().flat_map(|(_, paths)| paths) {
                if looked.insert(path.clone())
                    && let Some(found) = self.at(place, &tree, root, path).await?
                {
                    beside.found.insert(path.clone(), found);
                    fresh.insert(path.clone());
                }
            }
            scan.beside = Some(Arc::new(beside.clone()));
            // A project that asked for nothing new has been read with all there is for it.
            let more = |paths: &BTreeSet<String>| paths.iter().any(|path| fresh.contains(path));
            open = asked.into_iter().filter(|(_, paths)| more(paths)).map(|(main, _)| main).collect();
        }
        Ok(scan)
    }

    /// What of a commit lies at an absolute path of the working folder.
    async fn at(&mut self, place: &[OsString], tree: &Tree, root: &Path, path: &str) -> Result<Option<Found>, Failure> {
        let Some(name) = Path::new(path).strip_prefix(root).ok().and_then(Path::to_str) else { return Ok(None) };
        if !tree.contains_key(name) {
            let below = format!("{name}/");
            let first = tree.range(below.clone()..).next().filter(|(name, _)| name.starts_with(&below));
            return Ok(first.map(|_| Found::Folder));
        }
        let entry = match self.resolve(place, tree, name).await? {
            Ok(entry) => entry,
            Err(why) => return Ok(Some(Found::Unreadable(why))),
        };
        if entry.size <= LARGEST {
            self.read(place, HashSet::from([entry.id.clone()])).await?;
        }
        Ok(Some(self.text(&entry).map_or_else(Found::Unreadable, Found::Text)))
    }

    /// Finds the manifests of a commit, and reads those that are not known yet.
    async fn find(&mut self, place: &[OsString], commit: &Commit, path: &str, recurse: bool) -> Result<Listing, Failure> {
        let tree = self.tree(place, commit).await?;
        let folder = clean(path);
        let inside = |name: &str| name.strip_prefix(&folder).map(str::to_owned);
        if !folder.is_empty() && !tree.keys().any(|name| inside(name).is_some()) {
            let message = format!("there is no folder {path} in {} (look at spec.path)", commit.revision());
            return Err(Failure::new(Trouble::NoPath, message));
        }
        let wanted: Vec<(String, String)> = tree
            .keys()
            .filter_map(|name| Some((inside(name)?, name.clone())))
            .filter(|(relative, _)| is_read(relative, recurse))
            .collect();
        let links = tree.iter().filter(|(_, entry)| entry.kind == EntryKind::Link);
        let links = links.filter(|(name, _)| wanted.iter().any(|(_, full)| full == *name)).map(|(_, entry)| entry.id.clone());
        self.read(place, links.collect()).await?;
        let mut manifests: Vec<(String, Result<Entry, String>)> = Vec::new();
        for (relative, name) in wanted {
            let resolved = self.resolve(place, &tree, &name).await?;
            manifests.push((relative, resolved));
        }
        let sized = manifests.iter().filter_map(|(_, entry)| entry.as_ref().ok()).filter(|entry| entry.size <= LARGEST);
        let ids: HashSet<String> = sized.map(|entry| entry.id.clone()).collect();
        self.read(place, ids.clone()).await?;
        self.texts.retain(|id, _| ids.contains(id));
        let not_followed = if recurse { not_followed(&tree, &folder) } else { BTreeMap::new() };
        Ok(Listing { manifests, notices: notices(&tree, &folder), not_followed })
    }

    /// The file that a name stands for: itself, or what a link within the repository leads to.
    async fn resolve(&mut self, place: &[OsString], tree: &Tree, name: &str) -> Result<Result<Entry, String>, Failure> {
        let mut name = name.to_owned();
        for _ in 0..LINKS {
            let Some(entry) = tree.get(&name) else {
                return Ok(Err("is a symbolic link to something that is not in the repository".to_owned()));
            };
            match entry.kind {
                EntryKind::File | EntryKind::Program => return Ok(Ok(entry.clone())),
                EntryKind::Submodule => return Ok(Err("is a submodule, which is not followed".to_owned())),
                EntryKind::Link => {}
            }
            self.read(place, HashSet::from([entry.id.clone()])).await?;
            let Some(target) = self.texts.get(&entry.id) else {
                return Ok(Err("is a symbolic link that is not text".to_owned()));
            };
            match join(&name, target) {
                Some(next) => name = next,
                None => {
                    let message = "is a symbolic link that leads out of the repository: it is not followed";
                    return Ok(Err(message.to_owned()));
                }
            }
        }
        Ok(Err(format!("is a symbolic link, and so are the {LINKS} that follow it")))
    }

    /// All files of a commit, listed once for all who ask until it is forgotten.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub(super) async fn tree(&mut self, place: &[OsString], commit: &Commit) -> Result<Arc<Tree>, Failure> {
        if let Some((_, tree)) = self.tree.as_ref().filter(|(id, _)| *id == commit.id) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(list(place, commit).await?);
        self.tree = Some((commit.id.clone(), Arc::clone(&tree)));
        Ok(tree)
    }

    /// Forgets the files of the commit: a repository may have a great many.
    pub(super) fn forget_tree(&mut self) {
        self.tree = None;
    }

    /// A text that was read, by the id of its blob.
    pub(super) fn known(&self, id: &str) -> Option<&str> {
        self.texts.get(id).map(AsRef::as_ref)
    }

    fn text(&self, entry: &Entry) -> Result<String, String> {
        if entry.size > LARGEST {
            return Err(format!("is larger than {} MiB", LARGEST / 1024 / 1024));
        }
        match self.texts.get(&entry.id) {
            Some(text) if text.starts_with(LFS) => {
                Err("is a pointer of Git LFS, whose files are not fetched: keep manifests out of LFS".to_owned())
            }
            Some(text) => Ok(text.to_string()),
            None => Err("is not UTF-8 text".to_owned()),
        }
    }

    /// Reads blobs that are not known yet. One that is no text is left out.
    async fn read(&mut self, place: &[OsString], ids: HashSet<String>) -> Result<(), Failure> {
        let missing: Vec<String> = ids.into_iter().filter(|id| !self.texts.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let read = blobs(place, &missing).await?;
        let texts = missing.into_iter().zip(read).filter_map(|(id, blob)| Some((id, String::from_utf8(blob).ok()?.into())));
        self.texts.extend(texts);
        Ok(())
    }
}

/// What each of these projects asks for. They are read beside the runtime's own work: a large one takes a while.
async fn asked_by(scan: &Scan, mains: Vec<String>) -> Result<Vec<(String, BTreeSet<String>)>, Failure> {
    let scan = scan.clone();
    let read = move || {
        let asked = |main: String| {
            let asked = compose::read_folder(&scan, &main).asked;
            (main, asked)
        };
        mains.into_iter().map(asked).collect()
    };
    let failed =
        |error| Failure::new(Trouble::Other, format!("reading the Compose files of the commit was interrupted: {error}"));
    tokio::task::spawn_blocking(read).await.map_err(failed)
}

/// Reads blobs, in this order.
pub(super) async fn blobs(place: &[OsString], ids: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let attempt = "cannot read the files of the commit";
    let args = place.iter().cloned().chain(["cat-file".into(), "--batch".into(), "--buffer".into()]);
    let asked = ids.iter().map(|id| format!("{id}\n")).collect::<String>();
    let printed = Run::new(attempt, args).stdin(asked.into_bytes()).output().await?;
    let (mut rest, mut read) = (printed.as_slice(), Vec::with_capacity(ids.len()));
    for id in ids {
        let (blob, after) = first_blob(rest).ok_or_else(|| corrupt(attempt, &format!("blob {id} is missing or broken")))?;
        read.push(blob.to_vec());
        rest = after;
    }
    Ok(read)
}

/// All files of a commit.
async fn list(place: &[OsString], commit: &Commit) -> Result<Tree, Failure> {
    let attempt = format!("cannot list the files of {}", commit.revision());
    let args = ["ls-tree", "-r", "-z", "--long", "--full-tree", "--end-of-options"].map(OsString::from);
    let args = place.iter().cloned().chain(args).chain([OsString::from(&commit.id)]);
    let printed = Run::new(attempt.as_str(), args).output().await?;
    let mut tree = Tree::new();
    for line in printed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        // Names that are no text are no manifests.
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let (name, entry) = entry(line).ok_or_else(|| corrupt(&attempt, "its tree reads as nonsense"))?;
        tree.insert(name, entry);
    }
    Ok(tree)
}

/// `MODE TYPE ID SIZE\tNAME`.
fn entry(line: &str) -> Option<(String, Entry)> {
    let (head, name) = line.split_once('\t')?;
    let mut parts = head.split_whitespace();
    let (mode, _, id, size) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let kind = match mode {
        "120000" => EntryKind::Link,
        "160000" => EntryKind::Submodule,
        "100755" => EntryKind::Program,
        _ => EntryKind::File,
    };
    Some((name.to_owned(), Entry { kind, id: id.to_owned(), size: size.parse().unwrap_or(0) }))
}

/// The first answer of `cat-file --batch`, `ID TYPE SIZE\n..\n`, and what follows it.
fn first_blob(printed: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = printed.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&printed[..end]).ok()?;
    let size: usize = head.rsplit_once(' ')?.1.parse().ok()?;
    let (blob, rest) = printed[end + 1..].split_at_checked(size)?;
    Some((blob, rest.strip_prefix(b"\n")?))
}

fn corrupt(attempt: &str, why: &str) -> Failure {
    Failure::new(Trouble::Corrupt, format!("{attempt}: {why}"))
}

/// A folder as a prefix: `a/b/` of `./a/b`; empty for all of it.
fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.map(|part| format!("{part}/")).collect()
}

/// Whether a file below the folder is a manifest that is read: hidden ones are not.
fn is_read(relative: &str, recurse: bool) -> bool {
    let (folders, name) = relative.rsplit_once('/').map_or(("", relative), |(folders, name)| (folders, name));
    is_manifest(name) && (recurse || folders.is_empty()) && !folders.split('/').any(|part| part.starts_with('.'))
}

/// Where a link leads, if within the repository.
pub(super) fn join(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Submodules and links below the folder, by relative path: no manifests are looked for behind them.
fn not_followed(tree: &Tree, folder: &str) -> BTreeMap<String, String> {
    let found = tree.iter().filter_map(|(name, entry)| {
        let is_one = matches!(entry.kind, EntryKind::Submodule | EntryKind::Link);
        let relative = name.strip_prefix(folder).filter(|_| is_one)?.to_owned();
        Some((relative, format!("{name} is a submodule or a symbolic link now, which is not followed")))
    });
    found.collect()
}

/// What is in the folder and not followed.
fn notices(tree: &Tree, folder: &str) -> Vec<String> {
    let submodules = tree.iter().filter(|(name, entry)| entry.kind == EntryKind::Submodule && name.starts_with(folder));
    let mut notices: Vec<String> =
        submodules.map(|(name, entry)| format!("{name} is a submodule (at {}): it is not followed", entry.id)).collect();
    if notices.len() > NOTICES {
        let more = notices.len() - NOTICES;
        notices.truncate(NOTICES);
        notices.push(format!("and {more} more submodules"));
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_within_the_repository_or_nowhere() {
        for (link, target, found) in [
            ("a/web.yaml", "../base/web.yaml", Some("base/web.yaml")),
            ("web.yaml", "base/web.yaml", Some("base/web.yaml")),
            ("a/web.yaml", "./web2.yaml", Some("a/web2.yaml")),
            ("a/web.yaml", "../../etc/passwd", None),
            ("web.yaml", "/etc/passwd", None),
            ("web.yaml", "..", None),
        ] {
            assert_eq!(join(link, target).as_deref(), found, "{link} -> {target}");
        }
    }

    #[test]
    fn hidden_files_and_those_of_subfolders_can_be_left_out() {
        assert!(is_read("web.yaml", false) && is_read("a/b/web.yaml", true));
        assert!(!is_read("a/web.yaml", false) && !is_read(".github/ci.yaml", true) && !is_read("README.md", true));
        assert_eq!(clean("./a//b/"), "a/b/");
        assert_eq!(clean("."), "");
    }

    #[test]
    fn what_git_prints_is_taken_apart() {
        assert_eq!(first_blob(b"ab blob 3\nx\ny\nrest"), Some((b"x\ny".as_slice(), b"rest".as_slice())));
        assert_eq!(first_blob(b"ab missing\n"), None);
        let line = "100644 blob 0123       7\tdir/a b.yaml";
        let file = Entry { kind: EntryKind::File, id: "0123".into(), size: 7 };
        assert_eq!(entry(line), Some(("dir/a b.yaml".into(), file)));
    }
}
