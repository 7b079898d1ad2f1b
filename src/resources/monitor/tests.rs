use std::time::Duration;

use super::*;
use crate::clock::TokioClock;
use crate::crd::ResourceCause;
use crate::resources::counters::Counters;
use crate::resources::host::Disk;

const PERIOD: Duration = Duration::from_secs(10);

fn at(second: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

/// A store with one Deployment of one replica that runs, and what is needed to look at it.
struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    monitor: Monitor,
    key: Key,
}

impl Bench {
    async fn new(monitoring: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), Arc::new(TokioClock::starting_at(at(0)))).unwrap();
        let key = Key::new("default", "web");
        let object = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"monitoring": monitoring}});
        store.create(Kind::Deployment, object).await.unwrap();
        let monitor = Self::monitor(&dir, &store);
        let bench = Self { dir, store, monitor, key };
        bench.status("Running", json!([{"id": "a", "replica": 1, "state": "running", "restarts": 0}])).await;
        bench
    }

    fn monitor(dir: &tempfile::TempDir, store: &Store) -> Monitor {
        let history = Arc::new(History::new(dir.path().join("metrics")));
        Monitor::new(store.clone(), history, HostMonitoring::default(), PERIOD)
    }

    /// An operator that is started anew.
    fn restart(&mut self) {
        self.monitor = Self::monitor(&self.dir, &self.store);
    }

    async fn status(&self, phase: &str, containers: Value) {
        let (phase, services) = (phase.to_owned(), json!([{"name": "app", "containers": containers}]));
        let write = move |object: &mut Value| {
            object["status"]["phase"] = phase.into();
            object["status"]["services"] = services;
            Ok::<_, StoreError>(())
        };
        self.store.modify(Kind::Deployment, &self.key, Part::Status, None, write).await.unwrap();
    }

    /// Looks, with that CPU for the replica where there is one.
    async fn look(&mut self, second: i64, cpu_percent: Option<f64>) {
        let nothing = Counters::default();
        let idle = Point::between(&nothing, &nothing, PERIOD, at(second)).unwrap();
        let measured = cpu_percent.map(|cpu_percent| Measured { point: Point { cpu_percent, ..idle }, memory_limit: None });
        let sampled = measured.into_iter().map(|measured| ("default/web/app-1".to_owned(), measured)).collect();
        let objects = self.store.list(Kind::Deployment, None).unwrap().items;
        self.monitor.look_at(&objects, &sampled, at(second)).await;
    }

    fn object(&self) -> Object {
        self.store.get(Kind::Deployment, &self.key).unwrap().unwrap()
    }

    fn alerts(&self) -> Vec<ResourceAlert> {
        serde_json::from_value(self.object()["status"]["alerts"].clone()).unwrap_or_default()
    }

    fn states(&self) -> Vec<(ResourceCause, AlertState)> {
        self.alerts().iter().map(|alert| (alert.cause, alert.state)).collect()
    }

    fn events(&self) -> Vec<String> {
        let events = self.store.list(Kind::Event, None).unwrap().items;
        let mut told: Vec<_> = events.iter().map(|event| format!("{} {}", event["reason"], event["message"])).collect();
        told.sort();
        told
    }
}

#[tokio::test]
async fn what_fires_stands_in_the_status_is_told_once_and_survives_a_restart() {
    let mut bench = Bench::new(json!({"cpu": {"above": "80%", "for": "20s"}})).await;
    bench.look(0, Some(50.0)).await;
    assert_eq!(bench.object()["status"]["alerts"], Value::Null, "what is fine is not written");
    bench.look(10, Some(90.0)).await;
    assert_eq!(bench.object()["status"]["alerts"], Value::Null, "nor is a single figure");
    bench.look(20, Some(90.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Pending)]);
    let version = bench.object()["metadata"]["resourceVersion"].clone();
    bench.look(25, Some(95.0)).await;
    assert_eq!(bench.object()["metadata"]["resourceVersion"], version, "a figure that changes is not written");
    bench.look(30, Some(99.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Firing)]);
    assert_eq!(bench.object()["status"]["phase"], "Running", "the rest of the status is the controller's");
    let fired = bench.alerts();

    bench.restart();
    bench.look(300, None).await;
    bench.look(310, Some(99.0)).await;
    assert_eq!(bench.alerts(), fired);
    assert_eq!(bench.events(), ["\"AlertFiring\" \"HighCpu: CPU of app-1 is 99.0%, above 80% for 20s\""]);
    bench.look(320, Some(10.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Resolved)]);
    assert_eq!(bench.events().len(), 2);
    bench.look(330 + 600, Some(10.0)).await;
    assert_eq!(bench.object()["status"]["alerts"], Value::Null);
    assert_eq!(bench.events().len(), 2);
}

#[tokio::test]
async fn a_container_that_is_gone_and_a_rule_that_is_gone_end_it() {
    let mut bench = Bench::new(json!({"cpu": {"above": "80%", "for": "0s"}})).await;
    bench.look(10, Some(90.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Firing)]);
    bench.status("Stopped", json!([])).await;
    bench.look(20, None).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Resolved)]);

    bench.status("Running", json!([{"id": "b", "replica": 1, "state": "running", "restarts": 0}])).await;
    bench.look(30, Some(90.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Firing)]);
    let drop_rules = |object: &mut Value| {
        object["spec"] = json!({});
        Ok::<_, StoreError>(())
    };
    bench.store.modify(Kind::Deployment, &bench.key, Part::Main, None, drop_rules).await.unwrap();
    bench.look(40, Some(90.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Resolved)]);
}

#[tokio::test]
async fn restarts_count_while_it_is_wanted_and_not_while_it_is_stopped() {
    let mut bench = Bench::new(json!({"restarts": {"above": 3}})).await;
    let ended = json!([{"id": "a", "replica": 1, "state": "exited", "restarts": 4}]);
    bench.status("Degraded", ended.clone()).await;
    bench.look(10, None).await;
    assert_eq!(bench.states(), [(ResourceCause::RestartsHigh, AlertState::Firing)]);
    bench.status("Stopped", ended).await;
    bench.look(20, None).await;
    assert_eq!(bench.states(), [(ResourceCause::RestartsHigh, AlertState::Resolved)]);
}

#[tokio::test]
async fn a_namesake_has_alerts_of_its_own() {
    let mut bench = Bench::new(json!({"cpu": {"above": "80%", "for": "0s"}})).await;
    bench.look(10, Some(90.0)).await;
    bench.store.delete(Kind::Deployment, &bench.key, None).await.unwrap();
    let object = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"monitoring": {"cpu": {"above": "80%"}}}});
    bench.store.create(Kind::Deployment, object).await.unwrap();
    bench.status("Running", json!([{"id": "c", "replica": 1, "state": "running", "restarts": 0}])).await;
    bench.look(20, Some(90.0)).await;
    assert_eq!(bench.states(), []);
    bench.look(30, Some(90.0)).await;
    assert_eq!(bench.states(), [(ResourceCause::HighCpu, AlertState::Pending)]);
}

#[tokio::test]
async fn alerts_of_the_host_are_heard_of_and_survive_a_restart() {
    let mut bench = Bench::new(Value::Null).await;
    let host = |used: u64, second: i64| HostPoint {
        at: at(second),
        cpu_percent: 1.0,
        cpus: 1,
        load: [0.0; 3],
        memory_used_bytes: 1,
        memory_total_bytes: 2,
        disks: vec![Disk { path: "/srv".into(), used_bytes: used, total_bytes: 100, used_inodes: 1, total_inodes: 100 }],
    };
    for step in 0..=30 {
        bench.monitor.look_at_host(&host(95, step * 10), at(step * 10)).await;
    }
    let heard = bench.monitor.history.host_alerts().borrow().clone();
    assert_eq!((heard[0].cause, heard[0].state), (ResourceCause::DiskFilling, AlertState::Firing));
    assert_eq!(bench.events(), ["\"AlertFiring\" \"DiskFilling: use of the disk of /srv is 95.0%, above 90% for 5m\""]);

    bench.restart();
    let again = bench.monitor.history.host_alerts().borrow().clone();
    assert_eq!(
        (again[0].cause, again[0].state),
        (ResourceCause::DiskFilling, AlertState::Firing),
        "known before the first sample"
    );
    bench.monitor.look_at_host(&host(95, 400), at(400)).await;
    assert_eq!(bench.events().len(), 1);
    bench.monitor.look_at_host(&host(50, 410), at(410)).await;
    assert_eq!(bench.events().len(), 2);
    bench.monitor.look_at_host(&host(50, 1100), at(1100)).await;
    assert_eq!(bench.store.note(NOTE).unwrap(), None);
}

#[tokio::test]
async fn what_fired_of_a_host_that_is_not_looked_at_any_more_is_over() {
    let mut bench = Bench::new(Value::Null).await;
    let fired = json!([{"cause": "DiskFilling", "subject": "/srv", "metric": "disk", "state": "Firing", "severity": "warning"}]);
    bench.store.put_note(NOTE, Some(fired)).await.unwrap();
    bench.restart();
    bench.monitor.look_away_from_host(at(10)).await;
    let shown = bench.monitor.history.host_alerts().borrow().clone();
    assert_eq!((shown.len(), shown[0].state), (1, AlertState::Resolved));
}
