//! Every key of a Compose service: which are supported, in which forms, what they mean; which are refused, and why.
//!
//! The schemas and the documentation are made from these tables; tests hold them against the reader.

mod build;
mod parts;
mod probes;

pub use build::BUILD;
pub use parts::*;
pub use probes::*;

/// One key of a map.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may be written.
    pub form: Form,
    /// What it means, with its default; of a refused one: why, or what to write instead.
    pub text: &'static str,
}

impl Key {
    /// Whether it must be there: its text says so at its end.
    pub fn required(&self) -> bool {
        self.text.ends_with("Required.")
    }
}

/// What may be written for a key.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Text.
    Text,
    /// True or false.
    Flag,
    /// A whole number.
    Whole,
    /// A number of CPUs.
    Cpus,
    /// A number of bytes, or text with a unit.
    Size,
    /// A duration.
    Span,
    /// Octal permissions.
    Mode,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Text of a certain form.
    Match {
        /// A regular expression for all of it.
        pattern: &'static str,
        /// The same, for people.
        shown: &'static str,
    },
    /// A number or text.
    Printed,
    /// A list of something.
    List(&'static Form),
    /// `key=value` lines, or a map.
    Mapping,
    /// A map of text and numbers with keys of the user's choice.
    Options,
    /// A map with these keys.
    Map(&'static [Key]),
    /// A map with keys of the user's choice.
    MapOf(&'static Form),
    /// As the other form, or null.
    Nullable(&'static Form),
    /// Any of these.
    Any(&'static [Form]),
    /// Nothing: the key is Compose's, and refused by name.
    Refused,
}

const TEXTS: Form = Form::List(&Form::Text);
const TEXT_OR_TEXTS: Form = Form::Any(&[Form::Text, TEXTS]);

const fn key(name: &'static str, form: Form, text: &'static str) -> Key {
    Key { name, form, text }
}

const fn refused(name: &'static str, text: &'static str) -> Key {
    Key { name, form: Form::Refused, text }
}

/// Keys of a service: those that are supported, then those that are refused.
pub const SERVICE: &[Key] = &[
    key("annotations", Form::Mapping, "OCI annotations of the container."),
    key("attach", Form::Flag, "Whether `docker compose up` shows its output. Accepted; evenkeel attaches to nothing."),
    key("blkio_config", Form::Map(BLKIO), "Share of block device time, and limits on single devices."),
    key(
        "build",
        Form::Any(&[Form::Text, Form::Map(BUILD)]),
        "How the image is built: the absolute path of a context, or a map. It is built when its context changes.",
    ),
    key("cap_add", TEXTS, "Linux capabilities to add, such as `NET_ADMIN`."),
    key("cap_drop", TEXTS, "Linux capabilities to drop; `ALL` for all."),
    key("cgroup", Form::Words(&["host", "private"]), "Cgroup namespace. Default: the engine's."),
    key("cgroup_parent", Form::Text, "Parent cgroup."),
    key(
        "command",
        TEXT_OR_TEXTS,
        "Overrides the image's CMD. Text is split into words, no shell reads it; an empty list clears the image's.",
    ),
    key("configs", Form::List(&Form::Any(&[Form::Text, Form::Map(FILE_MOUNT)])), "Configs as files, by default `/<key>`."),
    key("container_name", Form::Text, "Container name instead of `<project>-<service>-<n>`. Only with one replica."),
    key("cpu_period", Form::Whole, "CFS period in microseconds."),
    key("cpu_quota", Form::Whole, "CFS quota in microseconds a period."),
    key("cpu_rt_period", Form::Whole, "Period of real-time scheduling in microseconds; the host's kernel must have it."),
    key("cpu_rt_runtime", Form::Whole, "Real-time microseconds a period."),
    key("cpu_shares", Form::Whole, "Relative weight; the engine's default is 1024."),
    key("cpus", Form::Cpus, "CPUs it may use, such as `0.5`."),
    key("cpuset", Form::Text, "CPUs it may run on, such as `0-3` or `0,2`."),
    key(
        "depends_on",
        Form::Any(&[TEXTS, Form::MapOf(&Form::Map(DEPENDENCY))]),
        "Services that must be started, healthy or completed first. Links, `service:x` namespaces and volumes_from imply it.",
    ),
    key("deploy", Form::Map(DEPLOY), "Replicas, resources and restart policy; what only Swarm knows is refused."),
    key("device_cgroup_rules", TEXTS, "Rules of the devices cgroup, such as `c 1:3 mr`."),
    key("devices", Form::List(&Form::Any(&[Form::Text, Form::Map(DEVICE)])), "Host devices, `source[:target[:permissions]]`."),
    key("dns", TEXT_OR_TEXTS, "DNS servers. Default: the engine's."),
    key("dns_opt", TEXTS, "Options of the resolver."),
    key("dns_search", TEXT_OR_TEXTS, "DNS search domains."),
    key("domainname", Form::Text, "NIS domain name."),
    key("entrypoint", TEXT_OR_TEXTS, "Overrides the image's ENTRYPOINT; read like `command`."),
    key("environment", Form::Mapping, "Environment variables. A key without a value unsets what the image sets."),
    key(
        "expose",
        Form::List(&Form::Printed),
        "Ports that other containers may reach, `port[-port][/protocol]`; nothing is published.",
    ),
    key("external_links", TEXTS, "Containers outside of the project, `container[:alias]`."),
    key(
        "extra_hosts",
        Form::Any(&[TEXTS, Form::MapOf(&TEXT_OR_TEXTS)]),
        "Lines of /etc/hosts: `name=address`, or a map. The address `host-gateway` is the host's.",
    ),
    key(
        "gpus",
        Form::Any(&[Form::Words(&["all"]), Form::List(&Form::Map(DEVICE_REQUEST))]),
        "GPUs: `all`, or a list of requests.",
    ),
    key("group_add", Form::List(&Form::Printed), "Further groups of the container's user."),
    key("healthcheck", Form::Map(HEALTHCHECK), "How the engine finds out whether it is healthy. Default: the image's."),
    key("hostname", Form::Text, "Host name inside the container. Default: its short id."),
    key(
        "image",
        Form::Text,
        "Image reference, such as `nginx:1.27`. Required without build; of a built image the name it gets, default `<project>-<service>`.",
    ),
    key("init", Form::Flag, "Run the engine's init as process 1, which forwards signals and reaps processes."),
    key("ipc", Form::Text, "IPC namespace: `host`, `private`, `shareable`, `none`, `service:<name>`, `container:<name>`."),
    key("labels", Form::Mapping, "Labels of the container."),
    key("links", TEXTS, "Other services, `service[:alias]`; also a dependency."),
    key("logging", Form::Map(LOGGING), "Log driver and its options. Default: the engine's."),
    key("mac_address", Form::Text, "MAC address."),
    key("mem_limit", Form::Size, "Memory it may use; above it the kernel kills."),
    key("mem_reservation", Form::Size, "Memory it is held to when the host runs short."),
    key("mem_swappiness", Form::Whole, "0 to 100: how readily its memory is swapped out."),
    key("memswap_limit", Form::Size, "Memory and swap together; `-1` is no limit. Default: twice mem_limit."),
    key("network_mode", Form::Text, "`bridge`, `host`, `none`, `service:<name>` or `container:<name>` instead of networks."),
    key(
        "networks",
        Form::Any(&[TEXTS, Form::MapOf(&Form::Nullable(&Form::Map(SERVICE_NETWORK)))]),
        "Networks it joins, by their keys under spec.networks. Default: `default`.",
    ),
    key("oom_kill_disable", Form::Flag, "Do not let the kernel kill it for lack of memory."),
    key("oom_score_adj", Form::Whole, "-1000 to 1000: how readily the kernel kills it for lack of memory."),
    key("pid", Form::Text, "PID namespace: `host`, `service:<name>`, `container:<name>`."),
    key("pids_limit", Form::Whole, "Processes it may have; `-1` is no limit."),
    key("platform", Form::Text, "Platform of the image, `os/arch[/variant]`."),
    key(
        "ports",
        Form::List(&Form::Any(&[Form::Whole, Form::Text, Form::Map(PORT)])),
        "Ports published on the host: `[[ip:]host:]container[/protocol]`, ranges included.",
    ),
    key("post_start", Form::List(&Form::Map(HOOK)), "Commands run in a container right after each start by evenkeel."),
    key(
        "pre_stop",
        Form::List(&Form::Map(HOOK)),
        "Commands run in a container before evenkeel stops it, within its grace period.",
    ),
    key("privileged", Form::Flag, "All capabilities and devices of the host."),
    key("profiles", TEXTS, "Run only when spec.profiles names one of these. Default: always."),
    key(
        "pull_policy",
        Form::Match {
            pattern: "^(missing|if_not_present|never|always|build|daily|weekly|every_([0-9]+[wdhms])+)$",
            shown: "`missing`, `if_not_present`, `never`, `always`, `build`, `daily`, `weekly`, `every_<duration>`",
        },
        "`missing` (default; also `if_not_present`): pull an image that is not there. `never`: a missing image is an error. \
         `always`: pull before a container is made. `daily`, `weekly`, `every_<duration>` (`every_12h`): look for a newer version \
         that often, and replace the containers if there is one. `build`: it is built, as every service with `build` is, whatever \
         stands here.",
    ),
    key("read_only", Form::Flag, "Root file system read-only."),
    key(
        "restart",
        Form::Text,
        "`always` and `unless-stopped`: keep it running. `on-failure[:n]`: run again after a failure. `\"no\"`: run once. \
         Absent: an exit 0 completes it, every other end is restarted. The engine's own restart policy stays off.",
    ),
    key("runtime", Form::Text, "OCI runtime. Default: the engine's."),
    key("scale", Form::Whole, "Replicas, as deploy.replicas. Default 1."),
    key("secrets", Form::List(&Form::Any(&[Form::Text, Form::Map(FILE_MOUNT)])), "Secrets mounted as files under /run/secrets."),
    key(
        "security_opt",
        TEXTS,
        "Security options: `no-new-privileges:true`, `seccomp:..` (`unconfined`, or the absolute path of a profile, read when a container is made), `apparmor:..`, `label:..`, `systempaths=unconfined`.",
    ),
    key("shm_size", Form::Size, "Size of /dev/shm. Default: the engine's 64m."),
    key("stdin_open", Form::Flag, "Keep standard input open."),
    key("stop_grace_period", Form::Span, "Time between the stop signal and KILL. Default 10s."),
    key("stop_signal", Form::Text, "Signal that asks it to stop. Default: the image's, else SIGTERM."),
    key("storage_opt", Form::Options, "Options of the storage driver."),
    key("sysctls", Form::Mapping, "Kernel parameters of its namespaces."),
    key("tmpfs", TEXT_OR_TEXTS, "Paths kept in memory, `path[:options]`."),
    key("tty", Form::Flag, "Allocate a terminal."),
    key(
        "ulimits",
        Form::MapOf(&Form::Any(&[Form::Whole, Form::Map(ULIMIT)])),
        "Limits of its processes by name (`nofile`, ..): a number, or soft and hard.",
    ),
    key("user", Form::Text, "User or uid, with an optional `:group`. Default: the image's."),
    key("userns_mode", Form::Text, "`host`: the host's user namespace."),
    key("uts", Form::Text, "`host`: the host's UTS namespace."),
    key(
        "volumes",
        Form::List(&Form::Any(&[Form::Text, Form::Map(MOUNT)])),
        "Mounts: `volume:/path[:options]`, `/host/path:/path[:options]`, `/path`. Host paths must be absolute.",
    ),
    key("volumes_from", TEXTS, "All mounts of another service or container: `service[:ro]`, `container:<name>[:ro]`."),
    key("working_dir", Form::Text, "Working directory. Default: the image's."),
    key("x-evenkeel", Form::Map(POLICY), "What Compose has no word for."),
    refused("cpu_count", "it is for Windows; use cpus"),
    refused("cpu_percent", "it is for Windows; use cpus"),
    refused("credential_spec", "it is for Windows"),
    refused("develop", "it is for development with docker compose watch"),
    refused("env_file", "write the variables in environment"),
    refused("extends", "write the service out, or use a YAML anchor and <<"),
    refused("isolation", "it is for Windows"),
    refused("label_file", "write the labels in labels"),
    refused("models", ""),
    refused("provider", ""),
    refused("pull_refresh_after", "use pull_policy daily, weekly or every_<duration>"),
    refused("use_api_socket", "bind the engine's socket with volumes"),
];
