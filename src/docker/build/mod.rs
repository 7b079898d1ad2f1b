//! Image builds: the context on its way to the engine, BuildKit or the classic builder at work, and what either says.
//!
//! | file | what |
//! |---|---|
//! | `context` | the files that go into a build, by one walk in a fixed order |
//! | `ignore` | `.dockerignore`, by Docker's rules |
//! | `digest` | a digest over all of it, cheap when nothing changed |
//! | `archive` | the files as a tar stream |
//! | `request` | which builder, and what it is told |
//! | `stages` | images under names of the Dockerfile's own |
//! | `access` | credentials of the registries that base images come from |
//! | `session`, `grpc`, `proto` | what BuildKit asks its client for: credentials, secrets, agents |
//! | `output` | what the builders say; the last lines of a build that failed |
//! | `mask`, `environment` | secrets kept out of that; what comes from the operator's surroundings |

mod access;
mod archive;
mod context;
mod digest;
mod environment;
mod grpc;
mod ignore;
mod mask;
mod output;
mod proto;
mod request;
mod session;
mod stages;

use std::sync::Arc;

use bollard::errors::Error;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch;

use super::credentials::Keyring;
use super::error::Attempt;
use super::limits;
use super::wire::Wire;
use crate::model::{BuildSpec, EngineFailure, FailureKind, Progress};
use archive::Sending;
use context::{Context, ContextError};
use mask::Mask;
use output::Output;
use request::Builder;
use session::Session;

pub use digest::DigestCache;

/// Why a context cannot be read.
pub type InputError = ContextError;

/// The way to an engine, and what goes with it.
pub(super) struct Way<'a> {
    pub wire: &'a Wire,
    pub keyring: &'a Arc<Keyring>,
    /// The engine's address, for messages.
    pub engine: String,
}

/// Builds an image; its id. Dropping the future ends the build: both builders stop when nobody listens.
pub(super) async fn run(
    way: &Way<'_>,
    attempt: &Attempt,
    spec: &BuildSpec,
    told: &watch::Sender<Progress>,
) -> Result<String, EngineFailure> {
    let failed = |error: Error| attempt.failed(&way.engine, &error);
    let builder = choose(way.wire).await.map_err(failed)?;
    tracing::Span::current().record("builder", builder.name());
    if let Some(lack) = builder.lacks(spec) {
        return Err(attempt.refused(&lack));
    }
    let (context, mask) = prepare(spec.clone()).await.map_err(|error| build_failed(attempt, &error.to_string()))?;
    let session = match builder {
        Builder::BuildKit => Some(Session::open(way.wire, way.keyring, spec).await.map_err(failed)?),
        Builder::Classic => None,
    };
    let id = session.as_ref().map(|session| session.id.as_str());
    let mut request =
        Request::post(request::path(spec, &context.dockerfile, builder, id)).header(CONTENT_TYPE, "application/x-tar");
    // BuildKit asks for credentials when it needs them; the classic builder must have them from the start.
    if builder == Builder::Classic
        && let Some(registries) =
            access::header(way.keyring, (!context.is_elsewhere()).then(|| context.recipe()).as_deref()).await
    {
        request = request.header("x-registry-config", registries);
    }
    let (body, sending) = archive::send(context);
    let request = request.body(body).map_err(|error| failed(error.into()))?;
    let answer = while_it_moves(attempt, &sending, way.wire.exchange_checked(request)).await?;
    let refused = |error: Error| broken_off(attempt, &sending).unwrap_or_else(|| refused(attempt, &way.engine, &error));
    let output = listen(way, attempt, answer.map_err(refused)?.into_body(), &sending, Output::new(mask), told).await?;
    drop(session);
    output.result().map_err(|why| build_failed(attempt, &why))
}

/// Asks the engine which builders it has.
async fn choose(wire: &Wire) -> Result<Builder, Error> {
    let ping = wire.open("/_ping").await?;
    let header = |name: &str| ping.headers().get(name).and_then(|value| value.to_str().ok());
    Ok(Builder::choose(environment::wants_buildkit(), header("builder-version"), header("ostype")))
}

/// Reads what must be known before the first byte is sent.
async fn prepare(spec: BuildSpec) -> Result<(Context, Mask), ContextError> {
    let read = tokio::task::spawn_blocking(move || Ok((Context::open(&spec)?, Mask::of(&spec))));
    read.await.unwrap_or_else(|_| Err(ContextError::Unusable("reading the build context was interrupted".into())))
}

/// Reads what the builder says to its end.
async fn listen(
    way: &Way<'_>,
    attempt: &Attempt,
    mut body: Incoming,
    sending: &Sending,
    mut output: Output,
    told: &watch::Sender<Progress>,
) -> Result<Output, EngineFailure> {
    loop {
        match while_it_moves(attempt, sending, body.frame()).await? {
            None => return Ok(output),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && let Some(progress) = output.read(&data)
                {
                    told.send_replace(progress);
                }
            }
            Some(Err(error)) => {
                let lost = || attempt.failed(&way.engine, &Error::from(error));
                return Err(broken_off(attempt, sending).unwrap_or_else(lost));
            }
        }
    }
}

/// Waits for the builder, as long as it takes what is sent or says something from time to time.
async fn while_it_moves<T>(attempt: &Attempt, sending: &Sending, wait: impl Future<Output = T>) -> Result<T, EngineFailure> {
    tokio::pin!(wait);
    loop {
        let sent = sending.sent();
        match tokio::time::timeout(limits::BUILD_SILENCE, &mut wait).await {
            Ok(result) => return Ok(result),
            Err(_) if sending.sent() > sent => {}
            Err(_) => return Err(attempt.timed_out(limits::BUILD_SILENCE)),
        }
    }
}

/// The context could not be sent to its end: that is the reason, whatever the engine made of it.
fn broken_off(attempt: &Attempt, sending: &Sending) -> Option<EngineFailure> {
    sending.failure().map(|why| build_failed(attempt, &why))
}

/// The engine refused the build as a whole: a Dockerfile with a slip in it is answered so by the classic builder.
fn refused(attempt: &Attempt, engine: &str, error: &Error) -> EngineFailure {
    let failure = attempt.failed(engine, error);
    match failure.kind {
        FailureKind::Unavailable | FailureKind::Timeout => failure,
        _ => EngineFailure { kind: FailureKind::BuildFailed, ..failure },
    }
}

fn build_failed(attempt: &Attempt, why: &str) -> EngineFailure {
    EngineFailure { kind: FailureKind::BuildFailed, message: format!("cannot {}: {why}", attempt.what) }
}
