//! Keeps what is secret out of what people are shown of a build.

use std::fs;

use super::environment;
use crate::model::{BuildSpec, names_secret};

/// Shorter values are too common to be hidden: half of the text would be stars.
const SHORTEST: usize = 4;

/// A secret file of more bytes is no password; its lines are not looked for.
const LARGEST_FILE: usize = 4096;

/// What stands in its place.
const STARS: &str = "***";

/// Values that are not to be shown.
#[derive(Default)]
pub(super) struct Mask {
    values: Vec<String>,
}

impl Mask {
    /// The arguments of a build that look secret by their names, and what its secret files hold.
    pub fn of(spec: &BuildSpec) -> Self {
        let args = environment::resolved(&spec.args).into_iter().filter(|(name, _)| names_secret(name)).map(|(_, value)| value);
        let files = spec.secrets.values().filter_map(|path| fs::read_to_string(path).ok());
        let lines = files.filter(|text| text.len() <= LARGEST_FILE).flat_map(|text| {
            let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
            lines
        });
        let mut values: Vec<String> = args.chain(lines).filter(|value| value.len() >= SHORTEST).collect();
        // The longest first: a value may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// The text with stars in place of what is secret.
    pub fn hide(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| text.replace(value, STARS))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::BuildArgs;

    #[test]
    fn secret_arguments_and_files_are_hidden_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("npmrc");
        fs::write(&file, "hunter2-long\nx\n").unwrap();
        let arg = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let args = BuildArgs(BTreeMap::from([arg("VERSION", "1.2.3"), arg("NPM_TOKEN", "t0ps3cret"), arg("API_KEY", "abc")]));
        let secrets = BTreeMap::from([("npm".to_owned(), file.display().to_string())]);
        let mask = Mask::of(&BuildSpec { args, secrets, ..BuildSpec::default() });
        assert_eq!(mask.hide("1.2.3 t0ps3cret abc x hunter2-long"), "1.2.3 *** abc x ***");
    }
}
