//! Watches: changes as they come, one JSON line each.
//!
//! # Guarantees
//! - No change between the list and the watch is lost or told twice: a watch goes on from a revision.
//! - With a selector, an object that enters the selection is ADDED, one that leaves it is DELETED.
//! - A reader that cannot keep up, or asks for a revision that is no longer kept, gets one ERROR 410 and lists anew.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::ApiState;
use super::errors::{ApiError, Result};
use super::kinds::Resource;
use super::objects::Call;
use super::selectors::Selectors;
use super::view::{View, version};
use crate::model::Key;
use crate::store::{self, Change, ChangeKind, Kind, Object, StoreError};

/// How often a client that asked for bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Tells kube-rs and client-go that the objects there were at the start have all been sent.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Starts a watch of a kind.
pub fn watch(
    call: &Call,
    resource: &'static Resource,
    kind: Kind,
    namespace: Option<String>,
    selectors: Selectors,
) -> Result<Response> {
    let send_initial = call.params.flag("sendInitialEvents");
    let since = call.params.number("resourceVersion")?.filter(|since| *since > 0 && !send_initial);
    let deadline = call.params.timeout()?.map(|timeout| Instant::now() + timeout);
    let store = call.state.registry.store();
    let failed = |error| ApiError::from_store(resource, error);
    let listing = store.list(kind, namespace.as_deref()).map_err(failed)?;
    let selection = Selection::new(namespace, selectors, &listing, since);
    let mut initial = Vec::new();
    if since.is_none() {
        initial = listing.items.into_iter().filter(|item| selection.selects(item)).collect();
    }
    let from = since.unwrap_or(listing.revision);
    let changes = match store.changes(kind, Some(from)) {
        Ok(changes) => changes,
        // Also a revision of another data folder that was not handed out here yet.
        Err(error @ StoreError::Expired { .. }) => futures::stream::once(std::future::ready(Err(error))).boxed(),
        Err(error) => return Err(failed(error)),
    };
    let bookmarks = call.params.flag("allowWatchBookmarks").then(|| {
        let mut ticks = interval_at(Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    let watch = Watch {
        state: call.state.clone(),
        resource,
        view: call.view,
        selection,
        initial: initial.into_iter(),
        end_of_initial: send_initial.then_some(from),
        changes,
        bookmarks,
        deadline,
        seen: from,
        columns_told: false,
        over: false,
    };
    let lines = futures::stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), watch))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response())
}

/// One running watch.
struct Watch {
    state: ApiState,
    resource: &'static Resource,
    view: View,
    selection: Selection,
    initial: std::vec::IntoIter<Object>,
    /// The revision to tell once `initial` is through, to a client that asked for it.
    end_of_initial: Option<u64>,
    changes: BoxStream<'static, store::Result<Change>>,
    bookmarks: Option<Interval>,
    deadline: Option<Instant>,
    /// Revision up to which everything has been told.
    seen: u64,
    columns_told: bool,
    over: bool,
}

impl Watch {
    /// The next line; `None` ends the answer.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if let Some(object) = self.initial.next() {
            return Some(self.line("ADDED", &object));
        }
        if let Some(revision) = self.end_of_initial.take() {
            return Some(self.bookmark(revision, true));
        }
        loop {
            tokio::select! {
                biased;
                () = self.state.stopping.cancelled() => return None,
                () = at(self.deadline) => return None,
                change = self.changes.next() => match change? {
                    Ok(change) => {
                        self.seen = change.revision;
                        if let Some(verb) = self.selection.verb(&change) {
                            return Some(self.line(verb, &change.object));
                        }
                    }
                    Err(error) => {
                        self.over = true;
                        return Some(encode("ERROR", &ApiError::from_store(self.resource, error).status()));
                    }
                },
                () = tick(self.bookmarks.as_mut()) => return Some(self.bookmark(self.seen, false)),
            }
        }
    }

    fn line(&mut self, verb: &str, object: &Value) -> Bytes {
        let mut shown = self.view.one(self.resource, object, self.state.clock.now());
        if let View::Table(_) = self.view {
            if self.columns_told {
                shown["columnDefinitions"] = Value::Null;
            }
            self.columns_told = true;
        }
        encode(verb, &shown)
    }

    fn bookmark(&self, revision: u64, end_of_initial: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if end_of_initial {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let (kind, api_version) = match self.view {
            View::Object => (self.resource.kind, self.resource.api_version()),
            View::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
            View::Table(_) => ("Table", "meta.k8s.io/v1".to_owned()),
        };
        let mut object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if let View::Table(_) = self.view {
            object["columnDefinitions"] = Value::Null;
            object["rows"] = json!([]);
        }
        encode("BOOKMARK", &object)
    }
}

fn encode(verb: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": verb, "object": object})).into()
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// What a watch is narrowed to, and which objects were in it when last told.
struct Selection {
    namespace: Option<String>,
    selectors: Selectors,
    /// Whether an object was selected when it was last seen. Empty while everything is selected.
    known: HashMap<Key, bool>,
    /// Up to this revision an object that is not in `known` may have been selected before: it changed since the client looked.
    unsure_until: u64,
}

impl Selection {
    fn new(namespace: Option<String>, selectors: Selectors, listing: &store::Listing, since: Option<u64>) -> Self {
        let mut selection = Self { namespace, selectors, known: HashMap::new(), unsure_until: 0 };
        if selection.selectors.is_empty() {
            return selection;
        }
        let since = since.unwrap_or(listing.revision);
        if since < listing.revision {
            selection.unsure_until = listing.revision;
        }
        let unchanged = |item: &&Object| version(item).parse::<u64>().is_ok_and(|version| version <= since);
        let known = listing.items.iter().filter(unchanged).map(|item| (key_of(item), selection.selectors.matches(item)));
        selection.known = known.collect();
        selection
    }

    fn selects(&self, object: &Value) -> bool {
        let here = self.namespace.as_ref().is_none_or(|namespace| object["metadata"]["namespace"] == **namespace);
        here && self.selectors.matches(object)
    }

    /// How a change looks from here; `None`: it is not seen.
    fn verb(&mut self, change: &Change) -> Option<&'static str> {
        let now = self.selects(&change.object);
        if self.selectors.is_empty() {
            return now.then_some(match change.kind {
                ChangeKind::Added => "ADDED",
                ChangeKind::Modified => "MODIFIED",
                ChangeKind::Deleted => "DELETED",
            });
        }
        let key = key_of(&change.object);
        let unsure = (change.revision <= self.unsure_until && change.kind != ChangeKind::Added).then_some(None);
        let before = match self.known.get(&key) {
            Some(known) => Some(*known),
            None => unsure.unwrap_or(Some(false)),
        };
        if change.kind == ChangeKind::Deleted {
            self.known.insert(key, false);
            return before.unwrap_or(now).then_some("DELETED");
        }
        self.known.insert(key, now);
        match (before, now) {
            (Some(false), true) => Some("ADDED"),
            (Some(true) | None, true) => Some("MODIFIED"),
            (Some(true) | None, false) => Some("DELETED"),
            (Some(false), false) => None,
        }
    }
}

fn key_of(object: &Value) -> Key {
    let field = |name: &str| object["metadata"][name].as_str().unwrap_or("");
    Key::new(field("namespace"), field("name"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn web(revision: u64, app: &str) -> Object {
        let version = revision.to_string();
        Arc::new(json!({"metadata": {"namespace": "shop", "name": "web", "resourceVersion": version, "labels": {"app": app}}}))
    }

    fn selection(items: Vec<Object>, revision: u64, since: Option<u64>) -> Selection {
        let listing = store::Listing { items, revision };
        Selection::new(Some("shop".into()), Selectors::parse("app=web", "").unwrap(), &listing, since)
    }

    fn change(kind: ChangeKind, revision: u64, app: &str) -> Change {
        Change { kind, object: web(revision, app), revision }
    }

    use ChangeKind::{Added, Deleted, Modified};

    #[test]
    fn entering_a_selection_is_added_and_leaving_it_deleted() {
        let mut selection = selection(vec![web(3, "web")], 5, None);
        assert_eq!(selection.verb(&change(Modified, 6, "web")), Some("MODIFIED"));
        assert_eq!(selection.verb(&change(Modified, 7, "db")), Some("DELETED"));
        assert_eq!(selection.verb(&change(Modified, 8, "db")), None);
        assert_eq!(selection.verb(&change(Modified, 9, "web")), Some("ADDED"));
        assert_eq!(selection.verb(&change(Deleted, 10, "web")), Some("DELETED"));
        assert_eq!(selection.verb(&change(Added, 11, "db")), None);
        assert_eq!(selection.verb(&change(Deleted, 12, "db")), None);
    }

    #[test]
    fn what_changed_before_the_watch_began_is_told_as_if_it_had_been_selected() {
        let mut selection = selection(vec![web(8, "db")], 8, Some(5));
        assert_eq!(selection.verb(&change(Modified, 7, "db")), Some("DELETED"), "it may have been ours at revision 5");
        assert_eq!(selection.verb(&change(Modified, 8, "db")), None);
    }

    #[test]
    fn what_did_not_change_since_the_list_is_known() {
        let mut selection = selection(vec![web(4, "db")], 8, Some(5));
        assert_eq!(selection.verb(&change(Modified, 9, "db")), None);
        assert_eq!(selection.verb(&change(Modified, 10, "web")), Some("ADDED"));
    }

    #[test]
    fn other_namespaces_are_not_seen() {
        let listing = store::Listing { items: vec![], revision: 1 };
        let mut selection = Selection::new(Some("other".into()), Selectors::default(), &listing, None);
        assert_eq!(selection.verb(&change(Added, 2, "web")), None);
    }
}
