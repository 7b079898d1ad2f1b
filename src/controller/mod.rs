//! The controller: looks, decides, acts, records.
