//! Mounted files of the host: whether a container has what is in them now, and what follows where it has not.
//!
//! What a container was made with is remembered ([`Memory::files`](crate::model::Memory)), since neither its specification nor the
//! engine says. A file that is written anew with the same content changes nothing; neither does one of which nothing is known yet,
//! or one that is taken away: the container keeps what it has.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, DesiredService, FileMark, FileMarks, FileState, FollowedFile, Note, OnChange, Op, ReplicaId, StopReason,
    Subject,
};

use super::Planner;
use super::holds::{existing, stop};
use super::identity::Slot;

/// A start opens mounted files this long before it is done, at worst: a start takes 0.3 s, 2.4 s under load (measured).
const START_TAKES: Duration = Duration::from_secs(5);

/// Before a replica's first container is made: what it will find, so that a change that follows is seen as one, whatever happens
/// in between.
pub(super) fn expect(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId) {
    if !planner.memory.files.contains_key(&replica.to_string()) {
        keep(planner, service, replica, |_, state| state.mark.clone());
    }
}

/// Keeps what a container has of its files, once that is certain.
pub(super) fn remember(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container) {
    let mounted = mounted_after(container);
    let up = container.is_up();
    keep(planner, service, replica, |before, state| {
        let mounted_since = up && mounted.is_some_and(|at| at > state.seen_at);
        let has = |before: &&FileMark| mounted_since || before.digest == state.mark.digest || before.is_unread(&state.mark);
        before.filter(|before| !has(before)).unwrap_or(&state.mark).clone()
    });
}

/// Why a container must be made anew, if a file of it says so.
pub(super) fn outdated(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> Option<Cause> {
    let replica = container.replica()?;
    match service.on_change.unwrap_or_default() {
        OnChange::Recreate => changed(planner, service, &replica, container),
        // A container keeps the file that it was made with: of another one in its place no signal can tell it.
        OnChange::Signal(_) => {
            let other = |had: &FileMark, there: &FileMark| had.inode != there.inode;
            changed(planner, service, &replica, container).filter(|cause| was(planner, service, &replica, cause, other))
        }
        // In a container that was made with a folder no file can take its place, nor a folder that of a file.
        OnChange::Restart => {
            let other = |had: &FileMark, there: &FileMark| had.is_folder() != there.is_folder();
            changed(planner, service, &replica, container).filter(|cause| was(planner, service, &replica, cause, other))
        }
        OnChange::Ignore => None,
    }
}

/// Whether something is true of what a container had of a file that changed, and what is there now.
fn was(
    planner: &Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    cause: &Cause,
    is_true: impl Fn(&FileMark, &FileMark) -> bool,
) -> bool {
    let (Cause::FilesChanged { paths }, Some(found)) = (cause, planner.files) else { return false };
    let Some(known) = planner.memory.files.get(&replica.to_string()) else { return false };
    let pair = |file: &FollowedFile| Some((known.get(&file.path)?, &found.get(file)?.mark));
    let changed = service.followed.iter().filter(|file| paths.contains(&file.path));
    changed.filter_map(pair).any(|(had, there)| is_true(had, there))
}

/// Why a replacement goes on that was begun before it was known what is in the files: they may be what it was begun for.
pub(super) fn half_way(planner: &Planner<'_>, service: &DesiredService, slot: Slot<'_>) -> Option<Cause> {
    let unknown = planner.files.is_none() && !service.followed.is_empty();
    (unknown && slot.successor.is_some()).then_some(Cause::Unfinished)
}

/// Plans the stop of a container that is to be started again for its files. Returns whether it does.
pub(super) fn restarts(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container) -> bool {
    if service.on_change != Some(OnChange::Restart) {
        return false;
    }
    let Some(cause) = changed(planner, service, replica, container) else { return false };
    stop(planner, service, replica, container, StopReason::Restart, cause, vec![]);
    true
}

/// Plans the signal that tells a container of its files.
pub(super) fn signal(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container) {
    let Some(OnChange::Signal(signal)) = service.on_change else { return };
    let Some(cause) = changed(planner, service, replica, container) else { return };
    let subject = Subject::Replica(replica.clone());
    if let Some((wait, until)) = planner.obstacle(&subject) {
        return planner.wait(subject, wait, Some(until));
    }
    let marks = marks(planner, service, replica, |_, state| state.mark.clone());
    planner.act(Op::Signal { target: existing(container), signal, marks }, subject, cause, vec![]);
}

/// The files that changed since a container got them.
fn changed(planner: &Planner<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container) -> Option<Cause> {
    let (found, known) = (planner.files?, planner.memory.files.get(&replica.to_string())?);
    let mounted = mounted_after(container);
    let is_changed = |file: &&FollowedFile| {
        let (Some(state), Some(before)) = (found.get(*file), known.get(&file.path)) else { return false };
        if state.mark.is_absent() || before.is_unread(&state.mark) {
            return false;
        }
        let other = before.digest != state.mark.digest && (!file.replaced_only || before.inode != state.mark.inode);
        other && mounted.is_none_or(|at| at <= state.seen_at)
    };
    let paths: Vec<String> = service.followed.iter().filter(is_changed).map(|file| file.path.clone()).collect();
    (!paths.is_empty()).then_some(Cause::FilesChanged { paths })
}

/// The latest moment of which it is certain that a container's files were mounted after it.
fn mounted_after(container: &Container) -> Option<Timestamp> {
    let start = container.started_at.map(|at| at.saturating_sub(START_TAKES).unwrap_or(at));
    // That of the run before.
    let end = container.finished_at.filter(|_| container.is_up());
    container.created_at.max(start).max(end)
}

/// What is known of a replica's files, made anew by `choose` of each: what was known before, and what was found.
fn marks(
    planner: &Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    choose: impl Fn(Option<&FileMark>, &FileState) -> FileMark,
) -> FileMarks {
    let known = planner.memory.files.get(&replica.to_string());
    let mark = |file: &FollowedFile| {
        let before = known.and_then(|known| known.get(&file.path));
        let mark = match planner.files.and_then(|found| found.get(file)) {
            Some(state) => choose(before, state),
            None => before?.clone(),
        };
        Some((file.path.clone(), mark))
    };
    service.followed.iter().filter_map(mark).collect()
}

fn keep(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    choose: impl Fn(Option<&FileMark>, &FileState) -> FileMark,
) {
    if planner.files.is_none() && !service.followed.is_empty() {
        return;
    }
    let marks = marks(planner, service, replica, choose);
    let known = planner.memory.files.get(&replica.to_string());
    if known.map_or(!marks.is_empty(), |known| *known != marks) {
        planner.note(Note::Files { replica: replica.clone(), marks });
    }
}
