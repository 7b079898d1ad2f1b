//! Images: one that is present is used, a missing one is pulled. Those that are built are in `builds`.

use jiff::Timestamp;

use crate::model::{Cause, Container, DesiredService, JobKind, Op, PullRule, Reason, Subject, WaitReason};

use super::{Planner, builds};

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
    let subject = Subject::Image(image.clone());
    if service.pull == PullRule::Never {
        let message = format!("image {image} is not on this engine and pull_policy is never; build or load it, or allow pulls");
        planner.wait(subject, WaitReason::Obstacle { reason: Reason::ImageMissing, message }, None);
        return false;
    }
    if let Some((wait, until)) = planner.obstacle(&subject) {
        planner.wait(subject, wait, Some(until));
        return false;
    }
    if !is_planned(planner, &subject) && !planner.job(&JobKind::Pull(image.clone())) {
        let op = Op::Pull { image: image.clone(), platform: service.template.platform.clone() };
        planner.act(op, subject.clone(), Cause::Missing, vec![]);
    }
    wait_once(planner, image, WaitReason::Pulling, None);
    false
}

/// Gives the image of a running container its tag back, if nothing has that tag any more (`docker rmi` only took the name).
pub(super) fn retag(planner: &mut Planner<'_>, service: &DesiredService, container: &Container) {
    let reference = &service.template.image;
    let by_name = !reference.contains('@') && !reference.starts_with("sha256:") && container.image == *reference;
    if !by_name || planner.snapshot.image(reference).is_some() || !planner.snapshot.images.contains_key(&container.image_id) {
        return;
    }
    let subject = Subject::Image(reference.clone());
    if planner.obstacle(&subject).is_none() && !is_planned(planner, &subject) {
        let op = Op::Tag { image_id: container.image_id.clone(), reference: reference.clone() };
        planner.act(op, subject, Cause::TagMissing, vec![]);
    }
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
