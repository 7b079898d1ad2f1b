//! What it costs to watch 200 containers: control groups are read, figures kept and held against rules each ten seconds.
//!
//! The tree of control groups is made up, the engine is the fake one, and time is simulated: what is measured is evenkeel's own work.
//! Goal: 1 % of a core, 10 MB.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that meets the unexpected fails")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::clock::{SharedClock, TokioClock};
use evenkeel::crd::HostMonitoring;
use evenkeel::docker::fake::FakeEngine;
use evenkeel::resources::{History, Kernel, Sampler, SamplerSettings};
use evenkeel::store::{Kind, Store};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const DEPLOYMENTS: usize = 40;
const REPLICAS: usize = 5;
const HOUR: Duration = Duration::from_secs(3600);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    println!("\nmonitoring of {} containers", DEPLOYMENTS * REPLICAS);
    let folder = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(TokioClock::starting_at("2026-01-01T12:00:00Z".parse().unwrap()));
    let engine = FakeEngine::new(Arc::clone(&clock), 1);
    let (store, _) = Store::open(&folder.path().join("store"), Arc::clone(&clock)).unwrap();
    for number in 0..DEPLOYMENTS {
        store.create(Kind::Deployment, deployment(number)).await.unwrap();
        (0..REPLICAS).for_each(|replica| lay(folder.path(), number * REPLICAS + replica));
    }

    let before = HEAP.current_usage_as_mb();
    let history = Arc::new(History::new(folder.path().join("metrics")));
    let settings = SamplerSettings {
        period: Duration::from_secs(10),
        host: HostMonitoring::default(),
        data_dir: folder.path().into(),
        kernel: Kernel { cgroups: folder.path().join("cgroup"), proc: folder.path().join("proc") },
    };
    let sampler = Sampler::new(Arc::new(engine), store.clone(), Arc::clone(&clock), Arc::clone(&history), settings);
    let stopping = CancellationToken::new();
    let work = tokio::spawn(sampler.run(stopping.clone()));
    tokio::time::sleep(HOUR).await;
    // An hour is in memory now: this one is as all that follow.
    let busy = cpu_seconds();
    tokio::time::sleep(HOUR).await;
    let busy = cpu_seconds() - busy;
    let heap = HEAP.current_usage_as_mb() - before;
    let known = history.latest(clock.now() - jiff::SignedDuration::from_secs(30)).len();
    assert_eq!(known, DEPLOYMENTS * REPLICAS, "all are sampled");
    stopping.cancel();
    work.await.unwrap();
    println!("  CPU, of a core                                      {:>9.3} %; goal 1", busy / HOUR.as_secs_f64() * 100.0);
    println!("  memory in use                                       {heap:>9.1} MB; goal 10");
}

/// A Deployment of which everything is watched, as the store has it.
fn deployment(number: usize) -> Value {
    let container = |replica: usize| {
        json!({"id": id(number * REPLICAS + replica), "name": format!("d{number}-app-{replica}"), "replica": replica + 1,
            "state": "running", "restarts": 0, "startedAt": "2026-01-01T11:00:00Z", "image": "app:1", "imageId": "sha256:1"})
    };
    let containers: Vec<Value> = (0..REPLICAS).map(container).collect();
    let rules = json!({
        "cpu": {"above": "80%"}, "memory": {"above": "90%"}, "network": {"above": "10MiB"}, "disk": {"above": "10MiB"},
        "pids": {"above": 100}, "restarts": {"above": 3}, "spike": {}, "growth": {},
    });
    json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": format!("d{number}"), "namespace": "default"},
        "spec": {"services": {"app": {"image": "app:1"}}, "monitoring": rules},
        "status": {"phase": "Running", "services": [{"name": "app", "containers": containers}]},
    })
}

fn id(container: usize) -> String {
    format!("{container:064x}")
}

/// The control group of a container, as version 2 has it, and its process.
fn lay(folder: &Path, container: usize) {
    let (group, process) =
        (folder.join("cgroup/docker").join(id(container)), folder.join("proc").join((1000 + container).to_string()));
    fs::create_dir_all(&group).unwrap();
    fs::create_dir_all(process.join("ns")).unwrap();
    fs::create_dir_all(process.join("net")).unwrap();
    fs::write(folder.join("cgroup/cgroup.controllers"), "cpu memory io pids").unwrap();
    let stat: String = (0..40).map(|line| format!("figure_{line} 123456789\n")).collect();
    for (name, text) in [
        ("cgroup.procs", format!("{}\n", 1000 + container)),
        ("cpu.stat", "usage_usec 123456\nuser_usec 1\nsystem_usec 1\n".into()),
        ("memory.current", "104857600\n".into()),
        ("memory.max", "max\n".into()),
        ("memory.stat", format!("anon 1\nfile 1\n{stat}inactive_file 4096\n{stat}")),
        ("io.stat", "8:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n".into()),
        ("pids.current", "7\n".into()),
    ] {
        fs::write(group.join(name), text).unwrap();
    }
    std::os::unix::fs::symlink(format!("net:[{}]", 5000 + container), process.join("ns/net")).unwrap();
    let device = |name: &str| format!("{name}: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n");
    fs::write(process.join("net/dev"), format!("Inter-|\n face |\n{}{}", device("lo"), device("eth0"))).unwrap();
}

/// CPU time of this process so far; the kernel counts hundredths.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}
