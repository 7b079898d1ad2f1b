//! `spec` of an Alert.

use jiff::Timestamp;

use super::metadata::dns;
use super::source::flag;
use crate::crd::compose::read::{each, one_of, text, word};
use crate::crd::decode::Node;
use crate::crd::times::{Weekly, time_of_day, zone};
use crate::crd::{AlertSeverity, Duration, times};

/// Checks an Alert's spec.
pub(super) fn check(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("channels", |node| {
        let names = each(node, channel)?;
        let empty = names.is_empty() && node.value.as_array().is_some_and(Vec::is_empty);
        if empty { node.fail("needs a Channel: where it is sent") } else { Some(()) }
    });
    fields.read("severity", |node| one_of(node, &AlertSeverity::ALL.map(AlertSeverity::word)));
    fields.read("namespaces", |node| {
        each(node, |node| {
            let name = word(node)?;
            dns(node, &name, 63, false).then_some(())
        })
    });
    fields.read("selector", selector);
    fields.read("causes", |node| each(node, word));
    fields.read("timeZone", |node| {
        let name = word(node)?;
        zone(&name).map(drop).or_else(|| node.fail(format!("{name:?} is no time zone: write it as Europe/Berlin, or UTC")))
    });
    fields.read("quietHours", |node| each(node, quiet));
    fields.read("maintenance", |node| each(node, maintenance));
    fields.read("repeatInterval", |node| match text(node)?.parse::<Duration>() {
        Ok(interval) if interval >= Duration::from_secs(60) => Some(()),
        Ok(_) => node.fail("must be 1m or longer"),
        Err(error) => node.fail(error),
    });
    fields.read("resolved", flag);
    fields.read("template", template);
    fields.read("reports", reports);
    fields.read("suspend", flag);
    fields.finish();
    Some(())
}

/// `name`, or `namespace/name`.
fn channel(node: &Node) -> Option<()> {
    let whole = word(node).or_else(|| node.fail("must name a Channel"))?;
    let (namespace, name) = whole.split_once('/').map_or((None, whole.as_str()), |(space, name)| (Some(space), name));
    let right = namespace.is_none_or(|namespace| dns(node, namespace, 63, false));
    (right && dns(node, name, 253, true)).then_some(())
}

fn selector(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("matchLabels", |node| {
        node.entries()?.iter().for_each(|(_, node)| drop(text(node)));
        Some(())
    });
    fields.finish();
    Some(())
}

fn quiet(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    for key in ["from", "to"] {
        fields.required(key, clock_time);
    }
    fields.read("days", |node| each(node, |node| one_of(node, &times::DAYS)));
    fields.read("except", |node| one_of(node, &AlertSeverity::ALL.map(AlertSeverity::word)));
    fields.finish();
    Some(())
}

fn maintenance(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    let [from, to] = ["from", "to"].map(|key| {
        fields.required(key, |node| {
            let time = text(node)?;
            let read = time.parse::<Timestamp>().ok();
            read.or_else(|| node.fail(format!("{time:?} is no time: write it as RFC 3339 has it, such as 2027-01-31T08:00:00Z")))
        })
    });
    fields.read("reason", text);
    fields.finish();
    match from.zip(to) {
        Some((from, to)) if from >= to => node.fail("ends before it begins"),
        _ => Some(()),
    }
}

fn template(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    for key in ["title", "text"] {
        fields.read(key, |node| {
            let text = word(node)?;
            if text.len() > 16 << 10 { node.fail("is longer than 16 KiB") } else { Some(()) }
        });
    }
    fields.finish();
    Some(())
}

fn reports(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.read("daily", clock_time);
    fields.read("weekly", |node| {
        let text = word(node)?;
        Weekly::read(&text).map(drop).or_else(|| node.fail(format!("{text:?} is no day and time: write it as \"Mon 08:00\"")))
    });
    fields.finish();
    Some(())
}

fn clock_time(node: &Node) -> Option<()> {
    let text = word(node)?;
    time_of_day(&text).map(drop).or_else(|| node.fail(format!("{text:?} is no time of day: write it in quotes, as \"08:00\"")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::crd::{Admitted, Kind, admit};

    fn alert(spec: &Value) -> Value {
        json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Alert", "metadata": {"name": "ops"}, "spec": spec})
    }

    #[test]
    fn defaults_are_filled_in_and_read_back() {
        let Admitted { object, warnings } = admit(Kind::Alert, alert(&json!({"channels": ["mail"]})), None, false).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let spec = json!({"channels": ["mail"], "severity": "warning", "timeZone": "UTC", "resolved": true, "suspend": false});
        assert_eq!(object["spec"], spec);
        assert_eq!(admit(Kind::Alert, object.clone(), None, false).unwrap().object, object);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let spec = json!({
            "channels": ["Mail", "a/b/c"], "severity": "high", "namespaces": ["No Such"], "selector": {"labels": {}},
            "timeZone": "Mars/Base", "quietHours": [{"from": "25:00", "to": "7"}, {"from": "22:00", "to": "07:00", "days": ["Monday"]}],
            "maintenance": [{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, {"from": "soon"}],
            "repeatInterval": "5s", "reports": {"daily": "8", "weekly": "08:00"}, "quiet": true,
        });
        let errors = admit(Kind::Alert, alert(&spec), None, false).unwrap_err();
        let told = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in [
            "spec.channels[0]: ",
            "spec.channels[1]: ",
            "spec.severity: must be one of info, warning, critical",
            "spec.namespaces[0]: ",
            "spec.selector.matchLabels: is required",
            "spec.selector.labels: unknown field",
            "spec.timeZone: \"Mars/Base\" is no time zone",
            "spec.quietHours[0].from: \"25:00\" is no time of day",
            "spec.quietHours[0].to: ",
            "spec.quietHours[1].days[0]: must be one of Mon",
            "spec.maintenance[0]: ends before it begins",
            "spec.maintenance[1].from: ",
            "spec.maintenance[1].to: is required",
            "spec.repeatInterval: must be 1m or longer",
            "spec.reports.daily: ",
            "spec.reports.weekly: ",
            "spec.quiet: unknown field",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
    }
}
