//! The Sources that flags of `evenkeel run` make: `--manifests` makes `default/manifests`, `--git` makes `default/git`.
//!
//! They are objects like all others, marked as made by the command line. They are what the flags say at each start; without its
//! flag one goes away, and what it declared runs on.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::crd::{self, API_VERSION};
use crate::model::{Key, MANIFESTS_SOURCE, annotations};
use crate::registry::{DeleteOptions, Registry, WriteOptions};
use crate::store::{Kind, Part};

/// The Source that `--git` makes.
pub const GIT_SOURCE: &str = "default/git";

/// Value of the mark.
const MARK: &str = "command-line";

/// What flags ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// `--manifests`.
    pub manifests: Option<PathBuf>,
    /// `--git`.
    pub git: Option<GitAddress>,
    /// `--git-token-file`, `--git-ssh-key` and their like.
    pub git_auth: Option<crd::GitAuth>,
    /// `--git-interval`.
    pub git_interval: Option<Duration>,
    /// `--prune`.
    pub prune: bool,
}

/// `URL#BRANCH:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct GitAddress {
    /// The repository.
    pub url: String,
    /// The branch; none: the default one.
    pub branch: Option<String>,
    /// The folder of manifests; none: all of it.
    pub path: Option<String>,
}

impl std::str::FromStr for GitAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (url, rest) = text.split_once('#').unwrap_or((text, ""));
        crd::Remote::read(url).map_err(|why| format!("the address {why}"))?;
        let (branch, path) = rest.split_once(':').unwrap_or((rest, ""));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(Self { url: url.to_owned(), branch: given(branch), path: given(path) })
    }
}

impl GitAddress {
    /// Whether it is reached by ssh.
    pub fn is_by_ssh(&self) -> bool {
        crd::Remote::read(&self.url).is_ok_and(|remote| remote.transport == crd::Transport::Ssh)
    }
}

impl TryFrom<String> for GitAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Makes, changes or takes away the Sources of the command line.
///
/// # Errors
/// Somebody else made one of that name, what the flags say is wrong, or the store failed.
pub async fn make(registry: &Registry, asked: &Asked) -> anyhow::Result<()> {
    let manifests = asked.manifests.as_ref().map(|path| json!({"folder": {"path": path}, "prune": asked.prune}));
    let git = asked.git.as_ref().map(|address| git_spec(address, asked));
    for (name, flag, spec) in [(MANIFESTS_SOURCE, "--manifests", manifests), (GIT_SOURCE, "--git", git)] {
        let Ok(key) = name.parse::<Key>();
        let attempt = || format!("cannot make Source {name} as {flag} asks for");
        match spec {
            Some(spec) => put(registry, &key, spec, flag).await.with_context(attempt)?,
            None => take_away(registry, &key, asked.prune).await.with_context(|| format!("cannot take away Source {name}"))?,
        }
    }
    Ok(())
}

fn git_spec(address: &GitAddress, asked: &Asked) -> Value {
    let mut spec = json!({"git": {"url": address.url}, "prune": asked.prune});
    if let Some(branch) = &address.branch {
        spec["git"]["ref"] = json!({ "branch": branch });
    }
    if let Some(auth) = &asked.git_auth {
        spec["git"]["auth"] = json!(auth);
    }
    if let Some(path) = &address.path {
        spec["path"] = json!(path);
    }
    if let Some(interval) = asked.git_interval {
        spec["interval"] = json!(crd::Duration(interval).to_string());
    }
    spec
}

async fn put(registry: &Registry, key: &Key, spec: Value, flag: &str) -> anyhow::Result<()> {
    let stored = registry.store().get(Kind::Source, key)?;
    let made_by_us = |source: &Value| source["metadata"]["annotations"][annotations::MADE_BY] == MARK;
    ensure!(
        stored.as_deref().is_none_or(made_by_us),
        "somebody made a Source {key} by hand: delete it, give it another name, or leave {flag} out"
    );
    let object = json!({
        "apiVersion": API_VERSION, "kind": "Source",
        "metadata": {"name": key.name, "namespace": key.namespace, "annotations": {annotations::MADE_BY: MARK}},
        "spec": spec,
    });
    let options = WriteOptions { by: MARK.to_owned(), ..WriteOptions::default() };
    registry.replace(Kind::Source, key, object, Part::Main, true, &options).await?;
    Ok(())
}

/// Takes away one that was made by a flag that is not given any more. What it declared runs on, unless `--prune` is given.
async fn take_away(registry: &Registry, key: &Key, prune: bool) -> anyhow::Result<()> {
    let Some(stored) = registry.store().get(Kind::Source, key)? else { return Ok(()) };
    if stored["metadata"]["annotations"][annotations::MADE_BY] == MARK {
        let options = DeleteOptions { orphan: !prune, ..DeleteOptions::default() };
        registry.delete(Kind::Source, key, &options).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_branch_and_a_folder_if_wanted() {
        let read = |text: &str| text.parse::<GitAddress>().map(|a| (a.url, a.branch, a.path));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("https://h/a.git"), Ok(("https://h/a.git".into(), None, None)));
        assert_eq!(read("https://h/a.git#main"), Ok(("https://h/a.git".into(), some("main"), None)));
        assert_eq!(read("git@h:t/a.git#main:hosts/web1"), Ok(("git@h:t/a.git".into(), some("main"), some("hosts/web1"))));
        assert_eq!(read("/srv/a.git#:hosts"), Ok(("/srv/a.git".into(), None, some("hosts"))));
        assert!(!read("https://u:s3cret@h/a").unwrap_err().contains("s3cret"));
    }
}
