//! Ten thousand objects.

use super::*;

const MANY: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_objects_are_created_listed_changed_and_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let creates = (0..MANY).map(|number| store.create(Kind::Deployment, deployment(&format!("d-{number:05}"))));
    let made = futures::future::join_all(creates).await;
    let mut versions: Vec<_> = made.iter().map(|made| version(made.as_ref().unwrap())).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), MANY, "each write has a version of its own");
    let keys: Vec<_> = (0..MANY).step_by(10).map(|number| key(&format!("d-{number:05}"))).collect();
    let status = |object: &mut Value| {
        object["status"] = json!({"phase": "Running"});
        Ok::<_, StoreError>(())
    };
    let modifies = keys.iter().map(|key| store.modify(Kind::Deployment, key, Part::Status, None, status));
    futures::future::join_all(modifies).await.into_iter().for_each(|made| drop(made.unwrap()));
    let before = store.list(Kind::Deployment, None).unwrap();
    assert_eq!(before.items.len(), MANY);
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.list(Kind::Deployment, None).unwrap().items, before.items);
    assert_eq!(store.list(Kind::Deployment, Some("other")).unwrap().items.len(), 0);
}
