//! Loading ends, whatever files name one another and whatever lies in their place.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::compose::{Disk, Files, Given, Loaded, Refused, Request, load};

fn loaded(files: &dyn Files, folder: &str) -> Result<Loaded, Refused> {
    let request = Request {
        files: vec![format!("{folder}/compose.yaml")],
        folder: folder.to_owned(),
        default_name: "shop".to_owned(),
        ..Request::default()
    };
    load(&request, files)
}

#[test]
fn projects_that_are_included_on_many_ways_are_loaded_once() {
    const LEVELS: usize = 40;
    let mut files = BTreeMap::new();
    for level in 0..LEVELS {
        let name = if level == 0 { "compose.yaml".to_owned() } else { format!("l{level}.yaml") };
        for side in ["", "b"] {
            let below = format!("include: [l{0}.yaml, bl{0}.yaml]\n", level + 1);
            let include = if level + 1 < LEVELS { below } else { String::new() };
            let text = format!("{include}services: {{s{side}{level}: {{image: a}}}}\n");
            files.insert(format!("/srv/{side}{name}"), text);
        }
    }
    let loaded = loaded(&Given(files), "/srv").unwrap_or_else(|refused| panic!("{:?}", refused.errors));
    assert_eq!(loaded.config["services"].as_object().unwrap().len(), 2 * LEVELS - 1);
}

#[test]
fn pipes_and_devices_are_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let pipe = folder.path().join("pipe.env");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    for (file, why) in [("pipe.env", "is a named pipe"), ("/dev/zero", "is a device"), (".", "is a folder")] {
        for text in [
            format!("services: {{web: {{image: a, env_file: {file}}}}}\n"),
            format!("include: [{file}]\nservices: {{web: {{image: a}}}}\n"),
            format!("services: {{web: {{extends: {{file: {file}, service: a}}}}}}\n"),
        ] {
            std::fs::write(folder.path().join("compose.yaml"), &text).unwrap();
            let errors = loaded(&Disk, &root).expect_err(&text).errors;
            let error = errors.first().map(ToString::to_string).unwrap_or_default();
            assert!(error.contains(why) && error.contains("compose.yaml:1:"), "{text}: {error}");
        }
    }
}

/// What is put into a file at random: what YAML, variables and Compose take for more than text.
const ODD: [&str; 16] =
    ["${", "}", "$", "&a ", "*a", "<<: ", "!reset ", "!override ", "\t", "\0", "\u{feff}", "- ", ": ", "? ", "\"", "---\n"];

/// A recorded case with some of its files damaged: parts taken out, written twice, or with something odd in them.
fn damaged() -> impl Strategy<Value = BTreeMap<String, String>> {
    let cases: Vec<BTreeMap<String, String>> = super::golden::cases().into_iter().map(|(_, case)| case.files).collect();
    let damage = (any::<prop::sample::Index>(), 0_usize..40, 0_u8..3, prop::sample::select(ODD.to_vec()));
    let damages = prop::collection::vec((any::<prop::sample::Index>(), damage), 1..4);
    (prop::sample::select(cases), damages).prop_map(|(mut files, damages)| {
        let names: Vec<String> = files.keys().cloned().collect();
        for (which, (at, length, kind, odd)) in damages {
            let Some(text) = files.get_mut(which.get(&names)) else { continue };
            let mut chars: Vec<char> = text.chars().collect();
            let from = at.index(chars.len() + 1);
            let to = (from + length).min(chars.len());
            match kind {
                0 => drop(chars.drain(from..to)),
                1 => {
                    let part = chars[from..to].to_vec();
                    drop(chars.splice(from..from, part));
                }
                _ => drop(chars.splice(from..from, odd.chars())),
            }
            *text = chars.into_iter().collect();
        }
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn damaged_files_are_loaded_or_refused_with_a_place(files in damaged()) {
        let files = files.into_iter().map(|(name, text)| (format!("/srv/{name}"), text)).collect();
        if let Err(refused) = loaded(&Given(files), "/srv") {
            prop_assert!(!refused.errors.is_empty());
            prop_assert!(refused.errors.iter().all(|error| error.location.is_some()), "{:?}", refused.errors);
        }
    }
}
