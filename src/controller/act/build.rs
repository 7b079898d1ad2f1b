//! A build, as a job beside the turn.

use std::sync::Arc;

use tokio::sync::watch;

use crate::controller::Controller;
use crate::controller::world::{View, World};
use crate::model::{Action, ActionResult, BuildRecord, BuildSpec, Desired, JobKind, Progress};

impl Controller {
    /// Starts a build.
    pub(super) fn build(&self, desired: &Desired, action: &Action, spec: &BuildSpec, input: &str) -> ActionResult {
        let (engine, world, clock) = (Arc::clone(&self.engine), Arc::clone(&self.world), self.clock.clone());
        let (action, spec, input) = (action.clone(), spec.clone(), input.to_owned());
        let (told, progress) = watch::channel(Progress::default());
        let kind = JobKind::Build { image: spec.image.clone(), input: input.clone() };
        self.jobs.start(&desired.key, kind, progress, async move {
            let (started, began) = (tokio::time::Instant::now(), clock.now());
            let built = async {
                let id = engine.build(&spec, &told).await?;
                world.refresh_images().await?;
                Ok(BuildRecord { image_id: listed(&world, &spec.image).unwrap_or(id), input, began, at: clock.now() })
            };
            let result = built.await.map_or_else(ActionResult::Failed, ActionResult::Built);
            super::outcome(&clock, action, result, started.elapsed())
        });
        ActionResult::Started
    }
}

/// The id that the engine lists the image under: not every engine's builder names the same one.
fn listed(world: &World, image: &str) -> Option<String> {
    match world.view() {
        View::Seen(snapshot) => snapshot.image(image).map(|image| image.id.clone()),
        View::Blind { .. } => None,
    }
}
