//! The server on real sockets: TLS, plain TCP, the unix socket.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::{Api, DEPLOYMENTS, deployment};
use crate::api::{BindError, Server, Settings, kubeconfig};
use crate::clock::SystemClock;
use crate::crd::Deployment;

/// A server on sockets of its own; it stops with the test.
pub struct Served {
    pub api: Api,
    pub address: SocketAddr,
    pub kubeconfig: String,
    pub ca_pem: String,
    pub token: String,
    task: JoinHandle<()>,
}

fn settings(api: &Api) -> Settings {
    Settings {
        data_dir: api.dir.path().join("data"),
        socket: Some(api.dir.path().join("run/api.sock")),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        insecure_loopback: false,
    }
}

impl Served {
    pub async fn start(insecure_loopback: bool) -> Self {
        let api = Api::new();
        let server = Server::bind(&Settings { insecure_loopback, ..settings(&api) }, &SystemClock).await.unwrap();
        let address = server.address().unwrap();
        let credentials = server.credentials().clone();
        let task = tokio::spawn(server.serve(api.state.clone()));
        let kubeconfig = kubeconfig(&format!("https://{address}"), &credentials);
        Self { api, address, kubeconfig, ca_pem: credentials.ca_pem, token: credentials.token, task }
    }

    async fn tls(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn plain(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn unix(&self) -> UnixStream {
        UnixStream::connect(self.api.dir.path().join("run/api.sock")).await.unwrap()
    }
}

/// One request over a stream that is closed afterwards; the whole answer.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, headers: &[(&str, &str)]) -> String {
    let mut stream = stream;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
    read.expect("no answer").unwrap();
    answer
}

fn code(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn the_token_opens_the_tls_port() {
    let served = Served::start(false).await;
    let bearer = format!("Bearer {}", served.token);
    let answer = ask(served.tls().await, DEPLOYMENTS, &[("Authorization", &bearer)]).await;
    assert_eq!(code(&answer), 200, "{answer}");
    assert_eq!(code(&ask(served.tls().await, DEPLOYMENTS, &[]).await), 401);
    assert_eq!(code(&ask(served.tls().await, DEPLOYMENTS, &[("Authorization", "Bearer x")]).await), 401);
    assert_eq!(code(&ask(served.tls().await, "/readyz", &[]).await), 200);
}

#[tokio::test]
async fn plain_http_gets_health_and_objects_only_when_told_to() {
    let served = Served::start(false).await;
    assert_eq!(code(&ask(served.plain().await, "/healthz", &[]).await), 200);
    assert_eq!(code(&ask(served.plain().await, DEPLOYMENTS, &[]).await), 401);
    let bearer = format!("Bearer {}", served.token);
    assert_eq!(code(&ask(served.plain().await, DEPLOYMENTS, &[("Authorization", &bearer)]).await), 401);
    let insecure = Served::start(true).await;
    assert_eq!(code(&ask(insecure.plain().await, DEPLOYMENTS, &[]).await), 200);
    assert_eq!(code(&ask(insecure.tls().await, DEPLOYMENTS, &[]).await), 401, "over TLS the token is still asked for");
}

#[tokio::test]
async fn the_unix_socket_is_for_its_owner_and_group_and_asks_for_nothing() {
    let served = Served::start(false).await;
    assert_eq!(code(&ask(served.unix().await, DEPLOYMENTS, &[]).await), 200);
    let mode = std::fs::metadata(served.api.dir.path().join("run/api.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn silent_clients_delay_nobody() {
    let served = Served::start(false).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(served.plain().await);
        let mut half = served.plain().await;
        half.write_all(&[0x16, 0x03]).await.unwrap();
        silent.push(half);
    }
    let answer = tokio::time::timeout(Duration::from_secs(5), ask(served.tls().await, "/livez", &[])).await;
    assert_eq!(code(&answer.unwrap()), 200);
}

#[tokio::test]
async fn a_stopping_server_ends_watches_and_removes_its_socket() {
    let served = Served::start(false).await;
    let socket = served.api.dir.path().join("run/api.sock");
    let watch = tokio::spawn(ask(served.unix().await, "/apis/evenkeel.dev/v1alpha1/deployments?watch=true", &[]));
    let idle = served.unix().await;
    served.api.post(DEPLOYMENTS, &deployment("web")).await.expect(201);
    served.api.state.stopping.cancel();
    let answer = tokio::time::timeout(Duration::from_secs(10), watch).await.unwrap().unwrap();
    assert_eq!(code(&answer), 200);
    tokio::time::timeout(Duration::from_secs(10), served.task).await.expect("the server goes on").unwrap();
    assert!(!socket.exists());
    drop(idle);
}

#[tokio::test]
async fn a_live_socket_is_respected_a_stale_one_replaced_and_a_file_left_alone() {
    let served = Served::start(false).await;
    let again = Settings { listen: None, ..settings(&served.api) };
    let refused = |result: Result<Server, BindError>| result.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused(Server::bind(&again, &SystemClock).await).contains("another process serves there"));
    let at = |path: &Path| Settings { socket: Some(path.to_owned()), ..again.clone() };
    let stale = served.api.dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(Server::bind(&at(&stale), &SystemClock).await.is_ok());
    let file = served.api.dir.path().join("precious");
    std::fs::write(&file, "text").unwrap();
    assert!(refused(Server::bind(&at(&file), &SystemClock).await).contains("move it away"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
}

#[tokio::test]
async fn kube_rs_works_with_the_kubeconfig() {
    let served = Served::start(false).await;
    let parsed = Kubeconfig::from_yaml(&served.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let api = kube::Api::<Deployment>::default_namespaced(client);
    let web: Deployment = serde_json::from_value(deployment("web")).unwrap();
    let made = api.create(&PostParams::default(), &web).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"spec": {"state": "Stopped"}}));
    assert_eq!(api.patch("web", &PatchParams::default(), &patch).await.unwrap().metadata.generation, Some(2));
    let patch = Patch::Merge(json!({"status": {"ready": "1/1"}}));
    assert_eq!(api.patch_status("web", &PatchParams::default(), &patch).await.unwrap().status.unwrap().ready, "1/1");
    let patch = Patch::Apply(json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "spec": {"state": "Running"}}));
    api.patch("web", &PatchParams::apply("me").force(), &patch).await.unwrap();
    assert_eq!(api.list(&ListParams::default().labels("app=web")).await.unwrap().items.len(), 1);
    let mut watch = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(
        matches!(watch.try_next().await.unwrap(), Some(WatchEvent::Added(web)) if web.metadata.name.as_deref() == Some("web"))
    );
    api.delete("web", &DeleteParams::default()).await.unwrap();
    let error = api.get("nobody").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 404));
}
