//! Notices that something changed in a folder, without saying what: a scan finds that out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Files are read when nothing has changed for this long: editors and git write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// And at the latest after this long, if changes do not end.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches a folder, its subfolders, and its place in its parent, for as long as it lives.
pub struct Watch {
    changed: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches what is there now. What cannot be watched is left to the slow rescan; why is returned.
    pub fn start(root: &Path) -> (Self, Option<String>) {
        let changed = Arc::new(Notify::new());
        let (tell, place) = (Arc::clone(&changed), root.to_owned());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean that events were lost: look.
            if event.as_ref().map_or(true, |event| matters(event, &place)) {
                tell.notify_one();
            }
        });
        match watcher.and_then(|mut watcher| watch(&mut watcher, root).map(|()| watcher)) {
            Ok(watcher) => (Self { changed, _watcher: Some(watcher) }, None),
            Err(error) => (Self { changed, _watcher: None }, Some(error.to_string())),
        }
    }

    /// Returns when something has changed and the dust has settled. Dropping the future loses nothing.
    pub async fn changed(&self) {
        self.changed.notified().await;
        let latest = Instant::now() + LONGEST;
        while timeout_at(latest.min(Instant::now() + QUIET), self.changed.notified()).await.is_ok() {}
    }
}

fn watch(watcher: &mut RecommendedWatcher, root: &Path) -> notify::Result<()> {
    watcher.watch(root, RecursiveMode::Recursive)?;
    // Its name in the parent is all that changes when a link is pointed elsewhere or the folder is replaced.
    match root.parent() {
        Some(parent) => watcher.watch(parent_or_here(parent), RecursiveMode::NonRecursive),
        None => Ok(()),
    }
}

fn parent_or_here(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// Our own reading is no change, and neither is what git does for itself or what happens beside the folder.
fn matters(event: &Event, root: &Path) -> bool {
    let wrote = EventKind::Access(AccessKind::Close(AccessMode::Write));
    if matches!(event.kind, EventKind::Access(_)) && event.kind != wrote {
        return false;
    }
    let inside = |path: &PathBuf| path.starts_with(root) && !path.components().any(|part| part.as_os_str() == ".git");
    event.need_rescan() || event.paths.iter().any(inside)
}
