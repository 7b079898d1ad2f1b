use serde_json::{Value, json};

use super::*;
use crate::crd::compose::corpus;
use crate::crd::{Kind, admit};

/// An object as it would be stored, if it would be.
fn admitted(spec: &Value) -> Result<Deployment, String> {
    let object = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "shop"}, "spec": spec});
    let admitted = admit(Kind::Deployment, object, None, false).map_err(|errors| list_errors(&errors))?;
    Ok(serde_json::from_value(admitted.object).unwrap())
}

#[test]
fn all_that_cannot_be_resolved_is_said_at_once() {
    let text = errors(
        "
services:
  app:
    image: i
    ports: ['3000-3005:80']
    depends_on: [hidden]
    ipc: service:hidden
    networks: [gone]
    volumes: ['gone:/a']
    secrets: [gone]
    volumes_from: [nobody]
  hidden: {image: i, profiles: [dev]}
",
    );
    insta::assert_snapshot!(text.replace("; ", "\n"), @r#"
    spec.services.app.networks.gone: there is no network "gone" in spec.networks
    spec.services.app.volumes[0]: there is no volume "gone" in spec.volumes
    spec.services.app.secrets[0]: there is no secret "gone" in spec.secrets
    spec.services.app.volumes_from[0]: there is no service "nobody"
    spec.services.app.ipc: service "hidden" is not enabled: add one of its profiles (dev) to spec.profiles
    spec.services.app.ports[0]: a range of host ports (3000-3005) for one container port is not supported: write one port, or none to let Docker choose
    spec.services.app.depends_on.hidden: service "hidden" is not enabled: add one of its profiles (dev) to spec.profiles
    spec.services.app.depends_on.nobody: there is no service "nobody"
    "#);
}

#[test]
fn what_cannot_be_resolved_is_not_admitted() {
    for service in [
        json!({}),
        json!({"image": "i", "ports": ["3000-3005:80"]}),
        json!({"image": "i", "depends_on": ["hidden"]}),
        json!({"image": "i", "network_mode": "service:hidden"}),
        json!({"image": "i", "network_mode": "a-network"}),
        json!({"image": "i", "pid": "service:nobody"}),
        json!({"image": "i", "links": ["hidden:h"]}),
        json!({"image": "i", "volumes_from": ["hidden"]}),
        json!({"image": "i", "networks": ["gone"]}),
        json!({"image": "i", "volumes": ["gone:/a"]}),
        json!({"image": "i", "secrets": ["gone"]}),
        json!({"image": "i", "restart": "sometimes"}),
        json!({"image": "i", "pull_policy": "build"}),
        json!({"image": "i", "expose": ["http"]}),
    ] {
        let spec = json!({"services": {"app": service, "hidden": {"image": "i", "profiles": ["dev"]}}});
        let deployment = deployment(&spec.to_string());
        assert!(desired_of(&deployment).is_err(), "resolved: {spec}");
        assert!(admitted(&spec).is_err(), "admitted: {spec}");
    }
}

#[test]
fn a_seccomp_profile_is_named_by_its_absolute_path() {
    for (option, right) in [
        ("seccomp=profile.json", false),
        ("seccomp:./profile.json", false),
        ("seccomp=/etc/profile.json", true),
        ("systempaths=unconfined", true),
        ("systempaths=all", false),
        ("seccomp:unconfined", true),
        ("apparmor=unconfined", true),
        ("no-new-privileges:true", true),
        ("label=disable", true),
    ] {
        let admitted = admitted(&json!({"services": {"app": {"image": "i", "security_opt": [option]}}}));
        assert_eq!(admitted.is_ok(), right, "{option}: {admitted:?}");
    }
}

#[test]
fn whatever_is_admitted_is_resolved() {
    let Some(samples) = corpus::accepted() else { return };
    let (mut resolved, mut replicas) = (0, 0);
    for sample in samples {
        let parts = ["services", "networks", "volumes", "secrets", "configs"];
        let part = |part: &&str| Some(((*part).to_owned(), sample.config.get(*part)?.clone()));
        let mut spec: serde_json::Map<String, Value> = parts.iter().filter_map(part).collect();
        spec.insert("profiles".to_owned(), json!(["*"]));
        let Ok(deployment) = admitted(&Value::Object(spec)) else { continue };
        let desired = desired_of(&deployment).unwrap_or_else(|errors| panic!("{}: {errors}", sample.id));
        resolved += 1;
        replicas += desired.services.values().map(|service| service.replicas).sum::<u32>();
    }
    assert!(resolved > 400 && replicas > 600, "{resolved} resolved, {replicas} replicas");
}
