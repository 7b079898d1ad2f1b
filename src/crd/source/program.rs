//! Which git programs can be used. Pure.

/// Oldest git that can be kept within its bounds: `GIT_CONFIG_COUNT` came with 2.31, `GIT_CONFIG_GLOBAL` with 2.32. An older one
/// would run with the configuration of the host, and without ours.
pub const OLDEST_GIT: (u32, u32) = (2, 32);

/// The version out of what `git --version` prints, such as `2.39.5`.
///
/// # Errors
/// It is too old, or says nothing that can be read as a version: a sentence for people, with what to do.
pub fn usable_git(printed: &str) -> Result<String, String> {
    let (major, minor) = OLDEST_GIT;
    let needed = format!("git {major}.{minor} or newer is needed: install one (Debian 12 and Ubuntu 22.04 have it)");
    let version = printed.trim().strip_prefix("git version ").and_then(|rest| rest.split_whitespace().next());
    let version =
        version.ok_or_else(|| format!("the git program does not say which version it is ({:?}); {needed}", printed.trim()))?;
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(second)) if (first, second) >= OLDEST_GIT => Ok(version.to_owned()),
        _ => Err(format!("git {version} is too old, since it would run with this host's configuration; {needed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_builds_are_read_and_old_ones_are_refused() {
        for (printed, version) in [
            ("git version 2.47.3\n", "2.47.3"),
            ("git version 2.39.5 (Apple Git-154)", "2.39.5"),
            ("git version 2.32.0.windows.1", "2.32.0.windows.1"),
            ("git version 3.0.rc1", "3.0.rc1"),
        ] {
            assert_eq!(usable_git(printed), Ok(version.to_owned()));
        }
        for printed in ["git version 2.30.2", "git version 2.31.8", "git version 1.99.1"] {
            let why = usable_git(printed).unwrap_err();
            assert!(why.contains("too old") && why.contains("2.32 or newer"), "{why}");
        }
        assert!(usable_git("sh: git: not found").unwrap_err().contains("does not say"));
    }
}
