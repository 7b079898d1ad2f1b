//! Real failures, told apart.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use evenkeel::docker::{self, Engine};
use evenkeel::model::{ContainerSpec, FailureKind, HostPort, MountSource, MountSpec, NetworkMode, PortBinding};

use super::{client, failure, in_runtime, kind, run, sleeper};
use crate::support::{Fault, FaultProxy, Sandbox, secs};

fn publishing(spec: ContainerSpec, port: u16) -> ContainerSpec {
    let host = HostPort { ip: "127.0.0.1".to_owned(), port, protocol: "tcp".to_owned() };
    ContainerSpec { network: NetworkMode::Bridge, ports: vec![PortBinding { target: 80, host }], ..spec }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cannot_run_as_declared_is_its_own_fault() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let command = |name: &str, words: &[&str]| ContainerSpec {
        init: None,
        command: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        ..sleeper(&sandbox, name)
    };
    let not_executable = command("b", &["/www/index.html"]);
    let a_folder = command("c", &["/www"]);
    let no_user = ContainerSpec { user: Some("nobody-of-that-name".to_owned()), ..sleeper(&sandbox, "d") };
    for spec in [command("a", &["/nope"]), not_executable, a_folder, no_user] {
        let id = client.create_container(&spec, &BTreeMap::new()).await.unwrap();
        let failure = failure(client.start_container(&id).await);
        assert_eq!(failure.kind, FailureKind::StartFailed, "{failure}");
        assert!(failure.message.starts_with(&format!("cannot start container {}: ", &id[..12])), "{failure}");
        let seen = client.inspect_container(&id).await.unwrap().unwrap();
        assert!(seen.started_at.is_none() && !seen.error.is_empty(), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_not_there_is_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let source = MountSource::Bind { path: "/no/such/path".to_owned(), create: false, propagation: None, selinux: None };
    let spec =
        ContainerSpec { mounts: vec![MountSpec { source, target: "/x".to_owned(), read_only: true }], ..sleeper(&sandbox, "a") };
    let failure = failure(client.create_container(&spec, &BTreeMap::new()).await);
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.message.contains("bind source path does not exist: /no/such/path"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_name_and_a_missing_image_are_told_apart() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let spec = sleeper(&sandbox, "a");
    run(&client, &spec).await;
    let held = failure(client.create_container(&spec, &BTreeMap::new()).await);
    assert_eq!(held.kind, FailureKind::NameHeld, "{held}");
    let other = client.create_container(&sleeper(&sandbox, "b"), &BTreeMap::new()).await.unwrap();
    assert_eq!(kind(client.rename_container(&other, &spec.name).await), FailureKind::NameHeld);
    let missing = ContainerSpec { image: format!("{}-none:1", sandbox.prefix()), ..sleeper(&sandbox, "c") };
    let missing = failure(client.create_container(&missing, &BTreeMap::new()).await);
    assert_eq!(missing.kind, FailureKind::ImageMissing, "{missing}");
    assert!(missing.message.contains("from image"), "{missing}");
    assert_eq!(kind(client.remove_container(&spec.name, false).await), FailureKind::Conflict);
    assert_eq!(kind(client.start_container("no-such-container").await), FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_port_is_named_and_so_is_the_process_that_holds_it() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = FailureKind::PortHeld { port: Some(port), protocol: "tcp".to_owned() };
    let id = client.create_container(&publishing(sleeper(&sandbox, "a"), port), &BTreeMap::new()).await.unwrap();
    let by_process = failure(client.start_container(&id).await);
    assert_eq!(by_process.kind, held, "{by_process}");
    let holder = client.port_holder(port, "tcp").unwrap();
    assert!(holder.ends_with(&format!("(pid {})", std::process::id())), "{holder}");
    assert_eq!(client.port_holder(port, "udp"), None);

    drop(listener);
    client.start_container(&id).await.unwrap();
    assert!(client.port_holder(port, "tcp").unwrap().starts_with("docker-proxy (pid "));
    let second = client.create_container(&publishing(sleeper(&sandbox, "b"), port), &BTreeMap::new()).await.unwrap();
    let by_container = failure(client.start_container(&second).await);
    assert_eq!(by_container.kind, held, "{by_container}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_be_made_while_the_engine_is_away_and_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix://{}/docker.sock", folder.path().display());
    let client = docker::connect(Some(&address), None).unwrap();
    let failure = failure(client.list_containers().await);
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains(&address) && failure.message.contains("list containers"), "{failure}");
    assert_eq!(kind(docker::connect(Some("tcp://127.0.0.1:1"), None).unwrap().ping().await), FailureKind::Unavailable);
}

#[test]
fn a_call_that_hangs_ends_at_its_deadline_and_holds_up_no_other() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    in_runtime(async {
        let client = docker::connect(Some(&proxy.host()), None).unwrap();
        client.ping().await.unwrap();
        proxy.fault(|call| call.is("GET", "/containers/json"), Fault::Delay(secs(60)));
        let start = Instant::now();
        let (hung, quick) = tokio::join!(client.list_containers(), async {
            client.list_networks().await.unwrap();
            start.elapsed()
        });
        let failure = failure(hung);
        assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
        assert!(failure.message.contains("did not answer within 10 s"), "{failure}");
        assert!(quick < Duration::from_secs(5), "{quick:?}");
    });
}

#[test]
fn an_engine_in_trouble_is_transient_and_an_answer_that_is_lost_is_unavailable() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    in_runtime(async {
        let client = docker::connect(Some(&proxy.host()), None).unwrap();
        client.ping().await.unwrap();
        for (status, wanted) in [(500, FailureKind::Transient), (429, FailureKind::Transient), (409, FailureKind::Conflict)] {
            proxy.fault_times(1, |call| call.is("GET", "/volumes"), Fault::Status(status, "come back later"));
            assert_eq!(kind(client.list_volumes().await), wanted);
        }
        proxy.fault_times(1, |call| call.is("GET", "/volumes"), Fault::LoseAnswer);
        assert_eq!(kind(client.list_volumes().await), FailureKind::Unavailable);
        client.list_volumes().await.unwrap();
    });
}
