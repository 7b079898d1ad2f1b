//! What Compose made before, taken over or left alone.

use super::golden;
use super::scene::{Scene, ago, container, noon, service};
use crate::model::*;

/// A service whose declaration has this hash of Compose's.
fn app() -> DesiredService {
    let mut app = DesiredService { declared_restart: DockerRestart::Always, restart: RestartRule::Always, ..service("app") };
    app.template.labels.insert(labels::COMPOSE_CONFIG_HASH.into(), "declared".into());
    app
}

/// Labels that Compose gives what it makes of the project.
fn compose(more: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let project = [(labels::COMPOSE_PROJECT, "web"), (labels::COMPOSE_VERSION, "2.40.3")];
    project.iter().chain(more).map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

/// Compose's container of a replica, with this hash of its declaration.
fn theirs(replica: &str, hash: &str) -> Container {
    let id: ReplicaId = replica.parse().unwrap();
    let number = id.number.to_string();
    let labels = compose(&[
        (labels::COMPOSE_SERVICE, id.service.as_str()),
        (labels::COMPOSE_NUMBER, number.as_str()),
        (labels::COMPOSE_ONEOFF, "False"),
        (labels::COMPOSE_CONFIG_HASH, hash),
    ]);
    Container { labels, restart_policy: DockerRestart::Always, ..container(replica) }
}

/// A project of Compose's with its network, and this container.
fn scene(found: Container) -> Scene {
    Scene::declares([app()]).with(found).change(|s| {
        let network = compose(&[(labels::COMPOSE_NETWORK, "default")]);
        let made = Network { labels: network, ..s.snapshot.networks["net1"].clone() };
        s.snapshot.networks.insert("net1".into(), made);
        let wanted = s.desired.networks.get_mut("default").unwrap();
        wanted.labels = compose(&[(labels::COMPOSE_NETWORK, "default"), (labels::COMPOSE_CONFIG_HASH, "net")]);
    })
}

fn compared(scene: Scene, differs: &[&str]) -> Scene {
    scene.change(|s| {
        let id = s.snapshot.containers.keys().next().unwrap().clone();
        let differs = differs.iter().map(|line| (*line).to_owned()).collect();
        s.likeness.insert(id, Likeness { spec_hash: "app-v1".into(), differs });
    })
}

fn asked(scene: Scene, recreate: bool) -> Scene {
    scene.change(|s| {
        for service in s.desired.services.values_mut() {
            service.adopt = Some(AdoptRequest { at: ago(1), recreate });
        }
    })
}

#[test]
fn what_compose_made_is_taken_over_as_it_is_or_left_alone_with_the_difference_named() {
    let ended = |code: i64, policy: DockerRestart| Container {
        state: ContainerState::Exited,
        exit_code: code,
        finished_at: Some(ago(60)),
        restart_policy: policy,
        ..theirs("app-1", "declared")
    };
    let other = || theirs("app-1", "other");
    golden!(
        "adopting",
        [
            ("of the same hash", scene(theirs("app-1", "declared"))),
            ("of another hash, not compared yet", scene(other())),
            ("of another hash, and the same", compared(scene(other()), &[])),
            ("it differs", compared(scene(other()), &["image is app:0, declared is app:1"])),
            ("it differs, and is wanted", asked(compared(scene(other()), &["image is app:0, declared is app:1"]), false)),
            (
                "it differs, and was made after it was asked for",
                asked(
                    compared(scene(Container { created_at: Some(noon()), ..other() }), &["image is app:0, declared is app:1"]),
                    false
                )
            ),
            ("somebody stopped it", scene(ended(143, DockerRestart::Always))),
            (
                "a job that is done",
                scene(ended(0, DockerRestart::No)).change(|s| {
                    s.desired.services.get_mut("app").unwrap().job = true;
                })
            ),
            ("suspended", scene(theirs("app-1", "declared")).hold("", HoldState::Suspended, "backup")),
            (
                "the operator only observes",
                scene(theirs("app-1", "declared")).change(|s| s.desired.recovery.bound = RecoveryMode::Observe)
            ),
            (
                "another operator's",
                scene(Container {
                    labels: compose(&[
                        (labels::INSTANCE, "other"),
                        (labels::COMPOSE_SERVICE, "app"),
                        (labels::COMPOSE_NUMBER, "1"),
                        (labels::COMPOSE_CONFIG_HASH, "declared"),
                    ]),
                    ..theirs("app-1", "declared")
                })
            ),
            (
                "made by docker compose run",
                scene(Container {
                    name: "web-app-run-1".into(),
                    labels: compose(&[
                        (labels::COMPOSE_SERVICE, "app"),
                        (labels::COMPOSE_NUMBER, "1"),
                        (labels::COMPOSE_ONEOFF, "True"),
                        (labels::COMPOSE_CONFIG_HASH, "declared"),
                    ]),
                    ..theirs("app-1", "declared")
                })
            ),
            (
                "its network is of another definition",
                scene(theirs("app-1", "declared")).change(|s| {
                    let labels = compose(&[(labels::COMPOSE_NETWORK, "default"), (labels::COMPOSE_CONFIG_HASH, "other")]);
                    let network = Network { labels, ..s.snapshot.networks["net1"].clone() };
                    s.snapshot.networks.insert("net1".into(), network);
                })
            ),
        ]
    );
}

/// What the record of a plan's adoptions comes to.
fn remembered(scene: Scene) -> Scene {
    let notes = scene.plan().notes;
    scene.change(|s| {
        for note in &notes {
            match note.clone() {
                Note::Adopted { replica, record, .. } => drop(s.memory.adopted.insert(replica.to_string(), record)),
                Note::AdoptedNetwork { name, record } => drop(s.memory.adopted_shared.networks.insert(name, record)),
                Note::AdoptedVolume { name, at } => drop(s.memory.adopted_shared.volumes.insert(name, at)),
                Note::Completed { replica, spec_hash, at, exit_code, .. } => {
                    s.memory.completions.insert(replica.to_string(), Completion { spec_hash, at, exit_code });
                }
                _ => {}
            }
        }
        let ids: Vec<String> = s.snapshot.containers.keys().cloned().collect();
        for id in ids {
            let found = s.snapshot.containers.get(&id).unwrap().as_ref().clone();
            s.snapshot.containers.insert(id, std::sync::Arc::new(Container { restart_policy: DockerRestart::No, ..found }));
        }
    })
}

#[test]
fn what_was_taken_over_is_kept_given_back_and_replaced_when_it_must_be() {
    let same = || remembered(scene(theirs("app-1", "declared")));
    let differing = || remembered(asked(compared(scene(theirs("app-1", "other")), &["command is another one"]), false));
    golden!(
        "adopted",
        [
            ("nothing changed", same()),
            ("released", same().hold("", HoldState::Suspended, REASON_RELEASED)),
            ("deleted", same().change(|s| s.desired.deletion = Some(Deletion::default()))),
            (
                "deleted, and somebody else's container is on its network",
                same()
                    .with(Container { id: "f".repeat(64), name: "guest".into(), labels: [].into(), ..container("app-1") })
                    .change(|s| {
                        s.desired.deletion = Some(Deletion::default());
                        let id = s.snapshot.containers.keys().find(|id| !id.starts_with('f')).unwrap().clone();
                        s.snapshot.containers.remove(&id);
                    })
            ),
            (
                "its specification changed",
                same().change(|s| s.desired.services.get_mut("app").unwrap().spec_hash = "app-v2".into())
            ),
            (
                "its network's definition changed",
                same().change(|s| s.desired.networks.get_mut("default").unwrap().hash = "net-v2".into())
            ),
            ("it differs and is wanted as it is", differing()),
            ("it differs and is to be made anew", asked(differing(), true)),
            ("nothing differs and what does was to be made anew", asked(same(), true)),
            ("it was removed", same().change(|s| s.snapshot.containers = Containers::default())),
        ]
    );
}

/// Containers that an action of a plan works on.
fn touched(plan: &Plan) -> Vec<String> {
    let target = |action: &Action| match &action.op {
        Op::Start(target) | Op::RemoveContainer(target) | Op::Stop { target, .. } | Op::Rename { target, .. } => target.clone(),
        Op::Connect { target, .. } | Op::Disconnect { target, .. } | Op::SetRestartPolicy { target, .. } => target.clone(),
        _ => Target::Made { action: 0, name: String::new() },
    };
    let existing = |target: Target| match target {
        Target::Existing { id, .. } => Some(id),
        Target::Made { .. } => None,
    };
    plan.actions.iter().map(target).filter_map(existing).collect()
}

proptest::proptest! {
    /// Whatever lies about on the engine: a plan works only on what bears our labels, what is on record, or what it takes over in the
    /// same breath; and it takes over nothing that is another's, another project's, of `docker compose run`, or different unasked.
    #[test]
    fn nothing_is_touched_that_is_not_ours(
        found in proptest::collection::vec((0_u32..4, 0_u8..5, proptest::bool::ANY, 0_u8..3, 0_u8..4), 0..6),
        asked_for in proptest::bool::ANY,
        recreate in proptest::bool::ANY,
        deleted in proptest::bool::ANY,
        suspended in proptest::bool::ANY,
    ) {
        let mut scene = scene(Container { labels: [].into(), name: "guest".into(), ..container("guest-1") });
        scene.desired.services.get_mut("app").unwrap().replicas = 2;
        let mut takeable = std::collections::BTreeSet::new();
        for (index, (number, owner, same_hash, compared, state)) in found.into_iter().enumerate() {
            let hash = if same_hash { "declared" } else { "other" };
            let mut container = theirs(&format!("app-{number}"), hash);
            container.id = format!("{index:064}");
            container.name = format!("web-app-{number}-{index}");
            container.created_at = Some(ago(100 - i64::try_from(index).unwrap()));
            container.state = [ContainerState::Running, ContainerState::Exited, ContainerState::Created, ContainerState::Paused]
                [usize::from(state)];
            match owner {
                1 => drop(container.labels.insert(labels::INSTANCE.into(), "other".into())),
                2 => drop(container.labels.insert(labels::COMPOSE_ONEOFF.into(), "True".into())),
                3 => drop(container.labels.insert(labels::COMPOSE_PROJECT.into(), "elsewhere".into())),
                _ => {}
            }
            if compared > 0 {
                let differs = if compared == 1 { vec![] } else { vec!["command is another one".to_owned()] };
                scene.likeness.insert(container.id.clone(), Likeness { spec_hash: "app-v1".into(), differs });
            }
            let fits = same_hash || compared == 1 || (compared == 2 && asked_for);
            if matches!(owner, 0 | 4) && (1..=2).contains(&number) && fits {
                takeable.insert(container.id.clone());
            }
            scene = scene.with(container);
        }
        if asked_for {
            scene = asked(scene, recreate);
        }
        if suspended {
            scene = scene.hold("", HoldState::Suspended, "backup");
        }
        scene.desired.deletion = deleted.then(Deletion::default);
        let plan = scene.plan();
        let adopted: std::collections::BTreeSet<String> = plan.notes.iter().filter_map(|note| match note {
            Note::Adopted { record, .. } => Some(record.container_id.clone()),
            _ => None,
        }).collect();
        proptest::prop_assert!(adopted.is_subset(&takeable), "took over {adopted:?}, of {takeable:?}");
        proptest::prop_assert!(!(suspended || deleted) || adopted.is_empty());
        for id in touched(&plan) {
            proptest::prop_assert!(adopted.contains(&id), "{plan}");
        }
        // And what was taken over stays so: planned again, nothing is taken over, stopped or removed that was not asked for.
        let again = remembered(scene).plan();
        proptest::prop_assert!(again.notes.iter().all(|note| !matches!(note, Note::Adopted { .. })), "{again}");
        for id in touched(&again) {
            proptest::prop_assert!(adopted.contains(&id), "{again}");
        }
    }
}
