//! Incidents: what statuses come to over time. Pure: the incidents so far and how a subject is now become those that are to be
//! stored, and when to look again.
//!
//! *Guarantees.* One incident at a time for a subject and a cause (of failures: of each service), which ends when the replicas it
//! is about are well, whatever is wrong with others. The same facts twice change nothing. What is over stays over for the settle
//! time before it is called so, and for longer each time it came back: what flaps becomes one long incident.
//!
//! `alerts` folds figures beyond their thresholds beside the rest, each cause by itself.

mod alerts;
pub mod cause;
pub mod facts;
pub mod fold;
mod lay;
mod replicas;

#[cfg(test)]
mod tests;

pub use alerts::fold;
pub use facts::{Facts, Finding, State};
pub use fold::Folded;
