//! Images that are built: when a build is due, and what containers are made from meanwhile.
//!
//! A build is due when its image is missing, when what it is built from changed since the build that is remembered
//! ([`Memory::builds`](crate::model::Memory)), or when somebody asked for one. Until it has succeeded what runs goes on, and a container that
//! vanished is made anew from what was built last: a slip in a Dockerfile takes nothing down.

use jiff::Timestamp;

use crate::model::{
    BuildInput, BuildRecord, BuildSpec, Cause, Container, Desired, DesiredService, JobKind, Memory, Obstacle, Op, Reason,
    ReplicaId, Subject, WaitReason, familiar_reference,
};

use super::Planner;
use super::holds::{Standing, standing};
use super::images::{is_planned, wait_once};

/// Whether a build is to be made.
enum Due<'a> {
    /// The image is the one that comes of what is there.
    No,
    /// It has not been read yet what is there.
    Unknown,
    /// What is there cannot be read.
    Unreadable(&'a str),
    /// Yes: why, and of which input.
    Yes(Cause, &'a str),
}

/// The service whose build makes an image: that of the service itself, or of another one that gives it the same name.
pub(super) fn builder<'a>(planner: &Planner<'a>, image: &str) -> Option<(&'a DesiredService, &'a BuildSpec)> {
    builder_of(planner.desired, image)
}

fn builder_of<'a>(desired: &'a Desired, image: &str) -> Option<(&'a DesiredService, &'a BuildSpec)> {
    let wanted = familiar_reference(image);
    let build = |service: &'a DesiredService| Some((service, service.build.as_ref()?));
    desired.services.values().filter_map(build).find(|(_, build)| familiar_reference(&build.image) == wanted)
}

/// What was built last under the name that the builder gives it, which may spell it otherwise than who uses it.
pub(super) fn record<'a>(desired: &Desired, memory: &'a Memory, image: &str) -> Option<&'a BuildRecord> {
    builder_of(desired, image).and_then(|(_, build)| memory.builds.get(&build.image))
}

/// Whether an image is built, so that it is never pulled.
pub(super) fn is_built(planner: &Planner<'_>, image: &str) -> bool {
    builder(planner, image).is_some()
}

/// Whether a container may be made from a service's image now; if not, plans its build or says what it waits for. `None`: the
/// image is not built. What was built last has to do where nothing is `serving`.
pub(super) fn ensure(planner: &mut Planner<'_>, service: &DesiredService, serving: bool) -> Option<bool> {
    let (builder, build) = builder(planner, &service.template.image)?;
    let due = due(planner, builder, build);
    let present = planner.snapshot.image(&build.image).is_some();
    if present && (matches!(due, Due::No) || !serving && planner.memory.builds.contains_key(&build.image)) {
        return Some(true);
    }
    settle(planner, builder, build, due);
    Some(false)
}

/// Sees to it that a service's image is the one that comes of what is there. What runs goes on meanwhile.
pub(super) fn refresh(planner: &mut Planner<'_>, service: &DesiredService) {
    let Some((builder, build)) = builder(planner, &service.template.image) else { return };
    if builder.name == service.name && is_wanted(planner, build) {
        let due = due(planner, builder, build);
        settle(planner, builder, build, due);
    }
}

/// Why a container must give way to a newer image, if it must: evenkeel built one, the reference still names that one, and the
/// container runs another.
pub(super) fn outdated(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> Option<Cause> {
    let image = &service.template.image;
    let (_, build) = builder(planner, image)?;
    let record = planner.memory.builds.get(&build.image)?;
    let tagged = planner.snapshot.image(image)?;
    let same_reference = familiar_reference(&container.image) == familiar_reference(image);
    let outdated = tagged.id == record.image_id && container.image_id != record.image_id && same_reference;
    outdated.then(|| Cause::ImageChanged { from: container.image_id.clone(), to: record.image_id.clone() })
}

/// Whether an image can be built now: it is known from what, and nothing is in the way.
pub(super) fn can_be_built(planner: &Planner<'_>, image: &str) -> bool {
    builder(planner, image).is_some_and(|(builder, build)| {
        let readable = matches!(planner.inputs.get(&builder.name), Some(BuildInput::Digest(_)));
        readable && planner.obstacle(&Subject::Image(build.image.clone())).is_none()
    })
}

/// Whether any container of the image may run and has not run to its end.
fn is_wanted(planner: &Planner<'_>, build: &BuildSpec) -> bool {
    let wanted = familiar_reference(&build.image);
    let uses = |service: &&DesiredService| familiar_reference(&service.template.image) == wanted;
    planner.desired.services.values().filter(uses).any(|service| {
        let mut replicas = (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number));
        replicas.any(|replica| {
            matches!(standing(planner, &replica), Standing::Free)
                && planner.memory.completed(&replica, &service.spec_hash).is_none()
        })
    })
}

fn due<'a>(planner: &Planner<'a>, builder: &DesiredService, build: &BuildSpec) -> Due<'a> {
    let digest = match planner.inputs.get(&builder.name) {
        None => return Due::Unknown,
        Some(BuildInput::Unreadable(why)) => return Due::Unreadable(why),
        Some(BuildInput::Digest(digest)) => digest,
    };
    let record = planner.memory.builds.get(&build.image);
    let present = planner.snapshot.image(&build.image).is_some();
    match record {
        Some(record) if record.input != *digest => Due::Yes(Cause::InputChanged, digest),
        _ if is_asked_for(builder, record) => Due::Yes(Cause::RebuildRequested, digest),
        Some(_) if present => Due::No,
        Some(record) if planner.snapshot.images.contains_key(&record.image_id) => Due::No,
        Some(_) => Due::Yes(Cause::Vanished, digest),
        None if present => Due::Yes(Cause::InputChanged, digest),
        None => Due::Yes(Cause::Missing, digest),
    }
}

/// Whether `evenkeel rebuild` was said and not fulfilled since: what began before it may have missed what it was for.
fn is_asked_for(builder: &DesiredService, record: Option<&BuildRecord>) -> bool {
    builder.rebuild.is_some_and(|asked| record.is_some_and(|record| record.began < asked.at))
}

/// Does what is due, and says what is waited for.
fn settle(planner: &mut Planner<'_>, builder: &DesiredService, build: &BuildSpec, due: Due<'_>) {
    let image = &build.image;
    match due {
        Due::No => give_name_back(planner, image),
        Due::Unknown => {
            let usable = planner.snapshot.image(image).is_some() && planner.memory.builds.contains_key(image);
            if !usable {
                wait_once(planner, image, WaitReason::ReadingInput, None);
            }
        }
        Due::Unreadable(why) => {
            let message = format!("image {image} cannot be built: {why}");
            wait_once(planner, image, WaitReason::Obstacle { reason: Reason::BuildFailed, message }, None);
        }
        Due::Yes(cause, input) => match get(planner, builder, build, cause, input, false) {
            Ok(()) => {
                let failed = failure(planner, image, input).map(|failed| failed.message.clone());
                wait_once(planner, image, WaitReason::Building { input: input.to_owned(), failed }, None);
            }
            Err((wait, until)) => wait_once(planner, image, wait, Some(until)),
        },
    }
}

/// Builds an image again, from the same and without cached layers: it is under way or planned, or what that waits for. `None`: it
/// is not built, or what it is built from is not known.
pub(super) fn again(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    cause: Cause,
) -> Option<Result<(), (WaitReason, Timestamp)>> {
    let (builder, build) = builder(planner, &service.template.image)?;
    let Some(BuildInput::Digest(input)) = planner.inputs.get(&builder.name) else { return None };
    Some(get(planner, builder, build, cause, input, true))
}

/// The one way to build an image: it is under way or planned, or what that waits for; `anew`: without cached layers.
fn get(
    planner: &mut Planner<'_>,
    builder: &DesiredService,
    build: &BuildSpec,
    cause: Cause,
    input: &str,
    anew: bool,
) -> Result<(), (WaitReason, Timestamp)> {
    let subject = Subject::Image(build.image.clone());
    let kind = JobKind::Build { image: build.image.clone(), input: input.to_owned() };
    if planner.want(kind) || is_planned(planner, &subject) {
        return Ok(());
    }
    // Another input is tried at once, whatever became of the last one.
    if let Some(obstacle) = planner.obstacle(&subject).filter(|_| failure(planner, &build.image, input).is_some()) {
        return Err(obstacle);
    }
    let mut spec = build.clone();
    spec.no_cache |= anew;
    let record = planner.memory.builds.get(&build.image);
    if let Some(asked) = builder.rebuild.filter(|asked| record.is_none_or(|record| record.began < asked.at)) {
        spec.no_cache |= asked.no_cache;
        spec.pull |= asked.pull;
    }
    planner.act(Op::Build { spec: Box::new(spec), input: input.to_owned() }, subject, cause, vec![]);
    Ok(())
}

/// The failure of the last build, if it was of this input.
fn failure<'a>(planner: &Planner<'a>, image: &str, input: &str) -> Option<&'a Obstacle> {
    let last = planner.history.obstacles.get(&Subject::Image(image.to_owned()).to_string())?;
    last.input.as_deref().is_none_or(|tried| tried == input).then_some(last)
}

/// Gives the image that was built last its name back, if nothing has it any more (`docker rmi` only took the name).
fn give_name_back(planner: &mut Planner<'_>, image: &str) {
    let subject = Subject::Image(image.to_owned());
    if planner.snapshot.image(image).is_some() || is_planned(planner, &subject) || planner.obstacle(&subject).is_some() {
        return;
    }
    let Some(record) = planner.memory.builds.get(image) else { return };
    let op = Op::Tag { image_id: record.image_id.clone(), reference: image.to_owned() };
    planner.act(op, subject, Cause::TagMissing, vec![]);
}
