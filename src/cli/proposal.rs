//! What is proposed and not in force yet: files, a repository, or another state of a Source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::Value;

use super::client::{Api, Connection, HOST, list_path, source_path};
use super::failure::Failure;
use super::manifests::{Files, Manifest};
use super::output::tell;
use crate::crd::{GitRef, GitSource, Kind, Source, SourceSpec};
use crate::model::{Key, MANIFESTS_SOURCE, annotations};
use crate::sources::made::GitAddress;
use crate::sources::propose::{Proposed, propose};

/// Manifests that are not applied yet.
#[derive(Debug, Clone, Args)]
pub struct ProposalArgs {
    #[command(flatten)]
    pub files: Files,
    /// Manifests of a repository, URL[#BRANCH[:PATH]], as for `run`
    #[arg(long, value_name = "ADDRESS", conflicts_with = "filenames")]
    git: Option<GitAddress>,
    /// The source that they are for: what it declared and they do not is gone. Alone: as the source is now
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Commit or branch, instead of what the source follows
    #[arg(long, value_name = "REVISION", requires = "source", conflicts_with_all = ["filenames", "git"])]
    revision: Option<String>,
}

/// What is proposed.
#[derive(Debug, Default)]
pub struct Proposal {
    /// What is declared.
    pub manifests: Vec<Manifest>,
    /// What the source declared and this does not.
    pub gone: Vec<Gone>,
    /// Of which revision it is.
    pub revision: Option<String>,
    /// What is in the files that are mounted out of a repository: the digest of each, by path.
    pub files: BTreeMap<String, String>,
}

/// A deployment that is declared no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its name.
    pub key: Key,
    /// It is deleted; else it runs on, orphaned.
    pub pruned: bool,
}

impl ProposalArgs {
    /// What is proposed, checked.
    ///
    /// # Errors
    /// It cannot be had, or something is wrong with it: all of that.
    pub async fn read(&self, connection: &Connection, api: &Api) -> Result<Proposal, Failure> {
        let namespace = connection.namespace();
        let source = match &self.source {
            Some(name) => Some(self.stored(api, &Key::new(namespace, name)).await?),
            None => None,
        };
        let proposed = match (&self.git, &source) {
            _ if !self.files.filenames.is_empty() => None,
            (Some(address), _) => {
                let spec = of_address(address);
                let (key, in_force) = match &source {
                    Some((key, source)) => (key.clone(), in_force(source)),
                    None => kept_as(api, &spec).await?.unwrap_or_else(|| (Key::new(namespace, "git"), None)),
                };
                Some(from(&key, &spec, in_force.as_deref(), &operators_folder(api, &key).await?).await?)
            }
            (None, Some((key, source))) => {
                let folder = operators_folder(api, key).await?;
                let (spec, in_force) = (self.at_revision(&source.spec)?, in_force(source));
                let proposed = from(key, &spec, in_force.as_deref(), &folder).await;
                Some(proposed.map_err(|failure| self.explain(failure))?)
            }
            (None, None) => None,
        };
        let mut proposal = match proposed {
            Some(proposed) => manifests(proposed),
            None => Proposal { manifests: self.files.read(connection.namespace.as_deref())?, ..Proposal::default() },
        };
        if let Some((key, source)) = &source {
            proposal.gone = gone(api, key, source.spec.prune, &proposal.manifests).await?;
        }
        Ok(proposal)
    }

    /// Says of a revision that is not found that it may be a commit which is not named in full.
    fn explain(&self, failure: Failure) -> Failure {
        match (&self.revision, failure) {
            (Some(revision), Failure::Other(error)) if is_part_of_a_commit(revision) => Failure::Other(anyhow!(
                "{error:#}; --revision {revision} is taken for a branch: a commit is named by all of its 40 digits (git rev-parse {revision})"
            )),
            (_, failure) => failure,
        }
    }

    async fn stored(&self, api: &Api, key: &Key) -> Result<(Key, Source), Failure> {
        let object = api.get(&source_path(&key.namespace, &key.name, None)).await?;
        let source: Source = serde_json::from_value(object).context("the operator's answer is no Source")?;
        Ok((key.clone(), source))
    }

    /// The specification, with the asked revision in the place of what it follows.
    fn at_revision(&self, spec: &SourceSpec) -> Result<SourceSpec, Failure> {
        let Some(revision) = &self.revision else { return Ok(spec.clone()) };
        let Some(git) = &spec.git else {
            let message = "--revision is for a source with git; give the files of another one with -f";
            return Err(Failure::Usage(message.to_owned()));
        };
        let is_commit = matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let branch = git.reference.as_ref().and_then(|reference| reference.branch.clone());
        let reference = match is_commit {
            true => GitRef { commit: Some(revision.to_lowercase()), branch, ..GitRef::default() },
            false => GitRef { branch: Some(revision.clone()), ..GitRef::default() },
        };
        Ok(SourceSpec { git: Some(GitSource { reference: Some(reference), ..git.clone() }), ..spec.clone() })
    }
}

fn is_part_of_a_commit(revision: &str) -> bool {
    (4..40).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn of_address(address: &GitAddress) -> SourceSpec {
    let reference = address.branch.clone().map(|branch| GitRef { branch: Some(branch), ..GitRef::default() });
    let git = GitSource { url: address.url.clone(), reference, auth: None };
    SourceSpec { git: Some(git), path: address.path.clone(), recurse: true, ..SourceSpec::default() }
}

/// The revision that a Source has put in force.
fn in_force(source: &Source) -> Option<String> {
    source.status.as_ref()?.observed_revision.clone()
}

/// The Source that follows the same repository, if it is clear which, and its revision in force: what its manifests mount lies in
/// its folder.
async fn kept_as(api: &Api, spec: &SourceSpec) -> Result<Option<(Key, Option<String>)>, Failure> {
    let mut list = api.get(&list_path("sources", None)).await?;
    let sources: Vec<Source> = serde_json::from_value(list["items"].take()).context("the operator's answer has no Sources")?;
    let key = |source: &Source| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Key::new(text(&source.metadata.namespace), text(&source.metadata.name))
    };
    Ok(same_place(&sources, spec).map(|source| (key(source), in_force(source))))
}

/// The only one of the same repository and folder; where there are several, the only one of the same branch, too.
fn same_place<'a>(sources: &'a [Source], spec: &SourceSpec) -> Option<&'a Source> {
    let url = |spec: &SourceSpec| spec.git.as_ref().map(|git| git.url.trim_end_matches('/').to_owned());
    let reference = |spec: &SourceSpec| spec.git.as_ref().and_then(|git| git.reference.clone()).unwrap_or_default();
    let place = |source: &&Source| url(&source.spec) == url(spec) && source.spec.path == spec.path;
    let branch = |source: &&Source| reference(&source.spec) == reference(spec);
    let only = |found: Vec<&'a Source>| if let [one] = found[..] { Some(one) } else { None };
    let found: Vec<&Source> = sources.iter().filter(place).collect();
    only(found.iter().copied().filter(branch).collect()).or_else(|| only(found))
}

fn key_of(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    Key::new(text("namespace"), text("name"))
}

/// Where the operator keeps a Source: what its manifests mount lies there.
async fn operators_folder(api: &Api, key: &Key) -> Result<std::path::PathBuf, Failure> {
    let host = api.get(HOST).await?;
    let data = host["operator"]["dataDir"].as_str().unwrap_or_default();
    Ok(Path::new(data).join("sources").join(&key.namespace).join(&key.name))
}

async fn from(key: &Key, spec: &SourceSpec, in_force: Option<&str>, folder: &Path) -> Result<Proposed, Failure> {
    let scratch = tempfile::tempdir().context("cannot make a folder for the repository")?;
    let proposed = propose(key, spec, in_force, scratch.path(), folder).await;
    let proposed = proposed.map_err(|message| anyhow!(message))?;
    proposed.warnings.iter().for_each(|line| tell(&format!("warning: {line}")));
    proposed.notices.iter().for_each(|notice| tell(&format!("warning: {notice}")));
    if proposed.broken.is_empty() {
        return Ok(proposed);
    }
    let (broken, right) = (proposed.broken.len(), proposed.deployments.len());
    proposed.broken.iter().for_each(|line| tell(line));
    Err(anyhow!("{broken} of {} manifests of {} cannot be used", broken + right, proposed.revision).into())
}

fn manifests(proposed: Proposed) -> Proposal {
    let manifest = |(key, object, document): (Key, Value, _)| Manifest { kind: Kind::Deployment, key, object, document };
    Proposal {
        manifests: proposed.deployments.into_iter().map(manifest).collect(),
        gone: vec![],
        revision: Some(proposed.revision),
        files: proposed.files,
    }
}

/// What came from the Source and is not among these manifests.
async fn gone(api: &Api, source: &Key, prune: bool, manifests: &[Manifest]) -> Result<Vec<Gone>, Failure> {
    let list = api.get(&list_path("deployments", None)).await?;
    let declared: BTreeSet<&Key> = manifests.iter().map(|manifest| &manifest.key).collect();
    let objects = list["items"].as_array().into_iter().flatten();
    let left = objects.filter(|object| is_of(object, source) && object["metadata"]["deletionTimestamp"].is_null());
    Ok(left.map(key_of).filter(|key| !declared.contains(key)).map(|key| Gone { key, pruned: prune }).collect())
}

fn is_of(object: &Value, source: &Key) -> bool {
    let all = &object["metadata"]["annotations"];
    let owner = all[annotations::SOURCE_NAME].as_str().or(all[annotations::SOURCE].as_str().map(|_| MANIFESTS_SOURCE));
    owner.is_some_and(|owner| owner == source.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(revision: &str) -> ProposalArgs {
        let files = Files { filenames: vec![] };
        ProposalArgs { files, git: None, source: Some("shop".into()), revision: Some(revision.into()) }
    }

    #[test]
    fn a_revision_is_a_commit_or_a_branch() {
        let spec = of_address(&"file:///srv/shop.git#main:hosts".parse().unwrap());
        assert_eq!(spec.path.as_deref(), Some("hosts"));
        let at = |revision: &str| asked(revision).at_revision(&spec).unwrap().git.unwrap().reference.unwrap();
        let commit = "AB".repeat(20);
        assert_eq!(at(&commit).commit, Some(commit.to_lowercase()));
        assert_eq!(at(&commit).branch.as_deref(), Some("main"));
        assert_eq!(at("next"), GitRef { branch: Some("next".into()), ..GitRef::default() });
        assert!(asked("next").at_revision(&SourceSpec::default()).is_err());
    }

    #[test]
    fn a_repository_is_that_of_the_one_source_that_follows_it() {
        let source = |name: &str, spec: Value| -> Source {
            let object =
                json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": name}, "spec": spec});
            serde_json::from_value(object).unwrap()
        };
        let git = |url: &str, branch: Option<&str>| {
            let reference = branch.map(|branch| json!({"branch": branch}));
            json!({"git": {"url": url, "ref": reference}})
        };
        let all = [
            source("test", git("file:///srv/shop.git/", Some("next"))),
            source("shop", git("file:///srv/shop.git", Some("main"))),
            source("other", git("file:///srv/other.git", None)),
        ];
        let found = |address: &str, all: &[Source]| {
            same_place(all, &of_address(&address.parse().unwrap())).and_then(|source| source.metadata.name.clone())
        };
        assert_eq!(found("file:///srv/shop.git#main", &all).as_deref(), Some("shop"));
        assert_eq!(found("file:///srv/shop.git#next", &all).as_deref(), Some("test"));
        assert_eq!(found("file:///srv/shop.git#draft", &all), None, "it may be either");
        assert_eq!(found("file:///srv/shop.git#draft", &all[1..]).as_deref(), Some("shop"), "the only one");
        assert_eq!(found("file:///srv/shop.git#main:hosts", &all), None);
        let twice = [all[1].clone(), source("again", git("file:///srv/shop.git", Some("main")))];
        assert_eq!(found("file:///srv/shop.git#main", &twice), None);
    }

    #[test]
    fn what_came_from_a_folder_and_names_no_source_is_of_the_command_line() {
        let object = |all: Value| json!({"metadata": {"annotations": all}});
        let named = object(json!({"evenkeel.dev/source": "a.yaml:1", "evenkeel.dev/source-name": "team/shop"}));
        let old = object(json!({"evenkeel.dev/source": "a.yaml:1"}));
        assert!(is_of(&named, &Key::new("team", "shop")) && !is_of(&named, &Key::new("default", "manifests")));
        assert!(is_of(&old, &Key::new("default", "manifests")) && !is_of(&object(json!({})), &Key::new("default", "manifests")));
    }
}
