//! A ledger on paper: remembers what was written, survives the operator, and can refuse.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::controller::intent::Owner;
use crate::controller::world::ledger::{Baseline, Ledger, Recorded, Signalled, resume};
use crate::model::{End, EngineRun, EventCursor, Key};
use crate::registry;
use crate::store::{self, StoreError};

#[derive(Default)]
pub struct Paper(Mutex<Written>);

#[derive(Default)]
pub struct Written {
    pub ends: BTreeMap<String, End>,
    pub signals: Signalled,
    pub cursor: Option<EventCursor>,
    pub run: Option<EngineRun>,
    pub baseline: Option<Baseline>,
    pub holds: BTreeMap<String, Timestamp>,
    pub laid: u32,
    pub seen_writes: u32,
    pub full: bool,
    pub projects: BTreeMap<String, Key>,
}

impl Paper {
    pub fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap()
    }

    /// As after a crash of the operator: what has been written so far.
    pub fn copy(&self) -> Self {
        let written = self.lock();
        let copy = Written {
            ends: written.ends.clone(),
            signals: written.signals.clone(),
            cursor: written.cursor.clone(),
            run: written.run.clone(),
            baseline: written.baseline.clone(),
            holds: written.holds.clone(),
            projects: written.projects.clone(),
            ..Written::default()
        };
        Self(Mutex::new(copy))
    }

    /// How far events were read was not flushed, and all of it is lost.
    pub fn lose_the_last_seconds(&self) {
        let written = &mut *self.lock();
        (written.cursor, written.run) = (None, None);
    }

    /// A write takes a while; returns what it writes on, or that the disk is full.
    async fn write(&self) -> store::Result<MutexGuard<'_, Written>> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let written = self.lock();
        let full = || StoreError::Io { attempt: "write".into(), source: std::io::ErrorKind::StorageFull.into() };
        if written.full { Err(full()) } else { Ok(written) }
    }
}

#[async_trait]
impl Ledger for std::sync::Arc<Paper> {
    fn recorded(&self) -> store::Result<Recorded> {
        let written = self.lock();
        let ends = written.ends.iter().map(|(id, end)| (id.clone(), end.clone())).collect();
        let read = resume(written.baseline.clone(), written.cursor.clone(), written.run.clone());
        Ok(Recorded { ends, signals: written.signals.clone(), ..read })
    }
    fn claimant(&self, project: &str) -> Option<Key> {
        self.lock().projects.get(project).cloned()
    }
    async fn put_end(&self, container_id: &str, end: Option<End>) -> store::Result<()> {
        let mut written = self.write().await?;
        match end {
            Some(end) => written.ends.insert(container_id.into(), end),
            None => written.ends.remove(container_id),
        };
        Ok(())
    }
    async fn put_signals(&self, signals: &Signalled) -> store::Result<()> {
        self.write().await?.signals = signals.clone();
        Ok(())
    }
    async fn put_seen(&self, cursor: Option<EventCursor>, run: EngineRun) -> store::Result<()> {
        let mut written = self.write().await?;
        (written.cursor, written.run) = (cursor, Some(run));
        written.seen_writes += 1;
        Ok(())
    }
    async fn put_baseline(&self, baseline: &Baseline) -> store::Result<()> {
        self.write().await?.baseline = Some(baseline.clone());
        Ok(())
    }
    async fn hold(&self, owner: &Owner, at: Timestamp) -> registry::Result<()> {
        let mut written = self.write().await?;
        if written.holds.insert(owner.replica.to_string(), at).is_none() {
            written.laid += 1;
        }
        Ok(())
    }
    async fn lift(&self, owner: &Owner, at: Timestamp) -> registry::Result<()> {
        let mut written = self.write().await?;
        if written.holds.get(&owner.replica.to_string()).is_some_and(|since| *since < at) {
            written.holds.remove(&owner.replica.to_string());
        }
        Ok(())
    }
}
