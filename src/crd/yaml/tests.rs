use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Where a path stands, as text.
fn at(document: &Document, path: &str) -> String {
    document.locate(path).map(|location| location.to_string()).unwrap_or_default()
}

/// All errors of a file, a line each.
fn errors(text: &str) -> Vec<String> {
    parse_manifests("f.yaml", text).iter().flat_map(|document| &document.errors).map(ToString::to_string).collect()
}

const TWO: &str = "\
# first
apiVersion: evenkeel.dev/v1alpha1
kind: Deployment
metadata:
  name: web
spec:
  services:
    app:
      image: a
      ports:
        - 80
        - \"90:90\"
      labels: {a.b/c: d}
---
# second
kind: Hold
metadata: {name: h, namespace: prod}
...
";

#[test]
fn documents_know_their_kind_name_and_line() {
    let documents = parse_manifests("f.yaml", TWO);
    let told: Vec<_> = documents.iter().map(|d| (d.kind.as_str(), d.name.as_str(), d.namespace.as_str(), d.line)).collect();
    assert_eq!(told, [("Deployment", "web", "default", 2), ("Hold", "h", "prod", 16)]);
    assert_eq!(errors(TWO), Vec::<String>::new());
}

#[test]
fn fields_are_found_by_their_path_and_missing_ones_by_what_is_around_them() {
    let documents = parse_manifests("f.yaml", TWO);
    for (path, place) in [
        ("", "f.yaml:2:1"),
        ("spec.services.app.image", "f.yaml:9:7"),
        ("spec.services.app.ports", "f.yaml:10:7"),
        ("spec.services.app.ports[1]", "f.yaml:12:11"),
        ("spec.services.app.ports[7]", "f.yaml:10:7"),
        ("spec.services.app.labels[a.b/c]", "f.yaml:13:16"),
        ("spec.services.app.tty.deeper", "f.yaml:8:5"),
        ("spec.recovery", "f.yaml:6:1"),
    ] {
        assert_eq!(at(&documents[0], path), place, "{path}");
    }
    assert_eq!(at(&documents[1], "metadata.namespace"), "f.yaml:17:21");
}

#[test]
fn a_document_that_cannot_be_read_does_not_spoil_the_others() {
    let text = "kind: Deployment\nmetadata: {name: a}\n---\nkind: [\n---\nkind: Deployment\nmetadata: {name: c}\n";
    let documents = parse_manifests("f.yaml", text);
    assert_eq!(documents.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["a", "", "c"]);
    let errors = errors(text);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("f.yaml:5:1: cannot be read as YAML: "), "{errors:?}");
    assert_eq!(documents[2].line, 6);
}

#[test]
fn keys_that_stand_twice_are_all_told_where_they_stand() {
    let text = "kind: Deployment\nspec:\n  a: 1\n  a: 2\nmetadata: {name: x, name: y}\n";
    assert_eq!(
        errors(text),
        [
            "f.yaml:4:3: spec.a: stands here a second time: keep one",
            "f.yaml:5:21: metadata.name: stands here a second time: keep one"
        ]
    );
    let json = "{\"kind\": \"Deployment\", \"kind\": \"Hold\"}";
    assert_eq!(errors(json), ["f.yaml:1:24: kind: stands here a second time: keep one"]);
}

#[test]
fn anchors_are_merged_also_within_merged_maps() {
    let text = "
kind: Deployment
x-base: &base {image: a, tty: true}
x-more: &more
  <<: *base
  user: '1'
  image: b
spec:
  services:
    one: {<<: *more, user: '2'}
    two:
      <<: [*base, {init: true, image: c}]
";
    let document = &parse_manifests("f.yaml", text)[0];
    assert_eq!(
        document.value["spec"]["services"],
        json!({"one": {"user": "2", "image": "b", "tty": true}, "two": {"image": "a", "tty": true, "init": true}})
    );
    assert_eq!(at(document, "spec.services.one.image"), "f.yaml:7:3");
    assert_eq!(at(document, "spec.services.one.user"), "f.yaml:10:22");
    assert_eq!(at(document, "spec.services.two.tty"), "f.yaml:3:26");
}

#[test]
fn json_is_read_too() {
    let documents =
        parse_manifests("f.json", "{\n\t\"kind\": \"Deployment\",\n\t\"metadata\": {\"name\": \"\\ud83d\\ude00\"}\n}\n");
    assert_eq!((documents.len(), documents[0].name.as_str()), (1, "\u{1f600}"));
    assert_eq!(at(&documents[0], "metadata"), "f.json:3:2");
}

#[test]
fn what_has_no_place_in_a_manifest_is_named() {
    for (text, error) in [
        (
            "kind: Pod",
            "f.yaml:1:1: kind: unknown kind \"Pod\": known are Deployment, Hold, Source, Channel, Alert, Incident (evenkeel.dev/v1alpha1)",
        ),
        (
            "metadata: {}",
            "f.yaml:1:1: kind is missing: known are Deployment, Hold, Source, Channel, Alert, Incident (evenkeel.dev/v1alpha1)",
        ),
        (
            "services: {a: {image: b}}",
            "f.yaml:1:1: looks like a Compose file: name it compose.yaml to have it read as one, or write apiVersion: evenkeel.dev/v1alpha1, kind: Deployment, metadata.name, and put services under spec",
        ),
        ("just text", "f.yaml:1:1: is no object: a manifest starts with apiVersion: evenkeel.dev/v1alpha1 and kind: Deployment"),
        ("kind: Hold\nspec: {a: !reset b}", "f.yaml:2:8: spec.a: the YAML tag !reset has no meaning here"),
        ("kind: Hold\nspec:\n  8080: b", "f.yaml:2:1: spec: the key 8080 must be text: write it in quotes"),
        ("kind: Hold\nspec:\n  <<: b", "f.yaml:2:1: spec: << must name a map or a list of maps"),
        ("kind: Hold\nspec: {a: .nan}", "f.yaml:2:8: spec.a: must be a finite number, or text in quotes"),
    ] {
        assert_eq!(errors(text), [error], "{text}");
    }
}

#[test]
fn nothing_but_comments_is_no_document() {
    for text in ["", "\n\n", "# only\n---\n# comments\n", "---\n...\n---\n", "\u{feff}", "~"] {
        assert_eq!(parse_manifests("f.yaml", text), [], "{text:?}");
    }
}

#[test]
fn text_after_the_marker_and_other_line_ends_are_read() {
    let documents =
        parse_manifests("f.yaml", "%YAML 1.2\r\n--- {kind: Hold}\r\n---\r\nkind: Deployment\r\nmetadata: {name: b}\r\n");
    let told: Vec<_> = documents.iter().map(|d| (d.kind.as_str(), d.line)).collect();
    assert_eq!(told, [("Hold", 2), ("Deployment", 4)]);
    assert_eq!(at(&documents[1], "metadata.name"), "f.yaml:5:12");
}

#[test]
fn bombs_and_deep_nesting_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(errors(&bomb)[0].contains("repetition limit"));
    assert!(errors(&"[".repeat(100_000))[0].contains("cannot be read as YAML"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_makes_the_parser_panic(lines in proptest::collection::vec("[ \\-]{0,4}([a-z<&*!|>]{1,3}[:,] ?)?[\\[{\"'a-z0-9\\]}#]{0,4}|---|\\.\\.\\.|\\PC{0,6}", 0..8), path in "[a-z.\\[\\]0-9]{0,10}") {
        for document in parse_manifests("f.yaml", &lines.join("\n")) {
            prop_assert!(document.locate(&path).is_some());
        }
    }
}
