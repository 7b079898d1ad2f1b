//! What was used over a time, and what the machine uses: the rest of `evenkeel top`.

use serde_json::{Value, json};

use super::client::{Api, HOST};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::output::{Look, print, table, tell};
use crate::resources::bytes;

/// Shows what the replicas of Deployments have used.
pub(super) fn history(metrics: &[Value], format: Format, one: bool, namespace: bool) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml if one => metrics.first().map_or(Ok(()), |one| print_whole(format, one)),
        Format::Json | Format::Yaml => {
            let list = json!({"kind": "DeploymentMetricsHistoryList", "apiVersion": crate::crd::API_VERSION, "items": metrics});
            print_whole(format, &list)
        }
        Format::Name | Format::Table | Format::Wide => {
            let rows = metrics.iter().flat_map(|one| rows(one, namespace)).collect::<Vec<_>>();
            if rows.is_empty() {
                tell("nothing was sampled in that time");
                return Ok(());
            }
            let mut header = vec!["NAME", "REPLICA", "CPU MEAN", "CPU MAX", "MEMORY MAX", "NET I/O", "BLOCK I/O", "PIDS MAX"];
            if namespace {
                header.insert(0, "NAMESPACE");
            }
            print(&table(&Look::of_stdout(), "", &header, rows))
        }
    }
}

fn rows(one: &Value, namespace: bool) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = namespace.then(|| text(&one["metadata"]["namespace"])).into_iter().chain([text(&one["metadata"]["name"])]);
    let place = place.collect::<Vec<_>>();
    let replicas = one["replicas"].as_array().into_iter().flatten();
    replicas.map(|replica| [place.clone(), vec![text(&replica["name"])], figures(&replica["points"])].concat()).collect()
}

fn figures(points: &Value) -> Vec<String> {
    let points = points.as_array().map_or(&[][..], Vec::as_slice);
    let all = |field: &str| points.iter().filter_map(|point| point[field].as_f64()).collect::<Vec<_>>();
    let mean = |field: &str| all(field).iter().sum::<f64>() / points.len().max(1) as f64;
    let most = |field: &str| all(field).into_iter().fold(0.0, f64::max);
    let rate = |field: &str| format!("{}/s", bytes(mean(field).round() as u64));
    vec![
        format!("{:.1}%", mean("cpuPercent")),
        format!("{:.1}%", most("cpuPercent")),
        bytes(most("memoryBytes") as u64),
        format!("{} / {}", rate("networkReceivedBytes"), rate("networkSentBytes")),
        format!("{} / {}", rate("blockReadBytes"), rate("blockWrittenBytes")),
        format!("{:.0}", most("pids")),
    ]
}

/// Shows what the machine uses.
pub(super) async fn host(api: &Api, format: Format) -> Result<(), Failure> {
    let host = api.get(HOST).await?;
    let (usage, alerts) = (&host["usage"], &host["alerts"]);
    match format {
        Format::Json | Format::Yaml => print_whole(format, &with_alerts(usage, alerts)),
        Format::Name | Format::Table | Format::Wide if usage.is_null() => {
            tell(
                "the machine was not sampled yet: it takes twenty seconds from the operator's start, and an engine on this machine",
            );
            Ok(())
        }
        Format::Name | Format::Table | Format::Wide => print(&(machine(usage) + &alert_lines(alerts))),
    }
}

/// The figures, and beside them what of them is beyond a threshold.
fn with_alerts(usage: &Value, alerts: &Value) -> Value {
    let mut whole = usage.clone();
    if let Some(whole) = whole.as_object_mut() {
        whole.insert("alerts".to_owned(), alerts.clone());
    }
    whole
}

fn alert_lines(alerts: &Value) -> String {
    let text = |alert: &Value, field: &str| alert[field].as_str().unwrap_or_default().to_owned();
    let line = |alert: &Value| {
        format!("Alert:   {}, {}: {}\n", text(alert, "cause"), text(alert, "state").to_lowercase(), text(alert, "message"))
    };
    alerts.as_array().into_iter().flatten().map(line).collect()
}

fn machine(usage: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let share = |used: u64, total: u64| format!("{:.1}%", used as f64 * 100.0 / total.max(1) as f64);
    let of = |used: &Value, total: &Value| {
        let (used, total) = (number(used), number(total));
        format!("{} of {} ({})", bytes(used), bytes(total), share(used, total))
    };
    let load = usage["load"].as_array().into_iter().flatten().map(|figure| format!("{:.2}", figure.as_f64().unwrap_or_default()));
    let mut lines = vec![
        format!("CPU:     {:.1}% of all", usage["cpuPercent"].as_f64().unwrap_or_default()),
        format!("Load:    {} over 1, 5, 15 minutes", load.collect::<Vec<_>>().join(", ")),
        format!("Memory:  {}", of(&usage["memoryUsedBytes"], &usage["memoryTotalBytes"])),
    ];
    for disk in usage["disks"].as_array().into_iter().flatten() {
        let files = match number(&disk["totalInodes"]) {
            0 => String::new(),
            total => format!(", {} of its files", share(number(&disk["usedInodes"]), total)),
        };
        let path = disk["path"].as_str().unwrap_or_default();
        lines.push(format!("Disk:    {}{files}  {path}", of(&disk["usedBytes"], &disk["totalBytes"])));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_summed_up_by_replica() {
        let point = |cpu: f64, memory: u64| {
            json!({"at": "2026-03-01T12:00:00Z", "cpuPercent": cpu, "memoryBytes": memory, "networkReceivedBytes": 100,
                "networkSentBytes": 0, "blockReadBytes": 0, "blockWrittenBytes": 2048, "pids": 2})
        };
        let replicas = json!([{"name": "app-1", "points": [point(10.0, 2048), point(30.0, 1024)]}]);
        let one = json!({"metadata": {"name": "web", "namespace": "shop"}, "replicas": replicas});
        let wanted = ["shop", "web", "app-1", "20.0%", "30.0%", "2.0KiB", "100B/s / 0B/s", "0B/s / 2.0KiB/s", "2"];
        assert_eq!(rows(&one, true), [wanted.map(str::to_owned).to_vec()]);
    }

    #[test]
    fn what_is_beyond_a_threshold_stands_below_the_machine() {
        let alerts =
            json!([{"cause": "DiskFilling", "state": "Firing", "message": "use of the disk of /srv is 91.0%, above 90%"}]);
        assert_eq!(alert_lines(&alerts), "Alert:   DiskFilling, firing: use of the disk of /srv is 91.0%, above 90%\n");
        assert_eq!((alert_lines(&json!([])), with_alerts(&Value::Null, &alerts)), (String::new(), Value::Null));
    }

    #[test]
    fn the_machine_is_shown_with_its_disks() {
        let disk = json!({"path": "/var/lib/docker", "usedBytes": 1024, "totalBytes": 4096, "usedInodes": 1, "totalInodes": 10});
        let usage = json!({"cpuPercent": 12.34, "load": [0.1, 1.25, 2.0], "memoryUsedBytes": 1024, "memoryTotalBytes": 2048,
            "disks": [disk]});
        insta::assert_snapshot!(machine(&usage), @r"
        CPU:     12.3% of all
        Load:    0.10, 1.25, 2.00 over 1, 5, 15 minutes
        Memory:  1.0KiB of 2.0KiB (50.0%)
        Disk:    1.0KiB of 4.0KiB (25.0%), 10.0% of its files  /var/lib/docker
        ");
    }
}
