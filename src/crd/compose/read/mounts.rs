//! Mounts: short and long forms of `volumes`, `secrets`, `configs` and `devices`.

use serde_json::Value;

use super::super::{BindOptions, DeviceMapping, DeviceRequest, FileMount, Mount, MountKind, TmpfsOptions, VolumeOptions};
use super::refuse;
use super::scalars::{bytes, each, file_mode, flag, integer, mapping, one_of, text, texts, unique, word};
use crate::crd::compose::keys;
use crate::crd::decode::{Node, unsupported};

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// `volumes` of a service.
pub(super) fn mounts(node: &Node) -> Option<Vec<Mount>> {
    each(node, mount)
}

fn mount(node: &Node) -> Option<Mount> {
    let mount = match node.value {
        Value::String(spec) => short(node, spec)?,
        Value::Object(_) => long(node)?,
        _ => return node.expected("a mount: text such as \"data:/var/lib/data\", or a map"),
    };
    if !mount.target.starts_with('/') {
        return node.fail(format!("{:?} is not an absolute path in the container", mount.target));
    }
    match &mount.source {
        Some(source) if mount.kind == MountKind::Bind && !source.starts_with('/') => node.fail(format!(
            "{source:?} is a relative path: a Deployment has no folder to start from; write an absolute path or name a volume"
        )),
        _ => Some(mount),
    }
}

/// `target`, `source:target` or `source:target:options`.
fn short(node: &Node, spec: &str) -> Option<Mount> {
    if spec.contains(":\\") || spec.starts_with("\\\\") {
        return node.fail("paths of Windows are not supported yet by evenkeel");
    }
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        parts if parts.contains(&"") => return node.fail(format!("{spec:?} has nothing between its colons")),
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return node.fail(format!("{spec:?} has too many colons")),
    };
    let mut mount = Mount { source: source.map(str::to_owned), target: clean(target), ..Mount::default() };
    if source.is_some_and(|source| source.starts_with(['/', '.', '~'])) {
        mount.kind = MountKind::Bind;
        mount.bind = Some(BindOptions { create_host_path: true, ..BindOptions::default() });
    } else {
        mount.volume = Some(VolumeOptions::default());
    }
    for option in options.split(',') {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.volume.get_or_insert_default().nocopy = true,
            "z" | "Z" => mount.bind.get_or_insert_default().selinux = Some(option.to_owned()),
            word if PROPAGATIONS.contains(&word) => mount.bind.get_or_insert_default().propagation = Some(option.to_owned()),
            "" => {}
            other => node.warn(&format!("Compose does not know the option {other:?}: it has no effect")),
        }
    }
    Some(mount)
}

fn long(node: &Node) -> Option<Mount> {
    let mut fields = node.fields()?;
    let kind = fields.required("type", kind);
    let source = fields.read("source", word);
    let target = fields.required("target", text);
    let mount = Mount {
        kind: kind.unwrap_or_default(),
        source,
        target: clean(target.as_deref().unwrap_or_default()),
        read_only: fields.or_default("read_only", flag),
        consistency: fields.read("consistency", word),
        bind: fields.read("bind", bind_options),
        volume: fields.read("volume", volume_options),
        tmpfs: fields.read("tmpfs", tmpfs_options),
    };
    refuse(&mut fields, keys::MOUNT);
    fields.finish();
    match kind? {
        MountKind::Bind if mount.source.is_none() => node.fail("a bind needs a source: an absolute path on the host"),
        MountKind::Tmpfs if mount.source.is_some() => node.fail("a tmpfs has no source"),
        _ => target.map(|_| mount),
    }
}

fn kind(node: &Node) -> Option<MountKind> {
    match text(node)?.as_str() {
        "bind" => Some(MountKind::Bind),
        "volume" => Some(MountKind::Volume),
        "tmpfs" => Some(MountKind::Tmpfs),
        word @ ("npipe" | "cluster" | "image") => {
            node.fail(unsupported(&format!("a mount of type {word}"), "use bind, volume or tmpfs"))
        }
        word => node.fail(format!("must be bind, volume or tmpfs, not {word:?}")),
    }
}

fn bind_options(node: &Node) -> Option<BindOptions> {
    let mut fields = node.fields()?;
    let options = BindOptions {
        selinux: fields.read("selinux", |node| one_of(node, &["z", "Z"])),
        propagation: fields.read("propagation", |node| one_of(node, &PROPAGATIONS)),
        create_host_path: fields.or_default("create_host_path", flag),
    };
    refuse(&mut fields, keys::BIND);
    fields.finish();
    Some(options)
}

fn volume_options(node: &Node) -> Option<VolumeOptions> {
    let mut fields = node.fields()?;
    let options = VolumeOptions { nocopy: fields.or_default("nocopy", flag), subpath: fields.read("subpath", word) };
    refuse(&mut fields, keys::MOUNTED_VOLUME);
    fields.finish();
    Some(options)
}

fn tmpfs_options(node: &Node) -> Option<TmpfsOptions> {
    let mut fields = node.fields()?;
    let options = TmpfsOptions {
        size: fields.read("size", bytes),
        mode: fields.read("mode", file_mode).map(|mode| mode.0).filter(|mode| *mode != 0),
    };
    fields.finish();
    Some(options)
}

/// The path without `.`, `..`, doubled and trailing slashes.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// `secrets` of a service.
pub(super) fn secrets(node: &Node) -> Option<Vec<FileMount>> {
    each(node, secret).map(|mounts| unique(mounts, |mount| mount.target.clone()))
}

fn secret(node: &Node) -> Option<FileMount> {
    secret_at(node, |source| format!("/run/secrets/{source}"))
}

/// `configs` of a service. Compose leaves the target out where none is given.
pub(super) fn configs(node: &Node) -> Option<Vec<FileMount>> {
    each(node, |node| secret_at(node, |_| String::new())).map(|mounts| {
        unique(mounts, |mount| if mount.target.is_empty() { format!("/{}", mount.source) } else { mount.target.clone() })
    })
}

/// One of `build.secrets`: its target is the id that the Dockerfile knows it by.
pub(super) fn secret_of_build(node: &Node) -> Option<FileMount> {
    secret_at(node, |_| String::new())
}

fn secret_at(node: &Node, at: impl Fn(&str) -> String) -> Option<FileMount> {
    if let Value::String(source) = node.value {
        return Some(FileMount { target: at(source), source: source.clone(), ..FileMount::default() });
    }
    let mut fields = node.fields()?;
    let source = fields.required("source", word);
    let mount = FileMount {
        target: fields.read("target", word).unwrap_or_else(|| at(source.as_deref().unwrap_or_default())),
        source: source.clone().unwrap_or_default(),
        uid: fields.read("uid", word),
        gid: fields.read("gid", word),
        mode: fields.read("mode", file_mode),
    };
    fields.finish();
    source.map(|_| mount)
}

/// `devices`.
pub(super) fn devices(node: &Node) -> Option<Vec<DeviceMapping>> {
    each(node, device).map(|devices| unique(devices, |device| device.target.clone()))
}

fn device(node: &Node) -> Option<DeviceMapping> {
    if let Value::String(spec) = node.value {
        let parts: Vec<&str> = spec.split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, "", "rwm"),
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            _ => return node.fail(format!("{spec:?} has too many colons: use the long form")),
        };
        let target = if target.is_empty() { source } else { target };
        return Some(DeviceMapping { source: source.to_owned(), target: target.to_owned(), permissions: permissions.to_owned() });
    }
    let mut fields = node.fields()?;
    let source = fields.required("source", word);
    let mapping = DeviceMapping {
        source: source.clone().unwrap_or_default(),
        target: fields.read("target", word).or_else(|| source.clone()).unwrap_or_default(),
        permissions: fields.or_default("permissions", word),
    };
    fields.finish();
    source.map(|_| mapping)
}

/// `gpus`: `all`, or a list of requests.
pub(super) fn gpus(node: &Node) -> Option<Vec<DeviceRequest>> {
    match node.value {
        Value::String(word) if word == "all" => Some(vec![DeviceRequest { count: Some(-1), ..DeviceRequest::default() }]),
        Value::String(_) => node.fail("must be all, or a list of requests"),
        _ => each(node, |node| device_request(node, false)),
    }
}

/// `deploy.resources.reservations.devices`.
pub(super) fn device_requests(node: &Node) -> Option<Vec<DeviceRequest>> {
    each(node, |node| device_request(node, true))
}

fn device_request(node: &Node, capabilities_required: bool) -> Option<DeviceRequest> {
    let mut fields = node.fields()?;
    let capabilities = match capabilities_required {
        true => fields.required("capabilities", texts),
        false => fields.read("capabilities", texts),
    };
    let count = fields.get("count");
    let ids = fields.get("device_ids");
    if let (Some(count), Some(_)) = (&count, &ids) {
        count.fail::<()>("count and device_ids exclude each other");
    }
    let all = count.is_none() && ids.is_none();
    let request = DeviceRequest {
        capabilities: capabilities.unwrap_or_default(),
        driver: fields.read("driver", word),
        count: if all { Some(-1) } else { count.and_then(|node| device_count(&node)).filter(|count| *count != 0) },
        device_ids: ids.and_then(|node| texts(&node)).unwrap_or_default(),
        options: fields.or_default("options", mapping),
    };
    fields.finish();
    Some(request)
}

fn device_count(node: &Node) -> Option<i64> {
    match node.value {
        Value::String(word) if word.eq_ignore_ascii_case("all") => Some(-1),
        _ => integer(node),
    }
}
