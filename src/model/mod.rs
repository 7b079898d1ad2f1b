//! What modules hand each other. Plain data: no I/O, no library of the outside world.

mod build;
mod cause;
mod desired;
mod event;
mod history;
mod key;
mod note;
mod observed;
mod outcome;
mod plan;
mod progress;
mod reason;
mod template;
mod waiting;

pub use build::*;
pub use cause::*;
pub use desired::*;
pub use event::*;
pub use history::*;
pub use key::*;
pub use note::*;
pub use observed::*;
pub use outcome::*;
pub use plan::*;
pub use progress::*;
pub use reason::*;
pub use template::*;
pub use waiting::*;
