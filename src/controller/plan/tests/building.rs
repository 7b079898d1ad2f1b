use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

/// `hex` of the builder: the image that `app:1` names.
const TAGGED: &str = "sha256:617070";

fn app() -> DesiredService {
    let build = BuildSpec { image: "app:1".into(), context: Some("/src".into()), ..BuildSpec::default() };
    DesiredService { build: Some(build), ..service("app") }
}

/// Declared and read; the image is there, and was built from input `one` an hour ago.
fn built(service: DesiredService) -> Scene {
    reads(Scene::declares([service]), "one").change(|s| {
        s.memory.builds.insert("app:1".into(), record(TAGGED, "one", 3600));
    })
}

fn record(image_id: &str, input: &str, seconds: i64) -> BuildRecord {
    BuildRecord { image_id: image_id.into(), input: input.into(), began: ago(seconds + 30), at: ago(seconds) }
}

fn reads(scene: Scene, digest: &str) -> Scene {
    scene.change(|s| {
        s.inputs.insert("app".into(), BuildInput::Digest(digest.into()));
    })
}

fn no_image(scene: Scene) -> Scene {
    scene.change(|s| s.snapshot.images.clear())
}

fn building(scene: Scene, input: &str) -> Scene {
    let kind = JobKind::Build { image: "app:1".into(), input: input.into() };
    scene.change(|s| s.jobs.push(Job { kind, since: ago(1) }))
}

fn failed(scene: Scene, input: &str, seconds: i64) -> Scene {
    scene.change(|s| {
        let obstacle = Obstacle {
            kind: FailureKind::BuildFailed,
            message: "cannot build image app:1: exit code 7\n  it is broken".into(),
            tries: 1,
            since: ago(seconds),
            last_at: ago(seconds),
            input: Some(input.into()),
        };
        s.history.obstacles.insert("image app:1".into(), obstacle);
    })
}

fn asked(scene: Scene, seconds: i64) -> Scene {
    let request = RebuildRequest { at: ago(seconds), no_cache: true, pull: false };
    scene.change(|s| s.desired.services.get_mut("app").unwrap().rebuild = Some(request))
}

/// A container of the image that had the tag before.
fn of_old_image(replica: &str) -> Container {
    Container { image_id: "sha256:01d".into(), ..container(replica) }
}

fn vanished(scene: Scene) -> Scene {
    scene.remembers("app-1", ReplicaHistory { was_running: true, was_ours: true, ..ReplicaHistory::default() })
}

#[test]
fn an_image_is_built_when_it_is_missing_or_its_input_changed_and_what_runs_goes_on() {
    let two = || DesiredService { replicas: 2, ..app() };
    let edited = |scene: Scene| scene.change(|s| s.desired.services.get_mut("app").unwrap().spec_hash = "app-v2".into());
    let unreadable = |scene: Scene| {
        scene.change(|s| {
            s.inputs.insert("app".into(), BuildInput::Unreadable("cannot read /src for the build: gone".into()));
        })
    };
    golden!(
        "builds",
        [
            ("nothing there, and its input not read yet", no_image(Scene::declares([app()]))),
            ("nothing there: one build for both", no_image(reads(Scene::declares([two()]), "one"))),
            ("an image of that name that evenkeel did not build", reads(Scene::declares([app()]), "one")),
            ("built: both are made", built(two())),
            ("converged", built(app()).with(container("app-1"))),
            (
                "the operator was restarted: what runs is let be",
                built(app()).with(container("app-1")).change(|s| s.inputs.clear())
            ),
            ("its input changed while it runs", reads(built(app()).with(container("app-1")), "two")),
            ("it is being built", building(reads(built(app()).with(container("app-1")), "two"), "two")),
            ("its input changes again meanwhile", building(reads(built(app()).with(container("app-1")), "three"), "two")),
            (
                "the new image is there: one replica at a time",
                built(two()).with(of_old_image("app-1")).with(of_old_image("app-2"))
            ),
            (
                "a successor of an image that is old by now",
                built(app()).with(of_old_image("app-1")).with(Container {
                    id: "e".repeat(64),
                    name: "000000000000_web-app-1".into(),
                    state: ContainerState::Created,
                    started_at: None,
                    ..of_old_image("app-1")
                })
            ),
            (
                "another spec and another input at once: the build comes first",
                reads(edited(built(app()).with(container("app-1"))), "two")
            ),
            ("it vanishes during a build: made of what was built last", building(vanished(reads(built(app()), "two")), "two")),
            ("image and container were removed", no_image(vanished(built(app())))),
            (
                "the image lost its name while it runs",
                built(app()).with(container("app-1")).change(|s| {
                    s.snapshot.images.values_mut().for_each(|image| image.tags.clear());
                })
            ),
            ("the context cannot be read", unreadable(built(app()).with(container("app-1")))),
            (
                "somebody else's image got the name",
                built(app()).with(container("app-1")).change(|s| {
                    s.snapshot.images.values_mut().for_each(|image| image.tags.clear());
                    let other = Image { id: "sha256:0e".into(), tags: vec!["app:1".into()], digests: vec![] };
                    s.snapshot.images.insert(other.id.clone(), other);
                })
            ),
        ]
    );
}

#[test]
fn a_build_that_fails_is_tried_again_later_or_at_once_when_its_input_changes() {
    let running = || built(app()).with(container("app-1"));
    golden!(
        "builds_failing",
        [
            ("failed a moment ago", failed(reads(running(), "two"), "two", 1)),
            ("due again: the last failure stays in sight", failed(reads(running(), "two"), "two", 3600)),
            ("under way again", building(failed(reads(running(), "two"), "two", 3600), "two")),
            ("its input changed since", failed(reads(running(), "three"), "two", 1)),
            ("it vanished meanwhile", failed(vanished(reads(built(app()), "two")), "two", 1)),
            ("never built, and fails", failed(no_image(reads(Scene::declares([app()]), "one")), "one", 1)),
            ("a build was asked for since", asked(failed(reads(running(), "two"), "two", 10), 1)),
        ]
    );
}

#[test]
fn a_rebuild_is_made_once_and_what_is_held_is_not_built() {
    use HoldState::{Stopped, Suspended};
    let running = || built(app()).with(container("app-1"));
    let worker = || DesiredService {
        template: ContainerSpec { image: "app:1".into(), ..service("worker").template },
        ..service("worker")
    };
    let job = DesiredService { restart: RestartRule::Once, ..app() };
    golden!(
        "builds_asked",
        [
            ("asked for", asked(running(), 5)),
            ("asked for before the last build", asked(running(), 7200)),
            ("under way", building(asked(running(), 5), "one")),
            ("held during a build", building(reads(running(), "two"), "two").hold("", Stopped, "Stopped")),
            ("held, and its input changed", reads(running(), "two").hold("", Stopped, "Stopped")),
            ("suspended, and its input changed", reads(running(), "two").hold("", Suspended, "backup")),
            (
                "a job that is done",
                reads(built(job), "two").change(|s| {
                    let done = Completion { spec_hash: "app-v1".into(), at: ago(60), exit_code: 0 };
                    s.memory.completions.insert("app-1".into(), done);
                })
            ),
            ("another service runs the same image", no_image(reads(Scene::declares([app(), worker()]), "one"))),
            ("observe only", reads(running(), "two").change(|s| s.desired.recovery.bound = RecoveryMode::Observe)),
        ]
    );
}

#[test]
fn a_request_carries_its_words_into_the_build() {
    let plan = asked(built(app()).with(container("app-1")), 5).plan();
    let [Action { op: Op::Build { spec, .. }, .. }] = &plan.actions[..] else { panic!("{plan}") };
    assert!(spec.no_cache && !spec.pull);
    assert_eq!(
        "2026-01-01T12:00:00Z no-cache pull".parse::<RebuildRequest>().unwrap().to_string(),
        "2026-01-01T12:00:00Z no-cache pull"
    );
    assert!("soon".parse::<RebuildRequest>().is_err());
}
