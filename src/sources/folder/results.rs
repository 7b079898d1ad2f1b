//! What came of each file. Pure.

use std::collections::BTreeMap;

use super::read::Reading;
use crate::crd::{FileResult, FileStatus};
use crate::sources::files::Scan;

/// Files that a status names; it is sent whole to everybody who watches.
const NAMED: usize = 200;

/// Longest message about a file in a status.
const LONGEST: usize = 2000;

/// What came of a source's files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// What is wrong with each file.
    files: BTreeMap<String, Vec<String>>,
    /// Deployments that are right.
    declared: usize,
    /// Deployments that were right and not taken.
    refused: usize,
    /// Nothing was put in force, since all or nothing was asked for and something is wrong.
    pub withheld: bool,
}

impl Results {
    /// What reading the files showed.
    pub fn of(scan: &Scan, reading: &Reading) -> Self {
        let mut files: BTreeMap<String, Vec<String>> = scan.files.keys().map(|file| (file.clone(), Vec::new())).collect();
        for broken in &reading.broken {
            files.entry(broken.file.clone()).or_default().push(broken.message.clone());
        }
        for (folder, why) in &reading.unseen {
            files.entry(format!("{folder}/")).or_default().push(why.clone());
        }
        Self { files, declared: reading.declared.len(), refused: 0, withheld: false }
    }

    /// A Deployment that the file declares was not taken.
    pub fn refused(&mut self, file: &str, why: &str) {
        self.refused += 1;
        self.files.entry(file.to_owned()).or_default().push(why.to_owned());
    }

    /// All or nothing: if anything is wrong, nothing is to be put in force.
    pub fn withhold(&mut self) {
        self.withheld = self.failed() > 0;
    }

    /// Number of files.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Number of files with something that cannot be used.
    pub fn failed(&self) -> usize {
        self.files.values().filter(|messages| !messages.is_empty()).count()
    }

    /// Deployments in force.
    pub fn deployments(&self) -> usize {
        self.declared.saturating_sub(self.refused)
    }

    /// The first message.
    pub fn first_failure(&self) -> Option<&str> {
        self.files.values().flatten().next().map(String::as_str)
    }

    /// The files for a status, those with trouble first.
    pub fn listed(&self) -> Vec<FileStatus> {
        let good = if self.withheld { FileResult::Withheld } else { FileResult::Applied };
        let show = |(file, messages): (&String, &Vec<String>)| FileStatus {
            file: file.clone(),
            result: if messages.is_empty() { good } else { FileResult::Failed },
            message: (!messages.is_empty()).then(|| messages.join("; ").chars().take(LONGEST).collect()),
        };
        let mut all: Vec<FileStatus> = self.files.iter().map(show).collect();
        all.sort_by_key(|file| file.result);
        all.truncate(NAMED);
        all
    }
}
