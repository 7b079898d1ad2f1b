//! What a pull brought, written down.

use crate::model::{Action, Desired, ImageRecord, Memory, Op, Outcome, Pulled, familiar_reference};

/// What a pull brought, for people.
pub(super) struct Brought {
    image: String,
    /// Digest, or id.
    now: String,
    /// The same of the pull before, if it brought another image.
    before: Option<String>,
    /// Whether it is the image that the pull before brought.
    same: bool,
}

/// Keeps what a pull brought, and forgets images that are declared no more.
pub(super) fn keep(desired: &Desired, memory: &mut Memory, outcome: &Outcome, pulled: &Pulled) -> Brought {
    let image = match &outcome.action.op {
        Op::Pull { image, .. } => image.clone(),
        _ => String::new(),
    };
    let declared = |reference: &String| desired.services.values().any(|service| service.template.image == *reference);
    memory.images.retain(|reference, _| declared(reference));
    let of_image = desired.services.values().filter(|service| service.template.image == image);
    let record = ImageRecord {
        image_id: pulled.image_id.clone(),
        digest: pulled.digest.clone(),
        began: pulled.began,
        at: pulled.at,
        specs: of_image.map(|service| service.spec_hash.clone()).collect(),
    };
    let before = memory.images.insert(image.clone(), record);
    let named = |digest: &Option<String>, id: &str| digest.clone().unwrap_or_else(|| id.to_owned());
    let same = before.as_ref().is_some_and(|before| before.image_id == pulled.image_id);
    let before = before.filter(|_| !same).map(|before| named(&before.digest, &before.image_id));
    Brought { image, now: named(&pulled.digest, &pulled.image_id), before, same }
}

impl Brought {
    /// For the list of last actions.
    pub fn in_short(&self) -> String {
        if self.same { format!("ok: already up to date, {}", self.now) } else { format!("ok: {}", self.now) }
    }

    /// For the Event.
    pub fn told(&self, action: &Action) -> String {
        let image = familiar_reference(&self.image);
        let what = match &self.before {
            _ if self.same => format!("image {image} is already up to date: {}", self.now),
            Some(before) => format!("image {image} was pulled: {}, before it was {before}", self.now),
            None => format!("image {image} was pulled: {}", self.now),
        };
        format!("{what}; pulled because {}", action.cause)
    }
}
