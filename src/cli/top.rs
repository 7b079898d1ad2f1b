//! `evenkeel top`: what deployments and their containers use.

use clap::{Args, ValueEnum};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::client::{Api, Connection, deployment_path, list_path, name};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::help;
use super::output::{Look, print, table, tell};
use super::since::since;
use super::usage;
use crate::resources::bytes;

/// Deployments that are measured side by side; the operator bounds how many containers are.
const AT_A_TIME: usize = 8;

/// Shows what deployments and their containers use: CPU, memory, network and block I/O, processes.
///
/// CPU is percent of one CPU over the last second. Memory is the working set: what cannot be taken back at once. Network
/// and block I/O are counted since each container was started. It takes one to two seconds. With --since, it is what was used over
/// that time instead, containers that are gone included: sampled every ten seconds, kept by the sample for an hour and by the minute
/// for days.
#[derive(Debug, Args)]
#[command(after_help = help::TOP)]
pub struct TopArgs {
    /// Only this one, by container
    #[arg(value_parser = name)]
    deployment: Option<String>,
    /// By container instead of by deployment
    #[arg(long)]
    containers: bool,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "deployment")]
    all_namespaces: bool,
    /// Only deployments that have these labels: app=web, app!=web, app
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "deployment")]
    selector: Option<String>,
    /// What was used since then, per second, instead of now: 10m, 2h or a time
    #[arg(long, value_name = "WHEN", conflicts_with = "sort_by")]
    since: Option<String>,
    /// The machine itself: CPU, load, memory, disks
    #[arg(long, conflicts_with_all = ["deployment", "all_namespaces", "selector", "containers", "sort_by", "since"])]
    host: bool,
    /// The greediest first
    #[arg(long, value_name = "WHAT", value_enum)]
    sort_by: Option<Order>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Cpu,
    Memory,
}

/// `evenkeel top`.
pub async fn top(args: TopArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    if args.host {
        return usage::host(&api, args.output).await;
    }
    let since = args.since.as_deref().map(|text| seconds_since(text, Look::of_stdout().now)).transpose()?;
    let names = match &args.deployment {
        Some(name) => vec![(args.connection.namespace().to_owned(), name.clone())],
        None => names(&api, &args).await?,
    };
    let all: Vec<Result<Value, Failure>> = stream::iter(names)
        .map(|(namespace, name)| {
            let api = &api;
            let query = since.map(|seconds| format!("?sinceSeconds={seconds}")).unwrap_or_default();
            async move { api.get(&format!("{}{query}", deployment_path(&namespace, &name, Some("metrics")))).await }
        })
        .buffered(AT_A_TIME)
        .collect()
        .await;
    let mut metrics = vec![];
    for one in all {
        match one {
            // One that was deleted meanwhile uses nothing.
            Err(failure) if failure.is_not_found() && args.deployment.is_none() => {}
            one => metrics.push(one?),
        }
    }
    if since.is_some() {
        return usage::history(&metrics, args.output, args.deployment.is_some(), args.all_namespaces);
    }
    show(&args, metrics)
}

fn seconds_since(text: &str, now: jiff::Timestamp) -> Result<u64, Failure> {
    let since = since(text, now).map_err(Failure::Usage)?;
    Ok(u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default())
}

async fn names(api: &Api, args: &TopArgs) -> Result<Vec<(String, String)>, Failure> {
    let list = list_path("deployments", (!args.all_namespaces).then_some(args.connection.namespace()));
    let selector = args.selector.as_deref().map(|text| format!("?labelSelector={}", super::client::encode(text)));
    let answer = api.get(&format!("{list}{}", selector.unwrap_or_default())).await?;
    let field = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
    Ok(answer["items"].as_array().into_iter().flatten().map(|item| (field(item, "namespace"), field(item, "name"))).collect())
}

fn show(args: &TopArgs, mut metrics: Vec<Value>) -> Result<(), Failure> {
    sort(args.sort_by, &mut metrics);
    for one in &mut metrics {
        if let Some(containers) = one["containers"].as_array_mut() {
            sort(args.sort_by, containers);
        }
    }
    match args.output {
        Format::Json | Format::Yaml if args.deployment.is_some() => {
            metrics.first().map_or(Ok(()), |one| print_whole(args.output, one))
        }
        Format::Json | Format::Yaml => {
            let list = json!({"kind": "DeploymentMetricsList", "apiVersion": crate::crd::API_VERSION, "items": metrics});
            print_whole(args.output, &list)
        }
        Format::Name => {
            let line = |one: &Value| format!("deployment.evenkeel.dev/{}\n", text(&one["metadata"]["name"]));
            print(&metrics.iter().map(line).collect::<String>())
        }
        Format::Table | Format::Wide if metrics.is_empty() => {
            tell("no deployments");
            Ok(())
        }
        Format::Table | Format::Wide => {
            let by_container = args.containers || args.deployment.is_some();
            metrics.iter().flat_map(firing).for_each(|line| tell(&line));
            for (name, error) in metrics.iter().flat_map(errors) {
                tell(&format!("warning: {name} was not measured: {error}"));
            }
            print(&render(&Look::of_stdout(), &metrics, by_container, args.all_namespaces))
        }
    }
}

fn sort(order: Option<Order>, items: &mut [Value]) {
    let field = match order {
        None => return,
        Some(Order::Cpu) => "cpuPercent",
        Some(Order::Memory) => "memoryBytes",
    };
    let figure = |item: &Value| item["usage"][field].as_f64().unwrap_or(0.0);
    items.sort_by(|one, other| figure(other).total_cmp(&figure(one)));
}

/// A line for each figure that is beyond its threshold for long enough.
fn firing(one: &Value) -> Vec<String> {
    let alerts = one["alerts"].as_array().into_iter().flatten().filter(|alert| alert["state"] == "Firing");
    let line =
        |alert: &Value| format!("{}: {}: {}", text(&one["metadata"]["name"]), text(&alert["cause"]), text(&alert["message"]));
    alerts.map(line).collect()
}

fn errors(one: &Value) -> Vec<(&str, &str)> {
    let containers = one["containers"].as_array().into_iter().flatten();
    containers.filter_map(|container| Some((text(&container["container"]), container["error"].as_str()?))).collect()
}

fn render(look: &Look, metrics: &[Value], by_container: bool, namespace: bool) -> String {
    let mut header = if by_container {
        vec!["NAME", "CONTAINER", "CPU", "MEMORY", "LIMIT", "MEM%", "NET I/O", "BLOCK I/O", "PIDS"]
    } else {
        vec!["NAME", "CPU", "MEMORY", "NET I/O", "BLOCK I/O", "PIDS"]
    };
    if namespace {
        header.insert(0, "NAMESPACE");
    }
    let mut rows = vec![];
    for one in metrics {
        let place = |name: &Value| {
            let namespace = namespace.then(|| text(&one["metadata"]["namespace"]).to_owned());
            namespace.into_iter().chain([text(name).to_owned()]).collect::<Vec<_>>()
        };
        let containers = one["containers"].as_array().map_or(&[][..], Vec::as_slice);
        if !by_container {
            rows.push([place(&one["metadata"]["name"]), figures(&one["usage"], Limit::LeftOut)].concat());
            continue;
        }
        for container in containers {
            let name = vec![text(&container["name"]).to_owned()];
            rows.push([place(&one["metadata"]["name"]), name, figures(&container["usage"], Limit::Shown)].concat());
        }
        if containers.len() > 1 {
            rows.push([place(&one["metadata"]["name"]), vec!["all".to_owned()], figures(&one["usage"], Limit::Empty)].concat());
        }
        if containers.is_empty() {
            rows.push([place(&one["metadata"]["name"]), vec!["none runs".to_owned()]].concat());
        }
    }
    table(look, "", &header, rows)
}

/// The cells of one line. A limit is one container's: for several together it says nothing, and is left out or empty.
fn figures(usage: &Value, limit: Limit) -> Vec<String> {
    if usage.is_null() {
        return vec![];
    }
    let number = |field: &str| usage[field].as_u64().unwrap_or(0);
    let pair = |one: &str, other: &str| format!("{} / {}", bytes(number(one)), bytes(number(other)));
    let (memory, most) = (number("memoryBytes"), number("memoryLimitBytes"));
    let mut cells = vec![format!("{:.1}%", usage["cpuPercent"].as_f64().unwrap_or(0.0)), bytes(memory)];
    match limit {
        Limit::LeftOut => {}
        Limit::Shown if most > 0 => cells.extend([bytes(most), format!("{:.1}%", memory as f64 * 100.0 / most as f64)]),
        Limit::Shown | Limit::Empty => cells.extend([String::new(), String::new()]),
    }
    cells.extend([
        pair("networkReceivedBytes", "networkSentBytes"),
        pair("blockReadBytes", "blockWrittenBytes"),
        number("pids").to_string(),
    ]);
    cells
}

/// What the columns of the limit hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    LeftOut,
    Empty,
    Shown,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { color: false, width: None, now: jiff::Timestamp::UNIX_EPOCH };

    fn metrics() -> Vec<Value> {
        let usage = |cpu: f64, memory: u64| {
            json!({"cpuPercent": cpu, "memoryBytes": memory, "memoryLimitBytes": 1_073_741_824, "networkReceivedBytes": 1200,
                "networkSentBytes": 0, "blockReadBytes": 5_000_000, "blockWrittenBytes": 12, "pids": 3})
        };
        let containers = json!([
            {"name": "app-1", "container": "shop-app-1", "usage": usage(0.4, 4_404_019)},
            {"name": "app-2", "container": "shop-app-2", "usage": usage(120.0, 536_870_912)},
        ]);
        vec![
            json!({"metadata": {"name": "idle", "namespace": "lab"}, "usage": usage(0.0, 0), "containers": []}),
            json!({"metadata": {"name": "shop", "namespace": "default"}, "usage": usage(120.4, 541_274_931), "containers": containers}),
        ]
    }

    #[test]
    fn figures_are_shown_by_deployment_or_by_container() {
        insta::assert_snapshot!("top", render(&PLAIN, &metrics(), false, true));
        let mut sorted = metrics();
        sort(Some(Order::Cpu), &mut sorted);
        sort(Some(Order::Memory), sorted[0]["containers"].as_array_mut().unwrap());
        insta::assert_snapshot!("top_containers", render(&PLAIN, &sorted, true, false));
    }
}
