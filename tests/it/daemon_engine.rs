//! The client against a daemon that goes away and comes back.

use std::time::Duration;

use evenkeel::docker::{Alive, Client, Engine};
use evenkeel::model::{EngineEvent, FailureKind};
use futures::StreamExt;

use crate::engine::{client, run, sleeper_of};
use crate::support::{OwnDaemon, Sandbox};

/// So many times the evidence is put to the test.
const ROUNDS: usize = 12;
/// With so many containers each.
const CONTAINERS: usize = 4;

async fn containers(client: &Client, image: &str) -> Vec<String> {
    let mut ids = vec![];
    for number in 0..CONTAINERS {
        ids.push(run(client, &sleeper_of(image, &format!("c{number}"))).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stop_of_a_graceful_shutdown_is_taken_for_a_persons() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let client = client(daemon.docker());
    let ids = containers(&client, &daemon.image()).await;
    let (mut stops, mut misjudged) = (0, 0);
    for _ in 0..ROUNDS {
        for id in &ids {
            client.start_container(id).await.unwrap();
        }
        let mut events = client.events(None).await.unwrap();
        daemon.terminate();
        let follow = async {
            while let Some(Ok(EngineEvent { action, .. })) = events.next().await {
                if action == "stop" {
                    stops += 1;
                    misjudged += usize::from(client.alive().await != Alive::No);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), follow).await.expect("the stream ends with the daemon");
        assert_eq!(client.alive().await, Alive::No, "the stream has ended");
        daemon.wait();
        daemon.start();
    }
    assert_eq!(misjudged, 0, "of {stops} stops");
    assert!(stops >= ROUNDS * CONTAINERS / 2, "only {stops} stops were seen at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_stop_finds_the_daemon_alive_every_time() {
    let sandbox = Sandbox::new();
    let daemon = OwnDaemon::start_in(&sandbox);
    let client = client(daemon.docker());
    let ids = containers(&client, &daemon.image()).await;
    let mut events = client.events(None).await.unwrap();
    for turn in 0..20 {
        let id = &ids[turn % CONTAINERS];
        daemon.docker().run(&["stop", id]);
        while events.next().await.unwrap().unwrap().action != "stop" {}
        assert_eq!(client.alive().await, Alive::Yes, "turn {turn}");
        client.start_container(id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_outlives_daemons_and_knows_them_apart() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let client = client(daemon.docker());
    let first = client.run().await.unwrap();
    assert_eq!(first.daemon.unwrap().0, i32::try_from(daemon.pid()).unwrap());
    let mut events = client.events(None).await.unwrap();
    daemon.kill();
    let end = tokio::time::timeout(Duration::from_secs(10), async { while let Some(Ok(_)) = events.next().await {} });
    end.await.expect("the stream ends with the daemon");
    assert_eq!(client.alive().await, Alive::No);
    assert_eq!(client.ping().await.unwrap_err().kind, FailureKind::Unavailable);
    daemon.start();
    let second = client.run().await.unwrap();
    assert_ne!(first.daemon, second.daemon);
    assert_eq!((first.engine_id, first.boot_id), (second.engine_id, second.boot_id));
    let _events = client.events(None).await.unwrap();
    assert_eq!(client.alive().await, Alive::Yes);
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_looked_for_where_the_daemon_is() {
    let sandbox = Sandbox::new();
    let daemon = OwnDaemon::start_in(&sandbox);
    let client = client(daemon.docker());
    client.ping().await.unwrap();
    let ours = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(client.port_holder(ours.local_addr().unwrap().port(), "tcp"), None, "that port is free in the daemon's namespace");
}
