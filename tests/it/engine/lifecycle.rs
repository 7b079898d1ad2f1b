//! A container from its creation to its end, and what an inspect tells of it.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::docker::{Alive, Engine};
use evenkeel::model::{
    ContainerSpec, ContainerState, DockerRestart, HealthStatus, HealthcheckSpec, HostPort, MountSource, MountSpec, NetworkMode,
    PortBinding, Resources, UlimitSpec, VolumeSpec,
};

use super::{client, ready, run, sleeper};
use crate::support::{Sandbox, eventually, secs};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_lives_from_create_to_remove_and_nothing_is_done_twice() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let spec = sleeper(&sandbox, "a");
    let id = client.create_container(&spec, &BTreeMap::new()).await.unwrap();
    let created = client.inspect_container(&id).await.unwrap().unwrap();
    assert_eq!((created.state, created.started_at, created.name.as_str()), (ContainerState::Created, None, spec.name.as_str()));

    client.start_container(&id).await.unwrap();
    client.start_container(&id).await.unwrap();
    let running = client.inspect_container(&id).await.unwrap().unwrap();
    assert_eq!((running.state, running.restart_policy), (ContainerState::Running, DockerRestart::No));
    assert!(running.started_at > running.created_at && running.finished_at.is_none());
    assert!(running.labels.contains_key("evenkeel.dev/instance"));

    client.set_restart_policy(&id, &DockerRestart::OnFailure(3)).await.unwrap();
    let name = format!("{}-b", sandbox.prefix());
    client.rename_container(&id, &name).await.unwrap();
    let renamed = client.inspect_container(&name).await.unwrap().unwrap();
    assert_eq!((renamed.id.as_str(), renamed.restart_policy), (id.as_str(), DockerRestart::OnFailure(3)));
    assert_eq!(renamed.started_at, running.started_at, "its process was not touched");

    ready(sandbox.docker(), &id);
    client.stop_container(&id, 5).await.unwrap();
    client.stop_container(&id, 5).await.unwrap();
    let stopped = client.inspect_container(&id).await.unwrap().unwrap();
    assert_eq!((stopped.state, stopped.exit_code), (ContainerState::Exited, 143));
    assert!(stopped.finished_at > stopped.started_at);

    client.remove_container(&id, false).await.unwrap();
    client.remove_container(&id, false).await.unwrap();
    client.stop_container(&id, 5).await.unwrap();
    assert_eq!(client.inspect_container(&id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_state_and_status_without_what_changes_by_itself() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let running = run(&client, &sleeper(&sandbox, "a")).await;
    let ended = ContainerSpec { command: Some(vec!["false".to_owned()]), ..sleeper(&sandbox, "b") };
    let ended = run(&client, &ended).await;
    eventually(secs(5), "it has ended", || sandbox.docker().in_state(&ended, "exited"));
    let lines = client.list_containers().await.unwrap();
    let line = |id: &str| lines.iter().find(|line| line.id == id).cloned().unwrap();
    assert_eq!((line(&running).state, line(&running).status.as_str()), (ContainerState::Running, "Up"));
    assert_eq!((line(&ended).state, line(&ended).status.as_str()), (ContainerState::Exited, "Exited (1)"));
    assert_eq!(line(&running).name, format!("{}-a", sandbox.prefix()));
    assert_eq!(line(&running).labels["evenkeel.dev/instance"], "elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_specification_says_reaches_the_process() {
    let sandbox = Sandbox::new();
    let (client, docker) = (client(sandbox.docker()), sandbox.docker());
    let volume = VolumeSpec { name: format!("{}_data", sandbox.prefix()), ..Default::default() };
    client.create_volume(&volume).await.unwrap();
    client.create_volume(&volume).await.unwrap();
    let mount = |source: MountSource, target: &str| MountSpec { source, target: target.to_owned(), read_only: false };
    let made = sandbox.dir().join("made");
    let text = |text: &str| text.to_owned();
    let spec = ContainerSpec {
        hostname: Some(text("keel")),
        env: vec![text("A=1 2"), text("B=")],
        working_dir: Some(text("/tmp")),
        user: Some(text("7:8")),
        expose: vec![text("9000/tcp")],
        ports: vec![PortBinding { target: 80, host: HostPort { ip: text("127.0.0.1"), port: 0, protocol: text("tcp") } }],
        network: NetworkMode::Bridge,
        mounts: vec![
            mount(MountSource::Volume { name: volume.name.clone(), nocopy: false, subpath: None }, "/named"),
            mount(MountSource::Anonymous { carry_over: None }, "/anonymous"),
            mount(MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o1777) }, "/scratch"),
            mount(
                MountSource::Bind { path: made.display().to_string(), create: true, propagation: None, selinux: None },
                "/made",
            ),
        ],
        tmpfs: BTreeMap::from([(text("/run"), text("size=64k"))]),
        read_only: true,
        cap_drop: vec![text("ALL")],
        cap_add: vec![text("NET_BIND_SERVICE")],
        security_opt: vec![text("no-new-privileges:true")],
        extra_hosts: vec![text("elsewhere:10.9.8.7")],
        dns: vec![text("10.1.1.1")],
        sysctls: BTreeMap::from([(text("net.core.somaxconn"), text("77"))]),
        ulimits: vec![UlimitSpec { name: text("nofile"), soft: 99, hard: 100 }],
        resources: Resources { memory: Some(64 << 20), pids: Some(50), nano_cpus: Some(500_000_000), ..Default::default() },
        shm_size: Some(1 << 20),
        stop_signal: Some(text("SIGUSR1")),
        stop_timeout: Some(4),
        logging: Some((text("json-file"), BTreeMap::from([(text("max-size"), text("1m"))]))),
        healthcheck: Some(HealthcheckSpec {
            test: vec![text("CMD"), text("true")],
            interval: Some(Duration::from_secs(1)),
            retries: Some(2),
            ..Default::default()
        }),
        ..sleeper(&sandbox, "a")
    };
    let id = run(&client, &spec).await;
    let exec = |command: &[&str]| docker.exec(&id, command);
    assert_eq!(exec(&["sh", "-c", "echo $(hostname) \"$A\" $(pwd) $(id -u):$(id -g)"]), "keel 1 2 /tmp 7:8");
    let limits = exec(&["grep", "open files", "/proc/1/limits"]);
    assert_eq!(limits.split_whitespace().collect::<Vec<_>>()[3..5], ["99", "100"], "{limits}");
    assert_eq!(exec(&["cat", "/proc/sys/net/core/somaxconn"]), "77");
    assert!(exec(&["cat", "/etc/hosts"]).contains("10.9.8.7"));
    assert!(exec(&["cat", "/proc/mounts"]).contains("/scratch tmpfs"));
    assert!(made.is_dir(), "the host path was made");
    let seen = client.inspect_container(&id).await.unwrap().unwrap();
    let kinds: Vec<(&str, &str)> = seen.mounts.iter().map(|mount| (mount.destination.as_str(), mount.kind.as_str())).collect();
    for wanted in [("/named", "volume"), ("/anonymous", "volume"), ("/scratch", "tmpfs"), ("/made", "bind")] {
        assert!(kinds.contains(&wanted), "{kinds:?}");
    }
    assert_eq!(seen.mounts.iter().find(|mount| mount.destination == "/named").unwrap().source, volume.name);
    assert_eq!(seen.ports, [HostPort { ip: text("127.0.0.1"), port: 0, protocol: text("tcp") }]);
    assert_eq!(seen.stop_signal.as_deref(), Some("SIGUSR1"));
    assert_eq!(seen.network_mode, "bridge");
    eventually(secs(10), "the probe passes", || {
        let inspected = docker.inspect(&id)["State"]["Health"]["Status"].as_str().unwrap().to_owned();
        (inspected == "healthy").then_some(()).ok_or(inspected)
    });
    let health = client.inspect_container(&id).await.unwrap().unwrap().health.unwrap();
    assert_eq!((health.status, health.last_exit_code), (HealthStatus::Healthy, Some(0)));
    assert!(health.last_probe_at > seen.started_at);

    client.remove_container(&id, true).await.unwrap();
    let anonymous = &seen.mounts.iter().find(|mount| mount.destination == "/anonymous").unwrap().source;
    let volumes = client.list_volumes().await.unwrap();
    assert!(volumes.iter().any(|volume| volume.name == *anonymous), "it stays for the next container");
    client.remove_volume(anonymous).await.unwrap();
    client.remove_volume(&volume.name).await.unwrap();
    client.remove_volume(&volume.name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_volume_is_carried_over() {
    let sandbox = Sandbox::new();
    let (client, docker) = (client(sandbox.docker()), sandbox.docker());
    let spec = |name: &str, carry_over: Option<String>| ContainerSpec {
        image: sandbox.volume_image(),
        mounts: vec![MountSpec { source: MountSource::Anonymous { carry_over }, target: "/data".to_owned(), read_only: false }],
        ..sleeper(&sandbox, name)
    };
    let first = run(&client, &spec("a", None)).await;
    docker.exec(&first, &["sh", "-c", "echo kept > /data/file"]);
    let mounts = client.inspect_container(&first).await.unwrap().unwrap().mounts;
    assert_eq!(mounts.len(), 1, "the image's own volume at that path is this one: {mounts:?}");
    client.remove_container(&first, true).await.unwrap();
    let second = run(&client, &spec("b", Some(mounts[0].source.clone()))).await;
    assert_eq!(docker.exec(&second, &["cat", "/data/file"]), "kept");
    client.remove_container(&second, true).await.unwrap();
    client.remove_volume(&mounts[0].source).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_shared_by_container_id() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let parent = run(&client, &ContainerSpec { ipc: Some(plain("shareable")), ..sleeper(&sandbox, "parent") }).await;
    let of_parent = || Some(evenkeel::model::NamespaceMode::Container(parent.clone()));
    let child = ContainerSpec {
        network: NetworkMode::Container(parent.clone()),
        ipc: of_parent(),
        pid: of_parent(),
        ..sleeper(&sandbox, "child")
    };
    let child = run(&client, &child).await;
    let seen = client.inspect_container(&child).await.unwrap().unwrap();
    assert_eq!(seen.network_mode, format!("container:{parent}"));
    assert_eq!(seen.namespace_parents, [parent.clone(), parent]);
}

fn plain(word: &str) -> evenkeel::model::NamespaceMode {
    evenkeel::model::NamespaceMode::Plain(word.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_says_who_it_is_and_that_it_lives() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let info = client.info().await.unwrap();
    assert!(!info.id.is_empty() && !info.host.is_empty() && info.api_version.starts_with("1."), "{info:?}");
    let run = client.run().await.unwrap();
    assert_eq!(run, client.run().await.unwrap());
    assert_eq!(run.engine_id, info.id);
    let (pid, started) = run.daemon.unwrap();
    assert!(pid > 0 && started > 0 && run.boot_id.is_some_and(|id| id.len() == 36));
    client.ping().await.unwrap();
    assert_eq!(client.alive().await, Alive::Yes);
    let _events = client.events(None).await.unwrap();
    assert_eq!(client.alive().await, Alive::Yes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_gets_a_further_tag() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let tag = sandbox.own_image("i");
    let find = async |tag: &str| {
        let images = client.list_images().await.unwrap();
        images.into_iter().find(|image| image.tags.iter().any(|known| known == tag))
    };
    let image = find(&tag).await.unwrap();
    let further = format!("{}-further", sandbox.prefix());
    client.tag(&image.id, &further).await.unwrap();
    assert_eq!(find(&format!("{further}:latest")).await.unwrap().id, image.id);
}
