//! Carries requests to the engine, over a unix socket, TCP or TLS; bollard's transport as well as our own reads use it.
//!
//! Every request gets a connection of its own: nothing stale survives a daemon restart, and once a shutting-down daemon
//! has closed its listener no call of ours reaches it any more.
//!
//! The wire mends two faults of bollard 0.21.1. The negotiated API version never gets into its paths, so it is put there.
//! Its registry credentials are in standard base64 where the engine wants the URL-safe alphabet.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::errors::Error;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::daemon::Keeper;
use super::tls::Tls;
use super::version::{ApiVersion, VersionReply};

/// Where an engine is.
#[derive(Clone)]
pub(super) enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A port, here or elsewhere.
    Tcp { host: String, port: u16, tls: Option<Tls> },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// A handle to the way to one engine; clones share it.
#[derive(Clone)]
pub(super) struct Wire {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    /// Agreed on at the first call, and anew once a connection has failed: the daemon may come back as another version.
    version: Mutex<Option<ApiVersion>>,
    /// Who the last connection found at the other end of a unix socket.
    keeper: Mutex<Keeper>,
    /// Where the last connection over TCP went.
    peer: Mutex<Option<Peer>>,
}

/// The other end of a connection over TCP.
#[derive(Debug, Clone, Copy)]
struct Peer {
    address: IpAddr,
    /// The address is one of this machine's own.
    is_own: bool,
}

impl Peer {
    fn of(stream: &TcpStream) -> io::Result<Self> {
        let address = stream.peer_addr()?.ip().to_canonical();
        // What goes to an address of one's own comes from it.
        let is_own = address.is_loopback() || address == stream.local_addr()?.ip().to_canonical();
        Ok(Self { address, is_own })
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Wire {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let keeper = match endpoint {
            Endpoint::Unix(_) => Keeper::Unknown,
            Endpoint::Tcp { .. } => Keeper::Remote,
        };
        Self {
            shared: Arc::new(Shared { endpoint, version: Mutex::new(None), keeper: Mutex::new(keeper), peer: Mutex::new(None) }),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Whether it is on this machine: reached at a socket, or at an address of this machine's own.
    pub(super) fn is_local(&self) -> bool {
        match &self.shared.endpoint {
            Endpoint::Unix(_) => true,
            Endpoint::Tcp { host, .. } => {
                let is_loopback = |host: &str| host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
                host == "localhost" || is_loopback(host) || self.last_peer().is_some_and(|peer| peer.is_own)
            }
        }
    }

    /// The address to which the last connection over TCP went.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.last_peer().map(|peer| peer.address)
    }

    fn last_peer(&self) -> Option<Peer> {
        *self.shared.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who holds the socket, as of the last connection.
    pub(super) fn keeper(&self) -> Keeper {
        *self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API version both sides speak; asks the daemon when it is not known.
    pub(super) async fn version(&self) -> Result<ApiVersion, Error> {
        let known = *self.shared.version.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(version) => Ok(version),
            None => self.negotiate().await,
        }
    }

    /// Asks the daemon for its versions and agrees on one.
    pub(super) async fn negotiate(&self) -> Result<ApiVersion, Error> {
        let response = self.send(get("/version")?).await?;
        let reply: VersionReply = decode(accept(response).await?).await?;
        let version = reply.agree()?;
        *self.shared.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(version)
    }

    /// Whether the daemon answers on a connection opened now.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        let response = self.send(get("/_ping")?).await?;
        accept(response).await.map(drop)
    }

    /// Fetches and reads a JSON document. `path` may carry a query.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(self.open(path).await?).await
    }

    /// Fetches, and returns as soon as the response's headers are here.
    pub(super) async fn open(&self, path: &str) -> Result<Response<Incoming>, Error> {
        accept(self.exchange(get(path)?).await?).await
    }

    /// What the daemon tells of a file in the header of an answer; `None`: it is not there.
    pub(super) async fn stat(&self, path: &str) -> Result<Option<String>, Error> {
        let request = Request::builder().method(Method::HEAD).uri(path).body(Empty::<Bytes>::new())?;
        let response = self.exchange(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = accept(response).await?;
        let header = response.headers().get("X-Docker-Container-Path-Stat").and_then(|value| value.to_str().ok());
        Ok(header.map(str::to_owned))
    }

    /// Posts a JSON document and reads the one that is answered.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        let request = post(path).body(Full::<Bytes>::from(body.to_string()))?;
        decode(accept(self.exchange(request).await?).await?).await
    }

    /// Posts a request that is all in its path.
    pub(super) async fn post_nothing(&self, path: &str) -> Result<(), Error> {
        let request = Request::builder().method(Method::POST).uri(path).body(Empty::<Bytes>::new())?;
        accept(self.exchange(request).await?).await.map(drop)
    }

    /// Posts a JSON document; what comes after the answer's headers is a raw stream in both directions.
    pub(super) async fn hijack(&self, path: &str, body: &Value) -> Result<Upgraded, Error> {
        let request =
            post(path).header(CONNECTION, "Upgrade").header(UPGRADE, "tcp").body(Full::<Bytes>::from(body.to_string()))?;
        let response = self.exchange(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(hyper::upgrade::on(response).await?);
        }
        accept(response).await?;
        Err(Error::DockerResponseServerError { status_code: 501, message: "it does not hand over the connection".to_owned() })
    }

    /// Sends a request whose path does not name the API version yet.
    pub(super) async fn exchange<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let version = self.version().await?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("/v{version}{path}").parse::<Uri>()?;
        mend_credentials(&mut request);
        self.send(request).await
    }

    /// The same; an answer that is no success is an error with the engine's own message.
    pub(super) async fn exchange_checked<B>(&self, request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        accept(self.exchange(request).await?).await
    }

    /// Sends a request that turns its connection into something else; the connection.
    pub(super) async fn upgrade(&self, request: Request<Empty<Bytes>>) -> Result<Upgraded, Error> {
        let response = self.exchange(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(hyper::upgrade::on(response).await?);
        }
        let status_code = response.status().as_u16();
        accept(response).await?;
        let message = "the engine does not turn the connection into a session".to_owned();
        Err(Error::DockerResponseServerError { status_code, message })
    }

    /// Opens a connection and sends the request over it as it is.
    async fn send<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let io = self.dial().await.inspect_err(|_| self.forget_version())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        // What goes wrong on the connection is told by the request or the body that it carries.
        tokio::spawn(async move { connection.with_upgrades().await.unwrap_or_default() });
        request.headers_mut().insert(HOST, self.host_header());
        sender.send_request(request).await.map_err(Error::from).inspect_err(|_| self.forget_version())
    }

    fn forget_version(&self) {
        *self.shared.version.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn host_header(&self) -> HeaderValue {
        let host = match &self.shared.endpoint {
            Endpoint::Unix(_) => "localhost".to_owned(),
            endpoint @ Endpoint::Tcp { .. } => endpoint.to_string().trim_start_matches("tcp://").to_owned(),
        };
        HeaderValue::from_str(&host).unwrap_or(HeaderValue::from_static("localhost"))
    }

    async fn dial(&self) -> io::Result<Box<dyn Io>> {
        match &self.shared.endpoint {
            Endpoint::Unix(path) => {
                self.keeper().let_sleep()?;
                let stream = UnixStream::connect(path).await?;
                let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
                let mut keeper = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
                *keeper = keeper.meet(peer, path);
                Ok(Box::new(stream))
            }
            Endpoint::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                *self.shared.peer.lock().unwrap_or_else(PoisonError::into_inner) = Peer::of(&stream).ok();
                match tls {
                    None => Ok(Box::new(stream)),
                    Some(tls) => Ok(Box::new(tls.connector.connect(tls.server.clone(), stream).await?)),
                }
            }
        }
    }
}

fn post(path: &str) -> http::request::Builder {
    Request::builder().method(Method::POST).uri(path).header(CONTENT_TYPE, "application/json")
}

fn get(path: &str) -> Result<Request<Empty<Bytes>>, Error> {
    Ok(Request::builder().uri(path).body(Empty::new())?)
}

/// The response if it is a success, else the engine's own message as an error.
async fn accept(response: Response<Incoming>) -> Result<Response<Incoming>, Error> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let body = response.into_body().collect().await?.to_bytes();
    let message = serde_json::from_slice::<Refusal>(&body)
        .map_or_else(|_| String::from_utf8_lossy(&body).trim().to_owned(), |refusal| refusal.message);
    Err(Error::DockerResponseServerError { status_code: status.as_u16(), message })
}

async fn decode<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Error> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

/// The engine reads these headers as URL-safe base64 and takes anything else for "no credentials".
fn mend_credentials<B>(request: &mut Request<B>) {
    for name in [HeaderName::from_static("x-registry-auth"), HeaderName::from_static("x-registry-config")] {
        let Some(text) = request.headers().get(&name).and_then(|value| value.to_str().ok()) else { continue };
        if let Ok(mut mended) = HeaderValue::from_str(&text.replace('+', "-").replace('/', "_")) {
            mended.set_sensitive(true);
            request.headers_mut().insert(name, mended);
        }
    }
}

/// A query string, percent-encoded.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut encoded, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
            encoded
        })
    };
    pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
