//! Fields of the maps within services and networks.

use super::{Field, Kind, always, field, go};

/// `build`.
pub(super) const BUILD: &[Field] = &[
    field("context", Kind::Text),
    field("dockerfile", Kind::Text),
    field("dockerfile_inline", Kind::Text),
    field("entitlements", Kind::Texts),
    field("args", Kind::Environment),
    field("provenance", Kind::Text),
    field("sbom", Kind::Text),
    field("ssh", Kind::Ssh),
    field("labels", Kind::Mapping),
    field("cache_from", Kind::Texts),
    field("cache_to", Kind::Texts),
    field("no_cache", Kind::Flag),
    field("additional_contexts", Kind::Mapping),
    field("pull", Kind::Flag),
    field("extra_hosts", Kind::Hosts),
    field("isolation", Kind::Text),
    field("network", Kind::Text),
    field("target", Kind::Text),
    field("secrets", Kind::List(FILE_MOUNT)),
    field("shm_size", Kind::Bytes),
    field("tags", Kind::Texts),
    field("ulimits", Kind::Keyed(&Kind::Ulimit)),
    field("platforms", Kind::Texts),
    field("privileged", Kind::Flag),
];

/// `develop`.
pub(super) const DEVELOP: &[Field] = &[field("watch", Kind::List(WATCH))];

/// One of `develop.watch`.
const WATCH: &[Field] = &[
    always("path", Kind::Text),
    always("action", Kind::Text),
    field("target", Kind::Text),
    field("exec", Kind::Inline(HOOK)),
    field("include", Kind::Texts),
    field("ignore", Kind::Texts),
    field("initial_sync", Kind::Flag),
];

/// One of `post_start` and `pre_stop`.
pub(super) const HOOK: &[Field] = &[
    field("command", Kind::Command),
    field("user", Kind::Text),
    field("privileged", Kind::Flag),
    field("working_dir", Kind::Text),
    field("environment", Kind::Environment),
];

/// `blkio_config`.
pub(super) const BLKIO: &[Field] = &[
    field("weight", Kind::Count),
    field("weight_device", Kind::List(DEVICE_WEIGHT)),
    field("device_read_bps", Kind::List(DEVICE_RATE)),
    field("device_read_iops", Kind::List(DEVICE_RATE)),
    field("device_write_bps", Kind::List(DEVICE_RATE)),
    field("device_write_iops", Kind::List(DEVICE_RATE)),
];

/// One of `blkio_config.weight_device`; Compose writes its fields as Go has them.
const DEVICE_WEIGHT: &[Field] = &[go("path", "Path", Kind::Text), go("weight", "Weight", Kind::Count)];

/// One of the rates of `blkio_config`.
const DEVICE_RATE: &[Field] = &[go("path", "Path", Kind::Text), go("rate", "Rate", Kind::Bytes)];

/// One of `configs` and `secrets` of a service.
pub(super) const FILE_MOUNT: &[Field] = &[
    field("source", Kind::Text),
    field("target", Kind::Text),
    field("uid", Kind::Text),
    field("gid", Kind::Text),
    field("mode", Kind::Mode),
];

/// `credential_spec`.
pub(super) const CREDENTIAL_SPEC: &[Field] =
    &[field("config", Kind::Text), field("file", Kind::Text), field("registry", Kind::Text)];

/// One of `depends_on`.
pub(super) const DEPENDENCY: &[Field] =
    &[field("condition", Kind::Text), field("restart", Kind::Flag), always("required", Kind::Flag)];

/// `deploy`.
pub(super) const DEPLOY: &[Field] = &[
    field("mode", Kind::Text),
    field("replicas", Kind::GivenWhole),
    field("labels", Kind::Mapping),
    field("update_config", Kind::Map(UPDATE)),
    field("rollback_config", Kind::Map(UPDATE)),
    field("resources", Kind::Inline(RESOURCES)),
    field("restart_policy", Kind::Map(RESTART)),
    field("placement", Kind::Inline(PLACEMENT)),
    field("endpoint_mode", Kind::Text),
];

/// `deploy.update_config` and `deploy.rollback_config`.
const UPDATE: &[Field] = &[
    field("parallelism", Kind::GivenCount),
    field("delay", Kind::Span),
    field("failure_action", Kind::Text),
    field("monitor", Kind::Span),
    field("max_failure_ratio", Kind::Short),
    field("order", Kind::Text),
];

/// `deploy.resources`.
const RESOURCES: &[Field] = &[field("limits", Kind::Map(RESOURCE)), field("reservations", Kind::Map(RESOURCE))];

/// What is limited or reserved.
const RESOURCE: &[Field] = &[
    field("cpus", Kind::Short),
    field("memory", Kind::Bytes),
    field("pids", Kind::Whole),
    field("devices", Kind::List(DEVICE_REQUEST)),
    field("generic_resources", Kind::List(GENERIC)),
];

/// One of `generic_resources`.
const GENERIC: &[Field] = &[field("discrete_resource_spec", Kind::Map(DISCRETE))];

/// A resource that is counted.
const DISCRETE: &[Field] = &[always("kind", Kind::Text), always("value", Kind::Whole)];

/// `deploy.restart_policy`.
const RESTART: &[Field] = &[
    field("condition", Kind::Text),
    field("delay", Kind::GivenSpan),
    field("max_attempts", Kind::GivenCount),
    field("window", Kind::GivenSpan),
];

/// `deploy.placement`.
const PLACEMENT: &[Field] = &[
    field("constraints", Kind::Texts),
    field("preferences", Kind::List(PREFERENCE)),
    field("max_replicas_per_node", Kind::Count),
];

/// One of `placement.preferences`.
const PREFERENCE: &[Field] = &[field("spread", Kind::Text)];

/// One of `devices`.
pub(super) const DEVICE: &[Field] = &[field("source", Kind::Text), field("target", Kind::Text), field("permissions", Kind::Text)];

/// A request for devices.
pub(super) const DEVICE_REQUEST: &[Field] = &[
    field("capabilities", Kind::Texts),
    field("driver", Kind::Text),
    field("count", Kind::Devices),
    field("device_ids", Kind::Texts),
    field("options", Kind::Mapping),
];

/// `provider`.
pub(super) const PROVIDER: &[Field] = &[field("type", Kind::Text), field("options", Kind::Lists)];

/// `extends` of a service that extends nothing.
pub(super) const EXTENDS: &[Field] = &[field("file", Kind::Text), field("service", Kind::Text)];

/// `healthcheck`.
pub(super) const HEALTHCHECK: &[Field] = &[
    field("test", Kind::Test),
    field("timeout", Kind::GivenSpan),
    field("interval", Kind::GivenSpan),
    field("retries", Kind::GivenCount),
    field("start_period", Kind::GivenSpan),
    field("start_interval", Kind::GivenSpan),
    field("disable", Kind::Flag),
];

/// `logging`.
pub(super) const LOGGING: &[Field] = &[field("driver", Kind::Text), field("options", Kind::Options)];

/// One of `models` of a service.
pub(super) const SERVICE_MODEL: &[Field] = &[field("endpoint_var", Kind::Text), field("model_var", Kind::Text)];

/// One of `networks` of a service.
pub(super) const SERVICE_NETWORK: &[Field] = &[
    field("aliases", Kind::Texts),
    field("driver_opts", Kind::Options),
    field("gw_priority", Kind::Whole),
    field("interface_name", Kind::Text),
    field("ipv4_address", Kind::Text),
    field("ipv6_address", Kind::Text),
    field("link_local_ips", Kind::Texts),
    field("mac_address", Kind::Text),
    field("priority", Kind::Whole),
];

/// One of `ports`.
pub(super) const PORT: &[Field] = &[
    field("name", Kind::Text),
    field("mode", Kind::Text),
    field("host_ip", Kind::Text),
    field("target", Kind::Count),
    field("published", Kind::Text),
    field("protocol", Kind::Text),
    field("app_protocol", Kind::Text),
];

/// One of `volumes` of a service.
pub(super) const MOUNT: &[Field] = &[
    field("type", Kind::Text),
    field("source", Kind::Text),
    field("target", Kind::Text),
    field("read_only", Kind::Flag),
    field("consistency", Kind::Text),
    field("bind", Kind::Map(BIND)),
    field("volume", Kind::Map(MOUNTED_VOLUME)),
    field("tmpfs", Kind::Map(TMPFS)),
    field("image", Kind::Map(MOUNTED_IMAGE)),
];

/// Options of a bind.
const BIND: &[Field] = &[
    field("selinux", Kind::Text),
    field("propagation", Kind::Text),
    field("create_host_path", Kind::Flag),
    field("recursive", Kind::Text),
];

/// Options of a mounted volume.
const MOUNTED_VOLUME: &[Field] = &[field("labels", Kind::Mapping), field("nocopy", Kind::Flag), field("subpath", Kind::Text)];

/// Options of a tmpfs.
const TMPFS: &[Field] = &[field("size", Kind::Bytes), field("mode", Kind::Count)];

/// Options of a mounted image.
const MOUNTED_IMAGE: &[Field] = &[field("subpath", Kind::Text)];

/// `ipam`.
pub(super) const IPAM: &[Field] = &[field("driver", Kind::Text), field("config", Kind::List(POOL))];

/// One of `ipam.config`.
const POOL: &[Field] = &[
    field("subnet", Kind::Text),
    field("gateway", Kind::Text),
    field("ip_range", Kind::Text),
    field("aux_addresses", Kind::Mapping),
];
