//! The runs of fake containers: start, signals, end, probes, and Docker's own restart policy.

use std::time::Duration;

use super::behaviour::{Behaviour, Life, OnSignal};
use super::containers::gone;
use super::faults::failure;
use super::machine::{Appointment, Machine, Power, Timer};
use crate::docker::Result;
use crate::model::{
    Container, ContainerState, DockerRestart, EngineFailure, FailureKind, Health, HealthStatus, HostPort, familiar_reference,
};

pub(super) const KILL: i32 = 9;
const TERM: i32 = 15;
/// First delay of Docker's own restarts.
const FIRST_REVIVAL: Duration = Duration::from_millis(100);
/// From a thaw to the next probe.
const PROBE_AFTER_THAW: Duration = Duration::from_millis(500);

impl Machine {
    /// Starts a container. One that runs already is no error.
    pub(super) fn start(&mut self, id: &str) -> Result<()> {
        self.look_networks_up(id);
        let unit = self.containers.get(id).ok_or_else(|| gone(id))?;
        let name = unit.seen.name.clone();
        match unit.seen.state {
            ContainerState::Running | ContainerState::Restarting => return Ok(()),
            ContainerState::Paused => return Err(conflict(&name, "cannot start a paused container, try unpause instead")),
            ContainerState::Removing | ContainerState::Dead => {
                return Err(conflict(&name, "container is marked for removal and cannot be started"));
            }
            ContainerState::Created | ContainerState::Exited => {}
        }
        match self.obstacle(id) {
            None => {
                self.run_begins(id);
                Ok(())
            }
            Some(EngineFailure { kind, message }) => {
                // As on a real engine: the state stays, error and exit code tell.
                if let Some(unit) = self.containers.get_mut(id) {
                    unit.seen.error = message.clone();
                    unit.seen.exit_code = if kind == FailureKind::StartFailed { 127 } else { 128 };
                }
                Err(failure(kind, format!("cannot start container {name}: {message}")))
            }
        }
    }

    /// Until a container has run its networks are known by name alone: one that was made anew since will do.
    fn look_networks_up(&mut self, id: &str) {
        let Self { containers, networks, .. } = self;
        let Some(unit) = containers.get_mut(id).filter(|unit| unit.run == 0) else { return };
        for (name, (known, _)) in &mut unit.endpoints {
            let found = networks.values().find(|network| network.name == *name).filter(|_| !networks.contains_key(known));
            found.iter().for_each(|network| known.clone_from(&network.id));
        }
    }

    /// What keeps it from being started.
    fn obstacle(&self, id: &str) -> Option<EngineFailure> {
        let unit = self.containers.get(id)?;
        if let Some((name, _)) = unit.endpoints.iter().find(|(_, (network, _))| !self.networks.contains_key(network)) {
            return Some(failure(FailureKind::NetworkMissing, format!("network {name} not found")));
        }
        if let Some(name) =
            unit.endpoints.keys().find(|name| self.networks.values().filter(|known| known.name == **name).count() > 1)
        {
            let says = format!("network {name} is ambiguous (2 matches found on name)");
            return Some(failure(FailureKind::Conflict, says));
        }
        if let Some(parent) = unit.seen.network_mode.strip_prefix("container:") {
            let runs =
                self.find(parent).is_ok_and(|parent| self.containers.get(&parent).is_some_and(|parent| parent.seen.is_up()));
            if !runs {
                return Some(failure(FailureKind::Conflict, format!("cannot join network of a non running container: {parent}")));
            }
        }
        if let Some(port) = unit.seen.ports.iter().find(|port| self.is_held(id, port)) {
            let says = format!("Bind for {}:{} failed: port is already allocated", port.ip, port.port);
            return Some(failure(FailureKind::PortHeld { port: Some(port.port), protocol: port.protocol.clone() }, says));
        }
        self.behaviour(id).start_failure.map(|(kind, says)| failure(kind, says))
    }

    fn is_held(&self, id: &str, wanted: &HostPort) -> bool {
        let meets = |other: &HostPort| {
            let overlap = other.ip == wanted.ip || [&other.ip, &wanted.ip].iter().any(|ip| ip.is_empty() || *ip == "0.0.0.0");
            other.port == wanted.port && other.protocol == wanted.protocol && overlap
        };
        let by_container = || {
            let mut others = self.containers.values().filter(|unit| unit.seen.id != id && unit.seen.is_up());
            others.any(|unit| unit.seen.ports.iter().any(meets))
        };
        wanted.port != 0 && (self.foreign_ports.contains_key(&(wanted.port, wanted.protocol.clone())) || by_container())
    }

    pub(super) fn behaviour(&self, id: &str) -> Behaviour {
        let by = |name: &str| self.behaviours.get(name).cloned();
        let unit = self.containers.get(id);
        unit.and_then(|unit| {
            by(&unit.seen.name).or_else(|| by(&unit.seen.image)).or_else(|| by(&familiar_reference(&unit.seen.image)))
        })
        .unwrap_or_default()
    }

    fn run_begins(&mut self, id: &str) {
        let (now, behaviour) = (self.now(), self.behaviour(id));
        let Some(unit) = self.containers.get_mut(id) else { return };
        unit.run += 1;
        unit.stopped_by_hand = false;
        let declared = unit.spec.healthcheck.as_ref().is_some_and(|check| check.test.first().is_some_and(|word| word != "NONE"));
        let Container { state, started_at, error, exit_code, oom_killed, health, .. } = &mut unit.seen;
        *state = ContainerState::Running;
        *started_at = Some(now);
        error.clear();
        *exit_code = 0;
        *oom_killed = false;
        *health = (declared || !behaviour.health.is_empty()).then(|| verdict(HealthStatus::Starting, 0, None));
        let run = unit.run;
        let networks: Vec<String> = unit.endpoints.values().map(|(network, _)| network.clone()).collect();
        self.show_networks(id);
        for network in networks {
            if let Some(network) = self.networks.get(&network).cloned() {
                self.emit_network(&network, "connect", id);
            }
        }
        self.emit_container(id, "start", &[]);
        if let Life::Exits { after, code } = behaviour.life(run) {
            self.later(id, after, Timer::Exit(code));
        }
        for (after, status) in behaviour.health {
            self.later(id, after, Timer::Probe(status));
        }
    }

    /// Delivers a signal through the engine (`kill` event). Returns whether there was a process to get it.
    pub(super) fn signal(&mut self, id: &str, signal: i32) -> bool {
        let serving = self.power == Power::Up;
        let Some(unit) = self.containers.get_mut(id).filter(|unit| has_process(unit.seen.state)) else { return false };
        let stop_signal = stop_signal(&unit.seen);
        let ends_it = signal == KILL || signal == stop_signal;
        unit.stopped_by_hand |= ends_it && serving;
        let wakes = unit.seen.state == ContainerState::Paused && signal != KILL && ends_it;
        self.emit_container(id, "kill", &[("signal", &signal.to_string())]);
        if wakes {
            self.set_frozen(id, false);
        }
        match self.behaviour(id).on_stop_signal {
            _ if signal == KILL => self.later(id, self.pace.kill, Timer::Exit(137)),
            OnSignal::Exits { after, code } if ends_it || signal == TERM => self.later(id, after, Timer::Exit(code)),
            OnSignal::Exits { .. } | OnSignal::Ignores => {}
        }
        true
    }

    /// The main process has ended.
    pub(super) fn run_ends(&mut self, id: &str, code: i64) {
        let now = self.now();
        let Some(unit) = self.containers.get_mut(id).filter(|unit| has_process(unit.seen.state)) else { return };
        unit.seen.state = ContainerState::Exited;
        unit.seen.exit_code = code;
        unit.seen.finished_at = Some(now);
        if let Some(health) = &mut unit.seen.health {
            // Docker's monitor says so when it is closed.
            health.status = HealthStatus::Unhealthy;
        }
        let networks: Vec<String> = unit.endpoints.values().map(|(network, _)| network.clone()).collect();
        self.show_networks(id);
        self.emit_container(id, "die", &[("exitCode", &code.to_string())]);
        for network in networks {
            if let Some(network) = self.networks.get(&network).cloned() {
                self.emit_network(&network, "disconnect", id);
            }
        }
        self.maybe_revive(id, code);
    }

    /// Docker's own restart policy.
    fn maybe_revive(&mut self, id: &str, code: i64) {
        let up = self.power == Power::Up;
        let Some(unit) = self.containers.get_mut(id).filter(|unit| up && !unit.stopped_by_hand) else { return };
        let tries = unit.seen.restart_count;
        let wanted = match unit.seen.restart_policy {
            DockerRestart::No => false,
            DockerRestart::Always | DockerRestart::UnlessStopped => true,
            DockerRestart::OnFailure(max) => code != 0 && (max == 0 || tries < i64::from(max)),
        };
        if wanted {
            unit.seen.state = ContainerState::Restarting;
            unit.seen.restart_count += 1;
            let doublings = u32::try_from(tries).unwrap_or(0).min(9);
            self.later(id, FIRST_REVIVAL * 2_u32.pow(doublings), Timer::Revive);
        }
    }

    /// Freezes it or lets it go on.
    pub(super) fn set_frozen(&mut self, id: &str, frozen: bool) {
        let Some(unit) = self.containers.get_mut(id) else { return };
        unit.seen.state = if frozen { ContainerState::Paused } else { ContainerState::Running };
        if let Some(health) = unit.seen.health.as_mut().filter(|_| frozen) {
            // Docker's monitor says so when it is closed; the next probe after the thaw knows better.
            unit.health_before_freeze = Some(std::mem::replace(&mut health.status, HealthStatus::Unhealthy));
        }
        let verdict = unit.health_before_freeze.filter(|_| !frozen);
        self.emit_container(id, if frozen { "pause" } else { "unpause" }, &[]);
        if let Some(verdict) = verdict {
            self.later(id, PROBE_AFTER_THAW, Timer::Probe(verdict));
        }
    }

    /// Sets the probe's verdict; an event tells when it is another one than before.
    pub(super) fn probe(&mut self, id: &str, status: HealthStatus) {
        let now = self.now();
        let Some(unit) = self.containers.get_mut(id).filter(|unit| unit.seen.state == ContainerState::Running) else { return };
        let before = unit.seen.health.replace(verdict(status, u32::from(status == HealthStatus::Unhealthy), Some(now)));
        if before.is_none_or(|before| before.status != status) {
            let word = if status == HealthStatus::Healthy { "healthy" } else { "unhealthy" };
            self.emit_container(id, &format!("health_status: {word}"), &[]);
        }
    }

    /// A timer has run out.
    pub(super) fn keep(&mut self, appointment: &Appointment) {
        let id = appointment.container.as_str();
        let Some(unit) = self.containers.get_mut(id).filter(|unit| unit.run == appointment.run) else { return };
        match appointment.timer {
            // A frozen process does nothing; it goes on where it was once it is thawed.
            Timer::Exit(code) if unit.seen.state == ContainerState::Paused && code != 137 => {
                self.later(id, Duration::from_millis(100), appointment.timer);
            }
            Timer::Exit(code) => self.run_ends(id, code),
            Timer::Probe(status) => self.probe(id, status),
            Timer::Revive if unit.seen.state == ContainerState::Restarting => {
                unit.seen.state = ContainerState::Exited;
                // A start that fails leaves it Exited with the engine's error in it.
                let _ = self.start(id);
            }
            Timer::Revive => {}
        }
    }
}

/// Running or frozen; between two tries of Docker's own policy there is no process.
pub(super) fn has_process(state: ContainerState) -> bool {
    matches!(state, ContainerState::Running | ContainerState::Paused)
}

/// The signal that asks it to end.
pub(super) fn stop_signal(container: &Container) -> i32 {
    container.stop_signal.as_deref().map_or(TERM, signal_number)
}

fn verdict(status: HealthStatus, failing_streak: u32, at: Option<jiff::Timestamp>) -> Health {
    let last_exit_code = at.map(|_| i64::from(failing_streak > 0));
    Health {
        status,
        failing_streak,
        retries: 1,
        period: Duration::from_secs(60),
        last_probe_at: at,
        last_exit_code,
        ..Health::default()
    }
}

fn conflict(name: &str, says: &str) -> EngineFailure {
    failure(FailureKind::Conflict, format!("cannot start container {name}: {says}"))
}

/// The number of a signal, given by name or number.
pub(super) fn signal_number(text: &str) -> i32 {
    let bare = text.trim_start_matches("SIG");
    match bare {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => KILL,
        "USR1" => 10,
        "USR2" => 12,
        "WINCH" => 28,
        _ => bare.parse().unwrap_or(TERM),
    }
}
