//! What would be done, without doing it: `evenkeel plan`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::crd::Deployment;
use crate::model::{Action, FileMark, FileState, FollowedFile, Job, JobKind, Key, Note, Plan, Progress, RecoveryMode};
use crate::store::Kind;

use super::Controller;
use super::plan::{adoption, plan};

/// A plan for people and machines.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The Deployment's namespace and name.
    pub deployment: String,
    /// The generation it is for.
    pub generation: i64,
    /// What is taken over from Compose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adoptions: Vec<Adoption>,
    /// What would be done, in order.
    pub actions: Vec<PlannedAction>,
    /// What the recovery mode keeps from being done.
    pub withheld: Vec<PlannedAction>,
    /// `run --mode` below `Auto`: nothing is done on the whole host but for what a person approves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<RecoveryMode>,
    /// What is waited for, a line each.
    pub waiting: Vec<String>,
    /// Mounted files whose content would be another one, by path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// When it is looked at again though nothing happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<jiff::Timestamp>,
    /// All of it as text.
    pub text: String,
}

/// One job that is under way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobProgress {
    /// `pull`, `build`, `stop` or `call` (any other call to the engine).
    pub kind: &'static str,
    /// The image, the id of the container, or what the call does.
    pub subject: String,
    /// Since when.
    pub since: jiff::Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// The same in words.
    pub text: String,
}

/// One action that would be taken.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedAction {
    /// `start container web-app-1`.
    pub action: String,
    /// `replica app-1`.
    pub subject: String,
    /// Why.
    pub cause: String,
    /// Indices of the actions it comes after.
    pub after: Vec<usize>,
}

/// Something that is taken over from Compose.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// `container`, `network` or `volume`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Docker's restart policy on a container, which becomes `no`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// In what a container differs from its declaration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// The same in words.
    pub text: String,
}

impl Adoption {
    fn of(note: &Note) -> Option<Self> {
        let text = adoption(note)?;
        let none = |kind, name: &String| Self { kind, name: name.clone(), restart: None, differs: vec![], text: text.clone() };
        Some(match note {
            Note::Adopted { name, record, .. } => {
                Self { restart: Some(record.restart.to_string()), differs: record.differs.clone(), ..none("container", name) }
            }
            Note::AdoptedNetwork { name, .. } => none("network", name),
            Note::AdoptedVolume { name, .. } => none("volume", name),
            _ => return None,
        })
    }
}

impl Controller {
    /// How far the jobs of a Deployment are, in order of kind and subject.
    pub fn progress(&self, key: &Key) -> Vec<JobProgress> {
        let mut jobs = self.jobs.progress(key);
        jobs.sort_by(|(one, _), (other, _)| one.kind.cmp(&other.kind));
        let show = |(job, progress): (Job, Progress)| {
            let (kind, subject) = match job.kind {
                JobKind::Pull(image) => ("pull", image),
                JobKind::Build { image, .. } => ("build", image),
                JobKind::Stop(container) => ("stop", container),
                JobKind::Call { op, .. } => ("call", op),
            };
            let text = if kind == "build" { progress.in_steps() } else { progress.to_string() };
            JobProgress { kind, subject, since: job.since, text, progress }
        };
        jobs.into_iter().map(show).collect()
    }

    /// The plan of a stored Deployment, now.
    ///
    /// # Errors
    /// When it is not there, is wrong, or the engine cannot be seen; as text for people.
    pub async fn preview(&self, key: &Key) -> Result<Preview, String> {
        let object = self.store.get(Kind::Deployment, key).map_err(|error| error.to_string())?;
        let object = object.ok_or_else(|| format!("deployment {key} not found"))?;
        let object: Deployment = serde_json::from_value((*object).clone()).map_err(|error| error.to_string())?;
        self.preview_object(&object, &BTreeMap::new()).await
    }

    /// The plan that a Deployment would have if it were stored as it is, and these were the digests of files that it mounts, by path.
    ///
    /// # Errors
    /// When it is wrong, or the engine cannot be seen; as text for people.
    pub async fn preview_object(&self, object: &Deployment, files: &BTreeMap<String, String>) -> Result<Preview, String> {
        let metadata = &object.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        let key = Key::new(namespace, metadata.name.as_deref().unwrap_or_default());
        let desired = self.desired(&key, object)?;
        let mut observed = self.observe(&desired)?;
        let now = self.clock.now();
        let files = observed.files.iter_mut().flatten().filter_map(|(file, state)| supposed(file, state, files, now)).collect();
        let read = |error: crate::store::StoreError| error.to_string();
        let (history, memory) = (self.store.history(&key).map_err(read)?, self.store.memory(&key).map_err(read)?);
        observed.likeness = self.likeness_now(&desired, &observed.snapshot, &history, &memory).await;
        let bound = Some(self.options.bound).filter(|bound| *bound != RecoveryMode::Auto);
        Ok(Preview { files, bound, ..plan(&desired, &observed, &history, &memory, now).into() })
    }
}

/// Supposes that a mounted file holds what is said of it. Returns its path if that is another content.
fn supposed(file: &FollowedFile, state: &mut FileState, digests: &BTreeMap<String, String>, now: Timestamp) -> Option<String> {
    let digest = digests.get(&file.path).filter(|digest| **digest != state.mark.digest)?;
    // A commit's files take the places of older ones.
    *state = FileState { mark: FileMark { digest: digest.clone(), inode: u64::MAX, folder: false }, seen_at: now };
    Some(file.path.clone())
}

impl From<Plan> for Preview {
    fn from(plan: Plan) -> Self {
        let show = |action: &Action| PlannedAction {
            action: action.op.to_string(),
            subject: action.subject.to_string(),
            cause: action.cause.to_string(),
            after: action.after.clone(),
        };
        Self {
            deployment: plan.key.to_string(),
            generation: plan.generation,
            adoptions: plan.notes.iter().filter_map(Adoption::of).collect(),
            actions: plan.actions.iter().map(show).collect(),
            withheld: plan.withheld.iter().map(show).collect(),
            waiting: plan.waiting.iter().map(ToString::to_string).collect(),
            bound: None,
            files: vec![],
            wake_at: plan.wake_at,
            text: plan.to_string(),
        }
    }
}
