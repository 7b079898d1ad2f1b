//! A person at the fake host, with the docker command.

use std::collections::BTreeMap;
use std::time::Duration;

use super::operations::DEFAULT_GRACE;
use super::runs::{KILL, signal_number};
use super::{FakeEngine, Result};
use crate::model::{ContainerSpec, ContainerState, DockerRestart, NetworkAttachment, Volume};

/// From `oom` to `die`.
const OOM_TO_DIE: Duration = Duration::from_millis(50);

/// What a person does: the same sequences of events as on a real engine, nothing on record, no faults. Containers are given by
/// name or id. Everything fails while the daemon is away, but what is done to processes.
#[derive(Clone)]
pub struct Person {
    engine: FakeEngine,
}

#[allow(clippy::missing_errors_doc, reason = "all fail as the docker command does: no such object, wrong state, no daemon")]
impl Person {
    pub(super) fn new(engine: FakeEngine) -> Self {
        Self { engine }
    }

    /// `docker stop`, with Docker's grace of 10 s.
    pub async fn stop(&self, container: &str) -> Result<()> {
        self.stop_within(container, DEFAULT_GRACE).await
    }

    /// `docker stop -t`.
    pub async fn stop_within(&self, container: &str, grace: Duration) -> Result<()> {
        let id = self.find(container)?;
        self.engine.while_daemon_lives(self.engine.do_stop(&id, grace)).await
    }

    /// `docker kill -s`. Returns at once, as Docker's does.
    pub fn kill(&self, container: &str, signal: &str) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| machine.signal(&id, signal_number(signal)));
        Ok(())
    }

    /// `docker start`.
    pub async fn start(&self, container: &str) -> Result<()> {
        let id = self.find(container)?;
        self.engine.while_daemon_lives(self.engine.do_start(&id)).await
    }

    /// `docker restart`.
    pub async fn restart(&self, container: &str) -> Result<()> {
        let id = self.find(container)?;
        self.engine.while_daemon_lives(self.engine.do_restart(&id, DEFAULT_GRACE)).await
    }

    /// `docker rm`, by force `docker rm -f`.
    pub async fn remove(&self, container: &str, force: bool) -> Result<()> {
        let id = self.find(container)?;
        self.engine.while_daemon_lives(self.engine.do_remove(&id, force)).await
    }

    /// `docker compose down` of one container: stop, and a few milliseconds later remove.
    pub async fn take_down(&self, container: &str) -> Result<()> {
        let id = self.find(container)?;
        self.stop(&id).await?;
        tokio::time::sleep(Duration::from_millis(8)).await;
        self.remove(&id, false).await
    }

    /// `docker pause`.
    pub fn pause(&self, container: &str) -> Result<()> {
        self.freeze(container, ContainerState::Running, true)
    }

    /// `docker unpause`.
    pub fn unpause(&self, container: &str) -> Result<()> {
        self.freeze(container, ContainerState::Paused, false)
    }

    /// `docker rename`.
    pub fn rename(&self, container: &str, name: &str) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| machine.rename(&id, name))
    }

    /// `docker update --restart`.
    pub fn set_restart_policy(&self, container: &str, policy: &DockerRestart) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| machine.set_policy(&id, policy))
    }

    /// `docker create`; networks are given by name in the attachments.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        let networks: BTreeMap<String, String> = {
            let machine = self.engine.machine();
            let id = |at: &NetworkAttachment| machine.find_network(&at.network).map(|network| network.id.clone());
            spec.networks.iter().filter_map(|at| Some((at.network.clone(), id(at)?))).collect()
        };
        self.reachable()?;
        self.engine.while_daemon_lives(async { self.engine.step(|machine| machine.create(spec, &networks)) }).await
    }

    /// `docker network create`; returns the id.
    pub fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<String> {
        self.reachable()?;
        Ok(self.engine.step(|machine| machine.add_network(name, "bridge", labels.clone())))
    }

    /// `docker network rm`, by name or id.
    pub fn remove_network(&self, network: &str) -> Result<()> {
        self.reachable()?;
        self.engine.step(|machine| machine.remove_network(network))
    }

    /// `docker network connect`.
    pub fn connect(&self, network: &str, container: &str, attachment: &NetworkAttachment) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| machine.attach(network, &id, attachment))
    }

    /// `docker network disconnect`.
    pub fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| machine.detach(network, &id));
        Ok(())
    }

    /// `docker volume create`: an existing one is left as it is.
    pub fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        self.reachable()?;
        let volume = Volume { name: name.to_owned(), labels: labels.clone(), driver: "local".to_owned() };
        self.engine.step(|machine| machine.add_volume(volume));
        Ok(())
    }

    /// `docker volume rm`.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        self.reachable()?;
        self.engine.step(|machine| machine.remove_volume(name))
    }

    /// `docker rmi`: takes the tag away, and the image where nothing needs it.
    pub fn untag(&self, reference: &str) -> Result<()> {
        self.reachable()?;
        self.engine.step(|machine| machine.untag(reference));
        Ok(())
    }

    /// Ends the main process behind the daemon's back: a crash, or `kill` on the host.
    pub fn crash(&self, container: &str, exit_code: i64) -> Result<()> {
        self.engine.step(|machine| {
            let id = machine.find(container)?;
            machine.run_ends(&id, exit_code);
            Ok(())
        })
    }

    /// The kernel kills the main process for want of memory: `oom`, and a moment later `die` with 137.
    pub async fn run_out_of_memory(&self, container: &str) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| {
            machine.containers.entry(id.clone()).and_modify(|unit| unit.seen.oom_killed = true);
            machine.emit_container(&id, "oom", &[]);
        });
        tokio::time::sleep(OOM_TO_DIE).await;
        self.engine.step(|machine| machine.run_ends(&id, 128 + i64::from(KILL)));
        Ok(())
    }

    /// Lets the container's probe give a verdict now.
    pub fn set_health(&self, container: &str, status: crate::model::HealthStatus) -> Result<()> {
        self.engine.step(|machine| {
            let id = machine.find(container)?;
            machine.probe(&id, status);
            Ok(())
        })
    }

    fn freeze(&self, container: &str, from: ContainerState, frozen: bool) -> Result<()> {
        let id = self.find(container)?;
        self.engine.step(|machine| {
            if machine.containers.get(&id).is_some_and(|unit| unit.seen.state == from) {
                machine.set_frozen(&id, frozen);
            }
        });
        Ok(())
    }

    fn find(&self, container: &str) -> Result<String> {
        self.reachable()?;
        self.engine.machine().find(container)
    }

    fn reachable(&self) -> Result<()> {
        if self.engine.machine().power == super::Power::Up { Ok(()) } else { Err(super::unreachable()) }
    }
}
