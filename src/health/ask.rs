//! Asks one container once: over the network from this host, or by a command in it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::fold::{Answer, Outcome};
use super::{Ask, Begun, age, http};
use crate::clock::SharedClock;
use crate::docker::{ExecSpec, Inside};
use crate::model::{Check, EngineFailure, FailureKind, HttpGet, ProbeTarget, cannot_be_run};

/// Commands that are being started at once: each costs the engine some 50 ms of CPU (measured). Those that run hold no place.
const STARTS_AT_ONCE: usize = 4;

/// Longest output that is kept, in characters.
const OUTPUT: usize = 300;

/// Most bytes of a command's output that are read for that.
const READ: usize = 4096;

/// Asks for real.
pub struct Asker {
    engine: Arc<dyn Inside>,
    clock: SharedClock,
    starts: Semaphore,
}

impl Asker {
    /// One that runs commands through this engine.
    pub fn new(engine: Arc<dyn Inside>, clock: SharedClock) -> Self {
        Self { engine, clock, starts: Semaphore::new(STARTS_AT_ONCE) }
    }

    async fn run(&self, target: &ProbeTarget, command: &[String], begun: &Begun) -> (Outcome, String) {
        let spec = ExecSpec { command: command.to_vec(), ..ExecSpec::default() };
        let started = {
            // Never closed.
            let _place = self.starts.acquire().await;
            self.engine.exec(&target.run.container, &spec).await
        };
        let mut exec = match started {
            Ok(exec) => exec,
            Err(failure) => return refused(failure),
        };
        begun.now();
        let mut output = Vec::new();
        while let Some(part) = exec.output.next().await {
            match part {
                Ok((_, bytes)) => output.extend_from_slice(&bytes[..bytes.len().min(READ.saturating_sub(output.len()))]),
                Err(failure) => return (Outcome::NotMade, failure.message),
            }
        }
        let output = String::from_utf8_lossy(&output).into_owned();
        match self.engine.exec_exit_code(&exec.id).await {
            Ok(Some(0)) => (Outcome::Good, output),
            Ok(Some(code)) if cannot_be_run(code, &output) => (Outcome::Broken, output),
            Ok(Some(code)) if output.trim().is_empty() => (Outcome::Bad, format!("exit code {code}")),
            Ok(Some(_)) => (Outcome::Bad, output),
            Ok(None) => (Outcome::NotMade, "its exit code is not known".to_owned()),
            Err(failure) => (Outcome::NotMade, failure.message),
        }
    }

    async fn file(&self, target: &ProbeTarget, path: &str, freshness: Duration) -> (Outcome, String) {
        match self.engine.modified(&target.run.container, path).await {
            Ok(at) => self.fresh(target, at, freshness),
            Err(failure) => (Outcome::NotMade, failure.message),
        }
    }

    async fn page(&self, target: &ProbeTarget, get: &HttpGet, freshness: Duration) -> (Outcome, String) {
        match http::get(target.address.as_deref(), get).await {
            Ok(reply) if reply.is_good() => self.fresh(target, reply.moment(), freshness),
            Ok(reply) => self.silent(target, freshness, (Outcome::Bad, reply.to_string())),
            Err(failure) => self.silent(target, freshness, failure.into_outcome()),
        }
    }

    /// What has just been started need not answer yet.
    fn silent(&self, target: &ProbeTarget, freshness: Duration, said: (Outcome, String)) -> (Outcome, String) {
        let young = self.fresh(target, None, freshness).0 == Outcome::Good;
        if young && said.0 == Outcome::Bad { (Outcome::NotMade, said.1) } else { said }
    }

    /// Whether a sign of life is fresh. What has just been started need not have given one.
    fn fresh(&self, target: &ProbeTarget, sign: Option<Timestamp>, freshness: Duration) -> (Outcome, String) {
        let now = self.clock.now();
        match sign.max(target.run.started_at) {
            Some(at) if age(now, at) <= freshness => (Outcome::Good, String::new()),
            _ => (
                Outcome::Bad,
                match sign {
                    Some(at) => format!("its last sign of life was {} s ago", age(now, at).as_secs()),
                    None => "it has given no sign of life".to_owned(),
                },
            ),
        }
    }
}

#[async_trait]
impl Ask for Asker {
    async fn ask(&self, target: &ProbeTarget, check: &Check, begun: &Begun) -> Answer {
        if !matches!(check, Check::Exec { .. } | Check::FreshFile { .. }) {
            begun.now();
        }
        // A span for each call of each probe would bury all others.
        let (outcome, output) = match check {
            Check::HttpGet(get) => match http::get(target.address.as_deref(), get).await {
                Ok(reply) if reply.is_good() => (Outcome::Good, String::new()),
                Ok(reply) => (Outcome::Bad, reply.to_string()),
                Err(failure) => failure.into_outcome(),
            },
            Check::TcpSocket { host, port } => match http::address(host.as_deref().or(target.address.as_deref()), *port) {
                Ok(address) => match TcpStream::connect(&address).await {
                    Ok(_) => (Outcome::Good, String::new()),
                    Err(error) => http::Failure::of_connect(&address, &error).into_outcome(),
                },
                Err(failure) => failure.into_outcome(),
            },
            Check::Exec { command } => self.run(target, command, begun).with_subscriber(NoSubscriber::default()).await,
            Check::FreshFile { path, freshness } => {
                self.file(target, path, *freshness).with_subscriber(NoSubscriber::default()).await
            }
            Check::FreshPage { get, freshness } => self.page(target, get, *freshness).await,
        };
        Answer { outcome, output: target.secrets.excerpt(&output, OUTPUT) }
    }
}

/// The engine did not run a command: since the command is not there, or for reasons of its own.
fn refused(failure: EngineFailure) -> (Outcome, String) {
    match failure.kind {
        FailureKind::Unavailable | FailureKind::Timeout | FailureKind::Transient => (Outcome::NotMade, failure.message),
        _ if cannot_be_run(126, &failure.message) => (Outcome::Broken, failure.message),
        _ => (Outcome::NotMade, failure.message),
    }
}
