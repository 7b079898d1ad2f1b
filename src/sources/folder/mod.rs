//! Puts in force what a Source declares: the files of a folder or of a commit.
//!
//! # Flow
//! `read` says what the files declare, `diff` holds that against the store (pure), and the steps are written through the
//! [`Registry`]. Level-triggered: each time everything is looked at, so that a missed event costs at most a rescan.
//!
//! # Guarantees
//! - A file that is right is in force whatever is wrong with its neighbours; of a broken one the last good version runs on. Where
//!   the whole commit or nothing is asked for, one mistake leaves everything as it is.
//! - A Deployment is deleted only with `prune`, if it came from this Source, if all of it could be read, and if it is really
//!   gone: from a folder twice, a second apart; never because of a commit without any manifest.
//! - Files that did not change cause no write, unless the object was changed behind their back: then they win.
//! - What another Source declared first stays that one's.

mod diff;
mod memory;
mod read;
mod results;
mod tell;
mod write;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::diff::{is_deleting, key_of};
pub use self::memory::Place;
pub use self::read::{Cache, Declared, Namespace, read};
pub use self::results::Results;

use crate::crd::{ApplyMode, list_errors};
use crate::model::{Key, annotations};
use crate::registry::{Registry, RegistryError};
use crate::sources::files::Scan;
use crate::sources::turn::Turn;
use crate::store::{Change, ChangeKind, Kind, Listing};
use diff::{Circumstances, Diff, Known, Origin, Step, diff, gone, in_force, owner};
use memory::Memory;
use read::Reading;
use tell::Told;

/// How often a write that failed is tried again.
pub const RETRY: Duration = Duration::from_secs(2);

/// How long a manifest must be missing before it counts as gone: editors and git remove files to write them anew.
pub const GONE_AFTER: Duration = Duration::from_secs(1);

/// One state of a source.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its files; of the same commit the same ones, not a copy.
    pub scan: Arc<Scan>,
    /// Its revision, where Deployments are to show it.
    pub revision: Option<String>,
    /// Where it was read.
    pub place: Place,
    /// It is a commit: what is missing in it is gone.
    pub whole: bool,
}

/// How it is put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Delete what is gone.
    pub prune: bool,
    /// How much of it is taken.
    pub apply: ApplyMode,
    /// Which namespace its documents are for.
    pub namespace: Namespace,
}

/// Puts in force what one Source declares.
pub struct Applier {
    /// Its name, and the revision that is put in force.
    origin: Origin,
    /// The other Sources there are.
    others: BTreeSet<String>,
    registry: Registry,
    cache: Cache,
    told: Told,
    missing: BTreeMap<Key, Instant>,
    known: Known,
    settled: Option<Settled>,
}

/// What is to be put in force.
pub struct Prepared {
    /// What reading the files showed, and whether nothing may be written.
    pub results: Results,
    steps: Vec<Step>,
    reading: Reading,
    next: Option<Duration>,
    /// What is settled when all of it is written.
    settles: Option<Settled>,
}

/// A commit that is in force: as long as nothing changes there is nothing to compare.
struct Settled {
    scan: Arc<Scan>,
    revision: Option<String>,
    policy: Policy,
    /// The store's revision that it was compared with.
    compared_at: u64,
    results: Results,
}

impl Settled {
    fn is_of(&self, content: &Content, policy: &Policy) -> bool {
        Arc::ptr_eq(&self.scan, &content.scan) && self.revision == content.revision && self.policy == *policy
    }
}

impl Applier {
    /// That of the Source of this name.
    pub fn new(source: &Key, registry: Registry) -> Self {
        let told = Told::new(registry.store().clone());
        let origin = Origin { source: source.to_string(), revision: None };
        let (others, missing) = (BTreeSet::new(), BTreeMap::new());
        Self { origin, others, registry, cache: Cache::default(), told, missing, known: Known::new(), settled: None }
    }

    /// Files that Compose files name or look for, by absolute path, as they were read last.
    pub fn named(&self) -> BTreeSet<String> {
        self.cache.named()
    }

    /// A trouble with the source as a whole, or its end: logged when it comes, changes or goes.
    pub fn trouble(&mut self, name: &'static str, trouble: Option<String>) {
        self.told.trouble(name, trouble);
    }

    /// Finds out what is to be written, and whether it may be. Nothing is put in force yet.
    ///
    /// # Errors
    /// The store failed.
    pub async fn prepare(&mut self, content: &Content, policy: &Policy) -> anyhow::Result<Prepared> {
        if let Some(results) = self.still_settled(content, policy) {
            return Ok(Prepared { results, steps: Vec::new(), reading: Reading::default(), next: None, settles: None });
        }
        self.cache.set_namespace(policy.namespace.clone());
        self.origin.revision.clone_from(&content.revision);
        let reading = self.read(&content.scan).await?;
        let Listing { items: stored, revision } = self.registry.store().list(Kind::Deployment, None)?;
        let now = Instant::now();
        let mut circumstances = self.circumstances(content, policy, now)?;
        self.others.clone_from(&circumstances.others);
        let gone = gone(&reading, &stored, &self.origin);
        if content.whole {
            circumstances.long_gone.clone_from(&gone);
        }
        circumstances.spared = Memory::spared(self.registry.store(), &self.origin.source, content, &gone).await?;
        circumstances.known = std::mem::take(&mut self.known);
        let Diff { steps, gone, known } = diff(&reading, &stored, &circumstances);
        self.known = known;

        self.missing.retain(|key, _| gone.contains(key));
        let leaving = stored.iter().any(|object| is_deleting(object) && reading.declared.contains_key(&key_of(object)));
        let waiting = gone.iter().any(|key| !circumstances.long_gone.contains(key));
        for key in gone {
            self.missing.entry(key).or_insert(now);
        }

        self.told.broken(&reading.broken, &stored).await?;
        let unpruned = policy.prune && !circumstances.long_gone.is_empty();
        self.told.trouble("prune", reading.unknown().filter(|_| unpruned).map(|why| format!("nothing is pruned while {why}")));
        let mut results = Results::of(&content.scan, &reading);
        if policy.apply == ApplyMode::Commit {
            self.rehearse(&steps, &reading, &mut results).await?;
        }
        let next = match (waiting, leaving) {
            (true, _) => Some(GONE_AFTER),
            // It is declared again while it is still being deleted: it is made anew once it is gone.
            (false, true) => Some(RETRY),
            (false, false) => None,
        };
        let settles = (content.whole && next.is_none()).then(|| Settled {
            scan: Arc::clone(&content.scan),
            revision: content.revision.clone(),
            policy: policy.clone(),
            compared_at: revision,
            results: Results::default(),
        });
        Ok(Prepared { results, steps, reading, next, settles })
    }

    /// Reads what the files declare, beside the runtime's own work: a large project takes a while, and its env files may lie on a
    /// slow disk.
    async fn read(&mut self, scan: &Arc<Scan>) -> anyhow::Result<Reading> {
        let (scan, mut cache) = (Arc::clone(scan), std::mem::take(&mut self.cache));
        let (reading, cache) = tokio::task::spawn_blocking(move || (read(&scan, &mut cache), cache)).await?;
        self.cache = cache;
        Ok(reading)
    }

    /// Writes what differs, within a turn in the Source's folder, where these files `changed` meanwhile. Returns what came of it, and
    /// when to look again at the latest if that is soon.
    ///
    /// # Errors
    /// The store failed.
    pub async fn apply(
        &mut self,
        prepared: Prepared,
        changed: &BTreeSet<PathBuf>,
        turn: &Turn,
    ) -> anyhow::Result<(Results, Option<Duration>)> {
        let Prepared { mut results, steps, reading, next, settles } = prepared;
        if !results.withheld {
            let (writes, others): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| matches!(step, Step::Write(_)));
            let writes = writes.iter().filter_map(|step| reading.declared.get_key_value(step.key()));
            let writes = writes.map(|(key, declared)| (key.clone(), Arc::clone(declared))).collect();
            self.write_all(writes, &reading, &mut results, turn).await?;
            for step in others {
                self.take(step, &reading, &mut results).await?;
            }
            self.credit(&reading, changed).await?;
        }
        if let Some(settled) = settles.filter(|_| results.failed() == 0) {
            self.settled = Some(Settled { results: results.clone(), ..settled });
        }
        Ok((results, next))
    }

    /// What came of it, if this is in force and nothing was written since that it has to do with.
    fn still_settled(&mut self, content: &Content, policy: &Policy) -> Option<Results> {
        let mut settled = self.settled.take().filter(|settled| settled.is_of(content, policy))?;
        loop {
            let changes = self.registry.store().changes_after(Kind::Deployment, settled.compared_at).ok()?;
            let Some(last) = changes.last() else { break };
            settled.compared_at = last.revision;
            if !changes.iter().all(|change| self.changes_nothing(change)) {
                return None;
            }
        }
        let results = settled.results.clone();
        self.settled = Some(settled);
        Some(results)
    }

    /// Whether a Deployment is as the files want it all the same: its status was written, or it is none of this Source's.
    fn changes_nothing(&mut self, change: &Change) -> bool {
        let object = change.object.as_ref();
        match self.known.get_mut(&key_of(object)) {
            Some((declared, version)) => {
                let stays = change.kind != ChangeKind::Deleted && !is_deleting(object);
                let same = stays && in_force(declared, Some(object), &self.origin) == *object;
                if same {
                    *version = change.revision;
                }
                same
            }
            None => owner(object) != Some(self.origin.source.as_str()),
        }
    }

    fn circumstances(&self, content: &Content, policy: &Policy, now: Instant) -> anyhow::Result<Circumstances> {
        let long_gone = self.missing.iter().filter(|(_, since)| now - **since >= GONE_AFTER).map(|(key, _)| key.clone());
        let sources = self.registry.store().list(Kind::Source, None)?.items;
        let others = sources.iter().filter(|source| !is_deleting(source)).map(|source| key_of(source).to_string());
        Ok(Circumstances {
            // A commit without manifests is a mistake more often than a wish.
            prune: policy.prune && !(content.whole && content.scan.files.is_empty()),
            long_gone: long_gone.collect(),
            spared: BTreeSet::new(),
            origin: self.origin.clone(),
            others: others.filter(|name| *name != self.origin.source).collect(),
            known: Known::new(),
        })
    }

    /// All or nothing: whether every step would be taken.
    async fn rehearse(&mut self, steps: &[Step], reading: &Reading, results: &mut Results) -> anyhow::Result<()> {
        for step in steps {
            let refused = match step {
                Step::Write(key) => match reading.declared.get(key) {
                    Some(declared) => self.refusal(self.replace(key, declared, None).await, declared)?,
                    None => None,
                },
                Step::Refuse(key, why) => reading.declared.get(key).map(|declared| self.placed(declared, why)),
                Step::Mark(..) | Step::Orphan(_) | Step::Prune(_) => None,
            };
            if let (Some(why), Step::Write(key) | Step::Refuse(key, _)) = (refused, step) {
                self.refuse(key, reading, &why, results).await?;
            }
        }
        results.withhold();
        Ok(())
    }

    async fn take(&mut self, step: Step, reading: &Reading, results: &mut Results) -> anyhow::Result<()> {
        match step {
            // They were made before, all at once.
            Step::Write(_) => Ok(()),
            Step::Refuse(key, why) => {
                let why = reading.declared.get(&key).map(|declared| self.placed(declared, &why)).unwrap_or(why);
                self.refuse(&key, reading, &why, results).await
            }
            Step::Mark(key, why) => Ok(self.annotate(&key, annotations::SOURCE_ERROR, &why).await.map(drop)?),
            Step::Orphan(key) => {
                if self.annotate(&key, annotations::ORPHANED, "true").await? {
                    tracing::warn!(deployment = %key, "its manifest is gone: it runs on as it is, until it is deleted or its manifest is back");
                }
                Ok(())
            }
            Step::Prune(key) => {
                if self.prune(&key).await? {
                    tracing::info!(deployment = %key, "its manifest is gone: it is deleted");
                }
                Ok(())
            }
        }
    }

    /// Tells that a manifest is not taken.
    async fn refuse(&mut self, key: &Key, reading: &Reading, why: &str, results: &mut Results) -> anyhow::Result<()> {
        let Some(declared) = reading.declared.get(key) else { return Ok(()) };
        let stored = self.registry.store().get(Kind::Deployment, key)?;
        results.refused(&declared.document.file, why);
        Ok(self.told.refused(key, stored.as_deref(), &declared.source, why).await?)
    }

    /// Why the registry refused a manifest, with places; other failures are errors.
    fn refusal(&self, done: Result<bool, RegistryError>, declared: &Declared) -> anyhow::Result<Option<String>> {
        match done {
            Ok(_) => Ok(None),
            Err(RegistryError::Invalid { errors, .. }) => Ok(Some(list_errors(&declared.document.place(errors)))),
            Err(RegistryError::Refused(why)) => Ok(Some(self.placed(declared, &why))),
            Err(error) => Err(error.into()),
        }
    }

    fn placed(&self, declared: &Declared, why: &str) -> String {
        format!("{}: {why}", declared.source)
    }
}
