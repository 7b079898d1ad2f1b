//! What a Source would put in force, read without putting it in force: for plans of a commit that nobody has taken yet.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder::{Cache, Namespace, read};
use super::keeper::{Origin, digest};
use super::turn::Folders;
use crate::crd::SourceSpec;
use crate::crd::yaml::Document;
use crate::model::Key;

/// What the files of a Source declare.
#[derive(Debug, Default)]
pub struct Proposed {
    /// Its revision: `main@sha1:..`, or a digest of a folder's files.
    pub revision: String,
    /// Deployments that are right, in order of name.
    pub deployments: Vec<(Key, Value, Document)>,
    /// What is wrong with the others, a line each.
    pub broken: Vec<String>,
    /// What is there and not taken.
    pub notices: Vec<String>,
}

/// Reads the state that a Source of this specification has now. `scratch` is a folder for the repository; paths beside the manifests
/// come out as those below `folder`, where the operator keeps the Source.
///
/// # Errors
/// It cannot be had; as text for people.
pub async fn propose(key: &Key, spec: &SourceSpec, scratch: &Path, folder: Option<&Path>) -> Result<Proposed, String> {
    let turn = Folders::default().turn(scratch).await;
    let mut origin = Origin::of(spec, scratch.to_owned(), None);
    let fetched = origin.fetch(spec, &turn).await.map_err(|failure| failure.message)?;
    let mut cache = Cache::default();
    cache.set_namespace(match &spec.target_namespace {
        Some(target) => Namespace { default: target.clone(), forced: true },
        None => Namespace { default: key.namespace.clone(), forced: false },
    });
    let scan = fetched.content.scan.clone();
    let read = tokio::task::spawn_blocking(move || (read(&scan, &mut cache), cache)).await;
    let (reading, cache) = read.map_err(|error| error.to_string())?;
    let revision = match fetched.content.revision {
        Some(revision) => revision,
        None => digest(&fetched.content.scan, cache.named()).await,
    };
    let place = |path: &Path| std::path::absolute(path).unwrap_or(path.to_owned()).join("tree");
    let moved = folder.map(|folder| (place(scratch), place(folder)));
    let deployments = reading.declared.into_iter().map(|(key, declared)| {
        let mut object = declared.object.clone();
        if let Some((from, to)) = &moved {
            put_elsewhere(&mut object, from, to);
        }
        (key, object, declared.document.clone())
    });
    Ok(Proposed {
        revision,
        deployments: deployments.collect(),
        broken: reading.broken.into_iter().map(|broken| broken.message).chain(reading.unseen.into_values()).collect(),
        notices: fetched.notices,
    })
}

/// Paths below one folder become those below another.
fn put_elsewhere(value: &mut Value, from: &PathBuf, to: &Path) {
    match value {
        Value::String(text) => {
            if let Ok(rest) = Path::new(text.as_str()).strip_prefix(from) {
                // Of an empty rest a slash would be left at the end.
                let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                *text = path.display().to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_elsewhere(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| put_elsewhere(field, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::FolderSource;

    #[tokio::test]
    async fn what_a_folder_declares_is_read_and_what_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let web =
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata: {name: web}\nspec: {services: {app: {image: a}}}\n";
        std::fs::write(folder.path().join("web.yaml"), web).unwrap();
        std::fs::write(folder.path().join("bad.yaml"), "kind: Deployment\nmetadata: {name: bad}\n").unwrap();
        let source = FolderSource { path: folder.path().to_owned() };
        let spec =
            SourceSpec { folder: Some(source), recurse: true, target_namespace: Some("staging".into()), ..SourceSpec::default() };
        let proposed = propose(&Key::new("default", "shop"), &spec, folder.path(), None).await.unwrap();
        assert_eq!(proposed.deployments[0].0, Key::new("staging", "web"));
        assert_eq!(proposed.deployments[0].1["spec"]["services"]["app"]["image"], "a");
        assert!(proposed.broken[0].contains("bad.yaml"), "{:?}", proposed.broken);
        assert!(proposed.revision.starts_with("sha256:"));
    }

    #[test]
    fn paths_beside_the_manifests_are_those_of_the_operator() {
        let mut object = json!({"a": ["/tmp/x/tree/conf", "/tmp/x/treehouse", "/tmp/x/tree"]});
        put_elsewhere(&mut object, &PathBuf::from("/tmp/x/tree"), Path::new("/var/lib/tree"));
        assert_eq!(object, json!({"a": ["/var/lib/tree/conf", "/tmp/x/treehouse", "/var/lib/tree"]}));
    }
}
