//! The test daemon itself: it stops, dies and returns as told, and leaves nothing behind.

use serde_json::json;

use crate::support::{OwnDaemon, Sandbox, eventually, secs};

fn sleeper(daemon: &OwnDaemon, name: &str) {
    let script = "trap 'exit 143' TERM; sleep infinity & wait";
    daemon.docker().run(&["run", "--detach", "--name", name, &daemon.image(), "sh", "-c", script]);
}

#[test]
fn a_daemon_of_its_own_is_stopped_killed_and_started_and_nothing_stays_behind() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    sleeper(&daemon, "one");
    assert!(sandbox.docker().find("one").is_none(), "the machine's daemon knows nothing of it");

    daemon.restart();
    daemon.docker().in_state("one", "exited").unwrap();
    daemon.docker().run(&["start", "one"]);
    daemon.kill();
    assert!(daemon.docker().ping().is_err());
    daemon.start();
    eventually(secs(10), "the new daemon has stopped the survivor", || daemon.docker().in_state("one", "exited"));

    let dir = sandbox.dir().to_owned();
    drop((daemon, sandbox));
    assert!(!dir.exists());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(dir.to_str().unwrap()), "{mounts}");
}

#[test]
fn with_live_restore_containers_outlive_the_daemon() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_with(&sandbox, json!({"live-restore": true}));
    sleeper(&daemon, "one");
    let before = daemon.docker().inspect("one")["State"].clone();
    daemon.restart();
    assert_eq!(daemon.docker().inspect("one")["State"], before);
}
