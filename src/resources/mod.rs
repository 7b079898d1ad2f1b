//! What containers and the machine use: sampled every ten seconds, the last hour kept by the sample, days by the minute; and what
//! of it is too much.
//!
//! | part | what it does |
//! |---|---|
//! | `cgroup`, `host` | read the kernel's own files, where they are at hand |
//! | `counters` | what two readings say of the time between; pure |
//! | `sampler` | the worker: reads, or asks the engine where there is nothing to read |
//! | `rules`, `past` | what is declared, held against what was sampled; what is usual, what only grows. Pure |
//! | `alerts` | fine, pending, firing, resolved. Pure |
//! | `monitor` | has the samples judged, and writes down what comes of it |
//! | `history`, `days` | what was used: in memory, and on disk apart from the store of desired state |

pub mod alerts;
mod cgroup;
mod counters;
mod days;
mod history;
mod host;
mod monitor;
pub mod past;
pub mod rules;
mod sampler;

pub use counters::{Point, bytes};
pub use history::{History, PERIOD, name_of};
pub use host::{Disk, HostPoint};
pub use sampler::{Kernel, Sampler, SamplerSettings};
