//! `build` of a service.

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
    refuse(&mut fields, keys::BUILD);
    let build = Build {
        context: context_node.as_ref().and_then(context),
        dockerfile: dockerfile_node.as_ref().and_then(word),
        dockerfile_inline: inline,
        args: BuildArgs(fields.or_default("args", environment)),
        ssh: fields.or_default("ssh", ssh),
        labels: fields.or_default("labels", mapping),
        cache_from: fields.or_default("cache_from", cache_from),
        no_cache: fields.or_default("no_cache", flag),
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

/// A folder of the host, by its absolute path.
fn context(node: &Node) -> Option<String> {
    let path = word(node)?;
    let remote = ["://", "git@", "github.com/"].iter().any(|part| path.contains(part)) || path.ends_with(".git");
    match () {
        () if remote && !path.starts_with('/') => {
            node.fail(unsupported("a context that is a URL", "clone it and write the folder's absolute path"))
        }
        () if path.starts_with("service:") || path.starts_with("docker-image:") => {
            node.fail(unsupported("a context that is an image", "take files from an image with COPY --from"))
        }
        () if !path.starts_with('/') => node.fail(format!(
            "{path:?} is a relative path: a Deployment has no folder to start from; write an absolute path of the context"
        )),
        () => Some(super::mounts::clean(&path)),
    }
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
