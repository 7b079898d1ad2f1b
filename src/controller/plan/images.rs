//! Images: one that is present is used, a missing one is pulled.

use crate::model::{Cause, Container, DesiredService, JobKind, Op, PullRule, Reason, Subject, WaitReason};

use super::Planner;

/// Whether a service's image is there; if not, plans its pull or says what it waits for.
pub(super) fn ensure(planner: &mut Planner<'_>, service: &DesiredService) -> bool {
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
    let planned = planner.plan.actions.iter().any(|action| action.subject == subject);
    if !planned && !planner.job(&JobKind::Pull(image.clone())) {
        let op = Op::Pull { image: image.clone(), platform: service.template.platform.clone() };
        planner.act(op, subject.clone(), Cause::Missing, vec![]);
    }
    if !planner.plan.waiting.iter().any(|waiting| waiting.subject == subject) {
        planner.wait(subject, WaitReason::Pulling, None);
    }
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
    if let Some((_, until)) = planner.obstacle(&subject) {
        return planner.plan.wake(until);
    }
    if !planner.plan.actions.iter().any(|action| action.subject == subject) {
        let op = Op::Tag { image_id: container.image_id.clone(), reference: reference.clone() };
        planner.act(op, subject, Cause::TagMissing, vec![]);
    }
}
