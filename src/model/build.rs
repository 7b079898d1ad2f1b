//! What an image is built from, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Progress, UlimitSpec};

/// Everything that is needed to build one image. Made from the spec alone; the builder reads the files it names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildSpec {
    /// The reference the image gets.
    pub image: String,
    /// Further references it gets.
    pub tags: Vec<String>,
    /// Absolute path of the context, or a URL that the engine fetches it from; `None`: nothing but the Dockerfile.
    pub context: Option<String>,
    /// Images by the names that the Dockerfile has for them.
    pub images: BTreeMap<String, String>,
    /// The recipe.
    pub dockerfile: Dockerfile,
    /// Values of the Dockerfile's `ARG`s.
    pub args: BuildArgs,
    /// The stage to build; `None`: the last.
    pub target: Option<String>,
    /// Labels of the image, the user's and Compose's.
    pub labels: BTreeMap<String, String>,
    /// Images whose layers may be used, by reference.
    pub cache_from: Vec<String>,
    /// Network of `RUN` steps; `None`: the builder's default.
    pub network: Option<String>,
    /// `os/arch[/variant]`.
    pub platform: Option<String>,
    /// Use no cached layer.
    pub no_cache: bool,
    /// Pull base images though they are there.
    pub pull: bool,
    /// Bytes of /dev/shm.
    pub shm_size: Option<i64>,
    /// `name:address` lines of /etc/hosts.
    pub extra_hosts: Vec<String>,
    /// Limits of `RUN` steps.
    pub ulimits: Vec<UlimitSpec>,
    /// Secrets: what the Dockerfile calls them -> absolute path of the file.
    pub secrets: BTreeMap<String, String>,
    /// Agents: what the Dockerfile calls them -> absolute path of the socket; `None`: that of the operator's environment.
    pub ssh: BTreeMap<String, Option<String>>,
}

impl BuildSpec {
    /// The context, where it is a folder of this host.
    pub fn folder(&self) -> Option<&str> {
        self.context.as_deref().filter(|context| context.starts_with('/'))
    }

    /// The context, where the engine fetches it: a repository, or an archive.
    pub fn remote(&self) -> Option<&str> {
        self.context.as_deref().filter(|context| !context.starts_with('/'))
    }
}

/// Where the recipe is.
#[derive(Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// A path: within the context, or absolute.
    Path(String),
    /// Its text.
    Inline(String),
}

/// Build arguments; `None` as a value: that of the operator's own environment. Values may be secrets, so `Debug` hides them.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BuildArgs(pub BTreeMap<String, Option<String>>);

/// What is known of the files that an image is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildInput {
    /// A digest over all of it, in hex: another one means that another image may come of it.
    Digest(String),
    /// It cannot be read: why.
    Unreadable(String),
}

/// The image builds of a Deployment whose input is to be looked after, by service. None: no longer.
#[derive(Debug, Clone, PartialEq)]
pub struct InputWish {
    /// Whose.
    pub key: super::Key,
    /// By service.
    pub builds: BTreeMap<String, BuildSpec>,
}

/// What was found of one build's input.
#[derive(Debug, Clone, PartialEq)]
pub struct InputNews {
    /// Whose.
    pub key: super::Key,
    /// Which service's.
    pub service: String,
    /// What it was asked for.
    pub spec: BuildSpec,
    /// What was found.
    pub input: BuildInput,
}

/// A build of ours that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildRecord {
    /// The image's id, `sha256:..`.
    pub image_id: String,
    /// Digest of what it was built from.
    pub input: String,
    /// When the build was decided on: a request from before is fulfilled by it.
    pub began: Timestamp,
    /// When it ended.
    pub at: Timestamp,
}

/// `evenkeel rebuild`, as it stands in the annotation: a time, then words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildRequest {
    /// When it was asked for.
    pub at: Timestamp,
    /// Use no cached layer.
    pub no_cache: bool,
    /// Pull base images though they are there.
    pub pull: bool,
}

impl fmt::Display for RebuildRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, no_cache, pull } = self;
        write!(f, "{at}{}{}", if *no_cache { " no-cache" } else { "" }, if *pull { " pull" } else { "" })
    }
}

impl FromStr for RebuildRequest {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let at = words.next().unwrap_or_default().parse()?;
        let words: Vec<&str> = words.collect();
        Ok(Self { at, no_cache: words.contains(&"no-cache"), pull: words.contains(&"pull") })
    }
}

impl Default for Dockerfile {
    fn default() -> Self {
        Self::Path("Dockerfile".to_owned())
    }
}

impl fmt::Debug for Dockerfile {
    /// Without the text of an inline one: it is long, and may hold what is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline"),
        }
    }
}

impl fmt::Debug for BuildArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Progress {
    /// How far a build is, in words.
    pub fn in_steps(&self) -> String {
        match (self.total, self.text.as_str()) {
            (0, "") => "sending the context".to_owned(),
            (0, text) => text.to_owned(),
            (total, text) => format!("{} of {total} steps, {text}", self.done),
        }
    }
}
