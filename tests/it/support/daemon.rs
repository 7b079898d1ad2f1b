//! A second Docker daemon, to be stopped, killed and started at will.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::processes::{self, signal};
use super::{Docker, Sandbox, eventually, image, secs};

/// Names a folder with the programs of another Docker Engine (`dockerd`, `containerd`, ..), to test with that one. What is not
/// there is taken from the machine.
const PROGRAMS: &str = "EVENKEEL_TEST_DOCKERD";

/// A dockerd of the test's own, in its own network namespace and folder. The machine's daemon knows nothing of it.
///
/// Ports it publishes are published in its namespace, not on the machine.
pub struct OwnDaemon {
    dir: PathBuf,
    namespace: String,
    child: Option<Child>,
    docker: Docker,
}

impl OwnDaemon {
    /// Starts one and waits until it answers.
    #[track_caller]
    pub fn start_in(sandbox: &Sandbox) -> Self {
        Self::start_with(sandbox, json!({}))
    }

    /// The same, with keys of `daemon.json`: `json!({"live-restore": true})`.
    #[track_caller]
    pub fn start_with(sandbox: &Sandbox, config: Value) -> Self {
        let dir = sandbox.dir().join("dockerd");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("daemon.json"), config.to_string()).unwrap();
        let namespace = sandbox.prefix().to_owned();
        for args in [vec!["netns", "add", &namespace], vec!["-n", &namespace, "link", "set", "lo", "up"]] {
            let output = Command::new("ip").args(&args).output().expect("ip is installed: apt-get install iproute2");
            assert!(output.status.success(), "ip {args:?} (as root?): {}", String::from_utf8_lossy(&output.stderr));
        }
        let docker = Docker::at(format!("unix://{}", dir.join("docker.sock").display()));
        let mut daemon = Self { dir, namespace, child: None, docker };
        daemon.start();
        daemon
    }

    /// The docker command against it; also names its address.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The image test containers run, on this daemon.
    pub fn image(&self) -> String {
        image::ensure(&self.docker, false)
    }

    /// Its pid.
    #[track_caller]
    pub fn pid(&self) -> i64 {
        self.child.as_ref().expect("the daemon runs").id().into()
    }

    /// Starts it (again) and waits for its first answer.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        eventually(secs(30), "the daemon answers", || {
            let exit = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(exit.is_none(), "the daemon ended instead of serving\n{}", self.log_tail());
            self.docker.ping()
        });
    }

    /// Starts it (again) without waiting.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let path = |name: &str| self.dir.join(name).display().to_string();
        let log = File::options().create(true).append(true).open(path("log")).unwrap();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg("dockerd");
        command.args(["--config-file", &path("daemon.json"), "--storage-driver", "vfs"]);
        command.args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")]);
        command.args(["--host", self.docker.host()]).env_remove("DOCKER_HOST");
        if let Some(folder) = std::env::var_os(PROGRAMS) {
            let installed = std::env::var_os("PATH").unwrap_or_default();
            let path = std::iter::once(PathBuf::from(folder)).chain(std::env::split_paths(&installed));
            command.env("PATH", std::env::join_paths(path).unwrap());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("nsenter and dockerd are installed"));
    }

    /// SIGTERM, a graceful shutdown; returns at once.
    #[track_caller]
    pub fn terminate(&self) {
        signal("TERM", self.pid());
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait(&mut self) {
        eventually(secs(60), "the daemon ends", || {
            self.child.as_mut().expect("the daemon was started").try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        });
        self.child = None;
    }

    /// SIGTERM, and waits until it has ended.
    #[track_caller]
    pub fn stop(&mut self) {
        self.terminate();
        self.wait();
    }

    /// SIGKILL: containers live on until a new daemon finds them.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
        // Its containerd dies with it, a little later; a daemon that still finds it would wait for it in vain.
        let containerd = fs::read_to_string(self.dir.join("exec/containerd/containerd.pid")).unwrap();
        eventually(secs(10), "containerd has followed the daemon", || {
            let gone = !PathBuf::from(format!("/proc/{}", containerd.trim())).exists();
            gone.then_some(()).ok_or_else(|| "it still runs".to_owned())
        });
    }

    /// A graceful restart, until the first answer.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for OwnDaemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- end of the test daemon's log ---\n{}\n---", self.log_tail());
        }
        if self.child.is_some() && self.docker.ping().is_ok() {
            let listed = self.docker.attempt(&["ps", "--all", "--quiet"]).unwrap_or_default();
            let _ =
                self.docker.attempt(&[&["rm", "--force", "--volumes"], listed.lines().collect::<Vec<_>>().as_slice()].concat());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        processes::end_all_under(&self.dir);
    }
}
