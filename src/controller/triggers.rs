//! What makes a Deployment's turn come: its own changes, its Holds, Docker's events, finished jobs, changed
//! build contexts, timers. The queue is
//! kube-runtime's `applier`; it carries keys, never reasons.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube::runtime::applier;
use kube::runtime::controller::{Action as Requeue, Config, Error as ApplierError, ReconcileReason, ReconcileRequest};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::utils::CancelableJoinHandle;
use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::crd::Deployment;
use crate::model::Key;
use crate::store::{Change, ChangeKind, Kind, Object, StoreError};

use super::Controller;
use super::reconcile::TurnError;
use super::world::WorldChange;

/// Triggers on their way to the queue; senders wait when it is full, nothing is lost.
const BACKLOG: usize = 1024;

/// Pause before a turn that the store failed is tried again.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// Something that calls for turns.
enum Trigger {
    /// A Deployment changed: the cache first, then its turn.
    Object(Box<Event<Deployment>>),
    /// These Deployments' turns.
    Keys(Vec<Key>),
    /// The Deployments of a Compose project.
    Project(String),
    /// Every Deployment's turn.
    All,
}

/// Runs the queue until `shutdown`.
pub(super) async fn run(controller: Arc<Controller>, shutdown: CancellationToken) -> Result<(), StoreError> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let sources = [
        tokio::spawn(follow_world(Arc::clone(&controller), sender.clone())),
        tokio::spawn(follow_jobs(Arc::clone(&controller), sender.clone())),
        tokio::spawn(follow_inputs(Arc::clone(&controller), sender.clone())),
        tokio::spawn(follow_store(Arc::clone(&controller), sender.clone(), Kind::Hold)),
        tokio::spawn(follow_store(Arc::clone(&controller), sender, Kind::Deployment)),
    ];
    let (reader, mut writer) = reflector::store::<Deployment>();
    let cache = reader.clone();
    let queue = ReceiverStream::new(receiver)
        .flat_map(move |trigger| futures::stream::iter(requests(trigger, &mut writer, &cache)))
        .map(Ok::<_, Infallible>)
        .take_until(shutdown.cancelled_owned());
    applier(turn, retry, controller, reader, queue, Config::default())
        .for_each(|result| async move {
            if let Err(failure) = result {
                report(&failure);
            }
        })
        .await;
    sources.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// One turn on a task of its own, so that neither its length nor its panic reaches the queue.
fn turn(object: Arc<Deployment>, controller: Arc<Controller>) -> CancelableJoinHandle<Result<Requeue, TurnError>> {
    let key = key_of(&object);
    let work = async move {
        let turn = AssertUnwindSafe(controller.reconcile(key.clone())).catch_unwind();
        turn.await.unwrap_or_else(|panic| Err(TurnError::Panic { key, message: panic_text(panic.as_ref()) }))
    };
    CancelableJoinHandle::spawn(work, &tokio::runtime::Handle::current())
}

fn retry(_object: Arc<Deployment>, _failure: &TurnError, _controller: Arc<Controller>) -> Requeue {
    Requeue::requeue(STORE_RETRY)
}

fn report(failure: &ApplierError<TurnError, Infallible>) {
    match failure {
        // It was deleted between its trigger and its turn.
        ApplierError::ObjectNotFound(_) => {}
        ApplierError::ReconcilerFailed(failure, _) => error!(error = %crate::telemetry::chain(failure), "a turn failed"),
        other => error!(error = %other, "the queue failed"),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// A trigger as requests; object changes reach the cache first.
fn requests(
    trigger: Trigger,
    writer: &mut reflector::store::Writer<Deployment>,
    cache: &reflector::Store<Deployment>,
) -> Vec<ReconcileRequest<Deployment>> {
    match trigger {
        Trigger::Object(event) => {
            writer.apply_watcher_event(&event);
            match *event {
                Event::Apply(object) | Event::InitApply(object) => vec![request(&key_of(&object))],
                Event::Init | Event::InitDone | Event::Delete(_) => vec![],
            }
        }
        Trigger::Keys(keys) => keys.iter().map(request).collect(),
        Trigger::Project(project) => {
            let of_project = |object: &&Arc<Deployment>| crate::crd::project_of(object) == project;
            cache.state().iter().filter(of_project).map(|object| request(&key_of(object))).collect()
        }
        Trigger::All => cache.state().iter().map(|object| request(&key_of(object))).collect(),
    }
}

fn request(key: &Key) -> ReconcileRequest<Deployment> {
    ReconcileRequest {
        obj_ref: ObjectRef::new(&key.name).within(&key.namespace),
        reason: ReconcileReason::Custom { reason: String::new() },
    }
}

fn key_of(object: &Deployment) -> Key {
    let metadata = &object.metadata;
    Key::new(metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default())
}

async fn follow_world(controller: Arc<Controller>, sender: mpsc::Sender<Trigger>) {
    let mut changes = controller.world.changes();
    loop {
        let trigger = match changes.recv().await {
            Ok(WorldChange::Touched { key: Some(key), .. }) => Trigger::Keys(vec![key]),
            Ok(WorldChange::Touched { project: Some(project), .. }) => Trigger::Project(project),
            Ok(_) | Err(RecvError::Lagged(_)) => Trigger::All,
            Err(RecvError::Closed) => return,
        };
        if sender.send(trigger).await.is_err() {
            return;
        }
    }
}

async fn follow_jobs(controller: Arc<Controller>, sender: mpsc::Sender<Trigger>) {
    let mut finishes = controller.jobs.finishes();
    loop {
        let trigger = match finishes.recv().await {
            Ok(key) => Trigger::Keys(vec![key]),
            Err(RecvError::Lagged(_)) => Trigger::All,
            Err(RecvError::Closed) => return,
        };
        if sender.send(trigger).await.is_err() {
            return;
        }
    }
}

/// Takes in what is found of the files that images are built from and that containers have mounted.
async fn follow_inputs(controller: Arc<Controller>, sender: mpsc::Sender<Trigger>) {
    let Some(mut news) = controller.inputs.news() else { return };
    while let Some(found) = news.recv().await {
        let key = found.key().clone();
        controller.inputs.learn(found);
        if sender.send(Trigger::Keys(vec![key])).await.is_err() {
            return;
        }
    }
}

/// Lists a kind, then follows its changes; lists again when it fell behind.
async fn follow_store(controller: Arc<Controller>, sender: mpsc::Sender<Trigger>, kind: Kind) {
    loop {
        match follow_store_once(&controller, &sender, kind).await {
            Ok(()) => return,
            Err(StoreError::Expired { .. }) => {}
            Err(failure) => {
                warn!(?kind, error = %crate::telemetry::chain(&failure), "following the store failed; listing again");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }
}

/// `Ok` means the queue has ended.
async fn follow_store_once(controller: &Controller, sender: &mpsc::Sender<Trigger>, kind: Kind) -> Result<(), StoreError> {
    let listing = controller.store.list(kind, None)?;
    let mut changes = controller.store.changes(kind, Some(listing.revision))?;
    let mut seen: HashMap<Key, Value> = HashMap::new();
    let mut first: Vec<Trigger> = Vec::new();
    if kind == Kind::Deployment {
        first.push(Trigger::Object(Box::new(Event::Init)));
        for object in &listing.items {
            first.extend(decode(object).map(|object| Trigger::Object(Box::new(Event::InitApply(object)))));
        }
        first.push(Trigger::Object(Box::new(Event::InitDone)));
    } else {
        // Which Holds came and went before is not told: any Deployment's may have.
        first.push(Trigger::All);
    }
    for trigger in first {
        if sender.send(trigger).await.is_err() {
            return Ok(());
        }
    }
    while let Some(change) = changes.next().await {
        let change = change?;
        let trigger = match kind {
            Kind::Deployment => object_trigger(&change, &mut seen),
            _ => change
                .object
                .pointer("/spec/deployment")
                .and_then(Value::as_str)
                .map(|name| Trigger::Keys(vec![Key::new(text(&change.object, "/metadata/namespace"), name)])),
        };
        if change.kind == ChangeKind::Deleted && kind == Kind::Deployment {
            controller.forget(&Key::new(text(&change.object, "/metadata/namespace"), text(&change.object, "/metadata/name")));
        }
        if let Some(trigger) = trigger
            && sender.send(trigger).await.is_err()
        {
            return Ok(());
        }
    }
    Err(StoreError::Expired { wanted: listing.revision, oldest: controller.store.revision() })
}

/// What of an object calls for a turn; its status, which the turn itself writes, does not.
pub(super) fn fingerprint(object: &Value) -> Value {
    let metadata = &object["metadata"];
    ["generation", "deletionTimestamp", "annotations", "labels", "uid"].iter().map(|field| metadata[field].clone()).collect()
}

fn object_trigger(change: &Change, seen: &mut HashMap<Key, Value>) -> Option<Trigger> {
    let object = decode(&change.object)?;
    let key = key_of(&object);
    if change.kind == ChangeKind::Deleted {
        seen.remove(&key);
        return Some(Trigger::Object(Box::new(Event::Delete(object))));
    }
    let print = fingerprint(&change.object);
    if seen.insert(key, print.clone()) == Some(print) { None } else { Some(Trigger::Object(Box::new(Event::Apply(object)))) }
}

fn decode(object: &Object) -> Option<Deployment> {
    serde_json::from_value((**object).clone())
        .inspect_err(
            |failure| error!(error = %failure, name = text(object, "/metadata/name"), "a stored Deployment cannot be read"),
        )
        .ok()
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
