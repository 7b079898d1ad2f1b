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
use super::{Ask, Begun, age, grpc, http};
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
        match http::get(&target.address, get).await {
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
            Check::HttpGet(get) => match http::get(&target.address, get).await {
                Ok(reply) if reply.is_good() => (Outcome::Good, String::new()),
                Ok(reply) => (Outcome::Bad, reply.to_string()),
                Err(failure) => failure.into_outcome(),
            },
            Check::TcpSocket { host, port } => match connect(host.as_deref(), *port, &target.address).await {
                Ok(_) => (Outcome::Good, String::new()),
                Err(failure) => failure.into_outcome(),
            },
            Check::Grpc { host, port, service } => {
                let asked = async { grpc::check(connect(host.as_deref(), *port, &target.address).await?, service).await };
                match asked.await {
                    Ok(grpc::Serving) => (Outcome::Good, String::new()),
                    Err(failure) => failure.into_outcome(),
                }
            }
            Check::Exec { command } => self.run(target, command, begun).with_subscriber(NoSubscriber::default()).await,
            Check::FreshFile { path, freshness } => {
                self.file(target, path, *freshness).with_subscriber(NoSubscriber::default()).await
            }
            Check::FreshPage { get, freshness } => self.page(target, get, *freshness).await,
        };
        Answer { outcome, output: target.secrets.excerpt(&output, OUTPUT) }
    }
}

/// A connection to the host that is named, else to the container itself.
async fn connect(host: Option<&str>, port: u16, own: &http::Own) -> Result<TcpStream, http::Failure> {
    let address = http::address(http::host(host, own)?, port);
    TcpStream::connect(&address).await.map_err(|error| http::Failure::of_connect(&address, &error))
}

/// The engine did not run a command: since the command is not there, or for reasons of its own.
fn refused(failure: EngineFailure) -> (Outcome, String) {
    match failure.kind {
        FailureKind::Unavailable | FailureKind::Timeout | FailureKind::Transient => (Outcome::NotMade, failure.message),
        _ if cannot_be_run(126, &failure.message) => (Outcome::Broken, failure.message),
        _ => (Outcome::NotMade, failure.message),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::{Instant, advance};

    use super::*;
    use crate::clock::{Clock, TokioClock};
    use crate::docker::fake::FakeEngine;
    use crate::model::{Probes, RunId, Secrets, Unreachable};

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_to_be_fresh_need_not_answer_right_after_the_start() {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let asker = Asker::new(Arc::new(FakeEngine::new(clock.clone(), 1)), clock.clone());
        let run = RunId { container: "c".into(), started_at: Some(clock.now()) };
        let address = Ok("127.0.0.1".to_owned());
        let target = ProbeTarget { run, address, probes: Probes::default(), secrets: Secrets::default() };
        // Nobody listens on port 1.
        let get = HttpGet { port: 1, path: "/".into(), ..HttpGet::default() };
        let check = Check::FreshPage { get, freshness: Duration::from_secs(30) };
        let mut outcomes = BTreeMap::new();
        let began = Instant::now();
        for _ in 0..2 {
            outcomes.insert(began.elapsed().as_secs(), asker.ask(&target, &check, &Begun::default()).await.outcome);
            advance(Duration::from_secs(40)).await;
        }
        assert_eq!(outcomes.into_values().collect::<Vec<_>>(), [Outcome::NotMade, Outcome::Bad]);
    }

    #[tokio::test]
    async fn a_container_that_cannot_be_reached_from_here_is_not_taken_for_ill() {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let asker = Asker::new(Arc::new(FakeEngine::new(clock.clone(), 1)), clock.clone());
        for why in [Unreachable::NoAddress, Unreachable::ClosedToHost, Unreachable::Remote] {
            let run = RunId { container: "c".into(), started_at: None };
            let target = ProbeTarget { run, address: Err(why), probes: Probes::default(), secrets: Secrets::default() };
            for check in [
                Check::HttpGet(HttpGet { port: 1, path: "/".into(), ..HttpGet::default() }),
                Check::TcpSocket { host: None, port: 1 },
                Check::Grpc { host: None, port: 1, service: String::new() },
            ] {
                let Answer { outcome, output } = asker.ask(&target, &check, &Begun::default()).await;
                assert_eq!(outcome, Outcome::Broken, "{output}");
                assert!(output.contains(&why.to_string()) && output.contains("name a host"), "{output}");
            }
        }
    }
}
