//! Keeps one Source in force.
//!
//! # Flow
//! [`origin`](self::origin) fetches a state of its files, [`Applier`] puts it in force, [`report`](self::report) says what came
//! of it in the Source's status. Then it is waited: for a change on disk, for somebody who asks, or for the interval.
//!
//! # Guarantees
//! - A state that cannot be had, whatever the reason, changes nothing: what was in force stays in force.
//! - A turn that nobody waits for any more, since the Source changed, has ended with all its threads before the next one writes.
//! - A Source that is deleted lets its Deployments go, and is gone when that is done.

mod origin;
mod report;

#[cfg(test)]
pub mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use self::origin::Fetched;
pub use self::origin::{Origin, digest};
use self::report::{Report, Verdict};
use super::folder::{Applier, Namespace, Policy, RETRY, is_deleting};
use super::git::{CheckedOut, Commit, Failure};
use super::turn::{Folders, Turn};
use super::watch::Watch;
use crate::clock::SharedClock;
use crate::crd::{Source, SourceSpec};
use crate::model::{About, FINALIZER_ORPHAN, Happening, Key, Reason, Severity};
use crate::registry::Registry;
use crate::store::Kind;
use crate::telemetry::trace_id;

/// How long a Source that is suspended, or waits for somebody to mend it, is left alone.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Pause after the first failure; where a server is asked it doubles from one to the next, up to the interval.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Longest pause after failures, whatever the interval.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What every keeper works with; clones share it.
#[derive(Clone)]
pub struct Surroundings {
    registry: Registry,
    clock: SharedClock,
    dir: PathBuf,
    folders: Folders,
}

impl Surroundings {
    /// Repositories are kept in `<dir>/<namespace>/<name>`, where nobody else may write.
    pub fn new(registry: Registry, clock: SharedClock, dir: PathBuf) -> Self {
        Self { registry, clock, dir, folders: Folders::default() }
    }

    /// The door to the store.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// How a keeper is called.
#[derive(Default)]
pub struct Signals {
    /// It is to look again.
    pub wake: Notify,
    /// The Source is another one by now: what is under way for the old one need not be finished.
    pub changed: Notify,
}

/// Keeps one Source in force.
pub struct Keeper {
    key: Key,
    surroundings: Surroundings,
    applier: Applier,
    origin: Option<Origin>,
    /// Failures in a row.
    failures: u32,
    /// What people heard of at the last look.
    told: Vec<(Reason, String)>,
    signals: Arc<Signals>,
}

impl Keeper {
    /// Keeps the Source of this name, when it is run.
    pub fn new(key: Key, surroundings: Surroundings) -> Self {
        let applier = Applier::new(&key, surroundings.registry.clone());
        Self { key, surroundings, applier, origin: None, failures: 0, told: Vec::new(), signals: Arc::default() }
    }

    /// The same, which can be called.
    pub fn heeding(self, signals: Arc<Signals>) -> Self {
        Self { signals, ..self }
    }

    /// Keeps it in force until `stopping`, or until it is gone.
    pub async fn run(mut self, stopping: CancellationToken) {
        let signals = Arc::clone(&self.signals);
        loop {
            // Watching starts before reading, so that nothing falls in between; and anew each time, for the folder may
            // be another one by now.
            let watch = self.watch().await;
            let next = tokio::select! {
                () = stopping.cancelled() => return,
                () = signals.changed.notified() => continue,
                next = self.sync() => next,
            };
            tokio::select! {
                () = stopping.cancelled() => return,
                () = changed(watch.as_ref()) => {}
                () = signals.wake.notified() => {}
                () = signals.changed.notified() => {}
                () = sleep(next) => {}
            }
        }
    }

    /// Looks once and writes what differs. Returns when to look again at the latest.
    pub async fn sync(&mut self) -> Duration {
        let span = info_span!("source", source = %self.key);
        match self.turn().instrument(span).await {
            Ok(next) => {
                self.applier.trouble("store", None);
                next
            }
            Err(error) => {
                self.applier.trouble("store", Some(format!("cannot put Source {} in force: {error:#}", self.key)));
                RETRY
            }
        }
    }

    async fn turn(&mut self) -> anyhow::Result<Duration> {
        let Some(stored) = self.surroundings.registry.store().get(Kind::Source, &self.key)? else { return Ok(LONG) };
        let source: Source = serde_json::from_value(stored.as_ref().clone())?;
        let turn = self.surroundings.folders.turn(&self.folder()).await;
        if is_deleting(&stored) {
            self.leave(&source, &turn).await?;
            return Ok(RETRY);
        }
        let mut report = Report::begin(&source, self.surroundings.clock.now());
        if source.spec.suspend {
            report.conclude(Verdict::suspended());
            self.write(report).await?;
            return Ok(LONG);
        }
        if report.is_new() {
            report.reconciling("fetching it for the first time");
            self.write(report.clone()).await?;
        }
        let next = match self.fetch(&source, &turn).await {
            Ok(fetched) => self.put_in_force(&source.spec, fetched, &turn, &mut report).await?,
            Err(failure) => self.failed(&source.spec, &failure, &mut report).await?,
        };
        report.answered(&source);
        self.write(report).await?;
        Ok(next)
    }

    async fn fetch(&mut self, source: &Source, turn: &Turn) -> Result<Fetched, Failure> {
        let spec = &source.spec;
        if self.origin.as_ref().is_none_or(|origin| !origin.is_of(spec)) {
            let before = source.status.as_ref().filter(|status| Some(status.observed_generation) == source.metadata.generation);
            let before = before.filter(|_| self.origin.is_none()).and_then(|status| status.observed_revision.as_deref());
            self.origin = Some(Origin::of(spec, self.folder(), before.and_then(Commit::of_revision)));
        }
        match &mut self.origin {
            Some(origin) => origin.fetch(spec, turn).await,
            None => Err(Failure::new(super::git::Trouble::Other, "there is nowhere to fetch from")),
        }
    }

    async fn put_in_force(
        &mut self,
        spec: &SourceSpec,
        fetched: Fetched,
        turn: &Turn,
        report: &mut Report,
    ) -> anyhow::Result<Duration> {
        // A commit that is not taken is found again at each look.
        let told = std::mem::replace(&mut self.told, fetched.told);
        for (reason, message) in self.told.iter().filter(|fresh| !told.contains(fresh)) {
            self.tell(*reason, Severity::Warning, message.clone()).await;
        }
        let mut notices = fetched.notices;
        let prepared = self.applier.prepare(&fetched.content, &self.policy(spec)).await?;
        let revision = match fetched.content.revision {
            Some(revision) => revision,
            None => origin::digest(&fetched.content.scan, self.applier.named()).await,
        };
        let mut checked_out = CheckedOut::default();
        if let Some(origin) = self.origin.as_mut().filter(|_| !prepared.results.withheld) {
            match origin.check_out(turn).await {
                Ok(done) => checked_out = done,
                Err(failure) => return self.failed(spec, &failure, report).await,
            }
        }
        notices.extend(checked_out.notices);
        let (results, soon) = self.applier.apply(prepared, &checked_out.changed, turn).await?;
        if let Some(origin) = self.origin.as_mut().filter(|_| !results.withheld)
            && let Err(failure) = origin.noted(turn).await
        {
            return self.failed(spec, &failure, report).await;
        }
        report.attempted(&revision, notices);
        let empty = fetched.content.whole && fetched.content.scan.files.is_empty();
        let verdict = Verdict::of(&results, &revision, empty, &checked_out.obstacles);
        let another = verdict.in_force && report.observe(&revision);
        let trouble = verdict.severity() == Severity::Warning && report.would_say(verdict.reason, &verdict.message);
        if another || trouble {
            self.tell(verdict.reason, verdict.severity(), verdict.message.clone()).await;
        }
        if let Some(origin) = self.origin.as_mut().filter(|_| verdict.in_force) {
            origin.keep();
        }
        self.failures = 0;
        self.applier.trouble("fetch", None);
        report.files(&results);
        report.conclude(verdict);
        Ok(soon.unwrap_or_else(|| jittered(spec.interval())))
    }

    async fn failed(&mut self, spec: &SourceSpec, failure: &Failure, report: &mut Report) -> anyhow::Result<Duration> {
        self.failures = self.failures.saturating_add(1);
        let reason = failure.trouble.reason();
        let stays = if report.has_revision() { "; what was in force stays in force" } else { "" };
        let message = format!("{}{stays}", failure.message);
        if report.would_say(reason, &message) {
            self.tell(reason, Severity::Warning, message.clone()).await;
        }
        self.applier.trouble("fetch", Some(message.clone()));
        report.conclude(Verdict::failed(reason, message, failure.trouble.stalls()));
        // A look at a folder of this host costs nobody anything.
        let growth = if spec.git.is_some() { 1 << self.failures.min(16).saturating_sub(1) } else { 1 };
        let pause = FIRST_PAUSE.saturating_mul(growth);
        Ok(jittered(pause.min(spec.interval().max(FIRST_PAUSE)).min(LONGEST_PAUSE)))
    }

    fn policy(&self, spec: &SourceSpec) -> Policy {
        let namespace = match &spec.target_namespace {
            Some(target) => Namespace { default: target.clone(), forced: true },
            None => Namespace { default: self.key.namespace.clone(), forced: false },
        };
        Policy { prune: spec.prune, apply: spec.apply, namespace }
    }

    /// Lets go all that a deleted Source declared.
    async fn leave(&mut self, source: &Source, turn: &Turn) -> anyhow::Result<()> {
        let orphan = source.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER_ORPHAN);
        self.applier.let_go(source.spec.prune && !orphan).await?;
        self.origin = None;
        // Not its working folder: containers have it mounted, and what they wrote there is nobody's to remove.
        for folder in ["git", "keys"].map(|name| self.folder().join(name)) {
            if let Err(error) = turn.remove(&folder).await {
                warn!(folder = %folder.display(), %error, "a folder of a deleted Source stays behind");
            }
        }
        Ok(self.surroundings.registry.source_gone(&self.key).await?)
    }

    fn folder(&self) -> PathBuf {
        self.surroundings.dir.join(&self.key.namespace).join(&self.key.name)
    }

    /// Writes the status where it differs.
    async fn write(&self, report: Report) -> anyhow::Result<()> {
        Ok(report.write(self.surroundings.registry.store(), &self.key).await?)
    }

    async fn tell(&self, reason: Reason, severity: Severity, message: String) {
        let about = About::Source(self.key.clone());
        let happening = Happening { about, reason, severity, message, trace_id: trace_id() };
        if let Err(error) = self.surroundings.registry.store().tell(happening).await {
            warn!(source = %self.key, %error, "an Event could not be written");
        }
    }

    /// Watches what is on this host's disk.
    async fn watch(&mut self) -> Option<Watch> {
        let stored = self.surroundings.registry.store().get(Kind::Source, &self.key).ok()??;
        let spec: SourceSpec = serde_json::from_value(stored["spec"].clone()).ok()?;
        let place = origin::watched(&spec).filter(|_| !spec.suspend)?;
        let root = place.root().to_owned();
        let watched = tokio::task::spawn_blocking(move || place.watch()).await;
        let (watch, blind) = watched.map_or_else(|error| (None, Some(error.to_string())), |(watch, why)| (Some(watch), why));
        let every = crate::crd::Duration(spec.interval());
        // A folder that is not there is told as a trouble of its own.
        let blind = blind.filter(|_| root.exists());
        let message = blind.map(|why| format!("cannot watch {}, so changes are seen every {every} only: {why}", root.display()));
        self.applier.trouble("watch", message);
        watch
    }
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// A tenth sooner or later, so that many hosts do not ask a server at the same moment.
fn jittered(interval: Duration) -> Duration {
    let random = f64::from(uuid::Uuid::new_v4().as_u128() as u8) / 255.0;
    interval.mul_f64(0.9 + 0.2 * random)
}
