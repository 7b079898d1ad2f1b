//! Samples what runs, every ten seconds, keeps it, and has it held against what is declared.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::cgroup::Cgroups;
use super::counters::{Counters, Point};
use super::history::{History, Sample, name_of};
use super::host::{Disks, HostPoint, HostReader};
use super::monitor::{Measured, Monitor, Sampled, containers};
use crate::clock::SharedClock;
use crate::crd::HostMonitoring;
use crate::docker::{Inside, Usage};
use crate::model::Key;
use crate::store::{Kind, Store};

/// How long a sample may take that asks the engine: those that have not answered by then are left out of it.
pub(super) const DEADLINE: Duration = Duration::from_secs(8);

/// How long the engine may take to say where it keeps what it has, before a sample is taken without that.
const FACTS_DEADLINE: Duration = Duration::from_secs(2);

/// Containers that the engine is asked about at a time.
const AT_A_TIME: usize = 8;

/// Where the engine keeps what it has, until it has said so itself.
const ENGINE_ROOT: &str = "/var/lib/docker";

/// How often old days are tidied up.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// The worker that samples.
pub struct Sampler {
    engine: Arc<dyn Inside>,
    store: Store,
    clock: SharedClock,
    history: Arc<History>,
    monitor: Monitor,
    settings: SamplerSettings,
    before: HashMap<String, Reading>,
}

/// How it is sampled, and what is watched of the host.
#[derive(Debug, Clone)]
pub struct SamplerSettings {
    /// Between two samples.
    pub period: Duration,
    /// What is watched of the host.
    pub host: HostMonitoring,
    /// The operator's data folder, whose disk matters too.
    pub data_dir: PathBuf,
    /// Where it is read.
    pub kernel: Kernel,
}

/// Where the kernel tells what is used.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Its control groups.
    pub cgroups: PathBuf,
    /// Its processes, and figures of the machine.
    pub proc: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { cgroups: "/sys/fs/cgroup".into(), proc: "/proc".into() }
    }
}

/// What is read where the kernel's files are at hand.
struct Local {
    cgroups: Cgroups,
    host: Option<HostReader>,
}

/// The disks that matter.
struct Known {
    disks: Disks,
    /// The engine has said which is its own.
    is_certain: bool,
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
        settings: SamplerSettings,
    ) -> Self {
        history.sampled_every(settings.period);
        let monitor = Monitor::new(store.clone(), Arc::clone(&history), settings.host.clone(), settings.period);
        Self { engine, store, clock, history, monitor, settings, before: HashMap::new() }
    }

    /// Samples until `stopping`.
    pub async fn run(mut self, stopping: CancellationToken) {
        let mut ticks = interval(self.settings.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.beside(|history, now| history.warm_up(now)).await;
        let is_here = self.engine.is_local();
        if !is_here {
            self.monitor.look_away_from_host(self.clock.now()).await;
        }
        let (mut local, mut tidied) = (None, None::<Instant>);
        let mut known = Known { disks: self.disks(ENGINE_ROOT), is_certain: false };
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // An engine that is away, or hangs, keeps nobody from looking at its disk.
            if is_here
                && !known.is_certain
                && let Ok(Ok(facts)) = timeout(FACTS_DEADLINE, self.engine.facts()).await
            {
                known = Known { disks: self.disks(&facts.root_dir), is_certain: true };
            }
            let here = local.take().unwrap_or_else(|| self.local(is_here));
            local = self.sample(here, &mut known.disks).await;
            if tidied.is_none_or(|last| last.elapsed() >= TIDY_EVERY) {
                self.beside(|history, now| history.tidy(now)).await;
                tidied = Some(Instant::now());
            }
        }
    }

    /// Does what reads or writes files where it holds nobody up.
    async fn beside(&self, work: impl FnOnce(&History, Timestamp) + Send + 'static) {
        let (history, now) = (Arc::clone(&self.history), self.clock.now());
        if let Err(error) = tokio::task::spawn_blocking(move || work(&history, now)).await {
            warn!(%error, "reading or writing figures panicked; it is left out");
        }
    }

    /// What can be read here, where the engine is on this machine.
    fn local(&self, is_here: bool) -> Local {
        let Kernel { cgroups, proc } = &self.settings.kernel;
        Local { cgroups: Cgroups::at(cgroups, proc), host: is_here.then(|| HostReader::at(proc)) }
    }

    /// The file systems of the engine, of the operator, and of the folders that are declared.
    fn disks(&self, engine: &str) -> Disks {
        let own = [PathBuf::from(engine), self.settings.data_dir.clone()].into_iter();
        Disks::of(own.chain(self.settings.host.paths.iter().map(PathBuf::from)))
    }

    async fn sample(&mut self, mut local: Local, disks: &mut Disks) -> Option<Local> {
        let objects = match self.store.list(Kind::Deployment, None) {
            Ok(listing) => listing.items,
            Err(error) => {
                debug!(%error, "what runs cannot be read");
                return Some(local);
            }
        };
        let running: Vec<Running> = objects.iter().flat_map(|object| running_of(object)).collect();
        self.before.retain(|id, _| running.iter().any(|running| running.id == *id));
        let disks = if local.host.is_some() { disks.read().await } else { vec![] };
        let now = self.clock.now();
        let (wanted, at) = (running.clone(), Instant::now());
        let read = tokio::task::spawn_blocking(move || {
            local.cgroups.keep(|id| wanted.iter().any(|running| running.id == id));
            let host = local.host.as_mut().and_then(|host| host.read(now, disks));
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
        // Before the engine is asked, which may take a while.
        if let Some(host) = &host {
            self.monitor.look_at_host(host, now).await;
        }
        let mut readings: Vec<(Running, Reading)> = vec![];
        let mut unread = vec![];
        for (running, counters) in running.into_iter().zip(counters) {
            match counters {
                Some(counters) => readings.push((running, Reading { at, counters, cpu_percent: None })),
                None => unread.push(running),
            }
        }
        // Where there is no time for all, those that were measured longest ago have their turn.
        unread.sort_by_key(|running| self.before.get(&running.id).map(|reading| reading.at));
        readings.extend(self.ask(unread).await);
        let sampled = self.measured(readings, host.as_ref(), now);
        self.keep(&sampled, host, now).await;
        self.monitor.look_at(&objects, &sampled, now).await;
        Some(local)
    }

    async fn keep(&self, sampled: &Sampled, host: Option<HostPoint>, now: Timestamp) {
        let replicas = sampled.iter().map(|(name, measured)| (name.clone(), measured.point)).collect();
        if let Some(minute) = self.history.take(now, Sample { host, replicas }) {
            self.beside(move |history, _| history.write_down(&minute)).await;
        }
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

    /// What has been used since the readings before, which these take the place of. One that could not be read keeps the one before.
    fn measured(&mut self, readings: Vec<(Running, Reading)>, host: Option<&HostPoint>, now: Timestamp) -> Sampled {
        let machine = host.map(|host| host.memory_total_bytes);
        let mut sampled = Sampled::new();
        for (running, reading) in readings {
            if let Some(before) = self.before.get(&running.id) {
                let passed = reading.at.duration_since(before.at);
                let point = Point::between(&before.counters, &reading.counters, passed, now);
                sampled.extend(point.map(|point| {
                    let point = Point { cpu_percent: reading.cpu_percent.unwrap_or(point.cpu_percent), ..point };
                    let own = Some(reading.counters.memory_limit_bytes).filter(|limit| *limit > 0);
                    (running.name, Measured { point, memory_limit: own.into_iter().chain(machine).min() })
                }));
            }
            self.before.insert(running.id, reading);
        }
        sampled
    }
}

/// The containers that run of one Deployment, as its status says.
fn running_of(object: &Value) -> Vec<Running> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = Key::new(text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let up = containers(object).into_iter().filter(|(_, container)| container["state"] == "running");
    up.map(|(replica, container)| Running { name: name_of(&key, &replica), id: text(&container["id"]) }).collect()
}

/// Of CPU time the engine tells a difference only.
fn counters(usage: &Usage) -> Counters {
    Counters {
        cpu_nanos: 0,
        memory_bytes: usage.memory_bytes,
        memory_limit_bytes: usage.memory_limit_bytes,
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
