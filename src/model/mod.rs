//! What modules hand each other. Plain data: no I/O, no library of the outside world.

mod build;
mod cause;
mod containers;
mod desired;
mod event;
mod files;
mod history;
mod image;
mod key;
mod note;
mod observed;
mod outcome;
mod plan;
mod reason;
pub mod remote;
mod shared;
mod template;
mod waiting;

pub use build::*;
pub use cause::*;
pub use containers::*;
pub use desired::*;
pub use event::*;
pub use files::*;
pub use history::*;
pub use image::*;
pub use key::*;
pub use note::*;
pub use observed::*;
pub use outcome::*;
pub use plan::*;
pub use reason::*;
pub use shared::*;
pub use template::*;
pub use waiting::*;
