//! Names of things: deployments, replicas, labels.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Labels that evenkeel writes on every container, network and volume it makes.
pub mod labels {
    /// Which operator owns the object (`--instance`).
    pub const INSTANCE: &str = "evenkeel.dev/instance";
    /// Namespace of the owning Deployment.
    pub const NAMESPACE: &str = "evenkeel.dev/namespace";
    /// Name of the owning Deployment.
    pub const DEPLOYMENT: &str = "evenkeel.dev/deployment";
    /// Service within the Deployment (containers only).
    pub const SERVICE: &str = "evenkeel.dev/service";
    /// Replica number, from 1 (containers only).
    pub const REPLICA: &str = "evenkeel.dev/replica";
    /// Hash of what the object was made from; another hash means it must be replaced.
    pub const SPEC_HASH: &str = "evenkeel.dev/spec-hash";

    /// Compose's project label.
    pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
    /// Compose's service label.
    pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
    /// Compose's replica number label.
    pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
    /// Compose's own configuration hash.
    pub const COMPOSE_CONFIG_HASH: &str = "com.docker.compose.config-hash";
    /// Compose's mark of a one-off (`run`) container: `True` or `False`.
    pub const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
    /// Compose's key of a network.
    pub const COMPOSE_NETWORK: &str = "com.docker.compose.network";
    /// Compose's key of a volume.
    pub const COMPOSE_VOLUME: &str = "com.docker.compose.volume";
    /// Compose's list of dependencies, `db:service_healthy:false,..`.
    pub const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";
    /// The files a project came from, for `docker compose ls`.
    pub const COMPOSE_CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    /// The folder of those files.
    pub const COMPOSE_WORKING_DIR: &str = "com.docker.compose.project.working_dir";
    /// The release of Compose whose formula the configuration hash follows.
    pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
}

/// Annotations that people and the command line set on a Deployment. None of them bumps the generation.
pub mod annotations {
    /// RFC 3339 time. Containers started before it are restarted. A suffix `.SERVICE` narrows it to one service.
    pub const RESTARTED_AT: &str = "evenkeel.dev/restartedAt";
    /// RFC 3339 time. Failures before it are forgotten: back-off and attempts start over. A suffix `.SERVICE` narrows it.
    pub const RETRIED_AT: &str = "evenkeel.dev/retriedAt";
    /// RFC 3339 time. Containers made before it are made anew. A suffix `.SERVICE` narrows it to one service.
    pub const RECREATED_AT: &str = "evenkeel.dev/recreatedAt";
    /// When `evenkeel start` was asked for last: what had failed by then is started at once.
    pub const STARTED_AT: &str = "evenkeel.dev/startedAt";
    /// RFC 3339 time, then maybe the word `recreate`. What Compose made before it is taken over as it is, or made anew where it
    /// differs. A suffix `.SERVICE` narrows it to one service.
    pub const ADOPTED_AT: &str = "evenkeel.dev/adoptedAt";
    /// RFC 3339 time. A pull of the images was asked for then. A suffix `.SERVICE` narrows it to one service.
    pub const PULLED_AT: &str = "evenkeel.dev/pulledAt";
    /// RFC 3339 time, then any of the words `no-cache` and `pull`. A build of the images was asked for then. A suffix `.SERVICE`
    /// narrows it to one service.
    pub const REBUILT_AT: &str = "evenkeel.dev/rebuiltAt";
    /// What a person said to a suggestion: its id, `approved` or `rejected`, an RFC 3339 time, who. A suffix `.SERVICE-NUMBER` says of
    /// which replica.
    pub const ANSWER: &str = "evenkeel.dev/answer";
    /// `"true"`: when the Deployment is deleted its volumes go with it.
    pub const DELETE_VOLUMES: &str = "evenkeel.dev/delete-volumes";
    /// `"true"`: the Deployment is deleted because its manifest is gone; its Holds outlive it.
    pub const PRUNED: &str = "evenkeel.dev/pruned";
    /// The manifest file an object came from, relative to its source's folder, with the line its document starts at: `web.yaml:1`.
    pub const SOURCE: &str = "evenkeel.dev/source";
    /// The Source that an object came from, `namespace/name`.
    pub const SOURCE_NAME: &str = "evenkeel.dev/source-name";
    /// The revisions of the Source that an object ran with, newest first, with blanks between: `main@sha1:..`.
    pub const SOURCE_REVISIONS: &str = "evenkeel.dev/source-revisions";
    /// On a Source: RFC 3339 time. It is looked at again at once.
    pub const REQUESTED_AT: &str = "evenkeel.dev/requestedAt";
    /// On a Channel: RFC 3339 time. A test message was asked for then.
    pub const TESTED_AT: &str = "evenkeel.dev/testedAt";
    /// On a Source: `command-line` where flags of `evenkeel run` made it.
    pub const MADE_BY: &str = "evenkeel.dev/made-by";
    /// `"true"`: the manifest file this object came from no longer holds it, and pruning is off.
    pub const ORPHANED: &str = "evenkeel.dev/orphaned";
    /// Why the newest version of the object's manifest was not taken; absent when it was.
    pub const SOURCE_ERROR: &str = "evenkeel.dev/source-error";
    /// What is worth a word in the object's manifest, a line each; absent where there is nothing.
    pub const SOURCE_WARNINGS: &str = "evenkeel.dev/source-warnings";
}

/// The Source that `--manifests` makes; what came from a watched folder and does not name its Source came from it.
pub const MANIFESTS_SOURCE: &str = "default/manifests";

/// The finalizer that keeps a deleted Deployment until its containers and networks are gone, and a deleted Source until what it
/// declared is let go.
pub const FINALIZER: &str = "evenkeel.dev/cleanup";
/// Kubernetes' finalizer for "delete the object, leave its dependents running".
pub const FINALIZER_ORPHAN: &str = "orphan";

/// Names one namespaced object, `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The namespace, `default` if none was given.
    pub namespace: String,
    /// The name, unique in its namespace and kind.
    pub name: String,
}

impl Key {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// As arguments of a command: `web`, `-n prod web`.
    pub fn as_arguments(&self) -> String {
        match self.namespace.as_str() {
            "default" => self.name.clone(),
            namespace => format!("-n {namespace} {}", self.name),
        }
    }

    /// Where, on the operator's API, suggestions of the Deployment of that name are approved.
    pub fn approve_path(&self) -> String {
        format!("/apis/evenkeel.dev/v1alpha1/namespaces/{}/deployments/{}/approve", self.namespace, self.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for Key {
    type Err = std::convert::Infallible;

    /// `namespace/name`, or a bare name in namespace `default`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new("default", text),
        })
    }
}

/// One replica of one service, `service-number`; numbers start at 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId {
    /// The service's name.
    pub service: String,
    /// 1 and up.
    pub number: u32,
}

impl ReplicaId {
    /// A replica's name from its two parts.
    pub fn new(service: impl Into<String>, number: u32) -> Self {
        Self { service: service.into(), number }
    }
}

impl ReplicaId {
    /// The replica that labels speak of: evenkeel's, or Compose's on a container that `docker compose` made. A one-off
    /// (`docker compose run`) is no replica.
    pub fn from_labels(found: &BTreeMap<String, String>) -> Option<Self> {
        let pick = |service: &str, number: &str| Some(Self::new(found.get(service)?, found.get(number)?.parse().ok()?));
        let one_off = found.get(labels::COMPOSE_ONEOFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let by_compose = || (!one_off).then(|| pick(labels::COMPOSE_SERVICE, labels::COMPOSE_NUMBER)).flatten();
        pick(labels::SERVICE, labels::REPLICA).or_else(by_compose)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.number)
    }
}

impl FromStr for ReplicaId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.rsplit_once('-').and_then(|(service, number)| Some(Self::new(service, number.parse().ok()?)));
        parsed.ok_or_else(|| format!("{text:?} is not SERVICE-NUMBER"))
    }
}
