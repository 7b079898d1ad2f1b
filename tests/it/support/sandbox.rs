//! One test's own corner of the machine.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::processes;
use super::{Docker, image};

/// Every prefix begins with this, then the test process's id.
const MARK: &str = "ekt";

/// A unique prefix, a folder, and the promise that what carries the prefix is gone afterwards, also after a panic.
///
/// A test that is killed cannot keep it; the next sandbox then clears up behind it.
#[derive(Debug)]
pub struct Sandbox {
    prefix: String,
    dir: PathBuf,
    docker: Docker,
}

impl Sandbox {
    /// A new one on the machine's own daemon.
    pub fn new() -> Self {
        let docker = Docker::machine();
        docker
            .ping()
            .unwrap_or_else(|error| panic!("these tests need a running Docker Engine (`make test` starts one): {error}"));
        clear_behind_the_dead(&docker);
        let random = uuid::Uuid::new_v4().simple().to_string();
        let prefix = format!("{MARK}-{}-{}", std::process::id(), &random[..4]);
        let dir = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(dir.join("manifests")).unwrap();
        Self { prefix, dir, docker }
    }

    /// Begins the name of everything the test makes on the engine.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The test's own folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder that the operator watches.
    pub fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    /// The machine's own daemon.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The image test containers run, on the machine's daemon; shared by all tests, never removed.
    pub fn image(&self) -> String {
        image::ensure(&self.docker, false)
    }

    /// The same image with an anonymous volume at `/data`.
    pub fn volume_image(&self) -> String {
        image::ensure(&self.docker, true)
    }

    /// The image under a tag of this test alone, to be removed, replaced or pushed.
    pub fn own_image(&self, name: &str) -> String {
        let tag = format!("{}-{name}:1", self.prefix);
        self.docker.run(&["tag", &self.image(), &tag]);
        tag
    }

    /// A version of the test image: the same but for a label, so that its id and digest are its own.
    pub fn version_of_image(&self, version: &str) -> String {
        let tag = format!("{}-{version}:1", self.prefix);
        let lines = format!("FROM {}\nLABEL version={}-{version}\n", self.image(), self.prefix);
        image::build(&self.docker, &tag, &lines, &[]);
        tag
    }

    /// A version of the test image with a layer of 8 MB that nobody else has.
    pub fn large_image(&self, name: &str) -> String {
        let tag = format!("{}-{name}:1", self.prefix);
        let mut noise = vec![0; 8 << 20];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
        image::build(&self.docker, &tag, &format!("FROM {}\nCOPY noise /noise\n", self.image()), &noise);
        tag
    }

    /// A version of the test image with a program `/garbage` that no machine can run.
    pub fn image_with_garbage(&self, name: &str) -> String {
        let tag = format!("{}-{name}:1", self.prefix);
        image::build(
            &self.docker,
            &tag,
            &format!("FROM {}\nCOPY noise /garbage\nRUN chmod 755 /garbage\n", self.image()),
            &[0; 64],
        );
        tag
    }

    /// The Compose project of a deployment.
    pub fn project(&self, deployment: &str) -> String {
        format!("{}-{deployment}", self.prefix)
    }

    /// The name of a container.
    pub fn container(&self, deployment: &str, service: &str, number: u32) -> String {
        format!("{}-{service}-{number}", self.project(deployment))
    }

    /// A Deployment under this test's prefix, with a recovery that does not keep a test waiting: back-off 1 s to 8 s, stable after 3 s.
    pub fn deployment(&self, name: &str, services: Value) -> Value {
        json!({
            "apiVersion": "evenkeel.dev/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "project": self.project(name),
                "recovery": {"backoff": {"initial": "1s", "max": "8s"}, "stableWindow": "3s", "verifyWindow": "3s"},
                "services": services,
            },
        })
    }

    /// Writes a manifest into the watched folder, as editors do: whole, by rename.
    pub fn write_manifest(&self, file: &str, manifest: &Value) {
        self.write_text(file, &serde_yaml::to_string(manifest).unwrap());
    }

    /// Writes a file into the watched folder, by rename.
    pub fn write_text(&self, file: &str, text: &str) {
        let (draft, place) = (self.dir.join("draft"), self.manifests().join(file));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&draft, text).unwrap();
        fs::rename(draft, place).unwrap();
    }

    /// Removes a file from the watched folder.
    pub fn remove_manifest(&self, file: &str) {
        fs::remove_file(self.manifests().join(file)).unwrap();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        clear(&self.docker, &self.prefix);
    }
}

/// Clears up behind test processes that were killed.
fn clear_behind_the_dead(docker: &Docker) {
    let dead = |prefix: &str| {
        let pid = prefix.split('-').nth(1)?.parse().ok()?;
        (!processes::lives(pid)).then_some(())
    };
    let folders = fs::read_dir(std::env::temp_dir()).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let prefixes = folders.filter(|name| name.starts_with(&format!("{MARK}-")) && dead(name).is_some());
    prefixes.for_each(|prefix| clear(docker, &prefix));
}

/// Ends the processes of a sandbox and removes what carries its prefix; nothing else.
fn clear(docker: &Docker, prefix: &str) {
    let dir = std::env::temp_dir().join(prefix);
    processes::end_all_under(&dir);
    // A call that the operator had under way may still make something: look until nothing is left.
    while remove_from(docker, prefix) {}
    let _ = Command::new("ip").args(["netns", "delete", prefix]).output();
    if let Err(error) = fs::remove_dir_all(&dir) {
        eprintln!("{} stays behind: {error}", dir.display());
    }
}

/// Images that were built for a project of this prefix and lost their name to a newer one.
fn outdated_builds(docker: &Docker, prefix: &str) -> Vec<String> {
    const PROJECT: &str = "com.docker.compose.project";
    let label = format!("label={PROJECT}");
    let all = docker.attempt(&["images", "--quiet", "--filter", "dangling=true", "--filter", &label]).unwrap_or_default();
    let of_prefix = |id: &&str| {
        let project = format!("{{{{index .Config.Labels \"{PROJECT}\"}}}}");
        docker.attempt(&["image", "inspect", "--format", &project, id]).is_ok_and(|project| project.starts_with(prefix))
    };
    all.lines().filter(of_prefix).map(str::to_owned).collect()
}

/// Removes all that carries the prefix from the daemon; whether there was something that could be removed.
fn remove_from(docker: &Docker, prefix: &str) -> bool {
    let list = |args: &[&str]| docker.attempt(args).unwrap_or_default();
    let named = format!("name={prefix}");
    let labelled = format!("label=evenkeel.dev/instance={prefix}");
    let remove = |what: &[&str], listed: [String; 2]| {
        let mut ids: Vec<&str> = listed.iter().flat_map(|text| text.lines()).collect();
        ids.sort_unstable();
        ids.dedup();
        !ids.is_empty() && docker.attempt(&[what, &ids].concat()).is_ok()
    };
    let containers = |filter| list(&["ps", "--all", "--quiet", "--filter", filter]);
    let networks = |filter| list(&["network", "ls", "--quiet", "--filter", filter]);
    let volumes = |filter| list(&["volume", "ls", "--quiet", "--filter", filter]);
    let images = list(&["images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"]);
    let reference = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [repository, "<none>", digest] => format!("{repository}@{digest}"),
        [repository, tag, ..] => format!("{repository}:{tag}"),
        _ => String::new(),
    };
    let tags: Vec<String> = images.lines().filter(|line| line.contains(prefix)).map(reference).collect();
    let removed = [
        remove(&["rm", "--force", "--volumes"], [containers(&named), containers(&labelled)]),
        remove(&["network", "rm"], [networks(&named), networks(&labelled)]),
        remove(&["volume", "rm", "--force"], [volumes(&named), volumes(&labelled)]),
        remove(&["rmi", "--force"], [tags.join("\n"), outdated_builds(docker, prefix).join("\n")]),
    ];
    removed.contains(&true)
}
