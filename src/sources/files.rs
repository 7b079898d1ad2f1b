//! Reads the manifests of a folder: what is there, whole, and what could not be read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sources::beside::Beside;

/// A file above this size is no manifest.
pub const LARGEST: u64 = 4 * 1024 * 1024;

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The folder.
    pub root: PathBuf,
    /// Manifest files by path relative to the folder: their text, or why it could not be read.
    pub files: BTreeMap<String, Result<String, String>>,
    /// Subfolders that could not be looked into, by relative path (the folder itself: empty), and why: what they hold is
    /// not known, which is not to say it is gone.
    pub unseen: BTreeMap<String, String>,
    /// What is not followed, by relative path, and why: Deployments that came from below it are kept, and nothing else is.
    pub not_followed: BTreeMap<String, String>,
    /// What Compose files name is read from here, by absolute path; `None`: from the disk.
    pub beside: Option<Arc<Beside>>,
    /// What Compose files find in their environment.
    pub variables: BTreeMap<String, String>,
}

/// Reads all `*.yaml`, `*.yml` and `*.json` of a folder and its subfolders, hidden ones left out. Symbolic links are followed.
///
/// # Errors
/// The folder itself cannot be read.
pub fn scan(root: &Path) -> io::Result<Scan> {
    let mut scan = Scan { root: std::path::absolute(root)?, ..Scan::default() };
    let mut visited = vec![fs::canonicalize(root)?];
    walk(root, "", fs::read_dir(root)?, &mut visited, &mut scan);
    Ok(scan)
}

/// `visited` holds the real folders on the way here, so that a link to one of them ends.
fn walk(folder: &Path, prefix: &str, entries: fs::ReadDir, visited: &mut Vec<PathBuf>, scan: &mut Scan) {
    for entry in entries {
        let Ok(name) = entry.as_ref().map(|entry| entry.file_name().to_string_lossy().into_owned()) else {
            let why = format!("{}: reading it ended early", folder.display());
            scan.unseen.insert(prefix.trim_end_matches('/').to_owned(), why);
            return;
        };
        if name.starts_with('.') {
            continue;
        }
        let (path, relative) = (folder.join(&name), format!("{prefix}{name}"));
        // A file that vanished between the listing and now is a file that is not there.
        let kind = match fs::metadata(&path) {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => continue,
            Err(error) if is_manifest(&name) => {
                scan.files.insert(relative, Err(error.to_string()));
                continue;
            }
            Err(_) => continue,
        };
        if kind.is_dir() {
            descend(&path, &relative, visited, scan);
        } else if is_manifest(&name) {
            scan.files.insert(relative, read(&path, &kind));
        }
    }
}

fn descend(path: &Path, relative: &str, visited: &mut Vec<PathBuf>, scan: &mut Scan) {
    let opened = fs::canonicalize(path).and_then(|real| Ok((real, fs::read_dir(path)?)));
    match opened {
        Ok((real, _)) if visited.contains(&real) => {}
        Ok((real, entries)) => {
            visited.push(real);
            walk(path, &format!("{relative}/"), entries, visited, scan);
            visited.pop();
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => drop(scan.unseen.insert(relative.to_owned(), format!("{}: {error}", path.display()))),
    }
}

/// Whether a file of that name is a manifest.
pub fn is_manifest(name: &str) -> bool {
    !name.starts_with('.') && matches!(Path::new(name).extension().and_then(|end| end.to_str()), Some("yaml" | "yml" | "json"))
}

fn read(path: &Path, kind: &fs::Metadata) -> Result<String, String> {
    if !kind.is_file() {
        return Err("is no regular file".to_owned());
    }
    if kind.len() > LARGEST {
        return Err(format!("is larger than {} MiB", LARGEST / 1024 / 1024));
    }
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 text: byte {} cannot be read", error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(scan: &Scan) -> Vec<&str> {
        scan.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn manifests_of_subfolders_are_read_and_hidden_or_other_files_are_not() {
        let folder = folder(&[
            ("b.yaml", "b"),
            ("a.yml", "a"),
            ("team/c.json", "c"),
            ("team/deep/d.yaml", "d"),
            ("README.md", "no"),
            (".hidden.yaml", "no"),
            (".git/e.yaml", "no"),
            ("b.yaml~", "no"),
        ]);
        let scan = scan(folder.path()).unwrap();
        assert_eq!(names(&scan), ["a.yml", "b.yaml", "team/c.json", "team/deep/d.yaml"]);
        assert_eq!(scan.files["team/c.json"], Ok("c".into()));
        assert!(scan.unseen.is_empty());
    }

    #[test]
    fn links_are_followed_and_a_link_in_a_circle_ends() {
        let folder = folder(&[("real/a.yaml", "a"), ("..data/b.yaml", "b")]);
        symlink(folder.path().join("real"), folder.path().join("linked")).unwrap();
        symlink(folder.path(), folder.path().join("real/circle")).unwrap();
        symlink("..data/b.yaml", folder.path().join("b.yaml")).unwrap();
        symlink("nowhere.yaml", folder.path().join("dangling.yaml")).unwrap();
        let scan = scan(folder.path()).unwrap();
        assert_eq!(names(&scan), ["b.yaml", "dangling.yaml", "linked/a.yaml", "real/a.yaml"]);
        assert!(scan.files["dangling.yaml"].is_err());
    }

    #[test]
    fn what_is_there_and_cannot_be_read_is_told_apart_from_what_is_not_there() {
        let folder = folder(&[("ok.yaml", "a")]);
        fs::write(folder.path().join("binary.yaml"), [b'a', 0xff]).unwrap();
        let unread = scan(folder.path()).unwrap();
        assert!(unread.files["binary.yaml"].as_ref().unwrap_err().contains("UTF-8"));
        assert!(scan(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_subfolder_that_cannot_be_opened_is_unseen_not_empty() {
        let folder = folder(&[("team/a.yaml", "a")]);
        let team = folder.path().join("team");
        fs::set_permissions(&team, fs::Permissions::from_mode(0o000)).unwrap();
        let root = fs::read_dir(&team).is_ok();
        let scan = scan(folder.path()).unwrap();
        fs::set_permissions(&team, fs::Permissions::from_mode(0o755)).unwrap();
        // Root may look everywhere, and then sees the file.
        assert!(if root { scan.files.contains_key("team/a.yaml") } else { scan.unseen.len() == 1 }, "{scan:?}");
    }
}
