//! The folder: its comparison by itself, then the whole on a real store.

mod compare;
mod composed;
mod kept;
mod taken;

use crate::model::Key;

fn manifest(name: &str, image: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  services:\n    web:\n      image: {image}\n"
    )
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}
