//! The loader held against docker compose: cases recorded from it, and a corpus of real files.

mod bounds;
mod corpus;
mod generated;
mod golden;
mod properties;

use serde_json::Value as Json;

use super::{Asked, Given, Loaded, Refused, Request, find, load};

/// One Compose file in the folder `/project`, of the project `proj`.
fn one(text: &str) -> Result<Loaded, Refused> {
    let files = Given([("/project/compose.yaml".to_owned(), text.to_owned())].into());
    let request = Request {
        files: vec!["/project/compose.yaml".to_owned()],
        folder: "/project".to_owned(),
        name: Some("proj".to_owned()),
        profiles: vec!["*".to_owned()],
        ..Request::default()
    };
    load(&request, &files)
}

/// All that is wrong with a file, a line each.
fn wrong(text: &str) -> Vec<String> {
    let errors = one(text).err().map(|refused| refused.errors).unwrap_or_default();
    errors.iter().map(|error| error.to_string().trim_start_matches("/project/").to_owned()).collect()
}

/// The first place where two configurations differ.
fn difference(theirs: &Json, ours: &Json, path: &str) -> Option<String> {
    match (theirs, ours) {
        (Json::Object(one), Json::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter().find_map(|key| match (one.get(key), other.get(key)) {
                (Some(one), Some(other)) => difference(one, other, &format!("{path}.{key}")),
                (one, other) => Some(format!("{path}.{key}: {} instead of {}", shown(other), shown(one))),
            })
        }
        (Json::Array(one), Json::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(index, (one, other))| difference(one, other, &format!("{path}[{index}]")))
        }
        (Json::Number(one), Json::Number(other)) if one.as_f64() == other.as_f64() => None,
        (one, other) => (one != other).then(|| format!("{path}: {other} instead of {one}")),
    }
}

fn shown(value: Option<&Json>) -> String {
    value.map_or("nothing".to_owned(), ToString::to_string)
}
