//! gRPC as far as a BuildKit session needs it: messages in frames, a status in trailers.

use std::convert::Infallible;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What is answered.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Largest message that is read; a secret is at most 500 kB.
const LARGEST: usize = 4 * 1024 * 1024;

/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Why a call is not answered with a message; codes are gRPC's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    code: u16,
    message: String,
}

impl Status {
    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }

    /// No such call is served here.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self { code: 12, message: message.into() }
    }

    /// What was sent makes no sense, or what is needed failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: 13, message: message.into() }
    }
}

/// The one message of a call.
pub(super) async fn message<M: Message + Default>(body: Incoming) -> Result<M, Status> {
    let mut reader = Reader::new(body);
    reader.next().await?.ok_or_else(|| Status::failed("the call came without a message"))
}

/// The messages of a call, one after the other.
pub(super) struct Reader {
    body: Incoming,
    buffer: BytesMut,
}

impl Reader {
    pub fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// The next one; `None` at the end.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return M::decode(frame).map(Some).map_err(|error| Status::failed(error.to_string()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Status::failed(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>, Status> {
        if self.buffer.len() < PREFIX {
            return Ok(None);
        }
        let length = (&self.buffer[1..PREFIX]).get_u32() as usize;
        if self.buffer[0] != 0 || length > LARGEST {
            return Err(Status::failed("a message that is compressed or too long"));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// A message with its prefix.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let text = message.encode_to_vec();
    let mut frame = BytesMut::with_capacity(PREFIX + text.len());
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&text);
    frame.freeze()
}

/// An answer of one message.
pub(super) fn answer(message: &impl Message) -> Response<Body> {
    let trailers = async { Some(Ok(done())) };
    respond(Full::new(framed(message)).with_trailers(trailers).boxed_unsync())
}

/// An answer of as many messages as come; it ends well when the sender is dropped.
pub(super) fn stream(frames: mpsc::Receiver<Bytes>) -> Response<Body> {
    use futures::StreamExt;
    let data = ReceiverStream::new(frames).map(|bytes| Ok(Frame::data(bytes)));
    let end = futures::stream::once(async { Ok(Frame::trailers(done())) });
    respond(StreamBody::new(data.chain(end)).boxed_unsync())
}

/// An answer without a message.
pub(super) fn refusal(status: &Status) -> Response<Body> {
    let mut response = respond(Full::new(Bytes::new()).boxed_unsync());
    let message = percent_encoding::utf8_percent_encode(&status.message, percent_encoding::NON_ALPHANUMERIC).to_string();
    response.headers_mut().insert("grpc-status", HeaderValue::from(status.code));
    if let Ok(message) = HeaderValue::from_str(&message) {
        response.headers_mut().insert("grpc-message", message);
    }
    response
}

fn done() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))])
}

fn respond(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
