//! Which version of the engine's API is spoken.

use std::fmt;

use bollard::errors::Error;
use serde::Deserialize;

/// The oldest engine evenkeel works with: Docker 20.10.
const OLDEST: ApiVersion = ApiVersion(1, 41);
/// The newest version whose changes were read; a newer engine is asked to speak this one.
const NEWEST: ApiVersion = ApiVersion(1, 51);
/// From here on a MAC address belongs to an endpoint, before it belonged to the container.
pub(super) const MAC_PER_ENDPOINT: ApiVersion = ApiVersion(1, 44);

/// From here on no two networks have the same name.
pub(super) const UNIQUE_NETWORK_NAMES: ApiVersion = ApiVersion(1, 44);

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(pub(super) u16, pub(super) u16);

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What `GET /version` says, as far as it concerns us.
#[derive(Debug, Deserialize)]
pub(super) struct VersionReply {
    #[serde(rename = "Version", default)]
    engine: String,
    #[serde(rename = "ApiVersion", default)]
    newest: String,
    #[serde(rename = "MinAPIVersion", default)]
    oldest: String,
}

impl VersionReply {
    /// The lower of the newest that either side speaks. An engine that has dropped even that is spoken to in its oldest.
    pub(super) fn agree(&self) -> Result<ApiVersion, Error> {
        let theirs = ApiVersion::parse(&self.newest).ok_or(Error::APIVersionParseError {})?;
        if theirs < OLDEST {
            let message = format!(
                "its version is {} (API {theirs}); evenkeel needs Docker 20.10 (API {OLDEST}) or newer: upgrade it",
                self.engine
            );
            return Err(Error::DockerResponseServerError { status_code: 400, message });
        }
        let their_oldest = ApiVersion::parse(&self.oldest).unwrap_or(OLDEST);
        Ok(theirs.min(NEWEST).max(their_oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(newest: &str, oldest: &str) -> Option<String> {
        let reply = VersionReply { engine: "x".to_owned(), newest: newest.to_owned(), oldest: oldest.to_owned() };
        reply.agree().ok().map(|version| version.to_string())
    }

    #[test]
    fn the_lower_of_both_newest_versions_is_spoken() {
        assert_eq!(agreed("1.41", "1.12").as_deref(), Some("1.41"));
        assert_eq!(agreed("1.47", "1.24").as_deref(), Some("1.47"));
        assert_eq!(agreed("1.99", "1.44").as_deref(), Some("1.51"));
    }

    #[test]
    fn an_engine_that_dropped_our_newest_is_spoken_to_in_its_oldest() {
        assert_eq!(agreed("1.99", "1.60").as_deref(), Some("1.60"));
    }

    #[test]
    fn an_engine_older_than_20_10_is_refused() {
        assert_eq!(agreed("1.40", "1.12"), None);
        assert_eq!(agreed("", ""), None);
    }
}
