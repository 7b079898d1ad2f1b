//! Following changes.

use std::time::Duration;

use futures::StreamExt;

use super::*;
use crate::store::changes::{Feed, RING_BYTES, RING_CHANGES};

fn change(revision: u64, size: usize) -> Change {
    let object = json!({"metadata": {"resourceVersion": revision.to_string()}, "text": "x".repeat(size)});
    Change { kind: ChangeKind::Modified, object: Arc::new(object), revision }
}

async fn next(stream: &mut BoxStream<'static, Result<Change>>) -> Option<Result<Change>> {
    tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("the feed hangs")
}

#[tokio::test]
async fn changes_come_in_order_first_those_that_were_missed_then_live_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let before = store.revision();
    store.create(Kind::Deployment, deployment("a")).await.unwrap();
    store.create(Kind::Deployment, deployment("b")).await.unwrap();
    let mut all = store.changes(Kind::Deployment, Some(before)).unwrap();
    let mut live = store.changes(Kind::Deployment, None).unwrap();
    let mut holds = store.changes(Kind::Hold, Some(before)).unwrap();
    let status = |object: &mut Value| {
        object["status"] = json!({"phase": "Running"});
        Ok::<_, StoreError>(())
    };
    store.modify(Kind::Deployment, &key("a"), Part::Status, None, status).await.unwrap();
    let (gone, _) = store.delete(Kind::Deployment, &key("a"), None).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let change = next(&mut all).await.unwrap().unwrap();
        assert_eq!(version(&change.object), change.revision);
        seen.push((change.kind, change.object["metadata"]["name"].as_str().unwrap().to_owned(), change.revision));
    }
    let kinds: Vec<_> = seen.iter().map(|(kind, name, _)| (*kind, name.as_str())).collect();
    use ChangeKind::{Added, Deleted, Modified};
    assert_eq!(kinds, [(Added, "a"), (Added, "b"), (Modified, "a"), (Deleted, "a")]);
    assert!(seen.windows(2).all(|pair| pair[0].2 < pair[1].2));
    assert_eq!(seen[3].2, version(&gone));
    assert_eq!(next(&mut live).await.unwrap().unwrap().kind, Modified);
    assert_eq!(next(&mut live).await.unwrap().unwrap().object, gone);
    assert!(tokio::time::timeout(Duration::from_millis(50), holds.next()).await.is_err());
}

#[tokio::test]
async fn a_feed_ends_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut changes = store.changes(Kind::Deployment, None).unwrap();
    drop(store);
    assert!(next(&mut changes).await.is_none());
}

#[tokio::test]
async fn what_is_older_than_the_store_or_not_yet_there_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.create(Kind::Deployment, deployment("a")).await.unwrap();
    let before = store.revision() - 1;
    drop(store);
    let store = open(folder.path());
    for since in [before, store.revision() + 1] {
        assert!(matches!(store.changes(Kind::Deployment, Some(since)), Err(StoreError::Expired { .. })), "{since}");
    }
    assert!(store.changes(Kind::Deployment, Some(store.revision())).is_ok());
}

#[tokio::test]
async fn a_reader_that_falls_out_of_the_window_is_told_so_and_no_writer_waits_for_it() {
    let feed = Feed::new(0);
    let mut slow = feed.follow(Kind::Deployment, 0).unwrap();
    for revision in 1..=RING_CHANGES as u64 {
        feed.push(Kind::Deployment, &change(revision, 10));
    }
    assert_eq!(next(&mut slow).await.unwrap().unwrap().revision, 1);
    for revision in 0..RING_CHANGES as u64 {
        feed.push(Kind::Deployment, &change(RING_CHANGES as u64 + 1 + revision, 10));
    }
    let mut last = 1;
    let expired = loop {
        match next(&mut slow).await.unwrap() {
            Ok(change) => {
                assert_eq!(change.revision, last + 1);
                last = change.revision;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(expired, StoreError::Expired { oldest, .. } if oldest == RING_CHANGES as u64), "{expired}");
    assert!(next(&mut slow).await.is_none());
    assert!(feed.follow(Kind::Deployment, RING_CHANGES as u64 - 1).is_err());
    assert_eq!(feed.follow(Kind::Deployment, RING_CHANGES as u64).unwrap().take(RING_CHANGES).count().await, RING_CHANGES);
}

#[tokio::test]
async fn the_window_is_bounded_in_bytes_too() {
    let feed = Feed::new(0);
    let size = RING_BYTES / 10;
    for revision in 1..=12 {
        feed.push(Kind::Deployment, &change(revision, size));
    }
    assert!(feed.follow(Kind::Deployment, 1).is_err());
    let mut kept = feed.follow(Kind::Deployment, 3).unwrap();
    let first = next(&mut kept).await.unwrap().unwrap();
    assert_eq!((first.revision, first.object["text"].as_str().unwrap().len()), (4, size));
}
