//! What a build takes from the operator's own surroundings.

use std::collections::BTreeMap;

use crate::model::BuildArgs;

/// The arguments with their values. One without a value has that of the operator's environment; where there is none it is left
/// out, and the Dockerfile's default counts, as with Compose.
pub(super) fn resolved(args: &BuildArgs) -> BTreeMap<String, String> {
    let value =
        |(name, value): (&String, &Option<String>)| Some((name.clone(), value.clone().or_else(|| std::env::var(name).ok())?));
    args.0.iter().filter_map(value).collect()
}

/// The socket of the user's own ssh agent.
pub(super) fn agent() -> Option<String> {
    std::env::var("SSH_AUTH_SOCK").ok().filter(|path| !path.is_empty())
}

/// Which builder `DOCKER_BUILDKIT` asks for, as the docker command reads it; `None`: it says nothing.
pub(super) fn wants_buildkit() -> Option<bool> {
    let word = std::env::var("DOCKER_BUILDKIT").ok()?;
    match word.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
