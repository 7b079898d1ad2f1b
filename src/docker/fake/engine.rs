//! The fake as an [`Engine`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::watch;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::machine::Power;
use super::{CallRecord, FakeEngine, Machine, Verb};
use crate::docker::{Alive, ContainerLine, Engine, EngineInfo, Events, Result, limits};
use crate::model::{
    BuildSpec, Container, ContainerSpec, ContainerState, DockerRestart, EngineFailure, EngineRun, EventCursor, FailureKind,
    FileSpec, HealthStatus, HookSpec, Image, Network, NetworkAttachment, NetworkSpec, Progress, ReloadSignal, Volume, VolumeSpec,
};

impl FakeEngine {
    async fn look<T: Send + 'static>(
        &self,
        verb: Verb,
        subject: &str,
        read: impl FnOnce(&mut Machine) -> T + Send + 'static,
    ) -> Result<T> {
        let engine = self.clone();
        self.call(verb, subject, limits::LOOK, async move {
            engine.take(|pace| pace.look).await;
            Ok(engine.step(read))
        })
        .await
    }

    async fn change<T: Send + 'static>(
        &self,
        verb: Verb,
        subject: &str,
        work: impl FnOnce(&mut Machine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.clone();
        self.call(verb, subject, limits::CHANGE, async move {
            engine.take(|pace| pace.change).await;
            engine.step(work)
        })
        .await
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo> {
        self.look(Verb::Info, "", |machine| EngineInfo {
            id: machine.run.engine_id.clone(),
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
            host: "fake".to_owned(),
        })
        .await
    }

    async fn run(&self) -> Result<EngineRun> {
        self.look(Verb::Run, "", |machine| machine.run.clone()).await
    }

    async fn ping(&self) -> Result<()> {
        self.look(Verb::Ping, "", |_| ()).await
    }

    async fn alive(&self) -> Alive {
        self.take(|pace| pace.look).await;
        self.step(|machine| {
            machine.calls.push(CallRecord { at: machine.now(), verb: Verb::Alive, subject: String::new() });
            machine.evidence.unwrap_or(if machine.power == Power::Up { Alive::Yes } else { Alive::No })
        })
    }

    async fn events(&self, since: Option<EventCursor>) -> Result<Events> {
        let receiver =
            self.look(Verb::Events, "", move |machine| machine.buffer.subscribe(since.map(|cursor| cursor.time_nanos))).await?;
        Ok(UnboundedReceiverStream::new(receiver).boxed())
    }

    async fn list_containers(&self) -> Result<Vec<ContainerLine>> {
        let lines = |machine: &mut Machine| machine.containers.values().map(|unit| line(&unit.seen)).collect();
        self.look(Verb::ListContainers, "", lines).await
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<Container>> {
        let wanted = id.to_owned();
        let found =
            move |machine: &mut Machine| machine.containers.get(&machine.find(&wanted).ok()?).map(|unit| unit.seen.clone());
        self.look(Verb::InspectContainer, id, found).await
    }

    async fn compare_container(
        &self,
        id: &str,
        spec: &ContainerSpec,
        _networks: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<String>>> {
        let (wanted, spec) = (id.to_owned(), spec.clone());
        let compare = move |machine: &mut Machine| {
            let unit = machine.containers.get(&machine.find(&wanted).ok()?)?;
            let lines = [
                (unit.spec.image != spec.image).then(|| format!("image is {}, declared is {}", unit.spec.image, spec.image)),
                (unit.spec.command != spec.command).then(|| "command is another one".to_owned()),
            ];
            Some(lines.into_iter().flatten().collect())
        };
        self.look(Verb::InspectContainer, id, compare).await
    }

    async fn list_networks(&self) -> Result<Vec<Network>> {
        self.look(Verb::ListNetworks, "", |machine| machine.networks.values().cloned().collect()).await
    }

    async fn list_volumes(&self) -> Result<Vec<Volume>> {
        self.look(Verb::ListVolumes, "", |machine| machine.volumes.values().cloned().collect()).await
    }

    async fn list_images(&self) -> Result<Vec<Image>> {
        self.look(Verb::ListImages, "", |machine| machine.images.values().map(Image::from).collect()).await
    }

    async fn create_container(&self, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> Result<String> {
        let (engine, spec, networks) = (self.clone(), spec.clone(), networks.clone());
        self.call(Verb::CreateContainer, &spec.name.clone(), limits::CREATE, async move {
            engine.take(|pace| pace.create).await;
            engine.step(|machine| machine.create(&spec, &networks))
        })
        .await
    }

    async fn write_files(&self, _id: &str, _files: &[FileSpec]) -> Result<()> {
        Ok(())
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let (engine, wanted) = (self.clone(), id.to_owned());
        self.call(Verb::StartContainer, id, limits::START, async move { engine.do_start(&wanted).await }).await
    }

    async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<()> {
        let (engine, wanted, grace) = (self.clone(), id.to_owned(), Duration::from_secs(grace_seconds));
        let work = async move { engine.do_stop(&wanted, grace).await };
        gone_is_done(self.call(Verb::StopContainer, id, limits::stop(grace_seconds), work).await)
    }

    async fn kill_container(&self, id: &str) -> Result<()> {
        let wanted = id.to_owned();
        let work = move |machine: &mut Machine| {
            let id = machine.find(&wanted)?;
            machine.signal(&id, 9);
            Ok(())
        };
        gone_is_done(self.change(Verb::SignalContainer, id, work).await)
    }

    async fn run_hook(&self, id: &str, _hook: &HookSpec, _limit: Duration) -> Result<()> {
        self.change(Verb::RunHook, id, |_| Ok(())).await
    }

    async fn signal_container(&self, id: &str, signal: ReloadSignal) -> Result<()> {
        let wanted = id.to_owned();
        let work = move |machine: &mut Machine| {
            let id = machine.find(&wanted)?;
            machine.signal(&id, signal.number());
            Ok(())
        };
        self.change(Verb::SignalContainer, id, work).await
    }

    async fn remove_container(&self, id: &str, force: bool) -> Result<()> {
        let (engine, wanted) = (self.clone(), id.to_owned());
        let work = async move { engine.do_remove(&wanted, force).await };
        gone_is_done(self.call(Verb::RemoveContainer, id, limits::REMOVE, work).await)
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        let (wanted, name) = (id.to_owned(), name.to_owned());
        self.change(Verb::RenameContainer, id, move |machine| machine.rename(&wanted, &name)).await
    }

    async fn set_restart_policy(&self, id: &str, policy: &DockerRestart) -> Result<()> {
        let (wanted, policy) = (id.to_owned(), policy.clone());
        self.change(Verb::SetRestartPolicy, id, move |machine| machine.set_policy(&wanted, &policy)).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<String> {
        let (name, labels) = (spec.name.clone(), spec.labels.clone());
        let driver = spec.driver.clone().unwrap_or_else(|| "bridge".to_owned());
        self.change(Verb::CreateNetwork, &spec.name, move |machine| Ok(machine.add_network(&name, &driver, labels))).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        let name = self.machine().networks.get(id).map_or_else(|| id.to_owned(), |network| network.name.clone());
        let wanted = id.to_owned();
        self.change(Verb::RemoveNetwork, &name, move |machine| machine.remove_network(&wanted)).await
    }

    async fn connect_network(&self, network_id: &str, container_id: &str, attachment: &NetworkAttachment) -> Result<()> {
        let (network, container, attachment) = (network_id.to_owned(), container_id.to_owned(), attachment.clone());
        let work = move |machine: &mut Machine| machine.attach(&network, &container, &attachment);
        self.change(Verb::ConnectNetwork, container_id, work).await
    }

    async fn disconnect_network(&self, network: &str, container_id: &str) -> Result<()> {
        let (network, container) = (network.to_owned(), container_id.to_owned());
        let work = move |machine: &mut Machine| {
            machine.detach(&network, &container);
            Ok(())
        };
        self.change(Verb::DisconnectNetwork, container_id, work).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let driver = spec.driver.clone().unwrap_or_else(|| "local".to_owned());
        let volume = Volume { name: spec.name.clone(), labels: spec.labels.clone(), driver };
        let work = move |machine: &mut Machine| {
            machine.add_volume(volume);
            Ok(())
        };
        self.change(Verb::CreateVolume, &spec.name, work).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let wanted = name.to_owned();
        self.change(Verb::RemoveVolume, name, move |machine| machine.remove_volume(&wanted)).await
    }

    async fn pull(&self, image: &str, _platform: Option<&str>, progress: &watch::Sender<Progress>) -> Result<Option<String>> {
        let (engine, wanted) = (self.clone(), image.to_owned());
        progress.send_replace(Progress { total: 1, ..Progress::default() });
        self.call(Verb::Pull, image, limits::PULL_SILENCE, async move {
            engine.take(|pace| pace.pull).await;
            engine.step(|machine| machine.pulled(&wanted))
        })
        .await
    }

    async fn build(&self, spec: &BuildSpec, progress: &watch::Sender<Progress>) -> Result<String> {
        progress.send_replace(Progress { total: 1, text: "[1/1] FROM scratch".to_owned(), ..Progress::default() });
        let (engine, wanted) = (self.clone(), spec.clone());
        self.call(Verb::Build, &spec.image, limits::BUILD_SILENCE, async move {
            engine.take(|pace| pace.build).await;
            engine.step(|machine| machine.built(&wanted))
        })
        .await
    }

    async fn tag(&self, image_id: &str, reference: &str) -> Result<()> {
        let (image, wanted) = (image_id.to_owned(), reference.to_owned());
        self.change(Verb::Tag, reference, move |machine| machine.tag(&image, &wanted)).await
    }

    fn port_holder(&self, port: u16, protocol: &str) -> Option<String> {
        self.machine().foreign_ports.get(&(port, protocol.to_owned())).cloned()
    }
}

fn gone_is_done(result: Result<()>) -> Result<()> {
    match result {
        Err(EngineFailure { kind: FailureKind::NotFound, .. }) => Ok(()),
        result => result,
    }
}

fn line(seen: &Container) -> ContainerLine {
    let health = seen.health.as_ref().map(|health| match health.status {
        HealthStatus::Starting => " (health: starting)",
        HealthStatus::Healthy => " (healthy)",
        HealthStatus::Unhealthy => " (unhealthy)",
    });
    let status = match seen.state {
        ContainerState::Running => format!("Up{}", health.unwrap_or_default()),
        ContainerState::Paused => "Up (Paused)".to_owned(),
        ContainerState::Exited => format!("Exited ({})", seen.exit_code),
        ContainerState::Restarting => format!("Restarting ({})", seen.exit_code),
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Removing => "Removal".to_owned(),
        ContainerState::Dead => "Dead".to_owned(),
    };
    ContainerLine { id: seen.id.clone(), name: seen.name.clone(), state: seen.state, status, labels: seen.labels.clone() }
}
