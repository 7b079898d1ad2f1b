//! Repositories, read by the git program (docs/adr/0010).
//!
//! | file | what it is |
//! |---|---|
//! | `version` | whether the git program is one that can be used |
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
mod version;
mod worktree;

pub use checkout::CheckedOut;
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

    /// The commit of a revision, if it is one.
    pub fn of_revision(revision: &str) -> Option<Self> {
        let (head, id) = revision.rsplit_once(':')?;
        let named = head.strip_suffix("sha1").or_else(|| head.strip_suffix("sha256"))?;
        let name = named.strip_suffix('@').filter(|name| !name.is_empty()).map(str::to_owned);
        let whole = matches!(id.len(), 40 | 64) && id.chars().all(|c| c.is_ascii_hexdigit());
        (whole && named.is_empty() == name.is_none()).then(|| Self { id: id.to_owned(), name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_a_commit_and_its_name() {
        let id = "0123456789".repeat(4);
        for name in [None, Some("main"), Some("team/v1@2")] {
            let commit = Commit { id: id.clone(), name: name.map(str::to_owned) };
            assert_eq!(Commit::of_revision(&commit.revision()), Some(commit));
        }
        for other in [format!("main@sha1:{id}-dirty"), format!("sha256:{}", "zz"), format!("main:{id}"), String::new()] {
            assert_eq!(Commit::of_revision(&other), None, "{other}");
        }
    }
}
