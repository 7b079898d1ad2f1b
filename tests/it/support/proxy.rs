//! A proxy between operator and daemon that does what daemons do on bad days.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::{Docker, Sandbox};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Error>;
type Matcher = Box<dyn Fn(&Call) -> bool + Send>;

/// One request that came through.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `POST`, ..
    pub method: String,
    /// Path and query without the API version: `/containers/ID/start`.
    pub path: String,
    /// When it came.
    pub at: Instant,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is passed on after a while.
    Delay(Duration),
    /// The daemon never sees it; this status is answered, with an error text as Docker writes it.
    Status(u16, &'static str),
    /// The daemon does it, but the answer is lost: the connection ends.
    LoseAnswer,
}

/// The proxy; put its [`host`](FaultProxy::host) where the operator looks for Docker. Upgraded connections (attach, exec) are not passed on.
pub struct FaultProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    upstream: PathBuf,
    faults: Mutex<Vec<(Matcher, Fault, Option<usize>)>>,
    calls: Mutex<Vec<Call>>,
    cut: watch::Sender<u64>,
}

impl FaultProxy {
    /// Starts one before a daemon.
    pub fn start_in(sandbox: &Sandbox, docker: &Docker) -> Self {
        let socket = sandbox.dir().join("proxy.sock");
        let shared = Arc::new(Shared {
            upstream: docker.socket().into(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            cut: watch::Sender::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(&socket).unwrap() });
        runtime.spawn(accept(listener, shared.clone()));
        Self { socket, shared, _runtime: runtime }
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// From now on, requests that match meet this fault. The first fault that matches is the one met.
    pub fn fault(&self, matches: impl Fn(&Call) -> bool + Send + 'static, fault: Fault) {
        self.shared.faults.lock().unwrap().push((Box::new(matches), fault, None));
    }

    /// The same, for the next `times` requests that match.
    pub fn fault_times(&self, times: usize, matches: impl Fn(&Call) -> bool + Send + 'static, fault: Fault) {
        self.shared.faults.lock().unwrap().push((Box::new(matches), fault, Some(times)));
    }

    /// All is well again.
    pub fn clear(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Ends all event streams that are open, in the middle of it.
    pub fn cut_events(&self) {
        self.shared.cut.send_modify(|cuts| *cuts += 1);
    }

    /// All requests so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// How many requests so far match.
    pub fn count(&self, matches: impl Fn(&Call) -> bool) -> usize {
        self.calls().iter().filter(|call| matches(call)).count()
    }
}

impl Call {
    /// Whether it is this method on a path that contains `part`.
    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }

    /// Whether it subscribes to events.
    pub fn is_events(&self) -> bool {
        self.path.starts_with("/events")
    }

    fn read(request: &Request<Incoming>) -> Self {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let versioned = path.strip_prefix("/v").filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        let bare = versioned.and_then(|rest| rest.find('/').map(|slash| &rest[slash..])).unwrap_or(path);
        Self { method: request.method().to_string(), path: bare.to_owned(), at: Instant::now() }
    }
}

impl Shared {
    /// Writes the call down and finds what it meets.
    fn meet(&self, call: &Call) -> Option<Fault> {
        self.calls.lock().unwrap().push(call.clone());
        let mut faults = self.faults.lock().unwrap();
        let (_, fault, left) = faults.iter_mut().find(|(matches, _, left)| *left != Some(0) && matches(call))?;
        *left = left.map(|left| left - 1);
        Some(fault.clone())
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(request, shared.clone()));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Error> {
    let call = Call::read(&request);
    let fault = shared.meet(&call);
    match &fault {
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::Status(status, message)) => return Ok(refusal(*status, message)),
        _ => {}
    }
    let cut = shared.cut.subscribe();
    let response = pass_on(request, &shared.upstream).await?;
    if matches!(fault, Some(Fault::LoseAnswer)) {
        return Err("the answer is lost".into());
    }
    let (parts, body) = response.into_parts();
    let body = if call.is_events() { until_cut(body, cut) } else { body.map_err(Error::from).boxed_unsync() };
    Ok(Response::from_parts(parts, body))
}

async fn pass_on(request: Request<Incoming>, upstream: &Path) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn refusal(status: u16, message: &str) -> Response<Body> {
    let text = serde_json::json!({"message": message}).to_string();
    let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

/// The stream until it is cut; then it breaks off, it does not end.
fn until_cut(body: Incoming, mut cut: watch::Receiver<u64>) -> Body {
    let frames = BodyStream::new(body).map(|frame| frame.map_err(Error::from));
    let cut = async move { cut.changed().await.map(drop) };
    let broken = stream::once(async { Err::<Frame<Bytes>, Error>("the stream is cut".into()) });
    StreamBody::new(frames.take_until(Box::pin(cut)).chain(broken)).boxed_unsync()
}
