use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::model::BuildArgs;

/// A context with a file in a folder, and a cache that has not seen it.
struct Scene {
    folder: TempDir,
    spec: BuildSpec,
    cache: DigestCache,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
        fs::write(folder.path().join("src/main.c"), "int main;").unwrap();
        let spec = BuildSpec { context: Some(folder.path().display().to_string()), ..BuildSpec::default() };
        Self { folder, spec, cache: DigestCache::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The digest, a day after all that was done: nothing is fresh.
    fn digest(&mut self) -> String {
        let tomorrow = Timestamp::from_second(4_000_000_000).unwrap();
        let warm = self.cache.digest(&self.spec, tomorrow).unwrap();
        let cold = DigestCache::default().digest(&self.spec, tomorrow).unwrap();
        assert_eq!(warm, cold, "what is remembered changes nothing");
        warm
    }

    fn changes(&mut self, what: &str, change: impl FnOnce(&mut Self)) {
        let before = self.digest();
        change(self);
        assert_ne!(self.digest(), before, "{what} changes the digest");
    }

    fn keeps(&mut self, what: &str, change: impl FnOnce(&mut Self)) {
        let before = self.digest();
        change(self);
        assert_eq!(self.digest(), before, "{what} changes nothing");
    }
}

#[test]
fn contents_names_permissions_and_links_count() {
    let mut scene = Scene::new();
    scene.changes("a file's content", |s| fs::write(s.path("src/main.c"), "int main2;").unwrap());
    scene.changes("content of the same length", |s| fs::write(s.path("src/main.c"), "int main3;").unwrap());
    scene.changes("the Dockerfile", |s| fs::write(s.path("Dockerfile"), "FROM scratch\n").unwrap());
    scene.changes("a new file", |s| fs::write(s.path("new"), "").unwrap());
    scene.changes("another name", |s| fs::rename(s.path("new"), s.path("other")).unwrap());
    scene.changes("a folder", |s| fs::create_dir(s.path("empty")).unwrap());
    scene.changes("permissions", |s| fs::set_permissions(s.path("other"), fs::Permissions::from_mode(0o755)).unwrap());
    scene.changes("a link", |s| symlink("other", s.path("link")).unwrap());
    scene.changes("its target", |s| {
        fs::remove_file(s.path("link")).unwrap();
        symlink("/etc/passwd", s.path("link")).unwrap();
    });
    scene.changes("a file that is gone", |s| fs::remove_file(s.path("other")).unwrap());
}

#[test]
fn times_and_what_is_left_out_do_not_count() {
    let mut scene = Scene::new();
    scene.keeps("a touch", |s| {
        let later = std::time::UNIX_EPOCH + Duration::from_secs(3_000_000_000);
        fs::File::options().write(true).open(s.path("src/main.c")).unwrap().set_modified(later).unwrap();
    });
    scene.keeps("the same written again", |s| {
        fs::remove_file(s.path("src/main.c")).unwrap();
        fs::write(s.path("src/main.c"), "int main;").unwrap();
    });
    scene.changes("an ignore file", |s| fs::write(s.path(".dockerignore"), "*.log\nnode_modules\n").unwrap());
    scene.keeps("what it leaves out", |s| {
        fs::write(s.path("a.log"), "x").unwrap();
        fs::create_dir(s.path("node_modules")).unwrap();
        fs::write(s.path("node_modules/x"), "x").unwrap();
    });
    scene.keeps("a socket", |s| drop(std::os::unix::net::UnixListener::bind(s.path("socket")).unwrap()));
    scene
        .changes("an ignore file of the Dockerfile's own", |s| fs::write(s.path("Dockerfile.dockerignore"), "socket\n").unwrap());
    scene.changes("the other one does not count any more", |s| fs::write(s.path("b.log"), "x").unwrap());
}

#[test]
fn the_words_of_the_build_count_as_far_as_they_change_the_image() {
    let mut scene = Scene::new();
    let arg = |value: &str| BuildArgs([("A".to_owned(), Some(value.to_owned()))].into());
    scene.changes("an argument", |s| s.spec.args = arg("1"));
    scene.changes("its value", |s| s.spec.args = arg("2"));
    scene.changes("the stage", |s| s.spec.target = Some("run".into()));
    scene.changes("a label", |s| drop(s.spec.labels.insert("a".into(), "b".into())));
    scene.changes("the Dockerfile's place", |s| {
        fs::copy(s.path("Dockerfile"), s.path("src/Dockerfile")).unwrap();
        s.spec.dockerfile = Dockerfile::Path("src/Dockerfile".into());
    });
    scene.changes("an inline one", |s| s.spec.dockerfile = Dockerfile::Inline("FROM scratch\n".into()));
    scene.changes("its text", |s| s.spec.dockerfile = Dockerfile::Inline("FROM scratch\nLABEL a=b\n".into()));
    scene.keeps("no_cache and pull", |s| (s.spec.no_cache, s.spec.pull) = (true, true));
    scene.keeps("a secret", |s| drop(s.spec.secrets.insert("a".into(), "/a".into())));
}

#[test]
fn an_unchanged_file_is_not_read_again_and_one_just_written_is() {
    let mut scene = Scene::new();
    let tomorrow = Timestamp::from_second(4_000_000_000).unwrap();
    let before = scene.cache.digest(&scene.spec, tomorrow).unwrap();
    let stamp = scene.cache.files[Path::new("src/main.c")].0.clone();
    scene.cache.files.insert("src/main.c".into(), (stamp, [7; 32]));
    assert_ne!(scene.cache.digest(&scene.spec, tomorrow).unwrap(), before, "what is remembered is taken");
    let changed = fs::metadata(scene.path("src/main.c")).unwrap().ctime();
    let at_once = Timestamp::from_second(changed).unwrap();
    scene.cache.digest(&scene.spec, at_once).unwrap();
    assert!(scene.cache.files.is_empty(), "what was written a moment ago is not remembered");
}

#[test]
fn what_cannot_be_read_is_told_with_its_path() {
    let mut scene = Scene::new();
    let tomorrow = Timestamp::from_second(4_000_000_000).unwrap();
    let told = |spec: &BuildSpec| DigestCache::default().digest(spec, tomorrow).unwrap_err().to_string();
    let nowhere = BuildSpec { context: Some("/nonexistent/x".into()), ..BuildSpec::default() };
    assert_eq!(told(&nowhere), "cannot read /nonexistent/x for the build: No such file or directory (os error 2)");
    let file = BuildSpec { context: Some(scene.path("Dockerfile").display().to_string()), ..BuildSpec::default() };
    assert!(told(&file).ends_with("is no folder"));
    scene.spec.dockerfile = Dockerfile::Path("Containerfile".into());
    assert!(told(&scene.spec).contains("/Containerfile for the build"));
    let inline = BuildSpec { dockerfile: Dockerfile::Inline("FROM scratch".into()), ..BuildSpec::default() };
    assert!(DigestCache::default().digest(&inline, tomorrow).is_ok(), "an inline Dockerfile needs no context");
}
