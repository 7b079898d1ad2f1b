//! The built operator as a process of its own, to be killed, frozen and started again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use super::processes::signal;
use super::{Api, Sandbox, check, eventually, secs};

/// How an operator is started.
pub struct Options<'a> {
    sandbox: &'a Sandbox,
    name: String,
    docker_host: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// A running operator on the sandbox's manifests, with a data folder, a socket and an instance name of its own.
///
/// When the test panics, the end of its log is printed.
pub struct Operator {
    command: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
    socket: PathBuf,
    child: Option<Child>,
    api: Api,
}

impl<'a> Options<'a> {
    /// A second operator beside the first needs another name: it gets its own data folder, socket and instance.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Another daemon than the machine's, or a proxy before it.
    pub fn docker_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.docker_host);
        self
    }

    /// The slow look at everything: `1s` to force it often.
    pub fn resync(self, interval: &str) -> Self {
        self.arg("--resync").arg(interval)
    }

    /// One more argument of `evenkeel run`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until its API answers.
    #[track_caller]
    pub fn start(self) -> Operator {
        let mut operator = self.prepare();
        operator.start();
        operator
    }

    /// Not started yet.
    pub fn prepare(self) -> Operator {
        let folder = self.sandbox.dir().join(&self.name);
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let instance = match self.name.as_str() {
            "operator" => self.sandbox.prefix().to_owned(),
            other => format!("{}-{other}", self.sandbox.prefix()),
        };
        let manifests = self.sandbox.manifests().display().to_string();
        let fixed = [
            ("--data-dir", path("data")),
            ("--socket", path("socket")),
            ("--listen", "none".into()),
            ("--manifests", manifests),
            ("--instance", instance),
            ("--docker-host", self.docker_host),
        ];
        let mut command = vec!["run".to_owned()];
        command.extend(fixed.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        command.extend(self.args);
        let socket = folder.join("socket");
        Operator { command, env: self.env, log: folder.join("log"), api: Api::new(&socket), socket, child: None }
    }
}

impl Operator {
    /// An operator on the machine's daemon, to be adapted and started.
    pub fn of(sandbox: &Sandbox) -> Options<'_> {
        let docker_host = sandbox.docker().host().to_owned();
        Options { sandbox, name: "operator".into(), docker_host, args: Vec::new(), env: Vec::new() }
    }

    /// The operator as most tests want it.
    #[track_caller]
    pub fn start_on(sandbox: &Sandbox) -> Self {
        Self::of(sandbox).start()
    }

    /// Starts the process (again) and waits until its API answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        eventually(secs(20), "the operator's API answers", || {
            let exit = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(exit.is_none(), "the operator ended instead of serving: {}\n{}", exit.unwrap(), self.log_tail());
            let live = self.api.get("/livez")?;
            check(live.status == 200, || format!("{live:?}"))
        });
    }

    /// Starts the process (again) without waiting.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the operator runs already");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Self::binary();
        command.args(&self.command).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its pid.
    #[track_caller]
    pub fn pid(&self) -> i64 {
        self.child.as_ref().expect("the operator runs").id().into()
    }

    /// SIGKILL: it gets no chance to tidy up.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the operator runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits until it has ended; fails after 15 s.
    #[track_caller]
    pub fn stop(&mut self) {
        signal("TERM", self.pid());
        let status = eventually(secs(15), "the operator ends after SIGTERM", || {
            self.child.as_mut().unwrap().try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        });
        self.child = None;
        assert!(status.success(), "the operator ended with {status}\n{}", self.log_tail());
    }

    /// SIGSTOP: it hangs.
    #[track_caller]
    pub fn freeze(&self) {
        signal("STOP", self.pid());
    }

    /// SIGCONT: it goes on.
    #[track_caller]
    pub fn thaw(&self) {
        signal("CONT", self.pid());
    }

    /// Runs `evenkeel ARGS` against this operator.
    pub fn cli(&self, args: &[&str]) -> Output {
        let server = format!("unix:{}", self.socket.display());
        Self::binary().args(args).env("EVENKEEL_SERVER", server).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs `evenkeel ARGS` on a terminal of its own; what appears there.
    pub fn cli_on_terminal(&self, args: &[&str]) -> String {
        let server = format!("unix:{}", self.socket.display());
        let command = format!("{} {}", env!("CARGO_BIN_EXE_evenkeel"), args.join(" "));
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("EVENKEEL_SERVER", server)
            .env("TERM", "xterm");
        String::from_utf8_lossy(&script.stdin(Stdio::null()).output().unwrap().stdout).into_owned()
    }

    /// Runs `evenkeel ARGS`, which must succeed; its output.
    #[track_caller]
    pub fn evenkeel(&self, args: &[&str]) -> String {
        let output = self.cli(args);
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "evenkeel {}: {}\n{out}{error}", args.join(" "), output.status);
        out.into_owned()
    }

    /// All it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the Deployment is `Ready=True` in its present generation; gives it back with the time it took.
    #[track_caller]
    pub fn wait_ready(&self, name: &str) -> serde_json::Value {
        let start = Instant::now();
        let ready = eventually(secs(10), &format!("{name} is ready"), || self.api.ready(name));
        eprintln!("{name} was ready after {:?}", start.elapsed());
        ready
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(200)..].join("\n")
    }

    /// The command under test, in no environment but its own.
    fn binary() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        let foreign = |name: &String| name.starts_with("EVENKEEL_") || name.starts_with("OTEL_") || name.starts_with("DOCKER_");
        std::env::vars().map(|(name, _)| name).filter(foreign).for_each(|name| {
            command.env_remove(name);
        });
        command
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- end of the operator's log ({}) ---\n{}\n---", self.log.display(), self.log_tail());
        }
    }
}
