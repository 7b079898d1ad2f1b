//! Variables put into the text of a tree, and the words for numbers and flags read as such.

use super::node::{Node, Path, Value};
use super::sink::Sink;
use super::variables::{Lookup, substitute};

/// What text becomes in a place that wants something else.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cast {
    Whole,
    Number,
    /// A number of which Compose keeps 32 bits.
    Short,
    Flag,
}

/// Where text is read as something else, as Compose does.
const CASTS: [(&str, Cast); 40] = [
    ("services.*.cpu_count", Cast::Whole),
    ("services.*.cpu_percent", Cast::Number),
    ("services.*.cpu_period", Cast::Whole),
    ("services.*.cpu_quota", Cast::Whole),
    ("services.*.cpu_rt_period", Cast::Whole),
    ("services.*.cpu_rt_runtime", Cast::Whole),
    ("services.*.cpus", Cast::Short),
    ("services.*.cpu_shares", Cast::Whole),
    ("services.*.init", Cast::Flag),
    ("services.*.deploy.replicas", Cast::Whole),
    ("services.*.deploy.update_config.parallelism", Cast::Whole),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Number),
    ("services.*.deploy.rollback_config.parallelism", Cast::Whole),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Number),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Whole),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Whole),
    ("services.*.healthcheck.retries", Cast::Whole),
    ("services.*.healthcheck.disable", Cast::Flag),
    ("services.*.oom_kill_disable", Cast::Flag),
    ("services.*.oom_score_adj", Cast::Whole),
    ("services.*.pids_limit", Cast::Whole),
    ("services.*.ports.*.target", Cast::Whole),
    ("services.*.privileged", Cast::Flag),
    ("services.*.read_only", Cast::Flag),
    ("services.*.scale", Cast::Whole),
    ("services.*.stdin_open", Cast::Flag),
    ("services.*.tty", Cast::Flag),
    ("services.*.ulimits.*", Cast::Whole),
    ("services.*.ulimits.*.hard", Cast::Whole),
    ("services.*.ulimits.*.soft", Cast::Whole),
    ("services.*.volumes.*.read_only", Cast::Flag),
    ("services.*.volumes.*.volume.nocopy", Cast::Flag),
    ("networks.*.external", Cast::Flag),
    ("networks.*.internal", Cast::Flag),
    ("networks.*.attachable", Cast::Flag),
    ("networks.*.enable_ipv4", Cast::Flag),
    ("networks.*.enable_ipv6", Cast::Flag),
    ("volumes.*.external", Cast::Flag),
    ("secrets.*.external", Cast::Flag),
    ("configs.*.external", Cast::Flag),
];

/// Puts variables into all text of a tree. What is wrong goes to `sink`.
pub(super) fn interpolate(node: &mut Node, path: &Path, lookup: &dyn Lookup, sink: &Sink) {
    match &mut node.value {
        Value::Text(text) => match substitute(text, lookup) {
            Ok(text) => {
                let cast = CASTS.iter().find(|(pattern, _)| path.is(pattern)).map(|(_, cast)| *cast);
                match cast.map_or_else(|| Ok(Value::Text(text.clone())), |cast| read(&text, cast)) {
                    Ok(value) => node.value = value,
                    Err(error) => sink.error(path, node.place, error),
                }
            }
            Err(error) => sink.error(path, node.place, error),
        },
        Value::List(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| interpolate(item, &path.item(index), lookup, sink));
        }
        Value::Map(map) => map.iter_mut().for_each(|(key, node)| interpolate(node, &path.key(key), lookup, sink)),
        _ => {}
    }
}

fn read(text: &str, cast: Cast) -> Result<Value, String> {
    match cast {
        Cast::Whole => whole(text).map(Value::Int),
        Cast::Number => number(text).map(Value::Float),
        Cast::Short => short(text).map(|number| Value::Float(number.into())),
        Cast::Flag => flag(text).map(Value::Bool),
    }
}

/// A whole number.
pub(super) fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("must be a whole number, not {text:?}"))
}

/// A number.
pub(super) fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("must be a number, not {text:?}"))
}

/// A number of 32 bits.
pub(super) fn short(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| format!("must be a number, not {text:?}"))
}

/// True or false.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Ok(true),
        "false" | "n" | "no" | "off" => Ok(false),
        _ => Err(format!("must be true or false, not {text:?}")),
    }
}
