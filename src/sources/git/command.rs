//! One run of the git program.
//!
//! # Guarantees
//! - Nothing of the host's or a user's git configuration counts, no hook runs, nothing asks, only the one transport that the
//!   address names is allowed, submodules and LFS are not followed.
//! - It ends: at its deadline, or when nobody waits for it any more, its whole process group is killed.
//! - What it prints is bounded, and no secret is in what is handed on of it.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::failure::{Failure, Trouble};
use super::version;

/// Longest that a local command may take.
pub const LOCAL: Duration = Duration::from_secs(60);

/// Longest that a question to a server may take.
pub const QUESTION: Duration = Duration::from_secs(60);

/// Longest that a fetch may take.
pub const FETCH: Duration = Duration::from_secs(15 * 60);

/// Most that is taken of what it prints: the largest manifests, thousands of them.
const MOST: u64 = 256 * 1024 * 1024;

/// Most that is taken of what it complains.
const MOST_SAID: u64 = 64 * 1024;

/// Configuration that counts for every run.
const CONFIG: [(&str, &str); 20] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("core.symlinks", "false"),
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("filter.lfs.smudge", ""),
    ("filter.lfs.required", "false"),
    // We tidy up ourselves, not after each fetch, and wait for it.
    ("gc.autoDetach", "false"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("protocol.version", "2"),
    // A working tree of somebody else may name programs of its own.
    ("gpg.program", "gpg"),
    ("gpg.openpgp.program", "gpg"),
    ("gpg.ssh.program", "ssh-keygen"),
    ("gpg.ssh.revocationFile", "/dev/null"),
    // Who reads a working tree of another user runs none of its code: hooks are off, and nothing is checked out.
    ("safe.directory", "*"),
];

/// A run to be made.
pub struct Run<'a> {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    config: Vec<(String, String)>,
    stdin: Vec<u8>,
    limit: Duration,
    secrets: &'a [String],
    /// What is attempted, for people.
    attempt: String,
}

/// What came of a run that was made.
#[derive(Debug)]
pub struct Done {
    /// Whether git says that it succeeded.
    pub success: bool,
    /// What it printed.
    pub printed: Vec<u8>,
    /// What it complained, without secrets.
    pub said: String,
}

impl<'a> Run<'a> {
    /// `git ARGS`, attempted for this.
    pub fn new<S: AsRef<OsStr>>(attempt: impl Into<String>, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: Vec::new(),
            config: Vec::new(),
            stdin: Vec::new(),
            limit: LOCAL,
            secrets: &[],
            attempt: attempt.into(),
        }
    }

    /// With a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// With a setting.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((name.into(), value.into()));
        self
    }

    /// With this on stdin.
    pub fn stdin(mut self, text: Vec<u8>) -> Self {
        self.stdin = text;
        self
    }

    /// With this long to run.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// With texts that are never handed on.
    pub fn secrets(mut self, secrets: &'a [String]) -> Self {
        self.secrets = secrets;
        self
    }

    /// Runs it; what it printed.
    ///
    /// # Errors
    /// It could not be run, took too long, or failed.
    pub async fn output(self) -> Result<Vec<u8>, Failure> {
        let attempt = self.attempt.clone();
        let done = self.done().await?;
        if done.success { Ok(done.printed) } else { Err(Failure::told(&attempt, &done.said)) }
    }

    /// Runs it; what it printed, as text without the last line's end.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub async fn text(self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.output().await?).trim_end().to_owned())
    }

    /// Runs it, whatever comes of it.
    ///
    /// # Errors
    /// It could not be run, or took too long.
    pub async fn done(self) -> Result<Done, Failure> {
        let (attempt, limit) = (self.attempt.clone(), self.limit);
        match tokio::time::timeout(limit, self.run()).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("{attempt}: it was not done after {} s and was ended (it is tried again)", limit.as_secs());
                Err(Failure::new(Trouble::TimedOut, message))
            }
        }
    }

    async fn run(self) -> Result<Done, Failure> {
        let program = version::program();
        version::ensure(&program, &self.attempt).await?;
        let mut child = self.command(&program).spawn().map_err(|error| self.not_run(&error))?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // It may have ended before it read all: its complaint says more than this.
                let _ = stdin.write_all(&self.stdin).await;
            }
        };
        let ((), printed, said) = tokio::join!(write, read(stdout, MOST), read(stderr, MOST_SAID));
        let status = child.wait().await.map_err(|error| self.not_run(&error))?;
        group.ended();
        let printed = printed.map_err(|error| self.not_run(&error))?;
        if printed.len() as u64 > MOST {
            let message = format!("{}: there is more than {} MiB of it", self.attempt, MOST / 1024 / 1024);
            return Err(Failure::new(Trouble::Other, message));
        }
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        Ok(Done { success: status.success(), printed, said: masked(said, self.secrets) })
    }

    fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).current_dir("/");
        let kept = ["PATH", "TMPDIR", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY"];
        command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let fixed = [
            ("LC_ALL", "C"),
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS", ""),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            // What is not named by the one who fetches is not allowed.
            ("GIT_ALLOW_PROTOCOL", "none"),
        ];
        command.envs(fixed).envs(self.env.iter().map(|(name, value)| (name, value)));
        let own = self.config.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = CONFIG.into_iter().chain(own).collect();
        // By variables, not arguments: those are for everybody on the host to see.
        command.env("GIT_CONFIG_COUNT", all.len().to_string());
        for (index, (name, value)) in all.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), name).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command.args(&self.args);
        command
    }

    fn not_run(&self, error: &std::io::Error) -> Failure {
        version::not_run(&self.attempt, error)
    }
}

/// The process group of a run: git's helpers (ssh, HTTP) do not end with it.
struct Group(Option<Pid>);

impl Group {
    /// It has ended by itself.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The child is not waited for yet, so that the number cannot be another's.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps one byte more than `most`.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let Some(mut stream) = stream else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    (&mut stream).take(most + 1).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(kept)
}

/// The text without these.
fn masked(text: String, secrets: &[String]) -> String {
    secrets.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        let secrets = ["s3cret".to_owned(), String::new()];
        assert_eq!(masked("with s3cret and s3cret".to_owned(), &secrets), "with *** and ***");
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let alive = folder.path().join("alive");
        let script = format!("!(while true; do date +%N > {}; sleep 0.05; done) & wait", alive.display());
        let run = Run::new("sleep", ["sleeper"]).config("alias.sleeper", script);
        assert!(tokio::time::timeout(Duration::from_millis(400), run.output()).await.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let last = std::fs::read(&alive).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(std::fs::read(&alive).unwrap(), last);
    }

    #[tokio::test]
    async fn a_run_that_takes_too_long_says_so() {
        let run = Run::new("cannot wait", ["sleeper"]).config("alias.sleeper", "!sleep 5").limit(Duration::from_millis(100));
        let failure = run.output().await.unwrap_err();
        assert_eq!(failure.trouble, Trouble::TimedOut);
    }
}
