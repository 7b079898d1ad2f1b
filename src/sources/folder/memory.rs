//! Which folder the stored deployments came from: kept over restarts, so that a wrong path or an empty mount point does
//! not delete them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Content;
use crate::model::{Key, MANIFESTS_SOURCE};
use crate::store::{Result, Store};

/// Where a source's files were read: the same path may be another folder by now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// A folder of this host.
    pub fn folder(root: &Path) -> Self {
        let path = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let (device, inode) = std::fs::metadata(root).map(|found| (found.dev(), found.ino())).unwrap_or_default();
        Self { path, device, inode }
    }

    /// A folder of a repository.
    pub fn repository(url: &str, path: &str) -> Self {
        Self { path: PathBuf::from(format!("{url}#{path}")), ..Self::default() }
    }
}

/// Name of the note in the store.
fn note(source: &str) -> String {
    if source == MANIFESTS_SOURCE { "manifests-folder".to_owned() } else { format!("source-{source}") }
}

/// What is remembered of the folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    path: PathBuf,
    device: u64,
    inode: u64,
    spared: BTreeSet<String>,
}

impl Memory {
    /// The deployments that are gone from the folder and yet must not be deleted: they came from another path, or were
    /// there before the folder was exchanged for an empty one (a disk that is not mounted).
    pub async fn spared(store: &Store, source: &str, content: &Content, gone: &BTreeSet<Key>) -> Result<BTreeSet<Key>> {
        let Place { path, device, inode } = content.place.clone();
        let before: Option<Self> = store.note(&note(source))?.and_then(|note| serde_json::from_value(note).ok());
        let now = before.clone().unwrap_or_default().moved_to(
            Self { path, device, inode, ..Self::default() },
            content.scan.files.is_empty(),
            gone,
        );
        let spared = now.spared.iter().filter_map(|key| key.parse().ok()).collect();
        if before.as_ref() != Some(&now) {
            store.put_note(&note(source), serde_json::to_value(&now).ok()).await?;
        }
        Ok(spared)
    }

    /// Forgets a source.
    pub async fn forget(store: &Store, source: &str) -> Result<()> {
        store.put_note(&note(source), None).await
    }

    /// What is to be remembered now that the folder is `here`.
    fn moved_to(self, here: Self, empty: bool, gone: &BTreeSet<Key>) -> Self {
        let known = !self.path.as_os_str().is_empty();
        let elsewhere = self.path != here.path;
        let exchanged = (self.device, self.inode) != (here.device, here.inode);
        let gone: BTreeSet<String> = gone.iter().map(ToString::to_string).collect();
        let spared =
            if known && (elsewhere || (exchanged && empty)) { gone } else { self.spared.intersection(&gone).cloned().collect() };
        Self { spared, ..here }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, inode: u64) -> Memory {
        Memory { path: path.into(), device: 1, inode, ..Memory::default() }
    }

    fn keys(names: &[&str]) -> BTreeSet<Key> {
        names.iter().map(|name| Key::new("default", *name)).collect()
    }

    fn spared(memory: &Memory) -> Vec<&str> {
        memory.spared.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_came_from_another_folder_is_spared_until_it_is_declared_again() {
        let memory = folder("/a", 1).moved_to(folder("/b", 2), false, &keys(&["web", "db"]));
        assert_eq!(spared(&memory), ["default/db", "default/web"]);
        let memory = memory.moved_to(folder("/b", 2), false, &keys(&["db", "later"]));
        assert_eq!(spared(&memory), ["default/db"]);
    }

    #[test]
    fn an_empty_folder_in_place_of_the_old_one_spares_all() {
        let memory = folder("/a", 1).moved_to(folder("/a", 2), true, &keys(&["web"]));
        assert_eq!(spared(&memory), ["default/web"]);
    }

    #[test]
    fn the_same_folder_emptied_or_exchanged_for_a_full_one_spares_nothing() {
        assert_eq!(spared(&folder("/a", 1).moved_to(folder("/a", 1), true, &keys(&["web"]))), [""; 0]);
        assert_eq!(spared(&folder("/a", 1).moved_to(folder("/a", 2), false, &keys(&["web"]))), [""; 0]);
        assert_eq!(spared(&Memory::default().moved_to(folder("/a", 2), true, &keys(&["web"]))), [""; 0]);
    }
}
