//! What Compose checks of a whole project: references, contradictions, circles.

use std::collections::BTreeMap;

use serde_json::{Map as Object, Value as Json};

use super::node::{Node, Path, Place};
use super::select::{Services, is_optional, named_volumes};
use super::sink::Sink;

/// A project as it is checked.
pub(super) struct Project<'a> {
    /// The whole tree.
    pub root: &'a Node,
    /// Its services.
    pub services: &'a Services,
    /// Enabled services as they are written.
    pub written: &'a BTreeMap<String, Object<String, Json>>,
    /// Where what is wrong goes.
    pub sink: &'a Sink,
}

/// One service as it is checked.
struct Service<'a> {
    project: &'a Project<'a>,
    name: &'a str,
    node: &'a Node,
    written: &'a Object<String, Json>,
}

/// Tells everything that contradicts itself.
pub(super) fn check(project: &Project<'_>) {
    for (name, node) in &project.services.enabled {
        if let Some(written) = project.written.get(name) {
            let service = Service { project, name, node, written };
            service.image();
            service.build();
            service.networks();
            service.dependencies();
            service.resources();
            service.numbers();
            service.mounts();
        }
    }
    secrets(project);
    circles(project);
}

impl Service<'_> {
    /// Records what is wrong with a field, given by the keys and positions that lead to it.
    fn wrong(&self, steps: &[&str], message: impl Into<String>) {
        let path = steps.iter().fold(Path::of(&["services", self.name]), |path, step| match step.parse() {
            Ok(index) => path.item(index),
            Err(_) => path.key(step),
        });
        self.project.sink.error(&path, self.place(steps), message);
    }

    fn place(&self, steps: &[&str]) -> Place {
        self.node.locate(steps)
    }

    fn text(&self, key: &str) -> &str {
        self.written.get(key).and_then(Json::as_str).unwrap_or_default()
    }

    fn image(&self) {
        let given = ["build", "provider"].iter().any(|key| self.written.contains_key(*key));
        if !given && self.text("image").is_empty() {
            self.wrong(&[], "has neither image nor build: name the image to run, or how it is built");
        }
        if let Some(first) = self.written.get("healthcheck").and_then(|check| check["test"][0].as_str())
            && !matches!(first, "CMD" | "CMD-SHELL" | "NONE")
        {
            self.wrong(&["healthcheck", "test"], format!("must start with CMD, CMD-SHELL or NONE, not {first:?}"));
        }
        let watches = self.node.get("develop").and_then(|develop| develop.get("watch")).and_then(Node::as_list);
        for (index, watch) in watches.unwrap_or_default().iter().enumerate() {
            let action = watch.get("action").and_then(Node::as_text).unwrap_or_default();
            let target = watch.get("target").and_then(Node::as_text).unwrap_or_default();
            if target.is_empty() && !matches!(action, "rebuild" | "restart") {
                let message = format!("is missing target, where {action} puts files");
                self.wrong(&["develop", "watch", &index.to_string()], message);
            }
        }
    }

    fn build(&self) {
        let Some(build) = self.written.get("build") else { return };
        if build.get("dockerfile").is_some() && build.get("dockerfile_inline").is_some() {
            self.wrong(&["build"], "has dockerfile and dockerfile_inline: keep one");
        }
        for (key, context) in build["additional_contexts"].as_object().into_iter().flatten() {
            let Some(target) = context.as_str().and_then(|context| context.strip_prefix("service:")) else { continue };
            let steps = ["build", "additional_contexts", key];
            match self.project.services.enabled.get(target) {
                None => self.wrong(&steps, format!("names the service {target}, which is not there")),
                Some(other) if other.get("build").is_none_or(Node::is_null) => {
                    self.wrong(&steps, format!("names the service {target}, which is not built"));
                }
                Some(_) => {}
            }
        }
        let platform = self.text("platform");
        if let Some(platforms) = build["platforms"].as_array()
            && !platform.is_empty()
            && !platforms.iter().any(|one| one == platform)
        {
            self.wrong(&["build", "platforms"], format!("must include the service's platform {platform}"));
        }
        self.sources("build secret", "secrets", &["build", "secrets"], &build["secrets"]);
    }

    fn networks(&self) {
        let networks = self.written.get("networks").and_then(Json::as_object);
        let mode = self.text("network_mode");
        if !mode.is_empty() && networks.is_some() {
            self.wrong(&["networks"], "cannot be given beside network_mode: keep one");
        }
        for (network, _) in networks.into_iter().flatten() {
            if !self.declared("networks", network) {
                self.wrong(&["networks", network], format!("refers to the network {network}, which is not under networks"));
            }
        }
        if let Some(target) = mode.strip_prefix("service:")
            && !self.project.services.enabled.contains_key(target)
        {
            self.wrong(&["network_mode"], format!("names the service {target}, which is not there"));
        }
    }

    fn dependencies(&self) {
        let dependencies = self.node.get("depends_on").and_then(Node::as_map).into_iter().flatten();
        for (name, dependency) in dependencies {
            let services = self.project.services;
            let missing = match (services.enabled.contains_key(name), services.disabled.get(name)) {
                (true, _) => continue,
                (false, Some(_)) if is_optional(dependency) => continue,
                (false, Some(other)) => {
                    format!(
                        "needs the service {name}, which is not active: its profiles are {}",
                        super::select::profiles(other).join(", ")
                    )
                }
                (false, None) => format!("depends on the service {name}, which is not there"),
            };
            self.wrong(&["depends_on", name], missing);
        }
    }

    fn resources(&self) {
        for (index, source) in named_volumes(self.node) {
            if !self.declared("volumes", source) {
                let message = format!("refers to the volume {source}, which is not under volumes");
                self.wrong(&["volumes", &index.to_string()], message);
            }
        }
        let part = |key: &str| self.written.get(key).unwrap_or(&Json::Null);
        self.sources("config", "configs", &["configs"], part("configs"));
        self.sources("secret", "secrets", &["secrets"], part("secrets"));
        for (model, _) in part("models").as_object().into_iter().flatten() {
            if !self.declared("models", model) {
                self.wrong(&["models", model], format!("refers to the model {model}, which is not under models"));
            }
        }
    }

    fn sources(&self, what: &str, part: &str, steps: &[&str], mounts: &Json) {
        for (index, mount) in mounts.as_array().into_iter().flatten().enumerate() {
            let source = mount["source"].as_str().unwrap_or_default();
            if !self.declared(part, source) {
                let index = index.to_string();
                let steps: Vec<&str> = steps.iter().copied().chain([index.as_str()]).collect();
                self.wrong(&steps, format!("refers to the {what} {source}, which is not under {part}"));
            }
        }
    }

    fn declared(&self, part: &str, key: &str) -> bool {
        self.project.root.get(part).is_some_and(|resources| resources.get(key).is_some())
    }

    /// What can be said in two places must be the same in both.
    fn numbers(&self) {
        let null = Json::Null;
        let deploy = self.written.get("deploy").unwrap_or(&null);
        let (scale, replicas) = (self.written.get("scale").and_then(Json::as_i64), deploy["replicas"].as_i64());
        if let (Some(one), Some(other)) = (scale, replicas)
            && one != other
        {
            self.wrong(&["scale"], format!("is {one}, and deploy.replicas is {other}: keep one"));
        }
        for (steps, number) in [(&["scale"][..], scale), (&["deploy", "replicas"], replicas)] {
            if number.is_some_and(|number| number < 0) {
                self.wrong(steps, "must not be negative");
            }
        }
        for (key, part, field) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ] {
            let Some(own) = self.written.get(key) else { continue };
            let resources = &deploy["resources"][part];
            if resources.is_object() && resources.get(field) != Some(own) {
                let message = format!("is {own}, and deploy.resources.{part}.{field} is not: write the same in both");
                self.wrong(&[key], message);
            }
        }
        if scale.or(replicas).unwrap_or(1) > 1 && !self.text("container_name").is_empty() {
            self.wrong(&["container_name"], "cannot be given for several replicas: a container's name is unique");
        }
    }

    fn mounts(&self) {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut mount = |key: &str, index: usize, target: &str| {
            let here = format!("{key}[{index}]");
            if let Some(other) = known.insert(target.to_owned(), here) {
                let message = format!("mounts on {target}, where {other} is mounted already");
                self.wrong(&[key, &index.to_string()], message);
            }
        };
        let list = |key: &str| self.written.get(key).and_then(Json::as_array).into_iter().flatten().enumerate();
        for (index, tmpfs) in list("tmpfs") {
            mount("tmpfs", index, tmpfs.as_str().unwrap_or_default().split(':').next().unwrap_or_default());
        }
        for (index, volume) in list("volumes") {
            mount("volumes", index, volume["target"].as_str().unwrap_or_default());
        }
    }
}

fn secrets(project: &Project<'_>) {
    let secrets = project.root.get("secrets").and_then(Node::as_map).into_iter().flatten();
    for (name, secret) in secrets {
        let external = secret.get("external").is_some_and(|external| external.value == super::node::Value::Bool(true));
        let given = |key: &str| secret.get(key).and_then(Node::as_text).is_some_and(|text| !text.is_empty());
        if !external && !given("file") && !given("environment") {
            let path = Path::of(&["secrets", name]);
            project.sink.error(&path, secret.place, "must have file or environment, where it comes from");
        }
    }
}

/// Services that depend on one another in a circle.
fn circles(project: &Project<'_>) {
    let mut done: Vec<&str> = Vec::new();
    for name in project.services.enabled.keys() {
        visit(project, name, &mut Vec::new(), &mut done);
    }
}

fn visit<'a>(project: &Project<'a>, name: &'a str, way: &mut Vec<&'a str>, done: &mut Vec<&'a str>) {
    if done.contains(&name) {
        return;
    }
    let Some(service) = project.services.enabled.get(name) else { return };
    way.push(name);
    for (next, dependency) in service.get("depends_on").and_then(Node::as_map).into_iter().flatten() {
        if let Some(at) = way.iter().position(|known| known == next) {
            let circle: Vec<&str> = way[at..].iter().copied().chain([next.as_str()]).collect();
            let path = Path::of(&["services", name, "depends_on", next]);
            project.sink.error(
                &path,
                dependency.place,
                format!("services depend on one another in a circle: {}", circle.join(" -> ")),
            );
        } else {
            visit(project, next, way, done);
        }
    }
    way.pop();
    done.push(name);
}

/// Names of containers that two services want.
pub(super) fn container_names(project: &Project<'_>) {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, written) in project.written {
        let Some(container) = written.get("container_name").and_then(Json::as_str) else { continue };
        if let Some(other) = known.insert(container, name) {
            let path = Path::of(&["services", name, "container_name"]);
            let place = project.services.enabled.get(name).map(|node| node.locate(&["container_name"])).unwrap_or_default();
            project.sink.error(&path, place, format!("is {container}, which service {other} has taken"));
        }
    }
}
