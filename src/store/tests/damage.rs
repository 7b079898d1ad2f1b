//! Files that were truncated, flipped or zeroed: every object is there after reopening.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::model::{History, Memory, ReplicaHistory};

const TRIES: u64 = 20;
const OBJECTS: usize = 120;

/// A way to damage a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Truncated,
    Flipped,
    Zeroed,
}

/// What must be there.
#[derive(Debug, Clone, PartialEq)]
struct Picture {
    objects: Vec<Value>,
    holds: Vec<Object>,
    memory: Memory,
    note: Option<Value>,
}

fn picture(store: &Store) -> Picture {
    let without_status = |object: &Object| {
        let mut object = Value::clone(object);
        object.as_object_mut().unwrap().shift_remove("status");
        object["metadata"].as_object_mut().unwrap().shift_remove("resourceVersion");
        object
    };
    Picture {
        objects: store.list(Kind::Deployment, None).unwrap().items.iter().map(without_status).collect(),
        holds: store.list(Kind::Hold, None).unwrap().items,
        memory: store.memory(&key("d-1")).unwrap(),
        note: store.note("boot").unwrap(),
    }
}

/// A folder with objects, written over several times, closed cleanly.
async fn template(folder: &Path) -> (Picture, u64) {
    let store = open(folder);
    let creates = (0..OBJECTS + 20).map(|number| store.create(Kind::Deployment, deployment(&format!("d-{number}"))));
    futures::future::join_all(creates).await.into_iter().for_each(|made| drop(made.unwrap()));
    for (part, field) in [(Part::Status, "status"), (Part::Main, "spec"), (Part::Status, "status")] {
        let change = |number: usize| {
            move |object: &mut Value| {
                object[field]["text"] = format!("{number} {}", object["metadata"]["resourceVersion"]).repeat(200).into();
                Ok::<_, StoreError>(())
            }
        };
        let keys: Vec<_> = (0..OBJECTS).map(|number| key(&format!("d-{number}"))).collect();
        let modifies = keys.iter().enumerate().map(|(n, key)| store.modify(Kind::Deployment, key, part, None, change(n)));
        futures::future::join_all(modifies).await.into_iter().for_each(|made| drop(made.unwrap()));
    }
    for number in OBJECTS..OBJECTS + 20 {
        store.delete(Kind::Deployment, &key(&format!("d-{number}")), None).await.unwrap();
    }
    let hold = json!({"kind": "Hold", "metadata": {"name": "h"}, "spec": {"deployment": "d-1", "state": "Stopped"}});
    store.create(Kind::Hold, hold).await.unwrap();
    let volumes = [("app-1".to_owned(), [("/data".to_owned(), "v".to_owned())].into())].into();
    store.put_memory(&key("d-1"), Memory { volumes, ..Memory::default() }).await.unwrap();
    let replica = ReplicaHistory { attempts: 7, ..ReplicaHistory::default() };
    let replicas = [("app-1".to_owned(), replica)].into();
    store.put_history(&key("d-1"), History { replicas, ..History::default() }).await.unwrap();
    store.put_note("boot", Some(json!({"a": 1}))).await.unwrap();
    (picture(&store), store.revision())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(std::result::Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn random(below: u64) -> u64 {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    u64::from_be_bytes(*bytes.first_chunk().unwrap()) % below.max(1)
}

fn damage(path: &Path, damage: Damage) -> String {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let at = random(length);
    match damage {
        Damage::Truncated => file.set_len(at).unwrap(),
        Damage::Flipped => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << random(8))], at).unwrap();
        }
        Damage::Zeroed => {
            let zeros = vec![0; usize::try_from((length - at).min(4096)).unwrap()];
            file.write_all_at(&zeros, at).unwrap();
        }
    }
    format!("{damage:?} at {at} of {length} in {}", path.display())
}

/// Reopens after some damage: what is there is what was there, and the store works on.
async fn reopened_as_it_was(folder: &Path, before: &(Picture, u64), what: &str) -> Opened {
    let (store, opened) = reopen(folder);
    assert_eq!(picture(&store), before.0, "{what}");
    assert!(store.revision() >= before.1, "{what}");
    let made = store.create(Kind::Deployment, deployment("new")).await.unwrap();
    assert!(version(&made) > before.1, "{what}");
    drop(store);
    let (store, again) = reopen(folder);
    assert_eq!(again, Opened::default(), "{what}: it is whole after one reopening");
    assert_eq!(store.get(Kind::Deployment, &key("new")).unwrap(), Some(made), "{what}");
    opened
}

async fn sled_damaged(how: Damage) {
    let original = tempfile::tempdir().unwrap();
    let before = template(original.path()).await;
    for _ in 0..TRIES {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let index = folder.path().join("index");
        let mut files: Vec<_> =
            fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
        let what = damage(&files[0], how);
        let opened = reopened_as_it_was(folder.path(), &before, &what).await;
        if let Some(why) = opened.rebuilt {
            assert!(why.contains("its folder is now"), "{why}");
        }
    }
}

#[tokio::test]
async fn every_object_is_there_after_sled_was_truncated() {
    sled_damaged(Damage::Truncated).await;
}

#[tokio::test]
async fn every_object_is_there_after_a_bit_of_sled_flipped() {
    sled_damaged(Damage::Flipped).await;
}

#[tokio::test]
async fn every_object_is_there_after_a_page_of_sled_was_zeroed() {
    sled_damaged(Damage::Zeroed).await;
}

/// The lines that can be read. A digit of a checksum in the other case says the same.
fn lines_read(journal: &Path) -> usize {
    let bytes = fs::read(journal).unwrap();
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n").and_then(record::Record::read))
        .count()
}

#[tokio::test]
async fn every_object_is_there_after_the_journal_was_damaged_anywhere() {
    let original = tempfile::tempdir().unwrap();
    let before = template(original.path()).await;
    for how in [Damage::Truncated, Damage::Flipped, Damage::Zeroed] {
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().unwrap();
            copy(original.path(), folder.path());
            let path = folder.path().join("journal.jsonl");
            let whole = lines_read(&path);
            let what = damage(&path, how);
            let can_be_seen = lines_read(&path) != whole;
            let opened = reopened_as_it_was(folder.path(), &before, &what).await;
            assert_eq!(opened.repaired.is_some(), can_be_seen, "{what}: {opened:?}");
        }
    }
}

/// A store of a few rows, each written by a call of its own, as the journal's lines are then. Puts a copy of sled
/// aside as it was before the last five, and returns what the store showed then and at last.
async fn few_rows(folder: &Path, before_late: &Path) -> (Picture, Picture) {
    let store = open(folder);
    for name in ["d-1", "d-2", "d-3"] {
        store.create(Kind::Deployment, deployment(name)).await.unwrap();
    }
    store.put_note("boot", Some(json!({"a": 1}))).await.unwrap();
    let early = picture(&store);
    drop(store);
    copy(&folder.join("index"), before_late);

    let store = open(folder);
    let change = |object: &mut Value| {
        object["spec"]["services"]["app"]["image"] = "app:2".into();
        Ok::<_, StoreError>(())
    };
    store.modify(Kind::Deployment, &key("d-1"), Part::Main, None, change).await.unwrap();
    store.delete(Kind::Deployment, &key("d-2"), None).await.unwrap();
    let hold = json!({"kind": "Hold", "metadata": {"name": "h"}, "spec": {"deployment": "d-1", "state": "Stopped"}});
    store.create(Kind::Hold, hold).await.unwrap();
    store.put_note("boot", Some(json!({"a": 2}))).await.unwrap();
    store.delete(Kind::Deployment, &key("d-3"), None).await.unwrap();
    (early, picture(&store))
}

/// The journal's lines, and the file with a bit flipped in the middle of the `number`-th.
fn with_a_bad_line(journal: &Path, number: usize) -> (Vec<String>, Vec<u8>) {
    let bytes = fs::read(journal).unwrap();
    let lines: Vec<String> = String::from_utf8(bytes.clone()).unwrap().lines().map(str::to_owned).collect();
    let start: usize = lines[..number].iter().map(|line| line.len() + 1).sum();
    let mut damaged = bytes;
    damaged[start + lines[number].len() - 3] ^= 1;
    (lines, damaged)
}

#[tokio::test]
async fn what_any_damaged_line_of_the_journal_said_is_restored_from_sled_removals_too() {
    let (original, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, before) = few_rows(original.path(), &aside.path().join("index")).await;
    let lines = fs::read_to_string(original.path().join("journal.jsonl")).unwrap().lines().count();
    for number in 0..lines {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, with_a_bad_line(&path, number).1).unwrap();
        let (store, opened) = reopen(folder.path());
        assert_eq!(picture(&store), before, "line {number}");
        assert!(opened.repaired.is_some() && opened.lost.is_none() && opened.rebuilt.is_none(), "line {number}: {opened:?}");
        drop(store);
        let (store, again) = reopen(folder.path());
        assert_eq!((picture(&store), again), (before.clone(), Opened::default()), "line {number}");
    }
}

#[tokio::test]
async fn a_damaged_line_that_sled_had_not_got_yet_costs_that_write_alone_and_it_is_told() {
    let (original, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (early, late) = few_rows(original.path(), &aside.path().join("index")).await;
    let journal = fs::read_to_string(original.path().join("journal.jsonl")).unwrap();
    let total = journal.lines().count();
    let first_late = total - 5;
    for number in first_late..total {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        fs::remove_dir_all(folder.path().join("index")).unwrap();
        copy(&aside.path().join("index"), &folder.path().join("index"));
        let path = folder.path().join("journal.jsonl");
        let (lines, damaged) = with_a_bad_line(&path, number);
        fs::write(&path, &damaged).unwrap();
        let (store, opened) = reopen(folder.path());
        let row = record::Record::row_named(lines[number].as_bytes()).unwrap();
        let lost = opened.lost.unwrap_or_else(|| panic!("line {number} ({row}): the loss was not told"));
        assert!(lost.contains(&row), "{row}: {lost}");
        let kept = lost.rsplit_once("is kept as ").unwrap().1;
        assert_eq!(fs::read(kept).unwrap(), damaged, "{row}");
        assert_eq!(picture(&store), without(&late, &early, &row), "{row}");
    }
}

/// What was there at last, but for one row, which is as it was before.
fn without(late: &Picture, early: &Picture, row: &str) -> Picture {
    let mut wanted = late.clone();
    match row {
        "n/boot" => wanted.note.clone_from(&early.note),
        "o/hold/default/h" => wanted.holds.clear(),
        _ => {
            let name = row.strip_prefix("o/deployment/default/").unwrap();
            let before = early.objects.iter().find(|object| object["metadata"]["name"] == json!(name)).unwrap();
            wanted.objects.retain(|object| object["metadata"]["name"] != json!(name));
            wanted.objects.push(before.clone());
            wanted.objects.sort_by_key(|object| object["metadata"]["name"].to_string());
        }
    }
    wanted
}

#[tokio::test]
async fn a_line_that_was_torn_off_while_it_was_written_is_cut() {
    let original = tempfile::tempdir().unwrap();
    let before = template(original.path()).await;
    let mut line = Vec::new();
    record::Record { seq: 100_000, row: "n/boot".into(), text: Some("\"never acknowledged\"".into()) }.write(&mut line);
    for length in 1..line.len() {
        if length % 5 != 0 {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let path = folder.path().join("journal.jsonl");
        let torn = [fs::read(&path).unwrap(), line[..length].to_vec()].concat();
        fs::write(&path, torn).unwrap();
        let opened = reopened_as_it_was(folder.path(), &before, &format!("{length} bytes of a line")).await;
        assert_eq!(opened, Opened::default());
    }
}

#[tokio::test]
async fn either_of_journal_and_sled_alone_has_every_object() {
    let original = tempfile::tempdir().unwrap();
    let before = template(original.path()).await;
    for (lost, said) in [("index", "rebuilt"), ("journal.jsonl", "repaired")] {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let path = folder.path().join(lost);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let opened = reopened_as_it_was(folder.path(), &before, lost).await;
        let told = if said == "rebuilt" { &opened.rebuilt } else { &opened.repaired };
        assert!(told.is_some(), "{lost}: {opened:?}");
    }
}

#[tokio::test]
async fn sled_files_that_are_no_longer_sled_are_moved_aside_and_made_anew() {
    let original = tempfile::tempdir().unwrap();
    let before = template(original.path()).await;
    for (file, bytes) in [("db", vec![]), ("db", vec![0xa5; 1 << 20])] {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        fs::write(folder.path().join("index").join(file), bytes).unwrap();
        let opened = reopened_as_it_was(folder.path(), &before, file).await;
        let why = opened.rebuilt.unwrap_or_else(|| panic!("{file}: it was not noticed"));
        let aside = why.rsplit_once("its folder is now ").unwrap().1;
        assert!(Path::new(aside).join("db").is_file(), "{why}");
    }
}

#[tokio::test]
async fn what_sled_had_not_finished_when_it_was_killed_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    let fresh = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    copy(&index, &fresh.path().join("index"));
    let before = template(folder.path()).await;
    let history = reopen(folder.path()).0.history(&key("d-1")).unwrap();
    fs::write(index.join("snap.FFFFFFFFFFFFFFFF.generating"), [1; 100]).unwrap();
    let (store, opened) = reopen(folder.path());
    assert_eq!((picture(&store), opened), (before.0.clone(), Opened::default()), "a snapshot half-written");
    assert_eq!(store.history(&key("d-1")).unwrap(), history);
    drop(store);

    fs::remove_dir_all(&index).unwrap();
    copy(&fresh.path().join("index"), &index);
    let (store, opened) = reopen(folder.path());
    assert_eq!((picture(&store), opened), (before.0, Opened::default()), "no row has got to it yet");
}

#[tokio::test]
async fn an_index_of_another_life_is_not_believed() {
    let (original, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = template(original.path()).await;
    let store = open(other.path());
    for name in ["d-1", "x"] {
        store.create(Kind::Deployment, deployment(name)).await.unwrap();
    }
    drop(store);
    let folder = tempfile::tempdir().unwrap();
    copy(original.path(), folder.path());
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    copy(&other.path().join("index"), &folder.path().join("index"));
    let opened = reopened_as_it_was(folder.path(), &before, "another index").await;
    assert!(opened.rebuilt.unwrap().contains("contradicts the journal"));
}

#[tokio::test]
async fn a_journal_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(template(folder.path()).await);
    let path = folder.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut first = Vec::new();
    record::Record { seq: 0, row: "format".into(), text: Some(r#"{"name":"evenkeel journal","version":2}"#.into()) }
        .write(&mut first);
    let later = [first, text.split_once('\n').unwrap().1.as_bytes().to_vec()].concat();
    fs::write(&path, &later).unwrap();
    let error = Store::open(folder.path(), Arc::new(SystemClock)).err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("journal.jsonl") && source.contains("another version"), "{error}: {source}");
    assert_eq!(fs::read(&path).unwrap(), later);
}
