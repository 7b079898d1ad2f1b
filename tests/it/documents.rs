//! The documents keep up with the code: every reason is explained, and no link between documents is dead.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_reason_is_explained() {
    let code = read("src/model/reason.rs");
    let (_, after) = code.split_once("pub enum Reason {").expect("the enum Reason in src/model/reason.rs");
    let (body, _) = after.split_once("\n}").expect("the end of the enum");
    let names: Vec<&str> =
        body.lines().map(str::trim).filter(|line| is_variant(line)).map(|line| line.trim_end_matches(',')).collect();
    assert!(names.len() > 40, "the enum was read wrong: {names:?}");
    let explained = read("docs/reasons.md");
    let missing: Vec<&str> = names.into_iter().filter(|name| !explained.contains(&format!("\n| `{name}` |"))).collect();
    assert!(missing.is_empty(), "reasons without a row in docs/reasons.md: {missing:?}");
}

#[test]
fn every_cause_of_a_failure_is_explained() {
    let code = read("src/model/diagnosis.rs");
    let (_, after) = code.split_once("pub enum FailureCause {").expect("the enum FailureCause in src/model/diagnosis.rs");
    let (body, _) = after.split_once("\n}").expect("the end of the enum");
    let names: Vec<&str> =
        body.lines().map(str::trim).filter(|line| is_variant(line)).map(|line| line.trim_end_matches(',')).collect();
    assert!(names.len() > 20, "the enum was read wrong: {names:?}");
    let page = read("docs/reasons.md");
    let (_, after) = page.split_once("\n## Diagnoses\n").expect("the section Diagnoses");
    let (section, _) = after.split_once("\n## ").expect("its end");
    let missing: Vec<&str> = names.into_iter().filter(|name| !section.contains(&format!("\n| `{name}` |"))).collect();
    assert!(missing.is_empty(), "causes without a row in docs/reasons.md: {missing:?}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for link in links(&text) {
            let file = link.split('#').next().unwrap();
            if !file.is_empty() && !link.contains(':') && !folder.join(file).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links to files that are not there:\n{}", dead.join("\n"));
}

#[test]
fn links_are_found_outside_of_code() {
    let text = "a [b](c.md), [d](../e.md#f)\n```\n[no](x.md)\n```\n`[no](y.md)` [g](h.md)\n";
    assert_eq!(links(text), ["c.md", "../e.md#f", "h.md"]);
}

/// A line such as `BackOff,`.
fn is_variant(line: &str) -> bool {
    line.ends_with(',') && line.trim_end_matches(',').chars().all(|c| c.is_ascii_alphanumeric())
}

/// The pages in the top folder and those of docs/.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/adr"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "not all pages were found: {found:?}");
    found
}

/// Targets of `[text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let (mut found, mut in_block) = (Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        let prose: Vec<&str> = line.split('`').step_by(2).collect();
        for part in prose.join("").split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push(target.to_owned());
            }
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
