//! Pulls from a registry on this machine.

use evenkeel::docker::Engine;
use evenkeel::model::FailureKind;

use super::{client, failure, kind};
use crate::support::{Registry, Sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_pulled_and_an_unknown_tag_is_not_found() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let client = client(sandbox.docker());
    let reference = registry.push(&sandbox.image(), "app:1");
    let _ = sandbox.docker().attempt(&["rmi", &reference]);
    client.pull(&reference, None).await.unwrap();
    let images = client.list_images().await.unwrap();
    let image = images.iter().find(|image| image.tags.contains(&reference)).unwrap();
    assert!(image.digests.iter().any(|digest| digest.contains("@sha256:")), "{image:?}");

    let unknown = failure(client.pull(&reference.replace(":1", ":2"), None).await);
    assert_eq!(unknown.kind, FailureKind::ImageNotFound, "{unknown}");
    let elsewhere = failure(client.pull(&reference.replace("app", "nothing"), None).await);
    assert_eq!(elsewhere.kind, FailureKind::ImageNotFound, "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_and_one_that_wants_a_password_are_told_apart() {
    let sandbox = Sandbox::new();
    let mut registry = Registry::with_password(&sandbox);
    let client = client(sandbox.docker());
    let reference = registry.push(&sandbox.image(), "app:1");
    let _ = sandbox.docker().attempt(&["rmi", &reference]);
    let denied = failure(client.pull(&reference, None).await);
    assert_eq!(denied.kind, FailureKind::ImageDenied, "{denied}");
    registry.stop();
    let down = failure(client.pull(&reference, None).await);
    assert_eq!(down.kind, FailureKind::RegistryUnavailable, "{down}");
    assert_eq!(kind(client.pull("not a reference", None).await), FailureKind::Refused);
}
