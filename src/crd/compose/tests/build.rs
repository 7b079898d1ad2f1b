//! `build` in each of its forms, and what is said when it is wrong.

use serde_json::{Value, json};

use super::{Project, errors, service, spec};

/// What is written for `build`, and what `docker compose config` prints.
fn reads_as(table: &[(&str, Value)]) {
    for (yaml, expected) in table {
        let project = Project::read("proj", &service(&format!("build: {yaml}")))
            .unwrap_or_else(|errors| panic!("{yaml}: {}", crate::crd::list_errors(&errors)));
        let web = serde_json::to_value(&project.services["web"]).unwrap();
        assert_eq!(&web["build"], expected, "{yaml}");
    }
}

/// What is written for `build`, the path of the one error from there, and a part of what it says.
fn refuses(table: &[(&str, &str, &str)]) {
    for (yaml, path, says) in table {
        let errors = errors(&service(&format!("build: {yaml}")));
        let path = format!("spec.services.web.build{path}: ");
        assert!(errors.len() == 1 && errors[0].starts_with(&path) && errors[0].contains(says), "{yaml}: {errors:?}");
    }
}

/// The long form with these keys besides the context.
fn with(keys: Value) -> Value {
    let mut build = json!({"context": "/src", "dockerfile": "Dockerfile"});
    for (key, value) in keys.as_object().unwrap() {
        build[key] = value.clone();
    }
    build
}

#[test]
fn every_form_reads_as_compose_reads_it() {
    reads_as(&[
        ("/src", with(json!({}))),
        ("/src/./web/../", with(json!({}))),
        ("{context: /src}", with(json!({}))),
        ("{context: /src, dockerfile: deploy/Dockerfile}", with(json!({"dockerfile": "deploy/Dockerfile"}))),
        ("{dockerfile_inline: FROM scratch}", json!({"dockerfile_inline": "FROM scratch"})),
        ("{context: /src, args: [A=1, B, 'C=x=y']}", with(json!({"args": {"A": "1", "B": null, "C": "x=y"}}))),
        ("{context: /src, args: {A: 1, B: , C: true}}", with(json!({"args": {"A": "1", "B": null, "C": "true"}}))),
        ("{context: /src, labels: [a=b, c]}", with(json!({"labels": {"a": "b", "c": ""}}))),
        ("{context: /src, cache_from: web}", with(json!({"cache_from": ["web"]}))),
        ("{context: /src, cache_from: [a, 'type=registry,ref=b']}", with(json!({"cache_from": ["a", "type=registry,ref=b"]}))),
        ("{context: /src, no_cache: true, pull: true}", with(json!({"no_cache": true, "pull": true}))),
        ("{context: /src, no_cache_filter: [a]}", with(json!({"no_cache": true}))),
        ("{context: /src, no_cache_filter: []}", with(json!({}))),
        ("'git@github.com:a/b.git#main:dir'", json!({"context": "git@github.com:a/b.git#main:dir", "dockerfile": "Dockerfile"})),
        ("{context: 'ssh://git@a/b.git'}", json!({"context": "ssh://git@a/b.git", "dockerfile": "Dockerfile"})),
        ("{context: 'https://a/b@c.git'}", json!({"context": "https://a/b@c.git", "dockerfile": "Dockerfile"})),
        ("{context: 'https://a/b.tar.gz', dockerfile: D}", json!({"context": "https://a/b.tar.gz", "dockerfile": "D"})),
        (
            "{context: /src, additional_contexts: {base: 'docker-image://alpine:3'}}",
            with(json!({"additional_contexts": {"base": "alpine:3"}})),
        ),
        ("{context: /src, network: host, target: run}", with(json!({"network": "host", "target": "run"}))),
        ("{context: /src, platforms: [linux/arm64]}", with(json!({"platforms": ["linux/arm64"]}))),
        ("{context: /src, shm_size: 64m}", with(json!({"shm_size": "67108864"}))),
        ("{context: /src, extra_hosts: ['db:10.0.0.1']}", with(json!({"extra_hosts": ["db=10.0.0.1"]}))),
        ("{context: /src, ulimits: {nofile: 9}}", with(json!({"ulimits": {"nofile": 9}}))),
        ("{context: /src, tags: [a, 'b:2']}", with(json!({"tags": ["a", "b:2"]}))),
        ("{context: /src, ssh: [default, 'git=/run/agent']}", with(json!({"ssh": ["default", "git=/run/agent"]}))),
        ("{context: /src, ssh: {default: , git: /run/agent}}", with(json!({"ssh": ["default", "git=/run/agent"]}))),
    ]);
}

#[test]
fn its_secrets_are_declared_like_those_of_containers() {
    let yaml = "{services: {web: {build: {context: /src, secrets: [a, {source: a, target: npm}]}}}, secrets: {a: {file: /a}}}";
    let project = serde_json::to_value(Project::read("proj", &spec(yaml)).unwrap()).unwrap();
    let secrets = &project["services"]["web"]["build"]["secrets"];
    assert_eq!((&secrets[0]["source"], &secrets[1]["target"]), (&json!("a"), &json!("npm")));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    refuses(&[
        (".", "", "\".\" is a relative path: a Deployment has no folder to start from"),
        ("{context: ./src}", ".context", "is a relative path"),
        ("{context: 'ftp://a/b'}", ".context", "is a relative path"),
        ("{context: 'https://me:hunter2@a/b.git'}", ".context", "has credentials in it, which everybody who may read"),
        ("{context: 'https://t0ken@a/b.git'}", ".context", "has credentials in it"),
        ("{context: 'ssh://me:hunter2@a/b.git'}", ".context", "has credentials in it"),
        ("'http://me:hunter2@a/b.tar.gz'", "", "has credentials in it"),
        ("{context: 'https://a/b.git', dockerfile_inline: FROM a}", "", "must be one of the context"),
        ("{context: 'https://a/b.git', dockerfile: /D}", "", "must be one of the context"),
        (
            "{context: 'https://a/b.git', additional_contexts: {a: 'docker-image://b'}}",
            "",
            "additional_contexts beside a context that is a URL is not supported yet by evenkeel",
        ),
        ("{context: /src, additional_contexts: {a: /b}}", ".additional_contexts", "a, which is no image"),
        ("{context: /src, additional_contexts: ['a=service:b']}", ".additional_contexts", "a, which is no image"),
        (
            "{context: /src, additional_contexts: {'alpine:3': 'docker-image://b'}}",
            ".additional_contexts",
            "the name \"alpine:3\"",
        ),
        ("{context: /src, additional_contexts: {a: 'docker-image://'}}", ".additional_contexts", "names no image"),
        ("{context: 'service:base'}", ".context", "a context that is an image"),
        ("{dockerfile: Dockerfile}", "", "context is required"),
        ("{context: /src, dockerfile: a, dockerfile_inline: b}", ".dockerfile", "exclude each other"),
        ("{context: /src, platforms: [linux/amd64, linux/arm64]}", ".platforms", "several platforms is not supported yet"),
        ("{context: /src, cache_from: ['type=local,src=a']}", ".cache_from", "write the reference of an image"),
        ("{context: /src, ssh: ['git=agent']}", ".ssh[0]", "is a relative path"),
        ("{context: /src, tag: [a]}", ".tag", "did you mean"),
        ("{context: /src, args: 5}", ".args", "must be a map, or a list of KEY=value"),
        ("5", "", "must be a map, found a number"),
    ]);
    for key in ["cache_to", "entitlements", "isolation", "privileged", "provenance", "sbom"] {
        let yaml = format!("{{context: /src, {key}: x}}");
        refuses(&[(&yaml, &format!(".{key}"), &format!("{key} is not supported yet by evenkeel"))]);
    }
}

#[test]
fn arguments_are_not_shown_by_debug() {
    let project = Project::read("proj", &service("build: {context: /src, args: {TOKEN: hunter2}}")).unwrap();
    let shown = format!("{:?}", project.services["web"].build);
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
}
