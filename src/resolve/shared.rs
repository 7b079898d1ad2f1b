//! Networks and volumes that the enabled services use.

use std::collections::BTreeMap;

use super::{Scope, hash, labels};
use crate::crd::compose::{Ipam, Network, Volume, network_hash, volume_hash};
use crate::model::{IpamPool, IpamSpec, NetworkSpec, VolumeSpec};

/// Networks by key. One that no enabled service joins is not made, as in Compose.
pub(super) fn networks(scope: &Scope) -> BTreeMap<String, NetworkSpec> {
    let used = scope.networks_in_use();
    let used = scope.project.networks.iter().filter(|(key, _)| used.contains(key.as_str()));
    used.map(|(key, network)| (key.clone(), network_spec(scope, key, network.clone()))).collect()
}

/// Volumes by key. One that no enabled service mounts is not made, as in Compose.
pub(super) fn volumes(scope: &Scope) -> BTreeMap<String, VolumeSpec> {
    let used = scope.volumes_in_use();
    let used = scope.project.volumes.iter().filter(|(key, _)| used.contains(key.as_str()));
    used.map(|(key, volume)| (key.clone(), volume_spec(scope, key, volume.clone()))).collect()
}

fn network_spec(scope: &Scope, key: &str, network: Network) -> NetworkSpec {
    let compose_hash = network_hash(&network);
    let hash = hash::short(&compose_hash);
    let Network { name, driver, driver_opts, ipam, external, internal, attachable, labels, enable_ipv6 } = network;
    let labels = if external { labels } else { labels::network(scope, key, &labels, &hash, &compose_hash) };
    NetworkSpec { name, external, driver, driver_opts, internal, attachable, enable_ipv6, ipam: ipam_spec(ipam), labels, hash }
}

fn ipam_spec(ipam: Ipam) -> IpamSpec {
    let Ipam { driver, config } = ipam;
    let pool = |pool: crate::crd::compose::IpamPool| {
        let crate::crd::compose::IpamPool { subnet, gateway, ip_range, aux_addresses } = pool;
        IpamPool { subnet, ip_range, gateway, aux_addresses }
    };
    IpamSpec { driver, config: config.into_iter().map(pool).collect(), options: BTreeMap::new() }
}

fn volume_spec(scope: &Scope, key: &str, volume: Volume) -> VolumeSpec {
    let compose_hash = volume_hash(&volume);
    let hash = hash::short(&compose_hash);
    let Volume { name, driver, driver_opts, external, labels } = volume;
    let labels = if external { labels } else { labels::volume(scope, key, &labels, &hash, &compose_hash) };
    VolumeSpec { name, external, driver, driver_opts, labels, hash }
}
