//! 1,000 Deployments of five services each on the fake engine: boot to all planned, turns a second, memory.
//!
//! The fake answers at once, so that what is measured is evenkeel's own work: reading the store, the picture of 5,000 containers,
//! a plan and a status for each Deployment. Goal: all planned within 2 s of the start, 150 MB.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that meets the unexpected fails")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel::clock::{SharedClock, SystemClock};
use evenkeel::controller::world::{World, WorldOptions};
use evenkeel::controller::{Controller, InputChannels, LogChannels, Options, ProbeChannels};
use evenkeel::docker::fake::{FakeEngine, FakeImage, Pace};
use evenkeel::model::{Key, RecoveryMode};
use evenkeel::registry::{Registry, WriteOptions};
use evenkeel::sources::inputs::Inputs;
use evenkeel::store::{Kind, Part, Store};
use peak_alloc::PeakAlloc;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Counts what is in use: the fake engine is in this process too, and what it takes is subtracted.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const DEPLOYMENTS: usize = 1_000;
const SERVICES: usize = 5;
const ROUNDS: usize = 5;
const RESYNC: Duration = Duration::from_secs(30);

fn main() {
    let planned = Planned::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(planned.clone())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(planned));
}

async fn measure(planned: Planned) {
    println!("\n{DEPLOYMENTS} deployments of {SERVICES} services on the fake engine");
    let clock: SharedClock = Arc::new(SystemClock);
    let engine = FakeEngine::new(Arc::clone(&clock), 1);
    engine.set_pace(Pace::instant());
    engine.add_image(FakeImage::new("app:1", 1));
    let folder = tempfile::tempdir().unwrap();

    let operator = Operator::start(folder.path(), &engine, &clock);
    let began = Instant::now();
    declare(&operator.registry).await;
    all_run(&engine).await;
    println!("  declared, admitted, made and started                {:>9.3} s", began.elapsed().as_secs_f64());
    operator.stop(folder.path(), &clock).await;

    let (mut times, mut heap) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        engine.forget_calls();
        planned.forget();
        let fake_alone = HEAP.current_usage_as_mb();
        let began = Instant::now();
        let operator = Operator::start(folder.path(), &engine, &clock);
        planned.all().await;
        times.push(began.elapsed().as_secs_f64());
        heap.push(f64::from(HEAP.current_usage_as_mb() - fake_alone));
        assert!(engine.changes().is_empty(), "a converged fleet is left alone");
        operator.stop(folder.path(), &clock).await;
    }
    times.sort_by(f64::total_cmp);
    let (low, median, high) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("  start to all planned                                {median:>9.3} s ({low:.3} to {high:.3}, n={ROUNDS}); goal 2");
    println!("  turns a second, the start included                  {:>9.0}", DEPLOYMENTS as f64 / median);
    heap.sort_by(f64::total_cmp);
    let (low, median, high) = (heap[0], heap[ROUNDS / 2], heap[ROUNDS - 1]);
    println!(
        "  memory in use, without the fake engine              {median:>9.1} MB ({low:.1} to {high:.1}, n={ROUNDS}); goal 150"
    );
}

struct Operator {
    registry: Registry,
    stopping: CancellationToken,
    work: Vec<JoinHandle<()>>,
}

impl Operator {
    fn start(folder: &Path, engine: &FakeEngine, clock: &SharedClock) -> Self {
        let (store, _) = Store::open(folder, Arc::clone(clock)).unwrap();
        let registry = Registry::new(store, Arc::clone(clock));
        let engine = Arc::new(engine.clone());
        let world = World::new(
            engine.clone(),
            registry.clone(),
            Arc::clone(clock),
            WorldOptions { sole: false, ..WorldOptions::default() },
        );
        let ((wishes, wished), (told, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let inputs = Inputs::new(wished, told, Arc::clone(clock), RESYNC);
        let options = Options {
            instance: "default".into(),
            bound: RecoveryMode::Auto,
            resync: RESYNC,
            manifests: None,
            sources: std::path::PathBuf::new(),
            api: None,
        };
        let channels = InputChannels { wishes, news };
        // Nothing is probed.
        let ((wishes, _), (_, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let probes = ProbeChannels { wishes, news };
        let ((wishes, _), (_, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let logs = LogChannels { wishes, news };
        let (me, clock) = (Arc::clone(&world), Arc::clone(clock));
        let controller = Controller::new(engine, me, registry.clone(), clock, options, channels, probes, logs);
        let stopping = CancellationToken::new();
        let (turns, look) = (controller.run(stopping.clone()), world.run(stopping.clone()));
        let work = vec![
            tokio::spawn(async { turns.await.unwrap() }),
            tokio::spawn(async { look.await.unwrap() }),
            tokio::spawn(inputs.run(stopping.clone())),
        ];
        Self { registry, stopping, work }
    }

    /// Ends it, and waits until the next one can open its data folder: a look or a job that was under way still has it.
    async fn stop(self, folder: &Path, clock: &SharedClock) {
        self.stopping.cancel();
        for work in self.work {
            work.await.unwrap();
        }
        drop(self.registry);
        while Store::open(folder, Arc::clone(clock)).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn declare(registry: &Registry) {
    let services: Map<String, Value> = (0..SERVICES).map(|n| (format!("s{n}"), json!({"image": "app:1"}))).collect();
    for number in 0..DEPLOYMENTS {
        let name = format!("d{number}");
        let object = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"}, "spec": {"services": services},
        });
        let (key, options) = (Key::new("default", name), WriteOptions::default());
        registry.replace(Kind::Deployment, &key, object, Part::Main, true, &options).await.unwrap();
    }
}

async fn all_run(engine: &FakeEngine) {
    let up = |engine: &FakeEngine| engine.containers().iter().filter(|container| container.is_up()).count();
    while up(engine) < DEPLOYMENTS * SERVICES {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Which Deployments have been planned, as the controller's own spans tell.
#[derive(Clone, Default)]
struct Planned(Arc<Mutex<HashSet<String>>>);

/// Whose turn a span is.
struct Turn(String);

impl Planned {
    fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    async fn all(&self) {
        while self.0.lock().unwrap().len() < DEPLOYMENTS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Planned {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "reconcile" {
            let mut turn = Turn(String::new());
            attributes.record(&mut turn);
            context.span(id).unwrap().extensions_mut().insert(turn);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id).filter(|span| span.name() == "plan") else { return };
        if let Some(parent) = span.parent()
            && let Some(Turn(deployment)) = parent.extensions().get()
        {
            self.0.lock().unwrap().insert(deployment.clone());
        }
    }
}

impl Visit for Turn {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "deployment" {
            self.0 = format!("{value:?}");
        }
    }
}
