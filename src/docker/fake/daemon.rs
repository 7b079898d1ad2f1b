//! What becomes of the fake daemon and its host.

use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::FakeEngine;
use super::containers::Unit;
use super::machine::{Machine, Power};
use super::operations::DEFAULT_GRACE;
use super::runs::has_process;
use crate::model::{ContainerState, DockerRestart};

/// From SIGTERM to the first `kill`, and from the last `stop` to the end of the event stream: measured on 20.10.
const FIRST_KILL: Duration = Duration::from_millis(40);
const LAST_WORDS: Duration = Duration::from_secs(1);

impl FakeEngine {
    /// A graceful shutdown: the listener closes, all containers are stopped as a person would stop them, the event stream ends
    /// about a second later. Returns when the daemon has gone.
    pub async fn shut_down(&self) {
        let running = self.step(|machine| {
            machine.power = Power::Stopping;
            let running = machine.containers.values().filter(|unit| has_process(unit.seen.state));
            running.map(|unit| unit.seen.id.clone()).collect::<Vec<_>>()
        });
        tokio::time::sleep(FIRST_KILL).await;
        if !self.machine().live_restore {
            // One that is removed meanwhile needs no stop.
            join_all(running.iter().map(|id| self.do_stop(id, DEFAULT_GRACE))).await;
        }
        tokio::time::sleep(LAST_WORDS).await;
        self.step(Machine::daemon_ends);
    }

    /// SIGKILL: everything that was connected is cut off; containers run on.
    pub fn kill_daemon(&self) {
        self.step(Machine::daemon_ends);
    }

    /// A new daemon: it knows the containers and none of the events. What survived a killed one it stops before it serves
    /// (unless it was told to `live-restore`), and says so in its buffer. What was being removed is dead.
    pub async fn start_daemon(&self) {
        let survivors = self.step(Machine::daemon_begins);
        join_all(survivors.iter().map(|id| self.do_stop(id, DEFAULT_GRACE))).await;
        self.step(|machine| {
            machine.power = Power::Up;
            machine.start_by_policy();
        });
    }

    /// A graceful restart.
    pub async fn restart_daemon(&self) {
        self.shut_down().await;
        self.start_daemon().await;
    }

    /// The host is switched off and on again: no process outlives it, nothing is said about it, and the daemon is up again.
    pub async fn reboot_host(&self) {
        self.step(|machine| {
            machine.daemon_ends();
            machine.run.boot_id = Some(machine.chance.id());
            let now = machine.now();
            for unit in machine.containers.values_mut().filter(|unit| unit.seen.is_up()) {
                unit.seen.state = ContainerState::Exited;
                unit.seen.exit_code = 255;
                unit.seen.finished_at = Some(now);
            }
        });
        self.start_daemon().await;
    }

    /// Lets containers run on while the daemon is restarted.
    pub fn set_live_restore(&self, on: bool) {
        self.step(|machine| machine.live_restore = on);
    }
}

impl Machine {
    fn daemon_ends(&mut self) {
        self.power = Power::Down;
        self.buffer.cut();
        self.buffer.forget();
        self.ended.cancel();
    }

    /// Returns what must be stopped before it serves.
    fn daemon_begins(&mut self) -> Vec<String> {
        self.power = Power::Stopping;
        self.ended = CancellationToken::new();
        let (pid, started) = self.run.daemon.unwrap_or((1000, 1));
        self.run.daemon = Some((pid + 1, started + 1000));
        // It cannot know how they were to be removed, and leaves them to whoever comes.
        let half_removed = self.containers.values_mut().filter(|unit| unit.seen.state == ContainerState::Removing);
        half_removed.for_each(|unit| unit.seen.state = ContainerState::Dead);
        if self.live_restore {
            return vec![];
        }
        let survivors = self.containers.values_mut().filter(|unit| has_process(unit.seen.state));
        // Measured on 20.10: of what survived a killed daemon only `always` is started again.
        survivors
            .map(|unit| {
                unit.stopped_by_hand = true;
                unit.seen.id.clone()
            })
            .collect()
    }

    /// Docker's own policies at the start of a daemon; `always` revives also what was stopped by hand.
    fn start_by_policy(&mut self) {
        let due = |unit: &&Unit| {
            let wanted = match unit.seen.restart_policy {
                DockerRestart::No => false,
                DockerRestart::Always => true,
                DockerRestart::UnlessStopped => !unit.stopped_by_hand,
                DockerRestart::OnFailure(_) => !unit.stopped_by_hand && unit.seen.exit_code != 0,
            };
            wanted && unit.run > 0 && !unit.seen.is_up()
        };
        let due: Vec<String> = self.containers.values().filter(due).map(|unit| unit.seen.id.clone()).collect();
        for id in due {
            // One that cannot start shows why in its inspect.
            let _ = self.start(&id);
        }
    }
}
