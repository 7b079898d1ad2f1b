//! One Channel and its outbox, against a receiver that does what receivers do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{SharedClock, TokioClock};
use crate::crd::ChannelSpec;
use crate::model::Key;
use crate::notify::notice::Notice;
use crate::notify::outbox::{MOST, Message, Outbox};
use crate::notify::send::{Failure, Transport};
use crate::notify::{Postmen, route::Draft};
use crate::store::{Kind, Store};

/// A receiver with a script; what it does then is to take everything.
#[derive(Default)]
pub struct Scripted {
    script: Mutex<VecDeque<Result<(), Failure>>>,
    /// Ids that came, when, and whether they were taken.
    pub came: Mutex<Vec<(String, Instant, bool)>>,
}

impl Scripted {
    fn with(script: Vec<Result<(), Failure>>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into()), came: Mutex::default() })
    }

    fn came(&self) -> Vec<(String, u64, bool)> {
        let came = self.came.lock().unwrap();
        let first = came.first().map(|(_, at, _)| *at);
        came.iter().map(|(id, at, taken)| (id.clone(), at.duration_since(first.unwrap()).as_secs(), *taken)).collect()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, _: &ChannelSpec, notice: &Notice) -> Result<(), Failure> {
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Ok(()));
        self.came.lock().unwrap().push((notice.id.clone(), Instant::now(), answer.is_ok()));
        answer
    }
}

/// A store with a Channel `ops`, its outbox, and what delivers it.
struct Rig {
    folder: tempfile::TempDir,
    clock: SharedClock,
    store: Store,
    outbox: Outbox,
}

impl Rig {
    async fn new(spec: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(TokioClock::starting_at("2026-03-01T12:00:00Z".parse().unwrap()));
        let (store, _) = Store::open(folder.path(), Arc::clone(&clock)).unwrap();
        let channel = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Channel", "metadata": {"name": "ops", "namespace": "default"}, "spec": spec});
        store.create(Kind::Channel, channel).await.unwrap();
        Self { outbox: Outbox::open(store.clone()), folder, clock, store }
    }

    /// The same folder after a SIGKILL.
    fn again(self) -> Self {
        let Self { folder, clock, store, outbox } = self;
        drop((store, outbox));
        let (store, _) = Store::open(folder.path(), Arc::clone(&clock)).unwrap();
        Self { outbox: Outbox::open(store.clone()), folder, clock, store }
    }

    fn deliver(&self, receiver: &Arc<Scripted>) -> CancellationToken {
        let stopping = CancellationToken::new();
        let transport: Arc<dyn Transport> = Arc::clone(receiver) as Arc<dyn Transport>;
        let postmen = Postmen::new(self.store.clone(), self.outbox.clone(), Arc::clone(&self.clock), transport);
        tokio::spawn(postmen.run(stopping.clone()));
        stopping
    }

    async fn put(&self, id: &str) {
        self.outbox.put(message(id, self.clock.now())).await;
    }

    fn status(&self) -> Value {
        self.store.get(Kind::Channel, &ops()).unwrap().unwrap()["status"].clone()
    }
}

fn ops() -> Key {
    Key::new("default", "ops")
}

pub(super) fn message(id: &str, now: Timestamp) -> Message {
    let notice = Notice { id: id.into(), title: format!("title of {id}"), ..Notice::default() };
    Message::new(Draft { alert: Key::new("default", "all"), channel: ops(), not_before: None, notice }, now)
}

fn webhook() -> Value {
    json!({"webhook": {"url": "http://127.0.0.1:1/x"}, "perMinute": 30, "suspend": false})
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_at_growing_intervals_with_the_same_id() {
    let rig = Rig::new(webhook()).await;
    let later = || Err(Failure::later("answered 500"));
    let receiver = Scripted::with(vec![later(), later(), later()]);
    let _stop = rig.deliver(&receiver);
    rig.put("a").await;
    pass(3).await;
    let status = rig.status();
    assert_eq!((status["queued"].clone(), status["failure"]["message"].clone()), (json!(1), json!("answered 500")));
    assert_eq!(status["conditions"][0]["reason"], "Undeliverable");
    pass(60).await;
    assert_eq!(receiver.came(), [("a".into(), 0, false), ("a".into(), 1, false), ("a".into(), 3, false), ("a".into(), 7, true)]);
    let status = rig.status();
    assert_eq!((status["queued"].clone(), status["delivered"].clone()), (json!(0), json!(1)));
    assert_eq!((status["conditions"][0]["status"].clone(), status["failure"].clone()), (json!("True"), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_may_say_when_it_wants_to_be_asked_again() {
    let rig = Rig::new(webhook()).await;
    let busy = Failure { after: Some(Duration::from_secs(90)), ..Failure::later("answered 429") };
    let receiver = Scripted::with(vec![Err(busy)]);
    let _stop = rig.deliver(&receiver);
    rig.put("a").await;
    pass(200).await;
    assert_eq!(receiver.came(), [("a".into(), 0, false), ("a".into(), 90, true)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_given_up_and_told_once() {
    let rig = Rig::new(webhook()).await;
    let receiver = Scripted::with(vec![Err(Failure::refused("answered 404")), Err(Failure::refused("answered 404"))]);
    let _stop = rig.deliver(&receiver);
    rig.put("a").await;
    rig.put("b").await;
    rig.put("c").await;
    pass(10).await;
    assert_eq!(receiver.came().len(), 3, "none is tried twice");
    let events = rig.store.list(Kind::Event, None).unwrap().items;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event["reason"].clone(), event["count"].clone()), (json!("Refused"), json!(2)));
    assert_eq!(event["involvedObject"]["kind"], "Channel");
    let status = rig.status();
    assert_eq!((status["givenUp"].clone(), status["delivered"].clone()), (json!(2), json!(1)));
}

#[tokio::test(start_paused = true)]
async fn one_that_its_receiver_chokes_on_does_not_keep_the_others() {
    let rig = Rig::new(webhook()).await;
    let receiver = Scripted::with((0..5).map(|_| Err(Failure::later("answered 500"))).collect());
    // Both wait before the first try: a paused clock runs on while the journal is written.
    rig.put("poison").await;
    pass(1).await;
    rig.put("b").await;
    let _stop = rig.deliver(&receiver);
    pass(300).await;
    let order: Vec<String> = receiver.came().into_iter().filter(|(.., taken)| *taken).map(|(id, ..)| id).collect();
    assert_eq!(order, ["b", "poison"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_sent_in_a_minute_than_the_channel_allows() {
    let mut spec = webhook();
    spec["perMinute"] = json!(5);
    let rig = Rig::new(spec).await;
    let receiver = Scripted::with(vec![]);
    let _stop = rig.deliver(&receiver);
    for number in 0..12 {
        rig.put(&format!("{number:02}")).await;
    }
    pass(59).await;
    assert_eq!(receiver.came().len(), 5);
    pass(60).await;
    assert_eq!(receiver.came().len(), 10);
    pass(60).await;
    assert_eq!(receiver.came().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn over_a_sigkill_what_waited_is_delivered_and_what_was_delivered_is_not() {
    let rig = Rig::new(webhook()).await;
    let receiver = Scripted::with(vec![Ok(()), Err(Failure::later("answered 500"))]);
    let stop = rig.deliver(&receiver);
    rig.put("a").await;
    pass(0).await;
    pass(1).await;
    rig.put("b").await;
    pass(1).await;
    stop.cancel();
    pass(1).await;
    let rig = rig.again();
    assert_eq!(rig.outbox.len(&ops()), 1);
    let _stop = rig.deliver(&receiver);
    pass(60).await;
    let taken: Vec<String> = receiver.came().into_iter().filter(|(.., taken)| *taken).map(|(id, ..)| id).collect();
    assert_eq!(taken, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn the_outbox_is_bounded_in_number_and_in_time() {
    let mut spec = webhook();
    spec["suspend"] = json!(true);
    let rig = Rig::new(spec).await;
    for number in 0..MOST {
        rig.put(&format!("{number:04}")).await;
    }
    let lost = rig.outbox.put(message("one too many", rig.clock.now())).await;
    assert_eq!(lost.iter().map(|message| message.notice.id.as_str()).collect::<Vec<_>>(), ["0000"]);
    assert_eq!(rig.outbox.len(&ops()), MOST);
    let receiver = Scripted::with(vec![]);
    let _stop = rig.deliver(&receiver);
    pass(73 * 3600).await;
    assert_eq!((rig.outbox.len(&ops()), receiver.came().len()), (0, 0));
    assert_eq!(rig.status()["conditions"][0]["reason"], "Undeliverable");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_channel_goes_with_it() {
    let rig = Rig::new(webhook()).await;
    let receiver = Scripted::with(vec![Err(Failure::later("down"))]);
    let _stop = rig.deliver(&receiver);
    rig.put("a").await;
    pass(0).await;
    rig.store.delete(Kind::Channel, &ops(), None).await.unwrap();
    pass(5).await;
    assert_eq!(rig.outbox.len(&ops()), 0);
    assert_eq!(receiver.came().iter().filter(|(.., taken)| *taken).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn much_at_once_is_one_message_for_people_and_each_for_programs() {
    let people = json!({"slack": {"urlFrom": {"file": "/nowhere"}}, "suspend": true, "perMinute": 30});
    let rig = Rig::new(people).await;
    let receiver = Scripted::with(vec![Err(Failure::later("down"))]);
    for number in 0..12 {
        rig.put(&format!("{number:02}")).await;
    }
    let stop = rig.deliver(&receiver);
    pass(1).await;
    stop.cancel();
    pass(1).await;
    assert_eq!(rig.outbox.len(&ops()), 1, "gathered, and suspended");
    let rig = rig.again();
    assert_eq!(rig.outbox.len(&ops()), 1);
    let resume = |channel: &mut Value| {
        channel["spec"]["suspend"] = json!(false);
        Ok::<_, crate::store::StoreError>(())
    };
    rig.store.modify(Kind::Channel, &ops(), crate::store::Part::Main, None, resume).await.unwrap();
    let _stop = rig.deliver(&receiver);
    pass(30).await;
    let came = receiver.came();
    assert_eq!(came.iter().map(|(.., taken)| *taken).collect::<Vec<_>>(), [false, true]);
    assert_eq!(came[0].0, came[1].0);
    assert_eq!(rig.status()["queued"], json!(0));

    let programs = Rig::new(webhook()).await;
    let receiver = Scripted::with(vec![]);
    for number in 0..12 {
        programs.put(&format!("{number:02}")).await;
    }
    let _stop = programs.deliver(&receiver);
    pass(30).await;
    assert_eq!(receiver.came().len(), 12);
}
