//! One service, key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{
    BlkioConfig, Dependency, DeviceRate, DeviceWeight, Healthcheck, Hook, Hosts, Logging, Service, ServiceNetwork, Ulimit,
};
use super::deploy::deploy;
use super::scalars::*;
use super::{build, mounts, policy, ports, refuse};
use crate::crd::compose::{PullPolicy, keys};
use crate::crd::decode::{Node, field_path, unsupported};
use crate::model::DependencyCondition;

/// A service in its long form, without what other parts of the project imply.
pub(super) fn service(node: &Node) -> Option<Service> {
    let mut fields = node.fields()?;
    refuse(&mut fields, keys::SERVICE);
    let service = Service {
        profiles: fields.or_default("profiles", texts),
        annotations: fields.or_default("annotations", mapping),
        attach: fields.read("attach", flag),
        build: fields.read("build", build::build),
        blkio_config: fields.read("blkio_config", blkio),
        cap_add: fields.or_default("cap_add", texts),
        cap_drop: fields.or_default("cap_drop", texts),
        cgroup_parent: fields.read("cgroup_parent", word),
        cgroup: fields.read("cgroup", |node| one_of(node, &["host", "private"])),
        cpu_period: fields.read("cpu_period", count),
        cpu_quota: fields.read("cpu_quota", count),
        cpu_rt_period: fields.read("cpu_rt_period", count),
        cpu_rt_runtime: fields.read("cpu_rt_runtime", count),
        cpus: fields.read("cpus", cpus),
        cpuset: fields.read("cpuset", word),
        cpu_shares: fields.read("cpu_shares", count),
        command: fields.read("command", command),
        configs: fields.or_default("configs", mounts::configs),
        container_name: fields.read("container_name", word),
        depends_on: fields.or_default("depends_on", depends_on),
        deploy: fields.read("deploy", deploy),
        device_cgroup_rules: fields.or_default("device_cgroup_rules", texts_as_they_are),
        devices: fields.or_default("devices", mounts::devices),
        dns: fields.or_default("dns", text_or_texts),
        dns_opt: fields.or_default("dns_opt", texts),
        dns_search: fields.or_default("dns_search", text_or_texts),
        domainname: fields.read("domainname", word),
        entrypoint: fields.read("entrypoint", command),
        environment: fields.or_default("environment", environment),
        expose: fields.or_default("expose", expose),
        external_links: fields.or_default("external_links", texts),
        extra_hosts: fields.or_default("extra_hosts", extra_hosts),
        group_add: fields.or_default("group_add", printed_list),
        gpus: fields.or_default("gpus", mounts::gpus),
        hostname: fields.read("hostname", word),
        healthcheck: fields.read("healthcheck", healthcheck),
        image: fields.read("image", image),
        init: fields.read("init", flag),
        ipc: fields.read("ipc", word),
        labels: fields.or_default("labels", mapping),
        links: fields.or_default("links", texts),
        logging: fields.read("logging", logging),
        mem_limit: fields.read("mem_limit", bytes),
        mem_reservation: fields.read("mem_reservation", bytes),
        memswap_limit: fields.read("memswap_limit", bytes),
        mem_swappiness: fields.read("mem_swappiness", bytes),
        mac_address: fields.read("mac_address", mac),
        network_mode: fields.read("network_mode", word),
        networks: fields.or_default("networks", networks),
        oom_kill_disable: fields.or_default("oom_kill_disable", flag),
        oom_score_adj: fields.read("oom_score_adj", oom_score_adj),
        pid: fields.read("pid", word),
        pids_limit: fields.read("pids_limit", count),
        platform: fields.read("platform", word),
        ports: fields.or_default("ports", ports::ports),
        privileged: fields.or_default("privileged", flag),
        pull_policy: fields.read("pull_policy", pull_policy),
        read_only: fields.or_default("read_only", flag),
        restart: fields.read("restart", restart),
        runtime: fields.read("runtime", word),
        scale: fields.read("scale", integer),
        secrets: fields.or_default("secrets", mounts::secrets),
        security_opt: fields.or_default("security_opt", texts_as_they_are),
        shm_size: fields.read("shm_size", bytes),
        stdin_open: fields.or_default("stdin_open", flag),
        stop_grace_period: fields.read("stop_grace_period", span),
        stop_signal: fields.read("stop_signal", word),
        storage_opt: fields.or_default("storage_opt", options),
        sysctls: fields.or_default("sysctls", mapping),
        tmpfs: fields.or_default("tmpfs", text_or_texts),
        tty: fields.or_default("tty", flag),
        ulimits: fields.or_default("ulimits", ulimits),
        user: fields.read("user", word),
        userns_mode: fields.read("userns_mode", word),
        uts: fields.read("uts", word),
        volumes: fields.or_default("volumes", mounts::mounts),
        volumes_from: fields.or_default("volumes_from", texts),
        working_dir: fields.read("working_dir", word),
        post_start: fields.or_default("post_start", hooks),
        pre_stop: fields.or_default("pre_stop", hooks),
        evenkeel: fields.read("x-evenkeel", policy::policy),
    };
    fields.finish();
    if service.pull_policy == Some(PullPolicy::Build) && node.value.get("build").is_none_or(Value::is_null) {
        let path = field_path(&node.path, "pull_policy");
        node.sink.error(&path, "build needs a build section that says how");
    }
    Some(service)
}

fn image(node: &Node) -> Option<String> {
    let image = word(node)?;
    let wrong = image.contains(char::is_whitespace) || image.starts_with(['/', ':', '@']) || image.ends_with(['/', ':', '@']);
    if wrong { node.fail(format!("{image:?} is not an image reference, such as nginx:1.27")) } else { Some(image) }
}

fn restart(node: &Node) -> Option<String> {
    let rule = word(node)?;
    let tries = rule.strip_prefix("on-failure:").map(|tries| tries.parse::<u32>().is_ok());
    if matches!(rule.as_str(), "no" | "always" | "unless-stopped" | "on-failure") || tries == Some(true) {
        Some(rule)
    } else {
        node.fail(format!("must be \"no\", always, unless-stopped, on-failure or on-failure:N, not {rule:?}"))
    }
}

fn pull_policy(node: &Node) -> Option<PullPolicy> {
    let word = word(node)?;
    match PullPolicy::read(&word) {
        Some(Ok(policy)) => Some(policy),
        Some(Err(error)) => node.fail(error),
        None if word == "refresh" => node.fail(unsupported("pull_policy refresh", "use daily, weekly or every_<duration>")),
        None => node.fail(format!(
            "must be always, missing, if_not_present, never, build, daily, weekly or every_<duration> (every_12h), not {word:?}"
        )),
    }
}

fn oom_score_adj(node: &Node) -> Option<i64> {
    let score = count(node)?;
    if (-1000..=1000).contains(&score) { Some(score) } else { node.fail("must be from -1000 to 1000") }
}

fn blkio(node: &Node) -> Option<BlkioConfig> {
    let mut fields = node.fields()?;
    let mut rates = |key: &'static str| fields.or_default(key, |node| each(node, device_rate));
    let device_read_bps = rates("device_read_bps");
    let device_read_iops = rates("device_read_iops");
    let device_write_bps = rates("device_write_bps");
    let device_write_iops = rates("device_write_iops");
    let weight_device = fields.or_default("weight_device", |node| each(node, device_weight));
    let weight = fields.read("weight", count);
    fields.finish();
    Some(BlkioConfig { weight, weight_device, device_read_bps, device_read_iops, device_write_bps, device_write_iops })
}

fn device_weight(node: &Node) -> Option<DeviceWeight> {
    let mut fields = node.fields()?;
    let (path, weight) = (fields.required("path", word), fields.required("weight", count));
    fields.finish();
    Some(DeviceWeight { path: path?, weight: weight? })
}

fn device_rate(node: &Node) -> Option<DeviceRate> {
    let mut fields = node.fields()?;
    let (path, rate) = (fields.required("path", word), fields.required("rate", bytes));
    fields.finish();
    Some(DeviceRate { path: path?, rate: rate? })
}

fn depends_on(node: &Node) -> Option<BTreeMap<String, Dependency>> {
    let started = Dependency { condition: DependencyCondition::ServiceStarted, restart: false, required: true };
    if node.is_list() {
        return Some(texts(node)?.into_iter().map(|name| (name, started)).collect());
    }
    Some(node.entries()?.iter().filter_map(|(name, node)| Some(((*name).to_owned(), dependency(node)?))).collect())
}

fn dependency(node: &Node) -> Option<Dependency> {
    let mut fields = node.fields()?;
    let condition = fields.required("condition", |node| match text(node)?.as_str() {
        "service_started" => Some(DependencyCondition::ServiceStarted),
        "service_healthy" => Some(DependencyCondition::ServiceHealthy),
        "service_completed_successfully" => Some(DependencyCondition::ServiceCompletedSuccessfully),
        word => node.fail(format!("must be service_started, service_healthy or service_completed_successfully, not {word:?}")),
    });
    let restart = fields.or_default("restart", flag);
    let required = fields.read("required", flag).unwrap_or(true);
    fields.finish();
    Some(Dependency { condition: condition?, restart, required })
}

fn expose(node: &Node) -> Option<Vec<String>> {
    let entry = |node: &Node| {
        let text = printed(node)?;
        let (port, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        match ports::range(port) {
            _ if !matches!(protocol, "tcp" | "udp" | "sctp") => node.fail("the protocol must be tcp, udp or sctp"),
            Err(error) => node.fail(error),
            Ok(_) => Some(text),
        }
    };
    each(node, entry).map(|items| unique(items, Clone::clone))
}

pub(super) fn extra_hosts(node: &Node) -> Option<Hosts> {
    let bare = |ip: &str| ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip).to_owned();
    let mut hosts = Hosts::default();
    let mut add = |node: &Node, host: &str, ips: Vec<String>| {
        if host.is_empty() || host.contains([':', '=']) {
            node.fail::<()>(format!("{host:?} is not a host name"));
        }
        hosts.0.entry(host.to_owned()).or_default().extend(ips);
    };
    if node.is_list() {
        for item in node.items()? {
            let Some(line) = text(&item) else { continue };
            match line.split_once('=').or_else(|| line.split_once(':')) {
                Some((host, ips)) => add(&item, host, ips.split(',').map(bare).collect()),
                None => item.sink.error(&item.path, format!("{line:?} lacks an address: write name=address")),
            }
        }
    } else {
        for (host, item) in node.entries()? {
            let ips = if item.value.is_null() { Some(vec![String::new()]) } else { text_or_texts(&item) };
            add(&item, host, ips.unwrap_or_default().iter().map(|ip| bare(ip)).collect());
        }
    }
    Some(hosts)
}

fn healthcheck(node: &Node) -> Option<Healthcheck> {
    let mut fields = node.fields()?;
    let check = Healthcheck {
        test: fields.or_default("test", healthcheck_test),
        timeout: fields.read("timeout", span),
        interval: fields.read("interval", span),
        retries: fields.read("retries", |node| integer::<u32>(node).map(u64::from)),
        start_period: fields.read("start_period", span),
        start_interval: fields.read("start_interval", span),
        disable: fields.or_default("disable", flag),
    };
    fields.finish();
    Some(check)
}

fn healthcheck_test(node: &Node) -> Option<Vec<String>> {
    if !node.is_list() {
        return Some(vec!["CMD-SHELL".to_owned(), text(node)?]);
    }
    let test = each(node, text)?;
    match test.first().map(String::as_str) {
        None | Some("CMD" | "CMD-SHELL" | "NONE") => Some(test),
        Some(_) => node.fail("a list must start with CMD, CMD-SHELL or NONE"),
    }
}

fn hooks(node: &Node) -> Option<Vec<Hook>> {
    each(node, |node| {
        let mut fields = node.fields()?;
        let command = fields.required("command", command);
        let hook = Hook {
            command: command.unwrap_or_default(),
            user: fields.read("user", word),
            privileged: fields.or_default("privileged", flag),
            working_dir: fields.read("working_dir", word),
            environment: fields.or_default("environment", environment),
        };
        fields.finish();
        if hook.command.is_empty() { node.fail("needs a command that has words") } else { Some(hook) }
    })
}

fn logging(node: &Node) -> Option<Logging> {
    let mut fields = node.fields()?;
    let logging = Logging { driver: fields.read("driver", word), options: fields.or_default("options", options) };
    fields.finish();
    Some(logging)
}

fn networks(node: &Node) -> Option<BTreeMap<String, Option<ServiceNetwork>>> {
    if node.is_list() {
        return Some(texts(node)?.into_iter().map(|key| (key, None)).collect());
    }
    let network = |node: &Node| if node.value.is_null() { Some(None) } else { service_network(node).map(Some) };
    Some(node.entries()?.iter().filter_map(|(key, node)| Some(((*key).to_owned(), network(node)?))).collect())
}

fn service_network(node: &Node) -> Option<ServiceNetwork> {
    let mut fields = node.fields()?;
    let network = ServiceNetwork {
        aliases: fields.or_default("aliases", texts),
        driver_opts: fields.or_default("driver_opts", options),
        ipv4_address: fields.read("ipv4_address", ip),
        ipv6_address: fields.read("ipv6_address", ip),
        link_local_ips: fields.or_default("link_local_ips", texts),
        mac_address: fields.read("mac_address", mac),
        priority: fields.or_default("priority", integer),
    };
    refuse(&mut fields, keys::SERVICE_NETWORK);
    fields.finish();
    Some(network)
}

pub(super) fn ulimits(node: &Node) -> Option<BTreeMap<String, Ulimit>> {
    Some(node.entries()?.iter().filter_map(|(name, node)| Some(((*name).to_owned(), ulimit(node)?))).collect())
}

fn ulimit(node: &Node) -> Option<Ulimit> {
    if !node.value.is_object() {
        return integer(node).map(Ulimit::Single);
    }
    let mut fields = node.fields()?;
    let (soft, hard) = (fields.required("soft", integer), fields.required("hard", integer));
    fields.finish();
    let (soft, hard): (i64, i64) = (soft?, hard?);
    if hard != -1 && (soft > hard || soft == -1) {
        node.fail("the soft limit is above the hard one")
    } else {
        Some(Ulimit::Pair { soft, hard })
    }
}
