//! The ladder as plans: what each rung does, how it goes on, and what is suggested instead.

use super::golden;
use super::scene::{Scene, ago, container, noon, service};
use crate::model::*;

/// `hex` of the builder: the image that `app:1` names.
const TAGGED: &str = "sha256:617070";

fn of(cause: FailureCause) -> Diagnosis {
    Diagnosis {
        cause,
        message: "read its log".into(),
        evidence: vec!["log: it broke".into()],
        signature: format!("{cause}: log: it broke"),
    }
}

/// A replica that failed 100 s ago, and before that once for each of the rungs that were tried.
fn failing(cause: FailureCause, tried: &[Rung]) -> ReplicaHistory {
    let decision = |(index, rung): (usize, &Rung)| {
        let attempt = u32::try_from(index).unwrap() + 1;
        let at = ago(1000 - 100 * i64::from(attempt));
        let mut decision =
            Decision { at, failed_at: at, attempt, rung: *rung, result: DecisionResult::Failed, ..Decision::default() };
        decision.explain(&of(cause));
        decision
    };
    ReplicaHistory {
        attempts: u32::try_from(tried.len()).unwrap(),
        spec_hash: "app-v1".into(),
        failure: Some(Failure {
            at: ago(100),
            message: "exit code 1".into(),
            exit_code: Some(1),
            run: FailedRun { container: container("app-1").id, ..FailedRun::default() },
            diagnosis: Some(of(cause)),
            ..Failure::default()
        }),
        decisions: tried.iter().enumerate().map(decision).collect(),
        ..ReplicaHistory::default()
    }
}

/// It decided on that rung for the present failure.
fn deciding(mut record: ReplicaHistory, rung: Rung) -> ReplicaHistory {
    record.attempts += 1;
    let decision = Decision {
        at: ago(50),
        failed_at: ago(100),
        attempt: record.attempts,
        rung,
        rule: Rule::NothingLessHelped,
        container: container("app-1").id,
        ..Decision::default()
    };
    record.keep(decision);
    record
}

const RESTARTS: [Rung; 2] = [Rung::Restart, Rung::Restart];

fn ended(service: DesiredService, record: ReplicaHistory) -> Scene {
    let just = Container { started_at: Some(ago(101)), ..container("app-1") };
    Scene::declares([service]).ended_as(just, 1, 100, Verdict::OwnAccord).remembers("app-1", record)
}

fn app(record: ReplicaHistory) -> Scene {
    ended(service("app"), record)
}

/// Its policy wants newer images, and it came from a registry.
fn of_registry(record: ReplicaHistory) -> Scene {
    ended(DesiredService { pull: PullRule::Always, ..service("app") }, record).change(|s| {
        let image = s.snapshot.images[TAGGED].clone();
        s.snapshot.images.insert(TAGGED.into(), Image { digests: vec!["app@sha256:d1".into()], ..image });
    })
}

/// It worked with another image, which is still here.
fn worked_before(scene: Scene) -> Scene {
    scene.change(|s| {
        let old = Image { id: "sha256:01d".into(), tags: vec![], digests: vec![] };
        s.snapshot.images.insert("sha256:01d".into(), old);
        let good = GoodImage { spec_hash: "app-v1".into(), reference: "app:1".into(), image_id: "sha256:01d".into() };
        s.memory.good.insert("app".into(), good);
    })
}

fn with_data(mut scene: Scene) -> Scene {
    let name = "ab".repeat(32);
    let ended = scene.snapshot.containers.values().next().unwrap().as_ref().clone();
    let volume = Volume { name: name.clone(), labels: Default::default(), driver: "local".into() };
    scene.snapshot.volumes.insert(name.clone(), volume);
    scene.with(Container { mounts: vec![Mount { kind: "volume".into(), source: name, destination: "/data".into() }], ..ended })
}

#[test]
fn a_failure_that_restarts_do_not_mend_is_met_by_the_next_rung() {
    use FailureCause::{ApplicationError, OutOfMemory};
    let successor = Container {
        id: format!("{:0<64}", "5"),
        name: format!("{}_web-app-1", &container("app-1").id[..12]),
        state: ContainerState::Created,
        started_at: None,
        ..container("app-1")
    };
    let only = |actions: Vec<Rung>| app(failing(ApplicationError, &RESTARTS)).change(|s| s.desired.recovery.actions = actions);
    golden!(
        "rungs",
        [
            ("restarted once", app(failing(ApplicationError, &[Rung::Restart]))),
            ("restarted twice: made anew", app(failing(ApplicationError, &RESTARTS))),
            ("its anonymous volume goes with it", with_data(app(failing(ApplicationError, &RESTARTS)))),
            (
                "half-way: the successor is made",
                app(deciding(failing(ApplicationError, &RESTARTS), Rung::Recreate)).with(successor)
            ),
            ("another replica does well with the image: it is not pulled for one", {
                let two = |s: &mut Scene| s.desired.services.get_mut("app").unwrap().replicas = 2;
                of_registry(failing(ApplicationError, &[Rung::Restart, Rung::Restart, Rung::Recreate]))
                    .with(Container { image_id: TAGGED.into(), ..container("app-2") })
                    .change(two)
            }),
            ("somebody tagged another image: it is not brought in", {
                let other = |s: &mut Scene| {
                    let image = s.snapshot.images.remove(TAGGED).unwrap();
                    let other = Image { id: "sha256:0ther".into(), ..image };
                    s.snapshot.images.insert("sha256:0ther".into(), other);
                };
                app(failing(ApplicationError, &RESTARTS)).change(other)
            }),
            ("the registry is busy: it waits for its turn", {
                let busy = |s: &mut Scene| {
                    let view = RegistryView { pulling: 3, ..RegistryView::default() };
                    s.registries.insert("docker.io".into(), view);
                };
                of_registry(failing(ApplicationError, &[Rung::Restart, Rung::Restart, Rung::Recreate])).change(busy)
            }),
            ("gone, and only new ones are allowed", {
                let gone = |s: &mut Scene| {
                    s.snapshot.containers = Default::default();
                    s.desired.recovery.actions = vec![Rung::Recreate];
                };
                app(failing(ApplicationError, &RESTARTS)).change(gone)
            }),
            ("only restarts are allowed", only(vec![Rung::Restart])),
            ("neither restarts nor new ones are allowed, and there is nothing to pull", only(vec![Rung::Pull])),
            ("out of memory: nothing but restarts", of_registry(failing(OutOfMemory, &RESTARTS))),
            ("its image is pulled", of_registry(failing(ApplicationError, &[Rung::Restart, Rung::Restart, Rung::Recreate]))),
            (
                "the pull is under way",
                of_registry(deciding(failing(ApplicationError, &RESTARTS), Rung::Pull))
                    .change(|s| s.jobs.push(Job { kind: JobKind::Pull("app:1".into()), since: ago(40) }))
            ),
            (
                "the pull brought nothing newer",
                of_registry(deciding(failing(ApplicationError, &RESTARTS), Rung::Pull)).change(|s| {
                    let record = ImageRecord {
                        image_id: TAGGED.into(),
                        digest: None,
                        began: ago(40),
                        at: ago(30),
                        specs: vec!["app-v1".into()],
                    };
                    s.memory.images.insert("app:1".into(), record);
                })
            ),
            (
                "its image is built anew",
                ended(
                    DesiredService {
                        build: Some(BuildSpec { image: "app:1".into(), context: Some("/src".into()), ..BuildSpec::default() }),
                        ..service("app")
                    },
                    failing(ApplicationError, &[Rung::Restart, Rung::Restart, Rung::Recreate])
                )
                .change(|s| {
                    s.inputs.insert("app".into(), BuildInput::Digest("one".into()));
                    let record = BuildRecord { image_id: TAGGED.into(), input: "one".into(), began: ago(4000), at: ago(3900) };
                    s.memory.builds.insert("app:1".into(), record);
                })
            ),
            (
                "somebody else made it: it is not made anew",
                app(failing(ApplicationError, &RESTARTS)).change(|s| {
                    let id = container("app-1").id;
                    let mut theirs = s.snapshot.containers.get(&id).unwrap().as_ref().clone();
                    theirs.labels =
                        [(labels::COMPOSE_PROJECT, "web"), (labels::COMPOSE_SERVICE, "app"), (labels::COMPOSE_NUMBER, "1")]
                            .map(|(label, value)| (label.to_owned(), value.to_owned()))
                            .into();
                    s.snapshot.containers.insert(id, std::sync::Arc::new(theirs));
                    s.history.replicas.get_mut("app-1").unwrap().was_ours = true;
                })
            ),
        ]
    );
}

#[test]
fn an_image_that_fails_is_left_for_the_one_that_worked() {
    use FailureCause::ApplicationError;
    let rolled_back = |scene: Scene| {
        worked_before(scene).change(|s| {
            let back = RolledBack { spec_hash: "app-v1".into(), from: TAGGED.into(), to: "sha256:01d".into(), at: ago(40) };
            s.memory.rolled_back.insert("app".into(), back);
        })
    };
    let retagged = |scene: Scene| {
        rolled_back(scene).change(|s| {
            let image = |tags: Vec<String>, id: &str| Image { id: id.into(), tags, digests: vec![] };
            s.snapshot.images.insert(TAGGED.into(), image(vec![], TAGGED));
            s.snapshot.images.insert("sha256:01d".into(), image(vec!["app:1".into()], "sha256:01d"));
        })
    };
    let pulled = |scene: Scene, id: &str| {
        let record = ImageRecord { image_id: id.into(), digest: None, began: ago(30), at: ago(20), specs: vec!["app-v1".into()] };
        scene.change(|s| drop(s.memory.images.insert("app:1".into(), record)))
    };
    let runs = || Scene::declares([service("app")]).with(Container { image_id: "sha256:01d".into(), ..container("app-1") });
    let status = retagged(runs()).status();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.message.as_str()),
        ("True", "1 of 1 replicas ready; rolled back to the image before: app (`evenkeel diff` says what ends that)")
    );
    assert_eq!(
        status.services[0].containers[0].drift,
        ["runs the image before (sha256:01d), since the newer one (sha256:617070) failed and was rolled back; \
          `evenkeel pull web` or another specification ends that"]
    );
    let deciding = || app(deciding(failing(ApplicationError, &RESTARTS), Rung::Rollback));
    golden!(
        "rollback",
        [
            ("it worked with another image", worked_before(app(failing(ApplicationError, &RESTARTS)))),
            (
                "but the specification was another one",
                worked_before(app(failing(ApplicationError, &RESTARTS))).change(|s| s
                    .memory
                    .good
                    .get_mut("app")
                    .unwrap()
                    .spec_hash = "app-v0".into())
            ),
            (
                "but that is gone",
                worked_before(app(failing(ApplicationError, &RESTARTS))).change(|s| drop(s.snapshot.images.remove("sha256:01d")))
            ),
            ("the reference names it again", retagged(deciding())),
            ("the reference names it again since another service has it", {
                let shared = |s: &mut Scene| {
                    let back = s.memory.rolled_back.remove("app").unwrap();
                    s.memory.rolled_back.insert("sibling".into(), back);
                };
                retagged(app(failing(ApplicationError, &RESTARTS))).change(shared)
            }),
            ("two services of one image fail at once: each goes back", {
                let both = |s: &mut Scene| {
                    let mut sibling = service("sibling");
                    sibling.template.image = "app:1".into();
                    s.desired.services.insert("sibling".into(), sibling);
                    let good = GoodImage { spec_hash: "sibling-v1".into(), ..s.memory.good["app"].clone() };
                    s.memory.good.insert("sibling".into(), good);
                };
                let record = failing(ApplicationError, &RESTARTS);
                let run = FailedRun { container: container("sibling-1").id, ..FailedRun::default() };
                let failure = record.failure.clone().map(|failure| Failure { run, ..failure });
                let ended = Container { image_id: TAGGED.into(), image: "app:1".into(), ..container("sibling-1") };
                worked_before(app(record.clone()))
                    .change(both)
                    .ended_as(Container { started_at: Some(ago(101)), ..ended }, 1, 100, Verdict::OwnAccord)
                    .remembers("sibling-1", ReplicaHistory { spec_hash: "sibling-v1".into(), failure, ..record })
            }),
            ("a dead one of two does not wait for the other", {
                let two = |s: &mut Scene| s.desired.services.get_mut("app").unwrap().replicas = 2;
                retagged(deciding()).with(Container { state: ContainerState::Created, ..container("app-2") }).change(two)
            }),
            (
                "what the reference named was pulled before, and is neither of the two",
                retagged(deciding()).change(|s| {
                    let record = ImageRecord {
                        image_id: "sha256:0ther".into(),
                        digest: None,
                        began: ago(900),
                        at: ago(890),
                        specs: vec!["app-v1".into()],
                    };
                    s.memory.images.insert("app:1".into(), record);
                })
            ),
            ("a poll brought the one that failed again, and nothing follows", pulled(rolled_back(runs()), TAGGED)),
            ("gone, and to be made: not from the one that failed", rolled_back(Scene::declares([service("app")]))),
            (
                "a pull was asked for since",
                pulled(rolled_back(runs()), TAGGED)
                    .change(|s| s.desired.services.get_mut("app").unwrap().pulled_at = Some(ago(35)))
            ),
        ]
    );
}

#[test]
fn what_only_a_person_can_mend_is_told_at_once() {
    let refused = |cause: FailureCause| {
        let record = ReplicaHistory {
            failure: Some(Failure {
                at: ago(1),
                message: "exec: frobnicate".into(),
                diagnosis: Some(of(cause)),
                ..Failure::default()
            }),
            ..failing(cause, &[])
        };
        let made = Container { state: ContainerState::Created, started_at: None, ..container("app-1") };
        Scene::declares([service("app")]).with(made).remembers("app-1", record)
    };
    let this_worked =
        |scene: Scene| worked_before(scene).change(|s| s.memory.good.get_mut("app").unwrap().image_id = TAGGED.into());
    golden!(
        "persons",
        [
            ("its command is missing", refused(FailureCause::MissingCommand)),
            ("its command is missing, and was there before", this_worked(refused(FailureCause::MissingCommand))),
            (
                "its command is missing, and this very container ran with it",
                refused(FailureCause::MissingCommand).change(|scene| {
                    let found = std::sync::Arc::make_mut(scene.snapshot.containers.get_mut(&container("app-1").id).unwrap());
                    (found.started_at, found.error) = (Some(ago(60)), "exec: frobnicate".into());
                }),
            ),
            ("its command is missing in the new image", worked_before(refused(FailureCause::MissingCommand))),
            ("the disk is full: tried again, but slowly", refused(FailureCause::DiskFull)),
            ("its log says twice that it has no rights", app(failing(FailureCause::PermissionDenied, &[Rung::Restart]))),
            ("its log says so for the first time", app(failing(FailureCause::PermissionDenied, &[]))),
        ]
    );
}

#[test]
fn what_is_suggested_is_done_when_it_is_approved() {
    use FailureCause::ApplicationError;
    let asks = |scene: Scene| scene.change(|s| s.desired.recovery.mode = RecoveryMode::Suggest);
    let restart = || asks(app(failing(ApplicationError, &[])));
    let suggested = |scene: Scene, answer: Option<bool>| {
        let known = scene.plan().notes.into_iter().find_map(|note| match note {
            Note::Suggestions(all) => Some(all),
            _ => None,
        });
        scene.change(|s| {
            s.history.suggestions = known.unwrap_or_default();
            let id = s.history.suggestions.values().next().map(|one| one.id.clone()).unwrap_or_default();
            let answer = answer.map(|approved| Answer { id, approved, at: ago(0), by: "cli:root".into() });
            s.desired.answers.extend(answer);
        })
    };
    let removed = || {
        asks(Scene::declares([DesiredService { pull: PullRule::Always, ..service("app") }]))
            .remembers("app-1", ReplicaHistory { was_running: true, ..ReplicaHistory::default() })
    };
    // The turn after the answer: it stands in the history.
    let answered_before = |scene: Scene| {
        scene.change(|s| {
            let answer = s.desired.answers.pop();
            s.history.suggestions.values_mut().for_each(|known| known.answer = answer.clone());
        })
    };
    let pulled = |s: &mut Scene| {
        let record =
            ImageRecord { image_id: TAGGED.into(), digest: None, began: ago(9), at: ago(8), specs: vec!["app-v1".into()] };
        s.memory.images.insert("app:1".into(), record);
    };
    let approved_stop = |under_way: bool| {
        let known = Suggestion {
            id: "app-1-0001".into(),
            why: "service db was restarted or replaced".into(),
            answer: Some(Answer { id: "app-1-0001".into(), approved: true, at: ago(5), by: "cli:root".into() }),
            ..Suggestion::default()
        };
        let scene = match under_way {
            true => Scene::declares([service("app")])
                .with(container("app-1"))
                .change(|s| s.jobs.push(Job { kind: JobKind::Stop(container("app-1").id), since: ago(4) })),
            false => Scene::declares([service("app")]).ended("app-1", 0, 1, Verdict::Ours(StopReason::Restart)),
        };
        asks(scene).change(|s| {
            s.history.suggestions.insert("app-1".into(), known);
            s.desired.recovery.bound = RecoveryMode::Suggest;
        })
    };
    golden!(
        "suggestions",
        [
            ("it is suggested", restart()),
            ("it was suggested before", suggested(restart(), None)),
            ("it was approved", suggested(restart(), Some(true))),
            ("it was rejected", suggested(restart(), Some(false))),
            (
                "it was rejected: the next rung",
                restart().change(|s| s.history.replicas.get_mut("app-1").unwrap().rejected = vec![Rung::Restart])
            ),
            (
                "all was rejected",
                restart().change(|s| s.history.replicas.get_mut("app-1").unwrap().rejected = Rung::ALL.to_vec())
            ),
            ("to be made anew, and approved", suggested(asks(app(failing(ApplicationError, &RESTARTS))), Some(true))),
            (
                "the whole host is bound, and it was approved",
                suggested(restart().change(|s| s.desired.recovery.bound = RecoveryMode::Suggest), Some(true))
            ),
            ("held meanwhile", suggested(restart(), Some(true)).hold("", HoldState::Stopped, "Stopped")),
            ("removed, and to be pulled first", suggested(removed(), None)),
            ("removed, pulled first, and approved: the pull is under way", {
                let pulls = |s: &mut Scene| s.jobs.push(Job { kind: JobKind::Pull("app:1".into()), since: ago(1) });
                answered_before(suggested(removed(), Some(true))).change(pulls)
            }),
            ("removed, pulled, and approved before", answered_before(suggested(removed(), Some(true))).change(pulled)),
            ("rejected, and asked for since", {
                let asked = |s: &mut Scene| s.desired.services.get_mut("app").unwrap().retried_at = Some(noon());
                let before =
                    |s: &mut Scene| s.history.suggestions.values_mut().next().unwrap().answer.as_mut().unwrap().at = ago(9);
                answered_before(suggested(removed(), Some(false))).change(before).change(asked)
            }),
            ("its dependency was replaced, and that was approved: its stop is under way", approved_stop(true)),
            ("the stop has ended, and the whole host is bound", approved_stop(false)),
            ("only reports are wanted", restart().change(|s| s.desired.recovery.mode = RecoveryMode::Observe)),
        ]
    );
}
