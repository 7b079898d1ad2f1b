//! A real OpenTelemetry collector.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Sandbox, eventually, secs};

/// The collector, as PyPI has it.
const PACKAGE: &str = "rotel==0.0.1a15";

/// A collector process that writes down every span it receives.
pub struct Collector {
    port: u16,
    output: PathBuf,
    child: Child,
}

/// A span as the collector received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits, empty for a root.
    pub parent: String,
    /// 16 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Collector {
    /// Starts one, installing it first where it is missing, and waits until it listens.
    #[track_caller]
    pub fn start_in(sandbox: &Sandbox) -> Self {
        let dir = sandbox.dir().join("collector");
        fs::create_dir_all(&dir).unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, unused, output) = (free(), free(), dir.join("received"));
        let mut command = Command::new(agent());
        command.args(["start", "--otlp-http-endpoint", &format!("127.0.0.1:{port}")]);
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{unused}"), "--exporter", "blackhole"]);
        command.args(["--debug-log", "traces", "--debug-log-verbosity", "detailed", "--disable-batching", "--pid-file"]);
        command.arg(dir.join("pid")).stdin(Stdio::null());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(dir.join("log")).unwrap());
        let child = command.spawn().expect("the collector runs: apt-get install libpython3.11");
        eventually(secs(20), "the collector listens", || {
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        });
        Self { port, output, child }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to (protocol `http/protobuf`).
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that was received, as text with resource and span attributes.
    pub fn received(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// The spans received so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received();
        let blocks = received.split("\nSpan #").skip(1);
        let field = |block: &str, name: &str| {
            let line = block.lines().find_map(|line| line.trim_start().strip_prefix(name)?.trim_start().strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        blocks
            .map(|block| Span {
                trace: field(block, "Trace ID"),
                parent: field(block, "Parent ID"),
                id: field(block, "ID"),
                name: field(block, "Name"),
            })
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, installed once per machine into a cache outside the clone.
fn agent() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("evenkeel");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join("collector.lock")).unwrap();
    lock.lock().unwrap();
    let folder = cache.join(PACKAGE);
    find(&folder).unwrap_or_else(|| {
        let pip =
            Command::new("python3").args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg(PACKAGE).output();
        let output = pip.expect("python3 is installed: apt-get install python3-pip");
        assert!(output.status.success(), "pip install {PACKAGE}: {}", String::from_utf8_lossy(&output.stderr));
        let agent = find(&folder).expect("the package brings rotel-agent");
        assert!(Command::new("chmod").arg("+x").arg(&agent).status().unwrap().success());
        agent
    })
}

fn find(folder: &Path) -> Option<PathBuf> {
    let agent = folder.join("rotel/rotel-agent");
    agent.exists().then_some(agent)
}
