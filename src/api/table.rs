//! Tables: what kubectl prints for each kind, and ages as people read them. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kinds::Resource;
use super::view::{Include, partial};
use crate::crd::IncidentStatus;

/// One column: its name, whether only `-o wide` shows it, what it says, and its cell.
struct Column {
    name: &'static str,
    wide: bool,
    cell: fn(&Value, Timestamp) -> Value,
}

const fn column(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, wide: false, cell }
}

const fn wide(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, wide: true, cell }
}

static DEPLOYMENT: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Ready", |o, _| text(o, "/status/ready")),
    column("Phase", |o, _| phase(o)),
    column("Age", |o, now| since(o, "/metadata/creationTimestamp", now)),
    wide("Project", |o, _| project(o)),
    wide("Reason", |o, _| reason(o)),
    wide("Message", |o, _| first_line(&ready_condition(o, "message"))),
];

static HOLD: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Deployment", |o, _| text(o, "/spec/deployment")),
    column("Service", |o, _| text(o, "/spec/service")),
    column("Replica", |o, _| text(o, "/spec/replica")),
    column("State", |o, _| text(o, "/spec/state")),
    column("Reason", |o, _| text(o, "/spec/reason")),
    column("Until", |o, _| text(o, "/spec/until")),
    column("Age", |o, now| since(o, "/metadata/creationTimestamp", now)),
    wide("By", |o, _| text(o, "/spec/by")),
];

static SOURCE: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Ready", |o, _| ready_condition(o, "status")),
    column("Revision", |o, _| text(o, "/status/observedRevision")),
    column("Deployments", |o, _| text(o, "/status/deployments")),
    column("Age", |o, now| since(o, "/metadata/creationTimestamp", now)),
    wide("Reason", |o, _| ready_condition(o, "reason")),
    wide("Message", |o, _| first_line(&ready_condition(o, "message"))),
];

static CHANNEL: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Ready", |o, _| ready_condition(o, "status")),
    column("Type", |o, _| text(o, "/status/type")),
    column("Queued", |o, _| text(o, "/status/queued")),
    column("Delivered", |o, _| text(o, "/status/delivered")),
    column("Last", |o, now| since(o, "/status/lastDeliveredAt", now)),
    column("Age", |o, now| since(o, "/metadata/creationTimestamp", now)),
    wide("Reason", |o, _| ready_condition(o, "reason")),
    wide("Message", |o, _| first_line(&ready_condition(o, "message"))),
];

static ALERT: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Ready", |o, _| ready_condition(o, "status")),
    column("Severity", |o, _| text(o, "/spec/severity")),
    column("Channels", |o, _| list(o, "/spec/channels")),
    column("Age", |o, now| since(o, "/metadata/creationTimestamp", now)),
    wide("Reason", |o, _| ready_condition(o, "reason")),
    wide("Message", |o, _| first_line(&ready_condition(o, "message"))),
];

static INCIDENT: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Subject", |o, _| text(o, "/spec/subject/name")),
    column("Cause", |o, _| text(o, "/spec/cause")),
    column("Severity", |o, _| text(o, "/status/severity")),
    column("Phase", |o, _| text(o, "/status/phase")),
    column("Attempts", |o, _| text(o, "/status/attempts")),
    column("Down", down),
    column("Age", |o, now| since(o, "/status/openedAt", now)),
    wide("Summary", |o, _| first_line(&text(o, "/status/summary"))),
];

static EVENT: &[Column] = &[
    column("Last Seen", |o, now| since(o, "/lastTimestamp", now)),
    column("Type", |o, _| text(o, "/type")),
    column("Reason", |o, _| text(o, "/reason")),
    column("Object", |o, _| about(o)),
    column("Message", |o, _| first_line(&text(o, "/message"))),
    wide("Source", |o, _| text(o, "/source/component")),
    wide("First Seen", |o, now| since(o, "/firstTimestamp", now)),
    wide("Count", |o, _| text_or(o, "/count", "1")),
    wide("Name", |o, _| text(o, "/metadata/name")),
];

static NAMESPACE: &[Column] = &[
    column("Name", |o, _| text(o, "/metadata/name")),
    column("Status", |o, _| text(o, "/status/phase")),
    column("Age", |o, now| since(o, "/metadata/creationTimestamp", now)),
];

fn columns(resource: &Resource) -> &'static [Column] {
    match resource.kind {
        "Deployment" => DEPLOYMENT,
        "Hold" => HOLD,
        "Source" => SOURCE,
        "Channel" => CHANNEL,
        "Alert" => ALERT,
        "Incident" => INCIDENT,
        "Event" => EVENT,
        _ => NAMESPACE,
    }
}

/// A table of `objects`.
pub fn table<'a>(
    resource: &Resource,
    objects: impl Iterator<Item = &'a Value>,
    revision: &str,
    include: Include,
    now: Timestamp,
) -> Value {
    let columns = columns(resource);
    let row = |object: &Value| {
        let cells = columns.iter().map(|column| (column.cell)(object, now)).collect::<Vec<_>>();
        match include {
            Include::None => json!({"cells": cells}),
            Include::Metadata => json!({"cells": cells, "object": partial(object)}),
            Include::Object => json!({"cells": cells, "object": object}),
        }
    };
    let definition = |column: &Column| {
        let format = if column.name == "Name" && !column.wide { "name" } else { "" };
        json!({
            "name": column.name, "type": "string", "format": format, "description": "", "priority": i32::from(column.wide),
        })
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision},
        "columnDefinitions": columns.iter().map(definition).collect::<Vec<_>>(),
        "rows": objects.map(row).collect::<Vec<_>>(),
    })
}

fn text(object: &Value, pointer: &str) -> Value {
    text_or(object, pointer, "")
}

fn text_or(object: &Value, pointer: &str, missing: &str) -> Value {
    match object.pointer(pointer) {
        Some(Value::String(text)) => json!(text),
        Some(Value::Null) | None => json!(missing),
        Some(other) => json!(other.to_string()),
    }
}

fn list(object: &Value, pointer: &str) -> Value {
    let items = object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    json!(items.filter_map(Value::as_str).collect::<Vec<_>>().join(","))
}

/// How long an incident's subject was down, or has been.
fn down(object: &Value, now: Timestamp) -> Value {
    let status: Option<IncidentStatus> = serde_json::from_value(object["status"].clone()).ok();
    match status.map_or(0, |status| status.down_for(now)) {
        0 => json!(""),
        seconds => json!(age(seconds)),
    }
}

/// Of a text of several lines, such as the output of a build, a table has room for the first.
fn first_line(text: &Value) -> Value {
    json!(text.as_str().unwrap_or_default().lines().next().unwrap_or_default())
}

fn since(object: &Value, pointer: &str, now: Timestamp) -> Value {
    let then = object.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    json!(then.map_or_else(|| "<unknown>".to_owned(), |then| age(now.as_second() - then.as_second())))
}

/// Of one that is being deleted, whatever was said of it before.
fn phase(object: &Value) -> Value {
    if is_deleting(object) { json!("Progressing") } else { text_or(object, "/status/phase", "Pending") }
}

fn reason(object: &Value) -> Value {
    if is_deleting(object) { json!("Deleting") } else { ready_condition(object, "reason") }
}

fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn project(object: &Value) -> Value {
    let name = |pointer| object.pointer(pointer).and_then(Value::as_str);
    match (name("/spec/project"), name("/metadata/namespace"), name("/metadata/name")) {
        (Some(project), ..) => json!(project),
        (None, Some("default") | None, Some(name)) => json!(name),
        (None, Some(namespace), Some(name)) => json!(format!("{namespace}-{name}")),
        (None, _, None) => json!(""),
    }
}

fn ready_condition(object: &Value, field: &str) -> Value {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == "Ready"));
    json!(ready.and_then(|condition| condition[field].as_str()).unwrap_or(""))
}

fn about(event: &Value) -> Value {
    let field = |name: &str| event["involvedObject"][name].as_str().unwrap_or("").to_owned();
    json!(format!("{}/{}", field("kind").to_lowercase(), field("name")))
}

/// A number of seconds as Kubernetes shows ages: two units while they are worth it, then one.
pub fn age(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |big: i64, big_name, small: i64, small_name| match seconds % big / small {
        0 => format!("{}{big_name}", seconds / big),
        rest => format!("{}{big_name}{rest}{small_name}", seconds / big),
    };
    match seconds {
        // Clocks differ a little; more than that is worth seeing.
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, 'm', 1, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, 'h', MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, 'd', HOUR, 'h'),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(YEAR, 'y', DAY, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;

    use super::*;
    use crate::api::kinds::{ALERTS, DEPLOYMENTS, EVENTS, INCIDENTS};

    #[test]
    fn ages_read_as_kubectl_shows_them() {
        for (seconds, shown) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (90_000, "25h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (64_000_000, "2y10d"),
            (300_000_000, "9y"),
        ] {
            assert_eq!(age(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn the_narrow_columns_are_those_of_the_crd() {
        let of_crd = |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
            let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap_or_default();
            std::iter::once("Name".to_owned()).chain(columns.into_iter().map(|column| column.name)).collect::<Vec<_>>()
        };
        let narrow = |columns: &[Column]| {
            columns.iter().filter(|column| !column.wide).map(|column| column.name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(narrow(DEPLOYMENT), of_crd(crate::crd::Deployment::crd()));
        assert_eq!(narrow(HOLD), of_crd(crate::crd::Hold::crd()));
        assert_eq!(narrow(SOURCE), of_crd(crate::crd::Source::crd()));
        assert_eq!(narrow(CHANNEL), of_crd(crate::crd::Channel::crd()));
        assert_eq!(narrow(ALERT), of_crd(crate::crd::Alert::crd()));
        assert_eq!(narrow(INCIDENT), of_crd(crate::crd::Incident::crd()));
    }

    #[test]
    fn figures_and_lists_are_shown_as_people_read_them() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let cells = |resource: &Resource, object: Value| table(resource, std::iter::once(&object), "7", Include::None, now);
        let over = cells(&INCIDENTS, json!({"status": {"downtime": "8m10.123456789s"}}));
        let open = cells(&INCIDENTS, json!({"status": {"downSince": "2026-01-01T00:00:00Z"}}));
        let both = cells(&INCIDENTS, json!({"status": {"downSince": "2026-01-01T00:00:00Z", "downtime": "1h"}}));
        assert_eq!((&over["rows"][0]["cells"][6], &open["rows"][0]["cells"][6]), (&json!("8m10s"), &json!("60m")));
        assert_eq!(both["rows"][0]["cells"][6], json!("120m"), "what came back was down before, too");
        let alert = cells(&ALERTS, json!({"spec": {"channels": ["ops", "infra/mail"]}}));
        assert_eq!(alert["rows"][0]["cells"][3], "ops,infra/mail");
        let gone = cells(
            &DEPLOYMENTS,
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Failed"}}),
        );
        assert_eq!((&gone["rows"][0]["cells"][2], &gone["rows"][0]["cells"][5]), (&json!("Progressing"), &json!("Deleting")));
    }

    #[test]
    fn a_row_shows_what_is_there_and_blanks_for_what_is_not() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let web = json!({
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {}, "status": {"ready": "1/2", "phase": "Degraded", "conditions": [{"type": "Ready", "reason": "BackOff", "message": "m"}]},
        });
        let new = json!({"metadata": {"name": "new"}});
        let table = table(&DEPLOYMENTS, [&web, &new].into_iter(), "7", Include::None, now);
        assert_eq!(table["rows"][0]["cells"], json!(["web", "1/2", "Degraded", "60s", "shop-web", "BackOff", "m"]));
        assert_eq!(table["rows"][1]["cells"], json!(["new", "", "Pending", "<unknown>", "new", "", ""]));
        assert_eq!(table["columnDefinitions"][4]["priority"], 1);
        let event =
            json!({"involvedObject": {"kind": "Deployment", "name": "web"}, "reason": "Crashed", "count": 3, "metadata": {}});
        let events = super::table(&EVENTS, std::iter::once(&event), "7", Include::Metadata, now);
        assert_eq!(events["rows"][0]["cells"][3], "deployment/web");
        assert_eq!(events["rows"][0]["cells"][7], "3");
        assert_eq!(events["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    }
}
