//! The only place that decides. Pure: time, history and what was observed are arguments.
//!
//! A plan lists the calls to make now, each with its cause, and for everything that is not done now what it waits for.
//! Planning again after the calls succeeded gives an empty plan; planning after any of them failed, or after a crash
//! half-way, goes on from what is there.

mod adopt;
mod builds;
mod cleanup;
mod containers;
mod ended;
mod files;
mod health;
mod holds;
mod identity;
mod images;
mod ladder;
mod networks;
mod order;
mod recovery;
mod remedy;
mod replace;
mod running;
mod spec;
mod suggest;
mod text;
mod volumes;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{scene, service as sample_service};

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use crate::model::{
    Action, BuildInput, Cause, Desired, DesiredService, FailureKind, FileStates, History, Job, JobKind, Likeness, Memory,
    NetworkRef, Note, Observed, Obstacle, Op, Plan, Probed, Reason, RegistryView, ReplicaId, Snapshot, Subject, WaitReason,
    Waiting,
};

pub(crate) use health::{Wellness, wellness};
pub(crate) use identity::{Slots, slots, strangers};
pub(crate) use images::{next_poll, taken_back};
pub(crate) use order::sorted;
pub(crate) use recovery::spread;
pub(crate) use text::adoption;

/// Longest delay between tries when the engine itself is the trouble (5xx, deadlines, conflicts): it mends soon or not by waiting.
const TRANSIENT_CAP: std::time::Duration = std::time::Duration::from_secs(5);

/// What is to be done for one Deployment, now.
pub fn plan(desired: &Desired, observed: &Observed, history: &History, memory: &Memory, now: Timestamp) -> Plan {
    let mut planner = Planner::new(desired, observed, history, memory, now);
    // One that is being deleted goes, whoever has its project: only what bears its own labels is removed.
    if let Some(holder) = desired.claimed_by.as_ref().filter(|_| desired.deletion.is_none()) {
        let holder = format!("project {:?} belongs to Deployment {holder}, which claimed it first", desired.project);
        planner.wait(Subject::Deployment, WaitReason::NotOwned { holder }, None);
        return planner.finish();
    }
    let mut slots = slots(desired, &observed.snapshot, history, memory);
    if let Some(deletion) = desired.deletion {
        cleanup::delete(&mut planner, &slots, deletion);
        return planner.finish();
    }
    adopt::take_over(&mut planner, &mut slots);
    networks::ensure(&mut planner, &slots);
    volumes::ensure(&mut planner);
    for service in sorted(desired) {
        containers::service(&mut planner, &slots, service);
        builds::refresh(&mut planner, service);
        images::refresh(&mut planner, &slots, service);
    }
    cleanup::undeclared(&mut planner, &slots);
    planner.finish()
}

/// What the parts of the planner share: the arguments, and the plan as it grows.
struct Planner<'a> {
    desired: &'a Desired,
    snapshot: &'a Snapshot,
    jobs: &'a [Job],
    inputs: &'a BTreeMap<String, BuildInput>,
    files: Option<&'a FileStates>,
    registries: &'a BTreeMap<String, RegistryView>,
    probed: &'a Probed,
    likeness: &'a BTreeMap<String, Likeness>,
    history: &'a History,
    memory: &'a Memory,
    now: Timestamp,
    plan: Plan,
    /// Networks of the spec by key: usable, or why not.
    networks: BTreeMap<String, Result<NetworkRef, WaitReason>>,
    /// Volumes of the spec by real name: the action that makes it, or why it cannot be used. Absent: it is there.
    volumes: BTreeMap<String, Result<usize, WaitReason>>,
    /// Containers that this plan takes off a network, by container id and network name.
    detached: BTreeSet<(String, String)>,
    /// The start of a replica that this plan makes.
    starts: BTreeMap<ReplicaId, usize>,
    /// Pulls and builds under way that something asks for, whatever is said of their images.
    wanted: HashSet<JobKind>,
    /// Replicas of which all is said.
    settled: BTreeSet<ReplicaId>,
}

impl<'a> Planner<'a> {
    fn new(desired: &'a Desired, observed: &'a Observed, history: &'a History, memory: &'a Memory, now: Timestamp) -> Self {
        Self {
            desired,
            snapshot: &observed.snapshot,
            jobs: &observed.jobs,
            inputs: &observed.inputs,
            files: observed.files.as_ref(),
            registries: &observed.registries,
            probed: &observed.probed,
            likeness: &observed.likeness,
            history,
            memory,
            now,
            plan: Plan::empty(desired.key.clone(), desired.generation),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            detached: BTreeSet::new(),
            starts: BTreeMap::new(),
            wanted: HashSet::new(),
            settled: BTreeSet::new(),
        }
    }

    /// Adds an action and returns its index, for others to come after it.
    fn act(&mut self, op: Op, subject: Subject, cause: Cause, after: Vec<usize>) -> usize {
        self.plan.actions.push(Action { op, subject, cause, after });
        self.plan.actions.len() - 1
    }

    fn wait(&mut self, subject: Subject, reason: WaitReason, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.plan.wake(until);
        }
        self.plan.waiting.push(Waiting { subject, reason, until });
    }

    fn wait_replica(&mut self, replica: &ReplicaId, reason: WaitReason, until: Option<Timestamp>) {
        self.wait(Subject::Replica(replica.clone()), reason, until);
    }

    fn note(&mut self, note: Note) {
        self.plan.notes.push(note);
    }

    fn job(&self, kind: &JobKind) -> bool {
        self.jobs.iter().any(|job| job.kind == *kind)
    }

    /// Calls that the engine has not answered yet: what they are about, and how they are waited for.
    fn calls(&self) -> Vec<(Subject, WaitReason)> {
        let call = |job: &Job| match &job.kind {
            JobKind::Call { subject, op } => Some((subject.clone(), WaitReason::Unanswered { op: op.clone() })),
            JobKind::Pull(_) | JobKind::Build { .. } | JobKind::Stop(_) => None,
        };
        self.jobs.iter().filter_map(call).collect()
    }

    /// Asks for a pull or a build; whether it is under way. One that nothing asks for is cancelled.
    fn want(&mut self, kind: JobKind) -> bool {
        let is_under_way = self.job(&kind);
        self.wanted.insert(kind);
        is_under_way
    }

    /// A call about `subject` that the engine has not answered yet.
    fn unanswered(&self, subject: &Subject) -> Option<WaitReason> {
        self.calls().into_iter().find(|(about, _)| about == subject).map(|(_, wait)| wait)
    }

    /// What keeps `subject` from being acted on now, and when to look again: a call that is not answered, or an obstacle met before
    /// that is not yet due to be tried again.
    fn obstacle(&self, subject: &Subject) -> Option<(WaitReason, Timestamp)> {
        if let Some(wait) = self.unanswered(subject) {
            return Some((wait, later(self.now, TRANSIENT_CAP)));
        }
        let obstacle = self.history.obstacles.get(&subject.to_string())?;
        let due = self.obstacle_due(subject, obstacle);
        (self.now < due).then(|| (obstacle_reason(subject, obstacle), due))
    }

    /// The same for a stop: people wait for it, and nothing but the engine can be in its way.
    fn obstacle_to_stop(&self, subject: &Subject) -> Option<(WaitReason, Timestamp)> {
        let (wait, due) = self.obstacle(subject)?;
        let due = due.min(later(self.history.obstacles.get(&subject.to_string())?.last_at, TRANSIENT_CAP));
        (self.now < due).then_some((wait, due))
    }

    fn obstacle_due(&self, subject: &Subject, obstacle: &Obstacle) -> Timestamp {
        let tries = obstacle.tries.saturating_add(1);
        let mut delay = recovery::delay(&self.desired.recovery, tries, &self.seed(&subject.to_string()));
        if obstacle.kind.is_transient() {
            delay = delay.min(TRANSIENT_CAP);
        }
        let asked = |service: &DesiredService| match subject {
            Subject::Image(image) if service.template.image == *image => {
                service.pulled_at.max(service.rebuild.map(|asked| asked.at))
            }
            _ => None,
        };
        let services = self.desired.services.values();
        let forgiven = services.filter_map(|service| recovery::forgiven_at(self, service).max(asked(service))).max();
        if forgiven.is_some_and(|at| at > obstacle.last_at) { self.now } else { later(obstacle.last_at, delay) }
    }

    /// Where the spread of a delay comes from: the Deployment and what it is about.
    fn seed(&self, what: &str) -> String {
        format!("{}/{what}", self.desired.key)
    }

    fn finish(mut self) -> Plan {
        let unwanted = |job: &&Job| match &job.kind {
            kind @ (JobKind::Pull(_) | JobKind::Build { .. }) => !self.wanted.contains(kind),
            JobKind::Stop(_) | JobKind::Call { .. } => false,
        };
        self.plan.cancel = self.jobs.iter().filter(unwanted).map(|job| job.kind.clone()).collect();
        let ends = self.desired.holds.iter().filter_map(|hold| hold.until).filter(|until| *until > self.now);
        if let Some(until) = ends.min() {
            self.plan.wake(until);
        }
        let blocked = |w: &Waiting| {
            w.until.is_none() && {
                let reason = &w.reason;
                matches!(reason, WaitReason::NotOwned { .. } | WaitReason::NotAdopted { .. } | WaitReason::Obstacle { .. })
            }
        };
        if self.plan.waiting.iter().any(blocked) {
            self.plan.wake(later(self.now, self.desired.recovery.max));
        }
        suggest::withhold(&mut self);
        self.plan
    }
}

/// How an obstacle is shown while it waits.
fn obstacle_reason(subject: &Subject, obstacle: &Obstacle) -> WaitReason {
    let reason = match (&obstacle.kind, subject) {
        (FailureKind::PortHeld { .. }, _) => Reason::PortHeld,
        (FailureKind::NameHeld, _) => Reason::NameHeld,
        (FailureKind::NetworkMissing, _) => Reason::NetworkMissing,
        (FailureKind::Unavailable, _) => Reason::EngineUnavailable,
        (FailureKind::BuildFailed, _) => Reason::BuildFailed,
        (_, Subject::Image(_)) if obstacle.input.is_some() => Reason::BuildFailed,
        (FailureKind::WrongPlatform, Subject::Replica(_)) => Reason::WrongPlatform,
        (_, Subject::Image(_)) => Reason::ImagePullBackOff,
        (FailureKind::ImageMissing, _) => Reason::ImageMissing,
        (kind, Subject::Replica(_)) if !kind.is_transient() => Reason::StartFailed,
        _ => Reason::EngineError,
    };
    // As kubelet does: one reason for all that keeps an image away, the particular one in the message.
    let particular = obstacle.kind.pull_reason();
    let message = match reason {
        Reason::ImagePullBackOff if particular != reason => format!("{particular}: {}", obstacle.message),
        _ => obstacle.message.clone(),
    };
    WaitReason::Obstacle { reason, message }
}

/// `at` plus `delay`; the end of time if that is too far.
pub(crate) fn later(at: Timestamp, delay: std::time::Duration) -> Timestamp {
    at.saturating_add(delay).unwrap_or(Timestamp::MAX)
}
