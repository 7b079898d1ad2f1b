//! `evenkeel delete`.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Api, Connection, deployment_path, name};
use super::failure::Failure;
use super::help;
use super::manifests::{Files, Manifest};
use super::output::{print, tell};
use super::wait::{self, Seen};
use crate::crd;
use crate::model::{Key, annotations};

/// Deletes deployments, with their containers and networks; with -f sources too.
///
/// Containers get their grace period. Volumes stay, unless --volumes says otherwise; holds are forgotten.
#[derive(Debug, Args)]
#[command(after_help = help::DELETE, override_usage = "evenkeel delete [OPTIONS] <DEPLOYMENT... | -f FILE>")]
pub struct DeleteArgs {
    /// Names of deployments
    #[arg(value_name = "DEPLOYMENT", value_parser = name, required_unless_present = "filenames", conflicts_with = "filenames")]
    names: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Remove the volumes that belong to the deployment too. Their data is lost
    #[arg(long, conflicts_with = "orphan")]
    volumes: bool,
    /// Leave containers and networks as they are, and only stop caring for them
    #[arg(long)]
    orphan: bool,
    /// Return when everything is gone
    #[arg(long)]
    wait: bool,
    /// How long to wait; exit code 3 when it was in vain
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: crd::Duration,
    #[command(flatten)]
    connection: Connection,
}

/// What people write before a name elsewhere. Taken for a name here, it would have the names after it deleted before it is missed.
const KIND_WORDS: [&str; 13] = [
    "deployment",
    "deployments",
    "deploy",
    "hold",
    "holds",
    "source",
    "sources",
    "channel",
    "channels",
    "alert",
    "alerts",
    "incident",
    "incidents",
];

/// `evenkeel delete`.
pub async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    refuse_kinds(&args.names)?;
    let subjects: Vec<Subject> = if args.names.is_empty() {
        let manifests = args.files.read(args.connection.namespace.as_deref())?;
        let of = |manifest: Manifest| Subject { path: manifest.path(), word: manifest.word(), key: manifest.key };
        manifests.into_iter().map(of).collect()
    } else {
        args.names.iter().map(|name| Subject::deployment(args.connection.namespace(), name)).collect()
    };
    let api = args.connection.open().await?;
    let mut first_failure = None;
    for subject in &subjects {
        let deleted = delete_one(&api, subject, &args).await;
        if let Some(before) = deleted.err().and_then(|failure| first_failure.replace(failure)) {
            before.report();
        }
    }
    first_failure.map_or(Ok(()), Err)
}

fn refuse_kinds(names: &[String]) -> Result<(), Failure> {
    match names {
        [first, _, ..] if KIND_WORDS.contains(&first.as_str()) => {
            let why = "delete takes names of deployments only, without the word; objects of other kinds go with -f FILE or with kubectl";
            Err(Failure::Usage(format!("{first:?}: {why}")))
        }
        _ => Ok(()),
    }
}

/// What is deleted.
struct Subject {
    path: String,
    word: &'static str,
    key: Key,
}

impl Subject {
    fn deployment(namespace: &str, name: &str) -> Self {
        Self { path: deployment_path(namespace, name, None), word: "deployment", key: Key::new(namespace, name) }
    }
}

async fn delete_one(api: &Api, subject: &Subject, args: &DeleteArgs) -> Result<(), Failure> {
    let Subject { path, word, key } = subject;
    let query = if args.volumes { "?volumes=true" } else { "" };
    let policy = if args.orphan { "Orphan" } else { "Background" };
    let declared = api.get(path).await?;
    let answer = api.delete(&format!("{path}{query}"), &json!({ "propagationPolicy": policy })).await?;
    let name = &key.name;
    if let Some(source) = still_declared(&declared) {
        tell(&format!("deployment {name} comes back while {source} declares it: take it out of there to be rid of it"));
    }
    // With something left to remove the object itself comes back, else a Status.
    if answer["kind"] == "Status" {
        return print(&format!("{word} {name} deleted\n"));
    }
    if !args.wait || *word != "deployment" {
        return print(&format!("{word} {name} is being deleted\n"));
    }
    let what = format!("deployment {name} is gone");
    wait::until(api, &key.namespace, name, args.timeout.0, &what, |seen| matches!(seen, Seen::Gone)).await?;
    print(&format!("deployment {name} deleted\n"))
}

/// The manifest of the watched folder that an object comes from, unless it is gone from there.
fn still_declared(object: &Value) -> Option<&str> {
    let annotation = |name: &str| object["metadata"]["annotations"][name].as_str();
    annotation(annotations::SOURCE).filter(|_| annotation(annotations::ORPHANED).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_before_a_name_is_refused_before_anything_is_deleted() {
        let refused = |names: &[&str]| refuse_kinds(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).is_err();
        for word in KIND_WORDS {
            assert!(refused(&[word, "web"]), "{word}");
            assert!(!refused(&[word]), "a deployment may be called {word}");
        }
        assert!(!refused(&["web", "deployment"]));
    }
}
