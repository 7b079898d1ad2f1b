//! The cached picture itself: pure, and guarded so that an older answer never overwrites a newer one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::docker::ContainerLine;
use crate::model::{Container, ContainerState, DockerRestart, End, EngineRun, Image, Key, Network, Snapshot, Vacated, Volume};

/// A moment in the picture's own order of things: questions get one when they are asked, events when they are read.
pub(super) type Moment = u64;

/// Labels of an object.
pub(super) type Labels = BTreeMap<String, String>;

/// What the engine is known to look like.
#[derive(Debug, Default)]
pub(super) struct Picture {
    snapshot: Arc<Snapshot>,
    now: Moment,
    guards: BTreeMap<String, Guard>,
    /// Ends by container id, whatever run they are of.
    ends: BTreeMap<String, End>,
    listed: [Moment; 3],
    /// When guards of containers that are gone were forgotten last: an older answer about a stranger is of one of those.
    pruned: Moment,
}

/// How current the picture of one container is.
#[derive(Debug, Default)]
struct Guard {
    /// When the look that is shown was asked for.
    asked: Moment,
    /// When the last event about it was read.
    event: Moment,
    /// The line of the list that the look shown belongs to; `None`: look again at the next list.
    line: Option<ContainerLine>,
    looking: Looking,
}

/// Looks that events ask for: one at a time for each container.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Looking {
    #[default]
    No,
    Yes,
    /// And once more when that is done.
    Again,
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// Something newer is known: ask again.
    Stale,
    /// It is what was known.
    Same,
    /// The picture changed; the labels say whose it is.
    Changed(Labels),
}

impl Picture {
    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    fn edit(&mut self) -> &mut Snapshot {
        Arc::make_mut(&mut self.snapshot)
    }

    /// A new moment: a question asked, or an event read, now.
    pub(super) fn moment(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    pub(super) fn set_run(&mut self, run: EngineRun) {
        self.edit().run = run;
    }

    pub(super) fn container(&self, id: &str) -> Option<&Arc<Container>> {
        self.snapshot.containers.get(id)
    }

    /// An event about this container was read: what was asked before it no longer counts.
    pub(super) fn touch(&mut self, id: &str) {
        let moment = self.moment();
        self.guards.entry(id.to_owned()).or_default().event = moment;
    }

    /// Changes a container as an event says.
    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.edit().containers.get_mut(id) {
            change(Arc::make_mut(container));
            self.show_end(id);
        }
    }

    /// An `oom` was told of it: the `die` that follows, or came before, does not say so.
    pub(super) fn ran_out_of_memory(&mut self, id: &str, at: Timestamp) {
        self.edit().out_of_memory.insert(id.to_owned(), at);
    }

    /// Its main process ended.
    pub(super) fn died(&mut self, id: &str, at: Timestamp, exit_code: Option<i64>) {
        let killed = self.snapshot.out_of_memory.get(id).copied().filter(|_| exit_code == Some(137));
        let in_this_run =
            |container: &Container| killed.is_some_and(|killed| container.started_at.is_none_or(|from| from <= killed));
        self.change(id, |container| {
            let out_of_memory = in_this_run(container);
            died(container, at, exit_code, out_of_memory);
        });
    }

    /// The answer to a look that was asked for at `asked`; `None`: there is no such container.
    pub(super) fn apply(&mut self, id: &str, asked: Moment, seen: Option<Container>) -> Applied {
        let guard = self.guards.entry(id.to_owned()).or_insert_with(|| Guard { event: self.pruned, ..Guard::default() });
        if asked < guard.asked || asked < guard.event {
            return Applied::Stale;
        }
        guard.asked = asked;
        let Some(container) = seen else { return self.remove(id) };
        let same = self.container(id).is_some_and(|known| **known == container) && !self.snapshot.unread.contains(id);
        if same {
            return Applied::Same;
        }
        let labels = container.labels.clone();
        let snapshot = self.edit();
        snapshot.unread.remove(id);
        snapshot.containers.insert(id.to_owned(), Arc::new(container));
        self.show_end(id);
        Applied::Changed(labels)
    }

    /// It is gone.
    pub(super) fn remove(&mut self, id: &str) -> Applied {
        if !self.snapshot.containers.contains_key(id) {
            return Applied::Same;
        }
        let snapshot = self.edit();
        snapshot.unread.remove(id);
        snapshot.ends.remove(id);
        snapshot.out_of_memory.remove(id);
        let removed = snapshot.containers.remove(id);
        Applied::Changed(removed.map(|container| container.labels.clone()).unwrap_or_default())
    }

    /// Starts a look that an event asked for; `false`: one is under way, and another will follow it.
    pub(super) fn start_look(&mut self, id: &str) -> bool {
        let looking = &mut self.guards.entry(id.to_owned()).or_default().looking;
        let free = *looking == Looking::No;
        *looking = if free { Looking::Yes } else { Looking::Again };
        free
    }

    /// A look that an event asked for is done; `true`: another one was asked for meanwhile.
    pub(super) fn end_look(&mut self, id: &str) -> bool {
        let Some(guard) = self.guards.get_mut(id) else { return false };
        let again = guard.looking == Looking::Again;
        guard.looking = if again { Looking::Yes } else { Looking::No };
        again
    }

    /// The next full look has to look at this container whatever its line says.
    pub(super) fn distrust(&mut self, id: &str) {
        if let Some(guard) = self.guards.get_mut(id) {
            guard.line = None;
        }
    }

    /// Which of the listed containers have to be looked at: unknown, or changed by their line.
    pub(super) fn due(&mut self, lines: &[ContainerLine]) -> Vec<String> {
        let mut due = Vec::new();
        for line in lines {
            let known = self.snapshot.containers.contains_key(&line.id) && !self.snapshot.unread.contains(&line.id);
            let guard = self.guards.entry(line.id.clone()).or_default();
            if !known || guard.line.as_ref() != Some(line) {
                guard.line = Some(line.clone());
                due.push(line.id.clone());
            }
        }
        due
    }

    /// Containers that run and whose health record was out of date when they were looked at: they may be probed again by now.
    pub(super) fn stale(&self) -> Vec<String> {
        let stale = |container: &Container| {
            container.state == ContainerState::Running && container.health.as_ref().is_some_and(|health| health.stale)
        };
        self.snapshot.containers.values().filter(|container| stale(container)).map(|container| container.id.clone()).collect()
    }

    /// Containers in the picture that a list asked for at `asked` does not have, and nothing newer is known of.
    pub(super) fn missing(&mut self, lines: &[ContainerLine], asked: Moment) -> Vec<String> {
        let listed: BTreeSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
        let settled = |guard: &Guard| guard.asked < asked && guard.event < asked && guard.looking == Looking::No;
        let shown = &self.snapshot.containers;
        self.guards.retain(|id, guard| listed.contains(id.as_str()) || shown.contains_key(id) || !settled(guard));
        self.pruned = asked;
        let absent = shown.keys().filter(|id| !listed.contains(id.as_str()));
        absent.filter(|id| self.guards.get(*id).is_none_or(settled)).cloned().collect()
    }

    /// Shows containers of a list asked for at `asked` that have not answered since as far as their line tells.
    pub(super) fn sketch(&mut self, lines: &[ContainerLine], asked: Moment) -> bool {
        let silent = |id: &str| self.guards.get(id).is_none_or(|guard| guard.asked < asked && guard.event < asked);
        let unknown = |line: &&ContainerLine| !self.snapshot.containers.contains_key(&line.id) && silent(&line.id);
        let unknown: Vec<&ContainerLine> = lines.iter().filter(unknown).collect();
        for line in &unknown {
            let snapshot = self.edit();
            snapshot.unread.insert(line.id.clone());
            snapshot.containers.insert(line.id.clone(), Arc::new(sketch(line)));
        }
        !unknown.is_empty()
    }

    /// What is known of the end of a container's run, whichever run it is of.
    pub(super) fn end(&self, id: &str) -> Option<&End> {
        self.ends.get(id)
    }

    pub(super) fn set_end(&mut self, id: &str, end: Option<End>) {
        match end {
            Some(end) => self.ends.insert(id.to_owned(), end),
            None => self.ends.remove(id),
        };
        self.show_end(id);
    }

    /// Shows an end with the container it is of: one that is down, and in the very run that ended.
    fn show_end(&mut self, id: &str) {
        let down = self.container(id).filter(|container| !container.is_up());
        let end = self.ends.get(id).filter(|end| down.is_some_and(|container| container.started_at == end.started_at)).cloned();
        if self.snapshot.ends.get(id) == end.as_ref() {
            return;
        }
        let ends = &mut self.edit().ends;
        match end {
            Some(end) => ends.insert(id.to_owned(), end),
            None => ends.remove(id),
        };
    }

    /// Shows which places stay empty for now. Returns whose that was news for.
    pub(super) fn set_vacated(&mut self, vacated: Vec<Vacated>) -> Vec<Key> {
        if self.snapshot.vacated == vacated {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.edit().vacated, vacated);
        let now = &self.snapshot.vacated;
        let (came, went) =
            (now.iter().filter(|place| !before.contains(place)), before.iter().filter(|place| !now.contains(place)));
        came.chain(went).map(|place| place.key.clone()).collect()
    }

    /// The list of networks asked for at `asked`: the labels of what changed; `None`: a newer one is shown.
    pub(super) fn list_networks(&mut self, asked: Moment, networks: Vec<Network>) -> Option<Vec<Labels>> {
        let listed = networks.into_iter().map(|network| (network.id.clone(), network)).collect();
        let changed = differing(&self.snapshot.networks, &listed, |network| &network.labels);
        self.list(0, asked, changed, |snapshot| snapshot.networks = listed.into())
    }

    /// The same for volumes.
    pub(super) fn list_volumes(&mut self, asked: Moment, volumes: Vec<Volume>) -> Option<Vec<Labels>> {
        let listed = volumes.into_iter().map(|volume| (volume.name.clone(), volume)).collect();
        let changed = differing(&self.snapshot.volumes, &listed, |volume| &volume.labels);
        self.list(1, asked, changed, |snapshot| snapshot.volumes = listed.into())
    }

    /// The same for images, which are nobody's: their labels are empty.
    pub(super) fn list_images(&mut self, asked: Moment, images: Vec<Image>) -> Option<Vec<Labels>> {
        const NOBODYS: &Labels = &Labels::new();
        let listed = images.into_iter().map(|image| (image.id.clone(), image)).collect();
        let changed = differing(&self.snapshot.images, &listed, |_| NOBODYS);
        self.list(2, asked, changed, |snapshot| snapshot.images = listed.into())
    }

    fn list(
        &mut self,
        list: usize,
        asked: Moment,
        changed: Vec<Labels>,
        show: impl FnOnce(&mut Snapshot),
    ) -> Option<Vec<Labels>> {
        if asked < self.listed[list] {
            return None;
        }
        self.listed[list] = asked;
        if !changed.is_empty() {
            show(self.edit());
        }
        Some(changed)
    }
}

/// The labels of whatever is new, gone or different.
fn differing<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>, labels: impl Fn(&T) -> &Labels) -> Vec<Labels> {
    let changed = |one: &BTreeMap<String, T>, other: &BTreeMap<String, T>| -> Vec<Labels> {
        one.iter().filter(|(key, value)| other.get(*key) != Some(value)).map(|(_, value)| labels(value).clone()).collect()
    };
    [changed(new, old), changed(old, new)].concat()
}

/// All that a line of the list tells.
fn sketch(line: &ContainerLine) -> Container {
    Container {
        id: line.id.clone(),
        name: line.name.clone(),
        labels: line.labels.clone(),
        state: line.state,
        image_id: String::new(),
        image: String::new(),
        exit_code: 0,
        oom_killed: false,
        error: String::new(),
        stop_signal: None,
        created_at: None,
        started_at: None,
        finished_at: None,
        health: None,
        restart_policy: DockerRestart::No,
        restart_count: 0,
        networks: BTreeMap::new(),
        network_mode: String::new(),
        namespace_parents: Vec::new(),
        mounts: Vec::new(),
        ports: Vec::new(),
    }
}

/// Changes a container as its `die` says, unless that is of an older run or Docker's own policy starts it again.
fn died(container: &mut Container, at: Timestamp, exit_code: Option<i64>, out_of_memory: bool) {
    let this_run = container.is_up() && container.started_at.is_none_or(|started| started <= at);
    if this_run && container.restart_policy == DockerRestart::No {
        container.state = ContainerState::Exited;
        container.finished_at = Some(at);
        container.exit_code = exit_code.unwrap_or(container.exit_code);
        container.oom_killed |= out_of_memory;
    }
}

/// Changes a container as its `start` says, unless a look has told already.
pub(super) fn started(container: &mut Container, at: Timestamp) {
    if !container.is_up() && container.finished_at.is_none_or(|end| end <= at) {
        container.state = ContainerState::Running;
        container.started_at = Some(at);
        container.exit_code = 0;
        container.oom_killed = false;
        container.error.clear();
        if let Some(health) = &mut container.health {
            health.status = crate::model::HealthStatus::Starting;
            health.failing_streak = 0;
        }
    }
}
