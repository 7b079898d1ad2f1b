//! What takes long goes on beside the key's turn: pulls and graceful stops.
//!
//! A job's outcome lands in the Deployment's inbox and its turn is called for; the next turn records it. So history has one
//! writer at a time.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use crate::clock::SharedClock;
use crate::model::{Job, JobKind, Key, Outcome, Progress};

/// Unread finishes kept for a slow reader; one that lags takes it as "anything may have finished".
const BACKLOG: usize = 1024;

/// The jobs under way. Clones share them.
#[derive(Clone)]
pub(super) struct Jobs {
    clock: SharedClock,
    state: Arc<Mutex<State>>,
    finished: broadcast::Sender<Key>,
}

#[derive(Default)]
struct State {
    running: HashMap<(Key, JobKind), Running>,
    inbox: HashMap<Key, Vec<Outcome>>,
}

struct Running {
    job: Job,
    progress: watch::Receiver<Progress>,
    handle: Option<AbortHandle>,
}

impl Jobs {
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, state: Arc::default(), finished: broadcast::channel(BACKLOG).0 }
    }

    /// Starts a job, unless the same one is under way. Its outcome is delivered when it ends; `progress` says how far it is.
    pub fn start(
        &self,
        key: &Key,
        kind: JobKind,
        progress: watch::Receiver<Progress>,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let id = (key.clone(), kind.clone());
        let mut state = self.lock();
        if state.running.contains_key(&id) {
            return;
        }
        let job = Job { kind, since: self.clock.now() };
        state.running.insert(id.clone(), Running { job, progress, handle: None });
        let jobs = self.clone();
        let task = tokio::spawn(tracing::Instrument::in_current_span({
            let id = id.clone();
            async move {
                match AssertUnwindSafe(work).catch_unwind().await {
                    Ok(outcome) => jobs.finish(&id, outcome),
                    Err(_) => jobs.give_up(&id),
                }
            }
        }));
        if let Some(running) = state.running.get_mut(&id) {
            running.handle = Some(task.abort_handle());
        }
    }

    /// Does a piece of work; if it is not done after `patience` it goes on as a job, and `None` is returned.
    pub async fn within(
        &self,
        key: &Key,
        kind: JobKind,
        patience: Duration,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Option<Outcome> {
        // The same call has not been answered yet: it is not made twice.
        if self.lock().running.contains_key(&(key.clone(), kind.clone())) {
            return None;
        }
        let mut work = Box::pin(work);
        let done = tokio::time::timeout(patience, &mut work).await.ok();
        if done.is_none() {
            // A single call tells nothing of how far it is.
            self.start(key, kind, watch::channel(Progress::default()).1, work);
        }
        done
    }

    /// The jobs of a Deployment.
    pub fn of(&self, key: &Key) -> Vec<Job> {
        self.progress(key).into_iter().map(|(job, _)| job).collect()
    }

    /// The jobs of a Deployment, and how far each is.
    pub fn progress(&self, key: &Key) -> Vec<(Job, Progress)> {
        let state = self.lock();
        let of_key = state.running.iter().filter(|((owner, _), _)| owner == key);
        of_key.map(|(_, running)| (running.job.clone(), running.progress.borrow().clone())).collect()
    }

    /// Calls for turns as a finished job does.
    pub fn waker(&self) -> broadcast::Sender<Key> {
        self.finished.clone()
    }

    /// Ends a job that nobody wants any more. Its outcome is not delivered.
    pub fn cancel(&self, key: &Key, kind: &JobKind) {
        let running = self.lock().running.remove(&(key.clone(), kind.clone()));
        if let Some(handle) = running.and_then(|running| running.handle) {
            handle.abort();
        }
    }

    /// Outcomes that came in since the last call.
    pub fn take_finished(&self, key: &Key) -> Vec<Outcome> {
        self.lock().inbox.remove(key).unwrap_or_default()
    }

    /// Whose jobs finish, from now on.
    pub fn finishes(&self) -> broadcast::Receiver<Key> {
        self.finished.subscribe()
    }

    /// Ends all jobs: the operator goes.
    pub fn abort_all(&self) {
        for handle in self.lock().running.drain().filter_map(|(_, running)| running.handle) {
            handle.abort();
        }
    }

    /// A job panicked, a bug: it is no longer under way, and the next turn plans it anew.
    fn give_up(&self, id: &(Key, JobKind)) {
        tracing::error!(deployment = %id.0, job = ?id.1, "a job panicked; it is planned anew");
        self.lock().running.remove(id);
        let _ = self.finished.send(id.0.clone());
    }

    /// Forgets a Deployment that is gone: nobody asks for what its jobs bring any more.
    pub fn forget(&self, key: &Key) {
        let mut state = self.lock();
        state.inbox.remove(key);
        for (_, running) in state.running.extract_if(|(owner, _), _| owner == key) {
            if let (JobKind::Pull(_) | JobKind::Build { .. }, Some(handle)) = (running.job.kind, running.handle) {
                handle.abort();
            }
        }
    }

    fn finish(&self, id: &(Key, JobKind), outcome: Outcome) {
        let mut state = self.lock();
        if state.running.remove(id).is_none() {
            return;
        }
        state.inbox.entry(id.0.clone()).or_default().push(outcome);
        drop(state);
        // No receiver: the operator is going down.
        let _ = self.finished.send(id.0.clone());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
