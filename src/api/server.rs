//! The listeners: the unix socket, and one TCP port that speaks TLS.
//!
//! # Guarantees
//! - A slow or silent client delays nobody: handshakes run beside accepting, with a deadline, and connections are counted,
//!   so that they cannot take every file descriptor from the controller.
//! - On the TCP port plain HTTP is told apart by its first byte. It gets health; objects only with `insecure_loopback`.
//! - At shutdown requests in flight are answered, watches end, and nothing takes longer than five seconds.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::{Router, http};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::Instrument;

use super::auth::{Access, Peer, guard};
use super::credentials::{self, Identity};
use super::{ApiState, Credentials, CredentialsError, router};
use crate::clock::Clock;

/// From the first byte to the end of the TLS handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// For the headers of a request; an idle connection is closed after it too.
const HEADER_DEADLINE: Duration = Duration::from_secs(60);
/// For requests in flight at shutdown.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);
/// Connections of each listener at a time.
const SEATS: usize = 256;
/// First byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Where the API is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Holds `admin.token` and `tls/`.
    pub data_dir: PathBuf,
    /// The unix socket, if there is to be one.
    pub socket: Option<PathBuf>,
    /// Address of the TLS port, if there is to be one; port 0: any.
    pub listen: Option<SocketAddr>,
    /// Objects over plain HTTP too, for whoever is on this host.
    pub insecure_loopback: bool,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Certificate or token.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The socket's path is taken.
    #[error("cannot serve on the unix socket {path}: {why}")]
    Taken {
        /// The socket.
        path: PathBuf,
        /// By whom or what, and what to do.
        why: &'static str,
    },
    /// The system refused.
    #[error("cannot serve on {place}")]
    Io {
        /// Socket or address.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Bound listeners that do not serve yet.
pub struct Server {
    unix: Option<(UnixListener, PathBuf)>,
    tcp: Option<TcpListener>,
    identity: Identity,
    access: Access,
    url: Option<String>,
}

impl Server {
    /// Binds what the settings name and makes certificate and token if they are missing.
    pub async fn bind(settings: &Settings, clock: &dyn Clock) -> Result<Self, BindError> {
        let listen = settings.listen.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip());
        let identity = Identity::open(&settings.data_dir, listen, clock)?;
        let token = &identity.credentials.token;
        let access = Access::new(token, identity.names.clone(), listen.is_unspecified(), settings.insecure_loopback);
        let tcp = match settings.listen {
            Some(address) => {
                Some(TcpListener::bind(address).await.map_err(|source| io_error(format!("{address} (--listen)"), source))?)
            }
            None => None,
        };
        let unix = match &settings.socket {
            Some(path) => Some((bind_unix(path).await?, path.clone())),
            None => None,
        };
        let served = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
        let url = served.map(|address| local_url(address, settings.insecure_loopback));
        if let Err(error) = credentials::write_url(&settings.data_dir, url.as_deref()) {
            // A convenience for `evenkeel kubeconfig`: containers are looked after without it.
            tracing::warn!(error = %crate::telemetry::chain(&error), "writing down where the API is served failed");
        }
        if settings.insecure_loopback {
            tracing::warn!(
                "--insecure-loopback: EVERY user and EVERY process of this host can start and stop containers, which is to be root, \
                 over plain HTTP without a token; leave it out and use `evenkeel kubeconfig` or the unix socket instead"
            );
        }
        Ok(Self { unix, tcp, identity, access, url })
    }

    /// The TCP listener's address, with the port it really has.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Where it is reached from this host, `https://host:port`.
    pub fn url(&self) -> Option<String> {
        self.url.clone()
    }

    /// What clients need.
    pub fn credentials(&self) -> &Credentials {
        &self.identity.credentials
    }

    /// Serves until the state's token is cancelled.
    pub async fn serve(self, state: ApiState) {
        let (stopping, open) = (state.stopping.clone(), state.open.clone());
        let guarded = router(state).layer(from_fn_with_state(Arc::new(self.access), guard)).layer(from_fn(observed));
        let door = Door { router: guarded, stopping: stopping.clone(), open };
        let mut listeners = tokio::task::JoinSet::new();
        if let Some(tcp) = self.tcp {
            listeners.spawn(accept_tcp(tcp, TlsAcceptor::from(self.identity.tls), door.clone()));
        }
        let socket = self.unix.map(|(unix, path)| {
            listeners.spawn(accept_unix(unix, door.clone()));
            path
        });
        stopping.cancelled().await;
        // First the name, then the listener: whoever finds the socket finds somebody behind it.
        if let Some(error) = socket.and_then(|path| std::fs::remove_file(path).err()) {
            tracing::debug!(%error, "the unix socket was removed before us");
        }
        listeners.shutdown().await;
        door.open.close();
        // A command's client may read no more.
        let _ = timeout(SHUTDOWN_DEADLINE, door.open.wait()).await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    router: Router,
    stopping: CancellationToken,
    open: TaskTracker,
}

async fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| io_error(path.display(), source);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::Taken { path: path.to_owned(), why: "something that is no socket is there: move it away" });
        }
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed)?,
            _ => {
                let why = "another process serves there: stop it, or choose another one with --socket";
                return Err(BindError::Taken { path: path.to_owned(), why });
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// The address under which clients on this host reach the server.
fn local_url(mut address: SocketAddr, plain: bool) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("{}://{address}", if plain { "http" } else { "https" })
}

fn io_error(place: impl ToString, source: io::Error) -> BindError {
    BindError::Io { place: place.to_string(), source }
}

async fn accept_unix(listener: UnixListener, door: Door) {
    let seats = Arc::new(Semaphore::new(SEATS));
    while let Some(seat) = seat(&seats).await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(peer) = stream.peer_cred() else { continue };
                door.open.spawn(converse(stream, Peer::Unix { uid: peer.uid() }, door.clone(), seat));
            }
            Err(error) => accept_failed(error).await,
        }
    }
}

async fn accept_tcp(listener: TcpListener, tls: TlsAcceptor, door: Door) {
    let seats = Arc::new(Semaphore::new(SEATS));
    while let Some(seat) = seat(&seats).await {
        match listener.accept().await {
            Ok((stream, from)) => {
                door.open.spawn(greet(stream, from, tls.clone(), door.clone(), seat));
            }
            Err(error) => accept_failed(error).await,
        }
    }
}

async fn seat(seats: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    seats.clone().acquire_owned().await.ok()
}

async fn accept_failed(error: io::Error) {
    // A client that hung up, or no file descriptors left: the next one may do better.
    tracing::warn!(%error, "cannot accept a connection to the API");
    sleep(Duration::from_millis(200)).await;
}

/// Finds out whether the client speaks TLS, shakes hands, and serves it.
async fn greet(stream: TcpStream, from: SocketAddr, tls: TlsAcceptor, door: Door, seat: OwnedSemaphorePermit) {
    let greeted = async {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0] == TLS_HANDSHAKE { Ok(Hello::Tls(Box::new(tls.accept(stream).await?))) } else { Ok(Hello::Plain(stream)) }
    };
    let stopping = door.stopping.clone();
    let greeted = tokio::select! {
        greeted = timeout(HANDSHAKE_DEADLINE, greeted) => greeted,
        () = stopping.cancelled() => return,
    };
    match greeted {
        Ok(Ok(Hello::Tls(stream))) => converse(stream, Peer::Tls, door, seat).await,
        Ok(Ok(Hello::Plain(stream))) => {
            converse(stream, Peer::Plain { loopback: from.ip().to_canonical().is_loopback() }, door, seat).await;
        }
        Ok(Err(error)) => {
            let error: io::Error = error;
            tracing::debug!(%error, %from, "no TLS handshake");
        }
        Err(_) => tracing::debug!(%from, "the TLS handshake took too long"),
    }
}

enum Hello {
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Plain(TcpStream),
}

/// Serves one connection to its end.
async fn converse<I>(stream: I, peer: Peer, door: Door, _seat: OwnedSemaphorePermit)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = door.router;
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = door.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(SHUTDOWN_DEADLINE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the API broke off");
    }
}

/// One span for each request about objects, one log line for each write. Neither query nor headers are shown: they may
/// hold what is nobody's business.
async fn observed(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if matches!(path, "/livez" | "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let (method, path) = (request.method().clone(), path.chars().take(300).collect::<String>());
    let span = tracing::info_span!(
        "http request", otel.kind = "server", http.request.method = %method, url.path = path,
        enduser.id = tracing::field::Empty, http.response.status_code = tracing::field::Empty,
    );
    let begun = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, milliseconds) = (response.status().as_u16(), begun.elapsed().as_millis());
    span.record("http.response.status_code", status);
    let _entered = span.entered();
    if method == http::Method::GET {
        tracing::debug!(status, milliseconds, "answered");
    } else {
        tracing::info!(%method, path, status, milliseconds, "answered");
    }
    response
}
