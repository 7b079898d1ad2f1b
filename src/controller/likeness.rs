//! How containers that Compose made in our places compare with what is declared: found out beside the turn, read by the planner.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::debug;

use crate::model::{Container, Desired, History, Likeness, Memory, ReplicaId, Snapshot};

use super::Controller;
use super::plan::strangers;

/// What is known, by full id of the container. A container's definition does not change: what was found holds for its spec hash.
#[derive(Default)]
pub(super) struct Likenesses {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: HashMap<String, Likeness>,
    /// Containers that are being looked at.
    asked: HashSet<String>,
}

impl Likenesses {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller {
    /// What is known of the strangers in a Deployment's places. What is not known yet is found out, and its turn called for.
    pub(super) fn likeness(
        self: &Arc<Self>,
        desired: &Desired,
        snapshot: &Snapshot,
        history: &History,
        memory: &Memory,
    ) -> BTreeMap<String, Likeness> {
        let (known, unknown) = self.sorted(desired, snapshot, history, memory);
        let unknown: Vec<Question> = {
            let mut state = self.likenesses.lock();
            unknown.into_iter().filter(|question| state.asked.insert(question.container.clone())).collect()
        };
        if !unknown.is_empty() {
            let (controller, key) = (Arc::clone(self), desired.key.clone());
            tokio::spawn(async move {
                let mut found = false;
                for question in unknown {
                    found |= controller.compare(&question).await;
                    controller.likenesses.lock().asked.remove(&question.container);
                }
                // What failed is asked again with the next turn, which comes in its own time.
                if found {
                    // Nobody listens when the operator ends.
                    let _ = controller.jobs.waker().send(key);
                }
            });
        }
        known
    }

    /// The same for a preview, which waits for the answers.
    pub(super) async fn likeness_now(
        &self,
        desired: &Desired,
        snapshot: &Snapshot,
        history: &History,
        memory: &Memory,
    ) -> BTreeMap<String, Likeness> {
        for question in self.sorted(desired, snapshot, history, memory).1 {
            self.compare(&question).await;
        }
        self.sorted(desired, snapshot, history, memory).0
    }

    /// What is known of the strangers, and what is to be asked.
    fn sorted(
        &self,
        desired: &Desired,
        snapshot: &Snapshot,
        history: &History,
        memory: &Memory,
    ) -> (BTreeMap<String, Likeness>, Vec<Question>) {
        let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
        let state = self.likenesses.lock();
        for (replica, container) in strangers(desired, snapshot, history, memory) {
            match state.found.get(&container.id) {
                Some(found) if Some(&found.spec_hash) == spec_hash(desired, &replica) => {
                    known.insert(container.id.clone(), found.clone());
                }
                _ => unknown.extend(Question::new(desired, &replica, container)),
            }
        }
        (known, unknown)
    }

    /// Asks the engine. Returns whether it answered.
    async fn compare(&self, question: &Question) -> bool {
        let Question { container, spec, networks, spec_hash } = question;
        match self.engine.compare_container(container, spec, networks).await {
            Ok(Some(differs)) => {
                let mut state = self.likenesses.lock();
                // Of containers that are long gone nothing is kept.
                if state.found.len() >= REMEMBERED {
                    state.found.clear();
                }
                state.found.insert(container.clone(), Likeness { spec_hash: spec_hash.clone(), differs });
                true
            }
            Ok(None) => false,
            Err(error) => {
                debug!(%container, %error, "holding a container of docker compose against its declaration failed");
                false
            }
        }
    }
}

/// How many comparisons are remembered; more than an engine has containers.
const REMEMBERED: usize = 4096;

/// One comparison to be made.
struct Question {
    container: String,
    spec: crate::model::ContainerSpec,
    networks: BTreeMap<String, String>,
    spec_hash: String,
}

impl Question {
    fn new(desired: &Desired, replica: &ReplicaId, container: &Container) -> Option<Self> {
        let service = desired.services.get(&replica.service)?;
        let networks = desired.networks.iter().map(|(key, network)| (key.clone(), network.name.clone())).collect();
        Some(Self {
            container: container.id.clone(),
            spec: service.template.clone(),
            networks,
            spec_hash: service.spec_hash.clone(),
        })
    }
}

fn spec_hash<'d>(desired: &'d Desired, replica: &ReplicaId) -> Option<&'d String> {
    desired.services.get(&replica.service).map(|service| &service.spec_hash)
}
