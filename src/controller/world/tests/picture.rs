//! That the picture stays true, and what that costs.

use super::*;
use crate::clock::Clock;
use crate::model::{ContainerState, Health, HealthStatus, Network};

#[tokio::test(start_paused = true)]
async fn a_converged_engine_costs_no_call_between_resyncs_and_four_lists_at_each() {
    let scene = Scene::with(&["web", "db"]).await;
    seconds(29).await;
    assert_eq!(scene.daemon.calls(), Vec::<String>::new());
    seconds(30).await;
    let mut calls = scene.daemon.calls();
    calls.sort();
    assert_eq!(calls, ["list containers", "list images", "list networks", "list volumes"]);
}

#[tokio::test(start_paused = true)]
async fn noise_costs_nothing() {
    let mut scene = Scene::with(&["web"]).await;
    scene.heard();
    for action in ["exec_create: sh", "exec_start: sh", "exec_die", "top", "attach", "resize"] {
        scene.daemon.emit("web", action, &[]);
    }
    seconds(5).await;
    assert_eq!(scene.daemon.calls(), Vec::<String>::new());
    assert_eq!(scene.heard(), []);
}

#[tokio::test(start_paused = true)]
async fn an_event_has_just_its_container_looked_at() {
    let scene = Scene::with(&["web", "db"]).await;
    scene.daemon.emit("web", "pause", &[]);
    millis(20).await;
    assert_eq!(scene.snapshot().containers["web"].state, ContainerState::Paused);
    assert_eq!(scene.daemon.calls(), ["inspect web"]);
}

#[tokio::test(start_paused = true)]
async fn many_events_at_once_are_looked_at_twice_at_most() {
    let scene = Scene::with(&["web"]).await;
    for _ in 0..50 {
        scene.daemon.emit("web", "update", &[]);
    }
    seconds(1).await;
    let looks = scene.daemon.calls().len();
    assert!(looks <= 2, "{looks} looks");
}

#[tokio::test(start_paused = true)]
async fn a_resync_looks_only_at_what_its_line_shows_to_be_different() {
    let scene = Scene::with(&["web", "db"]).await;
    scene.daemon.lock().containers.get_mut("db").unwrap().name = "renamed".into();
    seconds(32).await;
    assert_eq!(scene.snapshot().containers["db"].name, "renamed");
    let looks: Vec<String> = scene.daemon.calls().into_iter().filter(|call| call.starts_with("inspect")).collect();
    assert_eq!(looks, ["inspect db"]);
}

#[tokio::test(start_paused = true)]
async fn health_is_shown_as_it_is_told() {
    let scene = Scene::with(&["web"]).await;
    let health = Health { status: HealthStatus::Starting, ..Health::default() };
    scene.daemon.lock().containers.get_mut("web").unwrap().health = Some(health);
    scene.world.refresh_container("web").await.unwrap();
    scene.daemon.lock().containers.get_mut("web").unwrap().health.as_mut().unwrap().status = HealthStatus::Unhealthy;
    scene.daemon.emit("web", "health_status: unhealthy", &[]);
    millis(100).await;
    assert_eq!(scene.snapshot().containers["web"].health.as_ref().unwrap().status, HealthStatus::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_health_record_that_nobody_keeps_up_is_marked_and_looked_at_until_somebody_does() {
    let scene = Scene::with(&["web"]).await;
    let probed = |at| Health {
        status: HealthStatus::Unhealthy,
        period: std::time::Duration::from_secs(20),
        last_probe_at: at,
        ..Health::default()
    };
    let set = |health| scene.daemon.lock().containers.get_mut("web").unwrap().health = Some(health);
    let is_stale = || scene.snapshot().containers["web"].health.as_ref().unwrap().stale;
    set(probed(None));
    scene.world.refresh_container("web").await.unwrap();
    assert!(!is_stale(), "it was started a moment ago");
    seconds(45).await;
    scene.world.refresh_container("web").await.unwrap();
    assert!(is_stale());
    let looks = |calls: Vec<String>| calls.into_iter().filter(|call| call == "inspect web").count();
    looks(scene.daemon.calls());
    seconds(31).await;
    assert_eq!(looks(scene.daemon.calls()), 1, "a resync looks whether it is probed again");
    set(probed(Some(scene.clock.now())));
    seconds(31).await;
    assert!(!is_stale());
    looks(scene.daemon.calls());
    seconds(31).await;
    assert_eq!(looks(scene.daemon.calls()), 0);
}

#[tokio::test(start_paused = true)]
async fn networks_are_listed_again_when_one_comes_and_whoever_has_it_is_told() {
    let mut scene = Scene::with(&["web"]).await;
    scene.heard();
    let network = Network { id: "n1".into(), name: "shop_default".into(), labels: ours("web"), driver: "bridge".into() };
    scene.daemon.lock().networks.push(network);
    scene.daemon.emit_network("n1", "create");
    scene.until(|snapshot| snapshot.networks.contains_key("n1")).await;
    assert_eq!(scene.daemon.calls(), ["list networks"]);
    assert!(matches!(&scene.heard()[..], [WorldChange::Touched { key: Some(key), .. }] if key.name == "shop"));
}

#[tokio::test(start_paused = true)]
async fn a_container_missing_from_a_list_is_gone_only_when_a_look_says_so() {
    let scene = Scene::with(&["web"]).await;
    let kept = scene.daemon.lock().containers.remove("web").unwrap();
    millis(30_100).await;
    assert_eq!(scene.snapshot().containers.len(), 1, "the event may be on its way");
    scene.daemon.lock().containers.insert("web".into(), kept);
    seconds(5).await;
    assert_eq!(scene.snapshot().containers.len(), 1);
    scene.daemon.lock().containers.clear();
    scene.until(|snapshot| snapshot.containers.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_out_of_memory_kill_is_shown_with_its_end() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.emit("web", "oom", &[]);
    millis(40).await;
    scene.daemon.lock().containers.get_mut("web").unwrap().oom_killed = true;
    scene.daemon.die("web", 137);
    millis(1).await;
    let snapshot = scene.snapshot();
    assert!(snapshot.containers["web"].oom_killed);
    assert_eq!(snapshot.containers["web"].state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn an_out_of_memory_kill_that_is_told_after_the_end_is_known() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.die("web", 137);
    millis(40).await;
    let end = scene.snapshot().containers["web"].finished_at.unwrap();
    scene.daemon.emit("web", "oom", &[]);
    millis(40).await;
    assert!(scene.snapshot().out_of_memory["web"] >= end);
}
