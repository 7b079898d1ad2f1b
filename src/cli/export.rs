//! `evenkeel export`: a deployment as a Compose file.

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};

use super::client::{Connection, deployment_path, name};
use super::failure::Failure;
use super::help;
use super::output::print;
use super::yaml;
use crate::crd::{DeclaredState, Deployment, Recovery, project_of};

/// Prints a deployment as a Compose file that docker compose and evenkeel take.
///
/// Project, services, networks, volumes and secrets are as they are declared; `x-evenkeel` has what Compose has no word for.
#[derive(Debug, Args)]
#[command(after_help = help::EXPORT)]
pub struct ExportArgs {
    /// Name of the deployment
    #[arg(value_parser = name)]
    deployment: String,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel export`.
pub async fn export(args: ExportArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let object = api.get(&deployment_path(args.connection.namespace(), &args.deployment, None)).await?;
    let deployment: Deployment = serde_json::from_value(object).context("the operator's answer is no Deployment")?;
    print(&yaml::to_string(&compose_file(&deployment)))
}

/// The Compose file that a deployment stands for. Its values are literal there, so each `$` is doubled.
fn compose_file(deployment: &Deployment) -> Value {
    let spec = &deployment.spec;
    let mut file = Map::from_iter([("name".to_owned(), json!(project_of(deployment)))]);
    let parts = [
        ("services", &spec.services),
        ("networks", &spec.networks),
        ("volumes", &spec.volumes),
        ("secrets", &spec.secrets),
        ("configs", &spec.configs),
    ];
    for (key, part) in parts {
        if !part.is_empty() {
            file.insert(key.to_owned(), escaped(&json!(part)));
        }
    }
    let own = own(deployment);
    if !own.is_empty() {
        file.insert("x-evenkeel".to_owned(), Value::Object(own));
    }
    Value::Object(file)
}

/// What Compose has no word for, where it is not what it would be anyway.
fn own(deployment: &Deployment) -> Map<String, Value> {
    let (spec, metadata) = (&deployment.spec, &deployment.metadata);
    let namespace = metadata.namespace.clone().filter(|namespace| namespace != "default");
    let said = [
        ("name", metadata.name.as_ref().filter(|name| **name != project_of(deployment)).map(|name| json!(name))),
        ("namespace", namespace.map(|namespace| json!(namespace))),
        ("labels", metadata.labels.as_ref().filter(|labels| !labels.is_empty()).map(|labels| json!(labels))),
        ("state", (spec.state == DeclaredState::Stopped).then(|| json!("Stopped"))),
        ("recovery", (spec.recovery != Recovery::default()).then(|| json!(spec.recovery))),
        ("monitoring", spec.monitoring.as_ref().map(|monitoring| json!(monitoring))),
        ("profiles", Some(&spec.profiles).filter(|profiles| !profiles.is_empty()).map(|profiles| json!(profiles))),
    ];
    said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), escaped(value))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::compose::{Given, Request, deployment, load};

    /// What the file declares that a Deployment is exported to.
    fn again(declared: &Deployment) -> Value {
        let text = yaml::to_string(&compose_file(declared));
        let files = Given(BTreeMap::from([("/web/compose.yaml".to_owned(), text.clone())]));
        let request = Request { files: vec!["/web/compose.yaml".into()], folder: "/web".into(), ..Request::default() };
        let loaded = load(&request, &files).unwrap_or_else(|refused| panic!("{:?}\n{text}", refused.errors));
        deployment(&loaded, &[]).unwrap().manifest
    }

    fn declared(app: &Value) -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "staging"},
            "spec": {"project": "web", "recovery": {"maxAttempts": 3}, "services": {"app": app}, "volumes": {"data": {}}},
        }))
        .unwrap()
    }

    #[test]
    fn what_is_exported_declares_the_same_again() {
        let made = again(&declared(&json!({"image": "app:1", "command": ["sh", "-c", "echo $HOME"], "volumes": ["data:/data"]})));
        assert_eq!((&made["metadata"]["name"], &made["metadata"]["namespace"]), (&json!("web"), &json!("staging")), "{made}");
        assert_eq!(made["spec"]["services"]["app"]["command"], json!(["sh", "-c", "echo $HOME"]));
        assert_eq!(made["spec"]["recovery"]["maxAttempts"], 3);
        assert_eq!(made["spec"]["project"], "web");
    }

    /// Texts that one reader of YAML or another takes for a number, a date, a boolean or nothing.
    fn text() -> impl Strategy<Value = String> {
        let known =
            ["1_000", "1_0.5", "0x1_0", "1_", "2001-01-01", "no", "yes", "on", "Off", "y", "~", "null", "", "12:30", ".inf"];
        prop_oneof![
            prop::sample::select(known.to_vec()).prop_map(str::to_owned),
            "[-+.]?[0-9][0-9_.xobe:+-]{0,7}",
            "[ -~\n]{0,12}"
        ]
    }

    proptest! {
        #[test]
        fn texts_are_exported_as_they_are(texts in prop::collection::btree_map("[A-Za-z][A-Za-z0-9_]{0,3}", text(), 1..4)) {
            let words: Vec<&String> = texts.values().collect();
            let app = json!({"image": "app:1", "environment": texts, "labels": texts, "command": words});
            let made = again(&declared(&app));
            for part in ["environment", "labels", "command"] {
                let sorted = |value: &Value| serde_json::from_value::<BTreeMap<String, String>>(value.clone()).ok();
                let made = &made["spec"]["services"]["app"][part];
                prop_assert!(*made == app[part] || sorted(made).is_some_and(|texts| Some(texts) == sorted(&app[part])), "{}: {}", part, made);
            }
        }
    }
}
