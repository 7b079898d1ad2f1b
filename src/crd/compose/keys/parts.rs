//! Keys of the maps within a service, and of networks, volumes and secrets.

use super::{Form, Key, TEXTS, key, refused};

/// Within `blkio_config`.
pub const BLKIO: &[Key] = &[
    key("device_read_bps", Form::List(&Form::Map(DEVICE_RATE)), "Bytes a second that it may read, by device."),
    key("device_read_iops", Form::List(&Form::Map(DEVICE_RATE)), "Reads a second that it may make, by device."),
    key("device_write_bps", Form::List(&Form::Map(DEVICE_RATE)), "Bytes a second that it may write, by device."),
    key("device_write_iops", Form::List(&Form::Map(DEVICE_RATE)), "Writes a second that it may make, by device."),
    key("weight", Form::Whole, "10 to 1000."),
    key("weight_device", Form::List(&Form::Map(DEVICE_WEIGHT)), "Weights for single devices."),
];

/// One of the rates of `blkio_config`.
pub const DEVICE_RATE: &[Key] = &[
    key("path", Form::Text, "Path of the device on the host. Required."),
    key("rate", Form::Size, "How many a second. Required."),
];

/// One of `blkio_config.weight_device`.
pub const DEVICE_WEIGHT: &[Key] =
    &[key("path", Form::Text, "Path of the device on the host. Required."), key("weight", Form::Whole, "10 to 1000. Required.")];

/// One entry of `depends_on` in its long form.
pub const DEPENDENCY: &[Key] = &[
    key(
        "condition",
        Form::Words(&["service_started", "service_healthy", "service_completed_successfully"]),
        "What must hold before this service starts. Required.",
    ),
    key("required", Form::Flag, "`false`: go on without it when it cannot be had. Default true."),
    key("restart", Form::Flag, "Restart this service when that one is restarted or replaced. Default false."),
];

/// Within `deploy`.
pub const DEPLOY: &[Key] = &[
    key("labels", Form::Mapping, "Labels of the service, which containers do not get."),
    key("mode", Form::Words(&["replicated"]), "`replicated`."),
    key("replicas", Form::Whole, "How many containers. Default 1."),
    key("resources", Form::Map(RESOURCES), "Limits and reservations."),
    key("restart_policy", Form::Map(RESTART_POLICY), "Wins over `restart`."),
    refused("endpoint_mode", "it is a matter of Swarm's"),
    refused("placement", "there is one engine to place on"),
    refused("rollback_config", "updates go one replica at a time"),
    refused("update_config", "updates go one replica at a time"),
];

/// Within `deploy.resources`.
pub const RESOURCES: &[Key] =
    &[key("limits", Form::Map(LIMITS), "Upper bounds."), key("reservations", Form::Map(RESERVATIONS), "What it is given.")];

/// Within `deploy.resources.limits`.
pub const LIMITS: &[Key] = &[
    key("cpus", Form::Cpus, "CPUs it may use."),
    key("memory", Form::Size, "Memory it may use."),
    key("pids", Form::Whole, "Processes it may have."),
];

/// Within `deploy.resources.reservations`.
pub const RESERVATIONS: &[Key] = &[
    key("cpus", Form::Cpus, "Accepted; a single engine cannot reserve CPUs."),
    key("devices", Form::List(&Form::Map(DEVICE_REQUEST)), "Devices, such as GPUs."),
    key("memory", Form::Size, "Memory it is held to when the host runs short."),
    refused("generic_resources", "they are a matter of Swarm's"),
];

/// Within `deploy.restart_policy`.
pub const RESTART_POLICY: &[Key] = &[
    key(
        "condition",
        Form::Words(&["none", "no", "on-failure", "any", "always", "unless-stopped"]),
        "`any` (default): keep it running. `on-failure`: run again after a failure. `none`: run once.",
    ),
    key("max_attempts", Form::Whole, "Attempts of `on-failure`. Default: spec.recovery.maxAttempts."),
    refused("delay", "write spec.recovery.backoff"),
    refused("window", "write spec.recovery.stableWindow"),
];

/// One of `devices` in its long form.
pub const DEVICE: &[Key] = &[
    key("permissions", Form::Text, "`r`, `w` and `m` (make nodes). Default `rwm`."),
    key("source", Form::Text, "Path on the host. Required."),
    key("target", Form::Text, "Path in the container. Default: as on the host."),
];

/// One request for devices.
pub const DEVICE_REQUEST: &[Key] = &[
    key("capabilities", TEXTS, "What the device must be able to do, such as `gpu`."),
    key("count", Form::Printed, "How many; `all` is the default."),
    key("device_ids", TEXTS, "Which ones, instead of count."),
    key("driver", Form::Text, "Driver, such as `nvidia`."),
    key("options", Form::Mapping, "Options of the driver."),
];

/// One of `secrets` and `configs` in its long form.
pub const FILE_MOUNT: &[Key] = &[
    key("gid", Form::Text, "Group of the file; without effect on a file of the host, as with Compose."),
    key("mode", Form::Mode, "Permissions of the file, default 0444; without effect on a file of the host, as with Compose."),
    key("source", Form::Text, "Key under spec.secrets, or spec.configs. Required."),
    key(
        "target",
        Form::Text,
        "Path in the container; a bare name lies in /run/secrets, that of a config in /. Default: the key.",
    ),
    key("uid", Form::Text, "Owner of the file; without effect on a file of the host, as with Compose."),
];

/// Within `healthcheck`.
pub const HEALTHCHECK: &[Key] = &[
    key("disable", Form::Flag, "Switch the image's health check off."),
    key("interval", Form::Span, "Time between probes. Default: the engine's 30s."),
    key("retries", Form::Whole, "Failures in a row that make it unhealthy. Default: the engine's 3."),
    key("start_interval", Form::Span, "Time between probes while it starts (engine 25 and up)."),
    key("start_period", Form::Span, "Time it has for starting, in which failures do not count."),
    key(
        "test",
        super::TEXT_OR_TEXTS,
        "The probe: text for a shell, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`. Default: the image's.",
    ),
    key("timeout", Form::Span, "Time one probe may take. Default: the engine's 30s."),
];

/// One of `post_start` and `pre_stop`.
pub const HOOK: &[Key] = &[
    key("command", super::TEXT_OR_TEXTS, "The command, as of a service. Required."),
    key("environment", Form::Mapping, "Further variables."),
    key("privileged", Form::Flag, "Run it with all capabilities."),
    key("user", Form::Text, "User or uid. Default: the container's."),
    key("working_dir", Form::Text, "Working directory. Default: the container's."),
];

/// Within `logging`.
pub const LOGGING: &[Key] =
    &[key("driver", Form::Text, "Log driver. Default: the engine's."), key("options", Form::Options, "Its options.")];

/// One of `volumes` in its long form.
pub const MOUNT: &[Key] = &[
    key("bind", Form::Map(BIND), "Options of a bind."),
    key("consistency", Form::Text, "A word of Docker Desktop's, without effect on Linux."),
    key("read_only", Form::Flag, "Mount it read-only."),
    key("source", Form::Text, "Absolute host path, or key under spec.volumes; absent: an anonymous volume."),
    key("target", Form::Text, "Path in the container. Required."),
    key("tmpfs", Form::Map(TMPFS), "Options of a tmpfs."),
    key("type", Form::Words(&["bind", "volume", "tmpfs"]), "What is mounted. Required."),
    key("volume", Form::Map(MOUNTED_VOLUME), "Options of a volume."),
    refused("image", "images cannot be mounted"),
];

/// Options of a bind.
pub const BIND: &[Key] = &[
    key("create_host_path", Form::Flag, "Make the host path when it is missing. Default false; true in the short form."),
    key(
        "propagation",
        Form::Words(&["rprivate", "private", "rshared", "shared", "rslave", "slave"]),
        "Whether mounts below it are seen on the other side.",
    ),
    key("selinux", Form::Words(&["z", "Z"]), "SELinux label: `z` shared, `Z` private."),
    refused("recursive", "mounts below a bind are always brought along"),
];

/// Options of a mounted volume.
pub const MOUNTED_VOLUME: &[Key] = &[
    key("nocopy", Form::Flag, "Do not copy the image's content into a new volume."),
    key("subpath", Form::Text, "Path within the volume (engine 26 and up)."),
    refused("labels", "label the volume under spec.volumes"),
];

/// Options of a tmpfs.
pub const TMPFS: &[Key] =
    &[key("mode", Form::Mode, "Permissions of its root."), key("size", Form::Size, "Largest size. Default: no limit.")];

/// `x-evenkeel` of a service.
pub const POLICY: &[Key] = &[
    key("onChange", Form::Map(ON_CHANGE), "What follows when a file of the host that its containers have mounted changes."),
    key(
        "probes",
        Form::Map(super::PROBES),
        "Probes of evenkeel's own, beside the engine's healthcheck. A change of them restarts nothing.",
    ),
];

/// Within `x-evenkeel.onChange`.
pub const ON_CHANGE: &[Key] = &[
    key(
        "action",
        Form::Words(&["Recreate", "Restart", "Signal", "Ignore"]),
        "`Recreate`: make the containers anew, one replica at a time. `Restart`: stop and start them. `Signal`: send their main \
         process a signal. `Ignore`: do nothing. Required.",
    ),
    key("signal", Form::Words(&["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"]), "The signal of action `Signal`. Default SIGHUP."),
];

/// One of `ports` in its long form.
pub const PORT: &[Key] = &[
    key("app_protocol", Form::Text, "What is spoken on it; for people."),
    key("host_ip", Form::Text, "Address on the host. Default: all."),
    key("mode", Form::Words(&["ingress", "host"]), "Both publish on this host."),
    key("name", Form::Text, "A name for people."),
    key("protocol", Form::Words(&["tcp", "udp", "sctp"]), "Default tcp."),
    key("published", Form::Printed, "Port on the host. Default: Docker chooses one."),
    key("target", Form::Whole, "Port in the container. Required."),
];

/// How a service joins a network.
pub const SERVICE_NETWORK: &[Key] = &[
    key("aliases", TEXTS, "Further names it answers to on this network."),
    key("driver_opts", Form::Options, "Options of the network's driver for this container."),
    key("ipv4_address", Form::Text, "Fixed IPv4 address; the network needs a subnet."),
    key("ipv6_address", Form::Text, "Fixed IPv6 address; the network needs a subnet."),
    key("link_local_ips", TEXTS, "Link-local addresses."),
    key("mac_address", Form::Text, "MAC address on this network."),
    key("priority", Form::Whole, "Networks are joined in falling order of it. Default 0."),
    refused("gw_priority", "it needs engine 28"),
    refused("interface_name", "it needs engine 28"),
];

/// One of `ulimits` with two limits.
pub const ULIMIT: &[Key] =
    &[key("hard", Form::Whole, "Hard limit; `-1` is none. Required."), key("soft", Form::Whole, "Soft limit. Required.")];

const EXTERNAL: Form = Form::Any(&[Form::Flag, Form::Map(&[key("name", Form::Text, "Its name (Compose's old form).")])]);

/// A network under `spec.networks`.
pub const NETWORK: &[Key] = &[
    key("attachable", Form::Flag, "Standalone containers may attach to it (overlay)."),
    key("driver", Form::Text, "Driver. Default: the engine's (`bridge`)."),
    key("driver_opts", Form::Options, "Options of the driver."),
    key("enable_ipv6", Form::Flag, "IPv6."),
    key("external", EXTERNAL, "Made by somebody else: it must exist and is never changed or removed."),
    key("internal", Form::Flag, "No way out."),
    key("ipam", Form::Map(IPAM), "Addresses."),
    key("labels", Form::Mapping, "Labels."),
    key("name", Form::Text, "Name on the engine. Default: `<project>_<key>`, the key if external."),
    refused("enable_ipv4", "it needs engine 28"),
];

/// Addresses of a network.
pub const IPAM: &[Key] = &[
    key("config", Form::List(&Form::Map(IPAM_POOL)), "Address pools."),
    key("driver", Form::Text, "Driver. Default `default`."),
    refused("options", ""),
];

/// One address pool of a network.
pub const IPAM_POOL: &[Key] = &[
    key("aux_addresses", Form::Options, "Reserved addresses by host name."),
    key("gateway", Form::Text, "Address of the gateway."),
    key("ip_range", Form::Text, "Part of the subnet that containers get addresses from, as a CIDR."),
    key("subnet", Form::Text, "Subnet, as a CIDR."),
];

/// A volume under `spec.volumes`.
pub const VOLUME: &[Key] = &[
    key("driver", Form::Text, "Driver. Default `local`."),
    key("driver_opts", Form::Options, "Options of the driver."),
    key("external", EXTERNAL, "Made by somebody else: it must exist and is never removed."),
    key("labels", Form::Mapping, "Labels."),
    key("name", Form::Text, "Name on the engine. Default: `<project>_<key>`, the key if external."),
];

/// A secret under `spec.secrets`.
pub const SECRET: &[Key] = &[
    key("file", Form::Text, "Absolute path of the file on the host."),
    key("name", Form::Text, "A name for people. Default: `<project>_<key>`."),
    refused("content", "give a file"),
    refused("driver", "give a file"),
    refused("driver_opts", "give a file"),
    key("environment", Form::Text, "Variable of the operator's environment that holds it, instead of file."),
    refused("external", "external secrets are Swarm's; give a file"),
    refused("labels", "give a file"),
    refused("template_driver", "give a file"),
];

/// A config under `spec.configs`.
pub const CONFIG: &[Key] = &[
    key("content", Form::Text, "Its text, instead of file."),
    key("environment", Form::Text, "Variable of the operator's environment that holds it, instead of file."),
    key("file", Form::Text, "Absolute path of the file on the host."),
    key("name", Form::Text, "A name for people. Default: `<project>_<key>`."),
    refused("external", "external configs are Swarm's; give a file or content"),
    refused("labels", "give a file or content"),
    refused("template_driver", "give a file or content"),
];
