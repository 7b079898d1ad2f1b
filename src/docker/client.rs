//! The real [`Engine`]: bollard on our own wire. Each call is one function here, with its deadline and its span.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::query_parameters as query;
use bollard::{BollardRequest, ClientVersion, Docker, models};
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{Instrument, Span, field};

use super::credentials::{Access, Keyring};
use super::error::{Attempt, Call, gone_is_done, says, short};
use super::pull::Story;
use super::wire::{self, Wire};
use super::{
    Alive, ContainerLine, Engine, EngineInfo, Events, Result, alive, build, compare, convert, events, files, hooks, limits, read,
};
use crate::model::{
    BuildSpec, Container, ContainerSpec, DockerRestart, EngineFailure, EngineRun, EventCursor, FailureKind, FileSpec, HookSpec,
    Image, Network, NetworkAttachment, NetworkSpec, Progress, ReloadSignal, Volume, VolumeSpec, familiar_reference, registry_of,
};

/// bollard's own timeout is in whole seconds and knows no pulls: it is put out of the way of ours.
const NO_TIMEOUT_SECONDS: u64 = 365 * 24 * 3600;

/// A span for one call, with the fields that OpenTelemetry gives a client's span.
macro_rules! span {
    ($name:literal $($fields:tt)*) => {
        tracing::info_span!(
            $name,
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            otel.status_description = tracing::field::Empty $($fields)*
        )
    };
}
pub(super) use span;

/// A client of one Docker Engine. It may be made, and kept, while the engine is away.
pub struct Client {
    wire: Wire,
    docker: Docker,
    keyring: Arc<Keyring>,
    /// The event stream opened last; evidence that its daemon lives on.
    stream: Mutex<Option<events::Open>>,
}

impl Client {
    pub(super) fn new(wire: Wire, keyring: Keyring) -> Self {
        // bollard puts this version into no path (see `wire`); the host is replaced on the wire as well.
        let version = ClientVersion { major_version: 1, minor_version: 41 };
        let carrier = wire.clone();
        let transport = move |request: BollardRequest| {
            let wire = carrier.clone();
            async move { wire.exchange(request).await }
        };
        #[expect(clippy::expect_used, reason = "bollard 0.21 builds this client without anything that can fail")]
        let docker = Docker::connect_with_custom_transport(transport, Some("http://engine"), NO_TIMEOUT_SECONDS, &version)
            .expect("a client of a custom transport can be made");
        Self { wire, docker, keyring: Arc::new(keyring), stream: Mutex::new(None) }
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Where the engine is, for people.
    pub fn address(&self) -> String {
        self.wire.endpoint().to_string()
    }

    /// One call: within its deadline and span, its failure put in words.
    pub(super) async fn call<T>(
        &self,
        attempt: Attempt,
        limit: Duration,
        span: Span,
        work: impl Future<Output = std::result::Result<T, Error>> + Send,
    ) -> Result<T> {
        let result = match tokio::time::timeout(limit, work.instrument(span.clone())).await {
            Ok(result) => result.map_err(|error| attempt.failed(&self.address(), &error)),
            Err(_) => Err(attempt.timed_out(limit)),
        };
        told(result, &span)
    }

    /// A document that is fetched.
    async fn look<T: for<'de> Deserialize<'de>>(&self, what: impl Into<String>, span: Span, path: &str) -> Result<T> {
        self.call(Attempt::new(Call::Other, what), limits::LOOK, span, self.wire.get(path)).await
    }

    async fn create(&self, attempt: &Attempt, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> Result<String> {
        let span = span!("docker.create_container", container = %spec.name, image = %spec.image, id = field::Empty);
        let work = async {
            let api = self.wire.version().await?;
            let body = convert::container(spec, networks, api).map_err(|why| refusal(&why))?;
            let options = query::CreateContainerOptions {
                name: Some(spec.name.clone()),
                platform: spec.platform.clone().unwrap_or_default(),
            };
            self.docker.create_container(Some(options), body).await
        };
        let id = self.call(attempt.clone(), limits::CREATE, span.clone(), work).await?.id;
        span.record("id", &id);
        Ok(id)
    }

    async fn connect(&self, attempt: Attempt, network: &str, container: &str, attachment: &NetworkAttachment) -> Result<()> {
        let span = span!("docker.connect_network", network = %network, container = %container);
        let request = models::NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(convert::endpoint(attachment)),
        };
        match self.call(attempt, limits::CHANGE, span, self.docker.connect_network(network, request)).await {
            Err(failure) if says(&failure, &["already exists in network", "already attached to network"]) => Ok(()),
            result => result,
        }
    }

    /// Reads what the daemon tells until it says it is done; the digest, if it told one.
    async fn pull_to_end(
        &self,
        attempt: &Attempt,
        options: query::CreateImageOptions,
        access: &mut Access,
        progress: &watch::Sender<Progress>,
    ) -> Result<Option<String>> {
        let mut story = Story::default();
        let mut lines = self.docker.create_image(Some(options), None, access.credentials.take());
        loop {
            match tokio::time::timeout(limits::PULL_SILENCE, lines.next()).await {
                Ok(None) => return Ok(story.digest()),
                Ok(Some(Ok(line))) => {
                    story.hear(&line);
                    progress.send_replace(story.progress());
                }
                Ok(Some(Err(error))) => return Err(attempt.failed(&self.address(), &error)),
                Err(_) => return Err(attempt.timed_out(limits::PULL_SILENCE)),
            }
        }
    }
}

#[async_trait]
impl Engine for Client {
    async fn info(&self) -> Result<EngineInfo> {
        let reply: read::InfoReply = self.look("ask the engine about itself", span!("docker.info"), "/info").await?;
        let attempt = Attempt::new(Call::Other, "agree on an API version with the engine");
        let version = self.call(attempt, limits::LOOK, Span::current(), self.wire.version()).await?;
        Ok(reply.into_model(version.to_string()))
    }

    async fn run(&self) -> Result<EngineRun> {
        let engine_id = self.info().await?.id;
        Ok(alive::run(&self.wire, engine_id))
    }

    async fn ping(&self) -> Result<()> {
        self.call(Attempt::new(Call::Other, "ping the engine"), limits::LOOK, span!("docker.ping"), self.wire.ping()).await
    }

    async fn alive(&self) -> Alive {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).clone();
        alive::evidence(&self.wire, stream).instrument(span!("docker.alive")).await
    }

    async fn events(&self, since: Option<EventCursor>) -> Result<Events> {
        let span = span!("docker.events", since = field::Empty);
        let attempt = Attempt::new(Call::Other, "subscribe to the engine's events");
        let work = async {
            self.wire.negotiate().await?;
            // The daemon sends the headers just before it subscribes us. Asking for what happened since a moment before makes
            // up for that: it hands out its buffer and subscribes in one step.
            let since = match since {
                Some(cursor) => events::since(cursor.time_nanos),
                None => daemon_time(&self.wire.get::<read::InfoReply>("/info").await?.system_time)?,
            };
            Span::current().record("since", &since);
            self.wire.open(&format!("/events?{}", wire::query(&[("since", &since), ("filters", events::FILTER)]))).await
        };
        let response = self.call(attempt, limits::LOOK, span, work).await?;
        let broken = Attempt::new(Call::Other, "go on reading the engine's events");
        let engine = self.address();
        let (events, open) = events::stream(response.into_body(), move |error| broken.failed(&engine, error));
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(events)
    }

    async fn list_containers(&self) -> Result<Vec<ContainerLine>> {
        let lines: Vec<read::LineReply> =
            self.look("list containers", span!("docker.list_containers"), "/containers/json?all=true").await?;
        Ok(lines.into_iter().map(Into::into).collect())
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<Container>> {
        let span = span!("docker.inspect_container", id = %id);
        let (what, path) = (format!("inspect container {}", short(id)), format!("/containers/{id}/json"));
        match self.look::<read::ContainerReply>(what, span, &path).await {
            Ok(reply) => Ok(Some(reply.into())),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn compare_container(
        &self,
        id: &str,
        spec: &ContainerSpec,
        networks: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<String>>> {
        let look = async |what: String, path: String| {
            let span = span!("docker.compare_container", id = %id);
            match self.look::<serde_json::Value>(what, span, &path).await {
                Ok(reply) => Ok(Some(reply)),
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                Err(failure) => Err(failure),
            }
        };
        let what = format!("inspect container {}", short(id));
        let Some(container) = look(what, format!("/containers/{id}/json")).await? else { return Ok(None) };
        let image = container["Image"].as_str().unwrap_or_default();
        // An image that was removed by force is compared as one that brings nothing.
        let image = look(format!("inspect image {image}"), format!("/images/{image}/json")).await?.unwrap_or_default();
        Ok(Some(compare::differences(spec, networks, &container, &image)))
    }

    async fn list_networks(&self) -> Result<Vec<Network>> {
        let networks: Vec<read::NetworkReply> = self.look("list networks", span!("docker.list_networks"), "/networks").await?;
        Ok(networks.into_iter().map(Into::into).collect())
    }

    async fn list_volumes(&self) -> Result<Vec<Volume>> {
        let reply: read::VolumesReply = self.look("list volumes", span!("docker.list_volumes"), "/volumes").await?;
        Ok(reply.volumes.into_iter().map(Into::into).collect())
    }

    async fn list_images(&self) -> Result<Vec<Image>> {
        // All: an image that is another's parent and lost its own tag is in no shorter list, yet containers may run it.
        let images: Vec<read::ImageReply> =
            self.look("list images", span!("docker.list_images"), "/images/json?all=true").await?;
        Ok(images.into_iter().map(Into::into).collect())
    }

    async fn create_container(&self, spec: &ContainerSpec, networks: &BTreeMap<String, String>) -> Result<String> {
        let attempt = Attempt::new(Call::Name, format!("create container {} from image {}", spec.name, spec.image));
        let further = convert::further_networks(spec, networks).map_err(|why| attempt.refused(&why))?;
        // They are written before its first start; one that cannot be made is told now.
        files::archive(&spec.files).map_err(|why| attempt.refused(&why))?;
        let id = self.create(&attempt, spec, networks).await?;
        for (network, attachment) in further {
            let what = format!("create container {}: connect it to network {}", spec.name, attachment.network);
            if let Err(failure) = self.connect(Attempt::new(Call::Connect, what), &network, &id, attachment).await {
                // All or nothing: a container without one of its networks must not be taken for a finished one.
                self.remove_container(&id, false).await?;
                return Err(failure);
            }
        }
        Ok(id)
    }

    async fn write_files(&self, id: &str, files: &[FileSpec]) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("write configs and secrets into container {}", short(id)));
        let Some(archive) = files::archive(files).map_err(|why| attempt.refused(&why))? else { return Ok(()) };
        let options = query::UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        let work = self.docker.upload_to_container(id, Some(options), bollard::body_full(archive.into()));
        self.call(attempt, limits::CREATE, span!("docker.upload_files", id = %id), work).await
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Start, format!("start container {}", short(id)));
        self.call(attempt, limits::START, span!("docker.start_container", id = %id), self.docker.start_container(id, None)).await
    }

    async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("stop container {} within {grace_seconds} s", short(id)));
        let span = span!("docker.stop_container", id = %id, grace_seconds = grace_seconds);
        let seconds = i32::try_from(grace_seconds).unwrap_or(i32::MAX);
        let options = query::StopContainerOptions { t: Some(seconds), signal: None };
        gone_is_done(self.call(attempt, limits::stop(grace_seconds), span, self.docker.stop_container(id, Some(options))).await)
    }

    async fn kill_container(&self, id: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("kill container {}", short(id)));
        let options = query::KillContainerOptions { signal: "SIGKILL".to_owned() };
        let work = self.docker.kill_container(id, Some(options));
        match self.call(attempt, limits::stop(0), span!("docker.kill_container", id = %id), work).await {
            Err(failure) if says(&failure, &["is not running"]) => Ok(()),
            result => gone_is_done(result),
        }
    }

    async fn run_hook(&self, id: &str, hook: &HookSpec, limit: Duration) -> Result<()> {
        let span = span!("docker.run_hook", id = %id, command = hook.command.first().map(String::as_str));
        hooks::run(self, id, hook, limit, span).await
    }

    async fn signal_container(&self, id: &str, signal: ReloadSignal) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("send {signal} to container {}", short(id)));
        let span = span!("docker.signal_container", id = %id, signal = %signal);
        let options = query::KillContainerOptions { signal: signal.name().to_owned() };
        self.call(attempt, limits::CHANGE, span, self.docker.kill_container(id, Some(options))).await
    }

    async fn remove_container(&self, id: &str, force: bool) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("remove container {}", short(id)));
        let options = query::RemoveContainerOptions { force, v: false, link: false };
        let work = self.docker.remove_container(id, Some(options));
        gone_is_done(self.call(attempt, limits::REMOVE, span!("docker.remove_container", id = %id, force = force), work).await)
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Name, format!("rename container {} to {name}", short(id)));
        let work = self.docker.rename_container(id, query::RenameContainerOptions { name: name.to_owned() });
        self.call(attempt, limits::CHANGE, span!("docker.rename_container", id = %id, name = %name), work).await
    }

    async fn set_restart_policy(&self, id: &str, policy: &DockerRestart) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("set the restart policy of container {}", short(id)));
        let span = span!("docker.set_restart_policy", id = %id, policy = ?policy);
        let body = models::ContainerUpdateBody { restart_policy: Some(convert::restart_policy(policy)), ..Default::default() };
        self.call(attempt, limits::CHANGE, span, self.docker.update_container(id, body)).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<String> {
        let attempt = Attempt::new(Call::Other, format!("create network {}", spec.name));
        let span = span!("docker.create_network", network = %spec.name);
        self.call(attempt, limits::CHANGE, span, self.docker.create_network(convert::network(spec))).await.map(|reply| reply.id)
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("remove network {}", short(id)));
        gone_is_done(
            self.call(attempt, limits::CHANGE, span!("docker.remove_network", id = %id), self.docker.remove_network(id)).await,
        )
    }

    async fn connect_network(&self, network_id: &str, container_id: &str, attachment: &NetworkAttachment) -> Result<()> {
        let what = format!("connect container {} to network {}", short(container_id), attachment.network);
        self.connect(Attempt::new(Call::Connect, what), network_id, container_id, attachment).await
    }

    async fn disconnect_network(&self, network: &str, container_id: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("disconnect container {} from network {network}", short(container_id)));
        let span = span!("docker.disconnect_network", network = %network, container = %container_id);
        let request = models::NetworkDisconnectRequest { container: container_id.to_owned(), force: Some(true) };
        match gone_is_done(self.call(attempt, limits::CHANGE, span, self.docker.disconnect_network(network, request)).await) {
            Err(failure) if says(&failure, &["is not connected to"]) => Ok(()),
            result => result,
        }
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("create volume {}", spec.name));
        let span = span!("docker.create_volume", volume = %spec.name);
        self.call(attempt, limits::CHANGE, span, self.docker.create_volume(convert::volume(spec))).await.map(drop)
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("remove volume {name}"));
        let work = self.docker.remove_volume(name, None::<query::RemoveVolumeOptions>);
        gone_is_done(self.call(attempt, limits::REMOVE, span!("docker.remove_volume", volume = %name), work).await)
    }

    async fn pull(&self, image: &str, platform: Option<&str>, progress: &watch::Sender<Progress>) -> Result<Option<String>> {
        let attempt = Attempt::new(Call::Pull, format!("pull image {image}"));
        let span = span!("docker.pull", image = %image, platform = platform.unwrap_or_default());
        let options = query::CreateImageOptions {
            // With neither tag nor digest the engine would pull all tags there are.
            from_image: Some(familiar_reference(image)),
            platform: platform.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        let work = async {
            let mut access = self.keyring.of(registry_of(image)).await;
            let pulled = self.pull_to_end(&attempt, options, &mut access, progress).await;
            pulled.map_err(|failure| explained(failure, &access))
        };
        told(work.instrument(span.clone()).await, &span)
    }

    async fn build(&self, spec: &BuildSpec, progress: &watch::Sender<Progress>) -> Result<String> {
        let attempt = Attempt::new(Call::Other, format!("build image {}", spec.image));
        let span = span!("docker.build", image = %spec.image, builder = field::Empty, id = field::Empty);
        let way = build::Way { wire: &self.wire, keyring: &self.keyring, engine: self.address() };
        let work = build::run(&way, &attempt, spec, progress);
        let result = work.instrument(span.clone()).await;
        if let Ok(id) = &result {
            span.record("id", id);
        }
        told(result, &span)
    }

    async fn tag(&self, image_id: &str, reference: &str) -> Result<()> {
        let attempt = Attempt::new(Call::Other, format!("tag image {} as {reference}", short(image_id)));
        let full = familiar_reference(reference);
        let Some((repo, tag)) = full.rsplit_once(':').filter(|_| !full.contains('@')) else {
            return Err(attempt.refused("a digest cannot be given to an image, only a tag can"));
        };
        let options = query::TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag.to_owned()) };
        let span = span!("docker.tag", image = %image_id, reference = %reference);
        self.call(attempt, limits::CHANGE, span, self.docker.tag_image(image_id, Some(options))).await
    }

    fn port_holder(&self, port: u16, protocol: &str) -> Option<String> {
        alive::port_holder(&self.wire, port, protocol)
    }

    fn is_local(&self) -> bool {
        self.wire.is_local()
    }

    fn peer(&self) -> Option<IpAddr> {
        self.wire.peer()
    }
}

/// Marks the span of a call that failed.
fn told<T>(result: Result<T>, span: &Span) -> Result<T> {
    if let Err(failure) = &result {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", &failure.message);
    }
    result
}

/// A refusal of a registry says with which credentials it was asked.
fn explained(failure: EngineFailure, access: &Access) -> EngineFailure {
    match failure.kind {
        FailureKind::ImageDenied => EngineFailure { message: format!("{} ({})", failure.message, access.origin), ..failure },
        _ => failure,
    }
}

/// A refusal of our own, in the form of the engine's, since it comes up inside a call.
fn refusal(message: &str) -> Error {
    Error::DockerResponseServerError { status_code: 400, message: message.to_owned() }
}

/// The daemon's own time, as `since`.
fn daemon_time(text: &str) -> std::result::Result<String, Error> {
    let time: jiff::Timestamp = text.parse().map_err(|_| refusal("the engine does not say what time it has"))?;
    Ok(events::since(i64::try_from(time.as_nanosecond()).unwrap_or_default()))
}
