//! The host of a story: a fake engine, a data folder, and an operator that can be killed and started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use proptest::test_runner::TestCaseError;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{SharedClock, TokioClock};
use crate::controller::world::{World, WorldOptions};
use crate::controller::{Controller, InputChannels, LogChannels, Options, ProbeChannels};
use crate::docker::fake::{Behaviour, FakeEngine, FakeImage, Life as Run};
use crate::model::{FailureKind, HealthStatus, LogNews, LogWish, RecoveryMode};
use crate::registry::Registry;
use crate::store::{Kind, Store};

use super::story::Work;
use super::wire::{Watch, Wire};

const RESYNC: Duration = Duration::from_secs(30);
/// Of the clock on the wall: a story takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// An operator.
pub struct Operator {
    pub controller: Arc<Controller>,
    pub registry: Registry,
    pub dead: CancellationToken,
    stopping: CancellationToken,
    work: Vec<JoinHandle<()>>,
    folder: TempDir,
}

/// The host.
pub struct Rig {
    pub engine: FakeEngine,
    pub clock: SharedClock,
    pub watch: Arc<Watch>,
    operator: Option<Operator>,
    /// What the operator before left on disk, and what of it could be read.
    left: Option<(TempDir, Vec<Value>)>,
    /// Folders of those that were killed: they may be written to still.
    graves: Vec<TempDir>,
}

/// Runs a story in a runtime of its own: time is paused, and writes are made one after the other, so that it can be repeated.
/// An error says that time stood still: somebody goes in circles without ever waiting.
pub fn play<T>(story: impl Future<Output = T>) -> Result<T, TestCaseError> {
    let (bark, barked) = tokio::sync::oneshot::channel();
    let (over, ended) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // It may have ended in this moment.
            let _ = bark.send(());
        }
    });
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).max_blocking_threads(1).build().unwrap();
    let result = runtime.block_on(async {
        tokio::select! {
            result = story => Ok(result),
            Ok(()) = barked => Err(TestCaseError::fail("time stands still: somebody goes in circles")),
        }
    });
    drop(over);
    // Whoever hangs in a call hangs for ever.
    runtime.shutdown_background();
    result
}

impl Rig {
    /// A host with all images on it, and nothing else.
    pub fn new(seed: u64) -> Self {
        let clock: SharedClock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let engine = FakeEngine::new(clock.clone(), seed);
        for work in Work::ALL {
            let image = FakeImage::new(&work.image(), 1);
            let image = if work == Work::Data { image.with_volume("/data") } else { image };
            engine.publish(&image);
            if work != Work::Remote {
                engine.add_image(image);
            }
            engine.behave(&work.image(), behaviour(work));
        }
        Self { engine, clock, watch: Arc::default(), operator: None, left: None, graves: vec![] }
    }

    /// The operator, if there is one now.
    pub fn operator(&self) -> Option<&Operator> {
        self.operator.as_ref()
    }

    /// Starts an operator on what the one before left. All that could be read then has to be there.
    pub fn start_operator(&mut self) {
        if self.operator.is_some() {
            return;
        }
        let (folder, written) = self.left.take().unwrap_or_else(|| (folder(), vec![]));
        let (store, opened) = Store::open(folder.path(), self.clock.clone()).unwrap();
        let found = readable(&store);
        // An index that was killed before its first flush is made anew, which loses nothing that was acknowledged.
        if found != written || opened.repaired.is_some() {
            self.watch.notes().broken.push(format!("an acknowledged write was lost: {opened:?}, {written:#?} became {found:#?}"));
        }
        let registry = Registry::new(store, self.clock.clone());
        let dead = CancellationToken::new();
        let engine = Arc::new(Wire {
            engine: self.engine.clone(),
            registry: registry.clone(),
            clock: self.clock.clone(),
            watch: self.watch.clone(),
            dead: dead.clone(),
        });
        let options = WorldOptions { resync: RESYNC, sole: false, ..WorldOptions::default() };
        let world = World::new(engine.clone(), registry.clone(), self.clock.clone(), options);
        let options = Options {
            instance: "default".into(),
            bound: RecoveryMode::Auto,
            resync: RESYNC,
            manifests: None,
            sources: PathBuf::new(),
            api: None,
        };
        // Nothing is built in these stories: nobody asks, and nobody answers.
        let ((wishes, _), (_, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let inputs = InputChannels { wishes, news };
        let ((wishes, _), (_, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let probes = ProbeChannels { wishes, news };
        // Logs say nothing: what failed is told by how it ended.
        let ((wishes, mut wished), (told, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        tokio::spawn(async move {
            while let Some(LogWish { key, replica, failed_at, .. }) = wished.recv().await {
                // Without a controller nobody listens.
                let _ = told.send(LogNews { key, replica, failed_at, lines: vec![] });
            }
        });
        let logs = LogChannels { wishes, news };
        let clock = self.clock.clone();
        let controller = Controller::new(engine, world.clone(), registry.clone(), clock, options, inputs, probes, logs);
        let stopping = CancellationToken::new();
        let (run, stop, look) = (controller.clone(), stopping.clone(), stopping.clone());
        let work = vec![
            tokio::spawn(async move { run.run(stop).await.unwrap() }),
            tokio::spawn(async move { world.run(look).await.unwrap() }),
        ];
        self.operator = Some(Operator { controller, registry, dead, stopping, work, folder });
    }

    /// SIGKILL: what is on disk in this moment is what is left.
    pub async fn kill_operator(&mut self) {
        let Some(operator) = self.operator.take() else { return };
        operator.dead.cancel();
        // In the thread of all writes: between two of them.
        let store = operator.registry.store().clone();
        let from = operator.folder.path().to_owned();
        let left = tokio::task::spawn_blocking(move || (copy(&from), readable(&store)));
        self.left = Some(left.await.unwrap());
        // What is left of it ends by itself, or hangs; nothing of that gets anywhere.
        operator.stopping.cancel();
        self.graves.push(operator.folder);
    }

    /// SIGTERM: turns under way are finished.
    pub async fn stop_operator(&mut self) {
        let Some(operator) = &mut self.operator else { return };
        operator.stopping.cancel();
        for work in operator.work.drain(..) {
            if tokio::time::timeout(Duration::from_secs(10), work).await.is_err() {
                break;
            }
        }
        self.kill_operator().await;
    }
}

/// All that was acknowledged: objects without what a status write changes.
fn readable(store: &Store) -> Vec<Value> {
    let kinds = [Kind::Deployment, Kind::Hold];
    let objects = kinds.into_iter().flat_map(|kind| store.list(kind, None).unwrap().items);
    let main = |object: Arc<Value>| {
        let mut object = (*object).clone();
        object["status"] = Value::Null;
        object["metadata"]["resourceVersion"] = Value::Null;
        object
    };
    objects.map(main).collect()
}

/// In memory: a story is about order, not about disks.
fn folder() -> TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { TempDir::new_in(shared) } else { TempDir::new() }.unwrap()
}

/// A copy of what is on disk at one moment: sled writes in a thread of its own, so what was read twice alike is taken.
fn copy(from: &Path) -> TempDir {
    let mut files = contents(from);
    loop {
        let again = contents(from);
        if again == files {
            break;
        }
        files = again;
    }
    let to = folder();
    for (path, bytes) in files {
        let to = to.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
    to
}

/// All files below a folder, by their path in it. One that is taken away meanwhile is not there.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        if path.is_dir() {
            files.extend(contents(&path).into_iter().map(|(below, bytes)| (name.join(below), bytes)));
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.insert(name, bytes);
        }
    }
    files
}

fn behaviour(work: Work) -> Behaviour {
    let second = Duration::from_secs(1);
    match work {
        Work::Plain | Work::Data | Work::Remote => Behaviour::forever(),
        Work::Slow => Behaviour::forever().stopping(3 * second, 0),
        Work::Deaf => Behaviour::forever().ignoring_stop(),
        Work::Probed => Behaviour::forever().with_health(&[(2 * second, HealthStatus::Healthy)]),
        Work::Job => Behaviour::exits(2 * second, 0),
        Work::Flaky => {
            let fails = Run::Exits { after: second, code: 1 };
            Behaviour::lives(vec![fails, fails, Run::Forever])
        }
        Work::Loop => Behaviour::exits(second, 1),
        Work::Broken => Behaviour::cannot_start(FailureKind::StartFailed, "exec: \"app\": not found"),
    }
}
