//! The real client of the engine against the machine's own daemon.

mod builds;
mod events;
mod failures;
mod lifecycle;
mod networks;
mod pulls;

use std::collections::BTreeMap;
use std::future::Future;

use evenkeel::docker::{self, Client, Engine};
use evenkeel::model::{ContainerSpec, EngineFailure, FailureKind, NetworkMode, NetworkSpec, labels};

use crate::support::{Docker, Sandbox, check, eventually, secs};

/// A client of that daemon.
pub fn client(docker: &Docker) -> Client {
    docker::connect(Some(docker.host()), None).unwrap()
}

/// A container that runs until asked to end and then ends at once, in no network.
pub fn sleeper(sandbox: &Sandbox, name: &str) -> ContainerSpec {
    sleeper_of(&sandbox.image(), &format!("{}-{name}", sandbox.prefix()))
}

/// The same from a given image and with a full name.
pub fn sleeper_of(image: &str, name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        command: Some(vec!["sleep".to_owned(), "1000000".to_owned()]),
        // Docker's init passes the signal on to a process that has no handler of its own, and ends with it.
        init: Some(true),
        network: NetworkMode::None,
        labels: BTreeMap::from([(labels::INSTANCE.to_owned(), "elsewhere".to_owned())]),
        ..Default::default()
    }
}

/// Creates and starts.
pub async fn run(client: &Client, spec: &ContainerSpec) -> String {
    let id = client.create_container(spec, &BTreeMap::new()).await.unwrap();
    client.start_container(&id).await.unwrap();
    id
}

/// Waits until a sleeper's init has its child: a signal that comes before that is lost, as pid 1 has no default for it.
#[track_caller]
fn ready(docker: &Docker, id: &str) {
    eventually(secs(30), "the init has started its child", || {
        let processes = docker.attempt(&["exec", id, "ps"])?;
        check(processes.lines().any(|line| line.ends_with("sleep 1000000") && !line.contains("init")), || processes.clone())
    });
}

/// A network of the sandbox.
fn network(sandbox: &Sandbox, name: &str) -> NetworkSpec {
    NetworkSpec { name: format!("{}_{name}", sandbox.prefix()), ..Default::default() }
}

/// The failure that a call must have ended with.
#[track_caller]
fn failure<T: std::fmt::Debug>(result: docker::Result<T>) -> EngineFailure {
    result.unwrap_err()
}

/// Its kind.
#[track_caller]
fn kind<T: std::fmt::Debug>(result: docker::Result<T>) -> FailureKind {
    failure(result).kind
}

/// For tests with a proxy, which has a runtime of its own and cannot be made or dropped within another.
fn in_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}
