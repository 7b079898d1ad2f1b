//! Where manifests come from: files and the watched folder.

pub mod files;
pub mod folder;
pub mod merge;
