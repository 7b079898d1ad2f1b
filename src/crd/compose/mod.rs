//! The Compose model in own permissive types: short forms are read, one long form is kept.
