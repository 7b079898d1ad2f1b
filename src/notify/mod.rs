//! Noticing and telling: incidents out of statuses, messages out of incidents, and their delivery.
//!
//! # Flow
//! [`Notifier`] follows the store: a status that changes is folded into incidents ([`crate::incident`]), each incident is held against
//! what every Alert told of it (`route`), and what is new becomes messages in the outbox. [`Postmen`] deliver what is in there, one
//! task for each Channel.
//!
//! # Guarantees
//! - Nothing waits for a receiver: the controller knows nothing of this module, and Channels know nothing of each other.
//! - A message is in the journal before the incident says that it was told, and leaves it after its receiver took it. A SIGKILL in
//!   between repeats it, with the same id; none is lost.
//! - A secret is read when it is used and masked in all that is said of it.
//!
//! | file | what it is |
//! |---|---|
//! | `watch` | the worker that folds, routes and writes down |
//! | `route`, `report`, `notice` | what is told to whom; reports; the words. Pure |
//! | `template` | the words of an Alert's own |
//! | `outbox` | messages that wait |
//! | `postmen`, `postman` | all Channels; one of them: attempts, limits, giving up |
//! | `send` | the way out: SMTP, and what is posted to whom |
//! | `secrets` | read and masked |

pub mod notice;
mod outbox;
mod postman;
mod postmen;
pub mod report;
pub mod route;
mod secrets;
mod send;
mod status;
pub mod template;
mod watch;

#[cfg(test)]
mod tests;

pub use outbox::Outbox;
pub use postmen::Postmen;
pub use send::Wire;
pub use watch::{Notifier, host_name};
