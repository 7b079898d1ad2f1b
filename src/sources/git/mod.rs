//! Repositories, read by the git program (docs/adr/0010).
//!
//! | file | what it is |
//! |---|---|
//! | `command` | one run of git: hardened, bounded, killed with its children when nobody waits for it |
//! | `failure` | what git's words mean |
//! | `access` | credentials out of files of the host |
//! | `repository` | fetching into a bare repository of our own, and choosing the commit |
//! | `checkout` | the working folder, for what manifests name beside themselves |
//! | `commit` | the files of one commit, out of the object database |
//! | `verify` | signatures of commits |
//! | `worktree` | a working tree of somebody else's, read only |

mod access;
mod checkout;
mod command;
mod commit;
mod failure;
mod repository;
mod verify;
mod worktree;

pub use failure::{Failure, Trouble};
pub use repository::Repository;
pub use worktree::{Worktree, git_dir};

/// A commit, and the name it was found under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// All digits of its id.
    pub id: String,
    /// Branch or tag; none where the commit itself was named.
    pub name: Option<String>,
}

impl Commit {
    /// `main@sha1:..`, or `sha1:..`.
    pub fn revision(&self) -> String {
        let hash = if self.id.len() == 64 { "sha256" } else { "sha1" };
        let name = self.name.as_ref().map(|name| format!("{name}@")).unwrap_or_default();
        format!("{name}{hash}:{}", self.id)
    }
}
