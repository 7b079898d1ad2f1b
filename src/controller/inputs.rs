//! What is known of the files that images are built from: asked for at each turn, found out beside it, read by the planner.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::model::{BuildInput, BuildSpec, Desired, InputNews, InputWish, Key};

/// The two ends of the channels to who looks after the files.
pub struct InputChannels {
    /// Which builds there are.
    pub wishes: mpsc::UnboundedSender<InputWish>,
    /// What was found.
    pub news: mpsc::UnboundedReceiver<InputNews>,
}

/// The inputs of all builds.
pub(super) struct Inputs {
    wishes: mpsc::UnboundedSender<InputWish>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wished: HashMap<Key, BTreeMap<String, BuildSpec>>,
    found: HashMap<Key, BTreeMap<String, (BuildSpec, BuildInput)>>,
    /// Until [`Inputs::news`] takes it.
    news: Option<mpsc::UnboundedReceiver<InputNews>>,
}

impl Inputs {
    pub fn new(channels: InputChannels) -> Self {
        let InputChannels { wishes, news } = channels;
        Self { wishes, state: Mutex::new(State { news: Some(news), ..State::default() }) }
    }

    /// Says which builds a Deployment has, where that is new.
    pub fn want(&self, desired: &Desired) {
        let builds = |service: &crate::model::DesiredService| Some((service.name.clone(), service.build.clone()?));
        let going = desired.deletion.is_some();
        self.wish(&desired.key, desired.services.values().filter(|_| !going).filter_map(builds).collect());
    }

    /// A Deployment that is gone wants nothing any more.
    pub fn forget(&self, key: &Key) {
        self.wish(key, BTreeMap::new());
        self.lock().found.remove(key);
    }

    fn wish(&self, key: &Key, builds: BTreeMap<String, BuildSpec>) {
        let mut state = self.lock();
        let before = if builds.is_empty() { state.wished.remove(key) } else { state.wished.insert(key.clone(), builds.clone()) };
        if before.unwrap_or_default() != builds {
            // Without anybody who looks nothing is ever found: the planner waits.
            let _ = self.wishes.send(InputWish { key: key.clone(), builds });
        }
    }

    /// Takes in what was found.
    pub fn learn(&self, news: InputNews) {
        let InputNews { key, service, spec, input } = news;
        self.lock().found.entry(key).or_default().insert(service, (spec, input));
    }

    /// What is known of a Deployment's builds as they are declared now, by service.
    pub fn of(&self, desired: &Desired) -> BTreeMap<String, BuildInput> {
        let state = self.lock();
        let Some(found) = state.found.get(&desired.key) else { return BTreeMap::new() };
        let known = |(name, (spec, input)): (&String, &(BuildSpec, BuildInput))| {
            let declared = desired.services.get(name)?.build.as_ref()?;
            (declared == spec).then(|| (name.clone(), input.clone()))
        };
        found.iter().filter_map(known).collect()
    }

    /// What is found from now on; once.
    pub fn news(&self) -> Option<mpsc::UnboundedReceiver<InputNews>> {
        self.lock().news.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
