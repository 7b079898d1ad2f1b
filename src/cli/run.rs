//! Flags of `evenkeel run`, which are the keys of the configuration file too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use serde::Deserialize;

use crate::crd::{Duration, HostMonitoring};
use crate::model::RecoveryMode;
use crate::sources::made::GitAddress;
use crate::telemetry::LogFormat;

/// Starts the operator: keeps what is declared running on this host's Docker Engine.
///
/// It runs until SIGTERM or SIGINT; a graceful end leaves all containers as they are. Every flag is a key of the
/// configuration file too, under its own name (`data-dir: /srv/evenkeel`). A flag wins over its variable, that over
/// the file, that over the default.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(after_help = super::help::RUN)]
pub struct RunArgs {
    /// Configuration file. Default: /etc/evenkeel/config.yaml, if it is there
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", hide_env_values = true)]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where the store, the certificate and the token are kept. Default: /var/lib/evenkeel as root, else
    /// $XDG_STATE_HOME/evenkeel (~/.local/state/evenkeel)
    #[arg(long, value_name = "DIR", env = "EVENKEEL_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,

    /// Folder of manifests to keep in force: all *.yaml, *.yml and *.json in it and its subfolders
    #[arg(long, value_name = "DIR", env = "EVENKEEL_MANIFESTS", hide_env_values = true)]
    pub manifests: Option<PathBuf>,

    /// Repository of manifests to keep in force: its default branch, or BRANCH; all of it, or the folder PATH
    #[arg(long, value_name = "URL[#BRANCH[:PATH]]", env = "EVENKEEL_GIT", hide_env_values = true)]
    pub git: Option<GitAddress>,

    /// How often the repository is looked at. Default: 1m
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_GIT_INTERVAL", hide_env_values = true)]
    pub git_interval: Option<Duration>,

    /// Holds the token for the repository: one line. For https
    #[arg(long, value_name = "FILE", env = "EVENKEEL_GIT_TOKEN_FILE", hide_env_values = true)]
    pub git_token_file: Option<PathBuf>,

    /// User name for the repository. Default beside --git-token-file: git. For https
    #[arg(long, value_name = "NAME", env = "EVENKEEL_GIT_USERNAME", hide_env_values = true)]
    pub git_username: Option<String>,

    /// Holds the password of --git-username. For https
    #[arg(long, value_name = "FILE", env = "EVENKEEL_GIT_PASSWORD_FILE", hide_env_values = true)]
    pub git_password_file: Option<PathBuf>,

    /// Certificates that the repository's server is checked with (PEM). Default: the system's. For https
    #[arg(long, value_name = "FILE", env = "EVENKEEL_GIT_CA_FILE", hide_env_values = true)]
    pub git_ca_file: Option<PathBuf>,

    /// Private key for the repository, without a passphrase. For ssh
    #[arg(long, value_name = "FILE", env = "EVENKEEL_GIT_SSH_KEY", hide_env_values = true)]
    pub git_ssh_key: Option<PathBuf>,

    /// The keys of the hosts that are trusted, as ssh-keyscan prints them. For ssh
    #[arg(long, value_name = "FILE", env = "EVENKEEL_GIT_KNOWN_HOSTS", hide_env_values = true)]
    pub git_known_hosts: Option<PathBuf>,

    /// Delete a deployment when its manifest leaves the folder or the repository, instead of showing it as Orphaned. Volumes stay
    #[arg(long, value_name = "BOOL", env = "EVENKEEL_PRUNE", hide_env_values = true, value_parser = BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub prune: Option<bool>,

    /// How far recovery may go on this host, whatever a deployment asks for: Auto does it, Suggest records what it
    /// would do, Observe only reports. Default: Auto
    #[arg(long, env = "EVENKEEL_MODE", hide_env_values = true, ignore_case = true, value_parser = mode_parser())]
    pub mode: Option<RecoveryMode>,

    /// Docker Engine to work on: unix:///path, tcp://host:port, ... Default: DOCKER_HOST, else Docker's current context
    #[arg(long, value_name = "URL", env = "EVENKEEL_DOCKER_HOST", hide_env_values = true)]
    pub docker_host: Option<String>,

    /// Folder of Docker's config.json, from which the credentials of registries are read. Default: DOCKER_CONFIG, else
    /// ~/.docker of the user that the operator runs as
    #[arg(long, value_name = "DIR", env = "EVENKEEL_DOCKER_CONFIG", hide_env_values = true)]
    pub docker_config: Option<PathBuf>,

    /// Name of this operator among several on one engine; each leaves the others' containers alone. Default: default
    #[arg(long, value_name = "NAME", env = "EVENKEEL_INSTANCE", hide_env_values = true)]
    pub instance: Option<String>,

    /// Address of the HTTPS API, or `none`. Default: 127.0.0.1:6440
    #[arg(long, value_name = "ADDRESS", env = "EVENKEEL_LISTEN", hide_env_values = true)]
    pub listen: Option<Listen>,

    /// Path of the API's unix socket. Default: /run/evenkeel/evenkeel.sock as root, else $XDG_RUNTIME_DIR/evenkeel.sock
    #[arg(long, value_name = "PATH", env = "EVENKEEL_SOCKET", hide_env_values = true)]
    pub socket: Option<PathBuf>,

    /// Serve plain HTTP without any token on --listen, which must be a loopback address: everybody with access to
    /// this host is then root on it
    #[arg(
        long,
        value_name = "BOOL",
        env = "EVENKEEL_INSECURE_LOOPBACK", hide_env_values = true,
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        default_missing_value = "true",
        require_equals = true
    )]
    pub insecure_loopback: Option<bool>,

    /// How often everything is looked at again, although nothing happened. Default: 30s
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_RESYNC", hide_env_values = true)]
    pub resync: Option<Duration>,

    /// How often it is measured what containers and the host use, 1s to 30s. Default: 10s
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_SAMPLE_INTERVAL", hide_env_values = true)]
    pub sample_interval: Option<Duration>,

    /// What is watched of the host, as YAML; what is not named keeps its default. Default:
    /// {disk: {above: 90%}, inodes: {above: 90%}}
    #[arg(long, value_name = "RULES", env = "EVENKEEL_HOST_MONITORING", hide_env_values = true)]
    pub host_monitoring: Option<HostMonitoring>,

    /// What is logged: error, warn, info, debug, trace, or by module: evenkeel::docker=debug,info. Default: info
    #[arg(long, value_name = "FILTER", env = "EVENKEEL_LOG", hide_env_values = true)]
    pub log: Option<String>,

    /// Look of log lines on stderr. Default: text
    #[arg(long, value_name = "FORMAT", env = "EVENKEEL_LOG_FORMAT", hide_env_values = true)]
    pub log_format: Option<LogFormat>,
}

/// Where the HTTPS API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// Nowhere: the unix socket is the only door.
    Nowhere,
    /// On this address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        let bad = || format!("{text:?} is not ADDRESS:PORT, such as 127.0.0.1:6440 or [::1]:6440, nor none");
        text.parse().map(Self::At).map_err(|_| bad())
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

fn mode_parser() -> impl TypedValueParser<Value = RecoveryMode> {
    PossibleValuesParser::new(["Auto", "Suggest", "Observe"]).map(|word| match word.to_lowercase().as_str() {
        "observe" => RecoveryMode::Observe,
        "suggest" => RecoveryMode::Suggest,
        _ => RecoveryMode::Auto,
    })
}
