//! An effective configuration as a Deployment manifest.

use std::collections::BTreeSet;

use serde_json::{Map as Object, Value as Json, json};

use super::paths::join;
use super::{Loaded, normalise_name};
use crate::crd::{API_VERSION, FieldError, Location};

/// The key of a Compose file's top level, and of its services, that carries what Compose has no word for.
const OWN: &str = "x-evenkeel";

/// What [`OWN`] may say of the object, and of its specification.
const ABOUT_OBJECT: [&str; 4] = ["name", "namespace", "labels", "annotations"];
const ABOUT_SPEC: [&str; 4] = ["state", "recovery", "monitoring", "profiles"];

/// What docker compose takes and does not act on, or a single Linux engine has no use for: left out with a word.
const IDLE: [&str; 17] = [
    "develop",
    "cpu_count",
    "cpu_percent",
    "credential_spec",
    "isolation",
    "deploy.update_config",
    "deploy.rollback_config",
    "deploy.placement",
    "deploy.endpoint_mode",
    "deploy.restart_policy.delay",
    "deploy.restart_policy.window",
    "deploy.resources.reservations.generic_resources",
    "build.provenance",
    "build.sbom",
    "build.cache_to",
    "build.isolation",
    "build.entitlements",
];

/// A Deployment made of Compose files.
#[derive(Debug, Clone)]
pub struct Made {
    /// The manifest.
    pub manifest: Json,
    /// What of the files has no effect here, with its place.
    pub warnings: Vec<String>,
}

/// What a Deployment of that project is called: the project's name with `-` for `_`.
pub fn object_name(project: &str) -> String {
    project.replace('_', "-").trim_matches('-').to_owned()
}

/// The profiles that a project's own `x-evenkeel` activates.
pub fn own_profiles(loaded: &Loaded) -> Vec<String> {
    let profiles = loaded.yaml[OWN]["profiles"].as_array();
    profiles.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Turns a project into a Deployment: the project's name, its services in their long form, and what `x-evenkeel` says.
/// `profiles` are those it was loaded with.
///
/// # Errors
/// `x-evenkeel` has a key that nobody knows.
pub fn deployment(loaded: &Loaded, profiles: &[String]) -> Result<Made, Vec<FieldError>> {
    let mut maker = Maker { loaded, warnings: Vec::new(), errors: Vec::new() };
    let (metadata, mut spec) = maker.own();
    let mut services = loaded.config["services"].clone();
    for (name, service) in services.as_object_mut().into_iter().flatten() {
        maker.service(name, service);
    }
    spec.insert("project".to_owned(), json!(loaded.name));
    spec.insert("services".to_owned(), services);
    for part in ["networks", "volumes", "secrets"] {
        if let Some(resources) = loaded.config.get(part) {
            spec.insert(part.to_owned(), resources.clone());
        }
    }
    if let Some(configs) = maker.configs() {
        spec.insert("configs".to_owned(), configs);
    }
    let active: BTreeSet<&String> = profiles.iter().filter(|profile| !profile.is_empty()).collect();
    if !active.is_empty() {
        spec.insert("profiles".to_owned(), json!(active));
    }
    let manifest = json!({"apiVersion": API_VERSION, "kind": "Deployment", "metadata": metadata, "spec": spec});
    if maker.errors.is_empty() { Ok(Made { manifest, warnings: maker.warnings }) } else { Err(maker.errors) }
}

struct Maker<'a> {
    loaded: &'a Loaded,
    warnings: Vec<String>,
    errors: Vec<FieldError>,
}

impl Maker<'_> {
    fn locate(&self, path: &str) -> Location {
        let steps: Vec<&str> = path.split('.').collect();
        self.loaded.locate(&steps)
    }

    fn wrong(&mut self, path: &str, message: String) {
        let location = Some(self.locate(path));
        self.errors.push(FieldError { path: path.to_owned(), message, location });
    }

    /// Metadata, and what `x-evenkeel` says of the specification.
    fn own(&mut self) -> (Object<String, Json>, Object<String, Json>) {
        let own = self.loaded.yaml[OWN].clone();
        let mut metadata = Object::from_iter([("name".to_owned(), json!(object_name(&self.loaded.name)))]);
        let mut spec = Object::new();
        if !own.is_null() && !own.is_object() {
            self.wrong(OWN, "must be a map".to_owned());
        }
        for (key, value) in own.as_object().into_iter().flatten() {
            match key.as_str() {
                key if ABOUT_OBJECT.contains(&key) => drop(metadata.insert(key.to_owned(), value.clone())),
                "profiles" => {}
                key if ABOUT_SPEC.contains(&key) => drop(spec.insert(key.to_owned(), value.clone())),
                key => {
                    let known = [&ABOUT_OBJECT[..], &ABOUT_SPEC[..]].concat().join(", ");
                    self.wrong(&format!("{OWN}.{key}"), format!("is not known: known are {known}"));
                }
            }
        }
        (metadata, spec)
    }

    fn service(&mut self, name: &str, service: &mut Json) {
        for field in IDLE {
            if take(service, field).is_some_and(|taken| !is_empty(&taken)) {
                let place = self.locate(&format!("services.{name}.{field}"));
                self.warnings.push(format!("{place}: services.{name}.{field}: has no effect"));
            }
        }
        for field in ["deploy.resources", "deploy", "command", "entrypoint"] {
            if get(service, field).is_some_and(is_empty_map) {
                take(service, field);
            }
        }
        if let Some(own) = self.loaded.yaml["services"][name].get(OWN) {
            service[OWN] = own.clone();
        }
        self.optional(service);
        self.seccomp(service);
        block_devices(service);
    }

    /// Profiles in files beside the project: Compose looks for them there when it makes a container.
    fn seccomp(&self, service: &mut Json) {
        for option in service.get_mut("security_opt").and_then(Json::as_array_mut).into_iter().flatten() {
            let profile = option.as_str().and_then(|text| text.strip_prefix("seccomp").map(|rest| rest.split_at_checked(1)));
            if let Some(Some((mark @ ("=" | ":"), path))) = profile
                && !["unconfined", "builtin"].contains(&path)
                && !path.starts_with('/')
            {
                *option = json!(format!("seccomp{mark}{}", join(&self.loaded.folder, path)));
            }
        }
    }

    /// A dependency that may be missing, and is.
    fn optional(&self, service: &mut Json) {
        let services = &self.loaded.config["services"];
        if let Some(known) = service.get_mut("depends_on").and_then(Json::as_object_mut) {
            known.retain(|other, _| services.get(other).is_some());
        }
    }

    /// Configs that come from a variable of the project have its text: the operator's own environment is another one.
    fn configs(&self) -> Option<Json> {
        let mut configs = self.loaded.config.get("configs")?.clone();
        for config in configs.as_object_mut()?.values_mut().filter_map(Json::as_object_mut) {
            let named = config.get("environment").and_then(Json::as_str);
            if let Some(text) = named.and_then(|name| self.loaded.variables.get(name)).cloned() {
                config.shift_remove("environment");
                config.insert("content".to_owned(), json!(text));
            }
        }
        Some(configs)
    }
}

/// Compose writes the limits on single block devices as Go names them.
fn block_devices(service: &mut Json) {
    let lists = service.get_mut("blkio_config").and_then(Json::as_object_mut).into_iter().flat_map(|config| config.values_mut());
    for device in lists.filter_map(Json::as_array_mut).flatten().filter_map(Json::as_object_mut) {
        *device = std::mem::take(device).into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
    }
}

fn is_empty_map(value: &Json) -> bool {
    value.is_null() || value.as_object().is_some_and(Object::is_empty)
}

fn is_empty(value: &Json) -> bool {
    is_empty_map(value) || matches!(value.as_str(), Some("" | "false"))
}

fn get<'a>(value: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn take(value: &mut Json, path: &str) -> Option<Json> {
    let (parent, key) = path.rsplit_once('.').map_or((None, path), |(parent, key)| (Some(parent), key));
    let mut holder = value;
    for step in parent.into_iter().flat_map(|parent| parent.split('.')) {
        holder = holder.get_mut(step)?;
    }
    holder.as_object_mut()?.shift_remove(key)
}

/// Whether a text is a Compose file and no manifest: a map with services or an include, and without kind and apiVersion.
pub fn is_compose(text: &str) -> bool {
    let tops = |key: &str| text.lines().any(|line| line.trim_end().split(':').next() == Some(key) && line.contains(':'));
    let quoted = |key: &str| tops(key) || tops(&format!("\"{key}\""));
    (quoted("services") || quoted("include")) && !quoted("kind") && !quoted("apiVersion")
}

/// The name that a project of a folder has, if nothing says another.
pub fn folder_name(folder: &str) -> String {
    normalise_name(folder.rsplit('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compose::{Given, Request, load};
    use crate::crd::{Kind, admit};

    fn made(text: &str) -> Result<Made, Vec<FieldError>> {
        let files = Given(BTreeMap::from([("/srv/my_shop/compose.yaml".to_owned(), text.to_owned())]));
        let request = Request {
            files: vec!["/srv/my_shop/compose.yaml".to_owned()],
            folder: "/srv/my_shop".to_owned(),
            default_name: "my_shop".to_owned(),
            ..Request::default()
        };
        let loaded = load(&request, &files).unwrap_or_else(|refused| panic!("{:?}", refused.errors));
        deployment(&loaded, &[])
    }

    #[test]
    fn a_compose_file_is_a_deployment_that_is_admitted() {
        let text = "\
x-evenkeel: {namespace: shop, state: Stopped, recovery: {maxAttempts: 3}, labels: {team: sea}}
services:
  web:
    image: nginx:1.29
    ports: ['8080:80']
    volumes: ['./site:/srv:ro', 'data:/data']
    environment: {PRICE: 5$$}
    deploy: {replicas: 1, placement: {constraints: [a==b]}}
    configs: [{source: conf, target: /etc/conf}]
    secrets: [key]
    depends_on: [db]
  db: {image: db, profiles: [never]}
volumes: {data: }
configs: {conf: {file: ./conf}}
secrets: {key: {file: ./key}}
"
        .replace("    depends_on: [db]\n", "    depends_on: {db: {condition: service_started, required: false}}\n");
        let Made { manifest, warnings } = made(&text).unwrap();
        assert_eq!(manifest["metadata"], json!({"name": "my-shop", "namespace": "shop", "labels": {"team": "sea"}}));
        assert_eq!(manifest["spec"]["project"], "my_shop");
        assert_eq!(manifest["spec"]["services"]["web"]["environment"]["PRICE"], "5$");
        assert_eq!(warnings, ["/srv/my_shop/compose.yaml:8:27: services.web.deploy.placement: has no effect"]);
        let admitted = admit(Kind::Deployment, manifest, None, false).unwrap();
        let web = &admitted.object["spec"]["services"]["web"];
        assert_eq!(admitted.object["spec"]["configs"]["conf"]["file"], "/srv/my_shop/conf");
        assert!(web.get("depends_on").is_none_or(|known| known == &json!({})));
        assert_eq!(web["configs"], json!([{"source": "conf", "target": "/etc/conf"}]));
    }

    #[test]
    fn what_cannot_be_run_is_told_with_its_place() {
        let text = "x-evenkeel: {nmespace: a}\nservices:\n  web: {image: a}\n";
        let errors: Vec<String> = made(text).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("/srv/my_shop/compose.yaml:1:14: x-evenkeel.nmespace: is not known"), "{errors:?}");
    }

    #[test]
    fn what_a_service_says_for_evenkeel_alone_is_kept() {
        let probes = "{probes: {liveness: {httpGet: {port: 80, path: /$$live}}}}";
        let text = format!("services:\n  web:\n    image: a\n    x-evenkeel: {probes}\n    x-other: {{a: b}}\n");
        let Made { manifest, .. } = made(&text).unwrap();
        let own = &manifest["spec"]["services"]["web"][OWN];
        assert_eq!(own["probes"]["liveness"]["httpGet"]["path"], "/$live");
        admit(Kind::Deployment, manifest, None, false).unwrap();
    }

    #[test]
    fn profiles_lie_beside_the_project_and_devices_are_named_as_in_manifests() {
        let text = "\
services:
  web:
    image: a
    security_opt: ['seccomp:./strict.json', 'seccomp=unconfined', 'seccomp=/etc/p.json', 'label:disable']
    blkio_config: {weight: 20, device_read_bps: [{path: /dev/sda, rate: 1mb}], weight_device: [{path: /dev/sda, weight: 30}]}
";
        let Made { manifest, .. } = made(text).unwrap();
        let web = &manifest["spec"]["services"]["web"];
        let options = ["seccomp:/srv/my_shop/strict.json", "seccomp=unconfined", "seccomp=/etc/p.json", "label:disable"];
        assert_eq!(web["security_opt"], json!(options));
        let config = &web["blkio_config"];
        assert_eq!(config["weight_device"], json!([{"path": "/dev/sda", "weight": 30}]));
        assert_eq!(config["device_read_bps"][0]["path"], "/dev/sda");
        admit(Kind::Deployment, manifest, None, false).unwrap();
    }

    #[test]
    fn manifests_and_compose_files_are_told_apart() {
        assert!(is_compose("name: a\nservices:\n  web: {}\n"));
        assert!(is_compose("include: [a.yaml]\n"));
        assert!(!is_compose("apiVersion: v1\nkind: Deployment\nspec:\n  services: {}\n"));
        assert!(!is_compose("kind: Hold\n"));
        assert!(!is_compose("spec:\n  services: {}\n"));
        assert_eq!((object_name("my_shop_"), folder_name("/a/My.Shop")), ("my-shop".to_owned(), "myshop".to_owned()));
    }
}
