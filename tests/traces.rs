//! Traces as a collector sees them: a program with evenkeel's telemetry runs beside one that receives.
//!
//! The program is this test binary, started again with the `OTEL_*` variables of the case: they are read once a process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

/// How many reconciles the program traces.
const TURNS: usize = 20;

/// Only evenkeel's own spans are traced: this file's are to look like them.
const TARGET: &str = "evenkeel::controller";

/// The program of all cases; ignored so that it runs only when a case starts it.
#[tokio::test]
#[ignore = "started by the other tests of this file"]
async fn program() {
    let options = evenkeel::telemetry::Options { instance: "harbour".into(), ..Default::default() };
    let guard = evenkeel::telemetry::init(&options).unwrap();
    for turn in 0..TURNS {
        let reconcile = tracing::info_span!(target: TARGET, "reconcile", key = "default/web", turn);
        let _entered = reconcile.entered();
        println!("trace {}", evenkeel::telemetry::trace_id().unwrap());
        let act = tracing::info_span!(target: TARGET, "act", action = "start container web-app-1");
        act.in_scope(|| tracing::info!(target: TARGET, "started"));
        std::thread::sleep(Duration::from_millis(5));
    }
    let ending = Instant::now();
    guard.shutdown().await;
    println!("ended in {} ms", ending.elapsed().as_millis());
}

async fn run_program(variables: &[(&str, &str)]) -> (String, String) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .env("OTEL_BSP_SCHEDULE_DELAY", "10")
        .stdin(Stdio::null())
        .output();
    let Output { status, stdout, stderr } = tokio::time::timeout(Duration::from_secs(20), child).await.unwrap().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{stdout}\n{stderr}");
    (stdout, stderr)
}

fn milliseconds_to_end(stdout: &str) -> u64 {
    let line = stdout.lines().find_map(|line| line.strip_prefix("ended in ")).unwrap();
    line.trim_end_matches(" ms").parse().unwrap()
}

#[tokio::test]
async fn spans_arrive_with_parent_attributes_service_and_the_trace_id_that_status_shows() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let receive = move |headers: HeaderMap, body: Bytes| {
        let key = headers.get("x-api-key").map(|value| value.to_str().unwrap().to_owned());
        sender.send((key, ExportTraceServiceRequest::decode(body).unwrap())).unwrap();
        async { "" }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/v1/traces", post(receive))).into_future());

    let (stdout, stderr) = run_program(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret"),
        ("OTEL_SERVICE_NAME", "ship"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
    ])
    .await;
    assert!(!stderr.contains("cannot deliver"), "{stderr}");

    let mut spans: Vec<Span> = vec![];
    while let Ok((key, request)) = received.try_recv() {
        assert_eq!(key.as_deref(), Some("s3cret"));
        for batch in request.resource_spans {
            let resource = format!("{:?}", batch.resource.unwrap().attributes);
            for word in ["ship", "harbour", "deployment.environment", "service.version", "host.name"] {
                assert!(resource.contains(word), "{word} is not in {resource}");
            }
            spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    assert_eq!(spans.len(), 2 * TURNS);
    for act in spans.iter().filter(|span| span.name == "act") {
        let parent = spans.iter().find(|span| span.span_id == act.parent_span_id).unwrap();
        assert_eq!((parent.name.as_str(), &parent.trace_id), ("reconcile", &act.trace_id));
        assert!(parent.parent_span_id.is_empty());
        assert!(format!("{:?}", parent.attributes).contains("default/web"));
        assert!(format!("{:?}", act.attributes).contains("start container web-app-1"));
        assert_eq!(act.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["started"]);
        let id: String = act.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(stdout.contains(&format!("trace {id}\n")), "{id} was not what trace_id() said");
    }
}

#[tokio::test]
async fn a_collector_that_is_down_is_told_once_and_delays_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (stdout, stderr) = run_program(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{closed}"))]).await;
    assert_eq!(stderr.matches("cannot deliver traces to").count(), 1, "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count(), 1, "{stderr}");
    assert!(milliseconds_to_end(&stdout) < 4_000, "{stdout}");
}

#[tokio::test]
async fn a_collector_that_hangs_does_not_keep_the_program_from_ending() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stdout, _) = run_program(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", deaf.local_addr().unwrap()))]).await;
    assert!(milliseconds_to_end(&stdout) < 4_000, "{stdout}");
}

#[tokio::test]
async fn the_rotel_collector_shows_the_spans() {
    let Some(rotel) = rotel().await else {
        eprintln!("SKIPPED: the rotel collector is not here (pip install rotel)");
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    let mut collector = Command::new(rotel)
        .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"])
        .args(["--disable-batching", "--otlp-http-endpoint", &format!("127.0.0.1:{port}")])
        .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{other}")])
        .arg("--pid-file")
        .arg(folder.path().join("pid"))
        .stdout(std::fs::File::create(&dump).unwrap())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait_until("rotel listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;

    run_program(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}"))]).await;

    let seen = async || {
        let text = std::fs::read_to_string(&dump).unwrap();
        ["reconcile", "default/web", "start container web-app-1", "evenkeel"].iter().all(|word| text.contains(word))
    };
    wait_until("rotel shows the spans", seen).await;
    collector.kill().await.unwrap();
}

/// Where pip put the collector.
async fn rotel() -> Option<PathBuf> {
    let script = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let output = Command::new("python3").args(["-c", script]).output().await.ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    // The wheel does not mark it executable.
    Command::new("chmod").arg("+x").arg(&path).status().await.ok()?;
    (output.status.success() && path.is_file()).then_some(path)
}

async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited 10 s in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
