//! A recorder of `docker events`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use evenkeel::clock::{Clock, SystemClock};
use serde_json::Value;

use super::{Docker, eventually, secs};

/// One event, as Docker sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The daemon's time, in nanoseconds since the epoch.
    pub nanos: i64,
    /// `container`, `network`, `volume`, `image`.
    pub kind: String,
    /// Docker's word: `create`, `start`, `die`, ..
    pub action: String,
    /// Name of what it is about.
    pub name: String,
    /// Name and labels and details.
    pub attributes: Value,
}

/// Everything that happened since recording began to what carries the prefix. Stops recording when dropped.
pub struct Events {
    docker: Docker,
    prefix: String,
    child: Child,
    seen: Arc<Mutex<Vec<Event>>>,
    markers: AtomicUsize,
}

impl Events {
    pub(super) fn record(docker: &Docker, prefix: &str) -> Self {
        let now = SystemClock.now().as_nanosecond();
        let since = format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000);
        let mut child = docker
            .command()
            .args(["events", "--since", &since, "--format", "{{json .}}"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker is installed");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sink, lines, wanted) = (seen.clone(), BufReader::new(child.stdout.take().unwrap()).lines(), prefix.to_owned());
        std::thread::spawn(move || {
            let carries = |event: &Event| {
                let about_us = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(&wanted));
                about_us(&event.name.clone().into()) || event.attributes.as_object().is_some_and(|all| all.values().any(about_us))
            };
            let events = lines.map_while(Result::ok).filter_map(|line| Event::read(&line));
            events.filter(carries).for_each(|event| sink.lock().unwrap().push(event));
        });
        Self { docker: docker.clone(), prefix: prefix.to_owned(), child, seen, markers: AtomicUsize::new(0) }
    }

    /// All events so far. Makes sure that none is under way any more, by an event of its own.
    #[track_caller]
    pub fn all(&self) -> Vec<Event> {
        let marker = format!("{}-marker-{}", self.prefix, self.markers.fetch_add(1, Ordering::Relaxed));
        self.docker.run(&["volume", "create", &marker]);
        self.docker.run(&["volume", "rm", &marker]);
        eventually(secs(10), "the recorder catches up", || {
            let seen = self.seen.lock().unwrap();
            let caught_up = seen.iter().any(|event| event.name == marker && event.action == "destroy");
            caught_up.then_some(()).ok_or_else(|| format!("{} events", seen.len()))
        });
        let markers = format!("{}-marker-", self.prefix);
        self.seen.lock().unwrap().iter().filter(|event| !event.name.starts_with(&markers)).cloned().collect()
    }

    /// Actions on one container so far (health probes and other `exec` left out), in order.
    #[track_caller]
    pub fn actions(&self, container: &str) -> Vec<String> {
        let of_it = |event: &Event| event.kind == "container" && event.name == container && !event.action.starts_with("exec_");
        self.all().into_iter().filter(of_it).map(|event| event.action).collect()
    }

    /// Times of one action on one container, in seconds since the first of them.
    #[track_caller]
    pub fn times(&self, container: &str, action: &str) -> Vec<f64> {
        let all = self.all();
        let of_it = |event: &&Event| event.kind == "container" && event.name == container && event.action == action;
        let nanos: Vec<i64> = all.iter().filter(of_it).map(|event| event.nanos).collect();
        nanos.iter().map(|at| (at - nanos[0]) as f64 / 1e9).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Event {
    fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attributes = value["Actor"]["Attributes"].clone();
        let name = match &attributes["name"] {
            Value::String(name) if value["Type"] != "volume" => name.clone(),
            _ => text(&value["Actor"]["ID"]),
        };
        Some(Self {
            nanos: value["timeNano"].as_i64()?,
            kind: text(&value["Type"]),
            action: text(&value["Action"]),
            name,
            attributes,
        })
    }
}
