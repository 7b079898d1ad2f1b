//! Samples what runs, every ten seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::cgroup::Cgroups;
use super::counters::{Counters, Point};
use super::history::{History, Sample, name_of};
use super::host::HostReader;
use crate::clock::SharedClock;
use crate::docker::{Inside, Listener, Usage};
use crate::model::{Key, ReplicaId};
use crate::store::{Kind, Store};

/// Between two samples.
pub const PERIOD: Duration = Duration::from_secs(10);

/// How long a sample may take that asks the engine: those that have not answered by then are left out of it.
const DEADLINE: Duration = Duration::from_secs(8);

/// Containers that the engine is asked about at a time.
const AT_A_TIME: usize = 8;

/// How often old days are tidied up, in samples: once an hour.
const TIDY_EVERY: u64 = 360;

/// The worker that samples.
pub struct Sampler {
    engine: Arc<dyn Inside>,
    store: Store,
    clock: SharedClock,
    history: Arc<History>,
    /// The operator's data folder, whose disk matters too.
    data_dir: std::path::PathBuf,
    before: HashMap<String, Reading>,
}

/// What is read where the kernel's files are at hand.
struct Local {
    cgroups: Cgroups,
    host: Option<HostReader>,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    name: String,
    id: String,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    counters: Counters,
    /// Where the engine says it, who has measured it over a second.
    cpu_percent: Option<f64>,
}

impl Sampler {
    /// One that writes into `history`.
    pub fn new(
        engine: Arc<dyn Inside>,
        store: Store,
        clock: SharedClock,
        history: Arc<History>,
        data_dir: impl Into<std::path::PathBuf>,
    ) -> Self {
        Self { engine, store, clock, history, data_dir: data_dir.into(), before: HashMap::new() }
    }

    /// Samples until `stopping`.
    pub async fn run(mut self, stopping: CancellationToken) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut local = None;
        for count in 0_u64.. {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if local.is_none() {
                local = self.local().await;
            }
            let Some(here) = local.take() else { continue };
            local = self.sample(here).await;
            if count.is_multiple_of(TIDY_EVERY) {
                let (history, now) = (Arc::clone(&self.history), self.clock.now());
                let _ = tokio::task::spawn_blocking(move || history.tidy(now)).await;
            }
        }
    }

    /// What can be read here; `None`: the engine has not said yet where it is.
    async fn local(&self) -> Option<Local> {
        let facts = self.engine.facts().await.ok()?;
        let here = facts.listener != Listener::Remote;
        let folders = vec![facts.root_dir.into(), self.data_dir.clone()];
        Some(Local { cgroups: Cgroups::here(), host: here.then(|| HostReader::here(folders)) })
    }

    async fn sample(&mut self, mut local: Local) -> Option<Local> {
        let running = match self.running() {
            Ok(running) => running,
            Err(error) => {
                debug!(%error, "what runs cannot be read");
                return Some(local);
            }
        };
        let now = self.clock.now();
        let (wanted, at) = (running.clone(), Instant::now());
        let read = tokio::task::spawn_blocking(move || {
            local.cgroups.keep(|id| wanted.iter().any(|running| running.id == id));
            let host = local.host.as_mut().and_then(|host| host.read(now));
            let counters: Vec<_> = wanted.iter().map(|running| local.cgroups.read(&running.id)).collect();
            (local, host, counters)
        });
        let (local, host, counters) = match read.await {
            Ok(read) => read,
            Err(error) => {
                warn!(%error, "reading figures of control groups panicked; it begins anew");
                return None;
            }
        };
        let mut readings: Vec<(Running, Reading)> = vec![];
        let mut unread = vec![];
        for (running, counters) in running.into_iter().zip(counters) {
            match counters {
                Some(counters) => readings.push((running, Reading { at, counters, cpu_percent: None })),
                None => unread.push(running),
            }
        }
        readings.extend(self.ask(unread).await);
        let replicas = self.points(readings, now);
        self.history.take(now, Sample { host, replicas });
        Some(local)
    }

    /// Asks the engine.
    async fn ask(&self, containers: Vec<Running>) -> Vec<(Running, Reading)> {
        let asked = stream::iter(containers).map(|running| async move {
            let usage = self.engine.usage(&running.id).await.ok()?;
            Some((running, Reading { at: Instant::now(), counters: counters(&usage), cpu_percent: Some(usage.cpu_percent) }))
        });
        let answers = asked.buffer_unordered(AT_A_TIME).take_until(Box::pin(sleep(DEADLINE)));
        answers.filter_map(|answer| async move { answer }).collect().await
    }

    /// What has been used since the readings before, which these take the place of.
    fn points(&mut self, readings: Vec<(Running, Reading)>, now: jiff::Timestamp) -> Vec<(String, Point)> {
        let mut points = vec![];
        let mut latest = HashMap::new();
        for (running, reading) in readings {
            if let Some(before) = self.before.get(&running.id) {
                let passed = reading.at.duration_since(before.at);
                let point = Point::between(&before.counters, &reading.counters, passed, now);
                points.extend(point.map(|point| {
                    (running.name, Point { cpu_percent: reading.cpu_percent.unwrap_or(point.cpu_percent), ..point })
                }));
            }
            latest.insert(running.id, reading);
        }
        self.before = latest;
        points
    }

    /// All containers of Deployments that run, as the statuses say.
    fn running(&self) -> Result<Vec<Running>, crate::store::StoreError> {
        let listing = self.store.list(Kind::Deployment, None)?;
        Ok(listing.items.iter().flat_map(|object| running_of(object)).collect())
    }
}

/// The containers that run of one Deployment.
fn running_of(object: &Value) -> Vec<Running> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = Key::new(text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let services = object["status"]["services"].as_array().into_iter().flatten();
    let containers = services.flat_map(|service| {
        let containers = service["containers"].as_array().into_iter().flatten();
        containers.map(|container| (text(&service["name"]), container))
    });
    let up = containers.filter(|(_, container)| container["state"] == "running");
    up.map(|(service, container)| {
        let number = container["replica"].as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default();
        Running { name: name_of(&key, &ReplicaId { service, number }), id: text(&container["id"]) }
    })
    .collect()
}

/// Of CPU time the engine tells a difference only.
fn counters(usage: &Usage) -> Counters {
    Counters {
        cpu_nanos: 0,
        memory_bytes: usage.memory_bytes,
        network_received_bytes: usage.network_received_bytes,
        network_sent_bytes: usage.network_sent_bytes,
        block_read_bytes: usage.block_read_bytes,
        block_written_bytes: usage.block_written_bytes,
        pids: usage.pids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_read_from_the_status() {
        let object = serde_json::json!({
            "metadata": {"namespace": "shop", "name": "web"},
            "status": {"services": [
                {"name": "app", "containers": [
                    {"id": "a", "replica": 1, "state": "running"}, {"id": "b", "replica": 2, "state": "exited"},
                ]},
                {"name": "db", "containers": [{"id": "c", "replica": 1, "state": "running"}]},
            ]},
        });
        let running = |name: &str, id: &str| Running { name: name.into(), id: id.into() };
        assert_eq!(running_of(&object), [running("shop/web/app-1", "a"), running("shop/web/db-1", "c")]);
        assert!(running_of(&serde_json::json!({"metadata": {"name": "web"}})).is_empty());
    }
}
