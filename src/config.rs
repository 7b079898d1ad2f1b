//! Settings of `evenkeel run`: flags, then `EVENKEEL_*` variables (both read by [`RunArgs`]), then the configuration
//! file, then defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::cli::paths::Surroundings;
use crate::cli::run::{Listen, RunArgs};
use crate::crd::{GitAuth, HostMonitoring};
use crate::model::RecoveryMode;
use crate::resources;
use crate::sources::made::{Asked, GitAddress};
use crate::telemetry;

/// The configuration file that is read if it is there and no other is named.
pub const DEFAULT_FILE: &str = "/etc/evenkeel/config.yaml";

/// What the operator runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the store, the certificate and the token are kept.
    pub data_dir: PathBuf,
    /// Where the HTTPS API listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The API's unix socket.
    pub socket: PathBuf,
    /// Plain HTTP without a token on `listen`, which is a loopback address then.
    pub insecure_loopback: bool,
    /// Docker Engine; `None`: as the environment says.
    pub docker_host: Option<String>,
    /// Docker's configuration, with the credentials of registries; `None`: as the environment says.
    pub docker_config: Option<PathBuf>,
    /// Name of this operator on the engine.
    pub instance: String,
    /// Upper bound of every Deployment's `recovery.mode`.
    pub mode: RecoveryMode,
    /// Watched folder of manifests.
    pub manifests: Option<PathBuf>,
    /// Repository of manifests.
    pub git: Option<GitAddress>,
    /// How it is reached.
    pub git_auth: Option<GitAuth>,
    /// How often it is looked at; `None`: as Sources are by default.
    pub git_interval: Option<Duration>,
    /// Delete what leaves the folder or the repository.
    pub prune: bool,
    /// How often everything is looked at again.
    pub resync: Duration,
    /// How often it is measured what is used.
    pub sample_interval: Duration,
    /// What is watched of the host.
    pub host_monitoring: HostMonitoring,
    /// Logs and traces.
    pub telemetry: telemetry::Options,
}

impl Settings {
    /// Settings from flags and variables, the configuration file and defaults.
    ///
    /// # Errors
    /// The file cannot be read or has a key that is not known; or what came out contradicts itself.
    pub fn load(args: RunArgs) -> anyhow::Result<Self> {
        let file = match &args.config {
            Some(path) => read_file(path)?,
            None if Path::new(DEFAULT_FILE).exists() => read_file(Path::new(DEFAULT_FILE))?,
            None => RunArgs::default(),
        };
        Self::resolve(merge(args, file), &Surroundings::of_this_process())
    }

    /// Fills in the defaults and checks that the whole makes sense.
    fn resolve(args: RunArgs, surroundings: &Surroundings) -> anyhow::Result<Self> {
        let git_auth = git_auth(&args);
        let instance = args.instance.unwrap_or_else(|| "default".to_owned());
        let settings = Self {
            data_dir: args.data_dir.unwrap_or_else(|| surroundings.data_dir()),
            listen: match args.listen {
                None => Some(SocketAddr::from(([127, 0, 0, 1], 6440))),
                Some(Listen::At(address)) => Some(address),
                Some(Listen::Nowhere) => None,
            },
            socket: args.socket.unwrap_or_else(|| surroundings.socket()),
            insecure_loopback: args.insecure_loopback.unwrap_or(false),
            docker_host: args.docker_host.filter(|host| !host.is_empty()),
            docker_config: args.docker_config,
            mode: args.mode.unwrap_or_default(),
            // Watched paths are told in full, and the operator may be asked from elsewhere where they are.
            manifests: args.manifests.map(|folder| std::path::absolute(&folder).unwrap_or(folder)),
            git_auth,
            git: args.git,
            git_interval: args.git_interval.map(|interval| interval.0),
            prune: args.prune.unwrap_or(false),
            resync: args.resync.map_or(Duration::from_secs(30), |resync| resync.0),
            sample_interval: args.sample_interval.map_or(resources::PERIOD, |interval| interval.0),
            host_monitoring: args.host_monitoring.unwrap_or_default(),
            telemetry: telemetry::Options {
                format: args.log_format.unwrap_or_default(),
                filter: args.log.unwrap_or_default(),
                instance: instance.clone(),
            },
            instance,
        };
        settings.check()?;
        Ok(settings)
    }

    /// The Sources that flags ask for.
    pub fn asked(&self) -> Asked {
        Asked {
            manifests: self.manifests.clone(),
            git: self.git.clone(),
            git_auth: self.git_auth.clone(),
            git_interval: self.git_interval,
            prune: self.prune,
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let Self { instance, listen, resync, .. } = self;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        ensure!(
            !instance.is_empty() && instance.len() <= 63 && instance.chars().all(fits),
            "instance {instance:?} cannot be used in a label: write 1 to 63 of a-z, 0-9, '-', '_' and '.'"
        );
        ensure!(
            !self.prune || self.manifests.is_some() || self.git.is_some(),
            "prune is on, but there is nothing to prune by: set manifests or git too"
        );
        ensure!(
            self.git_interval.is_none_or(|interval| interval >= Duration::from_secs(1)),
            "git-interval is below 1s, which would keep the git server busy for nothing"
        );
        ensure!(self.git_interval.is_none() || self.git.is_some(), "git-interval is set, but git is not");
        ensure!(self.git_auth.is_none() || self.git.is_some(), "there are credentials for git, but git is not set");
        let by_ssh = self.git.as_ref().filter(|git| git.is_by_ssh());
        let keys = self.git_auth.as_ref().is_some_and(|auth| auth.key_file.is_some() && auth.known_hosts_file.is_some());
        if let Some(git) = by_ssh.filter(|_| !keys) {
            bail!(
                "{} is reached by ssh: set git-ssh-key (a private key) and git-known-hosts (the keys of the hosts that are \
                 trusted) too",
                git.url
            );
        }
        ensure!(*resync >= Duration::from_secs(1), "resync is below 1s, which would keep Docker busy for nothing");
        ensure!(
            (Duration::from_secs(1)..=Duration::from_secs(30)).contains(&self.sample_interval),
            "sample-interval is not 1s to 30s"
        );
        if self.insecure_loopback {
            match listen {
                None => bail!("insecure-loopback is on and listen is none: there is no address to serve plain HTTP on"),
                Some(address) => ensure!(
                    address.ip().is_loopback(),
                    "insecure-loopback is on, but listen is {address}: plain HTTP without a token is served on a loopback \
                     address only, such as 127.0.0.1:6440"
                ),
            }
        }
        Ok(())
    }
}

/// The credentials of the repository, if any are given. Its Source names them in full.
fn git_auth(args: &RunArgs) -> Option<GitAuth> {
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let auth = GitAuth {
        token_file: file(&args.git_token_file),
        username: args.git_username.clone(),
        password_file: file(&args.git_password_file),
        key_file: file(&args.git_ssh_key),
        known_hosts_file: file(&args.git_known_hosts),
        ca_file: file(&args.git_ca_file),
    };
    (auth != GitAuth::default()).then_some(auth)
}

/// `first` where it says something, else `second`. Names every field, so that none is forgotten.
fn merge(first: RunArgs, second: RunArgs) -> RunArgs {
    let RunArgs {
        config,
        data_dir,
        manifests,
        git,
        git_interval,
        git_token_file,
        git_username,
        git_password_file,
        git_ca_file,
        git_ssh_key,
        git_known_hosts,
        prune,
        mode,
        docker_host,
        docker_config,
        instance,
        listen,
        socket,
        insecure_loopback,
        resync,
        sample_interval,
        host_monitoring,
        log,
        log_format,
    } = first;
    RunArgs {
        config: config.or(second.config),
        data_dir: data_dir.or(second.data_dir),
        manifests: manifests.or(second.manifests),
        git: git.or(second.git),
        git_interval: git_interval.or(second.git_interval),
        git_token_file: git_token_file.or(second.git_token_file),
        git_username: git_username.or(second.git_username),
        git_password_file: git_password_file.or(second.git_password_file),
        git_ca_file: git_ca_file.or(second.git_ca_file),
        git_ssh_key: git_ssh_key.or(second.git_ssh_key),
        git_known_hosts: git_known_hosts.or(second.git_known_hosts),
        prune: prune.or(second.prune),
        mode: mode.or(second.mode),
        docker_host: docker_host.or(second.docker_host),
        docker_config: docker_config.or(second.docker_config),
        instance: instance.or(second.instance),
        listen: listen.or(second.listen),
        socket: socket.or(second.socket),
        insecure_loopback: insecure_loopback.or(second.insecure_loopback),
        resync: resync.or(second.resync),
        sample_interval: sample_interval.or(second.sample_interval),
        host_monitoring: host_monitoring.or(second.host_monitoring),
        log: log.or(second.log),
        log_format: log_format.or(second.log_format),
    }
}

fn read_file(path: &Path) -> anyhow::Result<RunArgs> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    parse_file(&text, &path.display().to_string())
}

/// Relative paths in the file are meant from where the operator is started, as on the command line.
fn parse_file(text: &str, name: &str) -> anyhow::Result<RunArgs> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(RunArgs::default());
    }
    serde_yaml::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The library puts the place at the end; editors and people look for it in front.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
        match error.location() {
            Some(place) => anyhow::anyhow!("{name}:{}:{}: {message}", place.line(), place.column()),
            None => anyhow::anyhow!("{name}: {message}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(line: &[&str]) -> RunArgs {
        match Cli::try_parse_from(["evenkeel", "run"].iter().chain(line)).unwrap().command {
            Command::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn settings(args: RunArgs) -> anyhow::Result<Settings> {
        Settings::resolve(args, &Surroundings { root: true, ..Surroundings::default() })
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = parse_file("instance: blue\nlisten: none\nresync: 1m30s\nprune: false\nmode: Observe\n", "f").unwrap();
        let merged = settings(merge(args(&["--instance", "green", "--manifests", "/m", "--prune"]), file)).unwrap();
        assert_eq!(merged.instance, "green");
        assert_eq!(merged.telemetry.instance, "green");
        assert!(merged.prune);
        assert_eq!(merged.listen, None);
        assert_eq!(merged.resync, Duration::from_secs(90));
        assert_eq!(merged.mode, RecoveryMode::Observe);
        assert_eq!(merged.data_dir, Path::new("/var/lib/evenkeel"));
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = settings(RunArgs::default()).unwrap();
        assert_eq!(settings.listen.unwrap().to_string(), "127.0.0.1:6440");
        assert_eq!(settings.socket, Path::new("/run/evenkeel/evenkeel.sock"));
        assert_eq!((settings.instance.as_str(), settings.mode), ("default", RecoveryMode::Auto));
        assert_eq!(settings.resync, Duration::from_secs(30));
        assert_eq!((settings.sample_interval, settings.host_monitoring), (Duration::from_secs(10), HostMonitoring::default()));
        assert!(!settings.prune && !settings.insecure_loopback);
    }

    #[test]
    fn a_user_without_root_gets_folders_of_his_own() {
        let home = Surroundings { home: Some("/home/ada".into()), ..Surroundings::default() };
        let settings = Settings::resolve(RunArgs::default(), &home).unwrap();
        assert_eq!(settings.data_dir, Path::new("/home/ada/.local/state/evenkeel"));
        assert_eq!(settings.socket, Path::new("/home/ada/.local/state/evenkeel/evenkeel.sock"));

        let xdg = Surroundings { state_home: Some("/s".into()), runtime_dir: Some("/run/user/7".into()), ..home };
        let settings = Settings::resolve(RunArgs::default(), &xdg).unwrap();
        assert_eq!(settings.data_dir, Path::new("/s/evenkeel"));
        assert_eq!(settings.socket, Path::new("/run/user/7/evenkeel.sock"));
    }

    #[test]
    fn every_flag_is_a_variable_and_a_key_of_the_file() {
        let command = <Cli as clap::CommandFactory>::command();
        let run = command.find_subcommand("run").unwrap();
        for flag in run.get_arguments().filter_map(|argument| argument.get_long().map(|long| (long, argument.get_env()))) {
            let (name, variable) = flag;
            let expected = format!("EVENKEEL_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(variable.and_then(|v| v.to_str()), Some(expected.as_str()), "--{name}");
            if name != "config" {
                // For a map that is right, for all else it is not.
                let message = parse_file(&format!("{name}: {{}}"), "f").map_or_else(|error| error.to_string(), |_| String::new());
                assert!(!message.contains("unknown field"), "{message}");
            }
        }
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_with_its_line() {
        let wrong = |text: &str| parse_file(text, "config.yaml").unwrap_err().to_string();
        let unknown = wrong("instance: a\nmanifest: /srv\n");
        assert!(unknown.starts_with("config.yaml:2:1: ") && unknown.contains("unknown field `manifest`"), "{unknown}");
        let listen = wrong("listen: localhost\n");
        assert!(listen.contains(":1:") && listen.contains("127.0.0.1:6440"), "{listen}");
        let rules = wrong("instance: a\nhost-monitoring:\n  disk: {abov: 80%}\n");
        assert!(rules.contains("disk.abov: unknown field"), "{rules}");
        let twice = wrong("instance: a\ninstance: b\n");
        assert!(twice.contains("duplicate"), "{twice}");
        assert_eq!(parse_file("# nothing yet\n\n", "f").unwrap(), RunArgs::default());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let wrong = |line: &[&str]| settings(args(line)).unwrap_err().to_string();
        assert!(wrong(&["--prune"]).contains("manifests"));
        assert!(wrong(&["--insecure-loopback", "--listen", "0.0.0.0:6440"]).contains("loopback address only"));
        assert!(wrong(&["--insecure-loopback", "--listen", "none"]).contains("no address"));
        assert!(wrong(&["--instance", "Blue!"]).contains("label"));
        assert!(wrong(&["--resync", "10ms"]).contains("1s"));
        assert!(wrong(&["--sample-interval", "1m"]).contains("1s to 30s"));
        assert!(wrong(&["--git-token-file", "/t"]).contains("git is not set"));
        assert!(wrong(&["--git", "git@h:a.git", "--git-ssh-key", "/k"]).contains("git-known-hosts"));
    }

    #[test]
    fn credentials_of_the_repository_become_those_of_its_source() {
        let ssh = ["--git", "git@h:a.git", "--git-ssh-key", "/k", "--git-known-hosts", "hosts"];
        let auth = settings(args(&ssh)).unwrap().asked().git_auth.unwrap();
        assert_eq!(auth.key_file.as_deref(), Some(Path::new("/k")));
        assert!(auth.known_hosts_file.unwrap().is_absolute());
        assert_eq!(settings(args(&["--git", "https://h/a"])).unwrap().asked().git_auth, None);
    }
}
