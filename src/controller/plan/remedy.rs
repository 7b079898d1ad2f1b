//! How a rung of recovery is carried out, and by what it is chosen here.
//!
//! A restart is the caller's own affair. The other rungs take several turns: what was decided is in the replica's history, and goes
//! on until the run that failed is replaced by another.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, Decision, DecisionResult, DesiredService, Failure, GoodImage, ImageRecord, Note, Op, PullRule, ReplicaId,
    RolledBack, Rung, Subject, WaitReason, is_pinned, registry_of, repository_of,
};

use super::identity::{Slot, owns};
use super::ladder::{ImageStanding, Situation};
use super::recovery::Trouble;
use super::{Planner, Slots, Wellness, builds, health, images, later, recovery, replace, wellness};

/// A run that ends sooner is one that does not get going.
const SOON: Duration = Duration::from_secs(60);

/// The decision about this failure, if it takes several turns and has been made.
pub(super) fn under_way<'a>(service: &DesiredService, trouble: &Trouble<'a>) -> Option<&'a Decision> {
    let last = trouble.record.last_decision().filter(|last| last.is_about(trouble.at) && last.rung != Rung::Restart)?;
    let same_spec = trouble.record.spec_hash == service.spec_hash;
    let same_container = trouble.container.map_or("", |container| &container.id) == last.container;
    // What was made before its start failed had no id to be known by.
    let here = same_container || (last.container.is_empty() && last.rung != Rung::Recreate);
    (same_spec && here && last.result == DecisionResult::Pending).then_some(last)
}

/// Why a container is to be made anew, if recovery has decided so and has not come to it yet.
pub(super) fn recreation(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> Option<Cause> {
    let replica = container.replica()?;
    let record = planner.history.replicas.get(&replica.to_string())?;
    let failure = record.failure.as_ref()?;
    let trouble = Trouble { container: Some(container), record, at: failure.at, ran_for: Duration::ZERO, message: "" };
    let decision = under_way(service, &trouble).filter(|decision| decision.rung == Rung::Recreate)?;
    let forgiven = recovery::forgiven_at(planner, service).is_some_and(|forgiven| forgiven >= decision.at);
    let well_again = || container.is_up() && !matches!(wellness(service, container, planner.probed), Wellness::Unhealthy { .. });
    if forgiven || well_again() {
        return None;
    }
    let max = recovery::max_attempts(&planner.desired.recovery, service);
    let Decision { attempt, rung, rule, .. } = *decision;
    let cause = Cause::Recovery { attempt, max, failure: failure.message.clone(), rung, rule };
    Some(if failure.unhealthy { health::while_it_runs(cause) } else { cause })
}

/// What the next rung is chosen by.
pub(super) fn situation<'a>(
    planner: &'a Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    trouble: &Trouble<'a>,
    spent: u32,
    max: u32,
) -> Situation<'a> {
    let failure = trouble.record.failure.as_ref().filter(|failure| failure.at == trouble.at);
    let diagnosis = failure.and_then(|failure| failure.diagnosis.as_ref());
    let kin = diagnosis.map(|diagnosis| diagnosis.kin());
    let of_this = planner.memory.experience.iter().filter(|known| known.service == replica.service);
    Situation {
        diagnosis,
        proven: failure.is_some_and(said_by_the_engine),
        soon: trouble.ran_for < SOON,
        tried: if spent == 0 { &[] } else { trouble.record.series() },
        taken: Some(&trouble.record.taken).filter(|_| spent > 0),
        spent,
        max,
        possible: possible(planner, service, trouble),
        rejected: &trouble.record.rejected,
        experience: of_this.filter(|known| Some(&known.signature) == kin.as_ref()).collect(),
        image: if has_run(trouble.container) { ImageStanding::Worked } else { standing(planner, service, trouble.container) },
    }
}

/// Whether this very container, which is not started now, ran before: what its start lacks was there.
fn has_run(container: Option<&Container>) -> bool {
    container.is_some_and(|container| container.started_at.is_some() && !container.error.is_empty())
}

/// It was not started, or its end is explained by the engine itself.
fn said_by_the_engine(failure: &Failure) -> bool {
    let refused = failure.exit_code.is_none() && !failure.unhealthy;
    refused || !failure.run.error.is_empty()
}

/// The rungs that the specification allows, and that there is something to.
fn possible(planner: &Planner<'_>, service: &DesiredService, trouble: &Trouble<'_>) -> Vec<Rung> {
    let actions = &planner.desired.recovery.actions;
    // What somebody else made is replaced on request only.
    let may_be_replaced = trouble.container.is_none_or(|container| owns(planner.desired, &container.labels));
    let image_fails = || !serves_others(planner, service, trouble.container);
    let can = |rung: &Rung| match (rung, trouble.container) {
        (Rung::Restart, _) => true,
        _ if !may_be_replaced => false,
        // A start makes one, where starts are allowed.
        (Rung::Recreate, None) => !actions.contains(&Rung::Restart),
        (Rung::Recreate, Some(container)) => is_of_its_image(planner, service, container),
        (Rung::Pull, _) => can_be_pulled(planner, service) && image_fails(),
        (Rung::Rebuild, _) => builds::can_be_built(planner, &service.template.image) && image_fails(),
        (Rung::Rollback, container) => way_back(planner, service, container).is_some(),
    };
    Rung::ALL.into_iter().filter(|rung| actions.contains(rung) && can(rung)).collect()
}

/// Whether another one made in its place would be of the same image: not of none, and not of one that somebody else tagged since.
fn is_of_its_image(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> bool {
    planner.snapshot.image(&service.template.image).is_some_and(|tagged| tagged.id == container.image_id)
}

/// Whether another container does well with the image that fails here: then the image is not to blame, and that one not to be
/// replaced for it.
fn serves_others(planner: &Planner<'_>, service: &DesiredService, container: Option<&Container>) -> bool {
    let desired = planner.desired;
    let Some(image) = image_id(planner, service, container) else { return false };
    let is_well = |other: &Container| {
        let replica = other.replica()?;
        let service = desired.services.get(&replica.service)?;
        let failed = planner.history.replicas.get(&replica.to_string()).and_then(|record| record.failure.as_ref());
        // Between two crashes it looks well, too.
        let settled = failed.is_none() || later(other.started_at?, desired.recovery.verify_window) <= planner.now;
        Some(settled && wellness(service, other, planner.probed).is_well())
    };
    let mut others = planner.snapshot.containers.related(&desired.key, &desired.project).filter(|other| other.is_up());
    others.any(|other| {
        other.image_id == image && container.is_none_or(|failed| failed.id != other.id) && is_well(other) == Some(true)
    })
}

/// Its policy lets newer versions in, and it came from a registry that may be asked: what was only built or loaded here has none,
/// and must not be taken for somebody else's image of that name.
fn can_be_pulled(planner: &Planner<'_>, service: &DesiredService) -> bool {
    let image = &service.template.image;
    let policy = matches!(service.pull, PullRule::Always | PullRule::Every(_));
    let repository = repository_of(image);
    let of_registry = |digest: &String| digest.split_once('@').is_some_and(|(name, _)| name == repository);
    let came = planner.snapshot.image(image).is_some_and(|found| found.digests.iter().any(of_registry));
    let limited = planner.registries.get(registry_of(image)).is_some_and(|view| view.limited_until(planner.now).is_some());
    let free = planner.obstacle(&Subject::Image(image.clone())).is_none();
    policy && came && !limited && free && !is_pinned(image) && !builds::is_built(planner, image)
}

/// The image that a container runs, or that the next one would.
fn image_id<'a>(planner: &'a Planner<'_>, service: &DesiredService, container: Option<&'a Container>) -> Option<&'a str> {
    let tagged = || planner.snapshot.image(&service.template.image).map(|image| image.id.as_str());
    container.map(|container| container.image_id.as_str()).or_else(tagged)
}

fn good<'a>(planner: &'a Planner<'_>, service: &DesiredService) -> Option<&'a GoodImage> {
    let known = planner.memory.good.get(&service.name)?;
    (known.spec_hash == service.spec_hash && known.reference == service.template.image).then_some(known)
}

fn standing(planner: &Planner<'_>, service: &DesiredService, container: Option<&Container>) -> ImageStanding {
    match (good(planner, service), image_id(planner, service, container)) {
        (Some(known), Some(id)) if known.image_id == id => ImageStanding::Worked,
        (Some(_), Some(_)) => ImageStanding::New,
        _ => ImageStanding::Unproven,
    }
}

/// The image to go back to: one that worked under this very specification, that is another one, and that is still here.
fn way_back<'a>(planner: &'a Planner<'_>, service: &DesiredService, container: Option<&Container>) -> Option<&'a GoodImage> {
    let known = good(planner, service)?;
    let other = image_id(planner, service, container).is_some_and(|id| id != known.image_id);
    (other && !is_pinned(&known.reference) && planner.snapshot.images.contains_key(&known.image_id)).then_some(known)
}

/// Carries out the rung that a cause names. `false`: what is left of it is to start the container as it is.
pub(super) fn carry_out(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: Option<&Container>,
    cause: &Cause,
) -> bool {
    match cause.rung() {
        None | Some(Rung::Restart) => false,
        Some(Rung::Recreate) if container.is_none() => false,
        Some(Rung::Recreate) => {
            // A successor that was made for something else is on its way out.
            let slot = Slot { successor: None, ..slots.get(replica) };
            replace::step(planner, slots, service, replica, slot, cause.clone());
            true
        }
        Some(Rung::Pull) => pull(planner, service, replica, container, cause),
        Some(Rung::Rebuild) => rebuild(planner, service, replica, container, cause),
        Some(Rung::Rollback) => roll_back(planner, service, replica, container, cause),
    }
}

/// Pulls the image once for this failure; a newer one then replaces the container.
fn pull(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: Option<&Container>,
    cause: &Cause,
) -> bool {
    let image = service.template.image.clone();
    let began = planner.memory.images.get(&image).map(|record: &ImageRecord| record.began);
    if is_done(planner, replica, &image, began) {
        return false;
    }
    match images::get(planner, service, remedy(replica, cause)) {
        Ok(()) => wait_for_image(planner, &image, container, WaitReason::Pulling),
        Err((WaitReason::RegistryBusy { registry, .. }, until)) => {
            let needed = !container.is_some_and(Container::is_up);
            images::wait_once(planner, &image, WaitReason::RegistryBusy { registry, needed }, until);
        }
        Err(_) => return false,
    }
    true
}

/// The same with a build.
fn rebuild(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: Option<&Container>,
    cause: &Cause,
) -> bool {
    let Some(image) = builds::builder(planner, &service.template.image).map(|(_, build)| build.image.clone()) else {
        return false;
    };
    let began = planner.memory.builds.get(&image).map(|record| record.began);
    if is_done(planner, replica, &image, began) {
        return false;
    }
    let got = matches!(builds::again(planner, service, remedy(replica, cause)), Some(Ok(())));
    if got {
        wait_for_image(planner, &image, container, WaitReason::Building { input: String::new(), failed: None });
    }
    got
}

/// Gives the reference back to the image that worked; all containers of the other one are replaced then, one at a time.
fn roll_back(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: Option<&Container>,
    cause: &Cause,
) -> bool {
    let from = image_id(planner, service, container).map(str::to_owned);
    let (Some(to), Some(from)) = (way_back(planner, service, container).map(|good| good.image_id.clone()), from) else {
        return false;
    };
    let reference = service.template.image.clone();
    let subject = Subject::Image(reference.clone());
    let named = planner.snapshot.image(&reference).is_some_and(|tagged| tagged.id == to);
    let known = planner.memory.rolled_back.get(&service.name).is_some_and(|back| back.from == from && back.to == to);
    if named && known {
        // Its turn to be replaced comes; one that is not to be is started as it is.
        return container.is_some_and(|container| images::outdated(planner, service, container).is_some());
    }
    // Another service that shares it may have taken it back in this turn; each remembers that for itself.
    let same = |op: &Op| matches!(op, Op::Tag { image_id, .. } if *image_id == to);
    let other = planner.plan.actions.iter().any(|action| action.subject == subject && !same(&action.op));
    let noted = |note: &Note| matches!(note, Note::RolledBack { service: whose, .. } if *whose == service.name);
    if other || planner.plan.notes.iter().any(noted) {
        return true;
    }
    if let Some((wait, until)) = planner.obstacle(&subject) {
        planner.wait_replica(replica, wait, Some(until));
        return true;
    }
    let record = RolledBack { spec_hash: service.spec_hash.clone(), from, to: to.clone(), at: planner.now };
    planner.act(Op::Tag { image_id: to, reference: reference.clone() }, subject, remedy(replica, cause), vec![]);
    planner.note(Note::RolledBack { service: service.name.clone(), reference, record });
    true
}

fn remedy(replica: &ReplicaId, cause: &Cause) -> Cause {
    Cause::Remedy { replica: replica.clone(), cause: Box::new(cause.clone()) }
}

/// Whether an image was got since the replica failed, or could not be: then it is not tried again for the same failure.
fn is_done(planner: &Planner<'_>, replica: &ReplicaId, image: &str, began: Option<Timestamp>) -> bool {
    let Some(failed_at) = planner.history.replica(replica).failure.map(|failure| failure.at) else { return false };
    let obstacle = planner.history.obstacles.get(&Subject::Image(image.to_owned()).to_string());
    began.max(obstacle.map(|obstacle| obstacle.last_at)).is_some_and(|at| at >= failed_at)
}

/// One that runs goes on meanwhile.
fn wait_for_image(planner: &mut Planner<'_>, image: &str, container: Option<&Container>, reason: WaitReason) {
    let runs = container.is_some_and(Container::is_up);
    images::wait_once(planner, image, if runs { WaitReason::Refreshing } else { reason }, None);
}
