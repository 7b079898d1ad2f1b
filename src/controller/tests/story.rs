//! What stories there are. They print as what happens in them.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::docker::fake::{Effect, Verb};
use crate::model::FailureKind;

/// What the containers of a service do; also the name of their image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Runs until it is told to end.
    Plain,
    /// Takes 3 s to end, and then says 0.
    Slow,
    /// Does not listen: only KILL ends it, after a grace of 2 s.
    Deaf,
    /// Has an anonymous volume.
    Data,
    /// Has a probe, healthy after 2 s.
    Probed,
    /// Ends with 0 after 2 s.
    Job,
    /// Fails twice, then runs.
    Flaky,
    /// Fails after each second.
    Loop,
    /// Cannot be started.
    Broken,
    /// Its image has to be pulled.
    Remote,
}

/// One service. It depends on services before it only.
#[derive(Debug, Clone)]
pub struct Service {
    pub work: Work,
    pub replicas: u32,
    pub restart: Option<&'static str>,
    /// By how many places before it the others stand, and whether their restart is its own.
    pub needs: Vec<(usize, bool)>,
    pub named_volume: bool,
    pub second_network: bool,
    pub version: u32,
}

/// One Deployment.
#[derive(Debug, Clone)]
pub struct App {
    pub services: Vec<Service>,
    pub stopped: bool,
    pub revert: bool,
}

/// What is on the engine beside us, and in whose way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strangers {
    pub container_has_a_name_of_ours: bool,
    pub network_has_a_name_of_ours: bool,
    pub volume_has_a_name_of_ours: bool,
}

/// A part of a Deployment; numbers are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    All,
    Service(usize),
    Replica(usize, u32),
}

/// A person's word to evenkeel.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    Stop,
    Start,
    Suspend { seconds: Option<i64> },
    Resume,
    Restart,
    Retry,
}

/// A change of a manifest.
#[derive(Debug, Clone, Copy)]
pub enum Edit {
    Version(usize),
    Scale(usize, u32),
    State,
    DropLast,
    Network(usize),
}

/// What a person, or bad luck, does to a container of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    Crash { code: i64 },
    OutOfMemory,
    Kill { signal: &'static str },
    Stop,
    StopAndRemove,
    Restart,
    Start,
    Remove,
    Pause,
    Unpause,
    SetPolicy,
    Disconnect,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Step {
    /// To one container of ours, by place among those it can happen to.
    Docker(usize, Hand),
    Evenkeel(usize, Part, Word),
    Edit(usize, Edit),
    Delete {
        app: usize,
        volumes: bool,
        pruned: bool,
    },
    /// `docker rmi` of the image of a service.
    Untag(usize, usize),
    RemoveNetwork(usize),
    /// The next calls of a kind go wrong.
    Fault(Verb, Effect, u32),
    CutEvents,
    CrowdBuffer,
    RestartDaemon,
    KillDaemon {
        away: u64,
    },
    RebootHost,
    /// The operator is killed, or told to end, and started again so many milliseconds later.
    Operator {
        killed: bool,
        away: u64,
    },
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    pub apps: Vec<App>,
    pub strangers: Strangers,
    pub live_restore: bool,
    /// Each so many milliseconds after the one before.
    pub steps: Vec<(u64, Step)>,
}

/// Stories of people and containers, with an engine and an operator that do what they should.
pub fn quiet() -> impl Strategy<Value = Story> {
    story(prop_oneof![6 => docker(), 4 => evenkeel(), 3 => edit(), 1 => untag()].boxed())
}

/// Stories in which everything goes wrong.
pub fn wild() -> impl Strategy<Value = Story> {
    story(
        prop_oneof![6 => docker(), 4 => evenkeel(), 3 => edit(), 1 => untag(), 5 => fault(), 3 => daemon(), 4 => operator()]
            .boxed(),
    )
}

fn story(step: BoxedStrategy<Step>) -> impl Strategy<Value = Story> {
    let wait = prop_oneof![Just(0u64), 1..40u64, 40..400u64, 400..2_000u64, 2_000..8_000u64, 8_000..60_000u64,];
    let steps = vec((wait, step), 1..14);
    (any::<u64>(), vec(app(), 1..3), strangers(), proptest::bool::weighted(0.1), steps)
        .prop_map(|(seed, apps, strangers, live_restore, steps)| Story { seed, apps, strangers, live_restore, steps })
}

/// Any Deployment.
pub fn app() -> impl Strategy<Value = App> {
    let flags = (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    (vec(service(), 1..5), flags).prop_map(|(services, (stopped, revert))| App { services, stopped, revert })
}

fn service() -> impl Strategy<Value = Service> {
    let work = prop_oneof![
        5 => Just(Work::Plain), 2 => Just(Work::Slow), 1 => Just(Work::Deaf), 2 => Just(Work::Data), 2 => Just(Work::Probed),
        2 => Just(Work::Job), 1 => Just(Work::Flaky), 1 => Just(Work::Loop), 1 => Just(Work::Broken), 1 => Just(Work::Remote),
    ];
    let restart = prop_oneof![
        3 => Just(None), 3 => Just(Some("unless-stopped")), 1 => Just(Some("always")), 1 => Just(Some("on-failure")),
        1 => Just(Some("on-failure:2")), 1 => Just(Some("no")),
    ];
    let needs = vec((1..4usize, any::<bool>()), 0..3);
    (work, 1..4u32, restart, needs, proptest::bool::weighted(0.2), proptest::bool::weighted(0.2)).prop_map(
        |(work, replicas, restart, needs, named_volume, second_network)| Service {
            work,
            replicas,
            restart,
            needs,
            named_volume,
            second_network,
            version: 1,
        },
    )
}

/// Any strangers.
pub fn strangers() -> impl Strategy<Value = Strangers> {
    let rarely = || proptest::bool::weighted(0.05);
    (rarely(), rarely(), rarely()).prop_map(|(container, network, volume)| Strangers {
        container_has_a_name_of_ours: container,
        network_has_a_name_of_ours: network,
        volume_has_a_name_of_ours: volume,
    })
}

fn docker() -> impl Strategy<Value = Step> {
    let hand = prop_oneof![
        3 => prop_oneof![Just(1i64), Just(0), Just(139)].prop_map(|code| Hand::Crash { code }),
        1 => Just(Hand::OutOfMemory),
        2 => prop_oneof![Just("KILL"), Just("TERM"), Just("USR1")].prop_map(|signal| Hand::Kill { signal }),
        4 => Just(Hand::Stop), 1 => Just(Hand::StopAndRemove), 2 => Just(Hand::Restart), 3 => Just(Hand::Start),
        3 => Just(Hand::Remove), 1 => Just(Hand::Pause), 1 => Just(Hand::Unpause), 1 => Just(Hand::SetPolicy),
        1 => Just(Hand::Disconnect),
    ];
    (0..24usize, hand).prop_map(|(place, hand)| Step::Docker(place, hand))
}

/// Any part of a Deployment.
pub fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => Just(Part::All),
        2 => (0..4usize).prop_map(Part::Service),
        1 => (0..4usize, 0..3u32).prop_map(|(service, number)| Part::Replica(service, number)),
    ]
}

fn evenkeel() -> impl Strategy<Value = Step> {
    let word = prop_oneof![
        4 => Just(Word::Stop), 3 => Just(Word::Start), 2 => Just(Word::Resume), 2 => Just(Word::Restart), 1 => Just(Word::Retry),
        2 => proptest::option::of(1..60i64).prop_map(|seconds| Word::Suspend { seconds }),
    ];
    (0..2usize, part(), word).prop_map(|(app, part, word)| Step::Evenkeel(app, part, word))
}

/// Any change of a manifest.
pub fn an_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (0..4usize).prop_map(Edit::Version), 3 => (0..4usize, 1..4u32).prop_map(|(service, to)| Edit::Scale(service, to)),
        1 => Just(Edit::State), 1 => Just(Edit::DropLast), 1 => (0..4usize).prop_map(Edit::Network),
    ]
}

fn edit() -> impl Strategy<Value = Step> {
    let delete = (0..2usize, any::<bool>(), any::<bool>());
    prop_oneof![
        4 => (0..2usize, an_edit()).prop_map(|(app, edit)| Step::Edit(app, edit)),
        1 => delete.prop_map(|(app, volumes, pruned)| Step::Delete { app, volumes, pruned }),
    ]
}

fn untag() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2usize, 0..4usize).prop_map(|(app, service)| Step::Untag(app, service)),
        (0..2usize).prop_map(Step::RemoveNetwork)
    ]
}

fn fault() -> impl Strategy<Value = Step> {
    let verb = prop_oneof![
        3 => Just(Verb::StartContainer), 3 => Just(Verb::CreateContainer), 2 => Just(Verb::StopContainer),
        2 => Just(Verb::RemoveContainer), 1 => Just(Verb::RenameContainer), 1 => Just(Verb::ConnectNetwork),
        1 => Just(Verb::CreateNetwork), 1 => Just(Verb::RemoveNetwork), 1 => Just(Verb::CreateVolume), 1 => Just(Verb::Pull),
        1 => Just(Verb::DisconnectNetwork), 2 => Just(Verb::InspectContainer), 2 => Just(Verb::ListContainers),
        1 => Just(Verb::ListNetworks), 1 => Just(Verb::ListVolumes), 1 => Just(Verb::ListImages), 1 => Just(Verb::Events),
        1 => Just(Verb::Run), 1 => Just(Verb::SetRestartPolicy),
    ];
    let kind = || {
        prop_oneof![
            Just(FailureKind::Transient),
            Just(FailureKind::Conflict),
            Just(FailureKind::Timeout),
            Just(FailureKind::Unavailable),
            Just(FailureKind::NotFound),
        ]
    };
    let effect = prop_oneof![
        3 => kind().prop_map(Effect::Fail), 2 => kind().prop_map(Effect::LoseAnswer), 1 => Just(Effect::Hang),
        1 => (1..8_000u64).prop_map(|ms| Effect::Delay(Duration::from_millis(ms))),
    ];
    prop_oneof![
        8 => (verb, effect, 1..4u32).prop_map(|(verb, effect, times)| Step::Fault(verb, effect, times)),
        1 => Just(Step::CutEvents), 1 => Just(Step::CrowdBuffer),
    ]
}

fn daemon() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::RestartDaemon), 2 => (0..20_000u64).prop_map(|away| Step::KillDaemon { away }), 1 => Just(Step::RebootHost),
    ]
}

fn operator() -> impl Strategy<Value = Step> {
    let away = prop_oneof![Just(0u64), 1..2_000u64, 2_000..40_000u64];
    (proptest::bool::weighted(0.7), away).prop_map(|(killed, away)| Step::Operator { killed, away })
}

impl Work {
    pub const ALL: [Self; 10] = [
        Self::Plain,
        Self::Slow,
        Self::Deaf,
        Self::Data,
        Self::Probed,
        Self::Job,
        Self::Flaky,
        Self::Loop,
        Self::Broken,
        Self::Remote,
    ];

    pub fn image(self) -> String {
        format!("{self:?}:1").to_lowercase()
    }
}

/// Attempts after which a story's Deployments give up.
pub const MAX_ATTEMPTS: u32 = 4;

impl App {
    /// The Deployment of this name.
    pub fn manifest(&self, name: &str) -> Value {
        let services: serde_json::Map<_, _> = (0..self.services.len()).map(|at| (format!("s{at}"), self.service(at))).collect();
        json!({
            "apiVersion": "evenkeel.dev/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "state": if self.stopped { "Stopped" } else { "Running" },
                "services": services,
                "networks": {"second": {}},
                "volumes": {"data": {}},
                "recovery": {
                    "backoff": {"initial": "1s", "factor": 2, "max": "8s"}, "maxAttempts": MAX_ATTEMPTS, "alertAfter": 2,
                    "stableWindow": "20s", "externalStop": if self.revert { "Revert" } else { "Respect" },
                },
            },
        })
    }

    fn service(&self, at: usize) -> Value {
        let service = &self.services[at];
        let mut object = json!({
            "image": service.work.image(),
            "environment": {"VERSION": service.version.to_string()},
            "deploy": {"replicas": service.replicas},
            "stop_grace_period": if service.work == Work::Deaf { "2s" } else { "10s" },
        });
        if let Some(restart) = service.restart {
            object["restart"] = restart.into();
        }
        if service.named_volume {
            object["volumes"] = json!(["data:/named"]);
        }
        if service.second_network {
            object["networks"] = json!(["default", "second"]);
        }
        for (back, restart) in service.needs.iter().filter(|(back, _)| *back <= at) {
            let condition = match self.services[at - back].work {
                Work::Job => "service_completed_successfully",
                Work::Probed => "service_healthy",
                _ => "service_started",
            };
            object["depends_on"][format!("s{}", at - back)] = json!({"condition": condition, "restart": restart});
        }
        object
    }

    /// Changes it.
    pub fn edit(&mut self, edit: Edit) {
        let count = self.services.len();
        match edit {
            Edit::Version(at) => self.services[at % count].version += 1,
            Edit::Scale(at, to) => self.services[at % count].replicas = to,
            Edit::Network(at) => self.services[at % count].second_network ^= true,
            Edit::State => self.stopped = !self.stopped,
            Edit::DropLast if count > 1 => drop(self.services.pop()),
            Edit::DropLast => {}
        }
    }
}

impl Story {
    /// Whether a container was made to end with 0 of its own accord.
    pub fn crashes_with_0(&self) -> bool {
        self.hands().any(|hand| hand == Hand::Crash { code: 0 })
    }

    /// How often containers were made to fail.
    pub fn failures(&self) -> usize {
        self.hands()
            .filter(|hand| matches!(hand, Hand::Crash { .. } | Hand::OutOfMemory | Hand::Kill { .. } | Hand::Restart))
            .count()
    }

    fn hands(&self) -> impl Iterator<Item = Hand> {
        self.steps.iter().filter_map(|(_, step)| match step {
            Step::Docker(_, hand) => Some(*hand),
            _ => None,
        })
    }
}
