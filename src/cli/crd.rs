//! `evenkeel crd`: the kinds, as Kubernetes describes kinds.

use anyhow::Context;
use clap::Args;

use super::failure::Failure;
use super::help;
use super::output::print;
use crate::crd::crds_yaml;

/// Prints the definitions of all kinds as YAML, for editors and tools.
#[derive(Debug, Args)]
#[command(after_help = help::CRD)]
pub struct CrdArgs {}

/// `evenkeel crd`.
pub fn crd(_: &CrdArgs) -> Result<(), Failure> {
    print(&crds_yaml().context("cannot print the kinds as YAML")?)
}
