//! A daemon of our own for tests: containers, an event buffer, and faults.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::clock::{Clock, TokioClock};
use crate::docker::{Alive, ContainerLine, Engine, EngineInfo, Events, Result};
use crate::model::{
    BuildSpec, Container, ContainerSpec, ContainerState, DockerRestart, EngineEvent, EngineFailure, EngineRun, EventCursor,
    EventKind, FailureKind, FileSpec, HookSpec, Image, Network, NetworkAttachment, NetworkSpec, Progress, ReloadSignal, Volume,
    VolumeSpec, labels,
};

const BUFFER: usize = 256;

pub struct Daemon {
    inner: Mutex<Inner>,
    clock: TokioClock,
}

pub struct Inner {
    pub containers: BTreeMap<String, Container>,
    pub networks: Vec<Network>,
    pub run: EngineRun,
    pub up: bool,
    pub alive: Alive,
    /// How long an inspect of a container takes; it tells what was at its beginning.
    pub slow: BTreeMap<String, Duration>,
    pub lists_fail: bool,
    pub calls: Vec<String>,
    buffer: VecDeque<EngineEvent>,
    readers: Vec<mpsc::UnboundedSender<Result<EngineEvent>>>,
}

fn unavailable() -> EngineFailure {
    EngineFailure { kind: FailureKind::Unavailable, message: "reach the engine: connection refused".into() }
}

/// Labels of a replica of Deployment `shop`, of our instance.
pub fn ours(service: &str) -> BTreeMap<String, String> {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    BTreeMap::from([
        label(labels::INSTANCE, "default"),
        label(labels::NAMESPACE, "default"),
        label(labels::DEPLOYMENT, "shop"),
        label(labels::SERVICE, service),
        label(labels::REPLICA, "1"),
        label(labels::COMPOSE_PROJECT, "shop"),
    ])
}

impl Daemon {
    pub fn new(clock: TokioClock) -> Arc<Self> {
        let run = EngineRun { engine_id: "E".into(), boot_id: Some("boot-1".into()), daemon: Some((100, 1)) };
        let inner = Inner {
            containers: BTreeMap::new(),
            networks: vec![],
            run,
            up: true,
            alive: Alive::Yes,
            slow: BTreeMap::new(),
            lists_fail: false,
            calls: vec![],
            buffer: VecDeque::new(),
            readers: vec![],
        };
        Arc::new(Self { inner: Mutex::new(inner), clock })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A running container.
    pub fn run_container(&self, id: &str, labels: BTreeMap<String, String>) {
        let mut container = crate::controller::intent::story_container(id);
        container.labels = labels;
        container.started_at = Some(self.clock.now());
        self.lock().containers.insert(id.into(), container);
        self.emit(id, "create", &[]);
        self.emit(id, "start", &[]);
    }

    pub fn emit(&self, id: &str, action: &str, attributes: &[(&str, &str)]) {
        let at = self.clock.now();
        let inner = &mut *self.lock();
        let mut all = inner.containers.get(id).map(|container| container.labels.clone()).unwrap_or_default();
        all.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        if let Some(container) = inner.containers.get_mut(id) {
            match action {
                "die" => {
                    (container.state, container.finished_at) = (ContainerState::Exited, Some(at));
                    container.exit_code = all["exitCode"].parse().unwrap();
                }
                "start" => (container.state, container.started_at, container.exit_code) = (ContainerState::Running, Some(at), 0),
                "pause" => container.state = ContainerState::Paused,
                "destroy" => drop(inner.containers.remove(id)),
                _ => {}
            }
        }
        // Every event gets a time of its own, as the daemon's nanoseconds do.
        let last = inner.buffer.back().map_or(0, |event| event.time_nanos);
        let time_nanos = i64::try_from(at.as_nanosecond()).unwrap().max(last + 1);
        let event = EngineEvent { time_nanos, kind: EventKind::Container, action: action.into(), id: id.into(), attributes: all };
        inner.push(event);
    }

    pub fn emit_network(&self, id: &str, action: &str) {
        let inner = &mut *self.lock();
        let time_nanos = inner.buffer.back().map_or(1, |event| event.time_nanos + 1);
        let attributes = BTreeMap::new();
        inner.push(EngineEvent { time_nanos, kind: EventKind::Network, action: action.into(), id: id.into(), attributes });
    }

    pub fn die(&self, id: &str, code: i64) {
        self.emit(id, "die", &[("exitCode", &code.to_string())]);
    }

    /// What `docker stop` makes the daemon do.
    pub async fn stop(&self, id: &str) {
        self.emit(id, "kill", &[("signal", "15")]);
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.die(id, 143);
        tokio::time::sleep(Duration::from_millis(60)).await;
        self.emit(id, "stop", &[]);
    }

    /// SIGTERM: the listener goes, then all containers, then the stream.
    pub async fn shut_down(&self, stream_ends_after: Duration) {
        self.lock().alive = Alive::No;
        let running: Vec<String> = self.running();
        for id in &running {
            self.emit(id, "kill", &[("signal", "15")]);
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
        for id in &running {
            self.die(id, 0);
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        for id in &running {
            self.emit(id, "stop", &[]);
        }
        tokio::time::sleep(stream_ends_after).await;
        self.go();
    }

    fn running(&self) -> Vec<String> {
        let inner = self.lock();
        inner.containers.values().filter(|container| container.is_up()).map(|container| container.id.clone()).collect()
    }

    /// The process ends.
    pub fn go(&self) {
        let inner = &mut *self.lock();
        inner.up = false;
        inner.readers.clear();
    }

    /// Another process takes over.
    pub fn come_back(&self) {
        let inner = &mut *self.lock();
        inner.up = true;
        inner.alive = Alive::Yes;
        inner.buffer.clear();
        inner.run.daemon = inner.run.daemon.map(|(pid, started)| (pid + 1, started + 1));
    }

    /// Only the connection breaks.
    pub fn cut(&self) {
        self.lock().readers.clear();
    }

    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    fn called(&self, call: &str) -> Result<()> {
        let inner = &mut *self.lock();
        if !inner.up {
            return Err(unavailable());
        }
        inner.calls.push(call.to_owned());
        if call.starts_with("list") && inner.lists_fail { Err(unavailable()) } else { Ok(()) }
    }
}

impl Inner {
    fn push(&mut self, event: EngineEvent) {
        self.readers.retain(|reader| reader.send(Ok(event.clone())).is_ok());
        self.buffer.push_back(event);
        if self.buffer.len() > BUFFER {
            self.buffer.pop_front();
        }
    }
}

#[async_trait]
impl Engine for Daemon {
    async fn info(&self) -> Result<EngineInfo> {
        Ok(EngineInfo::default())
    }
    async fn run(&self) -> Result<EngineRun> {
        self.called("run")?;
        Ok(self.lock().run.clone())
    }
    async fn ping(&self) -> Result<()> {
        self.called("ping")
    }
    async fn alive(&self) -> Alive {
        tokio::time::sleep(Duration::from_millis(3)).await;
        self.lock().alive
    }
    async fn events(&self, since: Option<EventCursor>) -> Result<Events> {
        self.called("events")?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let inner = &mut *self.lock();
        for event in inner.buffer.iter().filter(|event| since.as_ref().is_some_and(|since| since.time_nanos <= event.time_nanos))
        {
            let _ = sender.send(Ok(event.clone()));
        }
        inner.readers.push(sender);
        Ok(UnboundedReceiverStream::new(receiver).boxed())
    }
    async fn list_containers(&self) -> Result<Vec<ContainerLine>> {
        self.called("list containers")?;
        let line = |container: &Container| ContainerLine {
            id: container.id.clone(),
            name: container.name.clone(),
            state: container.state,
            status: format!("{:?} ({})", container.state, container.exit_code),
            labels: container.labels.clone(),
        };
        Ok(self.lock().containers.values().map(line).collect())
    }
    async fn inspect_container(&self, id: &str) -> Result<Option<Container>> {
        self.called(&format!("inspect {id}"))?;
        let (seen, slow) = {
            let inner = self.lock();
            (inner.containers.get(id).cloned(), inner.slow.get(id).copied())
        };
        tokio::time::sleep(slow.unwrap_or(Duration::from_millis(2))).await;
        match slow {
            Some(slow) if slow >= Duration::from_secs(10) => {
                Err(EngineFailure { kind: FailureKind::Timeout, message: format!("inspect {id}: no answer") })
            }
            _ => Ok(seen),
        }
    }
    async fn compare_container(
        &self,
        _id: &str,
        _spec: &ContainerSpec,
        _networks: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
    async fn list_networks(&self) -> Result<Vec<Network>> {
        self.called("list networks")?;
        Ok(self.lock().networks.clone())
    }
    async fn list_volumes(&self) -> Result<Vec<Volume>> {
        self.called("list volumes").map(|()| vec![])
    }
    async fn list_images(&self) -> Result<Vec<Image>> {
        self.called("list images").map(|()| vec![])
    }
    async fn create_container(&self, _: &ContainerSpec, _: &BTreeMap<String, String>) -> Result<String> {
        unimplemented!()
    }
    async fn write_files(&self, _: &str, _: &[FileSpec]) -> Result<()> {
        unimplemented!()
    }
    async fn start_container(&self, _: &str) -> Result<()> {
        unimplemented!()
    }
    async fn stop_container(&self, _: &str, _: u64) -> Result<()> {
        unimplemented!()
    }
    async fn kill_container(&self, _: &str) -> Result<()> {
        unimplemented!()
    }
    async fn run_hook(&self, _: &str, _: &HookSpec, _: Duration) -> Result<()> {
        unimplemented!()
    }
    async fn signal_container(&self, _: &str, _: ReloadSignal) -> Result<()> {
        unimplemented!()
    }
    async fn remove_container(&self, _: &str, _: bool) -> Result<()> {
        unimplemented!()
    }
    async fn rename_container(&self, _: &str, _: &str) -> Result<()> {
        unimplemented!()
    }
    async fn set_restart_policy(&self, _: &str, _: &DockerRestart) -> Result<()> {
        unimplemented!()
    }
    async fn create_network(&self, _: &NetworkSpec) -> Result<String> {
        unimplemented!()
    }
    async fn remove_network(&self, _: &str) -> Result<()> {
        unimplemented!()
    }
    async fn connect_network(&self, _: &str, _: &str, _: &NetworkAttachment) -> Result<()> {
        unimplemented!()
    }
    async fn disconnect_network(&self, _: &str, _: &str) -> Result<()> {
        unimplemented!()
    }
    async fn create_volume(&self, _: &VolumeSpec) -> Result<()> {
        unimplemented!()
    }
    async fn remove_volume(&self, _: &str) -> Result<()> {
        unimplemented!()
    }
    async fn pull(&self, _: &str, _: Option<&str>, _: &tokio::sync::watch::Sender<Progress>) -> Result<Option<String>> {
        unimplemented!()
    }
    async fn build(&self, _: &BuildSpec, _: &tokio::sync::watch::Sender<Progress>) -> Result<String> {
        unimplemented!()
    }
    async fn tag(&self, _: &str, _: &str) -> Result<()> {
        unimplemented!()
    }
    fn port_holder(&self, _: u16, _: &str) -> Option<String> {
        None
    }
}
