//! What users write: the kinds `Deployment`, `Hold`, `Source`, `Channel` and `Alert`, and `Incident`, which is evenkeel's own; group `evenkeel.dev/v1alpha1`.

mod admit;
mod alert;
mod channel;
mod decode;
mod deployment;
mod duration;
mod errors;
mod hold;
mod incident;
mod ladder;
mod monitoring;
mod schema;
mod source;
mod status;
pub mod times;
mod validate;
mod versions;

pub mod compose;
pub mod yaml;

pub use admit::{Admitted, Kind, admit, project_of};
pub use alert::*;
pub use channel::*;
pub(crate) use decode::{field_path, item_path};
pub use deployment::*;
pub use duration::Duration;
pub use errors::{FieldError, Location, list_errors};
pub use hold::*;
pub use incident::*;
pub use ladder::*;
pub use monitoring::*;
pub use schema::{crds_yaml, definition, fields_reference, json_schema};
pub use source::*;
pub use status::*;
pub use versions::{highest as highest_version, range as semver_range};

/// API group of all kinds.
pub const GROUP: &str = "evenkeel.dev";
/// API version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// `group/version`.
pub const API_VERSION: &str = "evenkeel.dev/v1alpha1";
