//! What holds of any text, and what people are told.

use proptest::prelude::*;

use super::*;

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let text = "\
services:
  web:
    imagee: a
    ports: {a: 1}
    environment:
      A: [1]
  db:
    image: 5
    healthcheck: {test: x, intervall: 5s}
volume: {}
";
    assert_eq!(
        wrong(text),
        [
            "compose.yaml:3:5: services.web.imagee: is no key of Compose here: did you mean image?",
            "compose.yaml:4:5: services.web.ports: must be a list, not a map",
            "compose.yaml:6:7: services.web.environment.A: must be text or a number or true or false, not a list",
            "compose.yaml:8:5: services.db.image: must be text, not a number (5); write it in quotes if it is meant as text",
            "compose.yaml:9:28: services.db.healthcheck.intervall: is no key of Compose here: did you mean interval?",
            "compose.yaml:10:1: volume: is no key of Compose here: did you mean volumes?",
        ]
    );
    let text = "\
services:
  web: {image: a, networks: [n], secrets: [s], depends_on: [x]}
  db: {volumes: ['vol:/v']}
";
    assert_eq!(
        wrong(text),
        [
            "compose.yaml:2:30: services.web.networks.n: refers to the network n, which is not under networks",
            "compose.yaml:2:44: services.web.secrets[0]: refers to the secret s, which is not under secrets",
            "compose.yaml:2:61: services.web.depends_on.x: depends on the service x, which is not there",
            "compose.yaml:3:3: services.db: has neither image nor build: name the image to run, or how it is built",
            "compose.yaml:3:18: services.db.volumes[0]: refers to the volume vol, which is not under volumes",
        ]
    );
}

#[test]
fn fields_are_found_where_they_were_written() {
    let loaded = one("services:\n  web:\n    image: a\n    ports:\n      - '80:80'\n").unwrap();
    for (steps, place) in [
        (&["services", "web", "ports", "0"][..], "/project/compose.yaml:5:9"),
        (&["services", "web", "image"], "/project/compose.yaml:3:5"),
        (&["services", "web", "nothing", "below"], "/project/compose.yaml:2:3"),
    ] {
        assert_eq!(loaded.locate(steps).to_string(), place);
    }
}

#[test]
fn what_is_worth_a_word_is_told_and_does_no_harm() {
    let loaded = one("version: '3'\nservices:\n  web: {image: 'a$U'}\n").unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "the variable U is not set: it is taken for empty",
            "/project/compose.yaml: the key version is obsolete and not read: remove it",
        ]
    );
}

#[test]
fn what_libyaml_lets_pass_is_read() {
    let text = "\
services:\t
  web:
    image:\ta
    command: [
    a,
  b
]
    user: \"u
 v\"
# a comment
\t
# another
    tty: 5
";
    assert_eq!(
        wrong(text),
        [
            "compose.yaml:13:5: services.web.tty: must be true or false or text, not a number (5); write it in quotes if it is meant as text"
        ]
    );
    let loaded = one(&text.replace("tty: 5", "tty: true")).unwrap_or_else(|refused| panic!("{:?}", refused.errors));
    let web = &loaded.config["services"]["web"];
    assert_eq!((&web["command"], &web["user"]), (&serde_json::json!(["a", "b"]), &serde_json::json!("u v")));
}

#[test]
fn bombs_and_deep_nesting_are_refused() {
    let mut bomb = "x-a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("x-a{level}: &a{level} [{inner}]\n"));
    }
    assert!(!wrong(&bomb).is_empty());
    assert!(!wrong(&"[".repeat(100_000)).is_empty());
    assert!(!wrong("a: &a [*a]\n").is_empty());
}

#[test]
fn a_key_with_a_path_is_refused_as_json_alone() {
    let loaded = one("services:\n  web: {build: {context: ., ssh: [default=/run/agent]}}\n").unwrap();
    assert_eq!(loaded.not_json[0].location.as_ref().unwrap().to_string(), "/project/compose.yaml:2:29");
    assert_eq!(loaded.yaml["services"]["web"]["build"]["ssh"], serde_json::json!(["default: /run/agent"]));
}

/// Lines that look like those of Compose files.
fn lines() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "services",
        "web",
        "image",
        "ports",
        "volumes",
        "environment",
        "build",
        "deploy",
        "x-a",
        "<<",
        "networks",
        "extends",
        "include",
        "depends_on",
        "ulimits",
        "configs",
        "healthcheck",
        "command",
        "name",
        "secrets",
        "gpus",
        "develop",
    ]);
    let value = prop::sample::select(vec![
        "",
        "a",
        "5",
        "[a, b]",
        "{a: b}",
        "'${A:-b}'",
        "!reset null",
        "!override [a]",
        "&x",
        "*x",
        "80:80",
        "./a:/b:ro",
        "~",
        "|",
        "- a",
        "1.5",
        "true",
        "2024-01-02",
        "[{target: 80}]",
        "{file: a.yaml, service: web}",
        "[default]",
        "all",
        "\"${\"",
    ]);
    let line = (0_usize..5, any::<bool>(), key, value);
    prop::collection::vec(line, 0..12).prop_map(|lines| {
        let line = |(depth, item, key, value): (usize, bool, &str, &str)| {
            format!("{}{}{key}: {value}\n", "  ".repeat(depth), if item && depth > 2 { "- " } else { "" })
        };
        lines.into_iter().map(line).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_text_makes_the_loader_panic(text in "([a-z<&*!|>:\\[\\]{}'\"#$-]|  |\n|\\PC){0,40}") {
        let _ = one(&text);
    }

    #[test]
    fn no_likely_text_makes_the_loader_panic(text in lines()) {
        if let Err(refused) = one(&text) {
            prop_assert!(!refused.errors.is_empty());
            prop_assert!(refused.errors.iter().all(|error| error.location.is_some()));
        }
    }

    #[test]
    fn what_came_out_goes_in_again(text in lines()) {
        if let Ok(loaded) = one(&text) {
            let again = one(&loaded.yaml.to_string().replace('$', "$$"));
            prop_assert!(again.is_ok(), "{:?}", again.err().map(|refused| refused.errors));
        }
    }
}
