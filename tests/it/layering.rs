//! The layers of ARCHITECTURE.md, section 4: imports go down only, and one library is named in one folder only.

use std::fs;
use std::path::{Path, PathBuf};

/// From bottom to top. A module may import what stands in a row above its own, and nothing of its own row.
const LAYERS: [&[&str]; 14] = [
    &["clock"],
    &["model"],
    &["crd"],
    &["compose"],
    &["resolve"],
    &["diagnose::rules", "diagnose::signature", "diagnose::words"],
    &["controller::plan", "controller::status", "health::fold", "incident", "resources::alerts", "resources::past"],
    &["notify::notice", "notify::route", "notify::report", "notify::template"],
    &["docker", "store", "systemd", "telemetry"],
    &["registry"],
    &["controller", "diagnose", "doctor", "health", "notify", "resources", "sources"],
    &["api", "cli"],
    &["config"],
    &["app", "main", "lib"],
];

/// Which folders (or files) of src may name which library. Files of unit tests alone may name any.
const LIBRARIES: [(&str, &[&str]); 15] = [
    ("bollard", &["docker"]),
    ("tar", &["docker"]),
    ("prost", &["docker", "health"]),
    ("sled", &["store"]),
    ("axum", &["api"]),
    ("rcgen", &["api"]),
    ("ring", &["api", "notify"]),
    ("lettre", &["notify"]),
    ("minijinja", &["notify"]),
    ("semver", &["crd"]),
    ("notify", &["sources"]),
    ("sd_notify", &["systemd"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("kube", &["crd", "controller", "api", "cli"]),
];

const LONGEST: usize = 450;

/// A source file: its path under `src`, and its code without comments.
struct Source {
    path: String,
    code: String,
}

#[test]
fn imports_go_down_only() {
    let wrong: Vec<String> = sources("src").iter().flat_map(upward_imports).collect();
    assert!(wrong.is_empty(), "imports that do not go down (ARCHITECTURE.md, section 4):\n{}", wrong.join("\n"));
}

#[test]
fn one_library_is_named_in_one_folder() {
    let strays = |source: &Source| {
        let here = module(&source.path);
        let stray = LIBRARIES.iter().filter(|(library, homes)| names(&source.code, library) && !homes.contains(&here.as_str()));
        stray.map(|(library, homes)| format!("{} names {library}, whose home is {homes:?}", source.path)).collect::<Vec<_>>()
    };
    let sources = sources("src");
    let wrong: Vec<String> = sources.iter().filter(|source| !source.path.contains("tests")).flat_map(strays).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_hold_one_idea() {
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let files = [files("src"), files("tests")].concat();
    let long: Vec<String> = files
        .iter()
        .map(|path| (path, lines(path)))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "files over {LONGEST} lines; is there more than one idea in them?\n{}", long.join("\n"));
}

fn upward_imports(source: &Source) -> Vec<String> {
    let own = layer(&source.path.trim_end_matches(".rs").replace('/', "::"));
    let own_module = module(&source.path);
    let up = |target: &String| !target.starts_with(&own_module) && layer(target) >= own;
    imports(&source.code).into_iter().filter(up).map(|target| format!("{} imports {target}", source.path)).collect()
}

/// The layer of a module path such as `controller::plan::order`; its most specific name counts.
fn layer(path: &str) -> usize {
    let belongs = |name: &str| path == name || path.starts_with(&format!("{name}::"));
    let found = LAYERS.iter().enumerate().find(|(_, names)| names.iter().any(|name| belongs(name)));
    found.map(|(layer, _)| layer).unwrap_or_else(|| panic!("{path} has no layer: give it one in ARCHITECTURE.md and here"))
}

/// The first part of a path under src: `controller/plan/mod.rs` is in `controller`.
fn module(path: &str) -> String {
    path.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// What follows each `crate::`, up to two names deep; groups are opened.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        if !before(code, at).is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            collect(&code[at + marker.len()..], "", &mut found);
        }
    }
    found
}

fn collect(text: &str, prefix: &str, found: &mut Vec<String>) {
    if let Some(group) = text.trim_start().strip_prefix('{') {
        members(group).iter().for_each(|member| collect(member, prefix, found));
        return;
    }
    let name: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let rest = &text.trim_start()[name.len()..];
    let path = if prefix.is_empty() { name } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(deeper) if prefix.is_empty() => collect(deeper, &path, found),
        _ if !path.is_empty() => found.push(path),
        _ => {}
    }
}

/// The members of a `{..}` group, its opening brace taken off.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut all) = (0, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => all.push(std::mem::take(&mut member)),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                member.push(c);
            }
        }
    }
    all.push(member);
    all.retain(|member| !member.trim().is_empty());
    all
}

/// Whether the code names a crate: `library::` with nothing before it that would make it another path.
fn names(code: &str, library: &str) -> bool {
    let found = |at: usize| !before(code, at).is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '.'));
    code.match_indices(&format!("{library}::")).any(|(at, _)| found(at))
}

fn before(code: &str, at: usize) -> Option<char> {
    code[..at].chars().next_back()
}

fn sources(folder: &str) -> Vec<Source> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        Source { path: below.display().to_string(), code: code.join("\n") }
    };
    files(folder).iter().map(read).collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => found.push(path),
                _ => {}
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found.sort();
    found
}

#[test]
fn the_reader_of_imports_reads_groups() {
    let code = "use crate::{crd::{A, b::C}, model::Key, clock};\nfn f() { crate::store::open(); mycrate::x(); }";
    assert_eq!(imports(code), ["crd::A", "crd::b", "model::Key", "clock", "store::open"]);
    assert!(names("use sled::Db;", "sled") && !names("crate::store::sled::x", "sled"));
}
