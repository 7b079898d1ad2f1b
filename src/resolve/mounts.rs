//! What is mounted into a container.

use std::collections::BTreeMap;

use super::{Problems, Scope, service::missing};
use crate::crd::compose::{FileMount, Mount, MountKind, Secret, Service};
use crate::model::{FileSource, FileSpec, MountSource, MountSpec};

/// Where a secret lies that does not say.
const SECRETS: &str = "/run/secrets";

/// Permissions of a file that does not say: for everybody to read.
const READABLE: u32 = 0o444;

/// Keys of the volumes that a service mounts.
pub(super) fn volume_keys(service: &Service) -> impl Iterator<Item = &str> {
    let named = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
    named.filter_map(|mount| mount.source.as_deref())
}

/// All mounts by target. Of two with one target the later counts, and a secret or a config gives way to a mount: as in Compose.
pub(super) fn mounts(scope: &Scope, name: &str, service: &Service, problems: &mut Problems) -> Vec<MountSpec> {
    let mut mounts: Vec<MountSpec> = Vec::new();
    for (index, mount) in service.volumes.iter().enumerate() {
        let source = source(scope, mount).unwrap_or_else(|message| {
            problems.add(name, format_args!("volumes[{index}]"), message);
            MountSource::Anonymous { carry_over: None }
        });
        mounts.retain(|earlier| earlier.target != mount.target);
        mounts.push(MountSpec { source, target: mount.target.clone(), read_only: mount.read_only });
    }
    let of_host = from_outside(scope, name, service, problems).into_iter().filter_map(|(target, _, from)| match from {
        Origin::Host(path) => {
            // A missing file is an error of the engine's, not made as a folder.
            let source = MountSource::Bind { path, create: false, propagation: None, selinux: None };
            Some(MountSpec { source, target, read_only: true })
        }
        Origin::Text(_) => None,
    });
    for mount in of_host {
        if mounts.iter().all(|earlier| earlier.target != mount.target) {
            mounts.push(mount);
        }
    }
    mounts
}

/// Configs and secrets that are no files of the host: written into the container. What cannot be had is told by [`mounts`].
pub(super) fn files(scope: &Scope, name: &str, service: &Service) -> Vec<FileSpec> {
    let written = from_outside(scope, name, service, &mut Problems::default()).into_iter();
    let file = |(target, mount, from): (String, &FileMount, Origin)| match from {
        Origin::Host(_) => None,
        Origin::Text(source) => {
            let id = |text: &Option<String>| text.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default();
            let mode = mount.mode.map_or(READABLE, |mode| mode.0);
            Some(FileSpec { target, source, uid: id(&mount.uid), gid: id(&mount.gid), mode })
        }
    };
    written.filter_map(file).collect()
}

/// Where a config or a secret comes from.
enum Origin {
    /// A path of the host.
    Host(String),
    /// Not from a file.
    Text(FileSource),
}

/// Secrets and configs of a service by their path in the container.
fn from_outside<'a>(
    scope: &Scope,
    name: &str,
    service: &'a Service,
    problems: &mut Problems,
) -> Vec<(String, &'a FileMount, Origin)> {
    let parts = [
        ("secrets", SECRETS, &service.secrets, &scope.project.secrets),
        ("configs", "", &service.configs, &scope.project.configs),
    ];
    let mut all = Vec::new();
    for (part, folder, mounts, declared) in parts {
        for (index, mount) in mounts.iter().enumerate() {
            let target = match mount.target.as_str() {
                "" => format!("{folder}/{}", mount.source),
                absolute if absolute.starts_with('/') => absolute.to_owned(),
                bare => format!("{folder}/{bare}"),
            };
            let Some(Secret { file, environment, content, .. }) = declared.get(&mount.source) else {
                let message = format!("there is no {} {:?} in spec.{part}", part.trim_end_matches('s'), mount.source);
                problems.add(name, format_args!("{part}[{index}]"), message);
                continue;
            };
            let from = match (environment, content) {
                (Some(name), _) => Origin::Text(FileSource::Environment(name.clone())),
                (None, Some(text)) => Origin::Text(FileSource::Content(text.clone())),
                (None, None) => Origin::Host(file.clone()),
            };
            all.push((target, mount, from));
        }
    }
    all
}

fn source(scope: &Scope, mount: &Mount) -> Result<MountSource, String> {
    Ok(match (mount.kind, &mount.source) {
        (MountKind::Bind, Some(path)) => {
            let options = mount.bind.clone().unwrap_or_default();
            MountSource::Bind {
                path: path.clone(),
                create: options.create_host_path,
                propagation: options.propagation,
                selinux: options.selinux,
            }
        }
        (MountKind::Bind, None) => return Err("a bind needs a source: an absolute path of the host".to_owned()),
        (MountKind::Volume, Some(key)) => {
            let volume = scope.project.volumes.get(key);
            let volume = volume.ok_or_else(|| format!("there is no volume {key:?} in spec.volumes"))?;
            let options = mount.volume.clone().unwrap_or_default();
            MountSource::Volume { name: volume.name.clone(), nocopy: options.nocopy, subpath: options.subpath }
        }
        (MountKind::Volume, None) => MountSource::Anonymous { carry_over: None },
        (MountKind::Tmpfs, _) => {
            let options = mount.tmpfs.clone().unwrap_or_default();
            MountSource::Tmpfs { size: options.size.map(|bytes| bytes.0), mode: options.mode }
        }
    })
}

/// `tmpfs`: path and options.
pub(super) fn tmpfs(service: &Service) -> BTreeMap<String, String> {
    let split = |text: &String| {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        (path.to_owned(), options.to_owned())
    };
    service.tmpfs.iter().map(split).collect()
}

/// `volumes_from`, as `container[:mode]`: a service's first replica, or a container from outside.
pub(super) fn volumes_from(scope: &Scope, name: &str, service: &Service, problems: &mut Problems) -> Vec<String> {
    let mut resolved = Vec::new();
    for (index, text) in service.volumes_from.iter().enumerate() {
        if let Some(container) = text.strip_prefix("container:") {
            resolved.push(container.to_owned());
            continue;
        }
        let (other, mode) = text.split_once(':').map_or((text.as_str(), None), |(other, mode)| (other, Some(mode)));
        match scope.enabled.get(other) {
            Some(target) => {
                let container = scope.container_name(other, target, 1);
                resolved.push(mode.map_or_else(|| container.clone(), |mode| format!("{container}:{mode}")));
            }
            None => problems.add(name, format_args!("volumes_from[{index}]"), missing(scope, other)),
        }
    }
    resolved
}
