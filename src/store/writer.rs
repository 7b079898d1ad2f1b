//! The way of a write: staged, journaled, published, indexed, answered.
//!
//! *Flow.* Whoever writes puts a job into the queue and takes the writer's lock. The one who gets it runs all jobs that wait
//! against a staged view, makes their journal records durable with one `fdatasync`, publishes them to readers and to the
//! feed, and mirrors them to sled; the others find their job done. So many writers share one sync, and none needs a thread
//! of its own.
//!
//! *Guarantees.* No reader sees what is not on disk. A job whose records could not be written has changed nothing.
//!
//! *Caveats.* When the disk refuses a batch, all jobs of that batch fail, also those that wrote nothing to the journal.
//! When only sled fails, what the journal has stands and is acknowledged; what is in sled alone holds in memory until sled is
//! back, and those who asked for durability are told.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, RwLock};

use serde_json::Value;

use super::changes::Feed;
use super::journal::Journal;
use super::lock::Lock;
use super::mirror::Mirror;
use super::row::{self, Row};
use super::state::{State, Versioned, main_text, status_text};
use super::{Change, ChangeKind, Kind, Object, Part, StoreError, lock, read, write};
use crate::clock::SharedClock;
use crate::model::Key;

/// resourceVersions reserved at once.
pub(super) const FLOOR_BLOCK: u64 = 1000;

/// The shared inside of the store.
pub(super) struct Inner {
    pub state: RwLock<State>,
    pub feed: Feed,
    pub clock: SharedClock,
    /// When Events past their time were last removed.
    swept: Mutex<jiff::Timestamp>,
    queue: Mutex<Vec<Job>>,
    writer: Mutex<Writer>,
    _lock: Lock,
}

/// A write that waits for its turn: runs against the batch, then answers when it is known what became of that.
type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Fate) + Send>;

/// What became of a batch.
#[derive(Default)]
struct Fate {
    /// Why the journal could not take it: nothing of it was done.
    refused: Option<Failure>,
    /// Why sled could not take it: it stands, but sled's part of it may not survive this process.
    not_indexed: Option<Failure>,
}

/// An I/O error that several writers are told.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub attempt: String,
    pub kind: io::ErrorKind,
    pub errno: Option<i32>,
    pub message: String,
}

impl Failure {
    /// A failed attempt.
    pub fn new(attempt: String, error: &io::Error) -> Self {
        Self { attempt, kind: error.kind(), errno: error.raw_os_error(), message: error.to_string() }
    }

    /// The error for one of those who are told.
    pub fn error(&self) -> StoreError {
        let source = match self.errno {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(self.kind, self.message.clone()),
        };
        StoreError::Io { attempt: self.attempt.clone(), source }
    }
}

impl Inner {
    /// Puts the parts together.
    pub fn new(state: State, writer: Writer, clock: SharedClock, lock: Lock) -> Self {
        let feed = Feed::new(state.revision);
        let swept = Mutex::new(clock.now());
        Self { state: RwLock::new(state), feed, clock, swept, queue: Mutex::default(), writer: Mutex::new(writer), _lock: lock }
    }

    /// Runs one write to its end; blocks.
    pub fn submit<T, E>(&self, work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let answered = slot.clone();
        let job: Job = Box::new(move |batch| {
            batch.needs_index = false;
            let outcome = catch_unwind(AssertUnwindSafe(|| work(batch)));
            let needs_index = batch.needs_index;
            Box::new(move |fate| {
                let failure = fate.refused.as_ref().or(fate.not_indexed.as_ref().filter(|_| needs_index));
                let failed = failure.filter(|_| matches!(outcome, Ok(Ok(_))));
                *lock(&answered) = Some(failed.map_or(outcome, |failure| Ok(Err(failure.error().into()))));
            })
        });
        lock(&self.queue).push(job);
        {
            let mut writer = lock(&self.writer);
            let jobs = std::mem::take(&mut *lock(&self.queue));
            if !jobs.is_empty() {
                writer.run(jobs, self);
            }
        }
        let answer = lock(&slot).take();
        match answer {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(StoreError::Corrupt("a write was lost since another one panicked; this is a bug".into()).into()),
        }
    }
}

/// Owner of the files.
pub(super) struct Writer {
    journal: Journal,
    mirror: Mirror,
    /// The last resourceVersion handed out.
    revision: u64,
    /// None above it has been handed out; in the journal.
    floor: u64,
}

impl Writer {
    /// A writer that goes on after `revision`: nobody was given a higher one.
    pub fn new(journal: Journal, mirror: Mirror, revision: u64) -> Self {
        Self { journal, mirror, revision, floor: revision }
    }

    fn run(&mut self, jobs: Vec<Job>, inner: &Inner) {
        let mut batch = Batch { inner, revision: self.revision, staged: Staged::default(), needs_index: false };
        let mut answers = Vec::with_capacity(jobs.len());
        let mut flush = false;
        for job in jobs {
            answers.push(job(&mut batch));
            flush |= batch.needs_index;
        }
        let Batch { revision, staged, .. } = batch;
        // A revision that was staged is spent, whatever becomes of the batch.
        self.revision = revision;
        let fate = if staged.rows.is_empty() { Fate::default() } else { self.commit(staged, flush, inner) };
        for answer in answers {
            answer(&fate);
        }
    }

    fn commit(&mut self, mut staged: Staged, flush: bool, inner: &Inner) -> Fate {
        // Only with revisions that are handed out: what has none must not hang on the journal when its disk is full.
        let handed_out = !staged.changes.is_empty();
        let floor = if handed_out && self.revision > self.floor { self.revision + FLOOR_BLOCK } else { self.floor };
        if floor > self.floor {
            staged.rows.insert(row::FLOOR.into(), Some(floor.to_string().into()));
        }
        let seqs = match self.append(&staged, inner) {
            Ok(seqs) => seqs,
            Err(failure) => return Fate { refused: Some(failure), not_indexed: None },
        };
        self.floor = floor;
        let Staged { objects, rows, changes } = staged;
        publish(inner, objects, &rows, &changes, self.revision);
        let indexed = |(name, text): (String, Option<Arc<str>>)| {
            let seq = seqs.get(&name).copied().unwrap_or(0);
            (name, text.map(|text| Row { seq, text }))
        };
        let rows: Vec<_> = rows.into_iter().map(indexed).collect();
        let everything = || read(&inner.state).rows(|name| self.journal.seq_of(name));
        let not_indexed = self.mirror.write(&rows, self.journal.seq(), flush, everything, &inner.clock).err();
        Fate { refused: None, not_indexed }
    }

    /// Makes the journaled rows durable. Returns their sequence numbers.
    fn append(&mut self, staged: &Staged, inner: &Inner) -> Result<BTreeMap<String, u64>, Failure> {
        let rows: Vec<_> = staged.rows.iter().filter(|(name, _)| row::is_journaled(name)).collect();
        if rows.is_empty() {
            return Ok(BTreeMap::new());
        }
        let path = self.journal.path().to_owned();
        let failed = |error: &io::Error| Failure::new(format!("write to {}", path.display()), error);
        if self.journal.wants_rewrite() {
            let all = read(&inner.state).rows(|_| None);
            let all = all.into_iter().filter(|(name, _)| row::is_journaled(name)).map(|(name, row)| (name, row.text));
            match self.journal.rewrite(&all.collect::<Vec<_>>(), None) {
                Err(error) if self.journal.is_spoilt() => return Err(failed(&error)),
                Err(error) => tracing::warn!(%error, "the journal could not be compacted; it goes on growing"),
                Ok(()) => {}
            }
        }
        let rows: Vec<_> = rows.into_iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        let seqs = self.journal.append(&rows).map_err(|error| failed(&error))?;
        Ok(rows.into_iter().map(|(name, _)| name).zip(seqs).collect())
    }
}

fn publish(
    inner: &Inner,
    objects: Overlay,
    rows: &BTreeMap<String, Option<Arc<str>>>,
    changes: &[(Kind, Change)],
    revision: u64,
) {
    let mut state = write(&inner.state);
    for (kind, objects) in objects {
        for (key, object) in objects {
            state.set_object(kind, key, object);
        }
    }
    for (name, text) in rows.iter().filter(|(name, _)| row::is_text(name)) {
        state.set_text(name.clone(), text.clone());
    }
    state.revision = revision;
    for (kind, change) in changes {
        inner.feed.push(*kind, change);
    }
}

type Overlay = BTreeMap<Kind, BTreeMap<Key, Option<Versioned>>>;

/// What a batch has decided and not written yet.
#[derive(Default)]
struct Staged {
    objects: Overlay,
    rows: BTreeMap<String, Option<Arc<str>>>,
    changes: Vec<(Kind, Change)>,
}

/// What a job sees and changes: the published state with the earlier jobs of the batch laid over it.
pub(super) struct Batch<'a> {
    inner: &'a Inner,
    revision: u64,
    staged: Staged,
    /// The job at work wants sled's part durable too.
    needs_index: bool,
}

impl Batch<'_> {
    /// Now.
    pub fn now(&self) -> jiff::Timestamp {
        self.inner.clock.now()
    }

    /// One object.
    pub fn object(&self, kind: Kind, key: &Key) -> Option<Object> {
        self.versioned(kind, key).map(|versioned| versioned.object)
    }

    fn versioned(&self, kind: Kind, key: &Key) -> Option<Versioned> {
        match self.staged.objects.get(&kind).and_then(|objects| objects.get(key)) {
            Some(staged) => staged.clone(),
            None => read(&self.inner.state).object(kind, key).cloned(),
        }
    }

    /// Visits all objects of a kind, without copying them.
    pub fn each(&self, kind: Kind, mut visit: impl FnMut(&Key, &Object)) {
        let none = BTreeMap::new();
        let staged = self.staged.objects.get(&kind).unwrap_or(&none);
        for (key, object) in read(&self.inner.state).objects(kind, None).filter(|(key, _)| !staged.contains_key(key)) {
            visit(key, object);
        }
        for (key, versioned) in staged.iter().filter_map(|(key, staged)| Some((key, staged.as_ref()?))) {
            visit(key, &versioned.object);
        }
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        let state = read(&self.inner.state);
        let staged = self.staged.objects.get(&kind).into_iter().flatten();
        staged.fold(state.count(kind), |count, (key, staged)| {
            count + usize::from(staged.is_some()) - usize::from(state.object(kind, key).is_some())
        })
    }

    /// Whether Events were last looked through so long ago; if so, they are taken to be looked through now.
    pub fn begin_sweep(&self, every: jiff::SignedDuration) -> bool {
        let (now, mut swept) = (self.now(), lock(&self.inner.swept));
        let due = now.duration_since(*swept).abs() >= every;
        if due {
            *swept = now;
        }
        due
    }

    /// A uid for the object that is put next. uids sort in the order of creation, also within a millisecond.
    pub fn next_uid(&self) -> String {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
        let [_, _, _, _, _, _, first, second] = (self.revision + 1).to_be_bytes();
        let random = uuid::Uuid::new_v4().into_bytes();
        let mut rest = [0; 10];
        rest.copy_from_slice(&random[..10]);
        rest[..2].copy_from_slice(&[first, second]);
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid().to_string()
    }

    /// Stages an object that is new or different in `part`; gives it a new resourceVersion.
    pub fn put(&mut self, kind: Kind, key: &Key, part: Part, change: ChangeKind, object: Value) -> Object {
        let before = self.versioned(kind, key);
        let object = self.stamped(object);
        let main_revision = match (part, before) {
            (Part::Status, Some(before)) => {
                self.staged.rows.insert(row::status(kind, key), status_text(&object));
                before.main_revision
            }
            _ => {
                self.staged.rows.insert(row::object(kind, key), Some(main_text(&object, self.revision)));
                self.revision
            }
        };
        self.stage(kind, key, Some(Versioned { object: object.clone(), main_revision }));
        self.changed(kind, change, &object);
        object
    }

    /// Stages the removal of an object, whose last state is given a new resourceVersion.
    pub fn remove(&mut self, kind: Kind, key: &Key, last: Value) -> Object {
        let object = self.stamped(last);
        self.staged.rows.insert(row::object(kind, key), None);
        self.staged.rows.insert(row::status(kind, key), None);
        self.stage(kind, key, None);
        self.changed(kind, ChangeKind::Deleted, &object);
        object
    }

    fn stage(&mut self, kind: Kind, key: &Key, versioned: Option<Versioned>) {
        self.staged.objects.entry(kind).or_default().insert(key.clone(), versioned);
    }

    fn stamped(&mut self, mut object: Value) -> Object {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        Arc::new(object)
    }

    fn changed(&mut self, kind: Kind, change: ChangeKind, object: &Object) {
        self.staged.changes.push((kind, Change { kind: change, object: object.clone(), revision: self.revision }));
    }

    /// Stages a row that is no object, unless it is that already. `durable`: also against a SIGKILL where it is in sled only.
    pub fn set_text(&mut self, name: String, text: Option<Arc<str>>, durable: bool) {
        let before = match self.staged.rows.get(&name) {
            Some(staged) => staged.clone(),
            None => read(&self.inner.state).text(&name).cloned(),
        };
        if before != text {
            self.needs_index |= durable;
            self.staged.rows.insert(name, text);
        }
    }
}
