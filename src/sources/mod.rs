//! What is read from this machine's files: manifests, one by one or as a watched folder, and the contexts of image builds.

pub mod compose;
pub mod files;
pub mod folder;
pub mod inputs;
pub mod merge;
mod watch;
