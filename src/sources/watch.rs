//! Notices that something changed in a folder, without saying what: another look finds that out.

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

/// Watches a folder, what is below it, and its place in its parent, for as long as it lives.
pub struct Watch {
    changed: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches what is there now, all subfolders included. What cannot be watched is left to the slow rescan; why is returned.
    pub fn start(root: &Path) -> (Self, Option<String>) {
        Self::of(root, |watcher| watcher.watch(root, RecursiveMode::Recursive))
    }

    /// The same with these subfolders only, for one that holds many that do not matter.
    pub fn start_with(root: &Path, folders: &[PathBuf]) -> (Self, Option<String>) {
        Self::of(root, |watcher| folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive)))
    }

    /// Watches what git keeps of a working tree: HEAD and branches. Its objects do not matter.
    pub fn start_git(git_dir: &Path) -> (Self, Option<String>) {
        let heads = git_dir.join("refs/heads");
        Self::watching(
            git_dir,
            |_| true,
            |watcher| {
                watcher.watch(git_dir, RecursiveMode::NonRecursive)?;
                // A linked working tree has its branches elsewhere; HEAD's own log tells of its commits.
                if heads.is_dir() { watcher.watch(&heads, RecursiveMode::Recursive) } else { Ok(()) }
            },
        )
    }

    fn of(root: &Path, watch: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>) -> (Self, Option<String>) {
        let inside = |path: &Path| !path.components().any(|part| part.as_os_str() == ".git");
        Self::watching(root, inside, watch)
    }

    /// `counts`: whether a path below the folder does.
    fn watching(
        root: &Path,
        counts: impl Fn(&Path) -> bool + Send + 'static,
        watch: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>,
    ) -> (Self, Option<String>) {
        let changed = Arc::new(Notify::new());
        let (tell, place) = (Arc::clone(&changed), root.to_owned());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean that events were lost: look.
            if event.as_ref().map_or(true, |event| matters(event, &place, &counts)) {
                tell.notify_one();
            }
        });
        let watching = |mut watcher: RecommendedWatcher| {
            // Its name in the parent is all that changes when a link is pointed elsewhere or the folder is replaced.
            let place = root.parent().map(|parent| watcher.watch(parent_or_here(parent), RecursiveMode::NonRecursive));
            watch(&mut watcher).and(place.unwrap_or(Ok(()))).map(|()| watcher)
        };
        match watcher.and_then(watching) {
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

fn parent_or_here(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// Our own reading is no change, and neither is what git does for itself or what happens beside the folder.
fn matters(event: &Event, root: &Path, counts: &impl Fn(&Path) -> bool) -> bool {
    let wrote = EventKind::Access(AccessKind::Close(AccessMode::Write));
    if matches!(event.kind, EventKind::Access(_)) && event.kind != wrote {
        return false;
    }
    let inside = |path: &PathBuf| path.starts_with(root) && counts(path);
    event.need_rescan() || event.paths.iter().any(inside)
}
