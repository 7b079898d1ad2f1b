//! Real servers: git's daemon, and smart HTTP behind a password.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Rig, manifest};

/// `git daemon`, as long as it lives.
struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    fn start(root: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("/usr/lib/git-core/git-daemon");
        command.args(["--listen=127.0.0.1", "--reuseaddr", "--export-all", &format!("--port={port}")]);
        command.arg(format!("--base-path={}", root.display())).arg(root).stderr(Stdio::null());
        let child = command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
        Self { child: child.spawn().unwrap(), port }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn gits_own_daemon_is_followed_and_its_end_is_survived() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    let daemon = Daemon::start(&rig.path(""));
    let mut keeper = rig.source("shop", json!({"git": {"url": format!("git://127.0.0.1:{}/upstream", daemon.port)}})).await;
    for _ in 0..50 {
        keeper.sync().await;
        if rig.image("web").is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("True Synced", Some("a")), "{}", rig.message("shop"));
    drop(daemon);
    keeper.sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("False RemoteUnreachable", Some("a")));
}

#[tokio::test]
async fn a_password_is_read_from_its_file_and_never_told() {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    let address = serve(rig.path("")).await;
    let (token, url) = (rig.path("token"), format!("http://{address}/upstream/.git"));
    std::fs::write(&token, "wr0ng-s3cret\n").unwrap();
    let spec = json!({"git": {"url": url, "auth": {"tokenFile": token}}});
    let mut keeper = rig.source("shop", spec).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False AuthenticationFailed Stalled", "{}", rig.message("shop"));
    assert!(!rig.status("shop").to_string().contains("wr0ng"));

    std::fs::write(&token, "s3cret\n").unwrap();
    keeper.sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("True Synced", Some("a")), "{}", rig.message("shop"));

    std::fs::remove_file(&token).unwrap();
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False SecretUnreadable Stalled");
    // The same by a name and a password.
    std::fs::write(&token, "s3cret\n").unwrap();
    for (name, ready) in [("ada", "False AuthenticationFailed Stalled"), ("git", "True Synced")] {
        rig.put("shop", json!({"git": {"url": url, "auth": {"username": name, "passwordFile": token}}})).await;
        keeper.sync().await;
        assert_eq!(rig.ready("shop"), ready, "{}", rig.message("shop"));
    }
    rig.put("shop", json!({"git": {"url": url}})).await;
    keeper.sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("False AuthenticationFailed Stalled", Some("a")));
    let told = rig.registry.store().list(crate::store::Kind::Event, None).unwrap().items;
    assert!(told.iter().all(|event| !event.to_string().contains("s3cret")), "{told:?}");
}

/// Serves repositories below a folder to `git` with the password `s3cret`; the address.
async fn serve(root: PathBuf) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(backend).with_state(Arc::new(root));
    tokio::spawn(async { axum::serve(Listener(listener), router).await });
    address
}

/// axum's own needs a feature that only this test would use.
struct Listener(tokio::net::TcpListener);

impl axum::serve::Listener for Listener {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.0.accept().await.unwrap()
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// `git http-backend`, a CGI program.
async fn backend(State(root): State<Arc<PathBuf>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("git:s3cret"));
    if headers.get(header::AUTHORIZATION).is_none_or(|found| found.as_bytes() != wanted.as_bytes()) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")]).into_response();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut command = tokio::process::Command::new("/usr/lib/git-core/git-http-backend");
    command.env("GIT_PROJECT_ROOT", root.as_path()).env("GIT_HTTP_EXPORT_ALL", "1").env("REQUEST_METHOD", method.as_str());
    command.env("PATH_INFO", uri.path()).env("QUERY_STRING", uri.query().unwrap_or_default());
    command.env("CONTENT_TYPE", text("content-type")).env("CONTENT_LENGTH", body.len().to_string());
    command.env("HTTP_CONTENT_ENCODING", text("content-encoding")).env("GIT_PROTOCOL", text("git-protocol"));
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let printed = child.wait_with_output().await.unwrap().stdout;
    let end = printed.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&printed[..end]).into_owned();
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(printed[end + 4..].to_vec())).unwrap()
}

#[tokio::test]
async fn an_ssh_server_that_is_not_there_is_unreachable() {
    let rig = Rig::new();
    let (key, hosts) = (rig.path("key"), rig.path("hosts"));
    std::fs::write(&key, "").unwrap();
    std::fs::write(&hosts, "").unwrap();
    let auth = json!({"keyFile": key, "knownHostsFile": hosts});
    rig.source("shop", json!({"git": {"url": "ssh://git@127.0.0.1:1/a.git", "auth": auth}})).await.sync().await;
    assert_eq!(rig.ready("shop"), "False RemoteUnreachable", "{}", rig.message("shop"));
}
