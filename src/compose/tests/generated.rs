//! Cases by chance: pairs of files that are laid one over the other, and texts with variables. What docker compose makes of them is
//! recorded in `golden/merged.yaml` and `golden/interpolated.yaml`, and held against us with the other cases. With `EVENKEEL_BLESS` and
//! `EVENKEEL_COMPOSE` they are made and recorded anew.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::golden::Case;
use super::*;

/// Cases of each file.
const CASES: usize = 120;

/// Keys of a service, each with what may be written for it.
const KEYS: [(&str, &[&str]); 26] = [
    ("image", &["a", "b:2"]),
    ("user", &["one", "'2:2'"]),
    ("command", &["run it", "[run, that]", "[]", "null"]),
    ("entrypoint", &["/in", "[/in, now]"]),
    ("environment", &["[A=1, B]", "{A: 2, C: }", "{A: null}", "['D=x y']"]),
    ("labels", &["[a=1, b]", "{a: 2, c.d: e}"]),
    (
        "ports",
        &[
            "['80:80']",
            "[{target: 80, published: '80'}]",
            "['127.0.0.1:80:80', '81']",
            "[{target: 80, published: '90', mode: host}]",
        ],
    ),
    ("expose", &["[80]", "['80', 90/udp]"]),
    ("volumes", &["['v:/data']", "['./x:/data:ro']", "[{type: volume, source: v, target: /other}]", "['/anonymous']"]),
    ("networks", &["[n]", "{n: {aliases: [one]}, m: }", "{n: {aliases: [two], ipv4_address: 10.0.0.2}}"]),
    ("depends_on", &["[db]", "{db: {condition: service_healthy}}", "{db: {condition: service_started, required: false}}"]),
    ("dns", &["1.1.1.1", "[1.1.1.1, 2.2.2.2]"]),
    ("tmpfs", &["/run", "[/run, /tmp]"]),
    ("sysctls", &["[a=1]", "{a: 2, b: 3}"]),
    ("ulimits", &["{nofile: 5}", "{nofile: {soft: 1, hard: 2}, nproc: 3}"]),
    ("extra_hosts", &["['h:1.1.1.1']", "{h: 1.1.1.1, i: 2.2.2.2}", "['h=2.2.2.2']"]),
    ("healthcheck", &["{test: [CMD, a], interval: 5s}", "{test: b || c, retries: 2}", "{disable: true}"]),
    ("logging", &["{driver: json-file, options: {max-size: 1m}}", "{driver: local}", "{options: {max-file: '3'}}"]),
    ("deploy", &["{replicas: 2, labels: [a=1]}", "{resources: {limits: {cpus: '1'}}}", "{labels: {a: 2}, mode: replicated}"]),
    ("build", &[".", "{context: ./x, args: [A=1]}", "{args: {A: 2, B: 3}, target: t}"]),
    ("cap_add", &["[A, B]", "[B, C]"]),
    ("secrets", &["[s]", "[{source: s, target: /in/s, mode: 0400}]"]),
    ("configs", &["[c]", "[{source: c, target: /in/c}]"]),
    ("devices", &["['/dev/a:/dev/b']", "['/dev/c']"]),
    ("blkio_config", &["{weight: 20}", "{device_read_bps: [{path: /dev/a, rate: 1mb}]}"]),
    ("profiles", &["[]", "[x]"]),
];

/// What is declared beside the service, so that what it names is there.
const BESIDE: &str =
    "  db: {image: db}\nnetworks: {n: , m: }\nvolumes: {v: }\nsecrets: {s: {file: ./s}}\nconfigs: {c: {file: ./c}}\n";

/// A service's keys: some of the table, each in one of its forms.
fn service() -> impl Strategy<Value = String> {
    let forms = prop::sample::subsequence((0..KEYS.len()).collect::<Vec<_>>(), 0..7);
    (forms, prop::collection::vec(any::<prop::sample::Index>(), KEYS.len())).prop_map(|(keys, picks)| {
        let line = |index: usize| {
            let (key, forms) = KEYS[index];
            format!("    {key}: {}\n", picks[index].get(forms))
        };
        keys.into_iter().map(line).collect()
    })
}

fn file(service: &str) -> String {
    let keys = if service.is_empty() { "  web: {}\n".to_owned() } else { format!("  web:\n{service}") };
    format!("services:\n{keys}")
}

/// A pair of files; the first has what the service needs.
fn pair() -> impl Strategy<Value = BTreeMap<String, String>> {
    (service(), service()).prop_map(|(base, over)| {
        let image = if base.contains(" image:") { "" } else { "    image: base\n" };
        let base = format!("{}{BESIDE}", file(&format!("{image}{base}")));
        [("compose.yaml".to_owned(), base), ("compose.override.yaml".to_owned(), file(&over))].into()
    })
}

/// A text with variables: `A` is set, `E` is empty, `U` is not there.
fn text() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec!["a", "-", ":", "?", "+", "{", "}", " ", "$$", "$", "1", "é"]);
    let name = || prop::sample::select(vec!["A", "E", "U", "_x1"]);
    let leaf = prop_oneof![
        4 => plain.prop_map(str::to_owned),
        2 => name().prop_map(|name| format!("${name}")),
        2 => name().prop_map(|name| format!("${{{name}}}")),
    ];
    let marks = || prop::sample::select(vec![":-", "-", ":+", "+", ":?", "?"]);
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let within = prop::collection::vec(inner, 0..3).prop_map(|parts| parts.concat());
        prop_oneof![
            3 => (name(), marks(), within.clone()).prop_map(|(name, mark, within)| format!("${{{name}{mark}{within}}}")),
            1 => within,
        ]
    })
}

fn interpolated() -> impl Strategy<Value = BTreeMap<String, String>> {
    text().prop_map(|text| {
        let quoted = text.replace('\'', "''");
        [("compose.yaml".to_owned(), format!("services:\n  web:\n    image: a\n    labels:\n      l: 'x{quoted}'\n"))].into()
    })
}

fn load_files(files: BTreeMap<String, String>) -> Result<Loaded, Refused> {
    let names = ["compose.yaml", "compose.override.yaml"].map(str::to_owned).into_iter().filter(|name| files.contains_key(name));
    let request = Request {
        files: names.map(|name| format!("/project/{name}")).collect(),
        folder: "/project".to_owned(),
        name: Some("project".to_owned()),
        ..Request::default()
    };
    load(&request, &Given(files.into_iter().map(|(name, text)| (format!("/project/{name}"), text)).collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn a_file_that_says_nothing_of_a_service_changes_nothing(mut files in pair()) {
        files.remove("compose.override.yaml");
        let alone = load_files(files.clone()).map(|loaded| loaded.config);
        files.insert("compose.override.yaml".to_owned(), file(""));
        let with = load_files(files).map(|loaded| loaded.config);
        prop_assert_eq!(alone.ok(), with.ok());
    }

    #[test]
    fn a_single_value_of_the_later_file_counts_and_what_it_does_not_name_stays(files in pair()) {
        let (base, over) = (files["compose.yaml"].clone(), files["compose.override.yaml"].clone());
        // Without its profile it is not there.
        if let Ok(loaded) = load_files(files)
            && let Some(web) = loaded.yaml["services"].get("web")
        {
            for key in ["image", "user"] {
                let written = |text: &str| text.lines().find_map(|line| Some(line.strip_prefix(&format!("    {key}: "))?.trim_matches('\'').to_owned()));
                let wanted = written(&over).or(written(&base));
                prop_assert_eq!(web[key].as_str().map(str::to_owned), wanted);
            }
        }
    }
}

/// So many of a strategy's values, the same each time.
fn some<S: Strategy>(strategy: S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn cases_by_chance_are_recorded() {
    let (Ok(compose), true) = (std::env::var("EVENKEEL_COMPOSE"), std::env::var_os("EVENKEEL_BLESS").is_some()) else { return };
    let environment: BTreeMap<String, String> = [("A", "1"), ("E", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    for (theme, all) in [("merged", some(pair())), ("interpolated", some(interpolated()))] {
        let asked = all.into_iter().enumerate().map(|(number, files)| {
            let mut case = Case::new(format!("{theme} {number}"), files, environment.clone());
            case.record(&compose);
            case
        });
        let text = serde_yaml::to_string(&asked.collect::<Vec<_>>()).unwrap();
        let head = "# Made by chance (generated.rs) and recorded from docker compose 2.40.3.\n";
        std::fs::write(format!("src/compose/tests/golden/{theme}.yaml"), format!("{head}{text}")).unwrap();
    }
}
