//! What goes between this process and a command: input and sizes there, output and the exit code back.

use std::io::{self, Read, Write};

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::terminal;
use crate::cli::client::Socket;
use crate::cli::failure::Failure;
use crate::model::remote::{self, CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT};

/// Bytes of input that are sent at once.
const CHUNK: usize = 16 * 1024;

/// Runs it to its end; the command's exit code.
pub async fn run(socket: Socket, stdin: bool, tty: bool) -> Result<u8, Failure> {
    let (sink, messages) = socket.split();
    let mut ends = Ends::new()?;
    tokio::select! {
        code = receive(messages) => code,
        failure = send(sink, stdin, tty) => Err(failure),
        signal = ends.next() => Err(Failure::Other(anyhow::anyhow!("ended by {signal}; the command may go on in its container"))),
    }
}

/// Signals that would end us without the terminal being restored. SIGINT is left as it is: a raw terminal sends none.
struct Ends {
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| anyhow::Error::new(error).context("cannot listen for signals"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, hangup: listen(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

/// Shows the output until the exit code comes.
async fn receive(mut messages: SplitStream<Socket>) -> Result<u8, Failure> {
    let broken =
        || Failure::Other(anyhow::anyhow!("the connection to the operator broke off; the command may go on in its container"));
    loop {
        let Some(Ok(message)) = messages.next().await else { return Err(broken()) };
        let Message::Binary(bytes) = message else { continue };
        match bytes.split_first() {
            Some((&STDOUT, text)) => show(&mut io::stdout().lock(), text)?,
            Some((&STDERR, text)) => show(&mut io::stderr().lock(), text)?,
            Some((&ERROR, status)) => {
                let status = serde_json::from_slice(status).unwrap_or_default();
                let code = remote::exit_code(&status).map_err(|why| Failure::Other(anyhow::anyhow!(why)))?;
                // Exit codes are bytes; Docker has none beyond.
                return Ok(u8::try_from(code).unwrap_or(u8::MAX));
            }
            _ => {}
        }
    }
}

fn show(out: &mut impl Write, text: &[u8]) -> Result<(), Failure> {
    out.write_all(text).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::Other(anyhow::Error::new(error).context("cannot show the command's output")),
    })
}

/// Sends input and sizes. Returns only when they cannot be sent.
async fn send(mut sink: SplitSink<Socket, Message>, stdin: bool, tty: bool) -> Failure {
    let mut input = if stdin { Some(read_stdin()) } else { None };
    let mut resized = if tty { signal(SignalKind::window_change()).ok() } else { None };
    let mut size = terminal::size().filter(|_| tty);
    loop {
        let message = match size.take() {
            Some(size) => remote::message(RESIZE, serde_json::json!(size).to_string().as_bytes()),
            None => tokio::select! {
                bytes = next(&mut input) => match bytes {
                    Some(bytes) => remote::message(STDIN, &bytes),
                    None => {
                        input = None;
                        remote::message(CLOSE, &[STDIN])
                    }
                },
                () = changed(&mut resized) => {
                    size = terminal::size();
                    continue;
                }
            },
        };
        // Whoever receives says why.
        if sink.send(Message::binary(message)).await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn next(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}

async fn changed(resized: &mut Option<Signal>) {
    match resized {
        Some(resized) => {
            resized.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Our input, read by a thread of its own: a read from a terminal cannot be given up, and the thread ends with the process.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        while let Ok(length @ 1..) = io::stdin().lock().read(&mut chunk) {
            if sender.blocking_send(chunk[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
