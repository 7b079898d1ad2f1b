//! `evenkeel describe source`: what is in force, and what came of each file.

use anyhow::Context;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use super::{conditions, events};
use crate::cli::client::{Api, encode, list_path, source_path};
use crate::cli::failure::Failure;
use crate::cli::get::{created, order};
use crate::cli::output::{Look, plain, print, table};
use crate::crd::{FileResult, Source, SourceSpec, SourceStatus};

/// Describes one.
pub async fn describe(api: &Api, namespace: &str, name: &str) -> Result<(), Failure> {
    let source = api.get(&source_path(namespace, name, None)).await?;
    let about = encode(&format!("involvedObject.name={name},involvedObject.kind=Source"));
    let events = api.get(&format!("{}?fieldSelector={about}", list_path("events", Some(namespace)))).await?;
    let text = render(&Look::of_stdout(), source, events)
        .context("the operator's answer has an unexpected shape; is it of another version than this command?")?;
    print(&text)
}

fn render(look: &Look, source: Value, mut events: Value) -> Result<String, serde_json::Error> {
    let source: Source = serde_json::from_value(source)?;
    let mut told: Vec<Event> = serde_json::from_value(events["items"].take())?;
    told.sort_by_key(order);
    let status = source.status.clone().unwrap_or_default();
    let mut sections = vec![summary(look, &source, &status)];
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            sections.push(format!("{}\n{body}", look.heading(title)));
        }
    };
    section("Files", files(look, &status));
    section("Not taken", status.notices.iter().map(|notice| format!("  {}\n", plain(notice))).collect());
    section("Conditions", conditions(look, &status.conditions));
    section("Events", self::events(look, &told));
    Ok(sections.join("\n"))
}

fn summary(look: &Look, source: &Source, status: &SourceStatus) -> String {
    let metadata = &source.metadata;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let attempted = status.last_attempted_revision.clone().filter(|tried| Some(tried) != status.observed_revision.as_ref());
    let applied = status.last_applied_at.as_ref().map(|time| format!("{} ago", look.age(Some(time.0))));
    let lines = [
        ("Ready", ready.map(|ready| look.word(&ready.status)).unwrap_or_default()),
        ("Why", ready.map(|ready| format!("{}: {}", ready.reason, plain(&ready.message))).unwrap_or_default()),
        ("From", place(&source.spec)),
        ("In force", status.observed_revision.clone().unwrap_or_default()),
        ("Since", applied.unwrap_or_default()),
        ("Tried", attempted.unwrap_or_default()),
        ("Keeps", format!("{}, {}", counted(status.deployments, "deployment"), counted(status.file_count, "file"))),
        ("Prune", source.spec.prune.to_string()),
        ("Age", look.age(created(metadata))),
    ];
    let (name, namespace) = (metadata.name.clone().unwrap_or_default(), metadata.namespace.as_deref().unwrap_or("default"));
    let lines = lines.into_iter().filter(|(_, text)| !text.is_empty());
    let lines: String = lines.map(|(label, text)| format!("  {:<11}{text}\n", format!("{label}:"))).collect();
    format!("{}\n{lines}", look.heading(&format!("Source {name}, namespace {namespace}")))
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Where it comes from, in a line.
fn place(spec: &SourceSpec) -> String {
    let path = spec.path.as_deref().map(|path| format!(", folder {path}")).unwrap_or_default();
    let place = match (&spec.folder, &spec.worktree, &spec.git) {
        (Some(folder), ..) => format!("folder {}", folder.path.display()),
        (_, Some(tree), _) if tree.dirty => format!("working tree {}, as it lies there", tree.path.display()),
        (_, Some(tree), _) => format!("working tree {}", tree.path.display()),
        (.., Some(git)) => git.url.clone(),
        _ => return String::new(),
    };
    format!("{place}{path}")
}

fn files(look: &Look, status: &SourceStatus) -> String {
    let result = |result: FileResult| look.word(&format!("{result:?}"));
    let rows = status.files.iter().map(|file| {
        vec![file.file.clone(), result(file.result), file.message.as_deref().map(plain).unwrap_or_default().to_string()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let more = usize::try_from(status.file_count).unwrap_or(usize::MAX).saturating_sub(rows.len());
    let more = if more == 0 { String::new() } else { format!("  and {more} more\n") };
    if rows.is_empty() { String::new() } else { table(look, "  ", &["FILE", "RESULT", "MESSAGE"], rows) + &more }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_in_trouble_is_described_with_its_files() {
        let look = Look { color: false, width: None, now: "2026-08-21T12:00:00Z".parse().unwrap() };
        let source = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source",
            "metadata": {"name": "shop", "namespace": "default", "creationTimestamp": "2026-08-21T09:00:00Z"},
            "spec": {"git": {"url": "https://git.example/shop.git"}, "path": "hosts/web1", "prune": true},
            "status": {
                "observedRevision": "main@sha1:aaaa", "lastAttemptedRevision": "main@sha1:bbbb",
                "lastAppliedAt": "2026-08-21T11:00:00Z", "deployments": 1, "fileCount": 2, "failedFileCount": 1,
                "conditions": [{"type": "Ready", "status": "False", "reason": "CommitWithheld",
                    "message": "main@sha1:bbbb is not taken", "lastTransitionTime": "2026-08-21T11:30:00Z"}],
                "files": [
                    {"file": "db.yaml", "result": "Failed", "message": "db.yaml:8:7: spec.services.web.imgae: unknown field"},
                    {"file": "web.yaml", "result": "Withheld"},
                ],
                "notices": ["vendor is a submodule (at cccc): it is not followed"],
            },
        });
        insta::assert_snapshot!("source", render(&look, source, json!({"items": []})).unwrap());
    }
}
