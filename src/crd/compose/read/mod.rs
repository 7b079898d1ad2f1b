//! Reading Compose's short and long forms.

mod build;
mod deploy;
mod mounts;
mod policy;
mod ports;
mod probes;
mod resources;
mod scalars;
mod service;
mod words;

use std::collections::BTreeMap;

use serde_json::Value;

use super::Project;
use super::keys::{Form, Key};
use crate::crd::DeploymentSpec;
use crate::crd::decode::{Fields, Node, Sink, field_path};

pub(in crate::crd) use ports::{range as port_range, short as short_ports};
pub(in crate::crd) use scalars::{each, integer, one_of, parse_bytes, text, word};

/// The words of a command line; what follows an operator of the shell is dropped.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    words::split(line).map(|split| split.words)
}

/// All of a Deployment's Compose parts, without what they imply for each other.
pub(super) fn project(name: &str, spec: &DeploymentSpec, sink: &Sink) -> Project {
    Project {
        name: name.to_owned(),
        services: all("spec.services", &spec.services, sink, service::service),
        networks: all("spec.networks", &spec.networks, sink, resources::network),
        volumes: all("spec.volumes", &spec.volumes, sink, resources::volume),
        secrets: all("spec.secrets", &spec.secrets, sink, resources::secret),
        configs: all("spec.configs", &spec.configs, sink, resources::config),
    }
}

/// Refuses by name what the table says is refused.
fn refuse(fields: &mut Fields, table: &'static [Key]) {
    for key in table.iter().filter(|key| matches!(key.form, Form::Refused)) {
        fields.refuse(key.name, key.text);
    }
}

fn all<T>(path: &str, values: &BTreeMap<String, Value>, sink: &Sink, read: impl Fn(&Node) -> Option<T>) -> BTreeMap<String, T> {
    let one = |(key, value): (&String, &Value)| {
        let read = read(&Node::new(value, field_path(path, key), sink))?;
        Some((key.clone(), read))
    };
    values.iter().filter_map(one).collect()
}
