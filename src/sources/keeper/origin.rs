//! Where the files of a Source come from: a state of them, whichever of the three kinds it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::compose::Files;
use crate::crd::SourceSpec;
use crate::model::Reason;
use crate::sources::files::{Scan, scan};
use crate::sources::folder::{Content, Place};
use crate::sources::git::{CheckedOut, Commit, Failure, Repository, Trouble, Worktree, git_dir};
use crate::sources::substitute::substitute;
use crate::sources::turn::Turn;
use crate::sources::watch::Watch;

/// One state of a Source.
pub struct Fetched {
    /// Its files, and its revision where it has one.
    pub content: Content,
    /// What is there and not taken.
    pub notices: Vec<String>,
    /// What people should hear of.
    pub told: Vec<(Reason, String)>,
}

/// Where a Source comes from, with what is known of it from one look to the next.
pub struct Origin {
    /// What it was made for.
    spec: (Option<crate::crd::FolderSource>, Option<crate::crd::WorktreeSource>, Option<crate::crd::GitSource>),
    kind: Kind,
    /// Ours, for repositories and keys.
    folder: PathBuf,
    /// The commit that was fetched last.
    fetched: Option<Commit>,
}

enum Kind {
    Folder(PathBuf),
    Worktree(Box<Worktree>, bool),
    Git(Box<Repository>),
}

impl Origin {
    /// That of a Source whose own folder is `folder`. `before` is the commit that was in force when an operator last ran.
    pub fn of(spec: &SourceSpec, folder: PathBuf, before: Option<Commit>) -> Self {
        let kind = match (&spec.folder, &spec.worktree) {
            (Some(source), _) => Kind::Folder(source.path.clone()),
            (None, Some(source)) => Kind::Worktree(Box::new(Worktree::new(source.path.clone())), source.dirty),
            (None, None) => Kind::Git(Box::new(Repository::new(folder.join("git")).after(before))),
        };
        Self { spec: place_of(spec), kind, folder, fetched: None }
    }

    /// Whether it is that of this specification.
    pub fn is_of(&self, spec: &SourceSpec) -> bool {
        self.spec == place_of(spec)
    }

    /// Fetches the state of the Source now.
    ///
    /// # Errors
    /// It cannot be had.
    pub async fn fetch(&mut self, spec: &SourceSpec, turn: &Turn) -> Result<Fetched, Failure> {
        let fetched = match &mut self.kind {
            Kind::Folder(path) => folder(path, spec).await?,
            Kind::Worktree(worktree, false) => {
                let commit = worktree.head().await?;
                if let Some(keys) = &spec.verify {
                    worktree.verify(&commit, keys, &self.folder.join("keys"), turn).await?;
                }
                let (scan, notices) = worktree.scan(&commit, spec).await?;
                of_commit(scan, notices, &commit, Place::repository(&worktree.path().display().to_string(), subfolder(spec)))
            }
            Kind::Worktree(worktree, true) => dirty(worktree, spec).await?,
            Kind::Git(repository) => {
                let Some(source) = &spec.git else {
                    return Err(Failure::new(Trouble::Other, "the Source says nothing of where it comes from"));
                };
                let found = repository.fetch(source, turn).await?;
                if let Some(keys) = &spec.verify {
                    repository.verify(&found.commit, keys, turn).await?;
                }
                let (scan, notices) = repository.scan(&found.commit, spec, turn).await?;
                let place = Place::repository(&source.url, subfolder(spec));
                let mut fetched = of_commit(scan, notices, &found.commit, place);
                let rewritten = found.rewritten.map(|message| (Reason::HistoryRewritten, message));
                let recloned =
                    found.recloned.map(|why| (Reason::RepositoryCorrupt, format!("the repository was fetched anew: {why}")));
                fetched.told.extend(rewritten.into_iter().chain(recloned));
                self.fetched = Some(found.commit);
                fetched
            }
        };
        Ok(fetched)
    }

    /// Puts what was fetched last where manifests can name it, before they are put in force.
    ///
    /// # Errors
    /// It cannot be read, or the disk says no.
    pub async fn check_out(&mut self, turn: &Turn) -> Result<CheckedOut, Failure> {
        match (&mut self.kind, &self.fetched) {
            (Kind::Git(repository), Some(commit)) => repository.check_out(commit, turn).await,
            _ => Ok(CheckedOut::default()),
        }
    }

    /// What changed by that is on the Deployments now.
    ///
    /// # Errors
    /// The disk says no; it is told again then.
    pub async fn noted(&mut self, turn: &Turn) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Git(repository) => repository.noted(turn).await,
            Kind::Folder(_) | Kind::Worktree(..) => Ok(()),
        }
    }

    /// What was fetched last is in force: later commits are to follow on it.
    pub fn keep(&mut self) {
        if let (Kind::Git(repository), Some(commit)) = (&mut self.kind, &self.fetched) {
            repository.keep(commit);
        }
    }
}

fn place_of(
    spec: &SourceSpec,
) -> (Option<crate::crd::FolderSource>, Option<crate::crd::WorktreeSource>, Option<crate::crd::GitSource>) {
    (spec.folder.clone(), spec.worktree.clone(), spec.git.clone())
}

fn subfolder(spec: &SourceSpec) -> &str {
    spec.path.as_deref().unwrap_or_default()
}

fn of_commit(scan: Arc<Scan>, notices: Vec<String>, commit: &Commit, place: Place) -> Fetched {
    let content = Content { scan, revision: Some(commit.revision()), place, whole: true };
    Fetched { content, notices, told: Vec::new() }
}

/// The files of a folder as they lie there.
async fn folder(path: &Path, spec: &SourceSpec) -> Result<Fetched, Failure> {
    let (scan, root) = read(path, spec).await?;
    let content = Content { scan, revision: None, place: Place::folder(&root), whole: false };
    Ok(Fetched { content, notices: Vec::new(), told: Vec::new() })
}

/// The files of a working tree as they lie there.
async fn dirty(worktree: &Worktree, spec: &SourceSpec) -> Result<Fetched, Failure> {
    let commit = worktree.head().await?;
    let (scan, root) = read(worktree.path(), spec).await?;
    let revision = format!("{}-dirty", commit.revision());
    let content = Content { scan, revision: Some(revision), place: Place::folder(&root), whole: false };
    Ok(Fetched { content, notices: Vec::new(), told: Vec::new() })
}

async fn read(path: &Path, spec: &SourceSpec) -> Result<(Arc<Scan>, PathBuf), Failure> {
    let root = path.join(subfolder(spec));
    let (place, recurse) = (root.clone(), spec.recurse);
    let scanned =
        tokio::task::spawn_blocking(move || scan(&place)).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let mut scan = scanned.map_err(|error| {
        let message = format!("cannot read the manifests in {}: {error}", root.display());
        Failure::new(Trouble::NoPath, message)
    })?;
    if !recurse {
        scan.files.retain(|name, _| !name.contains('/'));
        scan.unseen.retain(|name, _| name.is_empty());
    }
    substitute(&mut scan, &spec.substitute);
    Ok((Arc::new(scan), root))
}

/// The revision of a folder that has no commits: a digest over names and texts, of its manifests and of the files (by absolute
/// path) that its Compose files name.
pub async fn digest(scan: &Scan, named: BTreeSet<String>) -> String {
    let inside = |path: &String| {
        let relative = Path::new(path).strip_prefix(&scan.root).ok().and_then(Path::to_str);
        relative.is_some_and(|relative| scan.files.contains_key(relative))
    };
    let beside: Vec<String> = named.into_iter().filter(|path| !inside(path)).collect();
    let read = move || beside.into_iter().map(|path| (crate::compose::Disk.read(&path).unwrap_or_default(), path)).collect();
    let beside: Vec<(String, String)> = tokio::task::spawn_blocking(read).await.unwrap_or_default();
    let manifests = scan.files.iter().map(|(name, text)| (text.as_ref().unwrap_or_else(|why| why), name));
    let mut hasher = Sha256::new();
    for (text, name) in manifests.chain(beside.iter().map(|(text, path)| (text, path))) {
        for part in [name, text] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// What on this host's disk says that there is something new.
pub enum Watched {
    /// A folder with all that is in it.
    Folder(PathBuf),
    /// What git keeps of a working tree: a commit, a checkout or a pull changes files right in it.
    Git(PathBuf),
}

/// What is to be watched of a Source, if it is on this host.
pub fn watched(spec: &SourceSpec) -> Option<Watched> {
    match (&spec.folder, &spec.worktree) {
        (Some(source), _) => Some(Watched::Folder(source.path.join(subfolder(spec)))),
        (None, Some(source)) if source.dirty => Some(Watched::Folder(source.path.join(subfolder(spec)))),
        (None, Some(source)) => Some(Watched::Git(git_dir(&source.path))),
        (None, None) => None,
    }
}

impl Watched {
    /// The folder.
    pub fn root(&self) -> &Path {
        match self {
            Self::Folder(root) | Self::Git(root) => root,
        }
    }

    /// Watches it, as [`Watch::start`] does.
    pub fn watch(&self) -> (Watch, Option<String>) {
        match self {
            Self::Folder(root) => Watch::start(root),
            Self::Git(root) => Watch::start_git(root),
        }
    }
}
