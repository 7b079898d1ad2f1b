//! Logs through the operator: merged, followed over restarts and replacements, broken off.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, check, eventually, secs, service};

/// Counts aloud from 1, five times a second.
fn counter(image: &str, name: &str) -> Value {
    let script = format!("BEGIN {{ while (1) {{ n++; print \"{name} \" n; fflush(); system(\"sleep 0.2\") }} }}");
    json!({"image": image, "command": ["awk", script], "init": true})
}

/// A command whose lines are collected as they come. Killed with the test.
struct Following {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Following {
    fn start(operator: &Operator, args: &[&str]) -> Self {
        let mut child = operator.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sink, out) = (lines.clone(), BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| sink.lock().unwrap().push(line)));
        Self { child, lines }
    }

    /// The numbers that a replica has counted so far.
    fn counts(&self, replica: &str) -> Vec<u32> {
        let lines = self.lines.lock().unwrap();
        let of_it = lines.iter().filter(|line| line.split(' ').next() == Some(replica));
        of_it.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    /// How often a replica has begun to count; fails if it left a number out, or said one twice.
    fn runs(&self, replica: &str) -> usize {
        let counts = self.counts(replica);
        for pair in counts.windows(2) {
            assert!(pair[1] == pair[0] + 1 || pair[1] == 1, "{replica}: {counts:?}");
        }
        counts.iter().filter(|count| **count == 1).count()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_services_are_followed_over_a_restart_a_crash_and_a_replacement_and_no_line_is_lost_or_told_twice() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let manifest = |version: &str| {
        let app = service::with(counter(&image, "app"), json!({"environment": {"V": version}}));
        sandbox.deployment("web", json!({"app": app, "db": counter(&image, "db")}))
    };
    sandbox.write_manifest("web.yaml", &manifest("1"));
    operator.wait_ready("web");
    let following = Following::start(&operator, &["logs", "web", "-f"]);
    let runs_are = |app: usize, db: usize| {
        let seen = (following.runs("app-1"), following.runs("db-1"));
        let lively = following.counts("app-1").last().is_some_and(|last| *last > 3);
        check(seen == (app, db) && lively, || format!("{seen:?}"))
    };
    eventually(secs(10), "both count", || runs_are(1, 1));
    operator.evenkeel(&["restart", "web", "app"]);
    eventually(secs(20), "app counts anew", || runs_are(2, 1));
    sandbox.docker().crash(&sandbox.container("web", "app", 1));
    eventually(secs(20), "and after a crash", || runs_are(3, 1));
    sandbox.write_manifest("web.yaml", &manifest("2"));
    eventually(secs(30), "and when it was replaced", || runs_are(4, 1));

    operator.evenkeel(&["delete", "web", "--wait"]);
    let mut following = following;
    let ended =
        eventually(secs(15), "the end of the deployment ends it", || following.child.try_wait().unwrap().ok_or("no".into()));
    assert!(ended.success(), "{ended}");
}

#[test]
fn what_was_written_is_merged_by_time_and_narrowed_down() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let long = service::shell(
        &image,
        "head -c 50000 /dev/zero | tr '\\000' x; echo; printf 'no end'; trap 'exit 0' TERM; sleep infinity & wait",
    );
    let noisy = service::with(counter(&image, "app"), json!({"deploy": {"replicas": 2}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": noisy, "long": long})));
    operator.wait_ready("web");
    let ready = |text: &str| text.lines().filter(|line| line.contains("| app ")).count() > 10;
    eventually(secs(10), "enough was written", || {
        let text = operator.evenkeel(&["logs", "web", "app"]);
        check(ready(&text), || text)
    });
    let stamped = operator.evenkeel(&["logs", "web", "app", "-t", "--no-prefix"]);
    let times: Vec<&str> = stamped.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(times.is_sorted() && times.len() > 10, "{stamped}");
    let both = operator.evenkeel(&["logs", "web", "app"]);
    assert!(both.contains("app-1 | app ") && both.contains("app-2 | app "), "{both}");

    let tail = operator.evenkeel(&["logs", "web", "app-2", "--tail", "3"]);
    assert_eq!(tail.lines().count(), 3, "{tail}");
    assert!(operator.evenkeel(&["logs", "web", "app", "--since", "2999-01-01T00:00:00Z"]).is_empty());

    let whole = operator.evenkeel(&["logs", "web", "long", "--no-prefix"]);
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!((lines[0].len(), lines.len()), (50_000, 1), "a line stored in pieces is one line");
    let stamped = operator.evenkeel(&["logs", "web", "long", "--no-prefix", "-t"]);
    assert_eq!(stamped.matches("Z ").count(), 1, "and has one time");
    operator.evenkeel(&["stop", "web", "long"]);
    eventually(secs(13), "what has no end is told when the container has ended", || {
        let text = operator.evenkeel(&["logs", "web", "long", "--no-prefix"]);
        check(text.ends_with("\nno end\n"), || text[text.len() - 20..].to_owned())
    });
}

#[test]
fn a_client_that_goes_away_ends_the_engines_call() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let quiet = service::sleeper(&sandbox.image());
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": quiet})));
    operator.wait_ready("web");
    let connections = || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", operator.pid())).unwrap().flatten();
        fds.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.display().to_string().starts_with("socket:"))).count()
    };
    let before = connections();
    let following = Following::start(&operator, &["logs", "web", "-f"]);
    eventually(secs(10), "the log is followed", || check(connections() >= before + 2, || connections().to_string()));
    drop(following);
    eventually(secs(10), "nothing is left open", || check(connections() <= before, || connections().to_string()));
}
