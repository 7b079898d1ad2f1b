//! The event stream.

use std::time::Duration;

use evenkeel::docker::{Engine, Events};
use evenkeel::model::{EngineEvent, EventKind, FailureKind, VolumeSpec};
use futures::StreamExt;

use super::{client, in_runtime, ready, run, sleeper};
use crate::support::{FaultProxy, Sandbox};

/// The next event about something of the sandbox.
async fn next_of(events: &mut Events, sandbox: &Sandbox) -> EngineEvent {
    let about_us = |event: &EngineEvent| {
        event.id.starts_with(sandbox.prefix())
            || event.attributes.get("name").is_some_and(|name| name.starts_with(sandbox.prefix()))
    };
    let find = async {
        loop {
            let event = events.next().await.expect("the stream goes on").unwrap();
            if about_us(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), find).await.expect("an event comes within 10 s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_kill_die_and_stop_with_signal_exit_code_and_labels() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let id = run(&client, &sleeper(&sandbox, "a")).await;
    ready(sandbox.docker(), &id);
    let mut events = client.events(None).await.unwrap();
    client.stop_container(&id, 5).await.unwrap();
    let mut seen = vec![];
    for _ in 0..3 {
        seen.push(next_of(&mut events, &sandbox).await);
    }
    seen.sort_by_key(|event| event.action.clone());
    let [die, kill, stop] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((die.action.as_str(), kill.action.as_str(), stop.action.as_str()), ("die", "kill", "stop"));
    assert_eq!((die.kind, die.id.as_str(), die.attributes["exitCode"].as_str()), (EventKind::Container, id.as_str(), "143"));
    assert_eq!(kill.attributes["signal"], "15");
    assert_eq!(stop.attributes["evenkeel.dev/instance"], "elsewhere");
    assert!(kill.time_nanos < die.time_nanos);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_happens_after_subscribing_is_missed() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    for turn in 0..30 {
        let mut events = client.events(None).await.unwrap();
        let volume = VolumeSpec { name: format!("{}-{turn}", sandbox.prefix()), ..Default::default() };
        client.create_volume(&volume).await.unwrap();
        let event = next_of(&mut events, &sandbox).await;
        assert_eq!((event.action.as_str(), &event.id), ("create", &volume.name), "turn {turn}");
        client.remove_volume(&volume.name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_replays_the_buffer_from_that_event_on() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let mut events = client.events(None).await.unwrap();
    let id = run(&client, &sleeper(&sandbox, "a")).await;
    let created = next_of(&mut events, &sandbox).await;
    assert_eq!(created.action, "create");
    client.remove_container(&id, true).await.unwrap();
    let mut replayed = client.events(Some(created.cursor())).await.unwrap();
    assert_eq!(next_of(&mut replayed, &sandbox).await, created);
    let rest: Vec<String> =
        [next_of(&mut replayed, &sandbox).await, next_of(&mut replayed, &sandbox).await].map(|event| event.action).into();
    assert_eq!(rest, ["start", "kill"]);
}

#[test]
fn a_stream_that_is_cut_ends_with_one_error() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    in_runtime(async {
        let client = evenkeel::docker::connect(Some(&proxy.host()), None).unwrap();
        let mut events = client.events(None).await.unwrap();
        proxy.cut_events();
        let end = async {
            loop {
                match events.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(failure)) => return failure,
                    None => panic!("it ended without a word"),
                }
            }
        };
        let failure = tokio::time::timeout(Duration::from_secs(10), end).await.unwrap();
        assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
        assert!(events.next().await.is_none());
    });
}
