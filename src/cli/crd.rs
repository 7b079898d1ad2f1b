//! `evenkeel crd`: the kinds, as Kubernetes describes kinds.

use anyhow::Context;
use clap::Args;
use kube::CustomResourceExt;

use super::failure::Failure;
use super::output::print;
use crate::crd::{Deployment, Hold};

/// Prints the definitions of all kinds as YAML, for editors and tools.
#[derive(Debug, Args)]
pub struct CrdArgs {}

/// `evenkeel crd`.
pub fn crd(_: &CrdArgs) -> Result<(), Failure> {
    let mut text = String::new();
    for definition in [Deployment::crd(), Hold::crd()] {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(&definition).context("cannot print a kind as YAML")?);
    }
    print(&text)
}
