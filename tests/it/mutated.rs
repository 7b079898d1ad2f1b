//! Parsers meet texts that nobody meant: what people write, changed by chance. Nothing may panic, and nothing may take long.
//!
//! A second each is spent in the ordinary tests; `EVENKEEL_FUZZ_SECONDS=600 cargo nextest run --test it mutated` looks longer, and
//! `EVENKEEL_FUZZ_SEED` repeats what failed (docs/adr/0023).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use evenkeel::compose::{Given, Request, deployment, load};
use evenkeel::crd::yaml::parse_manifests;
use evenkeel::crd::{Kind, Remote, admit, semver_range};
use evenkeel::sources::made::GitAddress;
use evenkeel::sources::merge;

/// Longest that a text may take, in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

/// Words that parsers look for.
const WORDS: [&str; 40] = [
    "services:",
    "image:",
    "${",
    "}",
    "$$",
    ":-",
    "!reset ",
    "!override ",
    "&a ",
    "*a",
    "<<: ",
    "- ",
    ": ",
    "\n  ",
    "\t",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "[",
    "]",
    "{",
    "}",
    "#",
    "---\n",
    "null",
    "0o777",
    "1e999",
    "-9223372036854775809",
    "80:80/udp",
    "../",
    "/",
    "\0",
    "\u{feff}",
    "é",
    "extends:",
    "include:",
    "kind: Source\n",
    "@sha256:",
    "x-evenkeel:",
];

/// Numbers by chance, the same for a seed (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Texts that are right, or nearly: samples, and what docker compose was asked.
fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["manifests", "src/compose/tests/golden", "deploy"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml")) {
            let text = std::fs::read_to_string(&path).unwrap();
            // Recorded cases hold a file each.
            match serde_yaml::from_str::<Vec<BTreeMap<String, serde_yaml::Value>>>(&text) {
                Ok(cases) => texts.extend(cases.iter().flat_map(|case| {
                    let files = case.get("files").and_then(|files| files.as_mapping());
                    files.into_iter().flat_map(|files| files.values()).filter_map(|file| file.as_str().map(str::to_owned))
                })),
                Err(_) => texts.push(text),
            }
        }
    }
    texts.extend(["https://git.example:8443/a/b.git#main:hosts", "git@github.com:a/b.git", ">=1.2, <2"].map(str::to_owned));
    assert!(texts.len() > 100, "{} seeds", texts.len());
    texts
}

/// A text of another's parts, with some of it gone, twice there or replaced.
fn mutated(seeds: &[String], chance: &mut Chance) -> String {
    let mut text: Vec<u8> = seeds[chance.below(seeds.len())].clone().into_bytes();
    for _ in 0..=chance.below(6) {
        let (at, length) = (chance.below(text.len() + 1), chance.below(24));
        let end = (at + length).min(text.len());
        match chance.below(6) {
            0 => drop(text.drain(at..end)),
            1 => {
                let part = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            2 => drop(text.splice(at..end, WORDS[chance.below(WORDS.len())].bytes())),
            3 => drop(text.splice(at..at, WORDS[chance.below(WORDS.len())].bytes())),
            4 if at < text.len() => text[at] ^= 1 << chance.below(8),
            _ => {
                let other = seeds[chance.below(seeds.len())].as_bytes();
                let from = chance.below(other.len() + 1);
                let part = &other[from..(from + 80).min(other.len())];
                text.splice(at..at, part.iter().copied());
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn manifests(text: &str) {
    for document in parse_manifests("a.yaml", text) {
        let _ = merge::check(&document, "default");
        for kind in [Kind::Source, Kind::Channel, Kind::Alert, Kind::Hold] {
            let _ = admit(kind, document.value.clone(), None, true);
        }
    }
}

/// A Compose file that is read with itself as its env file, what it extends and what it is overridden by.
fn compose(text: &str) {
    let files = ["compose.yaml", "compose.override.yaml", "base.yaml", ".env", "a.env"];
    let files = files.iter().map(|name| (format!("/p/{name}"), text.to_owned())).collect();
    let request = |names: &[&str]| Request {
        files: names.iter().map(|name| format!("/p/{name}")).collect(),
        folder: "/p".to_owned(),
        name: Some("p".to_owned()),
        profiles: vec!["*".to_owned()],
        ..Request::default()
    };
    let files = Given(files);
    for names in [&["compose.yaml"][..], &["compose.yaml", "compose.override.yaml"]] {
        if let Ok(loaded) = load(&request(names), &files)
            && let Ok(made) = deployment(&loaded, &[])
        {
            let _ = admit(Kind::Deployment, made.manifest, None, false);
        }
    }
}

fn addresses(text: &str) {
    for line in text.lines() {
        let _ = (Remote::read(line).is_ok(), line.parse::<GitAddress>().is_ok(), semver_range(line).is_ok());
        let _ = evenkeel::model::familiar_reference(line);
    }
}

/// A name, and what is done to a text.
type Target = (&'static str, fn(&str));

const TARGETS: [Target; 3] = [("manifests", manifests), ("compose", compose), ("addresses", addresses)];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_text_makes_a_parser_panic_or_hang() {
    let seeds = seeds();
    let (seconds, seed) = (number("EVENKEEL_FUZZ_SECONDS").unwrap_or(1), number("EVENKEEL_FUZZ_SEED"));
    for (name, target) in TARGETS {
        let (began, mut texts) = (Instant::now(), 0_u64);
        // So many at least, however busy the machine is.
        while began.elapsed() < Duration::from_secs(seconds) || texts < 200 {
            let seed = seed.unwrap_or(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(texts + 1));
            let text = mutated(&seeds, &mut Chance(seed));
            let started = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| target(&text)));
            assert!(done.is_ok(), "{name} panics at (EVENKEEL_FUZZ_SEED={seed}):\n{text}");
            assert!(started.elapsed() < LONGEST, "{name} takes {:?} for (EVENKEEL_FUZZ_SEED={seed}):\n{text}", started.elapsed());
            texts += 1;
        }
        println!("{name}: {texts} texts");
    }
}
