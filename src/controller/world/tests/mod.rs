//! The world against a daemon of our own, in paused time.

mod daemon;
mod faults;
mod paper;
mod picture;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Timestamp, TokioClock};
use crate::model::{Snapshot, Verdict};

use super::{View, World, WorldChange, WorldOptions};
use daemon::{Daemon, ours};
use paper::Paper;

/// An operator's world, following a daemon.
struct Scene {
    daemon: Arc<Daemon>,
    paper: Arc<Paper>,
    world: Arc<World>,
    changes: broadcast::Receiver<WorldChange>,
    clock: TokioClock,
    shutdown: CancellationToken,
    running: JoinHandle<crate::store::Result<()>>,
}

fn clock() -> TokioClock {
    TokioClock::starting_at(Timestamp::from_second(1_700_000_000).unwrap())
}

impl Scene {
    /// A daemon with these containers of ours, and a world that has seen them.
    async fn with(services: &[&str]) -> Self {
        let clock = clock();
        let daemon = Daemon::new(clock);
        for service in services {
            daemon.run_container(service, ours(service));
        }
        let mut scene = Self::open(daemon, Arc::default(), clock);
        scene.seen().await;
        // Where the events begin is written down.
        millis(20).await;
        scene.daemon.calls();
        scene
    }

    fn open(daemon: Arc<Daemon>, paper: Arc<Paper>, clock: TokioClock) -> Self {
        let ledger = Arc::new(Arc::clone(&paper));
        let world = World::with_ledger(daemon.clone(), ledger, Arc::new(clock), WorldOptions::default());
        let shutdown = CancellationToken::new();
        let changes = world.changes();
        let running = tokio::spawn(Arc::clone(&world).run(shutdown.clone()));
        Self { daemon, paper, world, changes, clock, shutdown, running }
    }

    /// The operator dies: nothing is written any more. Returns what is left.
    fn killed(self) -> (Arc<Daemon>, Arc<Paper>, TokioClock) {
        self.running.abort();
        let left = Arc::new(self.paper.copy());
        // Whatever the tasks left behind still write goes to a paper that nobody reads.
        (self.daemon, left, self.clock)
    }

    async fn stopped(self) -> (Arc<Daemon>, Arc<Paper>, TokioClock) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
        (self.daemon, self.paper, self.clock)
    }

    async fn seen(&mut self) -> Arc<Snapshot> {
        self.until(|_| true).await
    }

    /// Waits until the picture shows something, at most two minutes of paused time.
    async fn until(&self, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        for _ in 0..120_000 {
            if let View::Seen(snapshot) = self.world.view()
                && wanted(&snapshot)
            {
                return snapshot;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("never seen: {:#?}", self.world.view());
    }

    async fn verdict(&self, id: &str) -> Verdict {
        let decided =
            |snapshot: &Snapshot| snapshot.ends.get(id).is_some_and(|end| !matches!(end.verdict, Verdict::Pending { .. }));
        self.until(decided).await.ends[id].verdict.clone()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        match self.world.view() {
            View::Seen(snapshot) => snapshot,
            View::Blind { why, .. } => panic!("blind: {why}"),
        }
    }

    fn holds(&self) -> Vec<String> {
        self.paper.lock().holds.keys().cloned().collect()
    }

    fn heard(&mut self) -> Vec<WorldChange> {
        std::iter::from_fn(|| self.changes.try_recv().ok()).collect()
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn millis(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
