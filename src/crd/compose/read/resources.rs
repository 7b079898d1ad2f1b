//! Top-level networks, volumes and secrets.

use super::super::{Ipam, IpamPool, Network, Secret, Volume};
use super::refuse;
use super::scalars::{each, flag, mapping, options, text, word};
use crate::crd::compose::keys;
use crate::crd::decode::{Fields, Node};

/// A network; its name is the one given, or empty.
pub(super) fn network(node: &Node) -> Option<Network> {
    if node.value.is_null() {
        return Some(Network::default());
    }
    let mut fields = node.fields()?;
    let (external, name) = external(&mut fields);
    let network = Network {
        name,
        driver: fields.read("driver", word),
        driver_opts: fields.or_default("driver_opts", options),
        ipam: fields.or_default("ipam", ipam),
        external,
        internal: fields.or_default("internal", flag),
        attachable: fields.or_default("attachable", flag),
        labels: fields.or_default("labels", mapping),
        enable_ipv6: fields.read("enable_ipv6", flag),
    };
    refuse(&mut fields, keys::NETWORK);
    fields.finish();
    let plain = Network { name: network.name.clone(), external, ..Network::default() };
    if external && network != plain {
        node.warn("it is external: what else is said of it has no effect");
    }
    Some(network)
}

fn ipam(node: &Node) -> Option<Ipam> {
    let mut fields = node.fields()?;
    let ipam = Ipam { driver: fields.read("driver", word), config: fields.or_default("config", |node| each(node, ipam_pool)) };
    refuse(&mut fields, keys::IPAM);
    fields.finish();
    Some(ipam)
}

fn ipam_pool(node: &Node) -> Option<IpamPool> {
    let mut fields = node.fields()?;
    let pool = IpamPool {
        subnet: fields.read("subnet", word),
        gateway: fields.read("gateway", word),
        ip_range: fields.read("ip_range", word),
        aux_addresses: fields.or_default("aux_addresses", options),
    };
    fields.finish();
    Some(pool)
}

/// A volume; its name is the one given, or empty.
pub(super) fn volume(node: &Node) -> Option<Volume> {
    if node.value.is_null() {
        return Some(Volume::default());
    }
    let mut fields = node.fields()?;
    let (external, name) = external(&mut fields);
    let volume = Volume {
        name,
        driver: fields.read("driver", word),
        driver_opts: fields.or_default("driver_opts", options),
        external,
        labels: fields.or_default("labels", mapping),
    };
    fields.finish();
    if external && volume != (Volume { name: volume.name.clone(), external, ..Volume::default() }) {
        return node.fail("it is external: only its name may be given beside that");
    }
    Some(volume)
}

/// A secret: a file of the host by its absolute path, or a variable of the operator's environment.
pub(super) fn secret(node: &Node) -> Option<Secret> {
    file_or_text(node, keys::SECRET, &["external", "content", "driver"])
}

/// A config: as a secret, or its text.
pub(super) fn config(node: &Node) -> Option<Secret> {
    file_or_text(node, keys::CONFIG, &["external"])
}

/// `refused`: keys in whose company nothing else is missed.
fn file_or_text(node: &Node, table: &'static [keys::Key], refused: &[&'static str]) -> Option<Secret> {
    let mut fields = node.fields()?;
    let name = fields.or_default("name", word);
    refuse(&mut fields, table);
    let knows_content = !refused.contains(&"content");
    let (file, environment) = (fields.get("file"), fields.read("environment", word));
    let content = if knows_content { fields.read("content", text) } else { None };
    let others = refused.iter().any(|key| fields.get(key).is_some());
    fields.finish();
    let given = usize::from(file.is_some()) + usize::from(environment.is_some()) + usize::from(content.is_some());
    let choices = if knows_content { "file, content or environment" } else { "file or environment" };
    let path = match file {
        _ if given > 1 => return node.fail(format!("has more than one source: give one of {choices}")),
        None if given == 0 && others => return None,
        None if given == 0 => return node.fail(format!("needs {choices}: file is an absolute path on the host")),
        None => String::new(),
        Some(file) => match word(&file)? {
            path if path.starts_with('/') => path,
            path => {
                return file.fail(format!(
                    "{path:?} is a relative path: a Deployment has no folder to start from; write an absolute path"
                ));
            }
        },
    };
    Some(Secret { name, file: path, environment, content })
}

/// `external` and `name`; Compose's old form `external: {name: x}` is read too.
fn external(fields: &mut Fields) -> (bool, String) {
    let name = fields.or_default("name", word);
    let Some(node) = fields.get("external") else { return (false, name) };
    if !node.value.is_object() {
        return (flag(&node).unwrap_or_default(), name);
    }
    let Some(mut old) = node.fields() else { return (true, name) };
    let old_name = old.or_default("name", word);
    old.finish();
    if !name.is_empty() && !old_name.is_empty() && name != old_name {
        node.fail::<()>("name and external.name differ: keep only name");
    }
    (true, if name.is_empty() { old_name } else { name })
}
