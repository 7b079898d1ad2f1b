//! A proxy before a [`super::Registry`] that does what registries do on bad days.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::Registry;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Error>;

/// What happens to requests whose path contains a text.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// This status is answered, with a body of this text.
    Status(u16, String),
    /// The answer comes later.
    Delay(Duration),
    /// Half of the answer comes, then the connection breaks.
    Cut,
}

/// The proxy; images are named by its [`address`](RegistryProxy::address).
pub struct RegistryProxy {
    address: String,
    upstream: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    upstream: String,
    trouble: Mutex<Vec<(String, Trouble)>>,
    seen: Mutex<Vec<String>>,
}

impl RegistryProxy {
    /// Starts one before a registry.
    pub fn before(registry: &Registry) -> Self {
        let shared = Arc::new(Shared { upstream: registry.address(), trouble: Mutex::default(), seen: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0").await.unwrap() });
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(accept(listener, shared.clone()));
        Self { address, upstream: registry.address(), shared, _runtime: runtime }
    }

    /// What a reference of the registry is called through the proxy.
    pub fn reference(&self, of_registry: &str) -> String {
        of_registry.replace(&self.upstream, &self.address)
    }

    /// From now on, requests whose path contains `part` meet this.
    pub fn trouble(&self, part: &str, trouble: Trouble) {
        self.shared.trouble.lock().unwrap().push((part.to_owned(), trouble));
    }

    /// As a registry says that it is asked too often.
    pub fn too_many_requests(&self, message: &str) {
        let body = serde_json::json!({"errors": [{"code": "TOOMANYREQUESTS", "message": message}]});
        self.trouble("/manifests/", Trouble::Status(429, body.to_string()));
    }

    /// All is well again.
    pub fn clear(&self) {
        self.shared.trouble.lock().unwrap().clear();
    }

    /// How many requests had `part` in their path so far.
    pub fn count(&self, part: &str) -> usize {
        self.shared.seen.lock().unwrap().iter().filter(|path| path.contains(part)).count()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(request, shared.clone()));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().to_owned();
    shared.seen.lock().unwrap().push(path.clone());
    let trouble = shared.trouble.lock().unwrap().iter().find(|(part, _)| path.contains(part)).map(|(_, what)| what.clone());
    match &trouble {
        Some(Trouble::Status(status, body)) => {
            let body = Full::from(body.clone()).map_err(|never| match never {}).boxed_unsync();
            let response = Response::builder().status(*status).header("content-type", "application/json");
            return Ok(response.header("retry-after", "3").body(body)?);
        }
        Some(Trouble::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Trouble::Cut) | None => {}
    }
    let stream = TcpStream::connect(&shared.upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = match trouble {
        Some(Trouble::Cut) => {
            use futures::{StreamExt, stream};
            let first = BodyStream::new(body).map(|frame| frame.map_err(Error::from)).take(1);
            StreamBody::new(first.chain(stream::once(async { Err("cut".into()) }))).boxed_unsync()
        }
        _ => body.map_err(Error::from).boxed_unsync(),
    };
    Ok(Response::from_parts(parts, body))
}
