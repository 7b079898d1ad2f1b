use super::golden;
use super::scene::{Scene, container, service};
use crate::model::*;

fn depends(mut on: DesiredService, name: &str, condition: DependencyCondition) -> DesiredService {
    on.depends_on.insert(name.into(), Dependency { condition, restart: false, required: true });
    on
}

fn healthy(mut container: Container, status: HealthStatus) -> Container {
    container.health = Some(Health { status, last_output: "connection refused".into(), ..Health::default() });
    container
}

/// Networks of the same name beside the one that is there.
fn twice(scene: Scene, ids: &[&str]) -> Scene {
    scene.change(|s| {
        let made = s.snapshot.networks["net1"].clone();
        let another = |id: &&str| ((*id).to_owned(), Network { id: (*id).to_owned(), ..made.clone() });
        s.snapshot.networks.extend(ids.iter().map(another));
    })
}

#[test]
fn what_is_declared_and_not_there_is_made_in_order() {
    use DependencyCondition::{ServiceCompletedSuccessfully, ServiceHealthy, ServiceStarted};
    let two = || Scene::declares([service("db"), depends(service("app"), "db", ServiceStarted)]);
    let healthy_db = || Scene::declares([service("db"), depends(service("app"), "db", ServiceHealthy)]);
    let migrated = || {
        let migrate = DesiredService { job: true, ..service("migrate") };
        Scene::declares([migrate, depends(service("app"), "migrate", ServiceCompletedSuccessfully)])
    };
    let volume = |scene: &mut Scene| {
        let mount = MountSpec {
            source: MountSource::Volume { name: "web_data".into(), nocopy: false, subpath: None },
            target: "/data".into(),
            read_only: false,
        };
        scene.desired.services.get_mut("db").unwrap().template.mounts.push(mount);
        scene.desired.volumes.insert("data".into(), VolumeSpec { name: "web_data".into(), ..VolumeSpec::default() });
    };
    golden!(
        "bring_up",
        [
            ("nothing there, a network and a volume to make", two().change(|s| s.snapshot.networks.clear()).change(volume)),
            ("the network was made twice: an operator was killed while it made it", twice(two(), &["net0", "net2"])),
            ("the network was made twice, and one is in use", twice(two(), &["net0"]).with(container("db-1"))),
            ("converged", two().with(container("db-1")).with(container("app-1"))),
            (
                "three replicas, one missing",
                Scene::declares([DesiredService { replicas: 3, ..service("app") }])
                    .with(container("app-1"))
                    .with(container("app-3"))
            ),
            ("the database has no verdict yet", healthy_db().with(healthy(container("db-1"), HealthStatus::Starting))),
            ("the database is healthy", healthy_db().with(healthy(container("db-1"), HealthStatus::Healthy))),
            ("the database has no probe", healthy_db().with(container("db-1"))),
            ("the migration runs", migrated().with(container("migrate-1"))),
            (
                "the migration is done and its container pruned",
                migrated().change(|s| {
                    let done = Completion { spec_hash: "migrate-v1".into(), at: super::scene::ago(60), exit_code: 0 };
                    s.memory.completions.insert("migrate-1".into(), done);
                })
            ),
            ("the image is missing", two().change(|s| s.snapshot.images.clear())),
            (
                "the image is missing and must not be pulled",
                Scene::declares([DesiredService { pull: PullRule::Never, ..service("app") }])
                    .change(|s| s.snapshot.images.clear())
            ),
            (
                "a pull is under way",
                two().change(|s| {
                    s.snapshot.images.clear();
                    for image in ["db:1", "old:1"] {
                        s.jobs.push(Job { kind: JobKind::Pull(image.into()), since: super::scene::ago(3) });
                    }
                })
            ),
            (
                "the engine has not answered a creation",
                two().change(|s| {
                    let subject = Subject::Replica(ReplicaId::new("db", 1));
                    s.jobs.push(super::scene::call(subject, "create container web-db-1 from db:1"));
                })
            ),
            (
                "the engine has not answered the creation of a network",
                two().change(|s| {
                    s.snapshot.networks.clear();
                    s.jobs.push(super::scene::call(Subject::Network("web_default".into()), "create network web_default"));
                })
            ),
            (
                "the name is held by a foreigner",
                two().with(container("db-1")).with(Container { id: "f".repeat(64), labels: [].into(), ..container("app-1") })
            ),
            ("the network is somebody else's", two().change(|s| s.snapshot.networks.values_mut().for_each(|n| n.labels.clear()))),
            (
                "an external network is missing",
                two().change(|s| {
                    s.snapshot.networks.clear();
                    s.desired.networks.values_mut().for_each(|n| n.external = true);
                })
            ),
            (
                "made and never started",
                Scene::declares([service("app")]).with(Container {
                    state: ContainerState::Created,
                    started_at: None,
                    ..container("app-1")
                })
            ),
            ("the project is claimed by another", two().change(|s| s.desired.claimed_by = Some(Key::new("other", "web")))),
        ]
    );
}

#[test]
fn what_is_not_declared_any_more_goes_and_a_deletion_takes_all_but_volumes() {
    let deleted = |deletion| {
        let two = [service("db"), depends(service("app"), "db", DependencyCondition::ServiceStarted)];
        Scene::declares(two).change(|s| s.desired.deletion = Some(deletion))
    };
    let volume = |scene: &mut Scene| {
        let labels = scene.snapshot.networks["net1"].labels.clone();
        let volume = Volume { name: "web_data".into(), labels, driver: "local".into() };
        scene.snapshot.volumes.insert("web_data".into(), volume);
    };
    let plain = Deletion::default();
    golden!(
        "cleanup",
        [
            (
                "scaled from three to one",
                Scene::declares([service("app")]).with(container("app-1")).with(container("app-2")).with(container("app-3"))
            ),
            (
                "a service was taken out",
                Scene::declares([service("app")]).with(container("app-1")).ended(
                    "old-1",
                    0,
                    60,
                    Verdict::Ours(StopReason::Remove)
                )
            ),
            ("deleted, dependents first", deleted(plain).with(container("db-1")).with(container("app-1"))),
            ("deleted, all stopped", deleted(plain).ended("db-1", 0, 9, Verdict::Ours(StopReason::Remove))),
            ("deleted, containers gone", deleted(plain).change(volume)),
            (
                "deleted with volumes",
                deleted(Deletion { volumes: true, ..plain }).change(volume).change(|s| s.snapshot.networks.clear())
            ),
            (
                "deleted with volumes, which are external by now",
                deleted(Deletion { volumes: true, ..plain }).change(volume).change(|s| {
                    s.snapshot.networks.clear();
                    let external = VolumeSpec { name: "web_data".into(), external: true, ..VolumeSpec::default() };
                    s.desired.volumes.insert("data".into(), external);
                })
            ),
            ("deleted, nothing left", deleted(plain).change(volume).change(|s| s.snapshot.networks.clear())),
            (
                "deleted, and a creation is not answered yet",
                deleted(plain).change(|s| {
                    s.snapshot.networks.clear();
                    let subject = Subject::Replica(ReplicaId::new("db", 1));
                    s.jobs.push(super::scene::call(subject, "create container web-db-1 from db:1"));
                })
            ),
            (
                "deleted, left running",
                deleted(Deletion { orphan: true, ..plain }).with(container("db-1")).change(|s| {
                    s.desired.services.get_mut("db").unwrap().declared_restart = DockerRestart::Always;
                })
            ),
        ]
    );
}
