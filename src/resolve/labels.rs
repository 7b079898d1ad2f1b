//! Labels of what is made: the user's, ours, and Compose's, so that Compose-aware tools see it. The user's never win.

use std::collections::BTreeMap;

use super::Scope;
use crate::crd::compose::{COMPOSE_VERSION, Service, service_hash};
use crate::model::{DependencyCondition, labels};

type Labels = BTreeMap<String, String>;

/// Of a container. The replica's number and the image's id are added when it is made.
pub(super) fn container(scope: &Scope, name: &str, service: &Service, spec_hash: &str) -> Labels {
    let mut all = with_owner(scope, &service.labels, spec_hash);
    set(&mut all, labels::SERVICE, name);
    set(&mut all, labels::COMPOSE_SERVICE, name);
    set(&mut all, labels::COMPOSE_CONFIG_HASH, &service_hash(service));
    set(&mut all, labels::COMPOSE_ONEOFF, "False");
    set(&mut all, labels::COMPOSE_DEPENDS_ON, &depends_on(service));
    if let Some(file) = scope.config_source {
        set(&mut all, labels::COMPOSE_CONFIG_FILES, file);
        let folder = std::path::Path::new(file).parent().and_then(std::path::Path::to_str);
        set(&mut all, labels::COMPOSE_WORKING_DIR, folder.unwrap_or_default());
    }
    all
}

/// Of a network.
pub(super) fn network(scope: &Scope, key: &str, users: &Labels, hash: &str, compose_hash: &str) -> Labels {
    let mut all = with_owner(scope, users, hash);
    set(&mut all, labels::COMPOSE_NETWORK, key);
    set(&mut all, labels::COMPOSE_CONFIG_HASH, compose_hash);
    all
}

/// Of a volume.
pub(super) fn volume(scope: &Scope, key: &str, users: &Labels, hash: &str, compose_hash: &str) -> Labels {
    let mut all = with_owner(scope, users, hash);
    set(&mut all, labels::COMPOSE_VOLUME, key);
    set(&mut all, labels::COMPOSE_CONFIG_HASH, compose_hash);
    all
}

/// The user's labels and those that every object of the Deployment bears.
fn with_owner(scope: &Scope, users: &Labels, hash: &str) -> Labels {
    let mut all = users.clone();
    set(&mut all, labels::INSTANCE, scope.instance);
    set(&mut all, labels::NAMESPACE, &scope.key.namespace);
    set(&mut all, labels::DEPLOYMENT, &scope.key.name);
    set(&mut all, labels::SPEC_HASH, hash);
    set(&mut all, labels::COMPOSE_PROJECT, &scope.project.name);
    set(&mut all, labels::COMPOSE_VERSION, COMPOSE_VERSION);
    all
}

/// Compose's list of dependencies: `db:service_healthy:false,..`.
fn depends_on(service: &Service) -> String {
    let entry = |(name, dependency): (&String, &crate::crd::compose::Dependency)| {
        let condition = match dependency.condition {
            DependencyCondition::ServiceStarted => "service_started",
            DependencyCondition::ServiceHealthy => "service_healthy",
            DependencyCondition::ServiceCompletedSuccessfully => "service_completed_successfully",
        };
        format!("{name}:{condition}:{}", dependency.restart)
    };
    service.depends_on.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn set(all: &mut Labels, label: &str, value: &str) {
    all.insert(label.to_owned(), value.to_owned());
}
