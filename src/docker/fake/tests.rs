//! The fake must behave as the real engine was measured to.

use std::time::Duration;

use futures::StreamExt;

use super::*;
use crate::clock::TokioClock;
use crate::docker::Engine;
use crate::model::{
    ContainerSpec, DockerRestart, HealthStatus, HostPort, MountSource, MountSpec, NetworkAttachment, NetworkMode, NetworkSpec,
    PortBinding,
};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn engine() -> FakeEngine {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let engine = FakeEngine::new(Arc::new(clock), 42);
    engine.add_image(FakeImage::new("web:1", 1));
    engine.add_image(FakeImage::new("db:1", 1).with_volume("/data"));
    engine
}

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec { name: name.to_owned(), image: "web:1".to_owned(), network: NetworkMode::None, ..Default::default() }
}

async fn run(engine: &FakeEngine, name: &str) -> String {
    let id = engine.create_container(&spec(name), &BTreeMap::new()).await.unwrap();
    engine.start_container(&id).await.unwrap();
    id
}

fn actions(events: &mut super::super::Events) -> Vec<String> {
    let detail = |event: &EngineEvent| {
        let of = |key: &str| event.attributes.get(key).map(|value| format!(" {value}")).unwrap_or_default();
        format!("{}{}{}", event.action, of("signal"), of("exitCode"))
    };
    drain(events).iter().map(detail).collect()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> FailureKind {
    result.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_kill_die_and_a_little_later_stop() {
    let engine = engine();
    let id = run(&engine, "a").await;
    let mut events = engine.events(None).await.unwrap();
    engine.stop_container(&id, 10).await.unwrap();
    let seen = drain(&mut events);
    let names: Vec<&str> = seen.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(names, ["kill", "die", "stop"]);
    let gap = Duration::from_nanos((seen[2].time_nanos - seen[1].time_nanos).try_into().unwrap());
    assert!((48 * MS..108 * MS).contains(&gap), "{gap:?}");
    assert_eq!(engine.container("a").unwrap().exit_code, 143);
    engine.stop_container(&id, 10).await.unwrap();
    assert!(drain(&mut events).is_empty(), "stopping what is stopped says nothing");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_its_stop_signal_is_killed_after_the_grace() {
    let engine = engine();
    engine.behave("a", Behaviour::forever().ignoring_stop());
    let id = run(&engine, "a").await;
    let mut events = engine.events(None).await.unwrap();
    let before = tokio::time::Instant::now();
    engine.stop_container(&id, 3).await.unwrap();
    assert!((3 * S..4 * S).contains(&before.elapsed()));
    assert_eq!(actions(&mut events), ["kill 15", "kill 9", "die 137", "stop"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_does_has_the_measured_sequences() {
    let engine = engine();
    run(&engine, "a").await;
    let person = engine.person();
    let mut events = engine.events(None).await.unwrap();
    person.kill("a", "KILL").unwrap();
    engine.until(|engine| engine.container("a").unwrap().state == ContainerState::Exited).await;
    assert_eq!(actions(&mut events), ["kill 9", "die 137"]);
    person.start("a").await.unwrap();
    person.restart("a").await.unwrap();
    assert_eq!(actions(&mut events), ["start", "kill 15", "die 143", "stop", "start", "restart"]);
    person.pause("a").unwrap();
    person.stop("a").await.unwrap();
    assert_eq!(actions(&mut events), ["pause", "kill 15", "unpause", "die 143", "stop"]);
    person.start("a").await.unwrap();
    person.pause("a").unwrap();
    person.remove("a", true).await.unwrap();
    assert_eq!(actions(&mut events), ["start", "pause", "kill 9", "die 137", "destroy"]);
    run(&engine, "b").await;
    person.crash("b", 1).unwrap();
    person.start("b").await.unwrap();
    person.run_out_of_memory("b").await.unwrap();
    person.start("b").await.unwrap();
    person.take_down("b").await.unwrap();
    assert_eq!(
        actions(&mut events),
        ["create", "start", "die 1", "start", "oom", "die 137", "start", "kill 15", "die 143", "stop", "destroy"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_whose_start_fails_sends_nothing_more() {
    let engine = engine();
    run(&engine, "a").await;
    let mut events = engine.events(None).await.unwrap();
    engine.behave("a", Behaviour::cannot_start(FailureKind::StartFailed, "exec: no such file"));
    engine.person().restart("a").await.unwrap_err();
    assert_eq!(actions(&mut events), ["kill 15", "die 143", "stop"]);
    let seen = engine.container("a").unwrap();
    assert_eq!((seen.state, seen.exit_code, seen.error.as_str()), (ContainerState::Exited, 127, "exec: no such file"));
}

#[tokio::test(start_paused = true)]
async fn each_run_has_its_own_life() {
    let engine = engine();
    engine.behave("web:1", Behaviour::lives(vec![Life::Exits { after: S, code: 1 }, Life::Forever]));
    let id = run(&engine, "a").await;
    engine.until(|engine| engine.container("a").unwrap().state == ContainerState::Exited).await;
    assert_eq!(engine.container("a").unwrap().exit_code, 1);
    engine.start_container(&id).await.unwrap();
    tokio::time::sleep(60 * S).await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Running);
    assert_eq!(engine.starts("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn health_follows_its_script_and_reads_unhealthy_while_frozen() {
    let engine = engine();
    engine.behave("a", Behaviour::forever().with_health(&[(S, HealthStatus::Healthy), (5 * S, HealthStatus::Unhealthy)]));
    run(&engine, "a").await;
    let health = || engine.container("a").unwrap().health.unwrap().status;
    let mut events = engine.events(None).await.unwrap();
    assert_eq!(health(), HealthStatus::Starting);
    tokio::time::sleep(2 * S).await;
    assert_eq!(health(), HealthStatus::Healthy);
    engine.person().pause("a").unwrap();
    assert_eq!(health(), HealthStatus::Unhealthy);
    engine.person().unpause("a").unwrap();
    tokio::time::sleep(S).await;
    assert_eq!(health(), HealthStatus::Healthy);
    tokio::time::sleep(5 * S).await;
    assert_eq!(actions(&mut events).last().unwrap(), "health_status: unhealthy");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_shutdown_looks_like_a_person_until_the_stream_ends() {
    let engine = engine();
    run(&engine, "a").await;
    run(&engine, "b").await;
    let before = engine.engine_run();
    let mut events = engine.events(None).await.unwrap();
    let down = tokio::spawn({
        let engine = engine.clone();
        async move { engine.shut_down().await }
    });
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(first.action, "kill");
    assert_eq!(engine.alive().await, Alive::No);
    assert_eq!(kind(engine.list_containers().await), FailureKind::Unavailable);
    down.await.unwrap();
    let rest: Vec<String> = actions(&mut events);
    assert_eq!(rest.iter().filter(|action| *action == "stop").count(), 2);
    assert!(events.next().await.is_none(), "the error that ended the stream was read by drain");
    engine.start_daemon().await;
    assert_eq!(engine.alive().await, Alive::Yes);
    assert_ne!(engine.run().await.unwrap(), before);
    assert_eq!(engine.run().await.unwrap().boot_id, before.boot_id);
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn a_killed_daemons_successor_stops_the_survivors_and_says_so_in_its_buffer() {
    let engine = engine();
    run(&engine, "a").await;
    let mut events = engine.events(None).await.unwrap();
    engine.kill_daemon();
    assert_eq!(events.next().await.unwrap().unwrap_err().kind, FailureKind::Unavailable);
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Running);
    engine.start_daemon().await;
    let old = crate::model::EventCursor { time_nanos: 0, id: String::new(), action: String::new() };
    let mut events = engine.events(Some(old)).await.unwrap();
    assert_eq!(actions(&mut events), ["kill 15", "die 143", "stop"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_being_removed_when_the_daemon_was_killed_is_dead_and_can_be_removed() {
    let engine = engine();
    let id = engine.create_container(&spec("a"), &BTreeMap::new()).await.unwrap();
    assert!(tokio::time::timeout(MS, engine.remove_container(&id, false)).await.is_err());
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Removing);
    engine.kill_daemon();
    engine.start_daemon().await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Dead);
    engine.remove_container(&id, false).await.unwrap();
    assert!(engine.container("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn with_live_restore_containers_run_through() {
    let engine = engine();
    engine.set_live_restore(true);
    run(&engine, "a").await;
    engine.restart_daemon().await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Running);
    assert_eq!(engine.starts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_ends_everything_without_a_word() {
    let engine = engine();
    run(&engine, "a").await;
    let before = engine.engine_run();
    engine.reboot_host().await;
    assert_ne!(engine.engine_run().boot_id, before.boot_id);
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn dockers_own_policies_restart_crashed_containers_and_let_stopped_ones_lie() {
    let engine = engine();
    let id = run(&engine, "a").await;
    engine.set_restart_policy(&id, &DockerRestart::UnlessStopped).await.unwrap();
    engine.person().crash("a", 1).unwrap();
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Restarting);
    tokio::time::sleep(S).await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Running);
    engine.person().stop("a").await.unwrap();
    tokio::time::sleep(S).await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Exited);
    engine.restart_daemon().await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn names_and_ports_can_be_held_only_once() {
    let engine = engine();
    let published = |name: &str| ContainerSpec {
        ports: vec![PortBinding { target: 80, host: HostPort { ip: String::new(), port: 8080, protocol: "tcp".to_owned() } }],
        ..spec(name)
    };
    let first = engine.create_container(&published("a"), &BTreeMap::new()).await.unwrap();
    assert_eq!(kind(engine.create_container(&published("a"), &BTreeMap::new()).await), FailureKind::NameHeld);
    let second = engine.create_container(&published("b"), &BTreeMap::new()).await.unwrap();
    engine.start_container(&first).await.unwrap();
    let held = FailureKind::PortHeld { port: Some(8080), protocol: "tcp".to_owned() };
    assert_eq!(kind(engine.start_container(&second).await), held);
    assert_eq!(engine.container("b").unwrap().state, ContainerState::Created);
    engine.stop_container(&first, 1).await.unwrap();
    engine.hold_port(8080, "tcp", Some("nginx (pid 7)"));
    assert_eq!(kind(engine.start_container(&second).await), held);
    assert_eq!(engine.port_holder(8080, "tcp").as_deref(), Some("nginx (pid 7)"));
    engine.hold_port(8080, "tcp", None);
    engine.start_container(&second).await.unwrap();
    assert_eq!(kind(engine.rename_container(&second, "a").await), FailureKind::NameHeld);
}

#[tokio::test(start_paused = true)]
async fn two_networks_may_have_one_name_and_then_nothing_starts_in_them_nor_in_a_missing_one() {
    let engine = engine();
    let net = NetworkSpec { name: "net".to_owned(), ..Default::default() };
    let (one, two) = (engine.create_network(&net).await.unwrap(), engine.create_network(&net).await.unwrap());
    assert_ne!(one, two);
    let attachment = NetworkAttachment { network: "default".to_owned(), aliases: vec!["web".to_owned()], ..Default::default() };
    let spec = ContainerSpec { network: NetworkMode::Networks, networks: vec![attachment], ..spec("a") };
    let id = engine.create_container(&spec, &BTreeMap::from([("default".to_owned(), one.clone())])).await.unwrap();
    assert_eq!(engine.container("a").unwrap().networks["net"].network_id, "", "not before it was started");
    assert_eq!(kind(engine.start_container(&id).await), FailureKind::Conflict, "the name is ambiguous");
    engine.remove_network(&two).await.unwrap();
    engine.start_container(&id).await.unwrap();
    assert_eq!(engine.container("a").unwrap().networks["net"].network_id, one);
    assert_eq!(kind(engine.remove_network(&one).await), FailureKind::Conflict);
    engine.stop_container(&id, 1).await.unwrap();
    engine.remove_network(&one).await.unwrap();
    assert_eq!(kind(engine.start_container(&id).await), FailureKind::NetworkMissing);
    engine.create_network(&net).await.unwrap();
    assert_eq!(kind(engine.start_container(&id).await), FailureKind::NetworkMissing, "it knows the id of the old one");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_never_ran_finds_its_network_by_name() {
    let engine = engine();
    let net = NetworkSpec { name: "net".to_owned(), ..Default::default() };
    let old = engine.create_network(&net).await.unwrap();
    let attachment = NetworkAttachment { network: "default".to_owned(), ..Default::default() };
    let spec = ContainerSpec { network: NetworkMode::Networks, networks: vec![attachment], ..spec("a") };
    let id = engine.create_container(&spec, &BTreeMap::from([("default".to_owned(), old.clone())])).await.unwrap();
    engine.remove_network(&old).await.unwrap();
    assert_eq!(kind(engine.start_container(&id).await), FailureKind::NetworkMissing);
    let new = engine.create_network(&net).await.unwrap();
    engine.start_container(&id).await.unwrap();
    assert_eq!(engine.container("a").unwrap().networks["net"].network_id, new);
}

#[tokio::test(start_paused = true)]
async fn volumes_outlive_their_containers_and_are_never_made_twice() {
    let engine = engine();
    let mounted = |name: &str, carry_over: Option<String>| ContainerSpec {
        image: "db:1".to_owned(),
        mounts: vec![MountSpec { source: MountSource::Anonymous { carry_over }, target: "/data".to_owned(), read_only: false }],
        ..spec(name)
    };
    let first = engine.create_container(&mounted("a", None), &BTreeMap::new()).await.unwrap();
    let volume = engine.container("a").unwrap().mounts[0].source.clone();
    engine.remove_container(&first, false).await.unwrap();
    assert_eq!(engine.volumes().len(), 1);
    engine.create_container(&mounted("b", Some(volume.clone())), &BTreeMap::new()).await.unwrap();
    assert_eq!(engine.container("b").unwrap().mounts[0].source, volume);
    assert_eq!(engine.volumes().len(), 1);
    let labelled = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    engine.person().create_volume(&volume, &labelled).unwrap();
    assert!(engine.volumes()[0].labels.is_empty(), "an existing volume is returned as it is");
    assert_eq!(kind(engine.remove_volume(&volume).await), FailureKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn the_buffer_keeps_256_events_and_since_includes_its_own_moment() {
    let engine = engine();
    let mut events = engine.events(None).await.unwrap();
    run(&engine, "a").await;
    let seen = drain(&mut events);
    let started = seen.last().unwrap();
    let mut again = engine.events(Some(started.cursor())).await.unwrap();
    assert_eq!(drain(&mut again), std::slice::from_ref(started));
    engine.crowd_buffer(256);
    let mut later = engine.events(Some(started.cursor())).await.unwrap();
    assert!(drain(&mut later).is_empty());
    assert!(drain(&mut again).is_empty(), "probes are not subscribed to");
}

#[tokio::test(start_paused = true)]
async fn faults_meet_the_calls_they_are_meant_for() {
    let engine = engine();
    let (a, b) = (run(&engine, "a").await, run(&engine, "b").await);
    engine.fault(Verb::StopContainer, Some("b"), Effect::Fail(FailureKind::Transient), 1);
    engine.stop_container(&a, 1).await.unwrap();
    assert_eq!(kind(engine.stop_container(&b, 1).await), FailureKind::Transient);
    engine.stop_container(&b, 1).await.unwrap();
    engine.fault(Verb::StartContainer, None, Effect::LoseAnswer(FailureKind::Timeout), 1);
    assert_eq!(kind(engine.start_container(&a).await), FailureKind::Timeout);
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Running);
    engine.fault(Verb::StartContainer, None, Effect::Hang, 1);
    let before = tokio::time::Instant::now();
    assert_eq!(kind(engine.start_container(&b).await), FailureKind::Timeout);
    assert_eq!(before.elapsed(), super::super::limits::START);
    assert_eq!(engine.container("b").unwrap().state, ContainerState::Exited);
    engine.fault(Verb::ListVolumes, None, Effect::Fail(FailureKind::Transient), 1);
    assert!(engine.list_containers().await.is_ok() && engine.list_volumes().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_done_though_the_asker_stops_waiting_but_a_pull_is_cancelled() {
    let engine = engine();
    engine.publish(&FakeImage::new("new:1", 1));
    let id = engine.create_container(&spec("a"), &BTreeMap::new()).await.unwrap();
    assert!(tokio::time::timeout(MS, engine.start_container(&id)).await.is_err());
    let told = tokio::sync::watch::Sender::new(crate::model::Progress::default());
    assert!(tokio::time::timeout(MS, engine.pull("new:1", None, &told)).await.is_err());
    tokio::time::sleep(5 * S).await;
    assert_eq!(engine.container("a").unwrap().state, ContainerState::Running);
    assert!(!engine.list_images().await.unwrap().iter().any(|image| image.tags == ["new:1"]));
    engine.pull("new:1", None, &told).await.unwrap();
    assert_eq!(kind(engine.pull("old:1", None, &told).await), FailureKind::ImageNotFound);
}

#[tokio::test(start_paused = true)]
async fn calls_are_on_record_by_name() {
    let engine = engine();
    let id = run(&engine, "a").await;
    engine.rename_container(&id, "b").await.unwrap();
    engine.list_networks().await.unwrap();
    let changes: Vec<(Verb, String)> = engine.changes().into_iter().map(|call| (call.verb, call.subject)).collect();
    let named = |verb: Verb| (verb, "a".to_owned());
    assert_eq!(changes, [named(Verb::CreateContainer), named(Verb::StartContainer), named(Verb::RenameContainer)]);
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_history() {
    let history = || async {
        let engine = engine();
        let mut events = engine.events(None).await.unwrap();
        run(&engine, "a").await;
        engine.person().restart("a").await.unwrap();
        engine.restart_daemon().await;
        drain(&mut events)
    };
    let first = history().await;
    assert_eq!(first.len(), 10);
    let second = history().await;
    let shape = |events: &[EngineEvent]| events.iter().map(|event| (event.id.clone(), event.action.clone())).collect::<Vec<_>>();
    assert_eq!(shape(&first), shape(&second));
}
