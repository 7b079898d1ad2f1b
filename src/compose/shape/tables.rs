//! Every field of a configuration, in the order in which Compose writes them.

mod parts;

use super::{Field, Kind};
use parts::{
    BLKIO, BUILD, CREDENTIAL_SPEC, DEPENDENCY, DEPLOY, DEVELOP, DEVICE, DEVICE_REQUEST, EXTENDS, FILE_MOUNT, HEALTHCHECK, HOOK,
    IPAM, LOGGING, MOUNT, PORT, PROVIDER, SERVICE_MODEL, SERVICE_NETWORK,
};

const fn field(key: &'static str, kind: Kind) -> Field {
    Field { key, json: key, kind, always: false }
}

const fn always(key: &'static str, kind: Kind) -> Field {
    Field { key, json: key, kind, always: true }
}

const fn go(key: &'static str, json: &'static str, kind: Kind) -> Field {
    Field { key, json, kind, always: true }
}

/// One service.
pub(in crate::compose) const SERVICE: &[Field] = &[
    field("profiles", Kind::Texts),
    field("annotations", Kind::Mapping),
    field("attach", Kind::GivenFlag),
    field("build", Kind::Map(BUILD)),
    field("develop", Kind::Map(DEVELOP)),
    field("blkio_config", Kind::Map(BLKIO)),
    field("cap_add", Kind::Texts),
    field("cap_drop", Kind::Texts),
    field("cgroup_parent", Kind::Text),
    field("cgroup", Kind::Text),
    field("cpu_count", Kind::Whole),
    field("cpu_percent", Kind::Short),
    field("cpu_period", Kind::Whole),
    field("cpu_quota", Kind::Whole),
    field("cpu_rt_period", Kind::Whole),
    field("cpu_rt_runtime", Kind::Whole),
    field("cpus", Kind::Short),
    field("cpuset", Kind::Text),
    field("cpu_shares", Kind::Whole),
    field("command", Kind::Command),
    field("configs", Kind::List(FILE_MOUNT)),
    field("container_name", Kind::Text),
    field("credential_spec", Kind::Map(CREDENTIAL_SPEC)),
    field("depends_on", Kind::Keyed(&Kind::Map(DEPENDENCY))),
    field("deploy", Kind::Map(DEPLOY)),
    field("device_cgroup_rules", Kind::Texts),
    field("devices", Kind::List(DEVICE)),
    field("dns", Kind::Texts),
    field("dns_opt", Kind::Texts),
    field("dns_search", Kind::Texts),
    field("domainname", Kind::Text),
    field("entrypoint", Kind::Command),
    field("provider", Kind::Map(PROVIDER)),
    field("environment", Kind::Environment),
    field("expose", Kind::Printed),
    field("extends", Kind::Map(EXTENDS)),
    field("external_links", Kind::Texts),
    field("extra_hosts", Kind::Hosts),
    field("group_add", Kind::Texts),
    field("gpus", Kind::List(DEVICE_REQUEST)),
    field("hostname", Kind::Text),
    field("healthcheck", Kind::Map(HEALTHCHECK)),
    field("image", Kind::Text),
    field("init", Kind::GivenFlag),
    field("ipc", Kind::Text),
    field("isolation", Kind::Text),
    field("labels", Kind::Mapping),
    field("links", Kind::Texts),
    field("logging", Kind::Map(LOGGING)),
    field("mem_limit", Kind::Bytes),
    field("mem_reservation", Kind::Bytes),
    field("memswap_limit", Kind::Bytes),
    field("mem_swappiness", Kind::Bytes),
    field("mac_address", Kind::Text),
    field("models", Kind::Keyed(&Kind::Map(SERVICE_MODEL))),
    field("network_mode", Kind::Text),
    field("networks", Kind::Keyed(&Kind::Map(SERVICE_NETWORK))),
    field("oom_kill_disable", Kind::Flag),
    field("oom_score_adj", Kind::Whole),
    field("pid", Kind::Text),
    field("pids_limit", Kind::Whole),
    field("platform", Kind::Text),
    field("ports", Kind::List(PORT)),
    field("privileged", Kind::Flag),
    field("pull_policy", Kind::Text),
    field("read_only", Kind::Flag),
    field("restart", Kind::Text),
    field("runtime", Kind::Text),
    field("scale", Kind::GivenWhole),
    field("secrets", Kind::List(FILE_MOUNT)),
    field("security_opt", Kind::Texts),
    field("shm_size", Kind::Bytes),
    field("stdin_open", Kind::Flag),
    field("stop_grace_period", Kind::GivenSpan),
    field("stop_signal", Kind::Text),
    field("storage_opt", Kind::TextMap),
    field("sysctls", Kind::Mapping),
    field("tmpfs", Kind::Texts),
    field("tty", Kind::Flag),
    field("ulimits", Kind::Keyed(&Kind::Ulimit)),
    field("use_api_socket", Kind::Flag),
    field("user", Kind::Text),
    field("userns_mode", Kind::Text),
    field("uts", Kind::Text),
    field("volumes", Kind::List(MOUNT)),
    field("volumes_from", Kind::Texts),
    field("working_dir", Kind::Text),
    field("post_start", Kind::List(HOOK)),
    field("pre_stop", Kind::List(HOOK)),
];

/// One of the top level's `networks`.
pub(in crate::compose) const NETWORK: &[Field] = &[
    field("name", Kind::Text),
    field("driver", Kind::Text),
    field("driver_opts", Kind::Options),
    field("ipam", Kind::Inline(IPAM)),
    field("external", Kind::Flag),
    field("internal", Kind::Flag),
    field("attachable", Kind::Flag),
    field("labels", Kind::Mapping),
    field("enable_ipv4", Kind::GivenFlag),
    field("enable_ipv6", Kind::GivenFlag),
];

/// One of the top level's `volumes`.
pub(in crate::compose) const VOLUME: &[Field] = &[
    field("name", Kind::Text),
    field("driver", Kind::Text),
    field("driver_opts", Kind::Options),
    field("external", Kind::Flag),
    field("labels", Kind::Mapping),
];

/// One of the top level's `secrets`.
pub(in crate::compose) const SECRET: &[Field] = &[
    field("name", Kind::Text),
    field("file", Kind::Text),
    field("environment", Kind::Text),
    field("external", Kind::Flag),
    field("labels", Kind::Mapping),
    field("driver", Kind::Text),
    field("driver_opts", Kind::TextMap),
    field("template_driver", Kind::Text),
];

/// One of the top level's `configs`.
pub(in crate::compose) const CONFIG: &[Field] = &[
    field("name", Kind::Text),
    field("file", Kind::Text),
    field("environment", Kind::Text),
    field("content", Kind::Text),
    field("external", Kind::Flag),
    field("labels", Kind::Mapping),
    field("driver", Kind::Text),
    field("driver_opts", Kind::TextMap),
    field("template_driver", Kind::Text),
];

/// One of the top level's `models`.
pub(in crate::compose) const MODEL: &[Field] = &[
    field("name", Kind::Text),
    field("model", Kind::Text),
    field("context_size", Kind::Whole),
    field("runtime_flags", Kind::Texts),
];
