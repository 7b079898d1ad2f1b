//! Images: one that is present is used, a missing one is pulled, and a newer one is looked for when the policy or a person says so.
//!
//! How an image is got is in one place, [`get`]. What a pull brought is in [`Memory::images`](crate::model::Memory): a container
//! is replaced only for what evenkeel itself pulled for its Deployment, never because somebody else moved a tag. Images that are
//! built are in `builds`.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, Desired, DesiredService, ImageRecord, JobKind, Memory, Note, Op, PullRule, Reason, ReplicaId, RolledBack,
    Subject, WaitReason, familiar_reference, fraction, is_pinned, registry_of,
};

use super::holds::any_free;
use super::{Planner, Slots, builds, later};

/// A pull serves all containers that are made so soon after it.
const WAVE: Duration = Duration::from_secs(60);

/// What keeps an image away is waited for so long where nothing serves, before one that is there has to do: long enough for
/// another try or two.
const PATIENCE: Duration = Duration::from_secs(10);

/// Polls are spread over so much of their interval, so that many Deployments do not ask in step.
const POLL_SPREAD: f64 = 0.1;

/// And over no more than this.
const POLL_SPREAD_MAX: Duration = Duration::from_secs(3600);

/// Whether a container may be made from a service's image; if not, plans to get it or says what it waits for. `serving`: a
/// container that is to be replaced runs meanwhile.
pub(super) fn ensure(planner: &mut Planner<'_>, service: &DesiredService, serving: bool) -> bool {
    if let Some(built) = builds::ensure(planner, service, serving) {
        return built;
    }
    let image = &service.template.image;
    if planner.snapshot.image(image).is_some() {
        return true;
    }
    if service.pull == PullRule::Never {
        let message = format!("image {image} is not on this engine and pull_policy is never; build or load it, or allow pulls");
        wait_once(planner, image, WaitReason::Obstacle { reason: Reason::ImageMissing, message }, None);
        return false;
    }
    match get(planner, service, Cause::Missing) {
        Ok(()) => wait_once(planner, image, WaitReason::Pulling, None),
        Err((wait, until)) => wait_once(planner, image, wait, until),
    }
    false
}

/// Whether a container may be made now, for `cause`, from the image that is there: the policy may want a newer one first. When
/// that cannot be had for more than a moment and nothing is `serving`, the one that is there has to do, and the pull is owed.
pub(super) fn newest(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    cause: &Cause,
    serving: bool,
) -> bool {
    let image = &service.template.image;
    if builds::is_built(planner, image) {
        return true;
    }
    let Some(pull) = due_before(planner, service, replica, cause) else { return true };
    match get(planner, service, pull) {
        Ok(()) => wait_once(planner, image, WaitReason::Pulling, None),
        Err((WaitReason::Obstacle { message, .. }, until)) if !serving && !passes_soon(planner, image, until) => {
            planner.note(Note::OldImage { replica: replica.clone(), image: image.clone(), failure: message });
            return true;
        }
        Err((wait, until)) => wait_once(planner, image, wait, until),
    }
    false
}

/// Whether what keeps an image away is over, at `until`, so soon after it began that it can be waited for.
fn passes_soon(planner: &Planner<'_>, image: &str, until: Option<Timestamp>) -> bool {
    let obstacle = planner.history.obstacles.get(&Subject::Image(image.to_owned()).to_string());
    let since = obstacle.map_or(planner.now, |obstacle| obstacle.since);
    until.is_some_and(|until| until <= later(since, PATIENCE))
}

/// Looks for a newer image where that was asked for or is due. What runs goes on meanwhile, and what is stopped stays so.
pub(super) fn refresh(planner: &mut Planner<'_>, slots: &Slots<'_>, service: &DesiredService) {
    let image = &service.template.image;
    if is_pinned(image) || service.pull == PullRule::Never || builds::is_built(planner, image) {
        return;
    }
    let cause = if is_asked_for(planner, service) {
        Cause::PullRequested
    } else if is_owed(planner, service) {
        Cause::PullDue
    } else {
        let PullRule::Every(interval) = service.pull else { return };
        if !serves(planner, slots, service) {
            return;
        }
        let due = poll_due(planner, service, interval);
        if planner.now < due {
            return planner.plan.wake(due);
        }
        Cause::PullDue
    };
    match get(planner, service, cause) {
        Ok(()) => wait_once(planner, image, WaitReason::Refreshing, None),
        Err((WaitReason::Obstacle { message, .. }, until)) => {
            wait_once(planner, image, WaitReason::NotRefreshed { message }, until);
        }
        Err((WaitReason::RegistryBusy { registry, .. }, until)) => {
            wait_once(planner, image, WaitReason::RegistryBusy { registry, needed: false }, until);
        }
        Err((wait, until)) => wait_once(planner, image, wait, until),
    }
}

/// Why a container must give way to a newer image, if it must: evenkeel pulled one for this Deployment, the reference still
/// names that one, and the container runs another.
pub(super) fn outdated(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> Option<Cause> {
    let image = &service.template.image;
    if let Some(back) = taken_back(planner.desired, planner.memory, service) {
        let tagged = planner.snapshot.image(image).is_some_and(|tagged| tagged.id == back.to);
        let cause = || Cause::RolledBack { from: back.from.clone(), to: back.to.clone() };
        return (tagged && container.image_id == back.from).then(cause);
    }
    if builds::is_built(planner, image) {
        return builds::outdated(planner, service, container);
    }
    let record = planner.memory.images.get(image)?;
    let tagged = planner.snapshot.image(image)?;
    let same_reference = familiar_reference(&container.image) == familiar_reference(image);
    if tagged.id != record.image_id || container.image_id == record.image_id || !same_reference {
        return None;
    }
    let digest = |image: &crate::model::Image| image.digests.first()?.split_once('@').map(|(_, digest)| digest.to_owned());
    let runs = planner.snapshot.images.get(&container.image_id).and_then(digest);
    Some(Cause::ImageChanged {
        from: runs.unwrap_or_else(|| container.image_id.clone()),
        to: record.digest.clone().unwrap_or_else(|| record.image_id.clone()),
    })
}

/// The way back from an image that failed to one that worked, as long as it is in force: under the same specification, until a
/// newer image is there or somebody asks for one.
pub(crate) fn taken_back<'a>(desired: &Desired, memory: &'a Memory, service: &DesiredService) -> Option<&'a RolledBack> {
    let image = &service.template.image;
    let back = memory.rolled_back.get(&service.name).filter(|back| back.spec_hash == service.spec_hash)?;
    let asked = service.pulled_at.max(service.rebuild.map(|asked| asked.at)).is_some_and(|asked| asked > back.at);
    let pulled = || memory.images.get(image).map(|record| (&record.image_id, record.at));
    let built = builds::record(desired, memory, image).map(|record| (&record.image_id, record.at));
    // What was there before has failed, or is not what the reference named.
    let newer = built.or_else(pulled).is_some_and(|(id, at)| at > back.at && *id != back.from && *id != back.to);
    (!asked && !newer).then_some(back)
}

/// Gives a reference back to the image that worked, before a container is made from it; the action, if there is one to come after.
pub(super) fn take_back(planner: &mut Planner<'_>, service: &DesiredService) -> Option<usize> {
    let reference = &service.template.image;
    let back = taken_back(planner.desired, planner.memory, service)?;
    let moved = planner.snapshot.image(reference).is_some_and(|tagged| tagged.id == back.from);
    if !moved || !planner.snapshot.images.contains_key(&back.to) {
        return None;
    }
    let subject = Subject::Image(reference.clone());
    if let Some(planned) = planner.plan.actions.iter().position(|action| action.subject == subject) {
        return Some(planned);
    }
    let cause = Cause::RolledBack { from: back.from.clone(), to: back.to.clone() };
    Some(planner.act(Op::Tag { image_id: back.to.clone(), reference: reference.clone() }, subject, cause, vec![]))
}

/// Gives the image of a running container its tag back, if nothing has that tag any more (`docker rmi` only took the name).
pub(super) fn retag(planner: &mut Planner<'_>, service: &DesiredService, container: &Container) {
    let reference = &service.template.image;
    let by_name = !is_pinned(reference) && container.image == *reference;
    if !by_name || planner.snapshot.image(reference).is_some() || !planner.snapshot.images.contains_key(&container.image_id) {
        return;
    }
    let subject = Subject::Image(reference.clone());
    if let Some((_, until)) = planner.obstacle(&subject) {
        return planner.plan.wake(until);
    }
    if !is_planned(planner, &subject) {
        let op = Op::Tag { image_id: container.image_id.clone(), reference: reference.clone() };
        planner.act(op, subject, Cause::TagMissing, vec![]);
    }
}

/// The one way to get an image: its pull is under way or planned, or what that waits for.
pub(super) fn get(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    cause: Cause,
) -> Result<(), (WaitReason, Option<Timestamp>)> {
    let image = &service.template.image;
    let subject = Subject::Image(image.clone());
    if planner.want(JobKind::Pull(image.clone())) || is_planned(planner, &subject) {
        return Ok(());
    }
    let registry = registry_of(image);
    let view = planner.registries.get(registry).cloned().unwrap_or_default();
    if let Some(limit) = view.limited_until(planner.now) {
        let reason = Reason::RegistryRateLimited;
        let message = format!("{reason}: registry {registry} wants to be asked less often; nothing is pulled from it meanwhile");
        return Err((
            WaitReason::Obstacle { reason: Reason::ImagePullBackOff, message: format!("{message}: {}", limit.message) },
            Some(limit.until),
        ));
    }
    if let Some((wait, until)) = planner.obstacle(&subject) {
        return Err((wait, Some(until)));
    }
    let from_there = |op: &Op| matches!(op, Op::Pull { image, .. } if registry_of(image) == registry);
    let planned = planner.plan.actions.iter().filter(|action| from_there(&action.op)).count();
    if !view.has_room(planned) {
        return Err((WaitReason::RegistryBusy { registry: registry.to_owned(), needed: true }, None));
    }
    let op = Op::Pull { image: image.clone(), platform: service.template.platform.clone() };
    planner.act(op, subject, cause, vec![]);
    Ok(())
}

/// Why a pull has to come before a container is made from an image that is there, if it has to.
fn due_before(planner: &Planner<'_>, service: &DesiredService, replica: &ReplicaId, made: &Cause) -> Option<Cause> {
    if is_pinned(&service.template.image) || made.keeps_image() {
        return None;
    }
    match service.pull {
        PullRule::Always if !is_covered(planner, service, replica, made) => {
            Some(Cause::PullAlways { replica: replica.clone(), made: Box::new(made.clone()) })
        }
        PullRule::Every(interval) if poll_due(planner, service, interval) <= planner.now => Some(Cause::PullDue),
        _ => None,
    }
}

/// Whether a pull that was made counts for a container that is made now. One for the same specification does, until a container
/// came of it, and for a moment longer; one of a moment ago does where somebody removed a container. A replica that fails is not
/// pulled for again and again.
fn is_covered(planner: &Planner<'_>, service: &DesiredService, replica: &ReplicaId, made: &Cause) -> bool {
    let history = planner.history.replica(replica);
    let fails = history.failure.is_some() || history.attempts > 0;
    let Some(record) = planner.memory.images.get(&service.template.image) else { return fails };
    let for_this_spec = record.specs.contains(&service.spec_hash);
    let used = || {
        let of_service = |container: &Container| container.replica().is_some_and(|replica| replica.service == service.name);
        let mut containers = planner.snapshot.containers.related(&planner.desired.key, &planner.desired.project);
        containers.any(|found| {
            super::identity::owns(planner.desired, &found.labels)
                && of_service(found)
                && found.created_at.is_some_and(|made| made > record.at)
        })
    };
    let of_a_moment_ago = planner.now < later(record.at, WAVE);
    match made {
        Cause::Vanished => fails || of_a_moment_ago,
        Cause::Missing => fails || (for_this_spec && (of_a_moment_ago || !used())),
        _ => for_this_spec,
    }
}

/// Whether `evenkeel pull` was said and not fulfilled since: what began before it may have missed what it was for.
fn is_asked_for(planner: &Planner<'_>, service: &DesiredService) -> bool {
    let record = planner.memory.images.get(&service.template.image);
    service.pulled_at.is_some_and(|asked| record.is_none_or(|record| record.began < asked))
}

/// Whether a container was made from the image that was there, though the policy wants a pull first, and none succeeded since.
fn is_owed(planner: &Planner<'_>, service: &DesiredService) -> bool {
    service.pull == PullRule::Always && planner.history.owed_pulls.contains(&service.template.image) && any_free(planner, service)
}

/// When the registry is to be looked at again.
fn poll_due(planner: &Planner<'_>, service: &DesiredService, interval: Duration) -> Timestamp {
    let image = &service.template.image;
    planner.memory.images.get(image).map_or(planner.now, |record| next_poll(record, interval, &planner.seed(image)))
}

/// When the poll after that record is due, with its spread: the same question always has the same answer.
pub(crate) fn next_poll(record: &ImageRecord, interval: Duration, seed: &str) -> Timestamp {
    let spread = interval.mul_f64(POLL_SPREAD).min(POLL_SPREAD_MAX);
    later(record.at, interval.saturating_add(spread.mul_f64(fraction(seed))))
}

/// Whether any container of the service is up and may be.
fn serves(planner: &Planner<'_>, slots: &Slots<'_>, service: &DesiredService) -> bool {
    let mut replicas = (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number));
    any_free(planner, service) && replicas.any(|replica| slots.get(&replica).current.is_some_and(Container::is_up))
}

/// Whether something is planned for that subject.
pub(super) fn is_planned(planner: &Planner<'_>, subject: &Subject) -> bool {
    planner.plan.actions.iter().any(|action| action.subject == *subject)
}

/// Says once what an image waits for, though several replicas need it.
pub(super) fn wait_once(planner: &mut Planner<'_>, image: &str, reason: WaitReason, until: Option<Timestamp>) {
    let subject = Subject::Image(image.to_owned());
    if !planner.plan.waiting.iter().any(|waiting| waiting.subject == subject) {
        planner.wait(subject, reason, until);
    }
}
