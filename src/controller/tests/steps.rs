//! Makes a story happen. What takes time goes on beside the next steps, so that they can fall into the middle of it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Timestamp;
use crate::docker::fake::Person;
use crate::model::{
    Container, ContainerSpec, ContainerState, DockerRestart, HoldState, Key, MountSource, MountSpec, NetworkAttachment,
    NetworkMode, ReplicaId,
};
use crate::registry::{DeleteOptions, Scope, WriteOptions};
use crate::store::{Kind, Part};

use super::rig::Rig;
use super::story::{App, Edit, Hand, Part as Of, Step, Story, Word, Work};
use super::wire::{acknowledged, of_another_operator, owner};

/// A story on its way.
pub struct Play {
    pub rig: Rig,
    apps: Vec<App>,
    /// What a person asked of evenkeel last. One asks for one thing after the other.
    asked: Option<JoinHandle<()>>,
    /// What became of the daemon last.
    daemon: Option<JoinHandle<()>>,
    /// Everything else that goes on beside.
    beside: Vec<JoinHandle<()>>,
}

/// The key of a story's Deployment.
pub fn key(app: usize) -> Key {
    Key::new("default", format!("a{app}"))
}

impl Play {
    /// The strangers are there, the operator runs, and the Deployments are declared.
    pub async fn begin(story: &Story) -> Self {
        let mut rig = Rig::new(story.seed);
        rig.engine.set_live_restore(story.live_restore);
        strangers(&rig.engine.person(), story).await;
        rig.start_operator();
        let mut play = Self { rig, apps: story.apps.clone(), asked: None, daemon: None, beside: vec![] };
        for app in 0..story.apps.len() {
            play.apply(app).await;
        }
        play
    }

    /// All steps, one after the other.
    pub async fn through(&mut self, story: &Story) {
        for (wait, step) in &story.steps {
            tokio::time::sleep(Duration::from_millis(*wait)).await;
            self.step(step).await;
        }
    }

    /// The trouble is over: no call fails any more, daemon and operator are up, and what people began is done.
    pub async fn trouble_ends(&mut self) {
        self.rig.engine.clear_faults();
        self.done_with_daemon().await;
        self.done_asking().await;
        for beside in self.beside.drain(..) {
            beside.await.unwrap();
        }
        self.rig.start_operator();
    }

    async fn step(&mut self, step: &Step) {
        let engine = self.rig.engine.clone();
        match step {
            Step::Docker(place, hand) => self.by_hand(*place, *hand),
            Step::Evenkeel(app, part, word) => self.ask(app % self.apps.len(), *part, *word).await,
            Step::Edit(app, edit) => self.edit(app % self.apps.len(), *edit).await,
            Step::Delete { app, volumes, pruned } => self.delete(app % self.apps.len(), *volumes, *pruned).await,
            Step::Untag(app, service) => {
                let services = &self.apps[app % self.apps.len()].services;
                let _ = engine.person().untag(&services[service % services.len()].work.image());
            }
            Step::RemoveNetwork(app) => {
                let name = format!("a{}_default", app % self.apps.len());
                let network = engine.networks().into_iter().find(|found| found.name == name && owner(&found.labels).is_some());
                if let Some(network) = network {
                    let _ = engine.person().remove_network(&network.id);
                }
            }
            Step::Fault(verb, effect, times) => engine.fault(*verb, None, effect.clone(), *times),
            Step::CutEvents => engine.cut_events(),
            Step::CrowdBuffer => engine.crowd_buffer(300),
            Step::RestartDaemon => {
                self.done_with_daemon().await;
                self.daemon = Some(tokio::spawn(async move { engine.restart_daemon().await }));
            }
            Step::KillDaemon { away } => {
                self.done_with_daemon().await;
                let away = Duration::from_millis(*away);
                self.daemon = Some(tokio::spawn(async move {
                    engine.kill_daemon();
                    tokio::time::sleep(away).await;
                    engine.start_daemon().await;
                }));
            }
            Step::RebootHost => {
                self.done_with_daemon().await;
                self.rig.kill_operator().await;
                engine.reboot_host().await;
                self.rig.start_operator();
            }
            Step::Operator { killed, away } => {
                if *killed {
                    self.rig.kill_operator().await
                } else {
                    self.rig.stop_operator().await
                }
                tokio::time::sleep(Duration::from_millis(*away)).await;
                self.rig.start_operator();
            }
        }
    }

    async fn done_with_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.await.unwrap();
        }
    }

    async fn done_asking(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.await.unwrap();
        }
    }

    fn by_hand(&mut self, place: usize, hand: Hand) {
        let fits = |container: &Container| match hand {
            Hand::Start => !container.is_up(),
            Hand::Unpause => container.state == ContainerState::Paused,
            Hand::Remove | Hand::SetPolicy | Hand::Disconnect => true,
            _ => container.state == ContainerState::Running,
        };
        let mut ours = self.rig.engine.containers();
        ours.retain(|container| owner(&container.labels).is_some() && fits(container));
        ours.sort_by(|a, b| a.name.cmp(&b.name));
        if ours.is_empty() {
            return;
        }
        let container = ours.swap_remove(place % ours.len());
        let (person, id) = (self.rig.engine.person(), container.id.clone());
        // What cannot be done is not done: it is a person who tries.
        self.beside.push(tokio::spawn(async move {
            let _ = match hand {
                Hand::Crash { code } => person.crash(&id, code),
                Hand::OutOfMemory => person.run_out_of_memory(&id).await,
                Hand::Kill { signal } => person.kill(&id, signal),
                Hand::Stop => person.stop(&id).await,
                Hand::StopAndRemove => person.take_down(&id).await,
                Hand::Restart => person.restart(&id).await,
                Hand::Start => person.start(&id).await,
                Hand::Remove => person.remove(&id, true).await,
                Hand::Pause => person.pause(&id),
                Hand::Unpause => person.unpause(&id),
                Hand::SetPolicy => person.set_restart_policy(&id, &DockerRestart::Always),
                Hand::Disconnect => match container.networks.keys().next() {
                    Some(network) => person.disconnect(network, &id),
                    None => Ok(()),
                },
            };
        }));
    }

    async fn ask(&mut self, app: usize, part: Of, word: Word) {
        self.done_asking().await;
        let Some(operator) = self.rig.operator() else { return };
        let (registry, dead, watch, key) = (operator.registry.clone(), operator.dead.clone(), self.rig.watch.clone(), key(app));
        let scope = scope(&self.apps[app], part);
        let until = match word {
            Word::Suspend { seconds: Some(seconds) } => Some(after(self.rig.clock.now(), seconds)),
            _ => None,
        };
        // What may lift a Hold, or replace it, takes back what was promised of it; also if it is not answered.
        let state = match word {
            Word::Stop => Some(HoldState::Stopped),
            Word::Suspend { .. } => Some(HoldState::Suspended),
            _ => None,
        };
        if !matches!(word, Word::Restart | Word::Retry) {
            watch.notes().acknowledged.retain(|(of, hold)| *of != key || state.is_some_and(|state| hold.state != state));
        }
        self.asked = Some(tokio::spawn(async move {
            let laid = match word {
                Word::Stop => registry.stop(&key, &scope, None, "cli:test").await,
                Word::Suspend { .. } => registry.suspend(&key, &scope, until, None, "cli:test").await,
                Word::Start => registry.start(&key, &scope, "cli:test").await.map(|_| vec![]),
                Word::Resume => registry.resume(&key, &scope, "cli:test").await.map(|_| vec![]),
                Word::Restart => registry.restart(&key, &scope).await.map(|_| vec![]),
                Word::Retry => registry.retry(&key, &scope).await.map(|_| vec![]),
            };
            // What is laid on one that is being deleted goes with it.
            let deployment = registry.store().get(Kind::Deployment, &key).unwrap();
            let stays = deployment.is_some_and(|found| found["metadata"]["deletionTimestamp"].is_null());
            if stays && !dead.is_cancelled() {
                let laid = laid.unwrap_or_default();
                watch.notes().acknowledged.extend(laid.iter().map(|hold| (key.clone(), acknowledged(hold))));
            }
        }));
    }

    async fn edit(&mut self, app: usize, edit: Edit) {
        self.apps[app].edit(edit);
        self.apply(app).await;
    }

    /// Declares a Deployment as it is now. One that is being deleted takes no change that brings it back.
    async fn apply(&mut self, app: usize) {
        self.done_asking().await;
        let Some(operator) = self.rig.operator() else { return };
        let (registry, key) = (operator.registry.clone(), key(app));
        let manifest = self.apps[app].manifest(&key.name);
        let options = WriteOptions { by: "cli:test".into(), ..WriteOptions::default() };
        self.asked = Some(tokio::spawn(async move {
            registry.replace(Kind::Deployment, &key, manifest, Part::Main, true, &options).await.unwrap();
        }));
    }

    async fn delete(&mut self, app: usize, volumes: bool, pruned: bool) {
        self.done_asking().await;
        let Some(operator) = self.rig.operator() else { return };
        let (registry, key) = (operator.registry.clone(), key(app));
        let mut notes = self.rig.watch.notes();
        notes.acknowledged.retain(|(of, _)| *of != key);
        if volumes {
            notes.volumes_may_go.push(key.clone());
        }
        drop(notes);
        let options = DeleteOptions { volumes, pruned, ..DeleteOptions::default() };
        self.asked = Some(tokio::spawn(async move {
            let _ = registry.delete(Kind::Deployment, &key, &options).await;
        }));
    }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now + jiff::SignedDuration::from_secs(seconds)
}

fn scope(app: &App, part: Of) -> Scope {
    let count = app.services.len();
    match part {
        Of::All => Scope::default(),
        Of::Service(at) => Scope { services: vec![format!("s{}", at % count)], replicas: vec![] },
        Of::Replica(at, number) => {
            let replicas = app.services[at % count].replicas;
            Scope { services: vec![], replicas: vec![ReplicaId::new(format!("s{}", at % count), number % replicas + 1)] }
        }
    }
}

/// Somebody else's things, and another operator's; some with a name that one of ours should have.
async fn strangers(person: &Person, story: &Story) {
    let none = BTreeMap::new();
    person.create_network("strangers", &none).unwrap();
    person.create_volume("strangers", &none).unwrap();
    let mut containers = vec![("stranger", none.clone()), ("of-another-operator", of_another_operator())];
    if story.strangers.container_has_a_name_of_ours {
        containers.push(("a0-s0-1", none.clone()));
    }
    for (name, labels) in containers {
        let spec = ContainerSpec {
            name: name.to_owned(),
            image: Work::Plain.image(),
            labels,
            network: NetworkMode::Networks,
            networks: vec![NetworkAttachment { network: "strangers".to_owned(), ..NetworkAttachment::default() }],
            mounts: vec![MountSpec {
                source: MountSource::Volume { name: "strangers".to_owned(), nocopy: false, subpath: None },
                target: "/data".to_owned(),
                read_only: false,
            }],
            restart: DockerRestart::UnlessStopped,
            ..ContainerSpec::default()
        };
        person.create(&spec).await.unwrap();
        person.start(name).await.unwrap();
    }
    if story.strangers.network_has_a_name_of_ours {
        person.create_network("a0_default", &none).unwrap();
    }
    if story.strangers.volume_has_a_name_of_ours {
        person.create_volume("a0_data", &none).unwrap();
    }
}
