//! Where all that is wrong with Compose files is gathered, with its places.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::node::{Path, Place};
use crate::crd::{FieldError, Location};

/// Something is wrong, and has been told to the [`Sink`]: what follows would make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop;

/// What is wrong, what is worth a word, and the names of the files that places speak of.
#[derive(Debug, Default)]
pub(super) struct Sink {
    files: RefCell<Vec<String>>,
    errors: RefCell<Vec<FieldError>>,
    warnings: RefCell<Vec<String>>,
    unset: RefCell<BTreeSet<String>>,
    failed: Cell<bool>,
}

impl Sink {
    /// The number of a file, for places in it.
    pub fn file(&self, name: &str) -> usize {
        let mut files = self.files.borrow_mut();
        files.iter().position(|known| known == name).unwrap_or_else(|| {
            files.push(name.to_owned());
            files.len() - 1
        })
    }

    /// The name of a file.
    pub fn name(&self, file: usize) -> String {
        self.files.borrow().get(file).cloned().unwrap_or_else(|| file.to_string())
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.files.borrow().clone()
    }

    /// Takes the names that places speak of from another, for what was recorded before they were known.
    pub fn take_names(&self, names: &[String]) {
        for error in self.errors.borrow_mut().iter_mut() {
            if let Some(location) = &mut error.location
                && let Some(name) = location.file.parse::<usize>().ok().and_then(|file| names.get(file))
            {
                location.file.clone_from(name);
            }
        }
    }

    /// Records what is wrong.
    pub fn error(&self, path: &Path, place: Place, message: impl Into<String>) {
        self.failed.set(true);
        let location = Location { file: self.name(place.file), line: place.line.max(1), column: place.column.max(1) };
        let error = FieldError { path: path.to_string(), message: message.into(), location: Some(location) };
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    /// Records what is wrong and asks to stop.
    pub fn fail<T>(&self, path: &Path, place: Place, message: impl Into<String>) -> Result<T, Stop> {
        self.error(path, place, message);
        Err(Stop)
    }

    /// Stops if anything was wrong so far.
    pub fn check(&self) -> Result<(), Stop> {
        if self.failed.get() { Err(Stop) } else { Ok(()) }
    }

    /// Records something worth a word.
    pub fn warn(&self, message: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&message) {
            warnings.push(message);
        }
    }

    /// Records a variable that is not set.
    pub fn unset(&self, name: &str) {
        if self.unset.borrow_mut().insert(name.to_owned()) {
            self.warn(format!("the variable {name} is not set: it is taken for empty"));
        }
    }

    /// What is wrong, by place, and what is worth a word.
    pub fn into_findings(self) -> (Vec<FieldError>, Vec<String>) {
        let mut errors = self.errors.into_inner();
        let order = |error: &FieldError| error.location.as_ref().map(|place| (place.file.clone(), place.line, place.column));
        errors.sort_by_key(order);
        (errors, self.warnings.into_inner())
    }
}
