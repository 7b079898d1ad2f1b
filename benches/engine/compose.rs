//! docker compose 2, the peer: the program that `EVENKEEL_COMPOSE` names (`make bench` unpacks one).

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A project of docker compose.
pub struct Compose {
    program: PathBuf,
    project: String,
    file: PathBuf,
    host: String,
}

impl Compose {
    /// `None`, said aloud, where there is no docker compose to be measured.
    pub fn project(sandbox: &Sandbox, services: &Value) -> Option<Self> {
        let Some(program) = std::env::var_os("EVENKEEL_COMPOSE").map(PathBuf::from).filter(|path| path.exists()) else {
            println!("  docker compose is not measured: EVENKEEL_COMPOSE names no program");
            return None;
        };
        let file = sandbox.dir().join("compose.yaml");
        std::fs::write(&file, json!({"services": services}).to_string()).unwrap();
        Some(Self { program, project: format!("{}-compose", sandbox.prefix()), file, host: sandbox.docker().host().to_owned() })
    }

    /// `docker compose up -d`; how long it took.
    pub fn up(&self) -> Duration {
        let began = Instant::now();
        self.run(&["up", "--detach", "--quiet-pull"]);
        began.elapsed()
    }

    /// `docker compose down`.
    pub fn down(&self) {
        self.run(&["down", "--timeout", "5"]);
    }

    fn run(&self, args: &[&str]) {
        let mut command = Command::new(&self.program);
        command.arg("--file").arg(&self.file).args(["--project-name", &self.project, "--progress", "quiet"]).args(args);
        let output = command.env("DOCKER_HOST", &self.host).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "docker compose {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
