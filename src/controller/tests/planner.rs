//! What must hold of plans, whatever the engine looks like and wherever the turn before was cut off.

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{
    Action, Cause, Container, ContainerState, DockerRestart, HoldState, HoldView, NetworkRef, Op, Plan, ReplicaId, RunState,
    Subject, Target, Verdict,
};

use super::model::Model;
use super::story::{App, Edit, Part, Strangers, an_edit, app, part, strangers};
use super::wire::owner;

/// Turns in which any picture is brought to rest: three replicas of each of four services are replaced one at a time.
const TURNS: usize = 100;

/// What changes the picture between two turns.
#[derive(Debug, Clone)]
enum Change {
    Ends(usize, i64, Verdict),
    /// Few enough that the same one fails again and again.
    Fails(usize),
    Vanishes(usize),
    Turns(usize, ContainerState),
    Renamed(usize),
    Policy(usize),
    NetworkGone(usize),
    NetworkTwice(usize),
    ImageGone(usize),
    Edit(Edit),
    Held(Part, HoldState),
    HoldsGone,
    Deleted {
        volumes: bool,
    },
    Later(i64),
}

fn change() -> impl Strategy<Value = Change> {
    use ContainerState::{Created, Dead, Paused, Removing, Restarting};
    let verdict = prop_oneof![
        4 => Just(Verdict::OwnAccord), 1 => Just(Verdict::Killed), 1 => Just(Verdict::Shutdown), 1 => Just(Verdict::Unknown),
        1 => Just(Verdict::ExternalStop),
    ];
    let state = prop_oneof![Just(Created), Just(Dead), Just(Paused), Just(Removing), Just(Restarting)];
    let held = prop_oneof![2 => Just(HoldState::Stopped), 1 => Just(HoldState::Suspended)];
    let place = || 0..16usize;
    prop_oneof![
        6 => (place(), 0..3i64, verdict).prop_map(|(at, code, verdict)| Change::Ends(at, code, verdict)),
        5 => (0..3usize).prop_map(Change::Fails),
        3 => place().prop_map(Change::Vanishes),
        2 => (place(), state).prop_map(|(at, state)| Change::Turns(at, state)),
        1 => place().prop_map(Change::Renamed),
        1 => place().prop_map(Change::Policy),
        2 => place().prop_map(Change::NetworkGone),
        1 => place().prop_map(Change::NetworkTwice),
        1 => place().prop_map(Change::ImageGone),
        5 => an_edit().prop_map(Change::Edit),
        3 => (part(), held).prop_map(|(part, state)| Change::Held(part, state)),
        1 => Just(Change::HoldsGone),
        1 => any::<bool>().prop_map(|volumes| Change::Deleted { volumes }),
        2 => (0..600i64).prop_map(Change::Later),
    ]
}

impl Model {
    fn undergo(&mut self, change: &Change) {
        let one = |ids: Vec<String>, at: usize| (!ids.is_empty()).then(|| ids[at % ids.len()].clone());
        let any = |model: &Self, at| one(model.ours(|_| true), at);
        let network = |model: &Self, at| {
            let ours = model.snapshot.networks.values().filter(|network| owner(&network.labels).is_some());
            one(ours.map(|network| network.id.clone()).collect(), at)
        };
        match change {
            Change::Ends(at, code, verdict) => {
                let running = self.ours(|container| container.state == ContainerState::Running);
                one(running, *at).into_iter().for_each(|id| self.ends(&id, *code, verdict.clone()));
            }
            Change::Fails(at) => {
                let running = self.ours(|container| container.state == ContainerState::Running);
                running.get(*at).into_iter().for_each(|id| self.ends(id, 1, Verdict::OwnAccord));
            }
            Change::Vanishes(at) => any(self, *at).into_iter().for_each(|id| self.remove(&id)),
            Change::Turns(at, state) => {
                any(self, *at).into_iter().for_each(|id| self.change(&id, |container| turn(container, *state)));
            }
            Change::Renamed(at) => {
                any(self, *at).into_iter().for_each(|id| self.change(&id, |container| container.name.push('x')));
            }
            Change::Policy(at) => any(self, *at)
                .into_iter()
                .for_each(|id| self.change(&id, |container| container.restart_policy = DockerRestart::Always)),
            Change::NetworkGone(at) => network(self, *at).into_iter().for_each(|id| drop(self.snapshot.networks.remove(&id))),
            Change::NetworkTwice(at) => {
                if let Some(id) = network(self, *at) {
                    let another = format!("{at}{}", &id[1..]);
                    let network = self.snapshot.networks[&id].clone();
                    self.snapshot.networks.insert(another.clone(), crate::model::Network { id: another, ..network });
                }
            }
            Change::ImageGone(at) => {
                let tagged = self.snapshot.images.values_mut().nth(*at);
                tagged.into_iter().for_each(|image| image.tags.clear());
            }
            Change::Edit(edit) => self.app.edit(*edit),
            Change::Held(part, state) => self.hold(*part, *state),
            Change::HoldsGone => self.holds.clear(),
            Change::Deleted { volumes } => self.deletion = Some(*volumes),
            Change::Later(seconds) => self.now += SignedDuration::from_secs(*seconds),
        }
        self.declare();
    }

    fn hold(&mut self, part: Part, state: HoldState) {
        let count = self.app.services.len();
        let (service, replica) = match part {
            Part::All => (None, None),
            Part::Service(at) => (Some(at % count), None),
            Part::Replica(at, number) => (Some(at % count), Some(number + 1)),
        };
        self.holds.push(HoldView {
            name: format!("hold-{}", self.holds.len()),
            service: service.map(|at| format!("s{at}")),
            replica,
            state,
            reason: "Stopped".into(),
            until: None,
            since: self.now,
        });
    }

    /// Whether something that no plan mends is in the way.
    fn is_stuck(&self) -> bool {
        !self.ours(|container| container.state == ContainerState::Removing).is_empty()
    }

    /// What a plan must never contain.
    fn forbidden(&self, plan: &Plan) -> Option<String> {
        plan.actions.iter().enumerate().find_map(|(index, action)| {
            let backwards = action.after.iter().any(|before| *before >= index);
            let why = self
                .foreign(&action.op)
                .or_else(|| self.hasty(action))
                .or_else(|| self.held(&action.op, &action.subject))
                .or_else(|| match &action.op {
                    Op::RemoveVolume { name } if self.deletion != Some(true) => Some(format!("volume {name} goes unasked")),
                    _ => backwards.then(|| "it comes after a later one".to_owned()),
                });
            why.map(|why| format!("{action}: {why}"))
        })
    }

    fn foreign(&self, op: &Op) -> Option<String> {
        let containers = &self.snapshot.containers;
        let foreign = |id: &String| containers.get(id).is_none_or(|found| owner(&found.labels).is_none());
        match op {
            Op::Start(target)
            | Op::Stop { target, .. }
            | Op::RemoveContainer(target)
            | Op::Signal { target, .. }
            | Op::Rename { target, .. }
            | Op::Disconnect { target, .. }
            | Op::SetRestartPolicy { target, .. } => is_existing(target).filter(|id| foreign(id)).cloned(),
            Op::Connect { target, network, .. } => {
                let network = match network {
                    NetworkRef::Id(id) => self.foreign_network(id),
                    NetworkRef::Made(_) => None,
                };
                is_existing(target).filter(|id| foreign(id)).cloned().or(network)
            }
            Op::RemoveNetwork { id } => self.foreign_network(id),
            Op::RemoveVolume { name } => {
                let volume = self.snapshot.volumes.get(name);
                volume.is_none_or(|found| owner(&found.labels).is_none()).then(|| name.clone())
            }
            Op::CreateNetwork(_) | Op::CreateVolume(_) | Op::Pull { .. } | Op::Build { .. } => None,
            Op::CreateContainer { .. } | Op::Tag { .. } => None,
        }
    }

    /// An attempt more than there may be, or before its back-off is over.
    fn hasty(&self, action: &Action) -> Option<String> {
        let Cause::Recovery { attempt, max, .. } = &action.cause else { return None };
        if attempt > max {
            return Some("no attempt is left".to_owned());
        }
        let Op::Start(Target::Existing { id, .. }) = &action.op else { return None };
        let waited = self.now.duration_since(self.snapshot.containers[id].finished_at?);
        // From 1 s on, doubled up to 8 s, a tenth more or less.
        let least = attempt.checked_sub(2).map_or(0, |doublings| (1_000 << doublings.min(3)) * 9 / 10);
        (waited < SignedDuration::from_millis(least)).then(|| format!("only {waited:#} after the failure"))
    }

    fn foreign_network(&self, id: &str) -> Option<String> {
        let found = self.snapshot.networks.get(id);
        found.is_none_or(|found| owner(&found.labels).is_none()).then(|| id.to_owned())
    }

    /// A start of what is held, or anything done to what hands must be kept off.
    fn held(&self, op: &Op, subject: &Subject) -> Option<String> {
        let replica = match subject {
            Subject::Replica(replica) => replica.clone(),
            Subject::Container(name) => self.snapshot.containers.values().find(|found| found.name == *name)?.replica()?,
            _ => return None,
        };
        let hold = self.winner(&replica);
        let stopped = self.app.stopped || hold == Some(HoldState::Stopped) || self.deletion.is_some();
        let starts = matches!(op, Op::Start(_));
        let touches = hold == Some(HoldState::Suspended) && self.deletion.is_none();
        ((starts && stopped) || touches).then(|| format!("{hold:?}"))
    }

    /// The most specific Hold, then the newest.
    fn winner(&self, replica: &ReplicaId) -> Option<HoldState> {
        let covering = self.holds.iter().filter(|hold| {
            hold.service.as_ref().is_none_or(|service| *service == replica.service)
                && hold.replica.is_none_or(|number| number == replica.number)
        });
        let last = covering.max_by_key(|hold| (hold.service.is_some(), hold.replica.is_some(), hold.since));
        last.map(|hold| hold.state)
    }
}

/// As Docker has it: one that is only made has never run.
fn turn(container: &mut Container, state: ContainerState) {
    container.state = state;
    if state == ContainerState::Created {
        (container.started_at, container.finished_at) = (None, None);
    }
}

fn is_existing(target: &Target) -> Option<&String> {
    match target {
        Target::Existing { id, .. } => Some(id),
        Target::Made { .. } => None,
    }
}

fn story() -> impl Strategy<Value = (App, Strangers, Vec<(Change, usize)>)> {
    (app(), strangers(), vec((change(), 0..8usize), 0..24))
}

proptest! {
    #![proptest_config(super::config(600))]

    #[test]
    fn plans_leave_strangers_and_what_is_held_alone_and_come_to_an_end((app, strangers, changes) in story()) {
        let mut model = Model::new(app, strangers);
        for (change, upto) in &changes {
            model.undergo(change);
            prop_assert_eq!(model.forbidden(&model.plan()), None);
            model.turn(*upto);
        }
        for _ in 0..TURNS {
            let plan = model.plan();
            prop_assert_eq!(model.forbidden(&plan), None);
            match plan.wake_at {
                Some(at) if plan.actions.is_empty() => model.now = model.now.max(at),
                None if plan.actions.is_empty() => break,
                _ => {}
            }
            model.turn(usize::MAX);
        }
        let last = model.plan();
        prop_assert!(last.actions.is_empty(), "it never ends: {last}");
        if model.deletion.is_some() && !model.is_stuck() {
            prop_assert!(model.ours(|_| true).is_empty(), "left over: {last}");
        } else if model.desired.state == RunState::Stopped && model.holds.is_empty() {
            prop_assert!(model.ours(|container| container.state == ContainerState::Running).is_empty(), "it runs: {last}");
        }
    }
}
