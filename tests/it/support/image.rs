//! The image that test containers run: busybox and nothing else, made here, since nothing can be pulled.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::Docker;

/// Changes when the recipe below does, so that a machine never tests with an image of an older one.
const RECIPE: &str = "1";
const BUSYBOX: &str = "/bin/busybox";

/// The tag of the image on this daemon; made if it is not there. `volume`: it declares an anonymous volume at `/data`.
pub fn ensure(docker: &Docker, volume: bool) -> String {
    let busybox = fs::read(BUSYBOX).expect("/bin/busybox is there: apt-get install busybox-static");
    let digest: String =
        Sha256::digest([&busybox, RECIPE.as_bytes()].concat()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("evenkeel-test{}:{digest}", if volume { "-volume" } else { "" });
    let present = || docker.attempt(&["image", "inspect", &tag]).is_ok();
    if !present() {
        // Several test processes may want it at once; a second import would untag the first one's image.
        let lock = File::create(std::env::temp_dir().join("evenkeel-test-image.lock")).unwrap();
        lock.lock().unwrap();
        if !present() {
            import(docker, &tag, volume);
        }
    }
    tag
}

/// Builds an image from a Dockerfile and a file named `noise`.
pub fn build(docker: &Docker, tag: &str, dockerfile: &str, noise: &[u8]) {
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    fs::write(context.path().join("noise"), noise).unwrap();
    docker.run(&["build", "--quiet", "--tag", tag, &context.path().display().to_string()]);
}

fn import(docker: &Docker, tag: &str, volume: bool) {
    let root = tempfile::tempdir().unwrap();
    lay_out(root.path());
    let mut tar = Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let mut import = docker.command();
    import.args(["import", "--change", "ENV PATH=/bin"]).stdin(tar.stdout.take().unwrap());
    if volume {
        import.args(["--change", "VOLUME /data"]);
    }
    let output = import.args(["-", tag]).output().unwrap();
    assert!(output.status.success() && tar.wait().unwrap().success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `/bin` with busybox under all its names, `/tmp`, and a page for httpd.
fn lay_out(root: &Path) {
    for folder in ["bin", "tmp", "www", "data", "etc"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    let copy: PathBuf = root.join("bin/busybox");
    fs::copy(BUSYBOX, &copy).expect("/bin/busybox can be copied");
    fs::write(root.join("www/index.html"), "evenkeel\n").unwrap();
    let names = Command::new(&copy).arg("--list").output().expect("busybox is statically linked: apt-get install busybox-static");
    let names = String::from_utf8(names.stdout).unwrap();
    names.lines().filter(|name| *name != "busybox").for_each(|name| symlink("busybox", root.join("bin").join(name)).unwrap());
}
