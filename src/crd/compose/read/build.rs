//! `build` of a service.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Build, FileMount, SshKey};
use super::mounts::secret_of_build;
use super::refuse;
use super::scalars::*;
use super::service::{extra_hosts, ulimits};
use crate::crd::compose::keys;
use crate::crd::decode::{Node, unsupported};
use crate::model::BuildArgs;

/// The default of `dockerfile`.
const DOCKERFILE: &str = "Dockerfile";

/// A path of the context, or a map.
pub(super) fn build(node: &Node) -> Option<Build> {
    if let Value::String(_) = node.value {
        return Some(Build { context: Some(context(node)?), dockerfile: Some(DOCKERFILE.to_owned()), ..Build::default() });
    }
    let mut fields = node.fields()?;
    let context_node = fields.get("context");
    let dockerfile_node = fields.get("dockerfile");
    let inline = fields.read("dockerfile_inline", word);
    let filtered = fields.read("no_cache_filter", no_cache_filter).unwrap_or_default();
    refuse(&mut fields, keys::BUILD);
    let build = Build {
        context: context_node.as_ref().and_then(context),
        additional_contexts: fields.or_default("additional_contexts", images),
        dockerfile: dockerfile_node.as_ref().and_then(word),
        dockerfile_inline: inline,
        args: BuildArgs(fields.or_default("args", environment)),
        ssh: fields.or_default("ssh", ssh),
        labels: fields.or_default("labels", mapping),
        cache_from: fields.or_default("cache_from", cache_from),
        no_cache: fields.or_default("no_cache", flag) || filtered,
        pull: fields.or_default("pull", flag),
        extra_hosts: fields.or_default("extra_hosts", extra_hosts),
        network: fields.read("network", word),
        target: fields.read("target", word),
        secrets: fields.or_default("secrets", secrets),
        shm_size: fields.read("shm_size", bytes),
        tags: fields.or_default("tags", texts_as_they_are),
        ulimits: fields.or_default("ulimits", ulimits),
        platforms: fields.or_default("platforms", platforms),
    };
    fields.finish();
    complete(node, build, context_node.is_some(), dockerfile_node.as_ref())
}

/// Holds what is said of the Dockerfile together, and fills in its default.
fn complete(node: &Node, mut build: Build, has_context: bool, dockerfile: Option<&Node>) -> Option<Build> {
    if build.context.as_ref().is_some_and(|context| !context.starts_with('/')) {
        if build.dockerfile_inline.is_some() || build.dockerfile.as_ref().is_some_and(|path| path.starts_with('/')) {
            return node.fail("the Dockerfile must be one of the context, which the engine fetches: name its path there");
        }
        if !build.additional_contexts.is_empty() {
            return node.fail(unsupported("additional_contexts beside a context that is a URL", "clone it"));
        }
    }
    match (&build.dockerfile_inline, dockerfile) {
        (Some(_), Some(dockerfile)) => return dockerfile.fail("dockerfile and dockerfile_inline exclude each other"),
        (Some(_), None) => {}
        (None, _) if !has_context => {
            return node.fail("context is required: an absolute path on the host; without one, write dockerfile_inline");
        }
        (None, _) => build.dockerfile = build.dockerfile.take().or_else(|| Some(DOCKERFILE.to_owned())),
    }
    Some(build)
}

/// A folder of the host, by its absolute path; or what the engine fetches itself.
fn context(node: &Node) -> Option<String> {
    let path = word(node)?;
    let starts = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    match () {
        () if has_credentials(&path) => node.fail(
            "has credentials in it, which everybody who may read objects could read: clone it, and write the path of the folder",
        ),
        () if starts(&["https://", "http://", "git://", "ssh://", "git@", "github.com/"]) => Some(path),
        () if path.starts_with("service:") || path.starts_with("docker-image:") => {
            node.fail(unsupported("a context that is an image", "take files from an image with COPY --from"))
        }
        () if !path.starts_with('/') => node.fail(format!(
            "{path:?} is a relative path: a Deployment has no folder to start from; write an absolute path of the context"
        )),
        () => Some(super::mounts::clean(&path)),
    }
}

/// Whether a URL carries a password, or a token in the place of a user. That of ssh names a user, for whom a key answers.
fn has_credentials(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| scheme != "ssh" || user.contains(':'))
}

/// Images by name.
fn images(node: &Node) -> Option<BTreeMap<String, String>> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let is_stage = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(letter);
    let mut images = BTreeMap::new();
    for (name, value) in mapping(node)? {
        match value.strip_prefix("docker-image://") {
            Some(image) if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c == '$') => {
                node.fail::<()>(format!("{name}: {value:?} names no image"));
            }
            Some(_) if !is_stage(&name) => {
                let why = unsupported(&format!("the name {name:?}"), "take small letters, digits and -, _ or .");
                node.fail::<()>(why);
            }
            Some(image) => drop(images.insert(name, image.to_owned())),
            None => {
                let why = format!("{name}, which is no image: the engine takes one context");
                node.fail::<()>(unsupported(
                    &why,
                    "copy what is needed into it, or build an image of it and write docker-image://NAME",
                ));
            }
        }
    }
    Some(images)
}

/// Whether any stage is named.
fn no_cache_filter(node: &Node) -> Option<bool> {
    let stages = if node.is_list() { texts(node)? } else { vec![word(node)?] };
    if !stages.is_empty() {
        node.warn("the engine's builder leaves out all of its cache, or nothing: no stage is taken from it");
    }
    Some(!stages.is_empty())
}

/// `default`, `id=path`, or a map of them.
fn ssh(node: &Node) -> Option<Vec<SshKey>> {
    let key = |node: &Node, id: &str, path: Option<String>| match path {
        Some(path) if !path.starts_with('/') => {
            node.fail(format!("{path:?} is a relative path: write the absolute path of an agent's socket"))
        }
        path => Some(SshKey { id: id.to_owned(), path }),
    };
    let line = |node: &Node| {
        let text = word(node)?;
        let (id, path) = text.split_once('=').map_or((text.as_str(), None), |(id, path)| (id, Some(path.to_owned())));
        key(node, id, path)
    };
    match node.value {
        Value::String(_) => Some(vec![line(node)?]),
        Value::Array(_) => each(node, line),
        _ => {
            let entry = |(id, node): &(&str, Node)| {
                let path = if node.value.is_null() { None } else { word(node) };
                key(node, id, path)
            };
            Some(node.entries()?.iter().filter_map(entry).collect())
        }
    }
}

/// References; the engine's builders take layers from images only.
fn cache_from(node: &Node) -> Option<Vec<String>> {
    let texts = if node.is_list() { each(node, text)? } else { vec![word(node)?] };
    let image = |text: String| {
        if !text.contains("type=") {
            return Some(text);
        }
        let of_registry = text.split(',').any(|part| part == "type=registry");
        match text.split(',').find_map(|part| part.strip_prefix("ref=")) {
            Some(_) if of_registry => Some(text),
            _ => node.fail(unsupported(&format!("cache_from {text}"), "write the reference of an image")),
        }
    };
    Some(texts.into_iter().filter_map(image).collect())
}

fn platforms(node: &Node) -> Option<Vec<String>> {
    let platforms = texts(node)?;
    if platforms.len() > 1 {
        return node.fail(unsupported("an image of several platforms", "name one: the engine runs one"));
    }
    Some(platforms)
}

fn secrets(node: &Node) -> Option<Vec<FileMount>> {
    each(node, secret_of_build)
}
