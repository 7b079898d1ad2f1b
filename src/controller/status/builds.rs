//! Builds, as the status shows them: what was built from what, and why the last try failed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::Sight;
use crate::crd::{BuildFailure, BuildStatus};
use crate::model::{DesiredService, Subject};

/// What is known of the builds of a service's image; `None`: it has none, or nothing came of it yet.
pub(super) fn build_status(sight: &Sight<'_>, service: &DesiredService) -> Option<BuildStatus> {
    let reference = &service.build.as_ref()?.image;
    let record = sight.memory.builds.get(reference);
    let obstacle = sight.history.obstacles.get(&Subject::Image(reference.clone()).to_string());
    if record.is_none() && obstacle.is_none() {
        return None;
    }
    Some(BuildStatus {
        reference: reference.clone(),
        id: record.map(|record| record.image_id.clone()),
        input: record.map(|record| record.input.clone()),
        built_at: record.map(|record| MicroTime(record.began)),
        failure: obstacle.map(|obstacle| BuildFailure {
            message: obstacle.message.clone(),
            tries: obstacle.tries,
            at: Some(MicroTime(obstacle.last_at)),
        }),
    })
}
