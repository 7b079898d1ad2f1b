//! The real engine, looked into over our own wire.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::facts::{InfoReply, NetworkReply};
use super::frames::Frames;
use super::lines::Lines;
use super::usage::{StatsReply, Usage};
use super::{Channel, Exec, ExecSpec, Facts, Inside, LogQuery, Logs};
use crate::docker::client::span;
use crate::docker::error::{Attempt, Call};
use crate::docker::{Client, Result, limits, wire};

/// Bytes of a command's output that are read at once.
const CHUNK: usize = 32 * 1024;

/// What is read of `GET /containers/{id}/json` before its log is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TtyReply {
    config: TtyConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TtyConfig {
    tty: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecReply {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecState {
    running: bool,
    exit_code: Option<i64>,
}

#[async_trait]
impl Inside for Client {
    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Logs> {
        let attempt = Attempt::new(Call::Other, format!("read the log of container {}", short(container)));
        let span = span!("docker.logs", container = %container, follow = query.follow);
        let path = log_path(container, query);
        let work = async {
            // With a terminal there are no frames, and nothing in the stream says which it is.
            let reply: TtyReply = self.wire().get(&format!("/containers/{container}/json")).await?;
            Ok((reply.config.tty, self.wire().open(&path).await?.into_body()))
        };
        let (tty, body) = self.call(attempt.clone(), limits::LOOK, span, work).await?;
        let broken = Broken { attempt, engine: self.address() };
        Ok(if tty { raw(body, broken) } else { lines(body, Lines::new(query.timestamps), broken) })
    }

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec> {
        let attempt = Attempt::new(Call::Other, format!("run a command in container {}", short(container)));
        let span = span!("docker.exec", container = %container, tty = spec.tty);
        let create = json!({
            "AttachStdin": spec.stdin, "AttachStdout": true, "AttachStderr": true, "Tty": spec.tty,
            "Cmd": spec.command, "Env": spec.env,
            "User": spec.user.as_deref().unwrap_or_default(), "WorkingDir": spec.workdir.as_deref().unwrap_or_default(),
        });
        let work = async {
            let created: ExecReply = self.wire().post(&format!("/containers/{container}/exec"), &create).await?;
            let start = json!({"Detach": false, "Tty": spec.tty});
            let stream = self.wire().hijack(&format!("/exec/{}/start", created.id), &start).await?;
            Ok((created.id, stream))
        };
        let (id, stream) = self.call(attempt.clone(), limits::CHANGE, span, work).await?;
        let (output, input) = tokio::io::split(TokioIo::new(stream));
        let broken = Broken { attempt, engine: self.address() };
        let frames = (!spec.tty).then(Frames::default);
        Ok(Exec { id, output: output_of(Box::pin(output), frames, broken), input: Box::new(input) })
    }

    async fn resize_exec(&self, exec: &str, width: u16, height: u16) -> Result<()> {
        let attempt = Attempt::new(Call::Other, "set the size of a command's terminal");
        let path = format!("/exec/{exec}/resize?h={height}&w={width}");
        let work = async { self.wire().post_nothing(&path).await };
        self.call(attempt, limits::LOOK, span!("docker.resize_exec", exec = %exec), work).await
    }

    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>> {
        let attempt = Attempt::new(Call::Other, "ask how a command ended");
        let path = format!("/exec/{exec}/json");
        let work = self.wire().get::<ExecState>(&path);
        let state = self.call(attempt, limits::LOOK, span!("docker.inspect_exec", exec = %exec), work).await?;
        Ok(state.exit_code.filter(|_| !state.running))
    }

    async fn modified(&self, container: &str, path: &str) -> Result<Option<jiff::Timestamp>> {
        let attempt = Attempt::new(Call::Other, format!("look at {path} in container {}", short(container)));
        let path = format!("/containers/{container}/archive?{}", wire::query(&[("path", path)]));
        let work = self.wire().stat(&path);
        let found = self.call(attempt, limits::LOOK, span!("docker.stat", container = %container), work).await?;
        Ok(found.as_deref().and_then(modified_of))
    }

    async fn usage(&self, container: &str) -> Result<Usage> {
        let attempt = Attempt::new(Call::Other, format!("measure container {}", short(container)));
        // Without `one-shot` the engine takes two samples, a second apart: CPU use is a difference.
        let path = format!("/containers/{container}/stats?stream=false");
        let work = self.wire().get::<StatsReply>(&path);
        self.call(attempt, limits::LOOK, span!("docker.stats", container = %container), work).await.map(Into::into)
    }

    async fn facts(&self) -> Result<Facts> {
        let attempt = Attempt::new(Call::Other, "ask the engine about itself");
        let work = async {
            let info: InfoReply = self.wire().get("/info").await?;
            let networks: Vec<NetworkReply> = self.wire().get("/networks").await?;
            let version = self.wire().version().await?;
            Ok(info.into_facts(self.address(), version.to_string(), &networks, self.wire().keeper()))
        };
        self.call(attempt, limits::LOOK, span!("docker.facts"), work).await
    }
}

fn log_path(container: &str, query: &LogQuery) -> String {
    let tail = query.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    // Whole seconds and nanoseconds: a far future does not fit into nanoseconds alone.
    let since = query.since.map(|since| since.max(jiff::Timestamp::UNIX_EPOCH));
    let since = since.map(|since| format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    let flag = |on: bool| if on { "1" } else { "0" };
    let mut pairs = vec![("stdout", "1"), ("stderr", "1"), ("tail", tail.as_str())];
    pairs.extend([("follow", flag(query.follow)), ("timestamps", flag(query.timestamps))]);
    pairs.extend(since.as_deref().map(|since| ("since", since)));
    format!("/containers/{container}/logs?{}", wire::query(&pairs))
}

/// Words for a stream that breaks off.
struct Broken {
    attempt: Attempt,
    engine: String,
}

impl Broken {
    fn failed(&self, error: impl Into<bollard::errors::Error>) -> crate::model::EngineFailure {
        self.attempt.failed(&self.engine, &error.into())
    }
}

/// The next bytes of a body; `None` at its end.
async fn next(body: &mut Incoming) -> Option<std::result::Result<Bytes, hyper::Error>> {
    loop {
        match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => return Some(Ok(bytes)),
                Err(_) => continue,
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

/// A log as it comes, from a container with a terminal.
fn raw(body: Incoming, broken: Broken) -> Logs {
    stream::unfold(Some((body, broken)), |state| async {
        let (mut body, broken) = state?;
        match next(&mut body).await? {
            Ok(bytes) => Some((Ok(bytes), Some((body, broken)))),
            Err(error) => Some((Err(broken.failed(error)), None)),
        }
    })
    .boxed()
}

/// A log out of frames. What is not read stays with the engine: nothing is read ahead.
fn lines(body: Incoming, lines: Lines, broken: Broken) -> Logs {
    stream::unfold(Some((body, Frames::default(), lines, broken)), |state| async {
        let (mut body, mut frames, mut lines, broken) = state?;
        loop {
            match frames.next() {
                Ok(Some(piece)) => {
                    let whole = lines.take(&piece);
                    if !whole.is_empty() {
                        return Some((Ok(whole), Some((body, frames, lines, broken))));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(why) => return Some((Err(broken.attempt.refused(&why)), None)),
            }
            match next(&mut body).await {
                Some(Ok(bytes)) => frames.push(&bytes),
                Some(Err(error)) => return Some((Err(broken.failed(error)), None)),
                None => {
                    let rest = lines.rest();
                    return (!rest.is_empty()).then_some((Ok(rest), None));
                }
            }
        }
    })
    .boxed()
}

/// What a command writes: out of frames, or as it comes.
fn output_of(
    output: Pin<Box<dyn AsyncRead + Send>>,
    frames: Option<Frames>,
    broken: Broken,
) -> BoxStream<'static, Result<(Channel, Bytes)>> {
    stream::unfold(Some((output, frames, broken)), |state| async {
        let (mut output, mut frames, broken) = state?;
        loop {
            match frames.as_mut().map(Frames::next) {
                Some(Ok(Some(piece))) => return Some((Ok((piece.channel, piece.bytes)), Some((output, frames, broken)))),
                Some(Err(why)) => return Some((Err(broken.attempt.refused(&why)), None)),
                Some(Ok(None)) | None => {}
            }
            let mut chunk = vec![0; CHUNK];
            match output.read(&mut chunk).await {
                Ok(0) => return None,
                Ok(length) => {
                    chunk.truncate(length);
                    match &mut frames {
                        Some(frames) => frames.push(&chunk),
                        None => return Some((Ok((Channel::Stdout, chunk.into())), Some((output, frames, broken)))),
                    }
                }
                Err(error) => return Some((Err(broken.failed(error)), None)),
            }
        }
    })
    .boxed()
}

/// The first twelve digits of an id; a name is told whole.
fn short(container: &str) -> &str {
    let id = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    if id { &container[..12] } else { container }
}

/// The time in the header of an answer about a file: JSON in base64.
pub(super) fn modified_of(header: &str) -> Option<jiff::Timestamp> {
    use base64::Engine as _;
    let json = base64::engine::general_purpose::STANDARD.decode(header).ok()?;
    let stat: StatReply = serde_json::from_slice(&json).ok()?;
    stat.mtime.parse().ok()
}

#[derive(Deserialize)]
struct StatReply {
    mtime: String,
}
