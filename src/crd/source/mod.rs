//! Kind `Source`: where manifests come from, and how they are kept in force.

#![expect(clippy::duplicated_attributes, reason = "the columns of kubectl repeat their types")]

mod program;
mod remote;
mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

pub use program::{OLDEST_GIT, usable_git};
pub use remote::{Remote, Transport};
pub use status::{FileResult, FileStatus, SourceStatus};

/// Where manifests come from: a folder, a git working tree on this host, or a git repository. Exactly one of the three.
///
/// All paths but `path` are absolute paths of the host. Secrets are named by file and never stand in an object.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "evenkeel.dev",
    version = "v1alpha1",
    kind = "Source",
    plural = "sources",
    singular = "source",
    shortname = "src",
    namespaced,
    status = "SourceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Manifests of a folder or a git repository, kept in force.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.observedRevision"),
    printcolumn(name = "Deployments", type_ = "integer", json_path = ".status.deployments"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SourceSpec {
    /// A folder of manifests on this host, watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderSource>,
    /// A git working tree on this host. What counts is the commit at HEAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<WorktreeSource>,
    /// A git repository, fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// Folder of the manifests within it, relative. Default: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Read subfolders too. Default true.
    #[serde(default = "yes")]
    pub recurse: bool,
    /// How often is looked, a tenth sooner or later. Default: 1m for `git`, 10s for `worktree`, 30s for `folder`; the last two are
    /// watched too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Lets the git server say that there is something new: `POST /hooks/<namespace>/<name>` of the API's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Delete a Deployment when its manifest is gone, and all of them when the Source is deleted. Default false: they run on,
    /// shown as Orphaned.
    #[serde(default)]
    pub prune: bool,
    /// Leave everything as it is and look no further. Default false.
    #[serde(default)]
    pub suspend: bool,
    /// Namespace of everything declared, whatever the manifests say. Default: what each says, else the Source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_namespace: Option<String>,
    /// Variables: `${NAME}` and `${NAME:-default}` in manifests become their values, `$${NAME}` becomes `${NAME}`. Without any
    /// nothing is replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, String>,
    /// Take only commits that are signed by one of these keys. For `git` and `worktree`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// `PerFile` (default): what is right is put in force, and of what is broken the last good version runs on. `Commit`: all of
    /// it or nothing.
    #[serde(default)]
    pub apply: ApplyMode,
}

/// A folder of manifests on this host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FolderSource {
    /// The folder.
    pub path: PathBuf,
}

/// A git working tree on this host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorktreeSource {
    /// The folder with the `.git` in it.
    pub path: PathBuf,
    /// Take the files as they lie there, committed or not. Default false.
    #[serde(default)]
    pub dirty: bool,
}

/// A git repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// `https://..`, `ssh://..`, `user@host:path`, `file://..`, or the path of a repository or a bundle on this host. `http://` and
    /// `git://` are taken too, with a warning. Without credentials in it.
    pub url: String,
    /// What to follow. Default: the repository's default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitRef>,
    /// Credentials, as files of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
}

/// What to follow of a repository: one of these; `commit` may have a `branch` beside it, which says where to find it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitRef {
    /// The newest commit of a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit of a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The tag with the highest version in a range, such as `>=1.2 <2` or `1.x`; a `v` before the version is fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// A commit, all 40 (or 64) digits of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Credentials, as files of this host that only the operator need be able to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitAuth {
    /// For https: holds a token, sent as the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// For https: user name. Default beside `tokenFile`: `git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For https: holds the password of `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// For ssh: the private key, without a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// For ssh: the keys of the hosts that are trusted. Needed: an unknown host is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts_file: Option<PathBuf>,
    /// For https: certificates the server is checked with (PEM). Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Keys whose signature a commit must bear: one of either kind is enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verify {
    /// Public SSH keys, a line each, or an allowed signers file as `ssh-keygen` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_keys_file: Option<PathBuf>,
    /// Public OpenPGP keys, armored or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openpgp_keys_file: Option<PathBuf>,
}

/// How the git server's message is checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Whose message it is. `Generic` takes `X-Signature: sha256=<HMAC-SHA256 of the body in hex>`.
    #[serde(rename = "type", default)]
    pub kind: WebhookType,
    /// Holds the secret that is set on the server too.
    pub secret_file: PathBuf,
}

/// Git servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebhookType {
    /// `X-Hub-Signature-256`.
    GitHub,
    /// `X-Gitlab-Token`.
    GitLab,
    /// `X-Gitea-Signature`; Forgejo and Gogs too.
    Gitea,
    /// `X-Signature`.
    #[default]
    Generic,
}

/// How much of a commit is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApplyMode {
    /// Each file for itself.
    #[default]
    PerFile,
    /// All or nothing.
    Commit,
}

impl SourceSpec {
    /// How often is looked.
    pub fn interval(&self) -> std::time::Duration {
        let default = match () {
            () if self.git.is_some() => 60,
            () if self.worktree.is_some() => 10,
            () => 30,
        };
        self.interval.map_or(std::time::Duration::from_secs(default), |interval| interval.0)
    }
}

fn yes() -> bool {
    true
}
