//! What a Source would put in force, read without putting it in force: for plans of a commit that nobody has taken yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::folder::{Cache, Declared, Namespace, read};
use super::keeper::{Origin, digest};
use super::mounted::Mounted;
use super::turn::{Folders, Turn};
use crate::clock::{Clock, SystemClock};
use crate::crd::yaml::Document;
use crate::crd::{GitRef, GitSource, SourceSpec};
use crate::model::{FollowedFile, Key};

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
    /// What is worth a word in those that are right, such as variables that are not set.
    pub warnings: Vec<String>,
    /// What is in the files that Deployments name beside their manifests: the digest of each, by its path at the operator's. Not of
    /// those that are the same in the revision in force: nothing would be written, whatever somebody made of them since.
    pub files: BTreeMap<String, String>,
}

/// Reads the state that a Source of this specification has now. `scratch` is a folder for the repository; paths beside the manifests
/// come out as those below `folder`, where the operator keeps the Source. `in_force` is the revision that it has there.
///
/// # Errors
/// It cannot be had; as text for people.
pub async fn propose(
    key: &Key,
    spec: &SourceSpec,
    in_force: Option<&str>,
    scratch: &Path,
    folder: &Path,
) -> Result<Proposed, String> {
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
    let (from, to) = (place(scratch), place(folder));
    let mut named = BTreeSet::new();
    reading.declared.values().for_each(|declared| paths_below(&declared.object["spec"], &from, &mut named));
    let mut files = digests(&mut origin, named.clone(), &turn).await?;
    if let Some(before) = before(spec, in_force, scratch, named, &turn).await {
        files.retain(|path, digest| before.get(path) != Some(digest));
    }
    let files = files.into_iter().map(|(path, digest)| (elsewhere(&path, &from, &to).unwrap_or(path), digest)).collect();
    let warned =
        |(key, declared): (&Key, &Arc<Declared>)| declared.warnings.iter().map(|line| format!("{key}: {line}")).collect();
    let warnings = reading.declared.iter().flat_map::<Vec<String>, _>(warned).collect();
    let deployments = reading.declared.into_iter().map(|(key, declared)| {
        let mut object = declared.object.clone();
        put_elsewhere(&mut object, &from, &to);
        (key, object, declared.document.clone())
    });
    Ok(Proposed {
        revision,
        deployments: deployments.collect(),
        broken: reading.broken.into_iter().map(|broken| broken.message).chain(reading.unseen.into_values()).collect(),
        notices: fetched.notices,
        warnings,
        files,
    })
}

/// The same of the commit in force, as far as it can be had.
async fn before(
    spec: &SourceSpec,
    in_force: Option<&str>,
    scratch: &Path,
    paths: BTreeSet<String>,
    turn: &Turn,
) -> Option<BTreeMap<String, String>> {
    let (git, (_, commit)) = (spec.git.as_ref()?, in_force?.rsplit_once(':')?);
    let branch = git.reference.as_ref().and_then(|reference| reference.branch.clone());
    let reference = Some(GitRef { commit: Some(commit.to_owned()), branch, ..GitRef::default() });
    // It is in force already, whoever signed it.
    let spec = SourceSpec { git: Some(GitSource { reference, ..git.clone() }), verify: None, ..spec.clone() };
    let mut origin = Origin::of(&spec, scratch.to_owned(), None);
    origin.fetch(&spec, turn).await.ok()?;
    digests(&mut origin, paths, turn).await.ok()
}

/// What is in the files of the commit at these paths; of folders there is nothing.
async fn digests(origin: &mut Origin, paths: BTreeSet<String>, turn: &Turn) -> Result<BTreeMap<String, String>, String> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    origin.check_out(turn).await.map_err(|failure| failure.message)?;
    let file = |path| FollowedFile { path, replaced_only: false, folder: false };
    let files: BTreeSet<FollowedFile> = paths.into_iter().map(file).collect();
    let look = move || Mounted::default().look(&files, SystemClock.now());
    let found = tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())?;
    let found = found.into_iter().filter(|(_, state)| !state.mark.is_absent());
    Ok(found.map(|(file, state)| (file.path, state.mark.digest)).collect())
}

/// The texts that are paths below a folder.
fn paths_below(value: &Value, folder: &Path, paths: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if Path::new(text).starts_with(folder) => drop(paths.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| paths_below(item, folder, paths)),
        Value::Object(fields) => fields.values().for_each(|field| paths_below(field, folder, paths)),
        _ => {}
    }
}

/// A path below one folder, as one below another.
fn elsewhere(path: &str, from: &Path, to: &Path) -> Option<String> {
    let rest = Path::new(path).strip_prefix(from).ok()?;
    // Of an empty rest a slash would be left at the end.
    let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
    Some(path.display().to_string())
}

/// Paths below one folder become those below another.
fn put_elsewhere(value: &mut Value, from: &Path, to: &Path) {
    match value {
        Value::String(text) => {
            if let Some(moved) = elsewhere(text, from, to) {
                *text = moved;
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
    use crate::sources::keeper::tests::Rig;

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
        let proposed = propose(&Key::new("default", "shop"), &spec, None, folder.path(), folder.path()).await.unwrap();
        assert_eq!(proposed.deployments[0].0, Key::new("staging", "web"));
        assert_eq!(proposed.deployments[0].1["spec"]["services"]["app"]["image"], "a");
        assert!(proposed.broken[0].contains("bad.yaml"), "{:?}", proposed.broken);
        assert!(proposed.revision.starts_with("sha256:"));
    }

    #[tokio::test]
    async fn of_a_repository_paths_and_the_contents_of_mounted_files_are_those_at_the_operators() {
        let rig = Rig::new();
        rig.upstream
            .write("shop/compose.yaml", "services: {web: {image: a, volumes: ['./a.conf:/a:ro', './html:/b', './no:/c']}}\n");
        rig.upstream.write("shop/a.conf", "1");
        rig.upstream.write("shop/html/index.html", "x");
        rig.upstream.commit();
        let spec: SourceSpec = serde_json::from_value(json!({"git": {"url": rig.upstream.path}, "recurse": true})).unwrap();
        let look = async |scratch: &str| look_at(&rig, &spec, None, scratch).await;
        let first = look("one").await;
        let shown = first.deployments[0].1.to_string();
        assert!(shown.contains("/var/lib/x/all/tree/shop/html") && !shown.contains(rig.path("one").to_str().unwrap()), "{shown}");
        assert_eq!(first.deployments[0].2.file, "shop/compose.yaml");
        assert_eq!(first.files.keys().collect::<Vec<_>>(), ["/var/lib/x/all/tree/shop/a.conf"]);
        rig.upstream.write("shop/html/index.html", "y");
        rig.upstream.commit();
        assert_eq!(look("two").await.files, first.files);
        rig.upstream.write("shop/a.conf", "2");
        rig.upstream.commit();
        assert_ne!(look("three").await.files, first.files);
    }

    async fn look_at(rig: &Rig, spec: &SourceSpec, in_force: Option<&str>, scratch: &str) -> Proposed {
        std::fs::create_dir_all(rig.path(scratch)).unwrap();
        propose(&Key::new("default", "all"), spec, in_force, &rig.path(scratch), Path::new("/var/lib/x/all")).await.unwrap()
    }

    #[tokio::test]
    async fn of_files_that_are_as_in_the_revision_in_force_nothing_is_supposed() {
        let rig = Rig::new();
        rig.upstream.write("compose.yaml", "services: {web: {image: a, volumes: ['./a.conf:/a:ro', './b.conf:/b:ro']}}\n");
        rig.upstream.write("a.conf", "1");
        rig.upstream.write("b.conf", "1");
        let first = rig.upstream.commit();
        let spec: SourceSpec = serde_json::from_value(json!({"git": {"url": rig.upstream.path}, "recurse": true})).unwrap();
        assert!(look_at(&rig, &spec, Some(&first), "one").await.files.is_empty());
        rig.upstream.write("a.conf", "2");
        let second = rig.upstream.commit();
        let files = look_at(&rig, &spec, Some(&first), "two").await.files;
        assert_eq!(files.keys().collect::<Vec<_>>(), ["/var/lib/x/all/tree/a.conf"]);
        assert!(look_at(&rig, &spec, Some(&second), "three").await.files.is_empty());
        let unknown = format!("main@sha1:{}", "0".repeat(40));
        assert_eq!(look_at(&rig, &spec, Some(&unknown), "four").await.files.len(), 2);
    }

    #[test]
    fn paths_beside_the_manifests_are_those_of_the_operator() {
        let mut object = json!({"a": ["/tmp/x/tree/conf", "/tmp/x/treehouse", "/tmp/x/tree"]});
        put_elsewhere(&mut object, Path::new("/tmp/x/tree"), Path::new("/var/lib/tree"));
        assert_eq!(object, json!({"a": ["/var/lib/tree/conf", "/tmp/x/treehouse", "/var/lib/tree"]}));
    }
}
