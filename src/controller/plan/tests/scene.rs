//! Builders for pictures of the engine that read as sentences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::controller::plan::plan;
use crate::model::*;

/// The moment every scene plays at: noon.
pub const NOON: &str = "2026-01-01T12:00:00Z";

pub fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

/// Seconds before noon.
pub fn ago(seconds: i64) -> Timestamp {
    noon() - jiff::SignedDuration::from_secs(seconds)
}

/// A Deployment `default/web` and the engine it is seen on.
#[derive(Clone)]
pub struct Scene {
    pub desired: Desired,
    pub snapshot: Snapshot,
    pub jobs: Vec<Job>,
    pub inputs: BTreeMap<String, BuildInput>,
    pub files: Option<FileStates>,
    pub registries: BTreeMap<String, RegistryView>,
    pub probed: Probed,
    pub likeness: BTreeMap<String, Likeness>,
    pub history: History,
    pub memory: Memory,
}

/// A service with everything at its default.
pub fn service(name: &str) -> DesiredService {
    DesiredService {
        name: name.into(),
        replicas: 1,
        container_name: None,
        restart: RestartRule::UntilCompleted,
        declared_restart: DockerRestart::No,
        job: false,
        depends_on: BTreeMap::new(),
        spec_hash: format!("{name}-v1"),
        template: ContainerSpec {
            image: format!("{name}:1"),
            networks: vec![NetworkAttachment {
                network: "default".into(),
                aliases: vec![name.into()],
                ..NetworkAttachment::default()
            }],
            ..ContainerSpec::default()
        },
        stop_grace: Duration::from_secs(10),
        pull: PullRule::Missing,
        build: None,
        probes: Probes::default(),
        post_start: vec![],
        pre_stop: vec![],
        on_change: None,
        followed: vec![],
        restarted_at: None,
        recreated_at: None,
        retried_at: None,
        start_asked_at: None,
        rebuild: None,
        pulled_at: None,
        adopt: None,
    }
}

fn owned(hash: &str) -> BTreeMap<String, String> {
    [(labels::INSTANCE, "default"), (labels::NAMESPACE, "default"), (labels::DEPLOYMENT, "web"), (labels::SPEC_HASH, hash)]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into()
}

/// A container of a replica, running for an hour, of the first version of its spec.
pub fn container(replica: &str) -> Container {
    let id: ReplicaId = replica.parse().unwrap();
    let mut container_labels = owned(&format!("{}-v1", id.service));
    container_labels.insert(labels::SERVICE.into(), id.service.clone());
    container_labels.insert(labels::REPLICA.into(), id.number.to_string());
    Container {
        id: format!("{:0<64}", format!("{}{}", id.number, hex(&id.service))),
        name: format!("web-{replica}"),
        labels: container_labels,
        image_id: format!("sha256:{}", hex(&id.service)),
        image: format!("{}:1", id.service),
        state: ContainerState::Running,
        exit_code: 0,
        oom_killed: false,
        error: String::new(),
        created_at: Some(ago(3600)),
        started_at: Some(ago(3600)),
        finished_at: None,
        health: None,
        restart_policy: DockerRestart::No,
        restart_count: 0,
        networks: [("web_default".to_owned(), Attachment { network_id: "net1".into(), ..Attachment::default() })].into(),
        network_mode: "web_default".into(),
        namespace_parents: vec![],
        mounts: vec![],
        ports: vec![],
        stop_signal: None,
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

impl Scene {
    /// Services that are declared; network and images are there, no container is.
    pub fn declares(services: impl IntoIterator<Item = DesiredService>) -> Self {
        let services: BTreeMap<_, _> = services.into_iter().map(|service| (service.name.clone(), service)).collect();
        let network = NetworkSpec { name: "web_default".into(), hash: "net-v1".into(), ..NetworkSpec::default() };
        let image = |service: &DesiredService| Image {
            id: format!("sha256:{}", hex(&service.name)),
            tags: vec![service.template.image.clone()],
            digests: vec![],
        };
        let images: BTreeMap<_, _> = services.values().map(image).map(|image| (image.id.clone(), image)).collect();
        let made = Network { id: "net1".into(), name: "web_default".into(), labels: owned("net-v1"), driver: "bridge".into() };
        Self {
            desired: Desired {
                key: Key::new("default", "web"),
                uid: "uid".into(),
                generation: 1,
                instance: "default".into(),
                project: "web".into(),
                claimed_by: None,
                state: RunState::Running,
                deletion: None,
                services,
                networks: [("default".to_owned(), network)].into(),
                volumes: BTreeMap::new(),
                recovery: RecoveryPolicy {
                    mode: RecoveryMode::Auto,
                    bound: RecoveryMode::Auto,
                    initial: Duration::from_secs(5),
                    factor: 2.0,
                    max: Duration::from_secs(300),
                    max_attempts: 10,
                    alert_after: 3,
                    stable_window: Duration::from_secs(600),
                    verify_window: Duration::from_secs(60),
                    external_stop: ExternalStop::Respect,
                    actions: Rung::ALL.to_vec(),
                },
                host_booted_at: None,
                answers: vec![],
                api: None,
                holds: vec![],
            },
            snapshot: Snapshot { images: images.into(), networks: [("net1".to_owned(), made)].into(), ..Snapshot::default() },
            jobs: vec![],
            inputs: BTreeMap::new(),
            files: Some(FileStates::new()),
            registries: BTreeMap::new(),
            probed: Probed::new(),
            likeness: BTreeMap::new(),
            history: History::default(),
            memory: Memory::default(),
        }
    }

    pub fn with(mut self, container: Container) -> Self {
        self.snapshot.containers.insert(container.id.clone(), Arc::new(container));
        self
    }

    /// A container that ended `seconds` before noon, and the verdict on it.
    pub fn ended(self, replica: &str, exit_code: i64, seconds: i64, verdict: Verdict) -> Self {
        self.ended_as(container(replica), exit_code, seconds, verdict)
    }

    pub fn ended_as(mut self, mut container: Container, exit_code: i64, seconds: i64, verdict: Verdict) -> Self {
        container.state = ContainerState::Exited;
        container.exit_code = exit_code;
        container.finished_at = Some(ago(seconds));
        if container.started_at > container.finished_at {
            container.started_at = Some(ago(seconds + 1));
        }
        let end = End { started_at: container.started_at, verdict, at: ago(seconds), exit_code: Some(exit_code) };
        self.snapshot.ends.insert(container.id.clone(), end);
        self.with(container)
    }

    pub fn hold(mut self, scope: &str, state: HoldState, reason: &str) -> Self {
        let (service, replica) = match scope.parse::<ReplicaId>() {
            Ok(id) => (Some(id.service), Some(id.number)),
            Err(_) if scope.is_empty() => (None, None),
            Err(_) => (Some(scope.to_owned()), None),
        };
        let name = format!("hold-{}", self.desired.holds.len());
        self.desired.holds.push(HoldView { name, service, replica, state, reason: reason.into(), until: None, since: ago(60) });
        self
    }

    pub fn remembers(mut self, replica: &str, record: ReplicaHistory) -> Self {
        self.history.replicas.insert(replica.into(), record);
        self
    }

    pub fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn observed(&self) -> Observed {
        Observed {
            snapshot: Arc::new(self.snapshot.clone()),
            jobs: self.jobs.clone(),
            inputs: self.inputs.clone(),
            files: self.files.clone(),
            registries: self.registries.clone(),
            probed: self.probed.clone(),
            likeness: self.likeness.clone(),
        }
    }

    pub fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed(), &self.history, &self.memory, noon())
    }

    /// The status as it would be shown.
    pub fn status(&self) -> crate::crd::DeploymentStatus {
        let object = serde_json::json!({"metadata": {"name": "web"}, "spec": {"services": {}}});
        crate::controller::status::status(&crate::controller::status::Sight {
            object: &serde_json::from_value(object).unwrap(),
            desired: &self.desired,
            snapshot: &self.snapshot,
            probed: &self.probed,
            plan: &self.plan(),
            history: &self.history,
            memory: &self.memory,
            now: noon(),
        })
    }

    /// The plan and its notes as text.
    pub fn text(&self) -> String {
        let plan = self.plan();
        let mut text = plan.to_string();
        for note in &plan.notes {
            // Which container ran is not what these scenes are about.
            let note = format!("{note:?}");
            let shown = note.split_once(", run: FailedRun").map_or_else(|| note.clone(), |(shown, _)| format!("{shown} }}"));
            text.push_str(&format!("  note: {shown}\n"));
        }
        for kind in &plan.cancel {
            text.push_str(&format!("  cancel: {kind:?}\n"));
        }
        if let Some(at) = plan.wake_at {
            text.push_str(&format!("  wakes at {}\n", at.round(jiff::Unit::Second).unwrap()));
        }
        text
    }
}

/// A call that the engine has not answered for three seconds.
pub fn call(subject: Subject, op: &str) -> Job {
    Job { kind: JobKind::Call { subject, op: op.into() }, since: ago(3) }
}
