//! What came of builds.

use crate::model::{Action, BuildRecord, Memory, Op};

/// Keeps what a build made. Whether it made another image than the one before.
pub(super) fn keep(memory: &mut Memory, action: &Action, built: &BuildRecord) -> bool {
    let Op::Build { spec, .. } = &action.op else { return false };
    let before = memory.builds.insert(spec.image.clone(), built.clone());
    before.is_none_or(|before| before.image_id != built.image_id)
}

/// What a build made, for people.
pub(super) fn told(action: &Action, built: &BuildRecord, new: bool) -> String {
    let id = built.image_id.strip_prefix("sha256:").unwrap_or(&built.image_id);
    let short = id.get(..12).unwrap_or(id);
    let what = if new { format!("made {short}") } else { format!("made {short} again, as it was") };
    format!("{}, because {}: {what}", action.op, action.cause)
}

/// The digest of what was built, where an action is a build.
pub(super) fn input_of(action: &Action) -> Option<String> {
    match &action.op {
        Op::Build { input, .. } => Some(input.clone()),
        _ => None,
    }
}
