//! The engine's event stream, decoded by ourselves: bollard's ends at the first event of a kind it does not know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::errors::Error;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Events, Result};
use crate::model::{EngineEvent, EngineFailure, EventKind};

/// Events that are asked for. Of the three `exec_*` events of each health probe one is kept: the daemon remembers its last 256
/// events, noisy ones included, and only who has seen one of those can tell later that nothing was missed.
pub(super) const FILTER: &str = concat!(
    r#"{"event":["create","start","restart","kill","die","stop","oom","pause","unpause","destroy","rename","update","#,
    r#""health_status","exec_die","connect","disconnect","remove","pull","tag","untag","delete","load","import"]}"#
);

/// Events read ahead of the reader. The daemon drops readers that do not keep up, so they are read as they come.
const READ_AHEAD: usize = 4096;

/// Whether an event stream is still open, seen as soon as the daemon closes it, not only when the reader gets there.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<AtomicBool>);

impl Open {
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Turns a response's body into events. `failed` words the error that ends the stream when the connection breaks.
pub(super) fn stream(body: Incoming, failed: impl Fn(&Error) -> EngineFailure + Send + 'static) -> (Events, Open) {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let open = Open(Arc::new(AtomicBool::new(true)));
    tokio::spawn(pump(body, sender, open.clone(), failed));
    (ReceiverStream::new(receiver).boxed(), open)
}

/// Reads until the daemon ends the stream or nobody listens any more.
async fn pump(
    mut body: Incoming,
    sender: mpsc::Sender<Result<EngineEvent>>,
    open: Open,
    failed: impl Fn(&Error) -> EngineFailure,
) {
    let mut lines = Lines::default();
    loop {
        let frame = tokio::select! {
            () = sender.closed() => return,
            frame = body.frame() => frame,
        };
        let broken: Option<Error> = match frame {
            Some(Ok(frame)) => {
                let decoded = frame.into_data().map(|data| lines.push(&data)).unwrap_or_default();
                match deliver(decoded, &sender).await {
                    Ok(()) => continue,
                    Err(error) => Some(error),
                }
            }
            Some(Err(error)) => Some(error.into()),
            None => None,
        };
        open.0.store(false, Ordering::Release);
        if let Some(error) = broken {
            // Nobody to tell: the reader has gone.
            let _ = sender.send(Err(failed(&error))).await;
        }
        return;
    }
}

async fn deliver(lines: Vec<Bytes>, sender: &mpsc::Sender<Result<EngineEvent>>) -> std::result::Result<(), Error> {
    for line in lines {
        let event: EventReply = serde_json::from_slice(&line)?;
        if sender.send(Ok(event.into())).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Lines {
    rest: BytesMut,
}

impl Lines {
    fn push(&mut self, data: &[u8]) -> Vec<Bytes> {
        self.rest.extend_from_slice(data);
        let mut lines = vec![];
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line = self.rest.split_to(end + 1).freeze();
            if !line.trim_ascii().is_empty() {
                lines.push(line);
            }
        }
        lines
    }
}

/// One line of the stream; kinds and actions are text, so that no new word ends it.
#[derive(Deserialize)]
struct EventReply {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor", default)]
    actor: ActorReply,
    #[serde(rename = "timeNano", default)]
    time_nanos: i64,
}

#[derive(Deserialize, Default)]
struct ActorReply {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<BTreeMap<String, String>>,
}

impl From<EventReply> for EngineEvent {
    fn from(reply: EventReply) -> Self {
        let kind = match reply.kind.as_str() {
            "container" => EventKind::Container,
            "network" => EventKind::Network,
            "volume" => EventKind::Volume,
            "image" => EventKind::Image,
            _ => EventKind::Other,
        };
        Self {
            time_nanos: reply.time_nanos,
            kind,
            action: reply.action,
            id: reply.actor.id,
            attributes: reply.actor.attributes.unwrap_or_default(),
        }
    }
}

/// `since` as the engine wants it: seconds, a dot, nine digits of nanoseconds.
pub(super) fn since(time_nanos: i64) -> String {
    const NANOS: i64 = 1_000_000_000;
    format!("{}.{:09}", time_nanos.div_euclid(NANOS), time_nanos.rem_euclid(NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_cut_in_two_by_the_network_is_read_once_and_whole() {
        let mut lines = Lines::default();
        assert!(lines.push(br#"{"Type":"container","Act"#).is_empty());
        let whole = lines.push(b"ion\":\"die\"}\n\n{\"Type\":\"net");
        assert_eq!(whole, [Bytes::from_static(b"{\"Type\":\"container\",\"Action\":\"die\"}\n")]);
        assert_eq!(lines.push(b"work\"}\n").len(), 1);
    }

    #[test]
    fn an_event_of_an_unknown_kind_is_read_as_other() {
        let text = r#"{"Type":"quantum","Action":"collapse","Actor":{"ID":"x","Attributes":null},"timeNano":7}"#;
        let event: EngineEvent = serde_json::from_str::<EventReply>(text).unwrap().into();
        assert_eq!(event.kind, EventKind::Other);
        assert_eq!((event.time_nanos, event.action.as_str(), event.id.as_str()), (7, "collapse", "x"));
    }

    #[test]
    fn since_is_seconds_and_nine_digits_of_nanoseconds() {
        assert_eq!(since(1_700_000_000_000_000_042), "1700000000.000000042");
    }

    #[test]
    fn the_filter_is_json() {
        serde_json::from_str::<serde_json::Value>(FILTER).unwrap();
    }
}
