//! What containers and the machine use: sampled every ten seconds, the last hour kept by the sample, days by the minute.
//!
//! | part | what it does |
//! |---|---|
//! | `cgroup`, `host` | read the kernel's own files, where they are at hand |
//! | `counters` | what two readings say of the time between; pure |
//! | `sampler` | the worker: reads, or asks the engine where there is nothing to read |
//! | `history`, `days` | what was used: in memory, and on disk apart from the store of desired state |

mod cgroup;
mod counters;
mod days;
mod history;
mod host;
mod sampler;

pub use counters::Point;
pub use history::{History, name_of};
pub use host::{Disk, HostPoint};
pub use sampler::{PERIOD, Sampler};
