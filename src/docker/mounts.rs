//! Mounts, in the two ways the engine takes them.
//!
//! `Mounts` says everything but for two things that only the older `Binds` can say on all engines: "make the host path when it
//! is missing", and SELinux relabelling. Volumes and tmpfs always go as `Mounts`.

use bollard::models;

use super::convert::Refusal;
use crate::model::{MountSource, MountSpec};

/// Mounts, sorted by the way they go.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) mounts: Vec<models::Mount>,
    pub(super) binds: Vec<String>,
}

/// Sorts and converts.
pub(super) fn convert(specs: &[MountSpec]) -> Result<Mounts, Refusal> {
    let mut all = Mounts::default();
    for spec in specs {
        match &spec.source {
            MountSource::Bind { path, create, propagation, selinux } if *create || selinux.is_some() => {
                all.binds.push(bind_text(spec, path, propagation.as_deref(), selinux.as_deref())?);
            }
            MountSource::Bind { path, propagation, .. } => all.mounts.push(models::Mount {
                source: Some(path.clone()),
                bind_options: propagation
                    .as_ref()
                    .map(|word| {
                        word.parse().map(|word| models::MountBindOptions { propagation: Some(word), ..Default::default() })
                    })
                    .transpose()?,
                ..mount(spec, models::MountType::BIND)
            }),
            MountSource::Volume { name, nocopy, subpath } => all.mounts.push(models::Mount {
                source: Some(name.clone()),
                volume_options: (*nocopy || subpath.is_some()).then(|| models::MountVolumeOptions {
                    no_copy: Some(*nocopy),
                    subpath: subpath.clone(),
                    ..Default::default()
                }),
                ..mount(spec, models::MountType::VOLUME)
            }),
            MountSource::Anonymous { carry_over } => {
                all.mounts.push(models::Mount { source: carry_over.clone(), ..mount(spec, models::MountType::VOLUME) });
            }
            MountSource::Tmpfs { size, mode } => all.mounts.push(models::Mount {
                tmpfs_options: (size.is_some() || mode.is_some()).then(|| models::MountTmpfsOptions {
                    size_bytes: *size,
                    mode: mode.map(i64::from),
                    options: None,
                }),
                ..mount(spec, models::MountType::TMPFS)
            }),
        }
    }
    Ok(all)
}

fn mount(spec: &MountSpec, kind: models::MountType) -> models::Mount {
    models::Mount { target: Some(spec.target.clone()), typ: Some(kind), read_only: Some(spec.read_only), ..Default::default() }
}

/// `source:target:options`. A colon in a path cannot be told from the separators.
fn bind_text(spec: &MountSpec, path: &str, propagation: Option<&str>, selinux: Option<&str>) -> Result<String, Refusal> {
    if path.contains(':') || spec.target.contains(':') {
        return Err(format!(
            "the bind mount {path} -> {} has a colon in a path; use the long form with create_host_path: false",
            spec.target
        ));
    }
    let access = if spec.read_only { "ro" } else { "rw" };
    let options: Vec<&str> = [Some(access), selinux, propagation].into_iter().flatten().collect();
    Ok(format!("{path}:{}:{}", spec.target, options.join(",")))
}
