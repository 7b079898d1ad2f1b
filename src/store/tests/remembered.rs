//! Events, history, memory, ends, notes.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::Clock;
use crate::model::{About, End, EngineRun, EventCursor, History, Memory, Reason, ReplicaHistory, Severity, Verdict};

/// A clock that is set by hand.
#[derive(Clone)]
struct HandClock(Arc<Mutex<Timestamp>>);

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new("2026-01-01T12:00:00Z".parse().unwrap())))
    }

    fn advance(&self, minutes: i64) {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::from_mins(minutes);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn happening(about: About, message: &str) -> Happening {
    let trace_id = Some("0af7651916cd43dd8448eb211c80319c".into());
    Happening { about, reason: Reason::Crashed, severity: Severity::Warning, message: message.into(), trace_id }
}

fn crashed(name: &str, message: &str) -> Happening {
    happening(About::Deployment(key(name), None), message)
}

fn events(store: &Store) -> Vec<Object> {
    store.list(Kind::Event, None).unwrap().items
}

#[tokio::test]
async fn an_event_has_the_shape_that_kubectl_describe_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let web = store.create(Kind::Deployment, deployment("web")).await.unwrap();
    store.tell(crashed("web", "exit code 137")).await.unwrap();
    let event = &events(&store)[0];
    assert_eq!((&event["apiVersion"], &event["kind"]), (&json!("v1"), &json!("Event")));
    let involved = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "namespace": "default", "name": "web",
        "uid": web["metadata"]["uid"],
    });
    assert_eq!(event["involvedObject"], involved);
    assert_eq!((&event["reason"], &event["type"], &event["count"]), (&json!("Crashed"), &json!("Warning"), &json!(1)));
    assert_eq!((&event["source"]["component"], &event["reportingComponent"]), (&json!("evenkeel"), &json!("evenkeel")));
    assert_eq!(event["metadata"]["annotations"]["evenkeel.dev/trace-id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(event["metadata"]["name"].as_str().unwrap().starts_with("web."));
    assert_eq!(event["firstTimestamp"], event["lastTimestamp"]);
}

#[tokio::test]
async fn a_repeat_is_counted_and_another_message_is_another_event() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let (store, _) = Store::open(folder.path(), Arc::new(clock.clone())).unwrap();
    for message in ["exit code 1", "exit code 1", "exit code 2"] {
        store.tell(crashed("web", message)).await.unwrap();
        clock.advance(1);
    }
    store.tell(happening(About::Manifest("shop/Web.yaml".into()), "exit code 1")).await.unwrap();
    store.tell(happening(About::Host, "exit code 1")).await.unwrap();
    let all = events(&store);
    assert_eq!(all.len(), 4);
    let repeated = all.iter().find(|event| event["count"] == 2).unwrap();
    assert_eq!(
        (&repeated["firstTimestamp"], &repeated["lastTimestamp"]),
        (&json!("2026-01-01T12:00:00Z"), &json!("2026-01-01T12:01:00Z"))
    );
    let manifest = all.iter().find(|event| event["involvedObject"]["kind"] == "Manifest").unwrap();
    assert!(manifest["metadata"]["name"].as_str().unwrap().starts_with("shop-web-yaml."), "{manifest}");
}

#[tokio::test]
async fn an_event_is_kept_for_an_hour_after_it_last_happened() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let (store, _) = Store::open(folder.path(), Arc::new(clock.clone())).unwrap();
    store.tell(crashed("web", "once")).await.unwrap();
    store.tell(crashed("web", "again and again")).await.unwrap();
    clock.advance(40);
    store.tell(crashed("web", "again and again")).await.unwrap();
    clock.advance(30);
    let shown = events(&store);
    assert_eq!((shown.len(), &shown[0]["message"]), (1, &json!("again and again")));
    let mut changes = store.changes(Kind::Event, None).unwrap();
    store.tell(crashed("web", "once")).await.unwrap();
    let kinds = [futures::StreamExt::next(&mut changes).await, futures::StreamExt::next(&mut changes).await];
    assert_eq!(
        kinds.map(|change| change.unwrap().unwrap().kind),
        [ChangeKind::Deleted, ChangeKind::Added],
        "its name is made of what it says"
    );
    assert!(events(&store).iter().all(|event| event["count"] == if event["message"] == "once" { 1 } else { 2 }));
}

#[tokio::test]
async fn events_are_bounded_and_the_oldest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let (store, _) = Store::open(folder.path(), Arc::new(clock.clone())).unwrap();
    let tells = (0..events::MOST).map(|number| store.tell(crashed("web", &format!("number {number}"))));
    futures::future::join_all(tells).await.into_iter().for_each(|told| told.unwrap());
    clock.advance(1);
    store.tell(crashed("web", "the last")).await.unwrap();
    store.tell(crashed("web", "and one more")).await.unwrap();
    let all = events(&store);
    assert_eq!(all.len(), events::MOST - events::MOST / 10 + 1);
    assert!(["the last", "and one more"].iter().all(|message| all.iter().any(|event| event["message"] == **message)));
}

#[tokio::test]
async fn what_is_remembered_is_there_after_reopening_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let replica = ReplicaHistory { attempts: 3, ..ReplicaHistory::default() };
    let history = History { replicas: [("app-1".to_owned(), replica)].into(), ..History::default() };
    let volumes = [("app-1".to_owned(), [("/data".to_owned(), "v".to_owned())].into())].into();
    let memory = Memory { volumes, ..Memory::default() };
    let at = "2026-01-01T12:00:00.123456789Z".parse().unwrap();
    let end = End { started_at: Some(at), verdict: Verdict::Killed, at, exit_code: Some(137) };
    let cursor = EventCursor { time_nanos: 7, id: "a".into(), action: "die".into() };
    let run = EngineRun { engine_id: "E".into(), boot_id: None, daemon: Some((1, 2)) };
    assert_eq!((store.history(&key("web")).unwrap(), store.engine_seen().unwrap()), (History::default(), (None, None)));
    store.put_history(&key("web"), history.clone()).await.unwrap();
    store.put_memory(&key("web"), memory.clone()).await.unwrap();
    store.put_end("abc", Some(end.clone())).await.unwrap();
    store.put_end("gone", Some(end.clone())).await.unwrap();
    store.put_end("gone", None).await.unwrap();
    store.put_engine_seen(Some(cursor.clone()), run.clone()).await.unwrap();
    store.tell(crashed("web", "exit code 1")).await.unwrap();
    let told = store.list(Kind::Event, None).unwrap().items;
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.history(&key("web")).unwrap(), history);
    assert_eq!(store.memory(&key("web")).unwrap(), memory);
    assert_eq!(store.ends().unwrap(), [("abc".to_owned(), end)]);
    assert_eq!(store.engine_seen().unwrap(), (Some(cursor), Some(run)));
    assert_eq!(events(&store), told);
    store.forget(&key("web")).await.unwrap();
    assert_eq!((store.history(&key("web")).unwrap(), store.memory(&key("web")).unwrap()), Default::default());
}

#[tokio::test]
async fn a_note_may_be_null_and_is_gone_when_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put_note("a", Some(Value::Null)).await.unwrap();
    store.put_note("b", Some(json!({"x": [1, 2]}))).await.unwrap();
    store.put_note("b", None).await.unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.note("a").unwrap(), store.note("b").unwrap()), (Some(Value::Null), None));
}
