//! Holds a container that somebody else made against the specification it would be made from.
//!
//! What the image brings counts as declared, what the engine fills in by itself does not count. Values of variables, labels and commands
//! may be secrets: only that they differ is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::convert;
use crate::model::{ContainerSpec, MountSource, NamespaceMode, NetworkMode, familiar_reference};

/// What is compared on its own, is no part of a declaration, or is a default of the engine where the declaration is silent.
const OWN_WAY: [&str; 10] = [
    "Binds",
    "Mounts",
    "Tmpfs",
    "VolumesFrom",
    "PortBindings",
    "NetworkMode",
    "RestartPolicy",
    "Links",
    "Annotations",
    "StorageOpt",
];

/// Further keys of an inspect's HostConfig that a silent declaration leaves to the engine.
const ENGINES: [&str; 18] = [
    "AutoRemove",
    "Cgroup",
    "CgroupnsMode",
    "ConsoleSize",
    "ContainerIDFile",
    "IpcMode",
    "Isolation",
    "LogConfig",
    "MaskedPaths",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "PublishAllPorts",
    "ReadonlyPaths",
    "Runtime",
    "ShmSize",
    "VolumeDriver",
];

/// Compose's words for Docker's, where they are not the same in small letters.
const WORDS: [(&str, &str); 22] = [
    ("CapAdd", "cap_add"),
    ("CapDrop", "cap_drop"),
    ("CpuPeriod", "cpu_period"),
    ("CpuQuota", "cpu_quota"),
    ("CpuShares", "cpu_shares"),
    ("CpusetCpus", "cpuset"),
    ("DeviceRequests", "gpus"),
    ("Dns", "dns"),
    ("DnsOptions", "dns_opt"),
    ("DnsSearch", "dns_search"),
    ("ExtraHosts", "extra_hosts"),
    ("GroupAdd", "group_add"),
    ("IpcMode", "ipc"),
    ("LogConfig", "logging"),
    ("Memory", "mem_limit"),
    ("MemoryReservation", "mem_reservation"),
    ("NanoCpus", "cpus"),
    ("PidMode", "pid"),
    ("PidsLimit", "pids_limit"),
    ("ReadonlyRootfs", "read_only"),
    ("SecurityOpt", "security_opt"),
    ("ShmSize", "shm_size"),
];

/// In what a container (its inspect) differs from `spec`, a line each. `networks` gives the real name of each network key, `image` is the inspect of its image.
pub(super) fn differences(
    spec: &ContainerSpec,
    networks: &BTreeMap<String, String>,
    inspect: &Value,
    image: &Value,
) -> Vec<String> {
    let mut differs = Differs(Vec::new());
    let (config, from_image) = (&inspect["Config"], &image["Config"]);
    let made_from = config["Image"].as_str().unwrap_or_default();
    if familiar_reference(made_from) != familiar_reference(&spec.image) {
        differs.say(format!("image is {made_from}, declared is {}", spec.image));
    }
    process(&mut differs, spec, config, from_image);
    environment(&mut differs, spec, config, from_image);
    labels(&mut differs, spec, config, from_image);
    mounts(&mut differs, spec, inspect, from_image);
    ports(&mut differs, spec, &inspect["HostConfig"]);
    connections(&mut differs, spec, networks, inspect);
    host(&mut differs, spec, &inspect["HostConfig"]);
    differs.0
}

struct Differs(Vec<String>);

impl Differs {
    fn say(&mut self, line: String) {
        self.0.push(line);
    }

    /// Something of which only that it differs is told.
    fn hold(&mut self, what: &str, found: &Value, declared: &Value) {
        if !same(found, declared) {
            self.say(format!("{what} is another one"));
        }
    }
}

/// Whether two values are the same, where nothing, zero and an empty one are.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (is_nothing(one) && is_nothing(other))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(true) => false,
    }
}

/// What runs in it, and as whom.
fn process(differs: &mut Differs, spec: &ContainerSpec, config: &Value, image: &Value) {
    let or_image = |declared: Option<Value>, key: &str| declared.filter(|value| !is_nothing(value)).unwrap_or(image[key].clone());
    let entrypoint = spec.entrypoint.as_ref().map_or_else(|| image["Entrypoint"].clone(), |words| json!(words));
    let own_command = spec.command.as_ref().filter(|words| !words.is_empty()).map(|words| json!(words));
    // An entrypoint of one's own takes the image's command away.
    let inherited = if spec.entrypoint.is_some() { Value::Null } else { image["Cmd"].clone() };
    differs.hold("entrypoint", &config["Entrypoint"], &entrypoint);
    differs.hold("command", &config["Cmd"], &own_command.unwrap_or(inherited));
    for (word, key, declared) in [
        ("user", "User", &spec.user),
        ("working_dir", "WorkingDir", &spec.working_dir),
        ("stop_signal", "StopSignal", &spec.stop_signal),
    ] {
        differs.hold(word, &config[key], &or_image(declared.as_ref().map(|text| json!(text)), key));
    }
    if let Some(hostname) = &spec.hostname {
        differs.hold("hostname", &config["Hostname"], &json!(hostname));
    }
    differs.hold("domainname", &config["Domainname"], &json!(spec.domainname));
    differs.hold("tty", &config["Tty"], &json!(spec.tty));
    differs.hold("stdin_open", &config["OpenStdin"], &json!(spec.stdin_open));
    // Older Compose says it with the stop only, and so does evenkeel.
    if !is_nothing(&config["StopTimeout"]) {
        differs.hold("stop_grace_period", &config["StopTimeout"], &json!(spec.stop_timeout));
    }
    let own = spec.healthcheck.as_ref().map(|check| json!(convert::healthcheck(check)));
    let mut declared = own.unwrap_or_else(|| image["Healthcheck"].clone());
    // A check of one's own takes its command from the image, where it has none.
    if let (Some(fields), true) =
        (declared.as_object_mut(), is_nothing(&config["Healthcheck"]["Test"]) || spec.healthcheck.is_some())
    {
        let test = fields.get("Test").filter(|test| !is_nothing(test)).unwrap_or(&image["Healthcheck"]["Test"]).clone();
        fields.insert("Test".to_owned(), test);
    }
    if !same(&filled(&config["Healthcheck"]), &filled(&declared)) {
        differs.say("healthcheck is another one".to_owned());
    }
}

/// An object without its empty fields.
fn filled(value: &Value) -> Value {
    let fields = value.as_object().cloned().unwrap_or_default();
    Value::Object(fields.into_iter().filter(|(_, value)| !is_nothing(value)).collect())
}

fn environment(differs: &mut Differs, spec: &ContainerSpec, config: &Value, image: &Value) {
    let read = |list: &Value| -> BTreeMap<String, Option<String>> {
        let entry = |text: &str| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), None),
        };
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(entry).collect()
    };
    let mut declared = read(&image["Env"]);
    declared.extend(read(&json!(spec.env)));
    let found = read(&config["Env"]);
    let names: BTreeSet<&String> = found.keys().chain(declared.keys()).collect();
    let value = |all: &BTreeMap<String, Option<String>>, name: &String| all.get(name).cloned().flatten();
    for name in names.into_iter().filter(|name| value(&found, name) != value(&declared, name)) {
        differs.say(format!("environment: {name} is another one"));
    }
}

fn labels(differs: &mut Differs, spec: &ContainerSpec, config: &Value, image: &Value) {
    let of_people = |name: &str| !name.starts_with("com.docker.compose.") && !name.starts_with("evenkeel.dev/");
    let read = |map: &Value| -> BTreeMap<String, String> {
        let fields = map.as_object().into_iter().flatten();
        let entries = fields.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        entries.filter(|(name, _)| of_people(name)).collect()
    };
    let mut declared = read(&image["Labels"]);
    declared.extend(read(&json!(spec.labels)));
    let found = read(&config["Labels"]);
    let names: BTreeSet<&String> = found.keys().chain(declared.keys()).collect();
    for name in names.into_iter().filter(|name| found.get(*name) != declared.get(*name)) {
        differs.say(format!("labels: {name} is another one"));
    }
}

/// What a mount is compared by: its kind, where it comes from, and whether it can be written.
type Mounted = (String, String, bool);

fn mounts(differs: &mut Differs, spec: &ContainerSpec, inspect: &Value, image: &Value) {
    let mut declared: BTreeMap<String, Mounted> = BTreeMap::new();
    for mount in &spec.mounts {
        let (kind, source) = match &mount.source {
            MountSource::Bind { path, .. } => ("bind", path.trim_end_matches('/')),
            MountSource::Volume { name, .. } => ("volume", name.as_str()),
            MountSource::Anonymous { .. } => ("anonymous volume", ""),
            MountSource::Tmpfs { .. } => ("tmpfs", ""),
        };
        declared.insert(place(&mount.target), (kind.to_owned(), source.to_owned(), !mount.read_only));
    }
    declared.extend(spec.tmpfs.keys().map(|target| (place(target), ("tmpfs".to_owned(), String::new(), true))));
    let mut found: BTreeMap<String, Mounted> = BTreeMap::new();
    for mount in inspect["Mounts"].as_array().into_iter().flatten() {
        let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
        let name = text("Name");
        let anonymous = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (kind, source) = match text("Type").as_str() {
            "volume" if anonymous => ("anonymous volume".to_owned(), String::new()),
            "volume" => ("volume".to_owned(), name),
            "bind" => ("bind".to_owned(), text("Source").trim_end_matches('/').to_owned()),
            kind => (kind.to_owned(), String::new()),
        };
        found.insert(place(&text("Destination")), (kind, source, mount["RW"].as_bool().unwrap_or(true)));
    }
    let tmpfs = inspect["HostConfig"]["Tmpfs"].as_object().into_iter().flatten();
    found.extend(tmpfs.map(|(target, _)| (place(target), ("tmpfs".to_owned(), String::new(), true))));
    let of_image = |target: &String| image["Volumes"].get(target).is_some();
    let targets: BTreeSet<&String> = found.keys().chain(declared.keys()).collect();
    for target in targets {
        let line = match (found.get(target), declared.get(target)) {
            (Some(one), Some(other)) if one == other => continue,
            (Some((kind, ..)), None) if kind == "anonymous volume" && of_image(target) => continue,
            (Some(_), None) if !spec.volumes_from.is_empty() => continue,
            (Some(one), Some(other)) => format!("{target} is {}, declared is {}", mount_text(one), mount_text(other)),
            (Some(one), None) => format!("{target} is {}, and not declared", mount_text(one)),
            (None, Some(other)) => format!("{target} is not mounted, declared is {}", mount_text(other)),
            (None, None) => continue,
        };
        differs.say(format!("volumes: {line}"));
    }
}

/// A path without what says nothing.
fn place(path: &str) -> String {
    let bare = path.trim_end_matches('/');
    if bare.is_empty() { "/".to_owned() } else { bare.to_owned() }
}

fn mount_text((kind, source, writable): &Mounted) -> String {
    let blank = if source.is_empty() { "" } else { " " };
    format!("{kind}{blank}{source}{}", if *writable { "" } else { " (read-only)" })
}

fn ports(differs: &mut Differs, spec: &ContainerSpec, host: &Value) {
    let anywhere = |ip: &str| if ip.is_empty() { "0.0.0.0".to_owned() } else { ip.to_owned() };
    let published = |ip: &str, port: &str, target: &str| format!("{}:{port}->{target}", anywhere(ip));
    let declared: BTreeSet<String> = spec
        .ports
        .iter()
        .map(|port| {
            let target = format!("{}/{}", port.target, port.host.protocol);
            published(&port.host.ip, &fixed(&port.host.port.to_string()), &target)
        })
        .collect();
    let mut found = BTreeSet::new();
    for (target, bindings) in host["PortBindings"].as_object().into_iter().flatten() {
        for binding in bindings.as_array().into_iter().flatten() {
            let text = |key: &str| binding[key].as_str().unwrap_or_default();
            found.insert(published(text("HostIp"), &fixed(text("HostPort")), target));
        }
    }
    if found != declared {
        let list = |ports: &BTreeSet<String>| match ports.is_empty() {
            true => "none".to_owned(),
            false => ports.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        differs.say(format!("ports are {}, declared are {}", list(&found), list(&declared)));
    }
}

/// A host port as declared; none where Docker chooses.
fn fixed(port: &str) -> String {
    if port == "0" { String::new() } else { port.to_owned() }
}

fn connections(differs: &mut Differs, spec: &ContainerSpec, networks: &BTreeMap<String, String>, inspect: &Value) {
    let mode = inspect["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    let own = match &spec.network {
        NetworkMode::Networks => None,
        NetworkMode::Bridge => Some("bridge".to_owned()),
        NetworkMode::Host => Some("host".to_owned()),
        NetworkMode::None => Some("none".to_owned()),
        NetworkMode::Container(container) => Some(format!("container:{container}")),
        // Of which container it must be, the plan sees to.
        NetworkMode::Service(_) => Some("container:".to_owned()),
    };
    if let Some(own) = own {
        let fits =
            if own == "container:" { mode.starts_with(&own) } else { mode == own || (own == "bridge" && mode == "default") };
        if !fits {
            differs.say(format!("network_mode is {mode}, declared is {}", own.trim_end_matches(':')));
        }
        return;
    }
    let joined = inspect["NetworkSettings"]["Networks"].as_object();
    let found: BTreeSet<&str> = joined.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let declared: BTreeSet<&str> = spec.networks.iter().filter_map(|at| networks.get(&at.network)).map(String::as_str).collect();
    if found != declared {
        let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
        differs.say(format!("networks are {}, declared are {}", list(&found), list(&declared)));
    }
}

/// All the rest of what Docker calls the host's.
fn host(differs: &mut Differs, spec: &ContainerSpec, host: &Value) {
    let mut spec = spec.clone();
    for mode in [&mut spec.ipc, &mut spec.pid] {
        // Of which container it must be, the plan sees to.
        if matches!(mode, Some(NamespaceMode::Service(_) | NamespaceMode::Container(_))) {
            *mode = None;
        }
    }
    let Ok(declared) = convert::host_config(&spec) else {
        return differs.say("its limits and rights cannot be compared".to_owned());
    };
    let declared = json!(declared);
    let keys: BTreeSet<&String> = [host, &declared].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    for key in keys.into_iter().filter(|key| !OWN_WAY.contains(&key.as_str())) {
        let (found, wanted) = (&host[key], &declared[key]);
        let shared = found.as_str().is_some_and(|mode| mode.starts_with("container:"));
        if (is_nothing(wanted) && ENGINES.contains(&key.as_str())) || (shared && is_nothing(wanted)) {
            continue;
        }
        if !same(&settled(key, found), &settled(key, wanted)) {
            let word =
                WORDS.iter().find(|(docker, _)| docker == key).map_or_else(|| key.to_lowercase(), |(_, word)| (*word).to_owned());
            differs.say(format!("{word} is another one"));
        }
    }
}

/// A value in the one spelling that both sides are compared in.
fn settled(key: &str, value: &Value) -> Value {
    let Some(items) = value.as_array() else { return if value.is_object() { filled(value) } else { value.clone() } };
    let spelled = |item: &Value| match (key, item.as_str()) {
        ("CapAdd" | "CapDrop", Some(name)) => json!(name.trim_start_matches("CAP_")),
        ("ExtraHosts", Some(line)) => json!(line.replacen('=', ":", 1)),
        _ if item.is_object() => filled(item),
        _ => item.clone(),
    };
    let mut items: Vec<Value> = items.iter().map(spelled).collect();
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
