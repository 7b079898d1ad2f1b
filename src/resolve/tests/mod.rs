mod admitted;
mod hash;
mod policy;
mod template;

use std::fmt::Debug;

use super::resolve;
use crate::crd::{Deployment, list_errors};
use crate::model::{ContainerSpec, Desired, DesiredService, RecoveryMode};

/// A Deployment `shop` in namespace `default`, from the YAML of its spec.
fn deployment(spec: &str) -> Deployment {
    let spec = serde_yaml::from_str(spec).unwrap();
    let mut deployment = Deployment::new("shop", spec);
    deployment.metadata.namespace = Some("default".to_owned());
    deployment.metadata.uid = Some("u-1".to_owned());
    deployment.metadata.generation = Some(3);
    deployment
}

fn desired_of(deployment: &Deployment) -> Result<Desired, String> {
    let source = Some("/etc/evenkeel/manifests/shop.yaml");
    resolve(deployment, vec![], "default", RecoveryMode::Auto, None, source).map_err(|errors| list_errors(&errors))
}

/// What a spec comes to.
fn desired(spec: &str) -> Desired {
    desired_of(&deployment(spec)).unwrap_or_else(|errors| panic!("{errors}\n{spec}"))
}

/// What is wrong with a spec.
fn errors(spec: &str) -> String {
    desired_of(&deployment(spec)).expect_err(spec)
}

/// What one service named `app` comes to, from the YAML lines of its keys, with spec-level lines after `---`.
fn app(lines: &str) -> DesiredService {
    let (service, rest) = lines.split_once("---").unwrap_or((lines, ""));
    let service: String = service.lines().map(|line| format!("    {}\n", line)).collect();
    desired(&format!("services:\n  app:\n    image: i\n{service}\n{rest}")).services.remove("app").unwrap()
}

/// Only what is set, one line a field.
fn text(spec: &ContainerSpec) -> String {
    let unset = fields(&ContainerSpec::default());
    fields(spec).into_iter().filter(|field| !unset.contains(field)).collect::<Vec<_>>().join("\n")
}

fn fields(spec: &ContainerSpec) -> Vec<String> {
    let mut fields: Vec<String> = vec![];
    for line in format!("{spec:#?}").lines().skip(1).filter(|line| *line != "}") {
        match fields.last_mut() {
            Some(last) if line.starts_with("     ") || line.trim_start().starts_with([']', '}', ')']) => {
                last.push_str(line.trim())
            }
            _ => fields.push(line.trim().to_owned()),
        }
    }
    fields
}

fn lines(items: impl IntoIterator<Item = impl Debug>) -> String {
    items.into_iter().map(|item| format!("{item:?}\n")).collect()
}
