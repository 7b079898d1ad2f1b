//! `-f FILE|DIR|-`: manifests that a command is given.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::client::list_path;
use super::failure::Failure;
use super::output::tell;
use crate::crd::yaml::{Document, parse_manifests};
use crate::crd::{FieldError, Kind, admit};
use crate::model::Key;
use crate::sources::files;
use crate::sources::merge::{self, Checked};

/// Files of manifests.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// File, folder (all *.yaml, *.yml and *.json in it and below), or - for stdin; can be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub filenames: Vec<PathBuf>,
}

/// A deployment or a source as a manifest declares it.
#[derive(Debug)]
pub struct Manifest {
    /// Which of the two.
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
        let mut documents = vec![];
        for (name, text) in self.texts()? {
            documents.extend(parse_manifests(&name, &text));
        }
        let (mut manifests, mut errors, total) = (vec![], vec![], documents.len());
        for document in documents {
            match check(&document, namespace) {
                Ok(checked) => {
                    let kind = if document.kind == Kind::Source.name() { Kind::Source } else { Kind::Deployment };
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

    fn texts(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut texts = vec![];
        for path in &self.filenames {
            if path == Path::new("-") {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read manifests from stdin")?;
                texts.push(("<stdin>".to_owned(), text));
            } else if path.is_dir() {
                texts.extend(folder(path)?);
            } else {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                texts.push((path.display().to_string(), text));
            }
        }
        Ok(texts)
    }
}

fn folder(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let scan = files::scan(path).with_context(|| format!("cannot read the folder {}", path.display()))?;
    if let Some(unseen) = scan.unseen.values().next() {
        return Err(Failure::Other(anyhow::anyhow!("cannot read all of {}: {unseen}", path.display())));
    }
    let name = |relative: String| path.join(relative).display().to_string();
    let texts = scan.files.into_iter().map(|(relative, text)| match text {
        Ok(text) => Ok((name(relative), text)),
        Err(why) => Err(Failure::Other(anyhow::anyhow!("{}: {why}", name(relative)))),
    });
    texts.collect()
}

fn check(document: &Document, namespace: Option<&str>) -> Result<Checked, Vec<FieldError>> {
    let checked = match document.kind.as_str() {
        "Source" => source(document, namespace.unwrap_or("default"))?,
        _ => merge::check(document, namespace.unwrap_or("default"))?,
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

/// The Source of a document, checked as the operator checks it.
fn source(document: &Document, namespace: &str) -> Result<Checked, Vec<FieldError>> {
    if !document.errors.is_empty() {
        return Err(document.errors.clone());
    }
    let mut manifest = document.value.clone();
    if manifest["metadata"].is_object() && manifest["metadata"]["namespace"].is_null() {
        manifest["metadata"]["namespace"] = namespace.into();
    }
    let admitted = admit(Kind::Source, manifest.clone(), None, false).map_err(|errors| document.place(errors))?;
    let key = Key::new(manifest["metadata"]["namespace"].as_str().unwrap_or(namespace), &document.name);
    Ok(Checked { key, manifest, object: admitted.object, warnings: admitted.warnings })
}

impl Manifest {
    /// `deployment`, `source`.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Source => "source",
            Kind::Deployment | Kind::Hold => "deployment",
        }
    }

    /// Path of the list that it belongs to.
    pub fn list(&self) -> String {
        let plural = match self.kind {
            Kind::Source => "sources",
            Kind::Deployment | Kind::Hold => "deployments",
        };
        list_path(plural, Some(&self.key.namespace))
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
