//! Against a scripted daemon on a socket of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::docker::credentials::Keyring;
use crate::docker::events::Open;
use crate::docker::{Alive, Client, Engine, alive};
use crate::model::FailureKind;

const VERSION: &str = r#"{"Version":"26.1.5","ApiVersion":"1.45","MinAPIVersion":"1.24"}"#;

/// A daemon that answers by path, and the heads of the requests it got.
struct Scripted {
    folder: tempfile::TempDir,
    heads: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// `answer` gives status and body for the path without its version prefix; `None` never answers.
    fn start(answer: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let (heads, answer) = (Arc::new(Mutex::new(vec![])), Arc::new(answer));
        let log = heads.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, log.clone(), answer.clone()));
            }
        });
        Self { folder, heads, serving }
    }

    fn wire(&self) -> Wire {
        Wire::new(Endpoint::Unix(self.folder.path().join("docker.sock")))
    }

    fn paths(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }

    async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

async fn serve(
    mut stream: UnixStream,
    heads: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static>,
) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    let bare = if path.starts_with("/v1.") { &path[path[1..].find('/').unwrap() + 1..] } else { &path };
    match answer(bare) {
        Some((status, body)) => {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(text.as_bytes()).await;
        }
        None => std::future::pending().await,
    }
}

fn usual(path: &str) -> Option<(u16, String)> {
    Some(match path {
        "/version" => (200, VERSION.to_owned()),
        "/_ping" => (200, "OK".to_owned()),
        "/networks" => (200, "[]".to_owned()),
        _ => (404, r#"{"message":"page not found"}"#.to_owned()),
    })
}

#[tokio::test]
async fn the_agreed_version_is_in_every_path_of_ours_and_of_bollards() {
    let daemon = Scripted::start(usual);
    let client = Client::new(daemon.wire(), Keyring::new(None));
    client.list_networks().await.unwrap();
    client.list_networks().await.unwrap();
    client.remove_volume("v").await.unwrap();
    assert_eq!(daemon.paths(), ["/version", "/v1.45/networks", "/v1.45/networks", "/v1.45/volumes/v"]);
}

#[tokio::test]
async fn a_daemon_that_comes_back_is_asked_for_its_version_again() {
    let mut daemon = Scripted::start(usual);
    let wire = daemon.wire();
    assert_eq!(wire.version().await.unwrap(), ApiVersion(1, 45));
    daemon.stop().await;
    assert!(wire.get::<Vec<u8>>("/networks").await.is_err());
    let socket = daemon.folder.path().join("docker.sock");
    std::fs::remove_file(&socket).unwrap();
    let successor =
        Scripted::start(|path| if path == "/version" { Some((200, VERSION.replace("1.45", "1.41"))) } else { usual(path) });
    std::os::unix::fs::symlink(successor.folder.path().join("docker.sock"), &socket).unwrap();
    wire.get::<Vec<u8>>("/networks").await.unwrap();
    assert_eq!(successor.paths(), ["/version", "/v1.41/networks"]);
}

#[tokio::test]
async fn registry_credentials_go_out_in_the_alphabet_the_engine_reads() {
    let mut request = Request::builder().header("x-registry-auth", "ab+/cd==").body(()).unwrap();
    mend_credentials(&mut request);
    let value = &request.headers()["x-registry-auth"];
    assert_eq!(value, "ab-_cd==");
    assert!(value.is_sensitive(), "it must not be printed");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_ends_at_its_deadline() {
    let daemon = Scripted::start(|path| if path == "/version" { usual(path) } else { None });
    let client = Client::new(daemon.wire(), Keyring::new(None));
    client.wire().version().await.unwrap();
    let before = tokio::time::Instant::now();
    let failure = client.start_container("abc").await.unwrap_err();
    assert_eq!((failure.kind, before.elapsed().as_secs()), (FailureKind::Timeout, 60));
    let before = tokio::time::Instant::now();
    let failure = client.stop_container("abc", 600).await.unwrap_err();
    assert_eq!((failure.kind, before.elapsed().as_secs()), (FailureKind::Timeout, 630), "a long grace is waited out");
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused_with_what_to_do() {
    let old = r#"{"Version":"19.03.1","ApiVersion":"1.40","MinAPIVersion":"1.12"}"#;
    let daemon = Scripted::start(|_| Some((200, old.to_owned())));
    let failure = Client::new(daemon.wire(), Keyring::new(None)).list_images().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.message.contains("19.03.1") && failure.message.contains("20.10"), "{failure}");
}

#[tokio::test]
async fn query_strings_are_encoded() {
    assert_eq!(
        query(&[("filters", r#"{"a b":["ä"]}"#), ("since", "1.5")]),
        "filters=%7B%22a%20b%22%3A%5B%22%C3%A4%22%5D%7D&since=1.5"
    );
}

/// A wire whose keeper is the given one.
fn kept_by(daemon: &Scripted, keeper: Keeper) -> Wire {
    let wire = daemon.wire();
    *wire.shared.keeper.lock().unwrap() = keeper;
    wire
}

#[tokio::test]
async fn where_dockerd_owns_its_socket_a_ping_over_a_new_connection_tells() {
    let mut daemon = Scripted::start(usual);
    let me = super::super::proc::Process::of(std::process::id().cast_signed()).unwrap();
    let wire = kept_by(&daemon, Keeper::Daemon(me));
    assert_eq!(alive::evidence(&wire, None).await, Alive::Yes);
    assert_eq!(
        alive::evidence(&kept_by(&daemon, Keeper::Daemon(me)), Some(Open::default())).await,
        Alive::No,
        "the stream has ended"
    );
    daemon.stop().await;
    assert_eq!(alive::evidence(&kept_by(&daemon, Keeper::Daemon(me)), None).await, Alive::No);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_not_answered_within_a_second_is_no_evidence() {
    let daemon = Scripted::start(|_| None);
    let wire = kept_by(&daemon, Keeper::Remote);
    let before = tokio::time::Instant::now();
    assert_eq!(alive::evidence(&wire, None).await, Alive::Unknown);
    assert_eq!(before.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn where_systemd_owns_it_no_connection_is_made_and_the_held_socket_tells() {
    let mut daemon = Scripted::start(usual);
    let me = super::super::proc::Process::of(std::process::id().cast_signed()).unwrap();
    let inode = super::super::proc::unix_listener(me.pid, &daemon.folder.path().join("docker.sock")).unwrap();
    let activated = |seen: Option<_>| kept_by(&daemon, Keeper::Activator { inode, daemon: seen });
    let (holding, unseen) = (activated(Some(me)), activated(None));
    assert_eq!(alive::evidence(&holding, None).await, Alive::Yes);
    assert_eq!(alive::evidence(&unseen, None).await, Alive::Unknown);
    daemon.stop().await;
    assert_eq!(alive::evidence(&holding, None).await, Alive::No, "dockerd has closed it");
    assert!(daemon.paths().is_empty(), "nobody connected");
}

#[test]
fn a_daemon_that_was_stopped_is_not_woken_through_its_socket() {
    let me = super::super::proc::Process::of(std::process::id().cast_signed()).unwrap();
    let gone = super::super::proc::Process { started: me.started + 1, ..me };
    let activated = |daemon| Keeper::Activator { inode: 1, daemon };
    assert!(activated(Some(gone)).is_asleep(|_| false));
    assert!(!activated(Some(gone)).is_asleep(|inode| inode == 1), "another dockerd serves it");
    assert!(!activated(Some(me)).is_asleep(|_| false), "it runs");
    assert!(!activated(None).is_asleep(|_| false), "the first connection may wake it");
    assert!(!Keeper::Daemon(gone).is_asleep(|_| false), "there is nothing to wake");
}
