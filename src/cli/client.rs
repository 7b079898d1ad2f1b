//! The API as its commands use it, over the unix socket or HTTPS.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::AsyncBufRead;
use http::{HeaderValue, Request, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tower::ServiceExt;

use super::failure::{Failure, unreachable};
use super::paths::Surroundings;
use crate::crd::API_VERSION;

/// Longest wait for an answer; the operator answers from its own store and needs milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How the operator is reached.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Namespace. Default: default
    #[arg(short, long, value_name = "NAME", env = "EVENKEEL_NAMESPACE", hide_env_values = true, value_parser = name)]
    pub namespace: Option<String>,

    /// Operator to talk to: unix:PATH or https://HOST:PORT. Default: its unix socket on this host
    #[arg(long, value_name = "URL", env = "EVENKEEL_SERVER", hide_env_values = true, help_heading = HEADING)]
    server: Option<String>,

    /// Token for an https server
    #[arg(long, env = "EVENKEEL_TOKEN", hide_env_values = true, help_heading = HEADING)]
    token: Option<String>,

    /// File that holds the token; wins over --token
    #[arg(long, value_name = "FILE", env = "EVENKEEL_TOKEN_FILE", hide_env_values = true, help_heading = HEADING)]
    token_file: Option<PathBuf>,

    /// Certificate that an https server is checked with (PEM). Default: those of the system
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CA", hide_env_values = true, help_heading = HEADING)]
    ca: Option<PathBuf>,

    /// Take server, token and certificate from a file made by `evenkeel kubeconfig`; wins over --server
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    kubeconfig: Option<PathBuf>,
}

const HEADING: &str = "Connection";

/// Path of what the operator says of itself and its engine.
pub const HOST: &str = "/apis/evenkeel.dev/v1alpha1/host";
/// Path of the Compose projects on the engine.
pub const PROJECTS: &str = "/apis/evenkeel.dev/v1alpha1/projects";
/// Path of what the operator finds when it examines itself.
pub const DOCTOR: &str = "/apis/evenkeel.dev/v1alpha1/doctor";

/// A connection to a command in a container.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection to the operator; clones share it.
#[derive(Clone)]
pub struct Api {
    client: Client,
    server: String,
}

impl Connection {
    /// The namespace asked for.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// Whether the operator asked for is one of this host.
    pub fn is_local(&self) -> bool {
        self.kubeconfig.is_none() && self.server.as_deref().is_none_or(|server| server.starts_with("unix:"))
    }

    /// Prepares the connection; nothing is sent yet.
    pub async fn open(&self) -> Result<Api, Failure> {
        if let Some(path) = &self.kubeconfig {
            return from_kubeconfig(path).await;
        }
        let server = self.server.clone().unwrap_or_else(|| {
            let socket = Surroundings::of_this_process().socket_to_try();
            format!("unix:{}", socket.display())
        });
        let client = match server.strip_prefix("unix:") {
            Some(path) => over_socket(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
            None => self.over_https(&server)?,
        };
        Ok(Api { client, server })
    }

    fn over_https(&self, server: &str) -> Result<Client, Failure> {
        let url: http::Uri = server.parse().ok().filter(|url: &http::Uri| url.host().is_some()).ok_or_else(|| {
            Failure::Usage(format!("--server {server:?} is neither unix:PATH nor a URL such as https://127.0.0.1:6440"))
        })?;
        let mut config = kube::Config::new(url);
        config.root_cert_file = self.ca.clone();
        let token = match &self.token_file {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read the token file {}", path.display()))?;
                Some(text.trim().to_owned())
            }
            None => self.token.clone(),
        };
        config.auth_info.token = token.map(Into::into);
        Ok(Client::try_from(config).with_context(|| format!("cannot prepare a connection to {server}"))?)
    }
}

#[cfg(test)]
impl Api {
    /// Whatever answers at this unix socket.
    pub fn at_socket(path: &Path) -> Self {
        Self { client: over_socket(path.to_owned()), server: format!("unix:{}", path.display()) }
    }
}

/// A client that sends everything through a unix socket.
fn over_socket(path: PathBuf) -> Client {
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(hyperlocal::UnixConnector);
    let service = http.map_request(move |mut request: Request<Body>| {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = hyperlocal::Uri::new(&path, target).into();
        // Else hyper would name the socket's encoded path, a host that no server answers to.
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        request
    });
    Client::new(service, "default")
}

async fn from_kubeconfig(path: &Path) -> Result<Api, Failure> {
    let attempt = || format!("cannot use the kubeconfig {}", path.display());
    let file = Kubeconfig::read_from(path).with_context(attempt)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.with_context(attempt)?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    Ok(Api { client: Client::try_from(config).with_context(attempt)?, server })
}

impl Api {
    /// Where the operator is, for people.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// GET of something that comes bit by bit, and may never end.
    pub async fn stream(&self, path: &str) -> Result<Pin<Box<dyn AsyncBufRead + Send>>, Failure> {
        let request = self.request("GET", path, None)?;
        Ok(Box::pin(self.in_time(self.client.request_stream(request)).await?))
    }

    /// A connection to a command, by Kubernetes' remote command protocol.
    pub async fn connect(&self, path: &str) -> Result<Socket, Failure> {
        let request = self.request("GET", path, None)?;
        Ok(self.in_time(self.client.connect(request)).await?.into_stream())
    }

    /// GET of an object or a list.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send("GET", path, None).await
    }

    /// POST of an object.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("POST", path, Some(body)).await
    }

    /// PUT of an object in place of the one that is there.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("PUT", path, Some(body)).await
    }

    /// DELETE with its options.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Failure> {
        self.send("DELETE", path, Some(options)).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let request = self.request(method, path, body)?;
        let text = self.in_time(self.client.request_text(request)).await?;
        let attempt = || format!("the answer of {} to {method} {path} is no JSON", self.server);
        Ok(serde_json::from_str(&text).with_context(attempt)?)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Request<Vec<u8>>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        Ok(request.with_context(|| format!("cannot ask for {path:?}"))?)
    }

    /// The answer, or the beginning of one, within the time that an operator needs at most.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|error| unreachable(&self.server, error)),
            Err(_) => Err(Failure::Other(anyhow::anyhow!("no answer from the operator at {} within 30s", self.server))),
        }
    }
}

/// Path of a kind's list, in one namespace or in all.
pub fn list_path(plural: &str, namespace: Option<&str>) -> String {
    let group = if plural == "events" { "/api/v1".to_owned() } else { format!("/apis/{API_VERSION}") };
    match namespace {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
        None => format!("{group}/{plural}"),
    }
}

/// Path of one Deployment, or of something below it.
pub fn deployment_path(namespace: &str, name: &str, below: Option<&str>) -> String {
    let path = format!("{}/{name}", list_path("deployments", Some(namespace)));
    below.map_or(path.clone(), |below| format!("{path}/{below}"))
}

/// Path of one Source, or of something below it.
pub fn source_path(namespace: &str, name: &str, below: Option<&str>) -> String {
    let path = format!("{}/{name}", list_path("sources", Some(namespace)));
    below.map_or(path.clone(), |below| format!("{path}/{below}"))
}

/// Path of one object, or of something below it.
pub fn object_path(plural: &str, namespace: &str, name: &str, below: Option<&str>) -> String {
    let path = format!("{}/{name}", list_path(plural, Some(namespace)));
    below.map_or(path.clone(), |below| format!("{path}/{below}"))
}

/// A name as it may stand in a path. Takes `deployment/web` too, as `get -o name` prints it.
pub fn name(text: &str) -> Result<String, String> {
    let kinds = ["deployment", "deploy", "source", "channel", "alert", "incident"];
    let (kind, rest) = text.split_once('/').unwrap_or(("", text));
    let kind = kind.strip_suffix(".evenkeel.dev").or_else(|| kind.strip_suffix('s')).unwrap_or(kind);
    let bare = if kinds.contains(&kind) { rest } else { text };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !bare.is_empty() && bare.chars().all(fits) { Ok(bare.to_owned()) } else { Err(format!("{text:?} is not a name")) }
}

/// A value as it may stand in a query.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
