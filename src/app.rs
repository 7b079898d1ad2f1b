//! Wires the operator: which parts there are, in which order they start and end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::{self, ApiState, Host, PlanText, Planner, Readiness};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Settings;
use crate::controller::preview::Preview;
use crate::controller::world::{View, World, WorldOptions};
use crate::controller::{Controller, InputChannels, LogChannels, Options, ProbeChannels};
use crate::diagnose::Logs;
use crate::docker::{self, Engine, Inside};
use crate::health::{Asker, Health};
use crate::model::{About, Happening, Key, Reason, Severity};
use crate::notify::{Notifier, Outbox, Postmen, Wire, host_name};
use crate::registry::Registry;
use crate::resources::{Kernel, Sampler, SamplerSettings};
use crate::sources::inputs::Inputs;
use crate::sources::{Keepers, Surroundings, made};
use crate::store::{self, Opened, Store, StoreError};
use crate::{systemd, telemetry};

/// How often readiness is looked at.
const READINESS_PERIOD: Duration = Duration::from_millis(500);

/// How long turns under way may take to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Runs the operator until SIGTERM or SIGINT. Containers are left running.
///
/// # Errors
/// When the store, the engine's address or the API's listeners cannot be used, or another operator does this one's work.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&settings.telemetry)?;
    let result = operate(settings).await;
    systemd::stopping();
    telemetry.shutdown().await;
    result
}

async fn operate(settings: Settings) -> anyhow::Result<()> {
    let clock: SharedClock = Arc::new(SystemClock);
    let (store, opened) = Store::open(&settings.data_dir, Arc::clone(&clock))?;
    tell_opened(&store, opened).await;
    let registry = Registry::new(store.clone(), Arc::clone(&clock));
    let client = Arc::new(docker::connect(settings.docker_host.as_deref(), settings.docker_config.as_deref())?);
    let engine: Arc<dyn Engine> = Arc::clone(&client) as Arc<dyn Engine>;
    let server = api::Server::bind(&api_settings(&settings), clock.as_ref()).await?;

    let options = WorldOptions { instance: settings.instance.clone(), resync: settings.resync, ..WorldOptions::default() };
    let world = World::new(Arc::clone(&engine), registry.clone(), Arc::clone(&clock), options);
    let ((wishes, wished), (told, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let ((to_read, to_be_read), (said, read)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let ((to_probe, probes), (to_tell, probed)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let controller = Controller::new(
        Arc::clone(&engine),
        Arc::clone(&world),
        registry.clone(),
        Arc::clone(&clock),
        Options {
            instance: settings.instance.clone(),
            bound: settings.mode,
            resync: settings.resync,
            manifests: settings.manifests.clone(),
            sources: settings.data_dir.join("sources"),
            api: server.url(),
        },
        InputChannels { wishes, news },
        ProbeChannels { wishes: to_probe, news: probed },
        LogChannels { wishes: to_read, news: read },
    );
    let logs = Logs::new(Arc::clone(&client) as Arc<dyn Inside>, to_be_read, said);
    let asker = Arc::new(Asker::new(Arc::clone(&client) as Arc<dyn Inside>, Arc::clone(&clock)));
    let health = Health::new(probes, to_tell, asker, Arc::clone(&clock));
    let inputs = Inputs::new(wished, told, Arc::clone(&clock), settings.resync);

    made::make(&registry, &settings.asked()).await?;
    let surroundings = Surroundings::new(registry.clone(), Arc::clone(&clock), settings.data_dir.join("sources"));

    let outbox = Outbox::open(store.clone());
    let host = Host::new(client, settings.instance.clone(), settings.data_dir.clone(), clock.as_ref());
    let sampled = SamplerSettings {
        period: settings.sample_interval,
        host: settings.host_monitoring.clone(),
        data_dir: settings.data_dir.clone(),
        kernel: Kernel::default(),
    };
    let sampler = Sampler::new(host.engine.clone(), store.clone(), Arc::clone(&clock), Arc::clone(&host.usage), sampled);
    let notifier = Notifier::new(store.clone(), outbox.clone(), Arc::clone(&clock), host_name());
    let notifier = notifier.hearing(host.usage.host_alerts());
    let postmen = Postmen::new(store.clone(), outbox, Arc::clone(&clock), Arc::new(Wire));

    let stopping = CancellationToken::new();
    let (readiness, ready) = watch::channel(Readiness { engine: Some("not looked at yet".into()), ..Readiness::default() });
    let planner: Arc<dyn Planner> = Arc::new(Previews(Arc::clone(&controller)));
    let state = ApiState::new(registry.clone(), planner, ready, host, Arc::clone(&clock), stopping.clone());
    let api = tokio::spawn(server.serve(state));
    let mut work = tokio::task::JoinSet::new();
    work.spawn(Arc::clone(&controller).run(stopping.clone()));
    work.spawn(Arc::clone(&world).run(stopping.clone()));
    work.spawn(quietly(inputs.run(stopping.clone())));
    work.spawn(quietly(health.run(stopping.clone())));
    work.spawn(quietly(logs.run(stopping.clone())));
    work.spawn(quietly(notifier.run(stopping.clone())));
    work.spawn(quietly(postmen.run(stopping.clone())));
    work.spawn(quietly(sampler.run(stopping.clone())));
    work.spawn(quietly(Keepers::new(surroundings).run(stopping.clone())));
    work.spawn(quietly(watch_engine(Arc::clone(&world), readiness, stopping.clone())));
    tokio::spawn(name_engine(engine));
    tokio::spawn(systemd::watchdog());
    systemd::ready();
    announce(&settings);

    let result = tokio::select! {
        signal = ended() => { info!(signal, "stopping; containers are left running"); Ok(()) }
        // Nobody would look after the containers any more: the service manager starts it anew.
        Some(part) = work.join_next() => Err(match part {
            Ok(Ok(())) => anyhow::anyhow!("a part of the operator ended before it was told to"),
            // Another operator does this one's work.
            Ok(Err(error @ StoreError::Locked(_))) => error.into(),
            Ok(Err(error)) => anyhow::Error::from(error).context("a part of the operator failed"),
            Err(panic) => anyhow::Error::from(panic).context("a part of the operator panicked"),
        }),
    };
    stopping.cancel();
    let finish = async { while work.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, finish).await.is_err() {
        warn!("some work did not end within {} s and is cut off", SHUTDOWN_GRACE.as_secs());
    }
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, api).await;
    result
}

/// Says which engine this is, once it answers.
async fn name_engine(engine: Arc<dyn Engine>) {
    let info = loop {
        match engine.info().await {
            Ok(info) => break info,
            Err(_) => tokio::time::sleep(READINESS_PERIOD).await,
        }
    };
    info!(version = info.version, api = info.api_version, host = info.host, "working on this Docker Engine");
}

async fn ended() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// A worker that has no result, as one of those that have.
async fn quietly(work: impl Future<Output = ()>) -> store::Result<()> {
    work.await;
    Ok(())
}

/// Keeps `/readyz` true.
async fn watch_engine(world: Arc<World>, readiness: watch::Sender<Readiness>, stopping: CancellationToken) {
    let mut ticks = tokio::time::interval(READINESS_PERIOD);
    while !stopping.is_cancelled() {
        ticks.tick().await;
        let engine = match world.view() {
            View::Seen(_) => None,
            View::Blind { why, .. } => Some(why),
        };
        readiness.send_if_modified(|ready| {
            let changed = ready.engine != engine;
            ready.engine = engine;
            changed
        });
    }
}

/// Says what was found when the store was opened: in the log and as Events.
async fn tell_opened(store: &Store, opened: Opened) {
    let found =
        [(Reason::StoreRebuilt, opened.rebuilt), (Reason::StoreRepaired, opened.repaired), (Reason::StoreDamaged, opened.lost)];
    for (reason, message) in found.into_iter().filter_map(|(reason, message)| Some((reason, message?))) {
        warn!(%reason, "{message}");
        let happening = Happening { about: About::Host, reason, severity: Severity::Warning, message, trace_id: None };
        if let Err(error) = store.tell(happening).await {
            warn!(%error, "writing an Event failed");
        }
    }
}

fn api_settings(settings: &Settings) -> api::Settings {
    api::Settings {
        data_dir: settings.data_dir.clone(),
        socket: Some(settings.socket.clone()),
        listen: settings.listen,
        insecure_loopback: settings.insecure_loopback,
    }
}

fn announce(settings: &Settings) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        instance = settings.instance,
        data_dir = %settings.data_dir.display(),
        socket = %settings.socket.display(),
        listen = settings.listen.map(tracing::field::display),
        manifests = settings.manifests.as_ref().map(|folder| tracing::field::display(folder.display())),
        git = settings.git.as_ref().map(|git| git.url.as_str()),
        mode = ?settings.mode,
        "evenkeel is at work"
    );
}

/// The controller's previews, as the API asks for them.
struct Previews(Arc<Controller>);

#[async_trait]
impl Planner for Previews {
    async fn plan(&self, key: &Key) -> Result<PlanText, String> {
        self.0.preview(key).await.and_then(text)
    }

    fn progress(&self, key: &Key) -> Value {
        serde_json::json!({ "jobs": self.0.progress(key) })
    }

    fn projects(&self) -> Result<Value, String> {
        serde_json::to_value(self.0.projects()?).map_err(|error| error.to_string())
    }

    async fn plan_object(&self, deployment: Value, files: BTreeMap<String, String>) -> Result<PlanText, String> {
        let object = serde_json::from_value(deployment).map_err(|error| error.to_string())?;
        self.0.preview_object(&object, &files).await.and_then(text)
    }
}

fn text(preview: Preview) -> Result<PlanText, String> {
    let json = serde_json::to_value(&preview).map_err(|error| error.to_string())?;
    Ok(PlanText { text: preview.text, json })
}
