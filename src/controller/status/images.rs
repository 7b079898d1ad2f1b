//! Images, as the status shows them: what pulls brought, why they fail, and tags that somebody else moved.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::controller::plan::{next_poll, taken_back as taken_back_of};
use crate::crd::{ImageStatus, PullFailure};
use crate::model::{Container, DesiredService, PullRule, ReplicaId, Subject, familiar_reference, is_pinned};

use super::Sight;

/// What is known of a service's image; `None`: it was never pulled by evenkeel.
pub(super) fn image_status(sight: &Sight<'_>, service: &DesiredService) -> Option<ImageStatus> {
    if service.build.is_some() {
        return None;
    }
    let reference = &service.template.image;
    let record = sight.memory.images.get(reference);
    let obstacle = sight.history.obstacles.get(&Subject::Image(reference.clone()).to_string());
    if record.is_none() && obstacle.is_none() {
        return None;
    }
    let next_pull_at = match service.pull {
        PullRule::Every(interval) if !is_pinned(reference) => {
            record.map(|record| Time(next_poll(record, interval, &format!("{}/{reference}", sight.desired.key))))
        }
        _ => None,
    };
    Some(ImageStatus {
        reference: reference.clone(),
        id: record.map(|record| record.image_id.clone()),
        digest: record.and_then(|record| record.digest.clone()),
        pulled_at: record.map(|record| MicroTime(record.began)),
        next_pull_at,
        failure: obstacle.map(|obstacle| PullFailure {
            reason: obstacle.kind.pull_reason().to_string(),
            message: obstacle.message.clone(),
            tries: obstacle.tries,
            at: Some(MicroTime(obstacle.last_at)),
        }),
    })
}

/// A container that runs the image that worked before, since the newer one failed.
pub(super) fn taken_back(sight: &Sight<'_>, replica: &ReplicaId, container: &Container) -> Option<String> {
    let service = sight.desired.services.get(&replica.service)?;
    let back = taken_back_of(sight.desired, sight.memory, service).filter(|back| back.to == container.image_id)?;
    let command = if service.build.is_some() { "rebuild" } else { "pull" };
    Some(format!(
        "runs the image before ({}), since the newer one ({}) failed and was rolled back; \
         `evenkeel {command} {}` or another specification ends that",
        back.to.get(..19).unwrap_or(&back.to),
        back.from.get(..19).unwrap_or(&back.from),
        sight.desired.key.name
    ))
}

/// A tag that names another image than the one the container runs, and that evenkeel did not pull: shown, not followed.
pub(super) fn drift(sight: &Sight<'_>, replica: &ReplicaId, container: &Container) -> Option<String> {
    let reference = &sight.desired.services.get(&replica.service)?.template.image;
    if familiar_reference(&container.image) != familiar_reference(reference) {
        return None;
    }
    let tagged = sight.snapshot.image(reference)?;
    let built = sight.memory.builds.get(reference).is_some_and(|record| record.image_id == tagged.id);
    let pulled = built || sight.memory.images.get(reference).is_some_and(|record| record.image_id == tagged.id);
    (tagged.id != container.image_id && !pulled).then(|| {
        format!(
            "{reference} names another image on this engine by now ({}), which evenkeel did not pull; \
             it is used when the container is made anew, `evenkeel pull {}` looks for the registry's",
            tagged.id.get(..19).unwrap_or(&tagged.id),
            sight.desired.key.name
        )
    })
}
