//! Logs, commands and figures of containers, and the host.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::sockets::Served;
use super::{Api, path};
use crate::docker::fake::{Effect, FakeImage, Verb};
use crate::docker::{Engine, Usage};
use crate::model::remote::{self, CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT};
use crate::model::{ContainerSpec, FailureKind, labels};

/// A container of a replica of `default/web`, running.
async fn run(api: &Api, service: &str, number: u32) -> String {
    api.engine.add_image(FakeImage::new("localhost/app:1", 1));
    let pairs = [
        (labels::INSTANCE, "default".to_owned()),
        (labels::NAMESPACE, "default".to_owned()),
        (labels::DEPLOYMENT, "web".to_owned()),
        (labels::SERVICE, service.to_owned()),
        (labels::REPLICA, number.to_string()),
    ];
    let name = format!("web-{service}-{number}");
    let spec = ContainerSpec {
        name: name.clone(),
        image: "localhost/app:1".to_owned(),
        labels: pairs.map(|(key, value)| (key.to_owned(), value)).into(),
        ..ContainerSpec::default()
    };
    let id = api.engine.create_container(&spec, &BTreeMap::new()).await.unwrap();
    api.engine.start_container(&id).await.unwrap();
    name
}

async fn next_text(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.expect("nothing more comes")?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_log_is_read_with_the_parameters_of_kubernetes() {
    let api = Api::new();
    api.web().await;
    let app = run(&api, "app", 1).await;
    for line in ["one", "two", "three"] {
        api.engine.write_log(&app, line);
    }
    let answer = api.get(&path("web/log")).await;
    assert_eq!((answer.code, answer.text.as_str()), (200, "one\ntwo\nthree\n"));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(api.get(&path("web/log?tailLines=2&container=app-1")).await.text, "two\nthree\n");
    assert_eq!(api.get(&path("web/log?limitBytes=5&container=app")).await.text, "one\nt");
    assert_eq!(api.get(&path("web/log?sinceTime=2999-01-01T00:00:00Z")).await.text, "");
    assert_eq!(api.get(&path("web/log?sinceSeconds=60")).await.text, "one\ntwo\nthree\n");
    let stamped = api.get(&path("web/log?timestamps=true&tailLines=1")).await.text;
    assert!(stamped.ends_with("Z three\n") && stamped.len() == "2026-08-21T10:00:00.000000000Z three\n".len(), "{stamped}");
}

#[tokio::test]
async fn which_container_is_meant_must_be_clear() {
    let api = Api::new();
    api.get(&path("web/log")).await.refused(404, "NotFound");
    api.web().await;
    assert!(api.get(&path("web/log")).await.refused(400, "BadRequest").contains("has no containers"));
    run(&api, "app", 1).await;
    run(&api, "app", 2).await;
    let message = api.get(&path("web/log")).await.refused(400, "BadRequest");
    assert!(message.ends_with("choose one of: app-1, app-2"), "{message}");
    api.get(&path("web/log?container=app")).await.refused(400, "BadRequest");
    api.get(&path("web/log?container=db-1")).await.refused(400, "BadRequest");
    assert_eq!(api.get(&path("web/log?container=app-2")).await.code, 200);
    for nonsense in ["previous=true", "tailLines=x", "sinceTime=now", "sinceTime=2026-01-01T00:00:00Z&sinceSeconds=1"] {
        api.get(&path(&format!("web/log?container=app-1&{nonsense}"))).await.refused(400, "BadRequest");
    }
    api.post(&path("web/log"), &json!({})).await.refused(405, "MethodNotAllowed");
    api.engine.fault(Verb::Logs, None, Effect::Fail(FailureKind::Unavailable), 1);
    api.get(&path("web/log?container=app-1")).await.refused(503, "ServiceUnavailable");
}

#[tokio::test]
async fn a_followed_log_goes_on_until_its_container_ends_or_its_reader_goes() {
    let api = Api::new();
    api.web().await;
    let app = run(&api, "app", 1).await;
    api.engine.write_log(&app, "one");
    let request = || Request::builder().uri(path("web/log?follow=true")).body(Body::empty()).unwrap();
    let mut body = api.send(request()).await.into_body();
    assert_eq!(next_text(&mut body).await.unwrap(), "one\n");
    api.engine.write_log(&app, "two");
    assert_eq!(next_text(&mut body).await.unwrap(), "two\n");
    let gone = api.send(request()).await.into_body();
    assert_eq!(api.engine.log_readers(&app), 2);
    drop(gone);
    assert_eq!(api.engine.log_readers(&app), 1);
    let id = api.engine.container(&app).unwrap().id;
    api.engine.stop_container(&id, 1).await.unwrap();
    assert_eq!(next_text(&mut body).await, None);
}

#[tokio::test]
async fn a_followed_log_ends_when_the_server_stops() {
    let api = Api::new();
    api.web().await;
    run(&api, "app", 1).await;
    let request = Request::builder().uri(path("web/log?follow=true")).body(Body::empty()).unwrap();
    let mut body = api.send(request).await.into_body();
    api.state.stopping.cancel();
    assert_eq!(next_text(&mut body).await, None);
}

/// The client's end of a command.
struct Session {
    socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
}

impl Session {
    async fn open(served: &Served, query: &str, protocol: &str) -> Self {
        let stream = UnixStream::connect(served.api.dir.path().join("run/api.sock")).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let request = Request::builder()
            .uri(path(&format!("web/exec?{query}")))
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", protocol);
        let response = sender.send_request(request.body(String::new()).unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["sec-websocket-protocol"].to_str().unwrap()), (101, protocol));
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        Self { socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await }
    }

    async fn send(&mut self, stream: u8, bytes: &[u8]) {
        self.socket.send(Message::binary(remote::message(stream, bytes))).await.unwrap();
    }

    /// What came of a stream, and how the command ended.
    async fn end(mut self) -> (String, String, Value) {
        let (mut out, mut err, mut status) = (String::new(), String::new(), Value::Null);
        while let Some(message) = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await.expect("it hangs") {
            let Ok(Message::Binary(bytes)) = message else { continue };
            let text = String::from_utf8(bytes[1..].to_vec()).unwrap();
            match bytes[0] {
                STDOUT => out.push_str(&text),
                STDERR => err.push_str(&text),
                ERROR => status = serde_json::from_str(&text).unwrap(),
                other => panic!("channel {other}"),
            }
        }
        (out, err, status)
    }
}

#[tokio::test]
async fn a_command_has_input_two_outputs_and_an_exit_code() {
    let served = Served::start(false).await;
    served.api.web().await;
    run(&served.api, "app", 1).await;
    let session = Session::open(&served, "command=echo&command=a%20b&command=c&stdout=true", "v5.channel.k8s.io").await;
    let (out, err, status) = session.end().await;
    assert_eq!((out.as_str(), err.as_str(), remote::exit_code(&status)), ("a b c\n", "a b c\n", Ok(0)));

    let (_, _, status) = Session::open(&served, "command=exit&command=3", "v4.channel.k8s.io").await.end().await;
    assert_eq!(remote::exit_code(&status), Ok(3));
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));

    let mut session = Session::open(&served, "command=cat&stdin=true&tty=true", "v5.channel.k8s.io").await;
    session.send(RESIZE, br#"{"Width":100,"Height":30}"#).await;
    session.send(STDIN, b"hello").await;
    let sized = async {
        while served.api.engine.terminal_sizes() != [(100, 30)] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), sized).await.expect("no size is set");
    session.send(CLOSE, &[STDIN]).await;
    let (out, _, status) = session.end().await;
    assert_eq!((out.as_str(), remote::exit_code(&status)), ("hello", Ok(0)));
}

#[tokio::test]
async fn keys_do_not_wait_for_a_size_that_the_engine_does_not_set() {
    let served = Served::start(false).await;
    served.api.web().await;
    run(&served.api, "app", 1).await;
    let mut session = Session::open(&served, "command=cat&stdin=true&tty=true", "v5.channel.k8s.io").await;
    served.api.engine.fault(Verb::ResizeExec, None, Effect::Hang, 1);
    session.send(RESIZE, br#"{"Width":100,"Height":30}"#).await;
    session.send(STDIN, b"hello").await;
    session.send(CLOSE, &[STDIN]).await;
    let (out, _, status) = session.end().await;
    assert_eq!((out.as_str(), remote::exit_code(&status)), ("hello", Ok(0)));
    assert_eq!(served.api.engine.terminal_sizes(), []);
}

#[tokio::test]
async fn a_command_ends_with_the_server() {
    let served = Served::start(false).await;
    served.api.web().await;
    run(&served.api, "app", 1).await;
    let session = Session::open(&served, "command=cat&stdin=true", "v5.channel.k8s.io").await;
    served.api.state.stopping.cancel();
    let (_, _, status) = session.end().await;
    assert!(remote::exit_code(&status).unwrap_err().contains("stopping"));
}

#[tokio::test]
async fn a_command_that_cannot_begin_is_refused_in_http() {
    let served = Served::start(false).await;
    let api = &served.api;
    api.web().await;
    run(api, "app", 1).await;
    assert!(api.get(&path("web/exec?command=ls")).await.refused(400, "BadRequest").contains("WebSocket"));
    assert!(api.get(&path("web/exec")).await.refused(400, "BadRequest").contains("which command"));
    api.post(&path("web/exec?command=ls"), &json!({})).await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn figures_are_told_for_each_container_and_together() {
    let api = Api::new();
    api.web().await;
    for number in [1, 2] {
        let name = run(&api, "app", number).await;
        api.engine.set_usage(&name, Usage { cpu_percent: 12.5, memory_bytes: 100, pids: 2, ..Usage::default() });
    }
    let seen = api.get(&path("web/metrics")).await.expect(200);
    assert_eq!(
        (&seen["kind"], &seen["usage"]["cpuPercent"], &seen["usage"]["pids"]),
        (&json!("DeploymentMetrics"), &json!(25.0), &json!(4))
    );
    let names: Vec<&str> = seen["containers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app-1", "app-2"]);
    api.engine.fault(Verb::Usage, Some("web-app-1"), Effect::Fail(FailureKind::Timeout), 1);
    let seen = api.get(&path("web/metrics")).await.expect(200);
    assert!(seen["containers"][0]["error"].is_string(), "{seen}");
    assert_eq!(seen["usage"]["pids"], 2);
}

#[tokio::test]
async fn the_host_tells_of_itself_also_when_its_engine_is_away() {
    let api = Api::new();
    let host = api.get("/apis/evenkeel.dev/v1alpha1/host").await.expect(200);
    assert_eq!((&host["engine"]["version"], &host["operator"]["instance"]), (&json!("20.10.24"), &json!("default")));
    api.engine.fault(Verb::Facts, None, Effect::Fail(FailureKind::Unavailable), 2);
    let host = api.get("/apis/evenkeel.dev/v1alpha1/host").await.expect(200);
    assert!(host["engine"].is_null() && host["engineError"].is_string(), "{host}");
    let checks = api.get("/apis/evenkeel.dev/v1alpha1/doctor").await.expect(200)["checks"].clone();
    assert_eq!((&checks[0]["check"], &checks[0]["result"]), (&json!("engine"), &json!("fail")));
    run(&api, "app", 1).await;
    let checks = api.get("/apis/evenkeel.dev/v1alpha1/doctor").await.expect(200)["checks"].clone();
    let of = |name: &str| checks.as_array().unwrap().iter().find(|check| check["check"] == name).cloned().unwrap();
    assert_eq!(of("engine")["result"], "ok");
    assert!(of("leftovers")["message"].as_str().unwrap().contains("web-app-1"), "{checks}");
}
