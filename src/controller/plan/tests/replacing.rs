use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

/// The service as it is after an edit: version 2 of its spec, of an image that is there.
fn edited(replicas: u32) -> Scene {
    let mut app = DesiredService { replicas, spec_hash: "app-v2".into(), ..service("app") };
    app.template.image = "app:2".into();
    Scene::declares([app])
}

/// A successor of replica 1, made and not started.
fn successor() -> Container {
    let old = container("app-1");
    let mut labels = old.labels.clone();
    labels.insert(labels::SPEC_HASH.into(), "app-v2".into());
    Container {
        id: "5".repeat(64),
        name: format!("{}_web-app-1", &old.id[..12]),
        labels,
        state: ContainerState::Created,
        started_at: None,
        created_at: Some(ago(1)),
        ..old
    }
}

fn renewed(replica: &str, seconds: i64) -> Container {
    let old = container(replica);
    let mut labels = old.labels.clone();
    labels.insert(labels::SPEC_HASH.into(), "app-v2".into());
    Container { labels, started_at: Some(ago(seconds)), ..old }
}

#[test]
fn every_half_way_state_of_a_replacement_is_recognised() {
    let volume = Mount { kind: "volume".into(), source: "a".repeat(64), destination: "/var/lib/app".into() };
    let with_volume = Container { mounts: vec![volume.clone()], ..container("app-1") };
    golden!(
        "replacing",
        [
            ("the spec changed", edited(1).with(container("app-1"))),
            ("the successor is made", edited(1).with(container("app-1")).with(successor())),
            (
                "the old one is being stopped",
                edited(1).with(container("app-1")).with(successor()).change(|s| {
                    let kind = JobKind::Stop(container("app-1").id);
                    s.jobs.push(Job { kind, since: ago(2) });
                })
            ),
            ("the old one has stopped", edited(1).ended("app-1", 143, 1, Verdict::Ours(StopReason::Replace)).with(successor())),
            ("the old one is removed", edited(1).with(successor())),
            ("the successor has its name", edited(1).with(Container { name: "web-app-1".into(), ..successor() })),
            (
                "the new image is missing: the old one goes on",
                edited(1).with(container("app-1")).change(|s| s.snapshot.images.clear())
            ),
            (
                "the new image cannot be had: the old one is still healed",
                edited(1).ended("app-1", 1, 0, Verdict::OwnAccord).change(|s| {
                    s.snapshot.images.clear();
                    let obstacle = Obstacle {
                        kind: FailureKind::ImageNotFound,
                        message: "pull image app:2: not found".into(),
                        tries: 2,
                        since: ago(9),
                        last_at: ago(1),
                        input: None,
                    };
                    s.history.obstacles.insert("image app:2".into(), obstacle);
                })
            ),
            (
                "it has run to its end while the new image is missing: the new one has not",
                edited(1).ended("app-1", 0, 0, Verdict::OwnAccord).change(|s| s.snapshot.images.clear())
            ),
            ("the spec changed while it was down", edited(1).ended("app-1", 1, 1, Verdict::OwnAccord)),
            ("two replicas: one at a time", edited(2).with(container("app-1")).with(container("app-2"))),
            (
                "the first is new and has no verdict yet",
                edited(2).with(container("app-2")).with(Container {
                    health: Some(Health { status: HealthStatus::Starting, ..Health::default() }),
                    ..renewed("app-1", 2)
                })
            ),
            ("the first is new and well", edited(2).with(container("app-2")).with(renewed("app-1", 2))),
            (
                "a successor of an older edit is left over",
                edited(1).with(container("app-1")).with(Container { labels: container("app-1").labels, ..successor() })
            ),
            (
                "a restart was asked for",
                Scene::declares([DesiredService { restarted_at: Some(ago(5)), ..service("app") }]).with(container("app-1"))
            ),
            (
                "a restart is fulfilled",
                Scene::declares([DesiredService { restarted_at: Some(ago(5)), ..service("app") }])
                    .with(Container { started_at: Some(ago(4)), ..container("app-1") })
            ),
            (
                "a recreation was asked for",
                Scene::declares([DesiredService { recreated_at: Some(ago(5)), ..service("app") }]).with(container("app-1"))
            ),
            (
                "a recreation is fulfilled",
                Scene::declares([DesiredService { recreated_at: Some(ago(5)), ..service("app") }])
                    .with(Container { created_at: Some(ago(4)), ..container("app-1") })
            ),
            ("anonymous volumes are remembered", Scene::declares([service("app")]).with(with_volume)),
        ]
    );
}

#[test]
fn anonymous_volumes_are_carried_over_by_name() {
    let volume = "a".repeat(64);
    let scene = edited(1).change(|s| {
        let made = Volume { name: volume.clone(), labels: [].into(), driver: "local".into() };
        s.snapshot.volumes.insert(volume.clone(), made);
        s.memory.volumes.insert("app-1".into(), [("/var/lib/app".to_owned(), volume.clone())].into());
    });
    let plan = scene.plan();
    let Op::CreateContainer { spec, .. } = &plan.actions[0].op else { panic!("{plan}") };
    let source = MountSource::Anonymous { carry_over: Some(volume) };
    assert_eq!(spec.mounts, [MountSpec { source, target: "/var/lib/app".into(), read_only: false }]);
    assert_eq!(spec.networks[0].aliases, ["app", "web-app-1"]);
}

#[test]
fn who_shares_a_namespace_follows_its_owner() {
    let mut sidecar = service("sidecar");
    sidecar.template.network = NetworkMode::Service("app".into());
    sidecar.template.networks.clear();
    sidecar
        .depends_on
        .insert("app".into(), Dependency { condition: DependencyCondition::ServiceStarted, restart: true, required: true });
    let app = container("app-1");
    let beside = |parent: &str, seconds| Container {
        network_mode: format!("container:{parent}"),
        networks: [].into(),
        started_at: Some(ago(seconds)),
        ..container("sidecar-1")
    };
    let scene = || Scene::declares([service("app"), sidecar.clone()]).with(app.clone());
    golden!(
        "namespaces",
        [
            ("both run", scene().with(beside(&app.id, 3000))),
            ("the owner was replaced", scene().with(beside("older", 3000))),
            ("the owner was restarted", scene().with(beside(&app.id, 5000))),
            ("the owner is not there yet", Scene::declares([service("app"), sidecar.clone()])),
        ]
    );
}
