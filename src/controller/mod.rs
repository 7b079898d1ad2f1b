//! The controller: looks, decides, acts, records.

pub mod plan;
pub mod status;
pub mod world;
