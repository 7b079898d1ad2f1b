use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

fn app() -> Scene {
    Scene::declares([service("app")])
}

/// Held while it runs; its stop was tried before.
fn refused(tries: u32, last_at: jiff::Timestamp) -> Scene {
    let message = "cannot stop container web-app-1: server error".into();
    let obstacle = Obstacle { kind: FailureKind::Refused, message, tries, since: ago(60), last_at, input: None };
    let held = app().with(container("app-1")).hold("", HoldState::Stopped, "Stopped");
    held.change(|s| drop(s.history.obstacles.insert("replica app-1".into(), obstacle)))
}

fn at_rest(scene: Scene, policy: DockerRestart) -> Scene {
    scene.with(Container { state: ContainerState::Exited, restart_policy: policy, ..container("app-1") })
}

#[test]
fn what_is_held_is_not_started_and_what_is_suspended_is_not_touched() {
    use HoldState::{Stopped, Suspended};
    let always = || Scene::declares([DesiredService { declared_restart: DockerRestart::Always, ..service("app") }]);
    golden!(
        "holds",
        [
            ("held while it runs", app().with(container("app-1")).hold("", Stopped, "Stopped")),
            (
                "held, its stop under way",
                app().with(container("app-1")).hold("", Stopped, "Stopped").change(|s| {
                    let kind = JobKind::Stop(container("app-1").id);
                    s.jobs.push(Job { kind, since: ago(2) });
                })
            ),
            ("held, and the engine refused the stop a moment ago", refused(1, ago(1))),
            ("held, and the engine refuses the stop again and again", refused(7, ago(6))),
            ("held after it crashed", app().ended("app-1", 1, 0, Verdict::OwnAccord).hold("app-1", Stopped, "ExternalStop")),
            (
                "held and not there: nothing is made, no network either",
                app().hold("app", Stopped, "Stopped").change(|s| s.snapshot.networks.clear())
            ),
            (
                "held as a whole, one service suspended",
                Scene::declares([service("app"), service("db")])
                    .with(container("app-1"))
                    .with(container("db-1"))
                    .hold("", Stopped, "Stopped")
                    .hold("db", Suspended, "backup")
            ),
            (
                "one replica of two held",
                Scene::declares([DesiredService { replicas: 2, ..service("app") }])
                    .with(container("app-1"))
                    .ended("app-2", 143, 9, Verdict::ExternalStop)
                    .hold("app-2", Stopped, "ExternalStop")
            ),
            ("the manifest says stopped", app().with(container("app-1")).change(|s| s.desired.state = RunState::Stopped)),
            ("suspended after it crashed", app().ended("app-1", 1, 0, Verdict::OwnAccord).hold("", Suspended, "backup")),
            (
                "suspended with something undeclared",
                app().with(container("app-1")).with(container("app-2")).hold("", Suspended, "backup")
            ),
            (
                "a Hold that has ended",
                app().ended("app-1", 143, 90, Verdict::Ours(StopReason::Held)).hold("", Stopped, "Stopped").change(|s| s
                    .desired
                    .holds[0]
                    .until =
                    Some(ago(1)))
            ),
            (
                "a Hold that will end",
                app().ended("app-1", 143, 90, Verdict::Ours(StopReason::Held)).hold("", Stopped, "Stopped").change(|s| s
                    .desired
                    .holds[0]
                    .until =
                    Some(ago(-30)))
            ),
            ("released", always().with(container("app-1")).hold("", Suspended, "Released")),
            ("released while it does not run", at_rest(always(), DockerRestart::No).hold("", Suspended, "Released")),
            (
                "released where the operator itself may only observe",
                always()
                    .with(container("app-1"))
                    .hold("", Suspended, "Released")
                    .change(|s| s.desired.recovery.bound = RecoveryMode::Observe)
            ),
            (
                "released and held stopped: not with a policy by which Docker starts what a person stopped",
                at_rest(always(), DockerRestart::UnlessStopped).hold("app", Stopped, "Stopped").hold("", Suspended, "Released")
            ),
            (
                "the same, stopped as a whole before",
                at_rest(always(), DockerRestart::Always)
                    .hold("", Stopped, "Stopped")
                    .hold("", Suspended, "Released")
                    .change(|s| s.desired.holds[0].since = ago(600))
            ),
            (
                "the same, and nothing is left to be done",
                at_rest(always(), DockerRestart::No).hold("", Stopped, "Stopped").hold("", Suspended, "Released").change(|s| s
                    .desired
                    .holds[0]
                    .since =
                    ago(600))
            ),
            (
                "released where the manifest says stopped",
                at_rest(always(), DockerRestart::Always)
                    .hold("", Suspended, "Released")
                    .change(|s| s.desired.state = RunState::Stopped)
            ),
            (
                "deleted with orphans where it is held stopped",
                at_rest(always(), DockerRestart::UnlessStopped)
                    .hold("", Stopped, "Stopped")
                    .change(|s| s.desired.deletion = Some(Deletion { orphan: true, volumes: false }))
            ),
            ("held stopped after a release", at_rest(always(), DockerRestart::Always).hold("", Stopped, "Stopped")),
            (
                "taken back after a release",
                always().with(Container { restart_policy: DockerRestart::Always, ..container("app-1") })
            ),
            ("paused by a person", app().with(Container { state: ContainerState::Paused, ..container("app-1") })),
            (
                "observe only",
                app().ended("app-1", 1, 0, Verdict::OwnAccord).change(|s| s.desired.recovery.mode = RecoveryMode::Observe)
            ),
            (
                "observe only does what a person asks",
                app()
                    .with(container("app-1"))
                    .hold("", Stopped, "Stopped")
                    .change(|s| s.desired.recovery.mode = RecoveryMode::Observe)
            ),
            ("the operator itself may only observe", app().change(|s| s.desired.recovery.bound = RecoveryMode::Observe)),
        ]
    );
}

#[test]
fn drift_is_mended_without_touching_processes_where_that_can_be() {
    let detached = || Container { networks: [].into(), ..container("app-1") };
    let elsewhere = |id: &str| {
        let attachment = Attachment { network_id: id.into(), ..Attachment::default() };
        Container { networks: [("web_default".to_owned(), attachment)].into(), ..container("app-1") }
    };
    let compose = || {
        let labels = [
            (labels::COMPOSE_PROJECT, "web"),
            (labels::COMPOSE_SERVICE, "app"),
            (labels::COMPOSE_NUMBER, "1"),
            (labels::COMPOSE_ONEOFF, "False"),
        ];
        Container { labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(), ..container("app-1") }
    };
    let was_ours = || ReplicaHistory { was_ours: true, ..ReplicaHistory::default() };
    golden!(
        "drift",
        [
            ("disconnected by hand", app().with(detached())),
            (
                "it could not be attached again a moment ago",
                app().with(detached()).change(|s| {
                    let message = "cannot connect container 1617 to network default: no free address".into();
                    let obstacle =
                        Obstacle { kind: FailureKind::Transient, message, tries: 1, since: ago(1), last_at: ago(1), input: None };
                    s.history.obstacles.insert("replica app-1".into(), obstacle);
                })
            ),
            (
                "its network was removed and made again while it was down",
                app().ended_as(elsewhere("gone"), 1, 0, Verdict::OwnAccord)
            ),
            (
                "its network is gone and it is down",
                app().ended_as(elsewhere("gone"), 1, 0, Verdict::OwnAccord).change(|s| s.snapshot.networks.clear())
            ),
            (
                "the network's definition changed",
                app().with(container("app-1")).change(|s| s.desired.networks.values_mut().for_each(|n| n.hash = "net-v2".into()))
            ),
            (
                "the network's definition changed while somebody else is on it",
                app()
                    .with(container("app-1"))
                    .with(Container { id: "f".repeat(64), name: "guest".into(), labels: [].into(), ..container("app-1") })
                    .change(|s| s.desired.networks.values_mut().for_each(|n| n.hash = "net-v2".into()))
            ),
            ("renamed by hand", app().with(Container { name: "pet".into(), ..container("app-1") })),
            (
                "Docker's own policy was set",
                app().with(Container { restart_policy: DockerRestart::UnlessStopped, ..container("app-1") })
            ),
            (
                "its image lost its tag",
                app().with(container("app-1")).change(|s| s.snapshot.images.values_mut().for_each(|i| i.tags.clear()))
            ),
            ("compose made one in its place", app().with(compose()).remembers("app-1", was_ours())),
            ("compose runs a project of that name", app().with(compose())),
            (
                "an unused network",
                app().with(container("app-1")).change(|s| {
                    let other = Network { id: "net2".into(), name: "web_old".into(), ..s.snapshot.networks["net1"].clone() };
                    s.snapshot.networks.insert("net2".into(), other);
                })
            ),
        ]
    );
}

#[test]
fn a_place_that_was_emptied_stays_empty_until_it_is_decided_who_emptied_it() {
    let place =
        |name: &str, number| Vacated { key: Key::new("default", name), replica: ReplicaId::new("app", number), until: ago(-4) };
    let empty = app().change(|s| s.snapshot.vacated = vec![place("web", 1)]).plan();
    assert_eq!(empty.actions, []);
    assert_eq!(empty.wake_at, Some(ago(-4)));
    assert!(matches!(&empty.waiting[..], [Waiting { reason: WaitReason::IntentPending, .. }]), "{empty}");
    for others in [place("another", 1), place("web", 2)] {
        let plan = app().change(|s| s.snapshot.vacated = vec![others]).plan();
        assert!(!plan.actions.is_empty(), "another's place is none of ours");
    }
}

#[test]
fn nothing_is_done_to_a_container_that_does_not_tell_its_state_and_its_siblings_are_healed() {
    let mut silent = container("app-1");
    (silent.started_at, silent.networks) = (None, Default::default());
    let id = silent.id.clone();
    let scene = Scene::declares([service("app"), service("db")]).with(silent).change(|s| {
        s.snapshot.unread.insert(id);
    });
    let plan = scene.plan();
    assert!(plan.actions.iter().all(|action| action.subject == Subject::Replica(ReplicaId::new("db", 1))), "{plan}");
    assert!(!plan.actions.is_empty());
    assert!(plan.to_string().contains("web-app-1"), "it says which does not answer: {plan}");
}

#[test]
fn what_was_started_by_hand_after_an_outside_stop_is_not_stopped_while_its_hold_is_being_lifted() {
    use HoldState::Stopped;
    // Holds of these scenes were laid a minute before noon.
    let started = |seconds| Container { started_at: Some(ago(seconds)), ..container("app-1") };
    let by_hand = app().with(started(1)).hold("app-1", Stopped, REASON_EXTERNAL_STOP);
    assert_eq!(by_hand.plan().actions, [], "{}", by_hand.text());
    let stopped = |scene: Scene| matches!(&scene.plan().actions[..], [Action { op: Op::Stop { .. }, .. }]);
    assert!(stopped(app().with(started(90)).hold("app-1", Stopped, REASON_EXTERNAL_STOP)), "a run from before the Hold");
    assert!(
        stopped(app().with(started(1)).hold("app-1", Stopped, "Stopped")),
        "a Hold that a person laid is not lifted by a start"
    );
    let both = app().with(started(1)).hold("app", Stopped, "Stopped").hold("app-1", Stopped, REASON_EXTERNAL_STOP);
    assert!(stopped(both), "the next Hold counts then");
}
