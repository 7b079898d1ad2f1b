use std::time::Duration;

use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

const HOUR: Duration = Duration::from_secs(3600);

/// What a pull of `app:1` brought, so many seconds before noon.
fn record(image_id: &str, seconds: i64) -> ImageRecord {
    let digest = Some(format!("{image_id}-digest"));
    ImageRecord { image_id: image_id.into(), digest, began: ago(seconds + 2), at: ago(seconds), specs: vec!["app-v1".into()] }
}

fn app(pull: PullRule) -> DesiredService {
    DesiredService { pull, ..service("app") }
}

fn declares(pull: PullRule) -> Scene {
    Scene::declares([app(pull)])
}

/// `hex` of the builder: the image that `app:1` names.
const TAGGED: &str = "sha256:617070";

fn pulled(scene: Scene, image_id: &str, seconds: i64) -> Scene {
    scene.change(|s| {
        s.memory.images.insert("app:1".into(), record(image_id, seconds));
    })
}

/// A container of an image that lost the tag to another.
fn of_old_image(replica: &str) -> Container {
    Container { image_id: "sha256:01d".into(), ..container(replica) }
}

fn edited(scene: Scene) -> Scene {
    scene.change(|s| s.desired.services.get_mut("app").unwrap().spec_hash = "app-v2".into())
}

fn failing(scene: Scene, kind: FailureKind, seconds: i64) -> Scene {
    failing_since(scene, kind, seconds + 60, seconds)
}

/// Failed for the first time `since` seconds ago, and last `seconds` ago.
fn failing_since(scene: Scene, kind: FailureKind, since: i64, seconds: i64) -> Scene {
    scene.change(|s| {
        let message = "cannot pull image app:1: the registry's words".into();
        let tries = if since == seconds { 1 } else { 3 };
        let obstacle = Obstacle { kind, message, tries, since: ago(since), last_at: ago(seconds), input: None };
        s.history.obstacles.insert("image app:1".into(), obstacle);
    })
}

fn asked(scene: Scene, seconds: i64) -> Scene {
    scene.change(|s| s.desired.services.get_mut("app").unwrap().pulled_at = Some(ago(seconds)))
}

fn owed(scene: Scene) -> Scene {
    scene.change(|s| {
        s.history.owed_pulls.insert("app:1".into());
    })
}

fn vanished(scene: Scene) -> Scene {
    scene.remembers("app-1", ReplicaHistory { was_running: true, was_ours: true, ..ReplicaHistory::default() })
}

fn pulling(scene: Scene) -> Scene {
    scene.change(|s| s.jobs.push(Job { kind: JobKind::Pull("app:1".into()), since: ago(1) }))
}

#[test]
fn always_pulls_before_a_container_is_made_and_never_for_one_that_fails() {
    use PullRule::Always;
    let two = || Scene::declares([DesiredService { replicas: 2, ..app(Always) }]);
    golden!(
        "pull_always",
        [
            ("nothing there: one pull for both", two()),
            (
                "only suggested: neither pulled nor made",
                vanished(pulled(declares(Always), TAGGED, 600)).change(|s| s.desired.recovery.mode = RecoveryMode::Suggest)
            ),
            ("it was pulled a moment ago: both are made", pulled(two(), TAGGED, 5)),
            ("pulled long ago for this spec, and none came of it yet", pulled(two(), TAGGED, 600)),
            (
                "one more replica, long after",
                pulled(two(), TAGGED, 600).with(Container { created_at: Some(ago(500)), ..container("app-1") })
            ),
            ("converged", pulled(declares(Always), TAGGED, 600).with(container("app-1"))),
            ("the spec changed right after a pull", edited(pulled(declares(Always), TAGGED, 5)).with(container("app-1"))),
            ("somebody removed it", vanished(pulled(declares(Always), TAGGED, 600))),
            ("somebody removed it a moment after a pull", vanished(pulled(declares(Always), TAGGED, 5))),
            (
                "it was removed and fails when it is made",
                pulled(declares(Always), TAGGED, 600).remembers(
                    "app-1",
                    ReplicaHistory {
                        attempts: 2,
                        failure: Some(Failure { at: ago(60), message: "refused".into(), ..Failure::default() }),
                        ..ReplicaHistory::default()
                    }
                )
            ),
            ("a crash loop pulls nothing", pulled(declares(Always), TAGGED, 600).ended("app-1", 1, 0, Verdict::OwnAccord)),
            (
                "the spec changed: pull first, the old one serves",
                edited(pulled(declares(Always), TAGGED, 600)).with(container("app-1"))
            ),
            (
                "it changed and the registry is down: the old one serves",
                failing(edited(pulled(declares(Always), TAGGED, 600)), FailureKind::RegistryUnavailable, 1)
                    .with(container("app-1"))
            ),
            (
                "nothing serves and the registry is down: the image that is here has to do",
                failing(vanished(pulled(declares(Always), TAGGED, 600)), FailureKind::RegistryUnavailable, 1)
            ),
            (
                "nothing serves and the registry refused a moment ago: wait for another try",
                failing_since(vanished(pulled(declares(Always), TAGGED, 600)), FailureKind::RegistryUnavailable, 1, 1)
            ),
            (
                "the registry is down, and making it is only suggested",
                failing(vanished(pulled(declares(Always), TAGGED, 600)), FailureKind::RegistryUnavailable, 1).change(|s| s
                    .desired
                    .recovery
                    .mode =
                    RecoveryMode::Suggest)
            ),
            ("it was made from the old image: the pull is owed", owed(declares(Always).with(container("app-1")))),
            (
                "owed, and not yet due: what runs goes on",
                failing(owed(declares(Always).with(container("app-1"))), FailureKind::RegistryUnavailable, 1)
            ),
            ("the owed pull is under way", pulling(owed(declares(Always).with(container("app-1"))))),
            (
                "owed, and stopped meanwhile",
                owed(declares(Always).with(container("app-1"))).change(|s| s.desired.state = RunState::Stopped)
            ),
            ("the policy is another by now", owed(declares(PullRule::Missing).with(container("app-1")))),
            (
                "the owed pull brought another image: it is replaced",
                pulled(declares(Always).with(of_old_image("app-1")), TAGGED, 5)
            ),
            (
                "nothing is here and there is no such image",
                failing(declares(Always), FailureKind::ImageNotFound, 1).change(|s| s.snapshot.images.clear())
            ),
            (
                "a digest cannot be newer",
                vanished(declares(Always)).change(|s| {
                    s.desired.services.get_mut("app").unwrap().template.image = "app@sha256:00".into();
                    s.snapshot.images.values_mut().for_each(|image| image.digests = vec!["app@sha256:00".into()]);
                })
            ),
        ]
    );
}

#[test]
fn a_container_gives_way_only_to_what_evenkeel_pulled_for_its_deployment() {
    let two = || Scene::declares([DesiredService { replicas: 2, ..service("app") }]);
    let both = |scene: Scene| scene.with(of_old_image("app-1")).with(of_old_image("app-2"));
    golden!(
        "pull_replaces",
        [
            ("somebody moved the tag", both(two())),
            ("evenkeel pulled another, then somebody moved the tag", pulled(both(two()), "sha256:other", 60)),
            ("evenkeel pulled it: one after the other", pulled(both(two()), TAGGED, 60)),
            ("it runs what was pulled", pulled(two().with(container("app-1")).with(container("app-2")), TAGGED, 60)),
            (
                "taken over from docker compose, of another reference",
                pulled(
                    declares(PullRule::Missing).with(Container { image: "mine:2".into(), ..of_old_image("app-1") }),
                    TAGGED,
                    60
                )
            ),
            (
                "it crashes with the old one",
                pulled(declares(PullRule::Missing), TAGGED, 60).ended_as(of_old_image("app-1"), 1, 0, Verdict::OwnAccord)
            ),
            ("it is stopped: nothing is touched", pulled(both(two()), TAGGED, 60).hold("", HoldState::Stopped, "Stopped")),
        ]
    );
}

#[test]
fn polls_come_when_they_are_due_and_take_nothing_down() {
    let hourly = || declares(PullRule::Every(HOUR)).with(container("app-1"));
    golden!(
        "pull_polls",
        [
            ("it was never looked for", hourly()),
            ("half an hour ago", pulled(hourly(), TAGGED, 1800)),
            ("it is due", pulled(hourly(), TAGGED, 4000)),
            ("it is under way", pulling(pulled(hourly(), TAGGED, 4000))),
            (
                "the registry is down: what runs is ready",
                failing(pulled(hourly(), TAGGED, 4000), FailureKind::RegistryUnavailable, 1)
            ),
            ("due, and nothing runs: look first", vanished(pulled(declares(PullRule::Every(HOUR)), TAGGED, 4000))),
            ("stopped: not looked for", pulled(hourly(), TAGGED, 4000).change(|s| s.desired.state = RunState::Stopped)),
            ("suspended: not looked for", pulling(pulled(hourly(), TAGGED, 4000)).hold("", HoldState::Suspended, "backup")),
        ]
    );
}

#[test]
fn a_request_is_fulfilled_once() {
    let running = || declares(PullRule::Missing).with(container("app-1"));
    let stopped = || running().hold("", HoldState::Stopped, "Stopped");
    golden!(
        "pull_requests",
        [
            ("asked for", asked(running(), 5)),
            ("under way", pulling(asked(running(), 5))),
            ("a pull that began before it does not count", asked(pulled(running(), TAGGED, 3), 4)),
            ("fulfilled", asked(pulled(running(), TAGGED, 3), 6)),
            (
                "asked for again at once though the last pull failed",
                failing(asked(running(), 5), FailureKind::RegistryUnavailable, 6)
            ),
            ("it failed since", failing(asked(running(), 5), FailureKind::ImageDenied, 2)),
            ("stopped: pulled and not started", asked(stopped().ended("app-1", 0, 30, Verdict::Ours(StopReason::Held)), 5)),
            ("never is never", asked(declares(PullRule::Never).with(container("app-1")), 5)),
            ("the image went and was asked for", asked(declares(PullRule::Missing), 5).change(|s| s.snapshot.images.clear())),
        ]
    );
}

#[test]
fn a_registry_is_asked_by_few_at_once_and_not_before_it_wants_to_be() {
    let missing = |rule| declares(rule).change(|s| s.snapshot.images.clear());
    let knows = |scene: Scene, pulling: usize, until: Option<i64>| {
        scene.change(|s| {
            let message = "toomanyrequests: slow down".to_owned();
            let limit = until.map(|seconds| RateLimit { until: ago(-seconds), tries: 1, message });
            s.registries.insert("docker.io".into(), RegistryView { pulling, limit });
        })
    };
    let many = || {
        let service = |name: &str| DesiredService { ..service(name) };
        Scene::declares(["a", "b", "c", "d"].map(service)).change(|s| s.snapshot.images.clear())
    };
    let due = || pulled(declares(PullRule::Every(HOUR)).with(container("app-1")), TAGGED, 4000);
    golden!(
        "pull_budget",
        [
            ("four images of one registry", many()),
            ("others pull from there", knows(missing(PullRule::Missing), 3, None)),
            ("others pull from there, and only a newer one is looked for", knows(due(), 3, None)),
            ("it wants to be left alone", knows(missing(PullRule::Missing), 0, Some(90))),
            ("it wants to be left alone, and what runs goes on", knows(due(), 0, Some(90))),
            (
                "it wants to be left alone for a moment, and nothing serves",
                knows(vanished(declares(PullRule::Always)), 0, Some(1))
            ),
            ("it wants to be left alone, and nothing serves", knows(vanished(declares(PullRule::Always)), 0, Some(90))),
            ("that is over: one asks", knows(many(), 0, Some(-1))),
        ]
    );
}

#[test]
fn a_pull_under_way_goes_on_though_another_service_of_the_image_says_never() {
    let of_app = |name: &str, pull| {
        let mut service = DesiredService { pull, ..service(name) };
        service.template.image = "app:1".into();
        service
    };
    let both = Scene::declares([of_app("a", PullRule::Never), of_app("b", PullRule::Missing)]);
    let plan = pulling(both.change(|s| s.snapshot.images.clear())).plan();
    assert!(plan.cancel.is_empty() && plan.actions.is_empty(), "{plan}");
}

/// `Ready` as the status would show it: status and reason, and what it says of the image.
fn shown(scene: &Scene) -> (String, String, crate::crd::ImageStatus) {
    let status = scene.status();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.status.clone(), ready.reason.clone(), status.services[0].image.clone().unwrap_or_default())
}

#[test]
fn a_pull_that_nothing_waits_for_leaves_a_deployment_ready_and_one_that_is_needed_does_not() {
    let hourly = || pulled(declares(PullRule::Every(HOUR)).with(container("app-1")), TAGGED, 4000);
    for scene in [hourly(), pulling(hourly()), failing(hourly(), FailureKind::RegistryUnavailable, 1)] {
        let (ready, reason, image) = shown(&scene);
        assert_eq!((ready.as_str(), reason.as_str()), ("True", "Running"));
        assert_eq!(image.digest.as_deref(), Some("sha256:617070-digest"));
        assert!(image.next_pull_at.is_some());
    }
    let (_, _, image) = shown(&failing(hourly(), FailureKind::ImageDenied, 1));
    assert_eq!(image.failure.map(|failure| (failure.reason, failure.tries)), Some(("ImageDenied".into(), 3)));
    let missing = failing(declares(PullRule::Missing), FailureKind::WrongPlatform, 1).change(|s| s.snapshot.images.clear());
    let (ready, reason, image) = shown(&missing);
    assert_eq!((ready.as_str(), reason.as_str()), ("False", "ImagePullBackOff"));
    assert_eq!(image.failure.unwrap().reason, "WrongPlatform");
}
