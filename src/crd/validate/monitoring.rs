//! `spec.monitoring` of a Deployment, and what is watched of the host.

use std::collections::BTreeMap;

use serde_json::Value;

use super::source::absolute;
use super::spec::{choose, duration};
use crate::crd::compose::read::{each, text, word};
use crate::crd::decode::{Fields, Node, Sink};
use crate::crd::{
    AlertSeverity, Amount, Duration, FieldError, Growth, HostMonitoring, Monitoring, Rules, Share, Spike, SpikeMetric, Threshold,
};

/// Longest time that is looked back for a spike: every sample of it is in memory.
const LONGEST_PAST: Duration = Duration::from_secs(3600);
/// Longest time that growth is looked for in.
const LONGEST_GROWTH: Duration = Duration::from_secs(24 * 3600);

/// Smallest memory that is a threshold, in bytes: less is a percentage whose sign was forgotten.
const LEAST_MEMORY: f64 = 1024.0 * 1024.0;

/// In what a threshold may be written.
#[derive(Clone, Copy)]
enum Unit {
    /// Percent of one CPU.
    Cpu,
    /// Percent of a whole, at most all of it.
    Fill,
    /// Percent of a whole, or bytes, at least [`LEAST_MEMORY`].
    Memory,
    /// Bytes a second.
    Rate,
    /// A whole number.
    Count,
    /// A number, or percent of the CPUs.
    Load,
}

/// `spec.monitoring`; `services` are those that are declared.
pub(super) fn monitoring(node: &Node, services: &BTreeMap<String, Value>) -> Option<Monitoring> {
    let mut fields = node.fields()?;
    let rules = rules(&mut fields);
    let services = fields.or_default("services", |node| {
        let known = |(name, node): (&str, Node)| {
            if !services.contains_key(name) {
                return node.fail(format!("there is no service {name:?} in spec.services"));
            }
            let mut fields = node.fields()?;
            let rules = self::rules(&mut fields);
            fields.finish();
            Some((name.to_owned(), rules))
        };
        Some(node.entries()?.into_iter().filter_map(known).collect())
    });
    fields.finish();
    Some(Monitoring { rules, services })
}

/// What is watched of the host: its defaults, but for what is named.
///
/// # Errors
/// All that is wrong.
pub(in crate::crd) fn host(value: &Value) -> Result<HostMonitoring, Vec<FieldError>> {
    let sink = Sink::new(false);
    let read = read_host(&Node::new(value, "", &sink));
    let errors = sink.into_findings().errors;
    read.filter(|_| errors.is_empty()).ok_or(errors)
}

fn read_host(node: &Node) -> Option<HostMonitoring> {
    let mut fields = node.fields()?;
    let default = HostMonitoring::default();
    let host = HostMonitoring {
        cpu: fields.read("cpu", |node| threshold(node, Unit::Fill)),
        memory: fields.read("memory", |node| threshold(node, Unit::Memory)),
        load: fields.read("load", |node| only_above(node, Unit::Load)),
        disk: fields.read("disk", |node| only_above(node, Unit::Fill)).or(default.disk),
        inodes: fields.read("inodes", |node| only_above(node, Unit::Fill)).or(default.inodes),
        paths: fields.or_default("paths", |node| {
            each(node, |node| {
                absolute(node)?;
                word(node)
            })
        }),
    };
    fields.finish();
    Some(host)
}

fn rules(fields: &mut Fields) -> Rules {
    Rules {
        cpu: fields.read("cpu", |node| threshold(node, Unit::Cpu)),
        memory: fields.read("memory", |node| threshold(node, Unit::Memory)),
        network: fields.read("network", |node| threshold(node, Unit::Rate)),
        disk: fields.read("disk", |node| threshold(node, Unit::Rate)),
        pids: fields.read("pids", |node| threshold(node, Unit::Count)),
        restarts: fields.read("restarts", |node| only_above(node, Unit::Count)),
        spike: fields.read("spike", spike),
        growth: fields.read("growth", growth),
    }
}

fn threshold(node: &Node, unit: Unit) -> Option<Threshold> {
    let mut fields = node.fields()?;
    let named = fields.has("above") || fields.has("below");
    let threshold = Threshold {
        above: fields.read("above", |node| amount(node, unit)),
        below: fields.read("below", |node| amount(node, unit)),
        lasting: fields.read("for", duration),
        hysteresis: fields.read("hysteresis", |node| {
            let share = share(node)?;
            if share.0 < 100.0 { Some(share) } else { node.fail("must be below 100%") }
        }),
        severity: fields
            .read("severity", |node| choose(node, &AlertSeverity::ALL.map(|one| (one.word(), one))))
            .unwrap_or_default(),
    };
    fields.finish();
    if !named {
        return node.fail("needs above or below: the threshold");
    }
    match (threshold.above, threshold.below) {
        (Some(Amount::Percent(above)), Some(Amount::Percent(below)))
        | (Some(Amount::Number(above)), Some(Amount::Number(below)))
            if below >= above =>
        {
            node.fail("has below at or over above: nothing would be right")
        }
        _ => Some(threshold),
    }
}

/// Of what can only be too much.
fn only_above(node: &Node, unit: Unit) -> Option<Threshold> {
    let threshold = threshold(node, unit)?;
    if threshold.below.is_none() { Some(threshold) } else { node.fail("can only be too much: write above instead of below") }
}

fn amount(node: &Node, unit: Unit) -> Option<Amount> {
    let amount = Amount::read(node.value);
    let right = match (unit, amount) {
        (Unit::Cpu | Unit::Memory, Some(Amount::Percent(_))) | (Unit::Load, Some(_)) => true,
        (Unit::Memory, Some(Amount::Number(bytes))) => bytes >= LEAST_MEMORY,
        (Unit::Fill, Some(Amount::Percent(percent))) => percent <= 100.0,
        (Unit::Rate, Some(Amount::Number(_))) => true,
        (Unit::Count, Some(Amount::Number(number))) => number.fract() == 0.0,
        _ => false,
    };
    match amount.filter(|_| right) {
        Some(amount) => Some(amount),
        None => node.fail(match unit {
            Unit::Cpu => "must be percent of one CPU, such as 80% (two busy CPUs are 200%)",
            Unit::Fill => "must be percent of the whole, such as 90%",
            Unit::Memory => "must be percent of the limit or a size of at least 1MiB, such as 90% or 512MiB",
            Unit::Rate => "must be bytes a second, such as 10MiB",
            Unit::Count => "must be a whole number",
            Unit::Load => "must be a number or percent of the CPUs, such as 4 or 200%",
        }),
    }
}

fn share(node: &Node) -> Option<Share> {
    text(node)?.parse().map_or_else(|why: String| node.fail(why), Some)
}

fn spike(node: &Node) -> Option<Spike> {
    let mut fields = node.fields()?;
    let default = Spike::default();
    let metrics = SpikeMetric::ALL.map(|metric| (metric.word(), metric));
    let spike = Spike {
        factor: fields.read("factor", factor).unwrap_or(default.factor),
        past: fields.read("past", |node| between(node, LONGEST_PAST)).unwrap_or(default.past),
        lasting: fields.read("for", duration).unwrap_or(default.lasting),
        metrics: fields.read("metrics", |node| each(node, |node| choose(node, &metrics))).unwrap_or(default.metrics),
        severity: fields
            .read("severity", |node| choose(node, &AlertSeverity::ALL.map(|one| (one.word(), one))))
            .unwrap_or(default.severity),
    };
    fields.finish();
    // What lasts for half of the past is the usual by then: it would never fire.
    if spike.lasting.0 >= spike.past.0 / 2 {
        return node
            .fail(format!("has for ({}) at or over half of past ({}): that long it is the usual", spike.lasting, spike.past));
    }
    Some(spike)
}

fn factor(node: &Node) -> Option<f64> {
    match node.value.as_f64() {
        Some(factor) if factor > 1.0 => Some(factor),
        Some(_) => node.fail("must be above 1"),
        None => node.expected("a number"),
    }
}

fn growth(node: &Node) -> Option<Growth> {
    let mut fields = node.fields()?;
    let default = Growth::default();
    let growth = Growth {
        above: fields.read("above", share).unwrap_or(default.above),
        over: fields.read("over", |node| between(node, LONGEST_GROWTH)).unwrap_or(default.over),
        severity: fields
            .read("severity", |node| choose(node, &AlertSeverity::ALL.map(|one| (one.word(), one))))
            .unwrap_or(default.severity),
    };
    fields.finish();
    Some(growth)
}

/// A minute, up to the longest.
fn between(node: &Node, longest: Duration) -> Option<Duration> {
    let time = duration(node)?;
    if (Duration::from_secs(60)..=longest).contains(&time) { Some(time) } else { node.fail(format!("must be 1m to {longest}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::crd::{Kind, Monitoring, admit};

    fn deployment(monitoring: &Value) -> Value {
        json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"services": {"app": {"image": "a"}}, "monitoring": monitoring}})
    }

    #[test]
    fn what_is_watched_is_read_and_kept_as_it_is() {
        let written = json!({
            "cpu": {"above": "80%", "below": "1%", "for": "10m", "hysteresis": "20%", "severity": "critical"},
            "memory": {"above": "512MiB"}, "network": {"above": "10MB/s"}, "disk": {"above": 1_000_000}, "pids": {"above": 100},
            "restarts": {"above": 3}, "spike": {"factor": 4, "past": "30m", "metrics": ["cpu"]}, "growth": {"above": "50%", "over": "12h"},
            "services": {"app": {"memory": {"above": "90%"}}},
        });
        let stored = admit(Kind::Deployment, deployment(&written), None, false).unwrap().object;
        assert_eq!(stored["spec"]["monitoring"], written);
        let read: Monitoring = serde_json::from_value(stored["spec"]["monitoring"].clone()).unwrap();
        assert_eq!(read.of("app").cpu, read.rules.cpu);
        assert!(admit(Kind::Deployment, deployment(&Value::Null), None, false).is_ok());
    }

    #[test]
    fn a_percentage_without_its_sign_is_no_memory() {
        for (written, taken) in
            [(json!(90), false), (json!("90"), false), (json!("512k"), false), (json!("1MiB"), true), (json!("90%"), true)]
        {
            let result = admit(Kind::Deployment, deployment(&json!({"memory": {"above": written}})), None, false);
            assert_eq!(result.is_ok(), taken, "{written}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = json!({
            "cpu": {"above": "2GiB"}, "memory": {"for": "5m"}, "network": {"above": "10%"}, "disk": {"above": "90%"},
            "pids": {"above": 1.5}, "restarts": {"below": 3, "above": 5}, "spike": {"factor": 1, "past": "2h", "metrics": ["disk"]},
            "growth": {"above": 20, "over": "1s"}, "gpu": {}, "services": {"db": {}, "app": {"cpu": {"above": "5%", "below": "6%", "hysteresis": "100%"}, "spike": {"past": "4m"}}},
        });
        let errors = admit(Kind::Deployment, deployment(&wrong), None, false).unwrap_err();
        let told = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in [
            "spec.monitoring.cpu.above: must be percent of one CPU",
            "spec.monitoring.memory: needs above or below",
            "spec.monitoring.network.above: must be bytes a second",
            "spec.monitoring.disk.above: must be bytes a second",
            "spec.monitoring.pids.above: must be a whole number",
            "spec.monitoring.restarts: can only be too much",
            "spec.monitoring.spike.factor: must be above 1",
            "spec.monitoring.spike.past: must be 1m to 1h",
            "spec.monitoring.services.app.spike: has for (2m) at or over half of past (4m)",
            "spec.monitoring.spike.metrics[0]: must be one of cpu",
            "spec.monitoring.growth.above: must be text",
            "spec.monitoring.growth.over: must be 1m to 24h",
            "spec.monitoring.gpu: unknown field",
            "spec.monitoring.services.db: there is no service \"db\"",
            "spec.monitoring.services.app.cpu: has below at or over above",
            "spec.monitoring.services.app.cpu.hysteresis: must be below 100%",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
    }
}
