//! Operations that take time, for whoever asks: the operator through [`Engine`](crate::docker::Engine), or a person.

use std::time::Duration;

use super::containers::gone;
use super::faults::failure;
use super::runs::{KILL, has_process, stop_signal};
use super::{FakeEngine, Result};
use crate::model::{ContainerState, EngineFailure, FailureKind};

/// Docker's grace where none is given.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

impl FakeEngine {
    pub(super) async fn do_start(&self, id: &str) -> Result<()> {
        self.take(|pace| pace.start).await;
        self.step(|machine| machine.start(id))
    }

    /// `kill`, perhaps a second one, `die`, a while, `stop`. Nothing at all for one that is not running.
    pub(super) async fn do_stop(&self, id: &str, grace: Duration) -> Result<()> {
        let runs = self.step(|machine| {
            let unit = machine.containers.get_mut(id).ok_or_else(|| gone(id))?;
            if unit.seen.state == ContainerState::Restarting {
                unit.seen.state = ContainerState::Exited;
                unit.stopped_by_hand = true;
                machine.emit_container(id, "stop", &[]);
                return Ok(false);
            }
            let signal = stop_signal(&unit.seen);
            Ok(machine.signal(id, signal))
        })?;
        if !runs {
            return Ok(());
        }
        if tokio::time::timeout(grace, self.run_over(id)).await.is_err() {
            self.step(|machine| machine.signal(id, KILL));
            self.run_over(id).await;
        }
        self.settle().await;
        self.step(|machine| machine.emit_container(id, "stop", &[]));
        Ok(())
    }

    /// `stop`, `start`, `restart`. Where the start fails nothing more is sent.
    pub(super) async fn do_restart(&self, id: &str, grace: Duration) -> Result<()> {
        self.do_stop(id, grace).await?;
        self.do_start(id).await?;
        self.step(|machine| machine.emit_container(id, "restart", &[]));
        Ok(())
    }

    /// Removes it; by force: `kill` 9, `die`, `destroy`, without a `stop`.
    pub(super) async fn do_remove(&self, id: &str, force: bool) -> Result<()> {
        self.step(|machine| {
            let unit = machine.containers.get_mut(id).ok_or_else(|| gone(id))?;
            if unit.seen.state == ContainerState::Removing {
                return Err(in_the_way(id, "removal of container is already in progress"));
            }
            if has_process(unit.seen.state) && !force {
                return Err(in_the_way(
                    id,
                    "You cannot remove a running container. Stop the container before attempting removal",
                ));
            }
            machine.signal(id, KILL);
            Ok(())
        })?;
        self.run_over(id).await;
        self.step(|machine| {
            machine.containers.entry(id.to_owned()).and_modify(|unit| unit.seen.state = ContainerState::Removing);
        });
        self.take(|pace| pace.remove).await;
        self.step(|machine| machine.destroy(id));
        Ok(())
    }

    /// From `die` to `stop`, the daemon takes the container's networks and mounts down.
    pub(super) async fn settle(&self) {
        let time = self.step(|machine| {
            let range = machine.pace.settle.clone();
            machine.chance.within(&range)
        });
        self.take(|_| time).await;
    }

    /// Returns when the container has no process any more.
    pub(super) async fn run_over(&self, id: &str) {
        self.until(|engine| !engine.machine().containers.get(id).is_some_and(|unit| has_process(unit.seen.state))).await;
    }
}

fn in_the_way(id: &str, says: &str) -> EngineFailure {
    failure(FailureKind::Conflict, format!("cannot remove container {id}: {says}"))
}
