//! The controller: looks, decides, acts, records.

pub mod world;
