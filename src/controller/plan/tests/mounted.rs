use super::golden;
use super::scene::{Scene, ago, container, service};
use crate::model::*;

const CONF: &str = "/srv/shop/app.conf";

fn mark(digest: &str, inode: u64) -> FileMark {
    FileMark { digest: digest.to_owned(), inode, folder: false }
}

/// One service that mounts a file, with what its containers have of it and what is there since a moment.
fn scene(on_change: Option<OnChange>, replicas: u32, has: Option<FileMark>, there: FileMark, seconds: i64) -> Scene {
    let followed = vec![FollowedFile { path: CONF.to_owned(), replaced_only: false, folder: false }];
    let app = DesiredService { on_change, followed, replicas, ..service("app") };
    let state = FileState { mark: there, seen_at: ago(seconds) };
    let scene = Scene::declares([app]).change(|scene| {
        scene.files = Some([(scene.desired.services["app"].followed[0].clone(), state)].into());
        for number in 1..=replicas {
            let marks = has.iter().map(|has| (CONF.to_owned(), has.clone())).collect();
            scene.memory.files.insert(format!("app-{number}"), marks);
        }
    });
    (1..=replicas).fold(scene, |scene, number| scene.with(container(&format!("app-{number}"))))
}

fn changed(on_change: Option<OnChange>, replicas: u32) -> Scene {
    scene(on_change, replicas, Some(mark("old", 1)), mark("new", 2), 5)
}

/// Written in place.
fn edited(on_change: OnChange) -> Scene {
    scene(Some(on_change), 1, Some(mark("old", 1)), mark("new", 1), 5)
}

fn may_write(inode: u64) -> Scene {
    scene(None, 1, Some(mark("old", 1)), mark("new", inode), 5).change(|scene| {
        let file = &mut scene.desired.services.get_mut("app").unwrap().followed[0];
        file.replaced_only = true;
        let states = scene.files.take().unwrap().into_values();
        scene.files = Some(states.map(|state| (file.clone(), state)).collect());
    })
}

#[test]
fn mounted_files() {
    golden!(
        "mounted_files",
        [
            ("another content makes the service anew, one replica at a time", changed(None, 2)),
            ("or restarts it", changed(Some(OnChange::Restart), 1)),
            ("or sends it a signal", edited(OnChange::Signal(ReloadSignal::Hup))),
            ("which is of no use for another file in its place", changed(Some(OnChange::Signal(ReloadSignal::Hup)), 1)),
            ("the same content in another file is nothing", scene(None, 1, Some(mark("old", 1)), mark("old", 2), 5)),
            ("what was there before the container was made is in it", scene(None, 1, Some(mark("old", 1)), mark("new", 2), 7200)),
            ("of what is not known it is taken to be in it", scene(None, 1, None, mark("new", 2), 5)),
            ("nothing is known yet", changed(None, 1).change(|scene| scene.files = None)),
            ("a file that comes to where none was makes it anew", scene(None, 1, Some(FileMark::ABSENT), mark("new", 2), 5)),
            ("even where it would be restarted", scene(Some(OnChange::Restart), 1, Some(FileMark::ABSENT), mark("new", 2), 5),),
            (
                "even where a folder was followed that Docker made in its place",
                scene(Some(OnChange::Restart), 1, Some(FileMark { folder: true, ..mark("empty", 1) }), mark("new", 2), 5),
            ),
            (
                "another content of a folder restarts it",
                scene(
                    Some(OnChange::Restart),
                    1,
                    Some(FileMark { folder: true, ..mark("old", 1) }),
                    FileMark { folder: true, ..mark("new", 1) },
                    5
                ),
            ),
            (
                "a folder that is followed from now on is nothing new, and remembered",
                scene(Some(OnChange::Recreate), 1, Some(FileMark::ABSENT), FileMark { folder: true, ..mark("new", 1) }, 5),
            ),
            ("one that is taken away is nothing", scene(None, 1, Some(mark("old", 1)), FileMark::ABSENT, 5)),
            ("what a container may have written itself is nothing", may_write(1)),
            ("but another file in its place is", may_write(2)),
            (
                "a stopped one stays so",
                edited(OnChange::Signal(ReloadSignal::Usr1)).hold("", HoldState::Stopped, "Stopped").change(|scene| {
                    let id = container("app-1").id;
                    std::sync::Arc::make_mut(scene.snapshot.containers.get_mut(&id).unwrap()).state = ContainerState::Exited;
                }),
            ),
        ]
    );
}

/// A mount of a file that is not there yet, followed as the manifest says, and what Docker makes of it.
#[test]
fn a_file_that_comes_late_makes_its_container_anew_where_it_says_restart() {
    let mount = MountSpec {
        source: MountSource::Bind { path: CONF.to_owned(), create: true, propagation: None, selinux: None },
        target: "/etc/app.conf".to_owned(),
        read_only: true,
    };
    let mut app = DesiredService { on_change: Some(OnChange::Restart), ..service("app") };
    app.template.mounts.push(mount);
    let mut scene = Scene::declares([app]);
    crate::controller::follow::mounted(&mut scene.desired, Some(std::path::Path::new("/srv/shop")));
    let [file] = &scene.desired.services["app"].followed[..] else { panic!("one path is followed") };
    let folder = FileMark { folder: true, ..mark("empty", 1) };
    scene.memory.files.insert("app-1".to_owned(), [(file.path.clone(), folder)].into());
    scene.files = Some([(file.clone(), FileState { mark: mark("late", 2), seen_at: ago(5) })].into());
    let plan = scene.with(container("app-1")).plan().to_string();
    assert!(plan.contains("create container"), "a start would fail, for a file is no folder: {plan}");
}
