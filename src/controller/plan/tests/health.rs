use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

fn app() -> Scene {
    Scene::declares([service("app")])
}

fn rule(restart: RestartRule) -> Scene {
    Scene::declares([DesiredService { restart, ..service("app") }])
}

/// Started an hour ago; its probe failed three times, the last time 2 s ago.
fn unhealthy() -> Container {
    probed(HealthStatus::Unhealthy, 3, 1, "connection refused\n")
}

fn probed(status: HealthStatus, failing_streak: u32, exit_code: i64, output: &str) -> Container {
    let health = Health {
        status,
        failing_streak,
        retries: 3,
        last_probe_at: Some(ago(2)),
        last_exit_code: Some(exit_code),
        last_output: output.into(),
        ..Health::default()
    };
    Container { health: Some(health), ..container("app-1") }
}

fn with_health(change: impl FnOnce(&mut Health)) -> Container {
    let mut container = unhealthy();
    change(container.health.as_mut().unwrap());
    container
}

/// `attempts` were made for ill health; the last one was seen so many seconds ago.
fn ailed(attempts: u32, seconds: i64) -> ReplicaHistory {
    let message = "unhealthy, its health check fails: connection refused".into();
    ReplicaHistory {
        attempts,
        spec_hash: "app-v1".into(),
        last_attempt_at: Some(ago(seconds)),
        failure: Some(Failure { at: ago(seconds), message, unhealthy: true, ..Failure::default() }),
        ..ReplicaHistory::default()
    }
}

fn started(seconds: i64, container: Container) -> Container {
    Container { started_at: Some(ago(seconds)), ..container }
}

#[test]
fn an_unhealthy_container_is_restarted_with_the_attempts_of_one_that_crashed() {
    golden!(
        "unhealthy",
        [
            ("its probe fails", app().with(unhealthy())),
            ("it has no verdict yet", app().with(probed(HealthStatus::Starting, 2, 1, "no"))),
            ("it is well", app().with(probed(HealthStatus::Healthy, 0, 0, "ok"))),
            (
                "it is being stopped",
                app()
                    .with(unhealthy())
                    .remembers("app-1", ailed(1, 2))
                    .change(|s| s.jobs.push(Job { kind: JobKind::Stop(container("app-1").id), since: ago(1) }))
            ),
            (
                "it was stopped for that",
                app().ended("app-1", 143, 0, Verdict::Ours(StopReason::Unhealthy)).remembers("app-1", ailed(1, 2))
            ),
            ("unhealthy again, 5 s are not over", app().with(started(30, unhealthy())).remembers("app-1", ailed(1, 40))),
            (
                "unhealthy again, 5 s are over",
                app()
                    .with(Container {
                        health: with_health(|h| h.last_probe_at = Some(ago(6))).health,
                        ..started(30, unhealthy())
                    })
                    .remembers("app-1", ailed(1, 40))
            ),
            ("all attempts are spent", app().with(started(500, unhealthy())).remembers("app-1", ailed(10, 400))),
            (
                "all attempts are spent, and it is well by itself",
                app().with(started(500, probed(HealthStatus::Healthy, 0, 0, ""))).remembers("app-1", ailed(10, 400))
            ),
            (
                "it is well for as long as the stable window",
                app().with(started(900, probed(HealthStatus::Healthy, 0, 0, ""))).remembers("app-1", ailed(10, 700))
            ),
            (
                "given up, then retried",
                app().with(started(500, unhealthy())).remembers("app-1", ailed(10, 400)).change(|s| s
                    .desired
                    .services
                    .get_mut("app")
                    .unwrap()
                    .retried_at =
                    Some(ago(1)))
            ),
            ("unhealthy after a stable run", app().with(unhealthy()).remembers("app-1", ailed(4, 4000))),
        ]
    );
}

#[test]
fn no_verdict_is_no_reason_to_restart() {
    let free = || app().with(unhealthy());
    golden!(
        "no_verdict",
        [
            ("paused", app().with(Container { state: ContainerState::Paused, ..unhealthy() })),
            ("just thawed: no probe has failed since", app().with(with_health(|h| h.failing_streak = 0))),
            ("nobody probes it any more", app().with(with_health(|h| h.stale = true))),
            (
                "nobody probes it any more, and it was well",
                app().with(with_health(|h| (h.stale, h.status) = (true, HealthStatus::Healthy)))
            ),
            ("suspended", free().hold("", HoldState::Suspended, "backup")),
            ("held stopped", free().hold("app-1", HoldState::Stopped, "ExternalStop")),
            ("only suggestions are to be made", free().change(|s| s.desired.recovery.mode = RecoveryMode::Suggest)),
            ("it is to run once", rule(RestartRule::Once).with(unhealthy())),
            ("the program of its probe is missing", app().with(with_broken(127, "/bin/sh: curl: not found\n"))),
            (
                "the engine does not find the program of its probe",
                app().with(with_broken(
                    -1,
                    "OCI runtime exec failed: exec failed: exec: \"/no\": stat /no: no such file or directory"
                ))
            ),
            ("the program of its probe may not be run", app().with(with_broken(126, "/bin/sh: /check: Permission denied\n"))),
            (
                "its probe took too long, which is no slip of the probe",
                app().with(with_broken(-1, "Health check exceeded timeout (1s)"))
            ),
            ("its probe ended with 127 of its own accord", app().with(with_broken(127, "backlog too long"))),
        ]
    );
}

fn with_broken(code: i64, output: &str) -> Container {
    probed(HealthStatus::Unhealthy, 3, code, output)
}

#[test]
fn secrets_in_the_output_of_a_probe_are_not_told() {
    let mut app = service("app");
    app.template.env = vec!["DB_PASSWORD=correct-horse".into()];
    let output = "cannot log in with correct-horse at postgres://app:hunter2@db/shop";
    let scene = Scene::declares([app]).with(probed(HealthStatus::Unhealthy, 3, 1, output));
    let text = scene.text();
    assert!(text.contains("cannot log in with *** at postgres://***@db/shop"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("correct-horse"), "{text}");
}

#[test]
fn a_run_is_unhealthy_once_though_the_clock_was_set_back_since_it_began() {
    // By the clock of now it starts in an hour.
    let ill = started(-3600, unhealthy());
    let mut known = ailed(1, 2);
    if let Some(failure) = &mut known.failure {
        failure.run = FailedRun { container: ill.id.clone(), started_at: ill.started_at, ..FailedRun::default() };
    }
    let failed = |scene: &Scene| scene.plan().notes.iter().any(|note| matches!(note, Note::Failed { .. }));
    assert!(!failed(&app().with(ill.clone()).remembers("app-1", known)));
    assert!(failed(&app().with(ill).remembers("app-1", ailed(1, 2))), "one of another run does not stand for it");
}
