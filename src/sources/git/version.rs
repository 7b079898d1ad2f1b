//! Whether the git program is one that can be used: asked once, and again only after it could not.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

use super::failure::{Failure, Trouble};
use crate::crd::usable_git;

/// Longest that it may take to say its version.
const LIMIT: Duration = Duration::from_secs(20);

/// It was found good: what replaces it later is newer.
static GOOD: OnceCell<()> = OnceCell::const_new();

/// The git program by its full path. By its name alone, with a PATH that is given to it, it could only be started by copying this
/// process first, which takes milliseconds where it holds a lot.
pub fn program() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs = |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let found = std::env::split_paths(&path).map(|folder| folder.join("git")).find(runs);
    found.map_or_else(|| "git".into(), PathBuf::into_os_string)
}

/// Makes sure of it, before it is run for anything else.
///
/// # Errors
/// There is none, or it is too old.
pub async fn ensure(program: &OsStr, attempt: &str) -> Result<(), Failure> {
    GOOD.get_or_try_init(|| ask(program, attempt)).await.map(drop)
}

async fn ask(program: &OsStr, attempt: &str) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.arg("--version").env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(output) => output.map_err(|error| not_run(attempt, &error))?,
        Err(_) => {
            let message = format!("{attempt}: the git program has not told its version within {} s", LIMIT.as_secs());
            return Err(Failure::new(Trouble::TimedOut, message));
        }
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    usable_git(&printed).map(drop).map_err(|why| Failure::new(Trouble::OldGit, format!("{attempt}: {why}")))
}

/// Why the git program could not be run.
pub fn not_run(attempt: &str, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(
            Trouble::NoGit,
            format!("{attempt}: there is no git program on this host: install git (Debian: apt-get install git)"),
        ),
        std::io::ErrorKind::StorageFull => Failure::new(Trouble::DiskFull, format!("{attempt}: {error}")),
        _ => Failure::new(Trouble::Other, format!("{attempt}: git cannot be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_a_full_path() {
        let program = PathBuf::from(program());
        assert!(program.is_absolute() && program.is_file(), "{}", program.display());
    }

    #[tokio::test]
    async fn an_old_git_is_refused_by_its_version_and_one_that_is_missing_by_that() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join("git");
        for (says, trouble) in [("git version 2.30.2", Some(Trouble::OldGit)), ("git version 2.39.5", None)] {
            std::fs::write(&git, format!("#!/bin/sh\necho {says}\n")).unwrap();
            std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(ask(git.as_os_str(), "cannot fetch x").await.err().map(|failure| failure.trouble), trouble, "{says}");
        }
        std::fs::remove_file(&git).unwrap();
        let missing = ask(git.as_os_str(), "cannot fetch x").await.unwrap_err();
        assert!(missing.trouble == Trouble::NoGit && missing.message.starts_with("cannot fetch x: "), "{missing}");
    }
}
