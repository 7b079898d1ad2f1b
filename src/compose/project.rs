//! Which files make a project: those that are named, or those that are found, and the variables beside them.

use std::collections::BTreeMap;

use super::files::{Files, Kind};
use super::load::{Outside, Variables, said};
use super::paths::{folder, join};
use super::sink::Sink;
use super::{Request, dotenv};

/// Names of Compose files, the first that is there being it.
pub const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of files laid over them.
pub const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// What somebody asked for on a command line, and the environment it was asked in.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `-f`: Compose files; `-` is standard input.
    pub files: Vec<String>,
    /// `--env-file`.
    pub env_files: Vec<String>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// `-p`.
    pub name: Option<String>,
    /// `--project-directory`.
    pub folder: Option<String>,
    /// The folder it was asked in, absolute.
    pub here: String,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// A project that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What is to be loaded.
    pub request: Request,
    /// What is worth a word.
    pub warnings: Vec<String>,
}

/// Finds the files and variables of a project as docker compose does: files that are named, those of `COMPOSE_FILE`, or
/// the first of Compose's names in the folder or one above it; variables of the environment, then of env files or of the
/// `.env` in the project's folder.
///
/// # Errors
/// There is no file, or an env file cannot be read.
pub fn find(asked: &Asked, files: &dyn Files) -> Result<Found, String> {
    let mut search =
        Search { asked, files, variables: asked.environment.clone(), paths: asked.files.clone(), warnings: Vec::new() };
    search.variables.entry("PWD".to_owned()).or_insert_with(|| asked.here.clone());
    search.env_files()?;
    search.named_by_environment()?;
    search.by_name();
    search.env_files()?;
    search.finish()
}

struct Search<'a> {
    asked: &'a Asked,
    files: &'a dyn Files,
    variables: Variables,
    paths: Vec<String>,
    warnings: Vec<String>,
}

impl Search<'_> {
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { super::paths::clean(path) } else { join(&self.asked.here, path) }
    }

    /// The project's folder, as far as it is known.
    fn folder(&self) -> String {
        match &self.asked.folder {
            Some(given) if !given.is_empty() => self.absolute(given),
            _ => match self.paths.iter().find(|path| *path != "-") {
                Some(path) => folder(&self.absolute(path)),
                None => self.asked.here.clone(),
            },
        }
    }

    /// Takes variables of env files that the environment does not have.
    fn env_files(&mut self) -> Result<(), String> {
        let default = join(&self.folder(), ".env");
        let switched_off = |text: &String| matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True");
        let names: Vec<String> = match self.asked.env_files.as_slice() {
            [] if self.asked.environment.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(switched_off) => Vec::new(),
            [] if self.files.kind(&default) == Some(Kind::File) => vec![default],
            [] => Vec::new(),
            given => given.iter().map(|path| self.absolute(path)).collect(),
        };
        let sink = Sink::default();
        let mut read = Variables::new();
        for name in names {
            let text = self.files.read(&name).map_err(|error| format!("the env file {name} cannot be read: {}", said(&error)))?;
            let outside = Outside { variables: &self.variables, sink: &sink };
            dotenv::read(&text, &mut read, &outside).map_err(|(line, why)| format!("{name}:{line}:1: {why}"))?;
        }
        for (name, value) in read {
            self.variables.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// `COMPOSE_FILE`.
    fn named_by_environment(&mut self) -> Result<(), String> {
        let Some(given) = self.variables.get("COMPOSE_FILE").filter(|_| self.paths.is_empty()) else { return Ok(()) };
        let separator = self.variables.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty()).map_or(":", String::as_str);
        let paths: Vec<String> =
            given.split(separator).map(|path| if path == "-" { path.to_owned() } else { self.absolute(path) }).collect();
        if let Some(path) = paths.iter().find(|path| *path != "-" && self.files.kind(path).is_none()) {
            return Err(format!("the file {path} of COMPOSE_FILE cannot be read: there is no such file"));
        }
        self.paths = paths;
        Ok(())
    }

    /// The first of Compose's names in the folder, or in one above it.
    fn by_name(&mut self) {
        if !self.paths.is_empty() {
            return;
        }
        let mut here = self.folder();
        loop {
            let there = |names: [&str; 4]| -> Vec<String> {
                names.iter().map(|name| join(&here, name)).filter(|path| self.files.kind(path).is_some()).collect()
            };
            let (found, over) = (there(NAMES), there(OVERRIDES));
            if let Some(first) = found.first() {
                for several in [&found, &over].into_iter().filter(|several| several.len() > 1) {
                    self.warnings.push(format!("there are {}: {} is used", several.join(" and "), several[0]));
                }
                self.paths = [Some(first), over.first()].into_iter().flatten().cloned().collect();
                return;
            }
            let above = folder(&here);
            if above == here {
                return;
            }
            here = above;
        }
    }

    fn finish(self) -> Result<Found, String> {
        if self.paths.is_empty() {
            return Err(format!(
                "no configuration file provided: there is no {} in {} or above it; name one with -f",
                NAMES.join(", "),
                self.folder()
            ));
        }
        let folder = self.folder();
        let profiles = match self.asked.profiles.as_slice() {
            [] => {
                let given = self.variables.get("COMPOSE_PROFILES").map_or("", String::as_str);
                given.split(',').map(str::trim).map(str::to_owned).collect()
            }
            given => given.to_vec(),
        };
        let given = self.asked.name.clone().filter(|name| !name.is_empty());
        let name = given.or_else(|| self.variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).cloned());
        let last = folder.rsplit('/').next().unwrap_or_default();
        let request = Request {
            files: self.paths.iter().map(|path| if path == "-" { path.clone() } else { self.absolute(path) }).collect(),
            default_name: normalise_name(last),
            name,
            profiles,
            environment: self.variables,
            folder,
            ..Request::default()
        };
        Ok(Found { request, warnings: self.warnings })
    }
}

/// A project's name as Compose makes it of any text: lower-case letters, digits, `-` and `_`, the first being none of the last two.
pub fn normalise_name(text: &str) -> String {
    let kept: String = text.to_lowercase().chars().filter(|char| matches!(char, 'a'..='z' | '0'..='9' | '_' | '-')).collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}
