//! One command's session: messages of the WebSocket in, pieces of output out.

use std::time::Duration;

use axum::body::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::api::ApiState;
use crate::docker::{Channel, Exec, Inside};
use crate::model::remote::{self, CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT, Size};

/// How often the client is pinged: a connection that died silently is noticed, and no proxy between takes it for idle.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long is asked for an exit code once the output has ended.
const EXIT_DEADLINE: Duration = Duration::from_secs(10);
/// How often.
const EXIT_POLL: Duration = Duration::from_millis(25);
/// How often the engine is asked to set the size of a terminal: it may not be there yet.
const RESIZE_TRIES: u32 = 20;
/// How long keys wait for the first size of their terminal: what they start is to find it there.
const FIRST_SIZE: Duration = Duration::from_secs(1);
/// For the last words to a client that may have stopped reading.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Runs it to its end.
pub async fn run(stream: Upgraded, protocol: &'static str, exec: Exec, state: &ApiState) {
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
    let (mut sink, mut incoming) = socket.split();
    let Exec { id, mut output, input } = exec;
    let engine = state.host.engine.as_ref();
    let status = {
        let (wanted, sizes) = watch::channel(None);
        let (sized, first_size) = oneshot::channel();
        let inbound = receive(&mut incoming, input, protocol, wanted, first_size);
        let outbound = send(&mut sink, &mut output);
        tokio::select! {
            sent = outbound => match sent {
                Ok(()) => Some(ended(engine, &id).await),
                Err(status) => status,
            },
            () = inbound => None,
            // Ends with the input only.
            () = resize(engine, &id, sizes, sized) => None,
            () = state.stopping.cancelled() => Some(remote::lost("the operator is stopping; the command may go on")),
        }
    };
    let farewell = async {
        if let Some(status) = status {
            let _ = sink.send(Message::binary(remote::message(ERROR, status.to_string().as_bytes()))).await;
        }
        // Nobody to tell, if the client has gone.
        let _ = sink.close().await;
        // Until it has read it all: one that writes to a closed connection gives up reading.
        while let Some(Ok(_)) = incoming.next().await {}
    };
    let _ = timeout(FAREWELL_DEADLINE, farewell).await;
}

/// Sends the output on until it ends. The error is the status to tell, if there is anybody left.
async fn send(
    sink: &mut SplitSink<Socket, Message>,
    output: &mut (impl futures::Stream<Item = crate::docker::Result<(Channel, Bytes)>> + Unpin),
) -> Result<(), Option<Value>> {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            piece = output.next() => match piece {
                None => return Ok(()),
                Some(Ok((channel, bytes))) => {
                    let stream = if channel == Channel::Stdout { STDOUT } else { STDERR };
                    Message::binary(remote::message(stream, &bytes))
                }
                Some(Err(failure)) => return Err(Some(remote::lost(&failure.message))),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return Err(None);
        }
    }
}

/// Hands on what the client sends, until it goes. Sizes are set by somebody else: the engine may take its time, and keys wait for
/// it only once, when a size was sent before them.
async fn receive(
    incoming: &mut SplitStream<Socket>,
    mut input: Box<dyn AsyncWrite + Send + Unpin>,
    protocol: &'static str,
    sizes: watch::Sender<Option<Size>>,
    first_size: oneshot::Receiver<()>,
) {
    let mut first_size = Some(first_size);
    while let Some(Ok(message)) = incoming.next().await {
        let Message::Binary(bytes) = message else {
            if message.is_close() {
                return;
            }
            continue;
        };
        match bytes.split_first() {
            Some((&STDIN, text)) => {
                if sizes.borrow().is_some()
                    && let Some(set) = first_size.take()
                {
                    let _ = timeout(FIRST_SIZE, set).await;
                }
                // A command that no longer reads is no failure: its output may go on.
                drop(input.write_all(text).await.and(input.flush().await));
            }
            Some((&RESIZE, size)) => drop(serde_json::from_slice(size).map(|size| sizes.send_replace(Some(size)))),
            Some((&CLOSE, [STDIN])) if protocol == remote::PROTOCOLS[0] => drop(input.shutdown().await),
            _ => {}
        }
    }
}

/// Sets the newest size that is wanted, again and again, and says when the first is set or given up. One that cannot be set costs
/// looks, nothing else.
async fn resize(engine: &dyn Inside, exec: &str, mut sizes: watch::Receiver<Option<Size>>, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    while sizes.changed().await.is_ok() {
        let Some(Size { width, height }) = *sizes.borrow_and_update() else { continue };
        for _ in 0..RESIZE_TRIES {
            match engine.resize_exec(exec, width, height).await {
                Ok(()) => break,
                Err(failure) => tracing::debug!(error = failure.message, "the terminal of a command has no size yet"),
            }
            sleep(EXIT_POLL).await;
            // A newer size has tries of its own.
            if sizes.has_changed().unwrap_or(true) {
                break;
            }
        }
        drop(first.take());
    }
}

/// How the command ended, as the client is to be told.
async fn ended(engine: &dyn Inside, exec: &str) -> Value {
    let deadline = Instant::now() + EXIT_DEADLINE;
    loop {
        match engine.exec_exit_code(exec).await {
            Ok(Some(code)) => return remote::exited(code),
            Ok(None) if Instant::now() < deadline => sleep(EXIT_POLL).await,
            Ok(None) => return remote::lost("the command's output has ended, and the engine does not say how the command did"),
            Err(failure) => return remote::lost(&failure.message),
        }
    }
}
