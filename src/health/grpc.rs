//! One call of gRPC's own health service (`grpc.health.v1`), over plain HTTP/2, as kubelet makes it.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

use super::http::Failure;

/// Most bytes of an answer that are read.
const READ: usize = 4096;
/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What is asked.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    /// Name of a service; empty: the server as a whole.
    #[prost(string, tag = "1")]
    service: String,
}

/// What is answered.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    /// 0 unknown, 1 serving, 2 not serving, 3 no such service.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// It says that it serves.
pub(super) struct Serving;

/// Asks whether a service serves; the empty name is the server as a whole.
pub(super) async fn check(stream: TcpStream, service: &str) -> Result<Serving, Failure> {
    let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let silent = |error: hyper::Error| Failure::Silent(format!("{peer}: it does not answer in gRPC: {error}"));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(silent)?;
    let request =
        request(&peer, service).map_err(|error| Failure::Declared(format!("no gRPC call can be made of it: {error}")))?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let read = Limited::new(body, READ).collect().await;
        Ok((head, read.map(|read| (read.trailers().cloned().unwrap_or_default(), read.to_bytes()))))
    };
    tokio::pin!(answered);
    // The connection does its work only while it is polled, and ends with this call.
    let answer = tokio::select! {
        answer = &mut answered => answer,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error),
        },
    };
    let (head, read) = answer.map_err(silent)?;
    if !head.status.is_success() {
        return Err(Failure::Silent(format!("{peer}: HTTP {}, which is not gRPC", head.status)));
    }
    let (trailers, body) = read.map_err(|error| Failure::Silent(format!("{peer}: {error}")))?;
    judge(&head.headers, &trailers, &body).map_err(|why| Failure::Silent(format!("{peer}: {why}")))
}

fn request(authority: &str, service: &str) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, concat!("evenkeel-probe/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(asking(service)))
}

/// The request with its prefix.
fn asking(service: &str) -> Bytes {
    let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

/// What the answer says: gRPC's status in the trailers (in the headers, where there is no message), and its message.
fn judge(headers: &HeaderMap, trailers: &HeaderMap, body: &[u8]) -> Result<Serving, String> {
    let field = |name: &str| trailers.get(name).or_else(|| headers.get(name)).and_then(|value| value.to_str().ok());
    match field("grpc-status") {
        Some("0") => {}
        Some("5") => return Err("it knows no such service (gRPC NOT_FOUND)".to_owned()),
        Some("12") => return Err("it has no health service (gRPC UNIMPLEMENTED)".to_owned()),
        Some(code) => return Err(format!("gRPC status {code}: {}", field("grpc-message").unwrap_or_default())),
        None => return Err("an answer without a gRPC status".to_owned()),
    }
    let answer = HealthCheckResponse::decode(body.get(PREFIX..).unwrap_or_default());
    match answer.map_err(|error| format!("an answer that is none of the health service: {error}"))?.status {
        1 => Ok(Serving),
        2 => Err("NOT_SERVING".to_owned()),
        3 => Err("SERVICE_UNKNOWN".to_owned()),
        _ => Err("it does not say whether it serves (UNKNOWN)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use http_body_util::combinators::UnsyncBoxBody;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;

    use super::*;
    use crate::health::fold::Outcome;

    /// A gRPC server that answers one connection; returns what the caller makes of it.
    async fn ask(service: &'static str, status: &'static str, message: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let serve = move |request: Request<hyper::body::Incoming>| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(asked, asking(service));
                let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status.parse().unwrap())]);
                let body = Full::new(Bytes::from_static(message)).with_trailers(async { Some(Ok(trailers)) });
                Ok::<_, Infallible>(Response::new(UnsyncBoxBody::new(body)))
            };
            server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(serve)).await
        });
        let stream = TcpStream::connect(address).await.unwrap();
        check(stream, service).await.map(|Serving| ()).map_err(|failure| {
            let (outcome, why) = failure.into_outcome();
            assert_eq!(outcome, Outcome::Bad);
            why
        })
    }

    #[tokio::test]
    async fn only_who_says_that_it_serves_is_good() {
        ask("", "0", &[0, 0, 0, 0, 2, 8, 1]).await.unwrap();
        ask("shop.v1.Orders", "0", &[0, 0, 0, 0, 2, 8, 1]).await.unwrap();
        for (status, message, why) in [
            ("0", &[0_u8, 0, 0, 0, 2, 8, 2][..], "NOT_SERVING"),
            ("0", &[0, 0, 0, 0, 0], "UNKNOWN"),
            ("5", &[], "no such service"),
            ("12", &[], "no health service"),
            ("14", &[], "gRPC status 14"),
        ] {
            let said = ask("", status, message).await.unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[tokio::test]
    async fn who_does_not_speak_grpc_is_bad() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let Err(Failure::Silent(why)) = check(stream, "").await else { panic!("it is no gRPC") };
        assert!(why.contains("gRPC"), "{why}");
    }

    #[test]
    fn a_long_name_has_a_length_of_two_bytes() {
        let asked = asking(&"s".repeat(200));
        assert_eq!((asked[4], &asked[5..8], asked.len()), (203, &[0x0a, 0xc8, 1][..], 208));
    }
}
