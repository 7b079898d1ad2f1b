//! How a service's image is built.

use std::collections::BTreeMap;

use super::{Problems, Scope, resources};
use crate::crd::compose::{Build, Service};
use crate::model::{BuildSpec, Dockerfile, labels};

/// The name of a built image that has none: Compose's.
pub(super) fn default_image(scope: &Scope, name: &str) -> String {
    format!("{}-{name}", scope.project.name)
}

/// What the image is built from. The build is taken apart without `..`: a new key must be given a place here.
pub(super) fn spec(
    scope: &Scope,
    name: &str,
    service: &Service,
    build: &Build,
    image: &str,
    problems: &mut Problems,
) -> BuildSpec {
    let Build {
        context,
        additional_contexts,
        dockerfile,
        dockerfile_inline,
        args,
        ssh,
        labels: users,
        cache_from,
        no_cache,
        pull,
        extra_hosts,
        network,
        target,
        secrets: _,
        shm_size,
        tags,
        ulimits,
        platforms,
    } = build.clone();
    let dockerfile = match (dockerfile_inline, dockerfile) {
        (Some(text), _) => Dockerfile::Inline(text),
        (None, Some(path)) => Dockerfile::Path(path),
        (None, None) => Dockerfile::default(),
    };
    BuildSpec {
        image: image.to_owned(),
        tags,
        context,
        images: additional_contexts,
        dockerfile,
        args,
        target,
        labels: image_labels(scope, name, users),
        cache_from: cache_from.iter().map(|from| reference_of(from)).collect(),
        network,
        platform: service.platform.clone().or_else(|| platforms.first().cloned()),
        no_cache,
        pull,
        shm_size: shm_size.map(|bytes| bytes.0),
        extra_hosts: extra_hosts.lines(':'),
        ulimits: resources::ulimits(&ulimits),
        secrets: secrets(scope, name, build, problems),
        ssh: ssh.into_iter().map(|key| (key.id, key.path)).collect(),
    }
}

/// The user's labels, and Compose's that say whose image it is.
fn image_labels(scope: &Scope, name: &str, users: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = users;
    all.insert(labels::COMPOSE_PROJECT.to_owned(), scope.project.name.clone());
    all.insert(labels::COMPOSE_SERVICE.to_owned(), name.to_owned());
    all
}

/// The image that `type=registry,ref=..` names, or that stands there as it is.
fn reference_of(cache_from: &str) -> String {
    cache_from.split(',').find_map(|part| part.strip_prefix("ref=")).unwrap_or(cache_from).to_owned()
}

/// Files of the secrets, by the name that the Dockerfile knows them by.
fn secrets(scope: &Scope, name: &str, build: &Build, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (index, secret) in build.secrets.iter().enumerate() {
        match scope.project.secrets.get(&secret.source) {
            Some(declared) if declared.file.is_empty() => {
                let message = format!("the secret {:?} is no file, and a build takes files only", secret.source);
                problems.add(name, format_args!("build.secrets[{index}]"), message);
            }
            Some(declared) => {
                let id = if secret.target.is_empty() { &secret.source } else { &secret.target };
                files.insert(id.clone(), declared.file.clone());
            }
            None => {
                let message = format!("there is no secret {:?} in spec.secrets", secret.source);
                problems.add(name, format_args!("build.secrets[{index}]"), message);
            }
        }
    }
    files
}
