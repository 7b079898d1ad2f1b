//! A fake Docker Engine in memory, for property tests and benches: [`FakeEngine`].
//!
//! It keeps to what was measured on Docker 20.10: order and attributes of events, the 256 of them that a daemon remembers, the
//! times between `kill`, `die` and `stop`, what a failed start leaves behind, which questions are answered with "there is one
//! already". Under tokio's paused time it is deterministic for a seed.
//!
//! - what containers do: [`FakeEngine::behave`] with a [`Behaviour`]
//! - what a person does with the docker command: [`FakeEngine::person`]
//! - what becomes of daemon and host: [`FakeEngine::shut_down`], [`FakeEngine::kill_daemon`], [`FakeEngine::start_daemon`], ..
//! - what goes wrong: [`FakeEngine::fault`], [`FakeEngine::cut_events`], [`FakeEngine::hold_port`]
//! - what is inside its containers: [`FakeEngine::write_log`], [`FakeEngine::set_usage`]
//! - what was asked of it: [`FakeEngine::calls`]; what is there: [`FakeEngine::container`], [`FakeEngine::containers`], ..
//!
//! Not faked: the processes inside, contents of volumes and images, addresses, DNS, limits.

mod behaviour;
mod buffer;
mod containers;
mod daemon;
mod engine;
mod faults;
mod inside;
mod machine;
mod objects;
mod operations;
mod person;
mod runs;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Alive, Result};
use crate::clock::SharedClock;
use crate::model::{Container, ContainerState, EngineEvent, EngineRun, EventKind, FailureKind, Network, Volume};
use faults::{Fault, failure};
use machine::{Appointment, Machine, Power};

pub use behaviour::{Behaviour, Life, Pace};
pub use faults::{CallRecord, Effect, Verb};
pub use machine::FakeImage;
pub use person::Person;

/// A fake Docker Engine; clones are handles on the same one.
#[derive(Clone)]
pub struct FakeEngine {
    shared: Arc<Shared>,
}

struct Shared {
    machine: Mutex<Machine>,
    /// Counts steps, so that waiting is waiting for the next step.
    steps: watch::Sender<u64>,
}

impl FakeEngine {
    /// An engine with nothing on it but Docker's own three networks. Timestamps come from `clock`, chance from `seed`.
    pub fn new(clock: SharedClock, seed: u64) -> Self {
        let machine = Mutex::new(Machine::new(clock, seed));
        Self { shared: Arc::new(Shared { machine, steps: watch::Sender::new(0) }) }
    }

    /// Sets how long things take.
    pub fn set_pace(&self, pace: Pace) {
        self.step(|machine| machine.pace = pace);
    }

    /// Puts an image on the engine; its tags move to it.
    pub fn add_image(&self, image: FakeImage) {
        self.step(|machine| machine.add_image(image, "load"));
    }

    /// Puts an image into the registry, where a pull of its tags finds it.
    pub fn publish(&self, image: &FakeImage) {
        self.step(|machine| machine.registry.extend(image.tags.iter().map(|tag| (tag.clone(), image.clone()))));
    }

    /// Sets what builds of an image's tags make from now on; without it each build makes an image of its own.
    pub fn builds_to(&self, image: &FakeImage) {
        self.step(|machine| machine.builds.extend(image.tags.iter().map(|tag| (tag.clone(), image.clone()))));
    }

    /// Sets what containers do from their next start on, by container name or by image reference; the name goes first.
    pub fn behave(&self, name_or_image: &str, behaviour: Behaviour) {
        self.step(|machine| machine.behaviours.insert(name_or_image.to_owned(), behaviour));
    }

    /// Lets a process that is no container hold a host port, or (`None`) give it up.
    pub fn hold_port(&self, port: u16, protocol: &str, holder: Option<&str>) {
        let at = (port, protocol.to_owned());
        self.step(|machine| match holder {
            Some(holder) => machine.foreign_ports.insert(at, holder.to_owned()),
            None => machine.foreign_ports.remove(&at),
        });
    }

    /// Lets the next `times` calls of this kind go wrong; `subject` narrows it to a name (of a container, network, ..).
    pub fn fault(&self, verb: Verb, subject: Option<&str>, effect: Effect, times: u32) {
        let fault = Fault { verb, subject: subject.map(str::to_owned), effect, times };
        self.step(|machine| {
            if times > 0 {
                machine.faults.push(fault)
            }
        });
    }

    /// Takes back all faults that have not happened.
    pub fn clear_faults(&self) {
        self.step(|machine| machine.faults.clear());
    }

    /// Cuts all event streams; the daemon lives on and its buffer stays.
    pub fn cut_events(&self) {
        self.step(|machine| machine.buffer.cut());
    }

    /// Fills the buffer with so many events that evenkeel does not subscribe to, as health probes do.
    pub fn crowd_buffer(&self, events: usize) {
        self.step(|machine| {
            for _ in 0..events {
                machine.emit(EventKind::Container, "exec_create: probe", "elsewhere", BTreeMap::new());
            }
        });
    }

    /// Sets what [`Engine::alive`](super::Engine::alive) answers, whatever is so; `None`: the truth.
    pub fn set_evidence(&self, evidence: Option<Alive>) {
        self.step(|machine| machine.evidence = evidence);
    }

    /// Puts a container into a state without any event, for states that only accidents lead to (`Removing`, `Dead`).
    ///
    /// # Errors
    /// When there is no such container.
    pub fn force_state(&self, container: &str, state: ContainerState) -> Result<()> {
        self.step(|machine| {
            let id = machine.find(container)?;
            machine.containers.entry(id).and_modify(|unit| unit.seen.state = state);
            Ok(())
        })
    }

    /// All calls so far, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.machine().calls.clone()
    }

    /// The calls so far that change something.
    pub fn changes(&self) -> Vec<CallRecord> {
        self.machine().calls.iter().filter(|call| call.verb.changes()).cloned().collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.machine().calls.clear();
    }

    /// A container by name or id, as an inspect would show it, whatever the daemon's state.
    pub fn container(&self, container: &str) -> Option<Container> {
        let machine = self.machine();
        let id = machine.find(container).ok()?;
        machine.containers.get(&id).map(|unit| unit.seen.clone())
    }

    /// How often a container was started; 0 if there is none.
    pub fn starts(&self, container: &str) -> u32 {
        let machine = self.machine();
        machine.find(container).ok().and_then(|id| machine.containers.get(&id)).map_or(0, |unit| unit.run)
    }

    /// All containers.
    pub fn containers(&self) -> Vec<Container> {
        self.machine().containers.values().map(|unit| unit.seen.clone()).collect()
    }

    /// All networks.
    pub fn networks(&self) -> Vec<Network> {
        self.machine().networks.values().cloned().collect()
    }

    /// All volumes.
    pub fn volumes(&self) -> Vec<Volume> {
        self.machine().volumes.values().cloned().collect()
    }

    /// Which run of host and daemon this is.
    pub fn engine_run(&self) -> EngineRun {
        self.machine().run.clone()
    }

    /// The docker command in a person's hand.
    pub fn person(&self) -> Person {
        Person::new(self.clone())
    }

    /// Waits until something is so; looked at after each step of the engine. Bound it with a timeout.
    pub async fn until(&self, mut so: impl FnMut(&Self) -> bool) {
        let mut steps = self.shared.steps.subscribe();
        // The sender lives as long as this handle.
        while !so(self) && steps.changed().await.is_ok() {}
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.shared.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step: nobody sees the machine within it. Sets the timers it asks for.
    fn step<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> T {
        let (result, timers) = {
            let mut machine = self.machine();
            let result = work(&mut machine);
            (result, std::mem::take(&mut machine.timers))
        };
        for (after, appointment) in timers {
            self.set_timer(after, appointment);
        }
        self.shared.steps.send_modify(|steps| *steps += 1);
        result
    }

    fn set_timer(&self, after: Duration, appointment: Appointment) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            engine.step(|machine| machine.keep(&appointment));
        });
    }

    /// A call as the operator makes it: on record, subject to faults, bounded, and over when the daemon goes. As with a real
    /// daemon, what was asked is done though the asker stops waiting; all but a pull or a build.
    async fn call<T: Send + 'static>(
        &self,
        verb: Verb,
        subject: &str,
        limit: Duration,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (effect, reachable) = self.step(|machine| {
            let subject = machine.name_of(subject);
            machine.calls.push(CallRecord { at: machine.now(), verb, subject: subject.clone() });
            (faults::take(&mut machine.faults, verb, &subject), machine.power == Power::Up)
        });
        if !reachable {
            return Err(unreachable());
        }
        let engine = self.clone();
        let task = tokio::spawn(async move { engine.while_daemon_lives(faulty(effect, work)).await });
        let answer = if matches!(verb, Verb::Pull | Verb::Build) {
            tokio::time::timeout(limit, AbortOnDropHandle::new(task)).await
        } else {
            tokio::time::timeout(limit, task).await
        };
        match answer {
            Ok(Ok(result)) => result,
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(Err(_)) => Err(unreachable()),
            Err(_) => Err(failure(FailureKind::Timeout, format!("the engine did not answer within {limit:?}"))),
        }
    }

    /// Does the work, unless this run of the daemon ends before.
    async fn while_daemon_lives<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let ended = self.machine().ended.clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => Err(unreachable()),
            result = work => result,
        }
    }

    /// Takes the time that a thing takes.
    async fn take(&self, time: impl FnOnce(&Pace) -> Duration) {
        let time = time(&self.machine().pace);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }
}

/// The work with a fault in it.
async fn faulty<T>(effect: Option<Effect>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match effect {
        None => work.await,
        Some(Effect::Fail(kind)) => Err(injected(kind)),
        Some(Effect::LoseAnswer(kind)) => work.await.and(Err(injected(kind))),
        Some(Effect::Delay(time)) => {
            tokio::time::sleep(time).await;
            work.await
        }
        Some(Effect::Hang) => std::future::pending().await,
    }
}

fn unreachable() -> crate::model::EngineFailure {
    failure(FailureKind::Unavailable, "no connection to the fake engine: connection refused")
}

fn injected(kind: FailureKind) -> crate::model::EngineFailure {
    let message = format!("injected failure: {kind:?}");
    failure(kind, message)
}

/// The events that lie in a stream's past, for tests that look at order: read until none comes at once.
pub fn drain(events: &mut super::Events) -> Vec<EngineEvent> {
    use futures::FutureExt;
    use futures::StreamExt;
    std::iter::from_fn(|| events.next().now_or_never().flatten()?.ok()).collect()
}

#[cfg(test)]
mod tests;
