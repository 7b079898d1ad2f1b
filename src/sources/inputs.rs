//! Looks after the files that images are built from and that containers have mounted: says a digest of them, and another one
//! when they change.
//!
//! # Flow
//! The controller says which builds and mounted files there are ([`Wish`]); what is found is told as [`News`]. Each build, and
//! all mounted files together, are followed by a task of their own: it computes the digest, off everybody's turn, watches the folders that count and looks again when
//! something in them changes, and at every resync in case that could not be seen.
//!
//! # Guarantees
//! - Nothing is told of what was not looked at; a wish that changed is looked at anew, and old news of it name the old spec.
//! - An unchanged context costs a `stat` a file, and looking takes a small share of the time only.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::mounted::Mounted;
use super::watch::Watch;
use crate::clock::SharedClock;
use crate::docker::DigestCache;
use crate::model::{
    BuildInput, BuildSpec, Dockerfile, FileNews, FileStates, FileWish, FollowedFile, InputNews, InputWish, Key, News, Wish,
};

/// Contexts that are read at once: the disk is shared with those who work.
const AT_ONCE: usize = 2;

/// Folders of one context that are watched; the kernel has a limit of them for the whole machine. Larger ones are looked at only.
const WATCHED_FOLDERS: usize = 4096;

/// A look that takes long is not repeated before so many times its length.
const REST: u32 = 500;

/// The worker.
pub struct Inputs {
    wishes: mpsc::UnboundedReceiver<Wish>,
    told: Told,
}

/// What each follower needs.
#[derive(Clone)]
struct Told {
    news: mpsc::UnboundedSender<News>,
    clock: SharedClock,
    resync: Duration,
    turns: Arc<Semaphore>,
}

/// The folders of a context, with their inodes, and what watches them.
struct Watched {
    folders: Vec<(PathBuf, u64)>,
    watch: Option<Watch>,
}

impl Inputs {
    /// A worker that does nothing until [`Inputs::run`] runs. `resync` is the time between two looks when nothing is seen to change.
    pub fn new(
        wishes: mpsc::UnboundedReceiver<Wish>,
        news: mpsc::UnboundedSender<News>,
        clock: SharedClock,
        resync: Duration,
    ) -> Self {
        Self { wishes, told: Told { news, clock, resync, turns: Arc::new(Semaphore::new(AT_ONCE)) } }
    }

    /// Follows what is wished until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut followed: HashMap<(Key, String), (BuildSpec, AbortOnDropHandle<()>)> = HashMap::new();
        let (files, wished_files) = mpsc::unbounded_channel();
        let _files = AbortOnDropHandle::new(tokio::spawn(self.told.clone().follow_files(wished_files)));
        loop {
            let wish = tokio::select! {
                () = shutdown.cancelled() => return,
                wish = self.wishes.recv() => wish,
            };
            // Without a controller there is nobody to look for.
            let InputWish { key, builds } = match wish {
                Some(Wish::Builds(wish)) => wish,
                Some(Wish::Files(wish)) => {
                    let _ = files.send(wish);
                    continue;
                }
                None => return,
            };
            followed.retain(|(owner, service), (spec, _)| *owner != key || builds.get(service) == Some(spec));
            for (service, spec) in builds {
                followed.entry((key.clone(), service.clone())).or_insert_with(|| {
                    let task = tokio::spawn(self.told.clone().follow(key.clone(), service, spec.clone()));
                    (spec, AbortOnDropHandle::new(task))
                });
            }
        }
    }
}

impl Told {
    /// Looks after one build's input.
    async fn follow(self, key: Key, service: String, spec: BuildSpec) {
        let root = root_of(&spec);
        let (mut cache, mut last) = (DigestCache::default(), None);
        let mut watched: Option<Watched> = None;
        loop {
            let began = Instant::now();
            let (input, used) = self.look(&spec, cache).await;
            cache = used;
            if last.as_ref() != Some(&input) {
                debug!(deployment = %key, service, ?input, "the input of a build was looked at");
                let news = InputNews { key: key.clone(), service: service.clone(), spec: spec.clone(), input: input.clone() };
                if self.news.send(News::Build(Box::new(news))).is_err() {
                    return;
                }
                last = Some(input);
            }
            let rest = self.resync.max(began.elapsed().saturating_mul(REST));
            let Some(root) = &root else { return };
            if watched.as_ref().is_none_or(|watched| watched.folders != cache.folders()) {
                // What changed before it was watched is found by the look that follows.
                let folders = cache.folders().to_vec();
                watched = Some(Watched { watch: watch(root, &folders).await, folders });
                continue;
            }
            let watch = watched.as_ref().and_then(|watched| watched.watch.as_ref());
            tokio::select! {
                () = changed(watch) => {}
                () = sleep(rest) => {}
            }
        }
    }

    /// Looks after the mounted files of all Deployments: with one watch, of which the kernel has few.
    async fn follow_files(self, mut wishes: mpsc::UnboundedReceiver<FileWish>) {
        let mut wished: HashMap<Key, BTreeSet<FollowedFile>> = HashMap::new();
        let mut known: HashMap<Key, (Mounted, FileStates)> = HashMap::new();
        let mut watched: Option<Watched> = None;
        loop {
            known = self.look_at_files(&wished, known).await;
            let folders: BTreeSet<(PathBuf, u64)> = known.values().flat_map(|(mounted, _)| mounted.folders()).collect();
            let folders: Vec<_> = folders.into_iter().collect();
            if watched.as_ref().map_or(!folders.is_empty(), |watched| watched.folders != folders) {
                // What changed before it was watched is found by the look that follows.
                watched = Some(Watched { watch: watch(Path::new("/"), &folders).await, folders });
                continue;
            }
            let watch = watched.as_ref().and_then(|watched| watched.watch.as_ref());
            let wish = tokio::select! {
                wish = wishes.recv() => wish,
                () = changed(watch) => continue,
                () = sleep(self.resync), if !wished.is_empty() => continue,
            };
            let Some(wish) = wish else { return };
            let mut next = Some(wish);
            while let Some(FileWish { key, files }) = next {
                known.remove(&key);
                match files.is_empty() {
                    true => wished.remove(&key),
                    false => wished.insert(key, files),
                };
                next = wishes.try_recv().ok();
            }
        }
    }

    /// Looks at all files that are wished, and tells what is new.
    async fn look_at_files(
        &self,
        wished: &HashMap<Key, BTreeSet<FollowedFile>>,
        mut known: HashMap<Key, (Mounted, FileStates)>,
    ) -> HashMap<Key, (Mounted, FileStates)> {
        // Never closed.
        let _turn = self.turns.acquire().await;
        let (wished, now, told) = (wished.clone(), self.clock.now(), self.news.clone());
        let work = tokio::task::spawn_blocking(move || {
            for (key, files) in wished {
                let (mut mounted, before) =
                    known.remove(&key).map_or_else(Default::default, |(mounted, before)| (mounted, Some(before)));
                let states = mounted.look(&files, now);
                if before.as_ref() != Some(&states) {
                    debug!(deployment = %key, files = states.len(), "mounted files were looked at");
                    // Without a controller there is nobody to tell.
                    let _ = told.send(News::Files(FileNews { key: key.clone(), files, states: states.clone() }));
                }
                known.insert(key, (mounted, states));
            }
            known
        });
        work.await.unwrap_or_default()
    }

    async fn look(&self, spec: &BuildSpec, mut cache: DigestCache) -> (BuildInput, DigestCache) {
        // Never closed.
        let _turn = self.turns.acquire().await;
        let (spec, now) = (spec.clone(), self.clock.now());
        let work = tokio::task::spawn_blocking(move || {
            let input = match cache.digest(&spec, now) {
                Ok(digest) => BuildInput::Digest(digest),
                Err(error) => BuildInput::Unreadable(error.to_string()),
            };
            (input, cache)
        });
        let failed = |_| (BuildInput::Unreadable("reading it was interrupted; it is tried again".into()), DigestCache::default());
        work.await.unwrap_or_else(failed)
    }
}

/// Where something can change that matters; `None`: nowhere.
fn root_of(spec: &BuildSpec) -> Option<PathBuf> {
    let outside = match &spec.dockerfile {
        Dockerfile::Path(path) if Path::new(path).is_absolute() => Some(PathBuf::from(path)),
        _ => None,
    };
    spec.folder().map(PathBuf::from).or(outside)
}

/// Watches the folders, if that can be.
async fn watch(root: &Path, folders: &[(PathBuf, u64)]) -> Option<Watch> {
    if folders.len() > WATCHED_FOLDERS {
        debug!(context = %root.display(), folders = folders.len(), "too many folders to watch; the context is looked at now and then");
        return None;
    }
    let folders: Vec<PathBuf> = folders.iter().map(|(folder, _)| folder.clone()).collect();
    let root = root.to_owned();
    let shown = root.display().to_string();
    let (watch, trouble) = tokio::task::spawn_blocking(move || Watch::start_with(&root, &folders)).await.ok()?;
    if let Some(trouble) = trouble {
        warn!(context = shown, trouble, "a build context cannot be watched; it is looked at now and then");
    }
    Some(watch)
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::SystemClock;

    /// A context, and what the worker says of it.
    struct Scene {
        folder: tempfile::TempDir,
        wishes: mpsc::UnboundedSender<Wish>,
        news: mpsc::UnboundedReceiver<News>,
        _worker: AbortOnDropHandle<()>,
    }

    impl Scene {
        fn new(resync: Duration) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("app")).unwrap();
            fs::write(folder.path().join("app/Dockerfile"), "FROM scratch").unwrap();
            let ((wishes, wished), (told, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
            let worker = Inputs::new(wished, told, Arc::new(SystemClock), resync);
            let worker = AbortOnDropHandle::new(tokio::spawn(worker.run(CancellationToken::new())));
            Self { folder, wishes, news, _worker: worker }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join("app").join(name)
        }

        fn wish(&self, services: &[&str]) {
            let spec = BuildSpec { context: Some(self.path("").display().to_string()), ..BuildSpec::default() };
            let builds = services.iter().map(|service| ((*service).to_owned(), spec.clone())).collect();
            self.wishes.send(Wish::Builds(InputWish { key: Key::new("default", "web"), builds })).unwrap();
        }

        async fn news(&mut self) -> News {
            tokio::time::timeout(Duration::from_secs(20), self.news.recv()).await.expect("there are news").unwrap()
        }

        async fn next(&mut self) -> BuildInput {
            let News::Build(news) = self.news().await else { panic!("news of mounted files") };
            news.input
        }

        async fn next_files(&mut self) -> FileStates {
            let News::Files(news) = self.news().await else { panic!("news of a build") };
            news.states
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_is_told_and_a_touch_is_not() {
        let mut scene = Scene::new(Duration::from_secs(3600));
        scene.wish(&["app"]);
        let first = scene.next().await;
        scene.wish(&["app"]);
        fs::create_dir(scene.path("src")).unwrap();
        let second = scene.next().await;
        assert!(matches!(&second, BuildInput::Digest(digest) if BuildInput::Digest(digest.clone()) != first), "{second:?}");
        let file = scene.path("src/main.c");
        // A folder that came later is watched too.
        fs::write(&file, "a").unwrap();
        let third = scene.next().await;
        fs::File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::write(&file, "b").unwrap();
        let fourth = scene.next().await;
        assert!(third != second && fourth != third);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_read_is_told_and_what_comes_back_too() {
        let mut scene = Scene::new(Duration::from_millis(200));
        scene.wish(&["app"]);
        let first = scene.next().await;
        fs::rename(scene.path(""), scene.folder.path().join("away")).unwrap();
        let gone = scene.next().await;
        assert!(matches!(&gone, BuildInput::Unreadable(why) if why.contains("cannot read")), "{gone:?}");
        fs::rename(scene.folder.path().join("away"), scene.path("")).unwrap();
        assert_eq!(scene.next().await, first);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_longer_wished_is_no_longer_followed() {
        let mut scene = Scene::new(Duration::from_millis(50));
        scene.wish(&["app"]);
        scene.next().await;
        scene.wish(&[]);
        scene.wish(&["other"]);
        scene.next().await;
        fs::write(scene.path("new"), "").unwrap();
        assert!(matches!(scene.news().await, News::Build(news) if news.service == "other"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn mounted_files_are_followed_and_those_that_come_later_too() {
        let mut scene = Scene::new(Duration::from_secs(3600));
        let path = scene.path("app.conf");
        let file = FollowedFile { path: path.display().to_string(), replaced_only: false, folder: false };
        let wish = FileWish { key: Key::new("default", "web"), files: BTreeSet::from([file]) };
        scene.wishes.send(Wish::Files(wish)).unwrap();
        assert!(scene.next_files().await.values().all(|state| state.mark.is_absent()));
        fs::write(&path, "a").unwrap();
        let first = scene.next_files().await;
        fs::write(scene.path("draft"), "b").unwrap();
        fs::rename(scene.path("draft"), &path).unwrap();
        let second = scene.next_files().await;
        assert!(first.len() == 1 && second.len() == 1 && first != second);
    }
}
