//! The controller: looks, decides, acts, records.

pub mod intent;
pub mod plan;
pub mod status;
pub mod world;
