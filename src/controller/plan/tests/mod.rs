//! Plans as golden text: each scene is a picture of the engine, and the plan that follows from it.
//! `INSTA_UPDATE=always cargo test` rewrites the files beside this one; read the difference before you commit it.

mod adopting;
mod bring_up;
mod building;
mod climbing;
mod health;
mod mounted;
mod pulling;
mod recovery;
mod replacing;
pub(crate) mod scene;
mod standing;

use scene::Scene;
pub(crate) use scene::service;

/// All scenes of a topic as one text.
fn book(scenes: &[(&str, Scene)]) -> String {
    scenes.iter().map(|(title, scene)| format!("== {title}\n{}\n", scene.text())).collect()
}

/// Checks a topic against its golden file.
macro_rules! golden {
    ($name:literal, $scenes:expr) => {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($name, super::book(&$scenes));
        })
    };
}
pub(super) use golden;
