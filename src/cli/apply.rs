//! `evenkeel apply`: puts manifests in force.

use clap::Args;
use serde_json::Value;

use super::client::{Api, Connection};
use super::failure::Failure;
use super::help;
use super::manifests::{Files, Manifest};
use super::output::{print, tell};
use crate::model::{MANIFESTS_SOURCE, annotations};
use crate::sources::merge;

/// How often a write is tried again because somebody else wrote in between.
const TRIES: usize = 5;

/// Puts manifests in force: creates deployments and sources, or changes them to what the files say.
///
/// All files are checked before anything is sent; one mistake and nothing is done. Holds stay as they are, and so do
/// labels and annotations that the file does not name.
#[derive(Debug, Args)]
#[command(after_help = help::APPLY)]
pub struct ApplyArgs {
    #[command(flatten)]
    files: Files,
    /// Only ask the operator what would come out; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel apply`.
pub async fn apply(args: ApplyArgs) -> Result<(), Failure> {
    let manifests = args.files.read(args.connection.namespace.as_deref())?;
    let api = args.connection.open().await?;
    let mut first_failure = None;
    for manifest in &manifests {
        match apply_one(&api, manifest, args.dry_run).await {
            Ok(what) => {
                let note = if args.dry_run { " (dry run)" } else { "" };
                print(&format!("{} {} {what}{note}\n", manifest.word(), manifest.key.name))?;
            }
            Err(failure) => {
                // The others are still worth a try; all failures are told, the first one counts.
                let failure = manifest.locate(failure);
                if let Some(before) = first_failure.replace(failure) {
                    before.report();
                }
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}

async fn apply_one(api: &Api, manifest: &Manifest, dry_run: bool) -> Result<&'static str, Failure> {
    let query = if dry_run { "?dryRun=All" } else { "" };
    let path = manifest.path();
    let mut tries = 0;
    loop {
        tries += 1;
        let stored = match api.get(&path).await {
            Ok(stored) => stored,
            Err(failure) if failure.is_not_found() => {
                api.post(&format!("{}{query}", manifest.list()), &merge::desired(&manifest.object, None)).await?;
                return Ok("created");
            }
            Err(failure) => return Err(failure),
        };
        match api.put(&format!("{path}{query}"), &merge::desired(&manifest.object, Some(&stored))).await {
            Ok(written) if declares_the_same(&written, &stored) => return Ok("unchanged"),
            Ok(_) => {
                warn_of_source(manifest, &stored);
                return Ok("configured");
            }
            Err(failure) if failure.is_conflict() && tries < TRIES => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Versions do not tell: a dry run has that of the stored object.
fn declares_the_same(one: &Value, other: &Value) -> bool {
    let declared = |object: &Value| {
        let metadata = &object["metadata"];
        (object["spec"].clone(), metadata["labels"].clone(), metadata["annotations"].clone())
    };
    declared(one) == declared(other)
}

/// Says that a change will not last, if the object belongs to the operator's own folder.
fn warn_of_source(manifest: &Manifest, stored: &Value) {
    let annotations = &stored["metadata"]["annotations"];
    if let Some(file) = annotations[annotations::SOURCE].as_str() {
        let source = annotations[annotations::SOURCE_NAME].as_str().unwrap_or(MANIFESTS_SOURCE);
        tell(&format!(
            "warning: deployment {} comes from {file} of Source {source}, which will put its own version back",
            manifest.key.name
        ));
    }
}
