//! Image references, what evenkeel's own pulls brought, and what is known of registries.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Pulls under way at once from one registry, over all Deployments: enough to fill a line, few enough not to be told off.
const PULLS_AT_ONCE: usize = 3;

/// The registry of references that name none.
const DOCKER_HUB: &str = "docker.io";

/// What a pull of ours brought: the version of an image that a Deployment has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// The image's id, `sha256:..`.
    pub image_id: String,
    /// The registry's digest, `sha256:..`, where it said one.
    pub digest: Option<String>,
    /// When the pull began: a request from before is fulfilled by it.
    pub began: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Spec hashes of the services that it was made for: a container of one of them needs no further pull.
    pub specs: Vec<String>,
}

/// What a pull brought, as it is told by the job that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image's id, `sha256:..`.
    pub image_id: String,
    /// The registry's digest, `sha256:..`, where it said one.
    pub digest: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub at: Timestamp,
}

/// A registry that refuses to be asked so often. It is asked nothing until it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// When it may be asked again.
    pub until: Timestamp,
    /// Refusals in a row.
    pub tries: u32,
    /// What it said last.
    pub message: String,
}

/// What is known of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryView {
    /// Pulls under way from it, over all Deployments.
    pub pulling: usize,
    /// Its last refusal, until a pull from it succeeds.
    pub limit: Option<RateLimit>,
}

impl RegistryView {
    /// Until when nothing is asked of it.
    pub fn limited_until(&self, now: Timestamp) -> Option<&RateLimit> {
        self.limit.as_ref().filter(|limit| now < limit.until)
    }

    /// Whether another pull may begin beside those under way and `planned` ones. After a refusal one at a time, until one
    /// succeeds.
    pub fn has_room(&self, planned: usize) -> bool {
        let most = if self.limit.is_some() { 1 } else { PULLS_AT_ONCE };
        self.pulling + planned < most
    }
}

/// How far a job is, for people. Only the newest is kept, in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// Steps that are done: layers of a pull, steps of a build.
    pub done: u64,
    /// Steps known so far.
    pub total: u64,
    /// Bytes that came in.
    pub bytes: u64,
    /// Bytes expected, as far as it is known.
    pub total_bytes: u64,
    /// What is done right now, in words.
    pub text: String,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total == 0 {
            return f.write_str(if self.text.is_empty() { "waiting for the first answer" } else { &self.text });
        }
        write!(f, "{} of {} layers", self.done, self.total)?;
        if self.total_bytes > 0 {
            write!(f, ", {} of {}", megabytes(self.bytes), megabytes(self.total_bytes))?;
        }
        Ok(())
    }
}

/// `12.3 MB`, as the docker command counts them.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// Docker's short form of a reference (`docker.io/library/web` is `web`), with `:latest` where neither tag nor digest is given.
pub fn familiar_reference(reference: &str) -> String {
    let short = ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/", "library/"]
        .iter()
        .find_map(|prefix| reference.strip_prefix(prefix))
        .unwrap_or(reference);
    let last = short.rsplit('/').next().unwrap_or(short);
    if last.contains(':') || last.contains('@') { short.to_owned() } else { format!("{short}:latest") }
}

/// Whether a reference names one image for ever: by digest or id. There is no newer version to be had of it.
pub fn is_pinned(reference: &str) -> bool {
    reference.contains('@') || reference.starts_with("sha256:")
}

/// The registry a reference names, `host[:port]`; `docker.io` where it names none.
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some(("index.docker.io", _)) => DOCKER_HUB,
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => host,
        _ => DOCKER_HUB,
    }
}

/// A reference without tag and digest, in Docker's short form.
pub fn repository_of(reference: &str) -> String {
    let full = familiar_reference(reference);
    let bare = full.split_once('@').map_or(full.as_str(), |(name, _)| name);
    let end = bare.rfind('/').map_or(0, |slash| slash + 1);
    let colon = bare[end..].find(':').map_or(bare.len(), |colon| end + colon);
    bare[..colon].to_owned()
}

/// `name:tag@sha256:..` and `name@sha256:..` name the same image.
pub(super) fn same_digest(digest: &str, reference: &str) -> bool {
    let (Some((name, sum)), Some((_, wanted))) = (digest.split_once('@'), reference.split_once('@')) else {
        return false;
    };
    sum == wanted && name == repository_of(reference)
}

/// How long a registry that refuses is left alone when it does not say so itself: 1, 2, 4 .. 60 minutes.
pub fn limit_pause(tries: u32) -> Duration {
    let minutes = 1_u64 << tries.saturating_sub(1).min(6);
    Duration::from_secs(60 * minutes.min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_what_stands_before_the_first_slash_if_that_can_be_a_host() {
        for (reference, registry) in [
            ("nginx", "docker.io"),
            ("nginx:1.29", "docker.io"),
            ("library/nginx", "docker.io"),
            ("index.docker.io/library/nginx", "docker.io"),
            ("docker.io/nginx", "docker.io"),
            ("ghcr.io/a/b:1", "ghcr.io"),
            ("localhost/a", "localhost"),
            ("127.0.0.1:5000/a/b@sha256:00", "127.0.0.1:5000"),
        ] {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    #[test]
    fn a_repository_is_a_reference_without_tag_and_digest() {
        for (reference, repository) in [
            ("nginx", "nginx"),
            ("docker.io/library/nginx:1.29", "nginx"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
            ("127.0.0.1:5000/a/b:2@sha256:00", "127.0.0.1:5000/a/b"),
            ("a@sha256:00", "a"),
        ] {
            assert_eq!(repository_of(reference), repository, "{reference}");
        }
        assert!(same_digest("a@sha256:00", "a:1@sha256:00") && same_digest("h:5/a@sha256:00", "h:5/a@sha256:00"));
        assert!(!same_digest("a@sha256:00", "a@sha256:01") && !same_digest("b@sha256:00", "a@sha256:00"));
    }

    #[test]
    fn only_tags_can_move() {
        assert!(is_pinned("a@sha256:00") && is_pinned("sha256:00") && is_pinned("a:1@sha256:00"));
        assert!(!is_pinned("a") && !is_pinned("a:1") && !is_pinned("h:5/a"));
    }

    #[test]
    fn a_registry_that_refuses_is_left_alone_for_longer_and_longer_and_then_asked_once() {
        let minutes: Vec<u64> = (1..=9).map(|tries| limit_pause(tries).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let limit = RateLimit { until: Timestamp::UNIX_EPOCH, tries: 1, message: String::new() };
        let after = |pulling| RegistryView { pulling, limit: Some(limit.clone()) };
        assert!(after(0).has_room(0) && !after(1).has_room(0) && !after(0).has_room(1));
        let free = RegistryView { pulling: 2, limit: None };
        assert!(free.has_room(0) && !free.has_room(1));
    }

    #[test]
    fn progress_is_told_in_layers_and_bytes() {
        let told =
            |done, total, bytes, total_bytes| Progress { done, total, bytes, total_bytes, text: String::new() }.to_string();
        assert_eq!(told(2, 5, 12_340_000, 40_000_000), "2 of 5 layers, 12.3 MB of 40.0 MB");
        assert_eq!(told(2, 5, 0, 0), "2 of 5 layers");
        assert_eq!(told(0, 0, 0, 0), "waiting for the first answer");
    }
}
