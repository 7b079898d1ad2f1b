//! What is known of the files that images are built from and that containers have mounted: asked for at each turn, found out
//! beside it, read by the planner.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::model::{BuildInput, BuildSpec, Desired, FileStates, FileWish, FollowedFile, InputNews, InputWish, Key, News, Wish};

/// The two ends of the channels to who looks after the files.
pub struct InputChannels {
    /// Which builds and which mounted files there are.
    pub wishes: mpsc::UnboundedSender<Wish>,
    /// What was found.
    pub news: mpsc::UnboundedReceiver<News>,
}

/// The inputs of all builds, and all mounted files.
pub(super) struct Inputs {
    wishes: mpsc::UnboundedSender<Wish>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    builds_wished: HashMap<Key, BTreeMap<String, BuildSpec>>,
    builds: HashMap<Key, BTreeMap<String, (BuildSpec, BuildInput)>>,
    files_wished: HashMap<Key, BTreeSet<FollowedFile>>,
    files: HashMap<Key, (BTreeSet<FollowedFile>, FileStates)>,
    /// Until [`Inputs::news`] takes it.
    news: Option<mpsc::UnboundedReceiver<News>>,
}

impl Inputs {
    pub fn new(channels: InputChannels) -> Self {
        let InputChannels { wishes, news } = channels;
        Self { wishes, state: Mutex::new(State { news: Some(news), ..State::default() }) }
    }

    /// Says which builds and mounted files a Deployment has, where that is new.
    pub fn want(&self, desired: &Desired) {
        let services = || desired.services.values().filter(|_| desired.deletion.is_none());
        let build = |service: &crate::model::DesiredService| Some((service.name.clone(), service.build.clone()?));
        self.wish(&desired.key, services().filter_map(build).collect(), files_of(desired));
    }

    /// A Deployment that is gone wants nothing any more.
    pub fn forget(&self, key: &Key) {
        self.wish(key, BTreeMap::new(), BTreeSet::new());
        let mut state = self.lock();
        state.builds.remove(key);
        state.files.remove(key);
    }

    fn wish(&self, key: &Key, builds: BTreeMap<String, BuildSpec>, files: BTreeSet<FollowedFile>) {
        let mut state = self.lock();
        // Without anybody who looks nothing is ever found: the planner waits.
        if replace(&mut state.builds_wished, key, &builds, builds.is_empty()) {
            let _ = self.wishes.send(Wish::Builds(InputWish { key: key.clone(), builds }));
        }
        if replace(&mut state.files_wished, key, &files, files.is_empty()) {
            let _ = self.wishes.send(Wish::Files(FileWish { key: key.clone(), files }));
        }
    }

    /// Takes in what was found.
    pub fn learn(&self, news: News) {
        let mut state = self.lock();
        match news {
            News::Build(news) => {
                let InputNews { key, service, spec, input } = *news;
                state.builds.entry(key).or_default().insert(service, (spec, input));
            }
            News::Files(news) => drop(state.files.insert(news.key, (news.files, news.states))),
        }
    }

    /// What is known of a Deployment's builds as they are declared now, by service.
    pub fn of(&self, desired: &Desired) -> BTreeMap<String, BuildInput> {
        let state = self.lock();
        let Some(found) = state.builds.get(&desired.key) else { return BTreeMap::new() };
        let known = |(name, (spec, input)): (&String, &(BuildSpec, BuildInput))| {
            let declared = desired.services.get(name)?.build.as_ref()?;
            (declared == spec).then(|| (name.clone(), input.clone()))
        };
        found.iter().filter_map(known).collect()
    }

    /// What is known of the files that a Deployment's containers have mounted; `None`: nothing yet.
    pub fn files_of(&self, desired: &Desired) -> Option<FileStates> {
        let wanted = files_of(desired);
        if wanted.is_empty() {
            return Some(FileStates::new());
        }
        self.lock().files.get(&desired.key).filter(|(files, _)| *files == wanted).map(|(_, states)| states.clone())
    }

    /// What is found from now on; once.
    pub fn news(&self) -> Option<mpsc::UnboundedReceiver<News>> {
        self.lock().news.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn files_of(desired: &Desired) -> BTreeSet<FollowedFile> {
    let services = desired.services.values().filter(|_| desired.deletion.is_none());
    services.flat_map(|service| service.followed.iter().cloned()).collect()
}

/// Keeps what is wished now. Returns whether it differs from before.
fn replace<T: Clone + Default + PartialEq>(wished: &mut HashMap<Key, T>, key: &Key, wish: &T, none: bool) -> bool {
    let before = if none { wished.remove(key) } else { wished.insert(key.clone(), wish.clone()) };
    before.unwrap_or_default() != *wish
}
