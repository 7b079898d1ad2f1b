//! A repository of 1,000 manifests: first sync, a commit that changes one, a look at a quiet repository, memory over 1,000 commits.
//! And of one of 100: how long it takes from a webhook's message to the first call to Docker (the fake one).
//!
//! Over `file://`, so that what is measured is git's processes and evenkeel's own work, not a network. Goal: 2 s, 50 ms, 10 ms,
//! memory that does not grow with commits, 200 ms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that meets the unexpected fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use evenkeel::api::{ApiState, Host, PlanText, Planner, Readiness, router};
use evenkeel::clock::{SharedClock, SystemClock};
use evenkeel::controller::world::{World, WorldOptions};
use evenkeel::controller::{Controller, InputChannels, LogChannels, Options, ProbeChannels};
use evenkeel::docker::fake::{FakeEngine, FakeImage, Pace};
use evenkeel::model::{Key, RecoveryMode};
use evenkeel::registry::{Registry, WriteOptions};
use evenkeel::sources::inputs::Inputs;
use evenkeel::sources::{Keeper, Keepers, Surroundings};
use evenkeel::store::{Kind, Part, Store};
use ring::hmac;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const MANIFESTS: usize = 1_000;
const ROUNDS: usize = 20;
const COMMITS: usize = 1_000;
/// Manifests of the repository with a webhook.
const HOOKED: usize = 100;
const RESYNC: Duration = Duration::from_secs(30);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        measure().await;
        measure_hook().await;
    });
}

async fn measure() {
    println!("\na repository of {MANIFESTS} manifests");
    let folder = tempfile::tempdir().unwrap();
    let upstream = repository(folder.path(), MANIFESTS);

    let clock: SharedClock = Arc::new(SystemClock);
    let (store, _) = Store::open(&folder.path().join("data"), Arc::clone(&clock)).unwrap();
    let registry = Registry::new(store, Arc::clone(&clock));
    let key = Key::new("default", "bench");
    let source = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "bench"},
        "spec": {"git": {"url": format!("file://{}", upstream.display())}},
    });
    let options = WriteOptions::default();
    registry.replace(Kind::Source, &key, source, Part::Main, true, &options).await.unwrap();
    let surroundings = Surroundings::new(registry.clone(), clock, folder.path().join("sources"));
    let mut keeper = Keeper::new(key, surroundings);

    report("first sync", &[timed(&mut keeper).await]);
    assert_eq!(registry.store().list(Kind::Deployment, None).unwrap().items.len(), MANIFESTS);
    keeper.sync().await;
    let mut quiet = Vec::new();
    for _ in 0..ROUNDS {
        quiet.push(timed(&mut keeper).await);
    }
    report("nothing new", &quiet);
    let mut changed = Vec::new();
    for round in 0..ROUNDS {
        write(&upstream, round, round + 1);
        commit(&upstream);
        changed.push(timed(&mut keeper).await);
    }
    report("a commit that changes one", &changed);
    let mut memory = vec![resident()];
    for round in 0..COMMITS {
        write(&upstream, round % MANIFESTS, round + 100);
        commit(&upstream);
        keeper.sync().await;
        if (round + 1) % (COMMITS / 4) == 0 {
            memory.push(resident());
        }
    }
    println!("  memory before and over {COMMITS} more commits, MB        {memory:?}");
}

/// From the message of a webhook, sent when the commit is there, to the first call that changes something on the engine.
async fn measure_hook() {
    println!("\na repository of {HOOKED} manifests with a webhook");
    let folder = tempfile::tempdir().unwrap();
    let upstream = repository(folder.path(), HOOKED);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    let engine = FakeEngine::new(Arc::clone(&clock), 1);
    engine.set_pace(Pace::instant());
    for image in ["app:0", "db:1"] {
        engine.add_image(FakeImage::new(image, 1));
    }
    let (store, _) = Store::open(&folder.path().join("data"), Arc::clone(&clock)).unwrap();
    let registry = Registry::new(store, Arc::clone(&clock));
    let source = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "bench"},
        "spec": {
            "git": {"url": format!("file://{}", upstream.display())}, "interval": "1h",
            "webhook": {"type": "Generic", "secretFile": secret},
        },
    });
    let (key, options) = (Key::new("default", "bench"), WriteOptions::default());
    registry.replace(Kind::Source, &key, source, Part::Main, true, &options).await.unwrap();

    let stopping = CancellationToken::new();
    let _guard = stopping.clone().drop_guard();
    let seen = Arc::new(engine.clone());
    let options = WorldOptions { sole: false, ..WorldOptions::default() };
    let world = World::new(seen.clone(), registry.clone(), Arc::clone(&clock), options);
    let ((wishes, wished), (told, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let options = Options {
        instance: "default".into(),
        bound: RecoveryMode::Auto,
        resync: RESYNC,
        manifests: None,
        sources: std::path::PathBuf::new(),
        api: None,
    };
    let channels = InputChannels { wishes, news };
    // Nothing is probed, and no log is read.
    let ((to_probe, _), (_, probed)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let probes = ProbeChannels { wishes: to_probe, news: probed };
    let ((to_read, _), (_, read)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let logs = LogChannels { wishes: to_read, news: read };
    let (me, now) = (Arc::clone(&world), Arc::clone(&clock));
    let controller = Controller::new(seen.clone(), me, registry.clone(), now, options, channels, probes, logs);
    tokio::spawn(controller.run(stopping.clone()));
    tokio::spawn(world.run(stopping.clone()));
    tokio::spawn(Inputs::new(wished, told, Arc::clone(&clock), RESYNC).run(stopping.clone()));
    let surroundings = Surroundings::new(registry.clone(), Arc::clone(&clock), folder.path().join("sources"));
    tokio::spawn(Keepers::new(surroundings).run(stopping.clone()));
    let host = Host::new(seen, "default", folder.path(), clock.as_ref());
    let (_ready, readiness) = watch::channel(Readiness::default());
    let api = ApiState::new(registry, Arc::new(NoPlans), readiness, host, clock, stopping);

    let up = |engine: &FakeEngine| engine.containers().iter().filter(|container| container.is_up()).count();
    engine.until(|engine| up(engine) == 2 * HOOKED).await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let image = format!("app:{}", round + 1);
        engine.add_image(FakeImage::new(&image, 1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        engine.forget_calls();
        write(&upstream, round, round + 1);
        commit(&upstream);
        let began = Instant::now();
        post(&api).await;
        engine.until(|engine| !engine.changes().is_empty()).await;
        times.push(began.elapsed());
    }
    report("message to first call", &times);
}

async fn post(api: &ApiState) {
    let body = br#"{"ref": "refs/heads/main"}"#;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"s3cret"), body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = Request::post("/hooks/default/bench").header("x-signature", format!("sha256={hex}"));
    let answer = router(api.clone()).oneshot(request.body(Body::from(body.as_slice())).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 202);
}

struct NoPlans;

#[async_trait]
impl Planner for NoPlans {
    async fn plan(&self, _: &Key) -> Result<PlanText, String> {
        Err("not asked for".to_owned())
    }

    fn progress(&self, _: &Key) -> Value {
        Value::Null
    }

    fn projects(&self) -> Result<Value, String> {
        Err("not asked for".to_owned())
    }

    async fn plan_object(&self, _: Value, _: std::collections::BTreeMap<String, String>) -> Result<PlanText, String> {
        Err("not asked for".to_owned())
    }
}

/// Makes a repository with so many manifests.
fn repository(folder: &Path, manifests: usize) -> PathBuf {
    let upstream = folder.join("upstream");
    std::fs::create_dir(&upstream).unwrap();
    git(&upstream, &["init", "--quiet", "--initial-branch=main"]);
    git(&upstream, &["config", "gc.auto", "0"]);
    for number in 0..manifests {
        write(&upstream, number, 0);
    }
    commit(&upstream);
    upstream
}

async fn timed(keeper: &mut Keeper) -> Duration {
    let began = Instant::now();
    keeper.sync().await;
    began.elapsed()
}

fn report(what: &str, times: &[Duration]) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let (median, worst) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    println!("  {what:<45} median {:>9.1} ms, worst {:>9.1} ms", median.as_secs_f64() * 1e3, worst.as_secs_f64() * 1e3);
}

fn write(upstream: &Path, number: usize, version: usize) {
    let text = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata:\n  name: app-{number}\nspec:\n  services:\n    web:\n      \
         image: app:{version}\n      environment:\n        NUMBER: \"{number}\"\n    db:\n      image: db:1\n"
    );
    let path = upstream.join(format!("team-{}", number % 10)).join(format!("app-{number}.yaml"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn commit(upstream: &Path) {
    git(upstream, &["add", "--all"]);
    git(upstream, &["-c", "user.name=Ada", "-c", "user.email=ada@example", "commit", "--quiet", "--message", "change"]);
}

fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    assert!(command.args(args).status().unwrap().success(), "git {args:?}");
}

/// Resident memory of this process, in MB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096 / 1_000_000
}
