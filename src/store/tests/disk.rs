//! A disk that is full or read-only: a clear error, nothing acknowledged is lost, reading goes on.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use crate::model::{History, ReplicaHistory};

/// A small file system of its own, unmounted when it is dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            println!("skipped: mounting a tmpfs is not possible here");
            return None;
        }
        Some(Self(folder))
    }

    fn remount(&self, option: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.0.path()).status();
        assert!(status.unwrap().success(), "remount {option}");
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.0.path().join("data")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn large(name: &str) -> Value {
    let mut object = deployment(name);
    object["spec"]["text"] = "x".repeat(16 << 10).into();
    object
}

/// Creates objects until the disk is full. Returns the names of those that were acknowledged.
async fn fill(store: &Store) -> (Vec<String>, StoreError) {
    let mut acknowledged = Vec::new();
    for number in 0..10_000 {
        let name = format!("d-{number:05}");
        match store.create(Kind::Deployment, large(&name)).await {
            Ok(_) => acknowledged.push(name),
            Err(error) => return (acknowledged, error),
        }
    }
    panic!("the disk never got full");
}

fn names(store: &Store) -> Vec<String> {
    let items = store.list(Kind::Deployment, None).unwrap().items;
    items.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn history(attempts: u32) -> History {
    let replica = ReplicaHistory { attempts, ..ReplicaHistory::default() };
    History { replicas: [("app-1".to_owned(), replica)].into(), ..History::default() }
}

#[tokio::test]
async fn a_full_disk_is_said_loses_nothing_and_is_written_again_when_there_is_space() {
    let Some(disk) = SmallDisk::mount("32m") else { return };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 24 << 20]).unwrap();
    let store = open(&disk.data());
    let (acknowledged, error) = fill(&store).await;
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("journal.jsonl") && source.contains("No space left"), "{error}: {source}");
    assert!(!acknowledged.is_empty());
    assert_eq!(names(&store), acknowledged);
    drop(store);
    let (store, _) = reopen(&disk.data());
    assert_eq!(names(&store), acknowledged, "it opens and reads while the disk is full");
    assert!(store.create(Kind::Deployment, large("refused")).await.is_err());
    fs::remove_file(&ballast).unwrap();
    store.create(Kind::Deployment, deployment("z-after")).await.unwrap();
    let began = Instant::now();
    while let Err(error) = store.put_history(&key("z-after"), history(3)).await {
        assert!(began.elapsed() < Duration::from_secs(10), "sled is not written again: {error}");
        // A history that is there already is not written again.
        let _ = store.put_history(&key("z-after"), history(2)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(store);
    let (store, _) = reopen(&disk.data());
    let all = [acknowledged, vec!["z-after".to_owned()]].concat();
    assert_eq!(names(&store), all);
    assert_eq!(store.history(&key("z-after")).unwrap(), history(3));
}

#[tokio::test]
async fn a_read_only_folder_is_said_at_the_start_and_nothing_is_touched() {
    let Some(disk) = SmallDisk::mount("16m") else { return };
    let store = open(&disk.data());
    let made = store.create(Kind::Deployment, deployment("web")).await.unwrap();
    drop(store);
    disk.remount("ro");
    let error = Store::open(&disk.data(), Arc::new(SystemClock)).err();
    disk.remount("rw");
    if let Some(error) = error {
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        assert!(error.to_string().contains(&disk.data().display().to_string()), "{error}");
    } else {
        panic!("a read-only folder was taken for a good one");
    }
    assert_eq!(open(&disk.data()).get(Kind::Deployment, &key("web")).unwrap(), Some(made));
}

#[tokio::test]
async fn the_folder_and_its_files_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a").join("data");
    let store = open(&data);
    store.create(Kind::Deployment, deployment("web")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("index"))), (0o700, 0o700));
    for file in ["journal.jsonl", "lock", "index/db", "index/conf"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}
