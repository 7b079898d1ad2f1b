//! What goes wrong: connections, answers, lists, disks, clocks.

use std::sync::Mutex;

use super::*;
use crate::clock::Clock;
use crate::docker::Alive;

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_only_cut_loses_nothing() {
    for moment in [0, 10, 35, 60, 92, 95, 500, 2_000] {
        let scene = Scene::with(&["web"]).await;
        let daemon = scene.daemon.clone();
        let stop = tokio::spawn(async move { daemon.stop("web").await });
        millis(moment).await;
        scene.daemon.cut();
        stop.await.unwrap();
        assert_eq!(scene.verdict("web").await, Verdict::ExternalStop, "cut after {moment} ms");
        assert_eq!((scene.holds(), scene.paper.lock().laid), (vec!["web-1".to_owned()], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_happened_during_a_cut_is_shown_after_it() {
    let scene = Scene::with(&["web", "db"]).await;
    scene.daemon.go();
    scene.daemon.die("web", 3);
    scene.daemon.emit("db", "destroy", &[]);
    scene.daemon.run_container("api", ours("api"));
    scene.daemon.lock().up = true;
    let snapshot = scene.until(|snapshot| snapshot.containers.contains_key("api")).await;
    assert!(!snapshot.containers.contains_key("db"));
    assert_eq!(scene.verdict("web").await, Verdict::OwnAccord);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_answer_stalls_nobody_else() {
    let clock = clock();
    let daemon = Daemon::new(clock);
    for service in ["web", "hung"] {
        daemon.run_container(service, ours(service));
    }
    daemon.lock().slow.insert("hung".into(), Duration::from_secs(10));
    let mut scene = Scene::open(daemon, Arc::default(), clock);
    let began = tokio::time::Instant::now();
    let snapshot = scene.seen().await;
    assert!(began.elapsed() < Duration::from_secs(4));
    assert!(snapshot.unread.contains("hung") && !snapshot.unread.contains("web"));
    assert_eq!(snapshot.containers["hung"].labels, ours("hung"));
    // Where the events begin is written down.
    millis(20).await;
    scene.daemon.die("web", 1);
    millis(10).await;
    assert_eq!(scene.snapshot().ends["web"].verdict, Verdict::OwnAccord);
    scene.daemon.lock().slow.clear();
    scene.until(|snapshot| snapshot.unread.is_empty() && snapshot.containers["hung"].started_at.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_never_overwrites_a_newer_one() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.lock().slow.insert("web".into(), Duration::from_secs(2));
    let world = scene.world.clone();
    let old = tokio::spawn(async move { world.refresh_container("web").await });
    millis(10).await;
    scene.daemon.lock().slow.clear();
    scene.daemon.emit("web", "pause", &[]);
    millis(10).await;
    let paused = |scene: &Scene| scene.snapshot().containers["web"].state == crate::model::ContainerState::Paused;
    assert!(paused(&scene));
    old.await.unwrap().unwrap();
    assert!(paused(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_never_brings_back_what_is_gone() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.lock().slow.insert("web".into(), Duration::from_secs(9));
    let world = scene.world.clone();
    let old = tokio::spawn(async move { world.refresh_container("web").await });
    millis(10).await;
    scene.daemon.lock().slow.clear();
    scene.daemon.emit("web", "destroy", &[]);
    old.await.unwrap().unwrap();
    assert!(scene.snapshot().containers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_changes_nothing_and_blinds_in_the_end() {
    let mut scene = Scene::with(&["web"]).await;
    scene.heard();
    scene.daemon.lock().lists_fail = true;
    seconds(31).await;
    assert_eq!(scene.snapshot().containers.len(), 1);
    assert!(scene.heard().iter().any(|change| matches!(change, WorldChange::Lost { .. })));
    seconds(12).await;
    let View::Blind { why, .. } = scene.world.view() else { panic!("still seen") };
    assert_eq!(why, "reach the engine: connection refused");
    assert!(scene.heard().iter().any(|change| matches!(change, WorldChange::Lost { .. })), "blindness is told");
    scene.daemon.lock().lists_fail = false;
    scene.seen().await;
    assert!(scene.heard().contains(&WorldChange::Everything));
}

#[tokio::test(start_paused = true)]
async fn before_the_first_look_nothing_is_seen() {
    let daemon = Daemon::new(clock());
    daemon.lock().up = false;
    let mut scene = Scene::open(daemon, Arc::default(), clock());
    seconds(60).await;
    assert!(matches!(scene.world.view(), View::Blind { .. }));
    scene.daemon.lock().up = true;
    seconds(3).await;
    scene.seen().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_cannot_be_written_is_tried_again_and_nothing_is_started_meanwhile() {
    let scene = Scene::with(&["web"]).await;
    scene.paper.lock().full = true;
    scene.daemon.stop("web").await;
    for _ in 0..60 {
        seconds(1).await;
        let snapshot = scene.snapshot();
        let Verdict::Pending { until } = &snapshot.ends["web"].verdict else { panic!("{:?}", snapshot.ends) };
        assert!(*until > scene.clock.now(), "it says when to look again, in the future");
    }
    scene.paper.lock().full = false;
    assert_eq!(scene.verdict("web").await, Verdict::ExternalStop);
    assert_eq!(scene.holds(), ["web-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_recovered_with_a_full_disk_too() {
    let scene = Scene::with(&["web"]).await;
    scene.paper.lock().full = true;
    scene.daemon.die("web", 1);
    assert_eq!(scene.verdict("web").await, Verdict::OwnAccord);
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_events_were_lost_is_unknown_after_a_while_and_never_held() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.lock().containers.get_mut("web").unwrap().state = crate::model::ContainerState::Exited;
    scene.daemon.lock().containers.get_mut("web").unwrap().finished_at = Some(scene.clock.now());
    seconds(31).await;
    assert!(matches!(scene.snapshot().ends["web"].verdict, Verdict::Pending { .. }));
    assert_eq!(scene.verdict("web").await, Verdict::Unknown);
    seconds(30).await;
    assert!(scene.holds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_seemed_to_go_down_and_did_not_is_seen_again() {
    let scene = Scene::with(&["web"]).await;
    scene.daemon.lock().alive = Alive::No;
    scene.daemon.stop("web").await;
    millis(50).await;
    assert!(matches!(scene.world.view(), View::Blind { .. }));
    seconds(40).await;
    assert!(matches!(scene.world.view(), View::Blind { .. }));
    scene.daemon.lock().alive = Alive::Yes;
    scene.until(|snapshot| snapshot.ends["web"].verdict == Verdict::Shutdown).await;
}

struct Jumping(TokioClock, Mutex<jiff::SignedDuration>);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.0.now().saturating_add(*self.1.lock().unwrap()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_is_followed_by_a_full_look_and_moves_no_deadline() {
    let steady = clock();
    let clock = Arc::new(Jumping(steady, Mutex::default()));
    let daemon = Daemon::new(steady);
    daemon.run_container("web", ours("web"));
    let paper: Arc<Paper> = Arc::default();
    let world = World::with_ledger(daemon.clone(), Arc::new(paper.clone()), clock.clone(), WorldOptions::default());
    let _running = tokio::spawn(Arc::clone(&world).run(CancellationToken::new()));
    seconds(2).await;
    daemon.emit("web", "kill", &[("signal", "15")]);
    daemon.die("web", 143);
    daemon.calls();
    *clock.1.lock().unwrap() = jiff::SignedDuration::from_hours(2);
    millis(4_900).await;
    let View::Seen(snapshot) = world.view() else { panic!("blind") };
    assert!(matches!(snapshot.ends["web"].verdict, Verdict::Pending { .. }), "{:?}", snapshot.ends);
    seconds(1).await;
    assert!(daemon.calls().contains(&"list containers".to_owned()));
}
