//! What modules hand each other. Plain data: no I/O, no library of the outside world.

mod desired;
mod event;
mod history;
mod key;
mod observed;
mod outcome;
mod plan;
mod template;

pub use desired::*;
pub use event::*;
pub use history::*;
pub use key::*;
pub use observed::*;
pub use outcome::*;
pub use plan::*;
pub use template::*;
