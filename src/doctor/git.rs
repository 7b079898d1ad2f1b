//! The git program, which Sources of repositories and working trees are read with.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Finding;
use crate::crd::usable_git;

/// Longest that it may take to say its version.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks it for its version. `needed` is the number of Sources that need it.
pub(super) async fn examine(needed: usize) -> Finding {
    let mut command = Command::new("git");
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let printed = match timeout(DEADLINE, command.output()).await {
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Err("it is not installed".to_owned()),
        Ok(Err(error)) => Err(format!("it cannot be run: {error}")),
        Err(_) => Err(format!("it has not told its version within {} s", DEADLINE.as_secs())),
    };
    judge(printed, needed)
}

/// What that means; pure.
fn judge(printed: Result<String, String>, needed: usize) -> Finding {
    let why = match printed.and_then(|printed| usable_git(&printed)) {
        Ok(version) => return Finding::ok("git", version),
        Err(why) => why,
    };
    match needed {
        0 => Finding::ok("git", format!("{why}; only Sources of git repositories and working trees need it")),
        1 => Finding::fail("git", format!("{why}; one Source needs it"), REMEDY),
        _ => Finding::fail("git", format!("{why}; {needed} Sources need it"), REMEDY),
    }
}

const REMEDY: &str = "install git (Debian: apt-get install git openssh-client), where the operator runs";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_git_that_is_missing_or_old_is_a_failure_where_a_source_needs_it() {
        let missing = || Err("it is not installed".to_owned());
        let old = || Ok("git version 2.30.2\n".to_owned());
        assert_eq!(judge(Ok("git version 2.39.5\n".to_owned()), 1), Finding::ok("git", "2.39.5"));
        assert_eq!((judge(missing(), 0).result, judge(old(), 0).result), (Verdict::Ok, Verdict::Ok));
        for finding in [judge(missing(), 1), judge(old(), 2)] {
            assert_eq!(finding.result, Verdict::Fail, "{finding:?}");
        }
        assert!(judge(old(), 2).message.contains("2.30.2 is too old"));
    }
}
