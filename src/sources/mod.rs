//! What is read from files: manifests, one by one or kept in force by Sources, and the contexts of image builds.
//!
//! | file | what it is |
//! |---|---|
//! | `keepers`, `keeper` | all Sources; one of them: fetched, put in force, told in its status |
//! | `made` | the Sources that flags of `evenkeel run` make |
//! | `folder` | puts in force what files declare |
//! | `git` | repositories |
//! | `compose`, `beside` | Compose files as manifests; what those of a commit name beside themselves |
//! | `propose` | what a Source would put in force, for plans |
//! | `files`, `watch`, `substitute`, `merge` | reading a folder, noticing changes, variables, how a manifest is laid over what is stored |
//! | `turn` | whose turn it is in a folder of ours |
//! | `inputs` | digests of what images are built from |

mod beside;
pub mod compose;
pub mod files;
mod folder;
mod git;
pub mod inputs;
mod keeper;
mod keepers;
pub mod made;
pub mod merge;
pub(crate) mod mounted;
pub mod propose;
mod substitute;
mod turn;
mod watch;

pub use keeper::{Keeper, Surroundings};
pub use keepers::Keepers;
