//! What is told to whom, as text.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};

use crate::crd::{Admitted, Alert, AlertSeverity, Incident, IncidentPhase, Kind, admit};
use crate::notify::notice::Notice;
use crate::notify::report::{Period, drafts, due, next};
use crate::notify::route::{Routed, announce, route};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn alert(name: &str, spec: Value) -> Alert {
    let object = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Alert",
        "metadata": {"name": name, "namespace": "default", "uid": name, "creationTimestamp": "2026-03-01T00:00:00Z"}, "spec": spec});
    let Admitted { object, .. } = admit(Kind::Alert, object, None, false).unwrap();
    serde_json::from_value(object).unwrap()
}

fn incident(severity: &str) -> Incident {
    serde_json::from_value(json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": "web-crashed-1a2b3", "namespace": "shop", "uid": "i1"},
        "spec": {"subject": {"kind": "Deployment", "name": "web", "uid": "u1"}, "cause": "Crashed"},
        "status": {"phase": "Open", "severity": severity, "summary": "replica app-1 failed: exit code 1", "openings": 1, "attempts": 3,
            "openedAt": "2026-03-01T12:00:00.000000Z", "timeline": []},
    }))
    .unwrap()
}

/// Routes, keeps what was told, and gives back kind and channel of each message.
fn told(incident: &mut Incident, alerts: &[Alert], now: &str) -> (Vec<String>, Option<String>) {
    let labels = BTreeMap::from([("team".to_owned(), "sea".to_owned())]);
    let Routed { drafts, told, look_again } = route(incident, &labels, alerts, time(now));
    incident.status.as_mut().unwrap().told = told;
    let words = drafts.iter().map(|draft| format!("{:?} {}", draft.notice.kind, draft.channel)).collect();
    (words, look_again.map(|at| at.to_string()))
}

#[test]
fn each_step_of_an_incident_is_told_once() {
    let (mut web, all) = (incident("info"), [alert("all", json!({"channels": ["a", "infra/b"]}))]);
    assert_eq!(told(&mut web, &all, "2026-03-01T12:00:00Z").0, Vec::<String>::new(), "it is only info");
    let mut next = |change: fn(&mut crate::crd::IncidentStatus), now: &str| {
        change(web.status.as_mut().unwrap());
        let first = told(&mut web, &all, now).0;
        assert_eq!(told(&mut web, &all, now).0, Vec::<String>::new(), "told twice");
        first
    };
    let minute = |n: u32| format!("2026-03-01T12:{n:02}:00Z");
    assert_eq!(next(|status| status.severity = AlertSeverity::Warning, &minute(1)), ["Opened default/a", "Opened infra/b"]);
    assert_eq!(
        next(|status| status.severity = AlertSeverity::Critical, &minute(2)),
        ["Escalated default/a", "Escalated infra/b"]
    );
    assert_eq!(next(|status| status.phase = IncidentPhase::Mended, &minute(3)), Vec::<String>::new());
    assert_eq!(next(|status| status.phase = IncidentPhase::Resolved, &minute(4)), ["Resolved default/a", "Resolved infra/b"]);
    let again = next(
        |status| {
            status.phase = IncidentPhase::Open;
            status.openings = 2;
        },
        &minute(5),
    );
    assert_eq!(again, ["Reopened default/a", "Reopened infra/b"]);
}

#[test]
fn one_more_replica_that_is_given_up_is_told_also_to_who_looks_after_it() {
    let (mut web, all) = (incident("critical"), [alert("all", json!({"channels": ["a"]}))]);
    assert_eq!(told(&mut web, &all, "2026-03-01T12:00:00Z").0, ["Opened default/a"]);
    web.spec.acknowledged = Some(crate::crd::Remark { by: "ada".into(), ..crate::crd::Remark::default() });
    web.status.as_mut().unwrap().escalations += 1;
    assert_eq!(told(&mut web, &all, "2026-03-01T12:10:00Z").0, ["Escalated default/a"]);
    assert_eq!(told(&mut web, &all, "2026-03-01T12:20:00Z").0, Vec::<String>::new());
}

#[test]
fn who_was_told_of_an_incident_is_told_of_its_end_though_it_has_another_cause_by_then() {
    let (mut web, all) = (incident("warning"), [alert("all", json!({"channels": ["a"], "causes": ["Crashed"]}))]);
    assert_eq!(told(&mut web, &all, "2026-03-01T12:00:00Z").0, ["Opened default/a"]);
    web.spec.cause = "OutOfMemory".into();
    web.status.as_mut().unwrap().severity = AlertSeverity::Critical;
    assert_eq!(told(&mut web, &all, "2026-03-01T12:10:00Z").0, Vec::<String>::new());
    web.status.as_mut().unwrap().phase = IncidentPhase::Resolved;
    assert_eq!(told(&mut web, &all, "2026-03-01T12:20:00Z").0, ["Resolved default/a"]);
}

#[test]
fn quiet_hours_hold_back_what_can_wait_until_they_end() {
    let night = json!({"channels": ["a"], "timeZone": "Europe/Berlin", "quietHours": [{"from": "22:00", "to": "07:00"}]});
    let night = [alert("night", night)];
    let mut web = incident("warning");
    let (nothing, again) = told(&mut web, &night, "2026-03-01T23:30:00Z");
    assert_eq!((nothing.len(), again.as_deref()), (0, Some("2026-03-02T06:00:00Z")));
    let mut urgent = incident("critical");
    assert_eq!(told(&mut urgent, &night, "2026-03-01T23:30:00Z").0, ["Opened default/a"]);
    let mut over = web.clone();
    assert_eq!(told(&mut web, &night, "2026-03-02T06:00:00Z").0, ["Opened default/a"]);
    over.status.as_mut().unwrap().phase = IncidentPhase::Resolved;
    assert_eq!(told(&mut over, &night, "2026-03-02T06:00:00Z").0, Vec::<String>::new(), "it is over, and was never told");
}

#[test]
fn maintenance_a_silence_and_a_suspended_alert_keep_quiet() {
    let window = json!([{"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T14:00:00Z"}]);
    let all = [alert("all", json!({"channels": ["a"], "maintenance": window}))];
    let mut web = incident("critical");
    let (nothing, again) = told(&mut web, &all, "2026-03-01T13:00:00Z");
    assert_eq!((nothing.len(), again.as_deref()), (0, Some("2026-03-01T14:00:00Z")));
    web.spec.silenced = serde_json::from_value(json!({"by": "ada", "until": "2026-03-01T15:00:00Z"})).unwrap();
    let (nothing, again) = told(&mut web, &all, "2026-03-01T14:00:00Z");
    assert_eq!((nothing.len(), again.as_deref()), (0, Some("2026-03-01T15:00:00Z")));
    assert_eq!(told(&mut web, &all, "2026-03-01T15:00:00Z").0, ["Opened default/a"]);
    let off = [alert("off", json!({"channels": ["a"], "suspend": true}))];
    assert_eq!(told(&mut incident("critical"), &off, "2026-03-01T15:00:00Z").0, Vec::<String>::new());
    assert_eq!(told(&mut incident("critical"), &[], "2026-03-01T15:00:00Z").0, Vec::<String>::new(), "without any Alert");
}

#[test]
fn it_is_repeated_until_somebody_acknowledges_it() {
    let all = [alert("all", json!({"channels": ["a"], "repeatInterval": "1h"}))];
    let mut web = incident("warning");
    let (first, again) = told(&mut web, &all, "2026-03-01T12:00:00Z");
    assert_eq!((first, again.as_deref()), (vec!["Opened default/a".to_owned()], Some("2026-03-01T13:00:00Z")));
    assert_eq!(told(&mut web, &all, "2026-03-01T12:59:59Z").0, Vec::<String>::new());
    assert_eq!(told(&mut web, &all, "2026-03-01T13:00:00Z").0, ["Repeated default/a"]);
    web.spec.acknowledged =
        Some(crate::crd::Remark { by: "ada".into(), at: Some(MicroTime(time("2026-03-01T13:30:00Z"))), ..Default::default() });
    assert_eq!(told(&mut web, &all, "2026-03-01T15:00:00Z").0, Vec::<String>::new());
    web.status.as_mut().unwrap().severity = AlertSeverity::Critical;
    assert_eq!(told(&mut web, &all, "2026-03-01T15:00:01Z").0, ["Escalated default/a"]);
    // What was said of it holds until it is over: when it comes back somebody is called again.
    let status = web.status.as_mut().unwrap();
    status.openings = 2;
    status.reopened_at = Some(MicroTime(time("2026-03-01T16:00:00Z")));
    assert_eq!(told(&mut web, &all, "2026-03-01T16:00:00Z").0, ["Reopened default/a"]);
    assert_eq!(told(&mut web, &all, "2026-03-01T17:00:00Z").0, ["Repeated default/a"]);
}

#[test]
fn only_those_are_told_who_want_it() {
    for (spec, wanted) in [
        (json!({"severity": "critical"}), false),
        (json!({"severity": "info"}), true),
        (json!({"namespaces": ["default"]}), false),
        (json!({"namespaces": ["default", "shop"]}), true),
        (json!({"causes": ["Unhealthy"]}), false),
        (json!({"causes": ["Crashed"]}), true),
        (json!({"selector": {"matchLabels": {"team": "sea"}}}), true),
        (json!({"selector": {"matchLabels": {"team": "sea", "tier": "1"}}}), false),
    ] {
        let mut whole = spec.clone();
        whole["channels"] = json!(["a"]);
        let got = told(&mut incident("warning"), &[alert("x", whole)], "2026-03-01T12:00:00Z").0;
        assert_eq!(!got.is_empty(), wanted, "{spec}");
    }
}

#[test]
fn a_message_keeps_its_id_and_differs_from_every_other() {
    let all = [alert("all", json!({"channels": ["a", "b"], "repeatInterval": "1h"}))];
    let labels = BTreeMap::new();
    let at = |now: &str| route(&incident("warning"), &labels, &all, time(now)).drafts;
    let (first, later) = (at("2026-03-01T12:00:00Z"), at("2026-03-01T12:00:07Z"));
    assert_eq!(first[0].notice.id, later[0].notice.id, "made again after a SIGKILL");
    assert_ne!(first[0].notice.id, first[1].notice.id, "another channel");
    let mut web = incident("warning");
    let mut ids = vec![];
    for now in ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z"] {
        let Routed { drafts, told, .. } = route(&web, &labels, &all, time(now));
        web.status.as_mut().unwrap().told = told;
        ids.extend(drafts.into_iter().map(|draft| draft.notice.id));
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (6, 6));
    insta::assert_snapshot!("opened", format!("{}\n{}", first[0].notice.title, first[0].notice.text));
}

#[test]
fn the_summary_after_a_restart_goes_to_those_who_want_all_of_it() {
    let alerts = [
        alert("all", json!({"channels": ["a"]})),
        alert("critical", json!({"channels": ["b"], "severity": "critical"})),
        alert("some", json!({"channels": ["c"], "selector": {"matchLabels": {"team": "sea"}}})),
        alert("night", json!({"channels": ["d"], "quietHours": [{"from": "00:00", "to": "06:00"}]})),
    ];
    let now = time("2026-03-02T03:00:00Z");
    let drafts = announce(&alerts, AlertSeverity::Warning, "Recovered", now, |alert, channel| {
        let id = format!("{channel} {:?}", alert.metadata.name);
        Notice::recovered(id, "recovered 2 deployments after host restart: default/web, default/db", now)
    });
    let got: Vec<_> = drafts.iter().map(|draft| (draft.channel.name.as_str(), draft.not_before)).collect();
    assert_eq!(got, [("a", None), ("d", Some(time("2026-03-02T06:00:00Z")))]);
}

#[test]
fn a_report_says_what_was_down_for_how_long_and_why() {
    let spec = json!({"channels": ["a"], "timeZone": "Europe/Berlin", "reports": {"daily": "08:00", "weekly": "Mon 08:00"}});
    let all = alert("all", spec);
    let mut over = incident("critical");
    let status = over.status.as_mut().unwrap();
    status.phase = IncidentPhase::Resolved;
    status.downtime = Some("1h30m".parse().unwrap());
    status.mended_at = Some(MicroTime(time("2026-03-01T13:30:00Z")));
    status.resolved_at = Some(MicroTime(time("2026-03-01T13:31:00Z")));
    let mut open = incident("warning");
    open.spec.cause = "PortHeld".into();
    open.spec.subject.name = "db".into();
    let status = open.status.as_mut().unwrap();
    status.summary = "port 5432 is held by another process".into();
    status.opened_at = Some(MicroTime(time("2026-03-02T06:00:00Z")));
    status.down_since = status.opened_at.clone();
    let mut ancient = over.clone();
    ancient.status.as_mut().unwrap().opened_at = Some(MicroTime(time("2026-01-01T00:00:00Z")));
    ancient.status.as_mut().unwrap().mended_at = Some(MicroTime(time("2026-01-01T01:00:00Z")));
    let incidents: Vec<_> = [over, open, ancient].into_iter().map(|incident| (incident, BTreeMap::new())).collect();

    // 2026-03-02 is a Monday.
    let now = time("2026-03-02T07:00:10Z");
    let owed = due(&all, |_| None, now);
    assert_eq!(owed.iter().map(|(period, _)| *period).collect::<Vec<_>>(), [Period::Day, Period::Week]);
    assert_eq!(due(&all, |_| Some(time("2026-03-02T07:00:00Z")), now), []);
    assert_eq!(due(&all, |_| None, time("2026-03-02T19:30:00Z")), [], "too late");
    assert_eq!(next(&all, now), Some(time("2026-03-03T07:00:00Z")));
    // The day before summer time ends has 25 hours.
    assert_eq!(next(&all, time("2026-10-24T06:00:00Z")), Some(time("2026-10-25T07:00:00Z")));
    let made = drafts(&all, owed[0], &incidents, now);
    insta::assert_snapshot!("report", format!("{}\n{}", made[0].notice.title, made[0].notice.text));
    assert_ne!(made[0].notice.id, drafts(&all, owed[1], &incidents, now)[0].notice.id);
    let nothing = drafts(&all, owed[0], &[], now);
    assert_eq!(nothing[0].notice.title, "evenkeel: daily report: nothing was down");
}
