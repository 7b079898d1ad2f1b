//! Server-side apply: refused, saying what works instead.

use serde_json::Value;

use super::errors::{ApiError, Result};
use super::objects::{Call, Place};
use crate::registry::{WriteOptions, Written};

/// Refuses.
pub async fn apply(_: &Call, place: &Place, _: Value, _: WriteOptions) -> Result<(Written, bool)> {
    let what = place.resource.qualified();
    Err(ApiError::unsupported_media(format!(
        "server-side apply of {what} is not supported: send a merge patch (kubectl apply does)"
    )))
}
