//! Probes of our own: what is asked of a container, in Kubernetes' words, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::{Key, ReplicaId, Secrets};

/// The probes of a service; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    /// Whether it has started: the others wait for it.
    pub startup: Option<Probe>,
    /// Whether it lives: restarted when not.
    pub liveness: Option<Probe>,
    /// Whether it can be used: not ready when not.
    pub readiness: Option<Probe>,
    /// Whether it shows a sign of life often enough: restarted when not.
    pub heartbeat: Option<Probe>,
}

/// The kinds of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// [`Probes::startup`].
    Startup,
    /// [`Probes::liveness`].
    Liveness,
    /// [`Probes::readiness`].
    Readiness,
    /// [`Probes::heartbeat`].
    Heartbeat,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// After the container's start, before the first one. Default 0.
    pub initial_delay: Duration,
    /// From one to the next. Default 10 s.
    pub period: Duration,
    /// What takes longer has failed. Default 1 s.
    pub timeout: Duration,
    /// So many in a row make it good again. Default 1.
    pub success_threshold: u32,
    /// So many in a row make it bad. Default 3.
    pub failure_threshold: u32,
    /// One whose verdict changed often within this time is bad until it has been good for as long. Default 60 s; zero: never.
    pub flap_window: Duration,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A GET; 200 to 399 is good. A redirect is good, and not followed.
    HttpGet(HttpGet),
    /// A call of `grpc.health.v1.Health/Check` over plain HTTP/2; `SERVING` is good.
    Grpc {
        /// Where, instead of the container's own address.
        host: Option<String>,
        /// Port in the container.
        port: u16,
        /// Which service is asked after; empty: the server as a whole.
        service: String,
    },
    /// A connection that is taken.
    TcpSocket {
        /// Where, instead of the container's own address.
        host: Option<String>,
        /// Port in the container.
        port: u16,
    },
    /// A command in the container; exit 0 is good.
    Exec {
        /// Program and arguments; no shell reads it.
        command: Vec<String>,
    },
    /// A file in the container that was written a short while ago.
    FreshFile {
        /// Its path.
        path: String,
        /// How old it may be, counted from the container's start at the earliest.
        freshness: Duration,
    },
    /// A page that tells of a moment a short while ago: its body, else its `Last-Modified`.
    FreshPage {
        /// Where.
        get: HttpGet,
        /// How old that may be, counted from the container's start at the earliest.
        freshness: Duration,
    },
}

/// An HTTP GET.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpGet {
    /// Over TLS, without a look at the certificate, as kubelet does.
    pub tls: bool,
    /// Where, instead of the container's own address.
    pub host: Option<String>,
    /// Port in the container.
    pub port: u16,
    /// With its leading slash, and a query if there is one.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// Which containers of a Deployment are to be probed, all of them: those of earlier wishes that are absent are not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeWish {
    /// The Deployment.
    pub key: Key,
    /// By replica.
    pub targets: BTreeMap<ReplicaId, ProbeTarget>,
}

/// One run of a container that is to be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Which run.
    pub run: RunId,
    /// Where it can be reached from here, or why it cannot.
    pub address: Result<String, Unreachable>,
    /// How.
    pub probes: Probes,
    /// What must not be told of the output.
    pub secrets: Secrets,
}

/// Why a container cannot be reached from here at an address of its own. A probe over the network cannot be made then, which says
/// nothing of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// It has none.
    NoAddress,
    /// It is on macvlan or ipvlan networks alone.
    ClosedToHost,
    /// Its engine is on another machine.
    Remote,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAddress => "the container has no address of its own on a network",
            Self::ClosedToHost => "the container is on a macvlan or ipvlan network, which its own host cannot reach",
            Self::Remote => "the Docker Engine is on another machine, where the container's address means nothing here",
        })
    }
}

/// One run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId {
    /// Full id of the container.
    pub container: String,
    /// When it was started.
    pub started_at: Option<Timestamp>,
}

/// What the probes of a run say now: told when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeNews {
    /// The Deployment.
    pub key: Key,
    /// The run.
    pub run: RunId,
    /// What is known by now.
    pub verdicts: BTreeMap<ProbeKind, ProbeVerdict>,
}

/// What the probes of a Deployment's containers say, by container id.
pub type Probed = BTreeMap<String, ProbeNews>;

/// What one probe says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeVerdict {
    /// How it is.
    pub standing: ProbeStanding,
    /// When that came about.
    pub at: Timestamp,
    /// What the last probe said then: redacted, cut.
    pub output: String,
}

/// How it is by one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeStanding {
    /// Good.
    Good,
    /// Bad: so many failed in a row as it takes.
    Bad,
    /// Its verdict changes all the time: bad until it has been good for long enough.
    Flapping,
    /// It cannot be made as it is declared; that says nothing of the container.
    Broken,
}

impl Probes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All there are, with their kinds.
    pub fn each(&self) -> impl Iterator<Item = (ProbeKind, &Probe)> {
        let Self { startup, liveness, readiness, heartbeat } = self;
        let all = [
            (ProbeKind::Startup, startup),
            (ProbeKind::Liveness, liveness),
            (ProbeKind::Readiness, readiness),
            (ProbeKind::Heartbeat, heartbeat),
        ];
        all.into_iter().filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)))
    }
}

impl ProbeKind {
    /// Its name, for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup probe",
            Self::Liveness => "liveness probe",
            Self::Readiness => "readiness probe",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Whether a command that a probe runs could not be run at all, by its exit code and what was said: the engine, or a shell in the
/// container, did not find its program or may not run it. One that ended with such a code for a reason of its own has run.
pub fn cannot_be_run(exit_code: i64, output: &str) -> bool {
    let said = output.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let by_runtime = ["no such file or directory", "executable file not found", "permission denied", "exec format error"];
    match exit_code {
        -1 | 126 | 127 if said.contains("exec failed") => says(&by_runtime),
        126 => says(&["permission denied", "exec format error", "cannot execute", "is a directory"]),
        127 => says(&["not found", "no such file"]),
        _ => false,
    }
}
