//! Top-level networks, volumes and secrets.

use std::collections::BTreeMap;

use serde::Serialize;

use super::service::is_empty;

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Real name on the engine: the one given, or `<project>_<key>`.
    pub name: String,
    /// Driver; absent: the engine's default.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver: Option<String>,
    /// Driver options.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Address management. Written even when empty.
    pub ipam: Ipam,
    /// Made by somebody else; must exist.
    #[serde(skip_serializing_if = "is_empty")]
    pub external: bool,
    /// No way out.
    #[serde(skip_serializing_if = "is_empty")]
    pub internal: bool,
    /// Standalone containers may attach.
    #[serde(skip_serializing_if = "is_empty")]
    pub attachable: bool,
    /// Labels.
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: BTreeMap<String, String>,
    /// IPv6.
    #[serde(skip_serializing_if = "is_empty")]
    pub enable_ipv6: Option<bool>,
}

/// Address management.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ipam {
    /// Driver.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver: Option<String>,
    /// Pools.
    #[serde(skip_serializing_if = "is_empty")]
    pub config: Vec<IpamPool>,
}

/// One address pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IpamPool {
    /// CIDR.
    #[serde(skip_serializing_if = "is_empty")]
    pub subnet: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "is_empty")]
    pub gateway: Option<String>,
    /// CIDR within the subnet.
    #[serde(skip_serializing_if = "is_empty")]
    pub ip_range: Option<String>,
    /// Reserved addresses by host name.
    #[serde(skip_serializing_if = "is_empty")]
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Real name on the engine: the one given, or `<project>_<key>`.
    pub name: String,
    /// Driver; absent: `local`.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver: Option<String>,
    /// Driver options.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Made by somebody else; must exist.
    #[serde(skip_serializing_if = "is_empty")]
    pub external: bool,
    /// Labels.
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A secret or a config: a file of the host, or what is written into one that containers get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// The one given, or `<project>_<key>`.
    pub name: String,
    /// Absolute path on the host; empty where it comes from elsewhere.
    #[serde(skip_serializing_if = "is_empty")]
    pub file: String,
    /// The variable of the operator's environment that holds it.
    #[serde(skip_serializing_if = "is_empty")]
    pub environment: Option<String>,
    /// Its text; of configs only.
    #[serde(skip_serializing_if = "is_empty")]
    pub content: Option<String>,
}
