//! Rows of the decision table, through the whole of the world.

use super::*;
use crate::controller::world::Mark;
use crate::docker::Alive;
use crate::model::{ContainerState, EngineRun, StopReason};

#[tokio::test(start_paused = true)]
async fn a_crash_is_shown_within_milliseconds_and_is_on_disk_by_then() {
    let mut scene = Scene::with(&["web"]).await;
    scene.heard();
    scene.daemon.die("web", 1);
    millis(8).await;
    let snapshot = scene.snapshot();
    assert_eq!(snapshot.containers["web"].state, ContainerState::Exited);
    assert_eq!(snapshot.containers["web"].exit_code, 1);
    assert_eq!(snapshot.ends["web"].verdict, Verdict::OwnAccord);
    assert_eq!(scene.paper.lock().ends["web"].verdict, Verdict::OwnAccord);
    assert!(
        scene.heard().iter().any(|change| matches!(change, WorldChange::Touched { key: Some(key), .. } if key.name == "shop"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_down_always_has_an_end() {
    let scene = Scene::with(&["web", "db"]).await;
    let (daemon, world) = (scene.daemon.clone(), scene.world.clone());
    let story = tokio::spawn(async move {
        daemon.stop("web").await;
        daemon.die("db", 0);
        millis(300).await;
        daemon.emit("web", "start", &[]);
        daemon.emit("db", "start", &[]);
        daemon.emit("web", "kill", &[("signal", "9")]);
        daemon.die("web", 137);
        seconds(40).await;
    });
    while !story.is_finished() {
        if let View::Seen(snapshot) = world.view() {
            for container in snapshot.containers.values().filter(|container| !container.is_up()) {
                let end = snapshot.ends.get(&container.id).unwrap_or_else(|| panic!("{} has no end", container.id));
                assert_eq!(end.started_at, container.started_at);
            }
            assert!(snapshot.ends.keys().all(|id| !snapshot.containers[id].is_up()));
        }
        millis(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_by_hand_becomes_a_hold_after_three_seconds_and_a_start_lifts_it() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.stop("web").await;
    millis(2_900).await;
    assert!(matches!(scene.snapshot().ends["web"].verdict, Verdict::Pending { .. }));
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
    assert_eq!(scene.holds(), ["web-1"]);
    seconds(60).await;
    scene.daemon.emit("web", "start", &[]);
    millis(50).await;
    assert!(scene.holds().is_empty());
    assert!(scene.snapshot().ends.is_empty());
    assert_eq!(scene.paper.lock().laid, 1);
    assert!(scene.paper.lock().ends.is_empty(), "what is void is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_hand_whose_start_fails_later_than_the_hold_is_noticed_at_the_next_resync() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.stop("web").await;
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
    scene.daemon.lock().containers.get_mut("web").unwrap().error = "port is already allocated".into();
    let snapshot = scene.until(|snapshot| snapshot.ends["web"].verdict == Verdict::Killed).await;
    assert_eq!(snapshot.containers["web"].error, "port is already allocated");
    seconds(1).await;
    assert!(scene.holds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_and_removed_leaves_its_place_empty_until_it_is_held() {
    let mut scene = Scene::with(&["web"]).await;
    scene.daemon.stop("web").await;
    scene.daemon.emit("web", "destroy", &[]);
    millis(5).await;
    let snapshot = scene.snapshot();
    assert!(snapshot.containers.is_empty());
    assert_eq!(snapshot.vacated[0].replica.to_string(), "web-1");
    assert!(snapshot.vacated[0].until > scene.world.clock.now());
    scene.heard();
    scene.until(|snapshot| snapshot.vacated.is_empty()).await;
    assert_eq!(scene.holds(), ["web-1"]);
    assert!(!scene.heard().is_empty(), "whoever waits for the place is told");
}

#[tokio::test(start_paused = true)]
async fn a_recreate_by_compose_in_a_project_of_ours_is_followed() {
    let scene = Scene::with(&["old"]).await;
    scene.paper.lock().projects.insert("shop".into(), crate::model::Key::new("default", "shop"));
    let mut compose = ours("web");
    compose.retain(|label, _| !label.starts_with("evenkeel.dev/"));
    compose.insert(crate::model::labels::COMPOSE_SERVICE.into(), "old".into());
    compose.insert(crate::model::labels::COMPOSE_NUMBER.into(), "1".into());
    scene.daemon.stop("old").await;
    scene.daemon.emit("old", "destroy", &[]);
    millis(500).await;
    scene.daemon.run_container("new", compose);
    seconds(30).await;
    assert!(scene.holds().is_empty());
    assert!(scene.snapshot().vacated.is_empty());
    // It is ours from now on: a stop of it is understood.
    scene.daemon.stop("new").await;
    assert_eq!(scene.verdict("new").await, Verdict::ExternalStop);
    assert_eq!(scene.holds(), ["old-1"]);
}

#[tokio::test(start_paused = true)]
async fn strangers_are_never_held() {
    let scene = Scene::with(&["web"]).await;
    let mut another = ours("api");
    another.insert(crate::model::labels::INSTANCE.into(), "another".into());
    scene.daemon.run_container("api", another);
    scene.daemon.run_container("plain", Default::default());
    millis(100).await;
    scene.daemon.stop("api").await;
    scene.daemon.stop("plain").await;
    seconds(20).await;
    assert!(scene.holds().is_empty());
    assert!(scene.paper.lock().ends.is_empty());
    assert_eq!(scene.snapshot().containers["plain"].state, ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_ours_is_on_disk_before_it_is_made_and_never_held() {
    let scene = Scene::with(&["web"]).await;
    scene.world.mark_stop("web", StopReason::Restart).await.unwrap();
    assert_eq!(scene.paper.lock().ends["web"].verdict, Verdict::Ours(StopReason::Restart));
    assert!(scene.snapshot().ends.is_empty(), "it runs still");
    scene.daemon.stop("web").await;
    millis(20).await;
    assert_eq!(scene.snapshot().ends["web"].verdict, Verdict::Ours(StopReason::Restart));
    seconds(60).await;
    assert!(scene.holds().is_empty());
    scene.daemon.emit("web", "start", &[]);
    millis(50).await;
    scene.daemon.stop("web").await;
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
}

#[tokio::test(start_paused = true)]
async fn a_mark_survives_the_operator_and_a_mark_that_cannot_be_written_forbids_the_stop() {
    let scene = Scene::with(&["web", "db"]).await;
    scene.world.mark_stop("web", StopReason::Held).await.unwrap();
    scene.paper.lock().full = true;
    scene.world.mark_stop("db", StopReason::Restart).await.unwrap_err();
    scene.paper.lock().full = false;
    seconds(2).await;
    let (daemon, paper, clock) = scene.killed();
    daemon.stop("web").await;
    let scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::Ours(StopReason::Held));
    scene.daemon.stop("db").await;
    assert_eq!(scene.verdict("db").await, Verdict::ExternalStop);
    assert_eq!(scene.holds(), ["db-1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_stay_stopped_or_is_unhealthy_is_stopped_though_the_disk_is_full() {
    let scene = Scene::with(&["web", "db"]).await;
    scene.paper.lock().full = true;
    for (container, reason) in [("web", StopReason::Held), ("db", StopReason::Unhealthy)] {
        scene.world.mark_stop(container, reason).await.unwrap();
        scene.daemon.stop(container).await;
        assert_eq!(scene.verdict(container).await, Verdict::Ours(reason));
    }
    scene.paper.lock().full = false;
    seconds(20).await;
    assert!(scene.holds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_killed_since_its_mark_could_not_be_written_is_a_crash_to_the_next_operator() {
    let scene = Scene::with(&["web"]).await;
    scene.paper.lock().full = true;
    assert_eq!(scene.world.mark_stop("web", StopReason::Unhealthy).await.unwrap(), Mark::Kept);
    scene.daemon.emit("web", "kill", &[("signal", "9")]);
    scene.daemon.die("web", 137);
    assert_eq!(scene.verdict("web").await, Verdict::Ours(StopReason::Unhealthy));
    let (daemon, paper, clock) = scene.killed();
    paper.lock().full = false;
    let scene = Scene::open(daemon, paper, clock);
    assert!(matches!(scene.verdict("web").await, Verdict::Killed | Verdict::Unknown));
    seconds(60).await;
    assert!(scene.holds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_shut_down_holds_nothing_and_is_told_once_it_is_back() {
    for evidence in [Alive::No, Alive::Unknown] {
        let names: Vec<String> = (0..10).map(|n| format!("c{n}")).collect();
        let mut scene = Scene::with(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        scene.heard();
        let daemon = scene.daemon.clone();
        let down = tokio::spawn(async move { daemon.shut_down(Duration::from_secs(6)).await });
        millis(1).await;
        scene.daemon.lock().alive = evidence;
        down.await.unwrap();
        seconds(20).await;
        assert!(matches!(scene.world.view(), View::Blind { .. }));
        scene.daemon.come_back();
        let snapshot = scene.until(|snapshot| snapshot.run.daemon == Some((101, 2))).await;
        for name in &names {
            assert_eq!(scene.verdict(name).await, Verdict::Shutdown);
        }
        assert_eq!(snapshot.containers.len(), 10);
        seconds(60).await;
        assert!(scene.holds().is_empty(), "{evidence:?}");
        let heard = scene.heard();
        assert!(heard.contains(&WorldChange::EngineRestarted { host: false }), "{heard:?}");
        assert!(heard.iter().any(|change| matches!(change, WorldChange::Lost { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_daemon_goes_down_nothing_is_planned() {
    let scene = Scene::with(&["web"]).await;
    let daemon = scene.daemon.clone();
    let _down = tokio::spawn(async move { daemon.shut_down(Duration::from_secs(60)).await });
    millis(200).await;
    for _ in 0..50 {
        assert!(matches!(scene.world.view(), View::Blind { .. }));
        seconds(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_was_killed_and_stops_the_survivors_as_it_comes_up_holds_nothing() {
    let scene = Scene::with(&["web", "db"]).await;
    scene.daemon.go();
    seconds(3).await;
    scene.daemon.come_back();
    // Before its API answers anybody.
    scene.daemon.lock().up = false;
    scene.daemon.stop("web").await;
    scene.daemon.stop("db").await;
    scene.daemon.lock().up = true;
    assert_eq!(scene.verdict("web").await, Verdict::Shutdown);
    assert_eq!(scene.verdict("db").await, Verdict::Shutdown);
    seconds(60).await;
    assert!(scene.holds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_was_away_understands_from_the_replay() {
    let scene = Scene::with(&["web", "db", "api"]).await;
    seconds(5).await;
    let (daemon, paper, clock) = scene.stopped().await;
    daemon.stop("web").await;
    daemon.die("db", 1);
    daemon.stop("api").await;
    millis(300).await;
    daemon.emit("api", "start", &[]);
    seconds(30).await;
    let scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
    assert_eq!(scene.verdict("db").await, Verdict::OwnAccord);
    seconds(30).await;
    assert_eq!(scene.holds(), ["web-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_killed_at_any_moment_of_a_stop_understands_it_after_its_restart() {
    for moment in (0..4_000).step_by(37) {
        let scene = Scene::with(&["web"]).await;
        seconds(3).await;
        let daemon = scene.daemon.clone();
        let stop = tokio::spawn(async move { daemon.stop("web").await });
        millis(moment).await;
        let (daemon, paper, clock) = scene.killed();
        stop.await.unwrap();
        let scene = Scene::open(daemon, paper, clock);
        assert_eq!(scene.verdict("web").await, Verdict::ExternalStop, "killed {moment} ms into the stop");
        assert_eq!(scene.holds(), ["web-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_away_too_long_for_the_buffer_holds_nothing() {
    let scene = Scene::with(&["web"]).await;
    seconds(5).await;
    let (daemon, paper, clock) = scene.stopped().await;
    daemon.stop("web").await;
    for _ in 0..260 {
        daemon.emit("probe", "exec_die", &[]);
    }
    let scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::Unknown);
    seconds(60).await;
    assert!(scene.holds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn probes_keep_the_cursor_within_the_buffer() {
    let scene = Scene::with(&["web"]).await;
    for _ in 0..1_000 {
        scene.daemon.emit("web", "exec_die", &[]);
        millis(100).await;
    }
    let writes = scene.paper.lock().seen_writes;
    assert!((90..=102).contains(&writes), "written {writes} times in 100 s");
    let (daemon, paper, clock) = scene.killed();
    daemon.stop("web").await;
    let scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
}

#[tokio::test(start_paused = true)]
async fn what_a_daemon_took_down_is_recovered_though_it_is_looked_at_by_a_later_operator_only() {
    let scene = Scene::with(&["web"]).await;
    seconds(5).await;
    let (daemon, paper, clock) = scene.stopped().await;
    daemon.go();
    daemon.die("web", 0);
    daemon.come_back();
    // It does not answer in time, while all else is seen and written down.
    daemon.lock().slow.insert("web".into(), Duration::from_secs(10));
    let mut scene = Scene::open(daemon, paper, clock);
    scene.seen().await;
    millis(20).await;
    let (daemon, paper, clock) = scene.killed();
    daemon.lock().slow.clear();
    let scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_booted_is_told_and_what_it_took_down_is_recovered() {
    let scene = Scene::with(&["web"]).await;
    seconds(5).await;
    let (daemon, paper, clock) = scene.stopped().await;
    daemon.die("web", 0);
    daemon.come_back();
    daemon.lock().run = EngineRun { engine_id: "E".into(), boot_id: Some("boot-2".into()), daemon: Some((100, 1)) };
    let mut scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::Shutdown);
    assert!(scene.heard().contains(&WorldChange::EngineRestarted { host: true }));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_older_than_a_stop_by_hand_starts_nothing() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.die("web", 1);
    assert_eq!(scene.verdict("web").await, Verdict::OwnAccord);
    scene.world.may_start("web").unwrap();
    // Somebody starts it and stops it again before the plan comes to it.
    scene.daemon.emit("web", "start", &[]);
    millis(20).await;
    scene.world.may_start("web").unwrap_err();
    scene.daemon.stop("web").await;
    millis(20).await;
    scene.world.may_start("web").unwrap_err();
    scene.world.may_start("never seen").unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_operator_killed_young_understands_though_how_far_it_had_read_is_lost() {
    for restarted in [false, true] {
        let mut scene = Scene::with(&["web"]).await;
        if restarted {
            // What is left on disk is of the run before: the record of the new one was not flushed.
            seconds(5).await;
            let before = scene.paper.lock().run.clone();
            scene.daemon.go();
            scene.daemon.come_back();
            // A daemon with nothing in its buffer yet has nothing to be known by.
            scene.daemon.emit_network("bridge", "create");
            scene.until(|snapshot| snapshot.run.daemon == Some((101, 2))).await;
            millis(200).await;
            scene.paper.lock().run = before;
        }
        millis(50).await;
        let (daemon, paper, clock) = scene.killed();
        if !restarted {
            paper.lose_the_last_seconds();
        }
        daemon.stop("web").await;
        scene = Scene::open(daemon, paper, clock);
        assert_eq!(scene.verdict("web").await, Verdict::ExternalStop, "daemon restarted: {restarted}");
        assert_eq!(scene.holds(), ["web-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_daemon_without_a_past_the_first_event_is_remembered() {
    let clock = clock();
    let daemon = Daemon::new(clock);
    let mut scene = Scene::open(daemon, Arc::default(), clock);
    scene.seen().await;
    scene.daemon.run_container("web", ours("web"));
    millis(20).await;
    let (daemon, paper, clock) = scene.killed();
    paper.lose_the_last_seconds();
    daemon.stop("web").await;
    let scene = Scene::open(daemon, paper, clock);
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
}
