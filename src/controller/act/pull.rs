//! A pull, as a job beside the key's turn.

use std::sync::Arc;

use tokio::sync::watch;

use crate::controller::Controller;
use crate::controller::world::{View, World};
use crate::docker;
use crate::model::{Action, ActionResult, Desired, EngineFailure, FailureKind, Image, JobKind, Progress, Pulled};

impl Controller {
    /// Starts a pull. What it brought is looked up before its outcome is told, so that the next plan sees both.
    pub(super) fn pull(&self, desired: &Desired, action: &Action, image: &str, platform: Option<&str>) -> ActionResult {
        let Some(slot) = self.registries.begin(image) else {
            return ActionResult::Skipped { why: "others pull from that registry, or it wants to be left alone".into() };
        };
        let (engine, world, registries) = (Arc::clone(&self.engine), Arc::clone(&self.world), self.registries.clone());
        let (clock, progress) = (self.clock.clone(), watch::Sender::new(Progress::default()));
        let (action, reference, platform) = (action.clone(), image.to_owned(), platform.map(str::to_owned));
        let told = progress.subscribe();
        self.jobs.start(&desired.key, JobKind::Pull(image.to_owned()), told, async move {
            // Given back when the job ends, also when it is cancelled.
            let _slot = slot;
            let (began, timer) = (clock.now(), tokio::time::Instant::now());
            let pulled = async {
                let digest = engine.pull(&reference, platform.as_deref(), &progress).await?;
                world.refresh_images().await?;
                let image = listed(&world, &reference)?;
                let digest = digest.or_else(|| digest_of(&image, &reference));
                Ok(Pulled { image_id: image.id, digest, began, at: clock.now() })
            };
            let result = match pulled.await {
                Ok(pulled) => {
                    registries.succeeded(&reference).await;
                    ActionResult::Pulled(pulled)
                }
                Err(failure) => {
                    registries.refused(&reference, &failure).await;
                    ActionResult::Failed(failure)
                }
            };
            super::outcome(&clock, action, result, timer.elapsed())
        });
        ActionResult::Started
    }
}

/// The image that a reference names after its pull.
fn listed(world: &World, reference: &str) -> docker::Result<Image> {
    let found = match world.view() {
        View::Seen(snapshot) => snapshot.image(reference).cloned(),
        View::Blind { .. } => None,
    };
    found.ok_or_else(|| EngineFailure {
        kind: FailureKind::Transient,
        message: format!("image {reference} was pulled, but the engine does not list it; it is pulled again"),
    })
}

/// The digest under which its repository knows an image.
fn digest_of(image: &Image, reference: &str) -> Option<String> {
    let repository = crate::model::repository_of(reference);
    let named = image.digests.iter().filter_map(|digest| digest.split_once('@'));
    named.filter(|(name, _)| *name == repository).map(|(_, digest)| digest.to_owned()).next()
}
