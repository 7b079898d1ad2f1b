//! A month in which Deployments fail at random and receivers are away at random, told by the whole module over a real store under
//! paused time: no message is lost or doubled, quiet hours are kept, and no Channel gets more than it allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{SharedClock, TokioClock};
use crate::crd::{ChannelSpec, Kind as CrdKind, admit};
use crate::model::Key;
use crate::notify::notice::{News, Notice};
use crate::notify::send::{Failure, Transport};
use crate::notify::{Notifier, Outbox, Postmen};
use crate::store::{Kind, Part, Store, StoreError};

const DAYS: u64 = 30;
const DEPLOYMENTS: usize = 6;
const PER_MINUTE: u32 = 4;

/// Receivers that are away for hours at a time. What they take is kept, with the Channel's address.
struct Weather {
    clock: SharedClock,
    taken: Mutex<Vec<(String, Notice, Timestamp)>>,
    attempts: Mutex<BTreeMap<String, Vec<Instant>>>,
}

#[async_trait]
impl Transport for Weather {
    async fn send(&self, channel: &ChannelSpec, notice: &Notice) -> Result<(), Failure> {
        let name = channel.webhook.as_ref().and_then(|webhook| webhook.url.clone()).unwrap();
        self.attempts.lock().unwrap().entry(name.clone()).or_default().push(Instant::now());
        let now = self.clock.now();
        // Away for two of each seven hours, at other times on each Channel; and each fifth second it answers nonsense.
        let hour = now.as_second() / 3600 + i64::try_from(name.len()).unwrap();
        if hour % 7 < 2 || now.as_second() % 5 == 0 {
            return Err(Failure::later("away"));
        }
        self.taken.lock().unwrap().push((name, notice.clone(), now));
        Ok(())
    }
}

struct Month {
    store: Store,
    /// State of a small generator (splitmix64): the same month each time.
    random: u64,
}

impl Month {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    async fn put(&self, kind: Kind, crd: CrdKind, name: &str, spec: Value) {
        let object = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": crd.name(), "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        self.store.create(kind, admit(crd, object, None, false).unwrap().object).await.unwrap();
    }

    async fn say(&self, name: &str, phase: &str, status: &str, reason: &str) {
        let status =
            json!({"phase": phase, "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": reason}]});
        let write = move |object: &mut Value| {
            object["status"] = status;
            Ok::<_, StoreError>(())
        };
        self.store.modify(Kind::Deployment, &Key::new("default", name), Part::Status, None, write).await.unwrap();
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_month_of_failures_is_told_without_a_loss_or_a_double() {
    let folder = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(TokioClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap()));
    let (store, _) = Store::open(folder.path(), Arc::clone(&clock)).unwrap();
    let mut month = Month { store: store.clone(), random: 7 };
    let names: Vec<String> = (0..DEPLOYMENTS).map(|number| format!("app{number}")).collect();
    for name in &names {
        let spec = json!({"services": {"web": {"image": "web:1"}}, "recovery": {"verifyWindow": "60s"}});
        month.put(Kind::Deployment, CrdKind::Deployment, name, spec).await;
        month.say(name, "Running", "True", "Running").await;
    }
    for (channel, url) in [("day", "http://127.0.0.1/day"), ("all", "http://127.0.0.1/every")] {
        month.put(Kind::Channel, CrdKind::Channel, channel, json!({"webhook": {"url": url}, "perMinute": PER_MINUTE})).await;
    }
    month.put(Kind::Alert, CrdKind::Alert, "all", json!({"channels": ["all"]})).await;
    let quiet = json!([{"from": "22:00", "to": "07:00"}]);
    month
        .put(
            Kind::Alert,
            CrdKind::Alert,
            "day",
            json!({"channels": ["day"], "timeZone": "Europe/Berlin", "quietHours": quiet, "reports": {"daily": "12:00"}}),
        )
        .await;

    let weather = Arc::new(Weather { clock: Arc::clone(&clock), taken: Mutex::default(), attempts: Mutex::default() });
    let mut stopping = CancellationToken::new();
    let begin = |stopping: &CancellationToken| {
        let outbox = Outbox::open(store.clone());
        let transport: Arc<dyn Transport> = Arc::clone(&weather) as Arc<dyn Transport>;
        tokio::spawn(Notifier::new(store.clone(), outbox.clone(), Arc::clone(&clock), "host".into()).run(stopping.clone()));
        tokio::spawn(Postmen::new(store.clone(), outbox, Arc::clone(&clock), transport).run(stopping.clone()));
    };
    begin(&stopping);

    // Each failure lasts for minutes, then all is well for at least two hours: long enough to be an incident of its own.
    let (end, mut failures) = (clock.now().as_second() + i64::try_from(DAYS * 86_400).unwrap(), 0_usize);
    while clock.now().as_second() < end {
        let gap = 7200 + month.below(6 * 3600);
        pass(gap).await;
        let many = 1 + usize::try_from(month.below(DEPLOYMENTS as u64)).unwrap();
        for name in &names[..many] {
            month.say(name, "Degraded", "False", "Unhealthy").await;
            failures += 1;
        }
        let lasts = 30 + month.below(1200);
        pass(lasts).await;
        // Now and then the operator dies and is started anew.
        if month.below(4) == 0 {
            stopping.cancel();
            pass(5).await;
            stopping = CancellationToken::new();
            begin(&stopping);
        }
        for name in &names[..many] {
            month.say(name, "Running", "True", "Running").await;
        }
    }
    pass(12 * 3600).await;

    let taken = weather.taken.lock().unwrap().clone();
    assert!(failures > 200, "{failures}");
    let of =
        |channel: &str, kind: News| taken.iter().filter(|(url, notice, _)| url.ends_with(channel) && notice.kind == kind).count();
    assert_eq!((of("every", News::Opened), of("every", News::Resolved)), (failures, failures));
    let ids: BTreeSet<&String> = taken.iter().map(|(_, notice, _)| &notice.id).collect();
    assert_eq!(ids.len(), taken.len(), "a message was taken twice");

    let berlin = crate::crd::times::zone("Europe/Berlin").unwrap();
    let hour = |at: Timestamp, zone: &TimeZone| at.to_zoned(zone.clone()).hour();
    for (_, notice, _) in taken.iter().filter(|(url, notice, _)| url.ends_with("day") && notice.kind != News::Report) {
        let decided = hour(notice.at.unwrap(), &berlin);
        assert!((7..22).contains(&decided), "told in quiet hours: {notice:?}");
    }
    let by_day = of("day", News::Opened);
    assert!(by_day > failures / 3 && by_day < failures, "{by_day} of {failures}");
    assert_eq!(by_day, of("day", News::Resolved));
    assert!((29..=31).contains(&of("day", News::Report)), "{}", of("day", News::Report));

    for (channel, attempts) in weather.attempts.lock().unwrap().iter() {
        let most = usize::try_from(PER_MINUTE).unwrap();
        for window in attempts.windows(most + 1) {
            let took = window[most].duration_since(window[0]);
            // A start of the operator forgets what the one before it had sent.
            assert!(took >= Duration::from_secs(5), "{channel}: {most} and one more in {took:?}");
        }
    }
    let incidents = store.list(Kind::Incident, None).unwrap().items;
    assert!(incidents.len() <= 501, "{}", incidents.len());
}
