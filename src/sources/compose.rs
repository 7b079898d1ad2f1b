//! Compose files as manifests: each is a Deployment, with the places of its own fields.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use serde_json::Value;

use crate::compose::{
    Asked, Disk, Files, Loaded, NAMES, Noted, OVERRIDES, Request, deployment, find, folder_name, is_compose, load, object_name,
    own_profiles,
};
use crate::crd::yaml::{Document, parse_manifests};
use crate::crd::{FieldError, Location, field_path, item_path};
use crate::sources::files::Scan;

/// What came of a Compose file.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// The manifest it stands for; with errors where it is wrong.
    pub document: Document,
    /// What is worth a word.
    pub warnings: Vec<String>,
    /// All files that were read or looked for, by absolute path: a change of any is a change of it.
    pub asked: BTreeSet<String>,
}

/// The Compose files among manifests that are a project of their own, by path: the first of Compose's names in each folder.
pub fn mains(files: &BTreeMap<String, Result<String, String>>) -> Vec<String> {
    let is_main = |path: &&String| {
        let (folder, name) = split(path);
        let rank = NAMES.iter().position(|known| *known == name);
        let text = |name: &str| files.get(&format!("{folder}{name}")).and_then(|text| text.as_ref().ok());
        rank.is_some_and(|rank| {
            text(name).is_some_and(|text| is_compose(text))
                && NAMES[..rank].iter().all(|earlier| text(earlier).is_none_or(|text| !is_compose(text)))
        })
    };
    files.keys().filter(is_main).cloned().collect()
}

/// Whether a file has one of the names of Compose files.
pub fn is_main(path: &str) -> bool {
    NAMES.contains(&split(path).1)
}

/// Files that are no manifests of their own: overrides and further names beside a Compose file, what it reads, and what lies in its
/// folder and does not say that it is a manifest, such as what it mounts.
pub fn parts<'a>(
    root: &Path,
    files: &BTreeMap<String, Result<String, String>>,
    read: impl Iterator<Item = (&'a String, &'a Read)>,
) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for (main, read) in read {
        let (folder, _) = split(main);
        parts.extend(NAMES.iter().chain(&OVERRIDES).map(|name| format!("{folder}{name}")));
        let inside = read.asked.iter().filter_map(|path| Path::new(path).strip_prefix(root).ok()?.to_str());
        let none_of_ours = |path: &&str| files.get(*path).is_some_and(|text| text.as_ref().is_ok_and(|text| is_part(text)));
        parts.extend(inside.filter(none_of_ours).map(str::to_owned));
        // What has a Compose file's name in a folder of its own is broken if it does not read like one, and no part.
        let of_project = files.iter().filter(|(path, _)| path.starts_with(folder) && *path != main && !is_main(path));
        let other = |text: &String| is_part(text) && !is_compose(text);
        parts.extend(of_project.filter(|(_, text)| text.as_ref().is_ok_and(other)).map(|(path, _)| path.clone()));
    }
    parts
}

/// Whether a file is no manifest.
fn is_part(text: &str) -> bool {
    let manifest = |line: &str| {
        let line = line.trim_start_matches([' ', '{', '"']);
        line.starts_with("kind") || line.starts_with("apiVersion")
    };
    !text.lines().any(manifest)
}

fn split(path: &str) -> (&str, &str) {
    path.rfind('/').map_or(("", path), |at| path.split_at(at + 1))
}

/// Reads the project of a folder, as `docker compose` would there with the scan's variables and none of ours.
pub fn read_folder(scan: &Scan, main: &str) -> Read {
    let path = scan.root.join(main);
    let here = path.parent().unwrap_or(&scan.root).to_string_lossy().into_owned();
    let asked = Asked { here, environment: scan.variables.clone(), ..Asked::default() };
    let mut read = read_from(files(scan), &asked, &path.to_string_lossy(), BTreeMap::new());
    // The root may end with a slash already: that of a whole repository does.
    let prefix = format!("{}/", scan.root.to_string_lossy().trim_end_matches('/'));
    read.document.shorten(&prefix);
    read.warnings.iter_mut().for_each(|warning| *warning = warning.replace(&prefix, ""));
    read
}

/// Reads a project of this machine. `main` is its Compose file, for what cannot be read; `texts` are texts that need not be read.
pub fn read(asked: &Asked, main: &str, texts: BTreeMap<String, String>) -> Read {
    read_from(&Disk, asked, main, texts)
}

/// Where what Compose files name is read from.
fn files(scan: &Scan) -> &dyn Files {
    match &scan.beside {
        Some(given) => given.as_ref(),
        None => &Disk,
    }
}

fn read_from(files: &dyn Files, asked: &Asked, main: &str, texts: BTreeMap<String, String>) -> Read {
    let files = Noted::new(files);
    let mut warnings = Vec::new();
    let document = match find(asked, &files) {
        // Not another one further up.
        Ok(found) if asked.files.is_empty() && found.request.files.first().is_none_or(|first| first != main) => {
            broken(main, vec![placed(main, "cannot be read where the project is".to_owned())], None)
        }
        Ok(found) => {
            warnings.extend(found.warnings);
            document(Request { texts, ..found.request }, main, &files, &mut warnings)
        }
        Err(message) => broken(main, vec![placed(main, message)], None),
    };
    Read { document, warnings, asked: files.asked() }
}

fn placed(file: &str, message: String) -> FieldError {
    FieldError { path: String::new(), message, location: Some(Location { file: file.to_owned(), line: 1, column: 1 }) }
}

fn document(mut request: Request, main: &str, files: &dyn Files, warnings: &mut Vec<String>) -> Document {
    let mut loaded = load(&request, files);
    // Its own words may activate more of it.
    if let Ok(first) = &loaded {
        let own = own_profiles(first);
        if own.iter().any(|profile| !request.profiles.contains(profile)) {
            request.profiles.extend(own);
            loaded = load(&request, files);
        }
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(refused) => {
            warnings.extend(refused.warnings);
            return broken(main, refused.errors, guess(&request, main, files));
        }
    };
    warnings.extend(loaded.warnings.iter().cloned());
    match deployment(&loaded, &request.profiles) {
        Ok(made) => {
            warnings.extend(made.warnings);
            let places = places(&made.manifest, &loaded);
            Document::made(made.manifest, main, places, Vec::new())
        }
        Err(errors) => {
            let mut document = broken(main, errors, guess(&request, main, files));
            if document.name.is_empty() {
                document.name = object_name(&loaded.name);
            }
            document
        }
    }
}

/// A Compose file that cannot be used; `name` and namespace are what it would have declared, where that is known.
fn broken(main: &str, errors: Vec<FieldError>, name: Option<(String, String)>) -> Document {
    let mut document = Document::made(Value::Null, main, BTreeMap::new(), errors);
    if let Some((name, namespace)) = name {
        (document.kind, document.name, document.namespace) = ("Deployment".to_owned(), name, namespace);
    }
    document
}

/// Name and namespace of a project that could not be loaded, if its file can be read as YAML at all.
fn guess(request: &Request, main: &str, files: &dyn Files) -> Option<(String, String)> {
    let known = request.texts.get(main).cloned();
    let text = known.or_else(|| files.read(main).ok())?;
    let value = parse_manifests(main, &text).into_iter().next()?.value;
    if !value.is_object() {
        return None;
    }
    let own = &value["x-evenkeel"];
    let project = request.name.clone().or_else(|| value["name"].as_str().map(crate::compose::normalise_name));
    let project = project.unwrap_or_else(|| folder_name(&request.folder));
    let name = own["name"].as_str().map_or_else(|| object_name(&project), str::to_owned);
    let namespace = own["namespace"].as_str().unwrap_or("default").to_owned();
    (!name.is_empty() && !name.contains('$')).then_some((name, namespace))
}

/// Where each field of a manifest was written.
fn places(manifest: &Value, loaded: &Loaded) -> BTreeMap<String, Location> {
    let mut places = BTreeMap::from([(String::new(), loaded.locate(&[]))]);
    places.insert("metadata".to_owned(), loaded.locate(&["name"]));
    for (part, resources) in manifest["spec"].as_object().into_iter().flatten() {
        let steps: &[&str] = match part.as_str() {
            "project" => &["name"],
            "services" | "networks" | "volumes" | "secrets" | "configs" => &[],
            _ => &["x-evenkeel"],
        };
        let mut steps = steps.to_vec();
        steps.push(part);
        walk(resources, &field_path("spec", part), &mut steps, loaded, &mut places);
    }
    places
}

fn walk<'a>(value: &'a Value, path: &str, steps: &mut Vec<&'a str>, loaded: &Loaded, places: &mut BTreeMap<String, Location>) {
    places.insert(path.to_owned(), loaded.locate(steps));
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                steps.push(key);
                walk(value, &field_path(path, key), steps, loaded, places);
                steps.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let number = index.to_string();
                let mut below: Vec<&str> = steps.clone();
                below.push(&number);
                places.insert(item_path(path, index), loaded.locate(&below));
                if !item.is_object() && !item.is_array() {
                    continue;
                }
                for (key, _) in item.as_object().into_iter().flatten() {
                    below.push(key);
                    places.insert(field_path(&item_path(path, index), key), loaded.locate(&below));
                    below.pop();
                }
            }
        }
        _ => {}
    }
}

/// Tells apart what a project's files and variables said.
pub fn digest(scan: &Scan, asked: &BTreeSet<String>) -> u64 {
    let (files, mut hasher) = (files(scan), DefaultHasher::new());
    scan.variables.hash(&mut hasher);
    for path in asked {
        (path, files.read(path).ok(), files.kind(path).map(|kind| kind == crate::compose::Kind::Folder)).hash(&mut hasher);
    }
    hasher.finish()
}
