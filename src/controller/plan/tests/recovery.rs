use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

fn app() -> Scene {
    Scene::declares([service("app")])
}

fn rule(restart: RestartRule) -> Scene {
    Scene::declares([DesiredService { restart, ..service("app") }])
}

/// `attempts` were made; the last failure is the one that ended at `seconds` before noon.
fn spent(attempts: u32, seconds: i64) -> ReplicaHistory {
    ReplicaHistory {
        attempts,
        spec_hash: "app-v1".into(),
        last_attempt_at: Some(ago(seconds + 1)),
        failure: Some(Failure { at: ago(seconds), message: "exit code 1".into(), exit_code: Some(1), ..Failure::default() }),
        ..ReplicaHistory::default()
    }
}

fn just_started(seconds: i64) -> Container {
    Container { started_at: Some(ago(seconds)), ..container("app-1") }
}

fn start_asked(scene: &mut Scene) {
    scene.desired.services.get_mut("app").unwrap().start_asked_at = Some(ago(1));
}

#[test]
fn each_verdict_has_its_consequence() {
    golden!(
        "verdicts",
        [
            ("it crashed", app().ended("app-1", 1, 0, Verdict::OwnAccord)),
            ("it was killed by docker kill", app().ended("app-1", 137, 0, Verdict::Killed)),
            (
                "it ran out of memory",
                app().ended_as(Container { oom_killed: true, ..container("app-1") }, 137, 0, Verdict::OwnAccord)
            ),
            ("nobody knows yet who ended it", app().ended("app-1", 143, 1, Verdict::Pending { until: ago(-2) })),
            ("a person stopped it and the Hold was lifted", app().ended("app-1", 143, 60, Verdict::ExternalStop)),
            (
                "a person stopped it and that is to be reverted",
                app()
                    .ended("app-1", 143, 60, Verdict::ExternalStop)
                    .change(|s| s.desired.recovery.external_stop = ExternalStop::Revert)
            ),
            ("the daemon took it down, exit 0", app().ended("app-1", 0, 60, Verdict::Shutdown)),
            (
                "nobody saw it end",
                app()
                    .ended("app-1", 143, 60, Verdict::Unknown)
                    .remembers("app-1", ReplicaHistory { was_running: true, ..ReplicaHistory::default() })
            ),
            ("nobody saw it end with exit 0", app().ended("app-1", 0, 60, Verdict::Unknown)),
            ("we stopped it to start it again", app().ended("app-1", 143, 1, Verdict::Ours(StopReason::Restart))),
            ("it finished", app().ended("app-1", 0, 1, Verdict::OwnAccord)),
            ("it finished but must always run", rule(RestartRule::Always).ended("app-1", 0, 1, Verdict::OwnAccord)),
            ("a run-once job failed", rule(RestartRule::Once).ended("app-1", 3, 1, Verdict::OwnAccord)),
            ("a run-once job was cut off by a reboot", rule(RestartRule::Once).ended("app-1", 143, 1, Verdict::Shutdown)),
            (
                "a finished job whose container was pruned",
                app().change(|s| {
                    s.memory
                        .completions
                        .insert("app-1".into(), Completion { spec_hash: "app-v1".into(), at: ago(60), exit_code: 0 });
                })
            ),
            (
                "a finished job of another spec",
                app().change(|s| {
                    s.memory
                        .completions
                        .insert("app-1".into(), Completion { spec_hash: "app-v0".into(), at: ago(60), exit_code: 0 });
                })
            ),
            (
                "the verdict is of an older run",
                app().ended("app-1", 1, 1, Verdict::ExternalStop).change(|s| {
                    let older = |(id, end): (String, End)| (id, End { started_at: Some(ago(9999)), ..end });
                    s.snapshot.ends = s.snapshot.ends.clone().into_iter().map(older).collect();
                })
            ),
            (
                "somebody removed it while it ran",
                app().remembers("app-1", ReplicaHistory { was_running: true, ..ReplicaHistory::default() })
            ),
        ]
    );
}

#[test]
fn a_start_that_failed_since_the_end_counts_whoever_ended_the_run() {
    let failed_start = |verdict| {
        let record = ReplicaHistory { failure: spent(3, 2).failure, ..spent(3, 2) };
        app().ended("app-1", 143, 60, verdict).remembers("app-1", record)
    };
    golden!(
        "failed_starts",
        [
            ("the daemon took it down before", failed_start(Verdict::Shutdown)),
            ("nobody saw it end", failed_start(Verdict::Unknown)),
            ("a Hold was lifted before", failed_start(Verdict::ExternalStop)),
            ("it was to be restarted", failed_start(Verdict::Ours(StopReason::Restart))),
            ("it crashed after a long run", failed_start(Verdict::OwnAccord)),
            ("a start was asked for after the failure", failed_start(Verdict::Shutdown).change(start_asked)),
            (
                "a start was asked for before it",
                failed_start(Verdict::Shutdown)
                    .change(|s| s.desired.services.get_mut("app").unwrap().start_asked_at = Some(ago(30)))
            ),
        ]
    );
}

#[test]
fn attempts_are_spaced_counted_told_and_given_up() {
    let crashed = |attempts, seconds| {
        app().ended_as(just_started(seconds + 1), 1, seconds, Verdict::OwnAccord).remembers("app-1", spent(attempts, seconds))
    };
    golden!(
        "backoff",
        [
            ("first crash", app().ended_as(just_started(1), 1, 0, Verdict::OwnAccord)),
            ("second crash, 5 s are not over", crashed(1, 3)),
            ("second crash, 5 s are over", crashed(1, 6)),
            ("alert at the third", crashed(3, 30)),
            ("tenth crash: given up", crashed(10, 400)),
            (
                "given up and told",
                crashed(10, 400).change(|s| {
                    let record = s.history.replicas.get_mut("app-1").unwrap();
                    (record.alerted, record.exhausted) = (true, true);
                })
            ),
            (
                "given up, then retried",
                crashed(10, 400).change(|s| s.desired.services.get_mut("app").unwrap().retried_at = Some(ago(1)))
            ),
            ("given up, then a start was asked for", crashed(10, 400).change(start_asked)),
            (
                "in back-off, then a start was asked for, and only suggestions are to be made",
                crashed(2, 3).change(start_asked).change(|s| s.desired.recovery.mode = RecoveryMode::Suggest)
            ),
            (
                "given up, then the spec changed",
                crashed(10, 400).change(|s| {
                    s.history.replicas.get_mut("app-1").unwrap().spec_hash = "app-v0".into();
                })
            ),
            ("crashed after a stable window", app().ended("app-1", 1, 0, Verdict::OwnAccord).remembers("app-1", spent(4, 9000))),
            ("running, not stable yet", app().with(just_started(60)).remembers("app-1", spent(4, 61))),
            ("running and stable", app().with(just_started(700)).remembers("app-1", spent(4, 701))),
            (
                "the declared attempts of on-failure",
                rule(RestartRule::OnFailure { max: Some(2) })
                    .ended_as(just_started(31), 1, 30, Verdict::OwnAccord)
                    .remembers("app-1", spent(2, 30))
            ),
            (
                "its start failed",
                app()
                    .with(Container { state: ContainerState::Created, started_at: None, ..container("app-1") })
                    .remembers("app-1", spent(1, 3))
            ),
            (
                "its port is held",
                app().with(Container { state: ContainerState::Created, started_at: None, ..container("app-1") }).change(|s| {
                    let kind = FailureKind::PortHeld { port: Some(80), protocol: "tcp".into() };
                    let obstacle = Obstacle {
                        kind,
                        message: "host port 80/tcp is held by nginx (pid 7)".into(),
                        tries: 3,
                        since: ago(60),
                        last_at: ago(2),
                        input: None,
                    };
                    s.history.obstacles.insert("replica app-1".into(), obstacle);
                })
            ),
        ]
    );
}
