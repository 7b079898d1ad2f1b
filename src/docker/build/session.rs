//! A session: while it builds, BuildKit asks its client for what only that has, over a connection that the client opened.
//! Asked for are credentials of registries, secrets and ssh agents; nothing else is served, files least of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard::errors::Error;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::grpc::{self, Body, Reader, Status};
use super::proto::{
    BytesMessage, CheckAgentRequest, CredentialsRequest, GetSecretRequest, GetSecretResponse, HealthCheckResponse, Nothing,
};
use super::{access, environment};
use crate::docker::credentials::Keyring;
use crate::docker::wire::Wire;
use crate::model::BuildSpec;

const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// The header that says which agent is meant.
const AGENT_ID: &str = "buildkit.ssh.id";

/// What is answered here.
const METHODS: [&str; 5] = [CREDENTIALS, SECRET, CHECK_AGENT, FORWARD_AGENT, HEALTH];

/// Largest secret that BuildKit takes.
const LARGEST_SECRET: u64 = 500 * 1024;

/// Bytes of an agent's answer that are passed on at once, and answers that wait for a slow builder.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 8;

/// An open session; dropping it ends it.
pub(super) struct Session {
    /// What a build names it by.
    pub id: String,
    _task: AbortOnDropHandle<()>,
}

/// What is given to a builder that asks.
struct Given {
    keyring: Arc<Keyring>,
    /// Absolute paths of files.
    secrets: BTreeMap<String, String>,
    /// Absolute paths of sockets.
    agents: BTreeMap<String, String>,
}

impl Session {
    /// Opens one.
    pub async fn open(wire: &Wire, keyring: &Arc<Keyring>, spec: &BuildSpec) -> Result<Self, Error> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut request = Request::post("/session")
            .header("connection", "Upgrade")
            .header("upgrade", "h2c")
            .header("x-docker-expose-session-uuid", &id)
            .header("x-docker-expose-session-name", "evenkeel")
            .header("x-docker-expose-session-sharedkey", "");
        for method in METHODS {
            request = request.header("x-docker-expose-session-grpc-method", method);
        }
        let upgraded = wire.upgrade(request.body(Empty::<Bytes>::new())?).await?;
        let given = Arc::new(Given::of(keyring, spec));
        let service = service_fn(move |request| {
            let given = Arc::clone(&given);
            async move { Ok::<_, std::convert::Infallible>(given.answer(request).await) }
        });
        let task = tokio::spawn(async move {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // It ends with the build, which tells what went wrong.
            server.serve_connection(upgraded, service).await.unwrap_or_default();
        });
        Ok(Self { id, _task: AbortOnDropHandle::new(task) })
    }
}

impl Given {
    fn of(keyring: &Arc<Keyring>, spec: &BuildSpec) -> Self {
        let agents = spec.ssh.iter().filter_map(|(id, path)| Some((id.clone(), path.clone().or_else(environment::agent)?)));
        Self { keyring: Arc::clone(keyring), secrets: spec.secrets.clone(), agents: agents.collect() }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let method = request.uri().path().to_owned();
        let agent = request.headers().get(AGENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let body = request.into_body();
        let answered = match method.as_str() {
            HEALTH => Ok(grpc::answer(&HealthCheckResponse { status: 1 })),
            CREDENTIALS => self.credentials(body).await,
            SECRET => self.secret(body).await,
            CHECK_AGENT => self.check_agent(body).await,
            FORWARD_AGENT => self.forward_agent(&agent, body).await,
            other => Err(Status::unimplemented(format!("{other} is not served"))),
        };
        answered.unwrap_or_else(|status| grpc::refusal(&status))
    }

    async fn credentials(&self, body: Incoming) -> Result<Response<Body>, Status> {
        let CredentialsRequest { host } = grpc::message(body).await?;
        Ok(grpc::answer(&access::of_host(&self.keyring, &host).await))
    }

    async fn secret(&self, body: Incoming) -> Result<Response<Body>, Status> {
        let GetSecretRequest { id } = grpc::message(body).await?;
        let path = self.secrets.get(&id).ok_or_else(|| Status::not_found(format!("secret {id} is not given to this build")))?;
        let unreadable = |error: std::io::Error| Status::failed(format!("cannot read secret {id} from {path}: {error}"));
        let size = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
        if size > LARGEST_SECRET {
            return Err(Status::failed(format!("secret {id} is {size} bytes long; a build takes {LARGEST_SECRET} at most")));
        }
        let data = tokio::fs::read(path).await.map_err(unreadable)?;
        Ok(grpc::answer(&GetSecretResponse { data }))
    }

    fn agent(&self, id: &str) -> Result<&String, Status> {
        let id = if id.is_empty() { "default" } else { id };
        self.agents.get(id).ok_or_else(|| Status::not_found(format!("ssh agent {id} is not given to this build")))
    }

    async fn check_agent(&self, body: Incoming) -> Result<Response<Body>, Status> {
        let CheckAgentRequest { id } = grpc::message(body).await?;
        self.agent(&id).map(|_| grpc::answer(&Nothing {}))
    }

    /// Joins the builder with an agent: bytes go both ways until one of them ends.
    async fn forward_agent(&self, id: &str, body: Incoming) -> Result<Response<Body>, Status> {
        let path = self.agent(id)?;
        let unreachable = |error| Status::failed(format!("cannot reach the ssh agent at {path}: {error}"));
        let (mut from_agent, mut to_agent) = UnixStream::connect(path).await.map_err(unreachable)?.into_split();
        let (sender, receiver) = mpsc::channel(PIECES);
        let mut reader = Reader::new(body);
        tokio::spawn(async move {
            let there = async {
                while let Ok(Some(BytesMessage { data })) = reader.next().await {
                    if to_agent.write_all(&data).await.is_err() {
                        break;
                    }
                }
            };
            let back = async {
                let mut piece = vec![0; PIECE];
                while let Ok(read @ 1..) = from_agent.read(&mut piece).await {
                    let message = BytesMessage { data: piece[..read].to_vec() };
                    if sender.send(grpc::framed(&message)).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! { () = there => {}, () = back => {} }
        });
        Ok(grpc::stream(receiver))
    }
}
