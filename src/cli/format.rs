//! `-o`: the ways to print objects.

use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;

use super::failure::Failure;
use super::output::print;

/// Ways to print objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// The same with more columns
    Wide,
    /// Whole objects
    Yaml,
    /// Whole objects
    Json,
    /// Names only, a line each
    Name,
}

impl Format {
    /// Whether it is for people.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Prints an object whole, as JSON or else as YAML.
pub fn print_whole(format: Format, object: &Value) -> Result<(), Failure> {
    let attempt = "cannot print the answer";
    match format {
        Format::Json => print(&(serde_json::to_string_pretty(object).context(attempt)? + "\n")),
        _ => print(&serde_yaml::to_string(object).context(attempt)?),
    }
}

/// Prints one of several objects that come one after another: JSON lines, or YAML documents.
pub fn print_next(format: Format, object: &Value) -> Result<(), Failure> {
    match format {
        Format::Json => print(&format!("{object}\n")),
        _ => print(&format!("---\n{}", serde_yaml::to_string(object).context("cannot print the answer")?)),
    }
}
