//! `-f FILE|DIR|-`: manifests that a command is given.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::client::list_path;
use super::failure::Failure;
use super::output::tell;
use crate::compose::{Asked, is_compose};
use crate::crd::yaml::{Document, parse_manifests};
use crate::crd::{FieldError, Kind, admit};
use crate::model::Key;
use crate::sources::merge::{self, Checked};
use crate::sources::{compose, files};

/// Files of manifests.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// File, folder (all *.yaml, *.yml and *.json in it and below), or - for stdin; can be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub filenames: Vec<PathBuf>,
}

/// An object as a manifest declares it.
#[derive(Debug)]
pub struct Manifest {
    /// Its kind: Deployment, Source, Channel or Alert.
    pub kind: Kind,
    /// Its name.
    pub key: Key,
    /// What it declares.
    pub object: Value,
    /// Where it stands.
    pub document: Document,
}

impl Files {
    /// All deployments of the files. They are right, as far as one can tell without the operator.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn read(&self, namespace: Option<&str>) -> Result<Vec<Manifest>, Failure> {
        if self.filenames.is_empty() {
            return Err(Failure::Usage("say which manifests: -f FILE, -f FOLDER, or -f - for stdin".to_owned()));
        }
        let documents = self.documents()?;
        let (mut manifests, mut errors, total) = (vec![], vec![], documents.len());
        for document in documents {
            match check(&document, namespace) {
                Ok(checked) => {
                    let kind = kind_of(&document).unwrap_or(Kind::Deployment);
                    manifests.push(Manifest { kind, key: checked.key, object: checked.manifest, document });
                }
                Err(wrong) => errors.extend(wrong),
            }
        }
        if !errors.is_empty() {
            let wrong = total - manifests.len();
            return Err(Failure::Invalid(errors, format!("{wrong} of {total} manifests cannot be used; nothing was done")));
        }
        if manifests.is_empty() {
            return Err(Failure::Other(anyhow::anyhow!("there is no manifest in {}", self.names())));
        }
        Ok(manifests)
    }

    fn names(&self) -> String {
        self.filenames.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn documents(&self) -> Result<Vec<Document>, Failure> {
        let mut documents = vec![];
        for path in &self.filenames {
            if path == Path::new("-") {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read manifests from stdin")?;
                documents.extend(of_text("<stdin>", "-", text)?);
            } else if path.is_dir() {
                documents.extend(folder(path)?);
            } else {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                let name = path.display().to_string();
                documents.extend(of_text(&name, &name, text)?);
            }
        }
        Ok(documents)
    }
}

/// The manifests of a text, or the one that a Compose file stands for. As with docker compose, the environment of the
/// command gives it variables.
fn of_text(shown: &str, path: &str, text: String) -> Result<Vec<Document>, Failure> {
    if !is_compose(&text) {
        return Ok(parse_manifests(shown, &text));
    }
    let here = std::env::current_dir().context("cannot tell the current folder")?.to_string_lossy().into_owned();
    let variable =
        |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
    let environment = std::env::vars_os().map(variable).collect();
    let asked = Asked { files: vec![path.to_owned()], here: here.clone(), environment, ..Asked::default() };
    let absolute = if path == "-" || path.starts_with('/') { path.to_owned() } else { format!("{here}/{path}") };
    let mut read = compose::read(&asked, &absolute, [(absolute.clone(), text)].into());
    read.document.shorten(&format!("{here}/"));
    read.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(vec![read.document])
}

fn folder(path: &Path) -> Result<Vec<Document>, Failure> {
    let scan = files::scan(path).with_context(|| format!("cannot read the folder {}", path.display()))?;
    if let Some(unseen) = scan.unseen.values().next() {
        return Err(Failure::Other(anyhow::anyhow!("cannot read all of {}: {unseen}", path.display())));
    }
    let mains = compose::mains(&scan.files);
    let read: Vec<(String, compose::Read)> =
        mains.into_iter().map(|main| (main.clone(), compose::read_folder(&scan, &main))).collect();
    let parts = compose::parts(&scan.root, &scan.files, read.iter().map(|(main, read)| (main, read)));
    let mut documents = vec![];
    for (relative, text) in scan.files {
        let name = path.join(&relative).display().to_string();
        if let Some((_, read)) = read.iter().find(|(main, _)| *main == relative) {
            read.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
            documents.push(read.document.clone());
        } else if !parts.contains(&relative) {
            let text = text.map_err(|why| Failure::Other(anyhow::anyhow!("{name}: {why}")))?;
            documents.extend(parse_manifests(&name, &text));
        }
    }
    Ok(documents)
}

pub fn check(document: &Document, namespace: Option<&str>) -> Result<Checked, Vec<FieldError>> {
    let checked = match kind_of(document) {
        Some(kind) => beside(kind, document, namespace.unwrap_or("default"))?,
        None => merge::check(document, namespace.unwrap_or("default"))?,
    };
    if let Some(asked) = namespace.filter(|asked| *asked != checked.key.namespace) {
        let message = format!("the manifest is for namespace {}, the command for {asked}", checked.key.namespace);
        return Err(document.place(vec![FieldError { path: "metadata.namespace".to_owned(), message, location: None }]));
    }
    for warning in &checked.warnings {
        tell(&format!("{}:{}: warning: {warning}", document.file, document.line));
    }
    Ok(checked)
}

/// The kind of a document, if it is one of those beside Deployments.
fn kind_of(document: &Document) -> Option<Kind> {
    [Kind::Source, Kind::Channel, Kind::Alert].into_iter().find(|kind| kind.name() == document.kind)
}

/// What a document beside Deployments declares, checked as the operator checks it.
fn beside(kind: Kind, document: &Document, namespace: &str) -> Result<Checked, Vec<FieldError>> {
    if !document.errors.is_empty() {
        return Err(document.errors.clone());
    }
    let mut manifest = document.value.clone();
    if manifest["metadata"].is_object() && manifest["metadata"]["namespace"].is_null() {
        manifest["metadata"]["namespace"] = namespace.into();
    }
    let admitted = admit(kind, manifest.clone(), None, false).map_err(|errors| document.place(errors))?;
    let key = Key::new(manifest["metadata"]["namespace"].as_str().unwrap_or(namespace), &document.name);
    Ok(Checked { key, manifest, object: admitted.object, warnings: admitted.warnings })
}

impl Manifest {
    /// `deployment`, `source`, ..
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Source => "source",
            Kind::Channel => "channel",
            Kind::Alert => "alert",
            Kind::Deployment | Kind::Hold | Kind::Incident => "deployment",
        }
    }

    /// Path of the list that it belongs to.
    pub fn list(&self) -> String {
        list_path(&format!("{}s", self.word()), Some(&self.key.namespace))
    }

    /// Path of the object.
    pub fn path(&self) -> String {
        format!("{}/{}", self.list(), self.key.name)
    }

    /// Gives what the operator found wrong its places in the file.
    pub fn locate(&self, failure: Failure) -> Failure {
        let Failure::Refused(status) = failure else { return failure };
        let causes = status.details.iter().flat_map(|details| &details.causes).filter(|cause| !cause.field.is_empty());
        let errors: Vec<FieldError> = causes
            .map(|cause| FieldError { path: cause.field.clone(), message: cause.message.clone(), location: None })
            .collect();
        if errors.is_empty() {
            return Failure::Refused(status);
        }
        let summary = format!("the operator does not take {} {}", self.word(), self.key.name);
        Failure::Invalid(self.document.place(errors), summary)
    }
}
