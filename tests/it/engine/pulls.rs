//! Pulls from a registry on this machine.

use evenkeel::docker::{Client, Engine, Result};
use evenkeel::model::{FailureKind, Progress};
use tokio::sync::watch;

use super::{client, failure, kind};
use crate::support::{Registry, Sandbox};

/// Pulls for this machine's platform, without a word on how far it is.
async fn pull(client: &Client, reference: &str) -> Result<Option<String>> {
    client.pull(reference, None, &watch::Sender::new(Progress::default())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_pulled_and_an_unknown_tag_is_not_found() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let client = client(sandbox.docker());
    let reference = registry.push(&sandbox.image(), "app:1");
    let _ = sandbox.docker().attempt(&["rmi", &reference]);
    pull(&client, &reference).await.unwrap();
    let images = client.list_images().await.unwrap();
    let image = images.iter().find(|image| image.tags.contains(&reference)).unwrap();
    assert!(image.digests.iter().any(|digest| digest.contains("@sha256:")), "{image:?}");

    let unknown = failure(pull(&client, &reference.replace(":1", ":2")).await);
    assert_eq!(unknown.kind, FailureKind::ImageNotFound, "{unknown}");
    let elsewhere = failure(pull(&client, &reference.replace("app", "nothing")).await);
    assert_eq!(elsewhere.kind, FailureKind::ImageNotFound, "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_and_one_that_wants_a_password_are_told_apart() {
    let sandbox = Sandbox::new();
    let mut registry = Registry::with_password(&sandbox);
    let client = client(sandbox.docker());
    let reference = registry.push(&sandbox.image(), "app:1");
    let _ = sandbox.docker().attempt(&["rmi", &reference]);
    let denied = failure(pull(&client, &reference).await);
    assert_eq!(denied.kind, FailureKind::ImageDenied, "{denied}");
    registry.stop();
    let down = failure(pull(&client, &reference).await);
    assert_eq!(down.kind, FailureKind::RegistryUnavailable, "{down}");
    assert_eq!(kind(pull(&client, "not a reference").await), FailureKind::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_another_platform_is_told_from_one_that_is_not_there() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let mut spec = super::sleeper(&sandbox, "other");
    spec.platform = Some("linux/s390x".to_owned());
    let refused = failure(client.create_container(&spec, &std::collections::BTreeMap::new()).await);
    assert_eq!(refused.kind, FailureKind::WrongPlatform, "{refused}");
}
