//! A bare repository of our own per Source: what is followed is fetched into it, and read out of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::access::Access;
use super::checkout::{CheckedOut, Checkout};
use super::command::{Done, FETCH, QUESTION, Run};
use super::commit::Blobs;
use super::failure::{Failure, Trouble};
use super::{Commit, verify};
use crate::crd::{GitRef, GitSource, SourceSpec, Verify, highest_version, semver_range};
use crate::sources::files::Scan;
use crate::sources::turn::{Over, Turn};

/// What was fetched last.
const HEAD: &str = "refs/evenkeel/head";

/// What is fetched where a commit is named: it must be in one of these.
const HEADS: &str = "refs/evenkeel/heads";

/// After so many fetches it is looked whether the repository wants to be tidied up.
const TIDY_EACH: u32 = 64;

/// What a fetch says of a reference whose history was rewritten.
const FORCED: &str = "(forced update)";

/// Settings of every git that serves us.
const SETTINGS: &str = "[safe]\n\tdirectory = *\n";

/// The repository of one Source.
pub struct Repository {
    dir: PathBuf,
    blobs: Blobs,
    checkout: Checkout,
    /// So many were made by this process.
    fetches: AtomicU32,
    /// The commit that was found whole last.
    whole: Option<Commit>,
    /// The one that was in force when an operator last ran.
    before: Option<Commit>,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The commit.
    pub commit: Commit,
    /// Why the commit before it is not among its ancestors, if so: the history was rewritten.
    pub rewritten: Option<String>,
    /// What was wrong with our own repository, if it had to be fetched anew.
    pub recloned: Option<String>,
}

/// Something that a server has: what it is called there, and for people.
struct Wanted {
    remote: String,
    name: Option<String>,
    id: String,
}

/// A reference as a fetch moved it.
struct Moved {
    from: String,
    to: String,
    forced: bool,
}

impl Wanted {
    /// What it names is a commit, not a tag of one.
    fn is_branch(&self) -> bool {
        self.remote == "HEAD" || self.remote.starts_with("refs/heads/")
    }
}

impl Repository {
    /// The one in this folder, which is made when it is needed.
    pub fn new(dir: PathBuf) -> Self {
        let checkout = Checkout::of(dir.parent().unwrap_or(&dir));
        Self { dir, blobs: Blobs::default(), checkout, fetches: AtomicU32::new(0), whole: None, before: None }
    }

    /// The same, which follows on what was in force before this operator was started.
    pub fn after(self, before: Option<Commit>) -> Self {
        Self { before, ..self }
    }

    /// Finds the commit that is followed, and fetches what is missing of it.
    ///
    /// # Errors
    /// It cannot be had; what was fetched before stays.
    pub async fn fetch(&mut self, source: &GitSource, turn: &Turn) -> Result<Fetched, Failure> {
        let access = Access::read(source).await?;
        self.prepare(turn).await?;
        let before = self.whole.clone().or_else(|| self.before.clone());
        let ((commit, moved), recloned) = match self.follow(source, &access, turn).await {
            Ok(followed) => (followed, None),
            // Both ends have the same words for it.
            Err(failure) if failure.trouble == Trouble::Corrupt && self.is_sound().await => return Err(failure.there()),
            Err(failure) if failure.trouble == Trouble::Corrupt => {
                self.start_over(turn).await?;
                (self.follow(source, &access, turn).await?, Some(failure.message))
            }
            Err(failure) => return Err(failure),
        };
        let rewritten = self.rewritten(before.as_ref(), &commit, moved.as_ref()).await;
        Ok(Fetched { commit, rewritten, recloned })
    }

    /// Whether nothing is wrong with our own repository, as far as git can tell in time.
    async fn is_sound(&self) -> bool {
        let args = ["fsck", "--no-dangling", "--no-progress", "--no-reflogs"];
        // Not to be found out: then nothing is thrown away.
        self.git("cannot check the repository", &args).done().await.map_or(true, |done| done.success)
    }

    /// The manifests below a folder of a commit, and what is not taken. A repository that turns out broken is thrown away, to be
    /// fetched anew at the next try.
    ///
    /// # Errors
    /// The folder is not in the commit, or the repository is broken.
    pub async fn scan(&mut self, commit: &Commit, spec: &SourceSpec, turn: &Turn) -> Result<(Arc<Scan>, Vec<String>), Failure> {
        let (place, root) = (["--git-dir".into(), self.dir.clone().into()], self.dir.with_file_name("tree"));
        let root = std::path::absolute(&root).unwrap_or(root);
        let scanned = self.blobs.scan(&place, commit, &root, spec).await;
        if scanned.as_ref().is_err_and(|failure| failure.trouble == Trouble::Corrupt) {
            self.start_over(turn).await?;
        }
        scanned
    }

    /// Whether a commit is signed by one of these keys.
    ///
    /// # Errors
    /// It is not, or that cannot be found out.
    pub async fn verify(&self, commit: &Commit, keys: &Verify, turn: &Turn) -> Result<(), Failure> {
        verify::verify(&["--git-dir".into(), self.dir.clone().into()], &self.dir.with_file_name("keys"), commit, keys, turn).await
    }

    /// Writes a commit into the working folder beside the repository.
    ///
    /// # Errors
    /// The repository cannot be read, or the disk says no.
    pub async fn check_out(&mut self, commit: &Commit, turn: &Turn) -> Result<CheckedOut, Failure> {
        let place = ["--git-dir".into(), self.dir.clone().into()];
        let written = self.checkout.write(turn, &place, commit, &mut self.blobs).await;
        self.blobs.forget_tree();
        written
    }

    /// Somebody has taken note of the files that commits changed.
    ///
    /// # Errors
    /// The disk says no.
    pub async fn noted(&mut self, turn: &Turn) -> Result<(), Failure> {
        self.checkout.noted(turn).await
    }

    /// Remembers a commit as the one that later ones follow on.
    pub fn keep(&mut self, commit: &Commit) {
        (self.whole, self.before) = (Some(commit.clone()), None);
    }

    async fn prepare(&mut self, turn: &Turn) -> Result<(), Failure> {
        let (dir, settings) = (self.dir.clone(), self.settings());
        let made = turn.work(move |_| {
            if let Some(folder) = dir.parent() {
                std::fs::create_dir_all(folder)?;
            }
            if std::fs::read_to_string(&settings).ok().as_deref() != Some(SETTINGS) {
                std::fs::write(&settings, SETTINGS)?;
            }
            Ok(dir.join("HEAD").is_file() && dir.join("objects").is_dir())
        });
        match made.await {
            Ok(true) => Ok(()),
            Ok(false) => self.start_over(turn).await,
            Err(error) => Err(self.cannot_make(&error)),
        }
    }

    /// Throws away what is there and makes an empty repository.
    async fn start_over(&mut self, turn: &Turn) -> Result<(), Failure> {
        let dir = self.dir.clone();
        turn.remove(&dir).await.map_err(|error| self.cannot_make(&error))?;
        let made = dir.clone();
        turn.work(move |_| std::fs::create_dir_all(made)).await.map_err(|error| self.cannot_make(&error))?;
        self.before = self.whole.take().or_else(|| self.before.take());
        let attempt = format!("cannot make a repository in {}", dir.display());
        Run::new(attempt, ["init", "--quiet", "--bare", "--template="]).env("GIT_DIR", &dir).output().await.map(drop)
    }

    fn cannot_make(&self, error: &std::io::Error) -> Failure {
        Failure::of_disk(format!("cannot make a repository in {}", self.dir.display()), error)
    }

    /// What counts at the other end of a fetch on this host, too: a repository there may be another user's. Serving it runs
    /// nothing that it configures.
    fn settings(&self) -> PathBuf {
        self.dir.with_file_name("gitconfig")
    }

    fn git<'a>(&self, attempt: impl Into<String>, args: &[&str]) -> Run<'a> {
        Run::new(attempt, args.iter().copied()).env("GIT_DIR", &self.dir).env("GIT_CONFIG_GLOBAL", self.settings())
    }

    /// The commit that is followed, and what a fetch moved, if there was one.
    async fn follow(&self, source: &GitSource, access: &Access, turn: &Turn) -> Result<(Commit, Option<Moved>), Failure> {
        let reference = source.reference.clone().unwrap_or_default();
        if let Some(id) = reference.commit.clone() {
            return Ok((self.follow_commit(source, access, turn, id, reference.branch.as_deref()).await?, None));
        }
        let wanted = self.wanted(source, access, &reference).await?;
        let commit = |id: String| Commit { id, name: wanted.name.clone() };
        // The one that is there already, tags peeled.
        if let Some(known) = self.whole.as_ref().filter(|known| known.id == wanted.id && known.name == wanted.name) {
            return Ok((known.clone(), None));
        }
        if self.written(HEAD).is_none_or(|id| id == wanted.id)
            && let Some(id) = self.resolved(HEAD).await.filter(|id| *id == wanted.id)
        {
            return Ok((commit(id), None));
        }
        let from = self.written(HEAD);
        let said = self.fetch_into(source, access, turn, &format!("+{}:{HEAD}", wanted.remote)).await?;
        let fetched = self.written(HEAD).filter(|id| wanted.is_branch() && *id == wanted.id);
        let fetched = match fetched {
            Some(id) => Some(id),
            None => self.resolved(HEAD).await,
        };
        match fetched {
            Some(id) => {
                let moved = from.map(|from| Moved { from, to: id.clone(), forced: said.contains(FORCED) });
                Ok((commit(id), moved))
            }
            None => {
                let message = format!("{} of {} is no commit (look at spec.git.ref)", wanted.remote, source.url);
                Err(Failure::new(Trouble::NoRef, message))
            }
        }
    }

    /// A commit that is named itself never changes: the server is asked once.
    async fn follow_commit(
        &self,
        source: &GitSource,
        access: &Access,
        turn: &Turn,
        id: String,
        branch: Option<&str>,
    ) -> Result<Commit, Failure> {
        let found = || async { self.resolved(&id).await.is_some_and(|found| found == id) };
        if !found().await {
            let heads = match branch {
                Some(branch) => format!("+refs/heads/{branch}:{HEADS}/{branch}"),
                None => format!("+refs/heads/*:{HEADS}/*"),
            };
            self.fetch_into(source, access, turn, &heads).await?;
        }
        if !found().await {
            // Some servers hand out any commit that is asked for by name.
            let _ = self.fetch_into(source, access, turn, &format!("+{id}:{HEAD}")).await;
        }
        if found().await {
            return Ok(Commit { id, name: None });
        }
        let place = branch.map_or("any branch".to_owned(), |branch| format!("branch {branch}"));
        let message = format!("commit {id} is not in {place} of {} (look at spec.git.ref)", source.url);
        Err(Failure::new(Trouble::NoRef, message))
    }

    /// Fetches; what git said of it.
    async fn fetch_into(&self, source: &GitSource, access: &Access, turn: &Turn, refspec: &str) -> Result<String, Failure> {
        let dir = self.dir.clone();
        // A failure to tidy up shows as one of the fetch.
        let sweeping = move |_: &Over| {
            sweep(&dir);
            Ok(())
        };
        let _ = turn.work(sweeping).await;
        let args = [
            "fetch",
            "--no-progress",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--force",
            "--",
            &source.url,
            refspec,
        ];
        let attempt = format!("cannot fetch {}", source.url);
        let run = self.git(attempt.as_str(), &args).limit(FETCH);
        let Done { success, said, .. } = access.given_to(run).done().await?;
        if !success {
            return Err(Failure::told(&attempt, &said));
        }
        if self.fetches.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIDY_EACH) {
            // What it cannot tidy up now it can the next time.
            let _ = self.git("cannot tidy up", &["gc", "--auto", "--quiet"]).done().await;
        }
        Ok(said)
    }

    /// Asks the server what is followed.
    async fn wanted(&self, source: &GitSource, access: &Access, reference: &GitRef) -> Result<Wanted, Failure> {
        let url = &source.url;
        let pattern = match reference {
            GitRef { branch: Some(branch), .. } => format!("refs/heads/{branch}"),
            GitRef { tag: Some(tag), .. } => format!("refs/tags/{tag}"),
            GitRef { semver: Some(_), .. } => "refs/tags/*".to_owned(),
            _ => "HEAD".to_owned(),
        };
        let peeled = format!("{pattern}^{{}}");
        let args = ["ls-remote", "--quiet", "--symref", "--", url, &pattern, &peeled];
        let run = self.git(format!("cannot reach {url}"), &args).limit(QUESTION);
        let listed = access.given_to(run).text().await?;
        let refs = Refs::read(&listed);
        match reference {
            GitRef { branch: Some(branch), .. } => refs.wanted(&pattern, Some(branch), url),
            GitRef { tag: Some(tag), .. } => refs.wanted(&pattern, Some(tag), url),
            GitRef { semver: Some(range), .. } => {
                let wrong = |why: String| Failure::new(Trouble::NoRef, format!("spec.git.ref.semver {why}"));
                let tags = refs.ids.iter().filter_map(|(name, _)| name.strip_prefix("refs/tags/"));
                let tag = highest_version(&semver_range(range).map_err(wrong)?, tags).ok_or_else(|| {
                    Failure::new(Trouble::NoRef, format!("{url} has no tag within {range:?} (look at spec.git.ref)"))
                })?;
                refs.wanted(&format!("refs/tags/{tag}"), Some(tag), url)
            }
            _ => {
                let branch = refs.head.and_then(|head| head.strip_prefix("refs/heads/"));
                refs.wanted("HEAD", branch, url)
            }
        }
    }

    /// What is written in a reference, which costs no process; none: git has to be asked.
    fn written(&self, reference: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.dir.join(reference)).ok()?;
        Some(text.trim_end().to_owned()).filter(|id| !id.starts_with("ref:"))
    }

    /// The commit that a name stands for here.
    async fn resolved(&self, name: &str) -> Option<String> {
        let commit = format!("{name}^{{commit}}");
        self.git("cannot resolve", &["rev-parse", "--quiet", "--verify", "--end-of-options", &commit]).text().await.ok()
    }

    /// Histories are fetched whole: a commit that is not there is not among the ancestors either.
    async fn rewritten(&self, before: Option<&Commit>, now: &Commit, moved: Option<&Moved>) -> Option<String> {
        let before = before.filter(|before| before.name == now.name && before.id != now.id)?;
        let name = now.name.as_deref()?;
        let follows = match moved.filter(|moved| moved.from == before.id && moved.to == now.id) {
            // The fetch has looked already.
            Some(moved) => !moved.forced,
            None => {
                let args = ["merge-base", "--is-ancestor", &before.id, &now.id];
                self.git("cannot compare commits", &args).done().await.ok()?.success
            }
        };
        (!follows).then(|| format!("{name} was rewritten: {} is not among the ancestors of {}", before.id, now.id))
    }
}

/// Removes what a fetch that was killed left behind: locks, and packs that are not whole. Nobody else works in this repository.
fn sweep(dir: &Path) {
    remove_where(&dir.join("objects/pack"), &|name| name.starts_with("tmp_"));
    remove_where(dir, &|name| name.ends_with(".lock"));
}

/// Removes files of such names; looks into subfolders but for those of objects.
fn remove_where(folder: &Path, wanted: &dyn Fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != "objects" => remove_where(&entry.path(), wanted),
            Ok(kind) if kind.is_file() && wanted(&name) => drop(std::fs::remove_file(entry.path())),
            _ => {}
        }
    }
}

/// What `ls-remote --symref` lists.
struct Refs<'a> {
    /// What HEAD points to.
    head: Option<&'a str>,
    ids: Vec<(&'a str, &'a str)>,
}

impl<'a> Refs<'a> {
    fn read(listed: &'a str) -> Self {
        let mut refs = Self { head: None, ids: Vec::new() };
        for (id, name) in listed.lines().filter_map(|line| line.split_once('\t')) {
            match id.strip_prefix("ref: ") {
                Some(target) if name == "HEAD" => refs.head = Some(target),
                Some(_) => {}
                None => refs.ids.push((name, id)),
            }
        }
        refs
    }

    fn id(&self, name: &str) -> Option<&'a str> {
        self.ids.iter().find(|(found, _)| *found == name).map(|(_, id)| *id)
    }

    fn wanted(&self, remote: &str, name: Option<&str>, url: &str) -> Result<Wanted, Failure> {
        // Of an annotated tag the commit, not the tag's own object.
        let id = self.id(&format!("{remote}^{{}}")).or_else(|| self.id(remote)).ok_or_else(|| {
            let what = if remote == "HEAD" { "a commit" } else { remote };
            Failure::new(Trouble::NoRef, format!("{url} does not have {what}, or not any more (look at spec.git.ref)"))
        })?;
        Ok(Wanted { remote: remote.to_owned(), name: name.map(str::to_owned), id: id.to_owned() })
    }
}
