//! The docker command line, as a person would use it.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Events;
use super::processes;

/// The docker command against one daemon.
#[derive(Debug, Clone)]
pub struct Docker {
    host: String,
}

impl Docker {
    /// The machine's own daemon: `DOCKER_HOST`, else the usual socket.
    pub fn machine() -> Self {
        Self::at(std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into()))
    }

    /// Another daemon, by its `unix://` address.
    pub fn at(host: impl Into<String>) -> Self {
        Self { host: host.into() }
    }

    /// The daemon's address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of the daemon's socket.
    pub fn socket(&self) -> &str {
        self.host.strip_prefix("unix://").expect("tests talk to Docker over a unix socket")
    }

    /// A docker command ready to be given arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host]).env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").stdin(Stdio::null());
        command
    }

    /// Runs `docker ARGS`; its output, or its error text.
    pub fn attempt(&self, args: &[&str]) -> Result<String, String> {
        let output = self.command().args(args).output().expect("docker is installed");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(format!("docker {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
        }
    }

    /// Runs `docker ARGS`, which must succeed; its output.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        self.attempt(args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The daemon answers.
    pub fn ping(&self) -> Result<(), String> {
        self.attempt(&["version", "--format", "{{.Server.Version}}"]).map(drop)
    }

    /// `docker inspect` of a container, if there is one.
    pub fn find(&self, container: &str) -> Option<Value> {
        let text = self.attempt(&["container", "inspect", container]).ok()?;
        serde_json::from_str::<Vec<Value>>(&text).ok()?.pop()
    }

    /// `docker inspect` of a container that must be there.
    #[track_caller]
    pub fn inspect(&self, container: &str) -> Value {
        self.find(container).unwrap_or_else(|| panic!("there is no container {container}"))
    }

    /// Full id of a container that must be there.
    #[track_caller]
    pub fn id(&self, container: &str) -> String {
        self.inspect(container)["Id"].as_str().unwrap().to_owned()
    }

    /// Docker's word for a container's state, `absent` if there is none.
    pub fn state(&self, container: &str) -> String {
        self.find(container).map_or_else(|| "absent".into(), |found| found["State"]["Status"].as_str().unwrap().to_owned())
    }

    /// `Ok` if the container runs, else its state.
    pub fn running(&self, container: &str) -> Result<(), String> {
        self.in_state(container, "running")
    }

    /// `Ok` if the container is in that state (`absent` included), else its state.
    pub fn in_state(&self, container: &str, wanted: &str) -> Result<(), String> {
        let seen = self.state(container);
        if seen == wanted { Ok(()) } else { Err(format!("{container} is {seen}")) }
    }

    /// Names of all containers, running or not, whose name starts with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let listed = self.run(&["ps", "--all", "--filter", &format!("name=^/{prefix}"), "--format", "{{.Names}}"]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Id and start time by name, of all containers whose name starts with `prefix`: differs after any replacement or restart.
    pub fn runs(&self, prefix: &str) -> BTreeMap<String, (String, String)> {
        let run = |name: &String| {
            let found = self.find(name)?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Some((name.clone(), (text(&found["Id"]), text(&found["State"]["StartedAt"]))))
        };
        self.names(prefix).iter().filter_map(run).collect()
    }

    /// Runs a command in a container, which must succeed; its output.
    #[track_caller]
    pub fn exec(&self, container: &str, command: &[&str]) -> String {
        self.run(&[&["exec", container], command].concat())
    }

    /// Sends SIGKILL to a container's main process from the host, behind Docker's back: a crash.
    #[track_caller]
    pub fn crash(&self, container: &str) {
        let pid = self.inspect(container)["State"]["Pid"].as_i64().filter(|pid| *pid > 0);
        processes::signal("KILL", pid.unwrap_or_else(|| panic!("{container} is not running")));
    }

    /// Starts to record what happens to everything that carries `prefix` in its name or labels.
    pub fn record(&self, prefix: &str) -> Events {
        Events::record(self, prefix)
    }
}
