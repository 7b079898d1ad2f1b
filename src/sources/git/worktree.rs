//! A git working tree on this host, which is somebody else's: read, never written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::Run;
use super::commit::Blobs;
use super::failure::{Failure, Trouble};
use super::{Commit, verify};
use crate::crd::{SourceSpec, Verify};
use crate::sources::files::Scan;
use crate::sources::turn::Turn;

/// A working tree.
pub struct Worktree {
    path: PathBuf,
    blobs: Blobs,
}

impl Worktree {
    /// The one in this folder.
    pub fn new(path: PathBuf) -> Self {
        Self { path, blobs: Blobs::default() }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn place(&self) -> [OsString; 2] {
        ["-C".into(), self.path.clone().into()]
    }

    /// The commit at HEAD.
    ///
    /// # Errors
    /// It is no working tree, or nothing was committed yet.
    pub async fn head(&self) -> Result<Commit, Failure> {
        let path = self.path.display();
        if !self.path.is_dir() {
            let message = format!("there is no folder {path} (look at spec.worktree.path)");
            return Err(Failure::new(Trouble::NoRepository, message));
        }
        let args = |last: &[&str]| self.place().into_iter().chain(last.iter().map(OsString::from)).collect::<Vec<_>>();
        Run::new(format!("cannot read the working tree {path}"), args(&["rev-parse", "--git-dir"])).output().await?;
        let head = Run::new("cannot resolve HEAD", args(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])).text().await;
        let id = head.map_err(|_| Failure::new(Trouble::NoRef, format!("nothing is committed in {path} yet")))?;
        let branch = Run::new("cannot read HEAD", args(&["symbolic-ref", "--quiet", "--short", "HEAD"])).text().await;
        Ok(Commit { id, name: branch.ok().filter(|branch| !branch.is_empty()) })
    }

    /// As [`super::Repository::scan`].
    ///
    /// # Errors
    /// The folder is not in the commit, or the repository is broken.
    pub async fn scan(&mut self, commit: &Commit, spec: &SourceSpec) -> Result<(Arc<Scan>, Vec<String>), Failure> {
        let place = self.place();
        let scanned = self.blobs.scan(&place, commit, &self.path, spec).await;
        self.blobs.forget_tree();
        scanned
    }

    /// As [`super::Repository::verify`]; `folder` is ours to write into.
    ///
    /// # Errors
    /// It is not signed by one of them, or that cannot be found out.
    pub async fn verify(&self, commit: &Commit, keys: &Verify, folder: &Path, turn: &Turn) -> Result<(), Failure> {
        verify::verify(&self.place(), folder, commit, keys, turn).await
    }
}

/// Where git keeps what belongs to a working tree: `.git` itself, or where a file of that name points.
pub fn git_dir(worktree: &Path) -> PathBuf {
    let place = worktree.join(".git");
    let linked = std::fs::read_to_string(&place).ok();
    let linked = linked.as_deref().and_then(|text| text.strip_prefix("gitdir:")).map(|path| worktree.join(path.trim()));
    linked.unwrap_or(place)
}
