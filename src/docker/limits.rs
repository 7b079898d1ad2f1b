//! How long each call may take. The fake engine keeps to the same.

use std::time::Duration;

/// Looking. An engine that takes longer is in trouble, and the next resync looks again.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// Making a container may copy an image's data into a new volume first.
pub(super) const CREATE: Duration = Duration::from_secs(120);
/// A start sets up networks and mounts; a healthy engine needs 0.2 to 3 s under load.
pub(super) const START: Duration = Duration::from_secs(60);
/// What a stop may take on top of its grace: the kill, and the engine's own 10 s wait for its effect.
const STOP_EXTRA: Duration = Duration::from_secs(30);
/// Removing deletes the container's file system.
pub(super) const REMOVE: Duration = Duration::from_secs(60);
/// Small changes: names, policies, networks, volumes, tags.
pub(super) const CHANGE: Duration = Duration::from_secs(30);
/// A pull that reports nothing for so long is given up; there is no bound on a pull that makes progress.
pub(super) const PULL_SILENCE: Duration = Duration::from_secs(300);

/// A build in which nothing moves for so long is given up: a step may compile for long without a word.
pub(super) const BUILD_SILENCE: Duration = Duration::from_secs(30 * 60);

/// For a stop with this grace.
pub(super) fn stop(grace_seconds: u64) -> Duration {
    Duration::from_secs(grace_seconds).saturating_add(STOP_EXTRA)
}
