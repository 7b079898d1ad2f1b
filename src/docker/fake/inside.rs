//! The fake, looked into: logs that a test writes, and three commands.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::faults::failure;
use super::runs::has_process;
use super::{FakeEngine, Verb};
use crate::docker::{Channel, Exec, ExecSpec, Facts, Inside, LogQuery, Logs, Result, Usage, limits};
use crate::model::FailureKind;

/// What is known of logs and commands.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// By container id.
    logs: BTreeMap<String, Log>,
    usage: BTreeMap<String, Usage>,
    /// When files were written last, by container id and path.
    files: BTreeMap<(String, String), Timestamp>,
    /// Exit codes of commands; none while one runs.
    execs: Vec<Option<i64>>,
    /// Sizes that terminals were given.
    sizes: Vec<(u16, u16)>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<(Timestamp, String)>,
    readers: Vec<(bool, UnboundedSender<Result<Bytes>>)>,
}

/// A container's id and what it writes from now on.
type Live = (String, UnboundedReceiver<Result<Bytes>>);

impl FakeEngine {
    /// Writes a line into the log of a container, by name or id. Without a container of that name nothing is written.
    pub fn write_log(&self, container: &str, text: &str) {
        self.step(|machine| {
            let Ok(id) = machine.find(container) else { return };
            let now = machine.now();
            let log = machine.inner.logs.entry(id).or_default();
            log.readers.retain(|(stamped, reader)| reader.send(Ok(shown(*stamped, now, text))).is_ok());
            log.lines.push((now, text.to_owned()));
        });
    }

    /// How many read the log of a container and wait for more.
    pub fn log_readers(&self, container: &str) -> usize {
        let machine = self.machine();
        let log = machine.find(container).ok().and_then(|id| machine.inner.logs.get(&id));
        log.map_or(0, |log| log.readers.iter().filter(|(_, reader)| !reader.is_closed()).count())
    }

    /// Writes a file in a container, by name or id. Without a container of that name nothing is written.
    pub fn touch_file(&self, container: &str, path: &str) {
        self.step(|machine| {
            let now = machine.now();
            if let Ok(id) = machine.find(container) {
                machine.inner.files.insert((id, path.to_owned()), now);
            }
        });
    }

    /// Sets what a container is measured to use.
    pub fn set_usage(&self, container: &str, usage: Usage) {
        self.step(|machine| machine.inner.usage.insert(container.to_owned(), usage));
    }

    /// The sizes that terminals of commands were given, width and height.
    pub fn terminal_sizes(&self) -> Vec<(u16, u16)> {
        self.machine().inner.sizes.clone()
    }

    /// What was written before, and whence the rest comes if there is to be any: the container's id and the lines.
    fn read_log(&self, container: &str, query: &LogQuery) -> Result<(Vec<Result<Bytes>>, Option<Live>)> {
        self.step(|machine| {
            let id = machine.find(container)?;
            let runs = machine.containers.get(&id).is_some_and(|unit| has_process(unit.seen.state));
            let log = machine.inner.logs.entry(id.clone()).or_default();
            let wanted: Vec<_> = log.lines.iter().filter(|(at, _)| query.since.is_none_or(|since| *at >= since)).collect();
            let tail = query.tail.map_or(wanted.len(), |tail| usize::try_from(tail).unwrap_or(usize::MAX));
            let past = wanted[wanted.len().saturating_sub(tail)..].iter();
            let past = past.map(|(at, text)| Ok(shown(query.timestamps, *at, text))).collect();
            let live = (query.follow && runs).then(|| {
                let (sender, receiver) = unbounded_channel();
                log.readers.push((query.timestamps, sender));
                (id, receiver)
            });
            Ok((past, live))
        })
    }

    async fn run_command(
        self,
        index: usize,
        spec: ExecSpec,
        input: DuplexStream,
        output: UnboundedSender<Result<(Channel, Bytes)>>,
    ) {
        let code = command(&spec, input, &output).await;
        self.step(|machine| machine.inner.execs[index] = Some(code));
    }
}

/// `cat`, `echo WORD..` (to stderr too), `exit N`; all else is not found.
async fn command(spec: &ExecSpec, mut input: DuplexStream, output: &UnboundedSender<Result<(Channel, Bytes)>>) -> i64 {
    let tell = |channel: Channel, text: String| {
        let _ = output.send(Ok((channel, text.into())));
    };
    let words: Vec<&str> = spec.command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cat"] => {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = input.read(&mut buffer).await {
                tell(Channel::Stdout, String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            0
        }
        ["echo", words @ ..] => {
            tell(Channel::Stdout, format!("{}\n", words.join(" ")));
            tell(Channel::Stderr, format!("{}\n", words.join(" ")));
            0
        }
        ["exit", code] => code.parse().unwrap_or(2),
        _ => {
            tell(Channel::Stdout, "executable file not found in $PATH\n".to_owned());
            127
        }
    }
}

fn shown(stamped: bool, at: Timestamp, text: &str) -> Bytes {
    let stamp = if stamped { format!("{at:.9} ") } else { String::new() };
    format!("{stamp}{text}\n").into()
}

#[async_trait]
impl Inside for FakeEngine {
    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Logs> {
        let (engine, wanted, query) = (self.clone(), container.to_owned(), query.clone());
        let read = async move { engine.read_log(&wanted, &query) };
        let (past, live) = self.call(Verb::Logs, container, limits::LOOK, read).await?;
        let past = stream::iter(past);
        let Some((id, live)) = live else { return Ok(past.boxed()) };
        let engine = self.clone();
        let over = async move { engine.run_over(&id).await };
        Ok(past.chain(UnboundedReceiverStream::new(live).take_until(Box::pin(over))).boxed())
    }

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec> {
        let (engine, wanted) = (self.clone(), container.to_owned());
        let begin = async move {
            engine.step(|machine| {
                let id = machine.find(&wanted)?;
                if !machine.containers.get(&id).is_some_and(|unit| has_process(unit.seen.state)) {
                    return Err(failure(FailureKind::Conflict, format!("Container {id} is not running")));
                }
                machine.inner.execs.push(None);
                Ok(machine.inner.execs.len() - 1)
            })
        };
        let index = self.call(Verb::Exec, container, limits::CHANGE, begin).await?;
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        let (sender, receiver) = unbounded_channel();
        if !spec.stdin {
            let _ = ours.shutdown().await;
        }
        tokio::spawn(self.clone().run_command(index, spec.clone(), theirs, sender));
        Ok(Exec { id: index.to_string(), output: UnboundedReceiverStream::new(receiver).boxed(), input: Box::new(ours) })
    }

    async fn resize_exec(&self, _: &str, width: u16, height: u16) -> Result<()> {
        let engine = self.clone();
        let resize = async move {
            engine.step(|machine| machine.inner.sizes.push((width, height)));
            Ok(())
        };
        self.call(Verb::ResizeExec, "", limits::LOOK, resize).await
    }

    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>> {
        let (engine, index) = (self.clone(), exec.parse::<usize>().unwrap_or(usize::MAX));
        let ask = async move { Ok(engine.step(|machine| machine.inner.execs.get(index).copied().flatten())) };
        self.call(Verb::ExecExitCode, "", limits::LOOK, ask).await
    }

    async fn modified(&self, container: &str, path: &str) -> Result<Option<Timestamp>> {
        self.step(|machine| {
            let id = machine.find(container)?;
            Ok(machine.inner.files.get(&(id, path.to_owned())).copied())
        })
    }

    async fn usage(&self, container: &str) -> Result<Usage> {
        let (engine, wanted) = (self.clone(), container.to_owned());
        let measure = async move {
            engine.step(|machine| {
                let name = machine.name_of(&wanted);
                machine.find(&wanted)?;
                Ok(machine.inner.usage.get(&name).copied().unwrap_or_default())
            })
        };
        self.call(Verb::Usage, container, limits::LOOK, measure).await
    }

    async fn facts(&self) -> Result<Facts> {
        let engine = self.clone();
        let ask = async move {
            Ok(engine.step(|machine| Facts {
                address: "fake".to_owned(),
                version: "20.10.24".to_owned(),
                api_version: "1.41".to_owned(),
                host: "fake".to_owned(),
                cgroup_version: "2".to_owned(),
                live_restore: machine.live_restore,
                time: Some(machine.now()),
                ..Facts::default()
            }))
        };
        self.call(Verb::Facts, "", limits::LOOK, ask).await
    }
}
