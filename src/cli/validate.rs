//! `evenkeel validate`: manifests and Compose files checked without an operator.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::failure::{Failure, exit};
use super::help;
use super::manifests::{Files, Manifest};
use super::output::print;

/// Checks manifests and Compose files, without an operator.
///
/// All that is wrong is told at once, with file, line, column and field. What only the operator can know, such as a project that
/// another deployment has, is found by `evenkeel diff -f`.
#[derive(Debug, Args)]
#[command(after_help = help::VALIDATE, override_usage = "evenkeel validate [OPTIONS] -f FILE")]
pub struct ValidateArgs {
    #[command(flatten)]
    files: Files,
    /// Namespace that all of them have to be for
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `evenkeel validate`; the exit code.
pub fn validate(args: &ValidateArgs) -> Result<u8, Failure> {
    let read = args.files.read(args.namespace.as_deref());
    let report = match (args.output, &read) {
        (Output::Text, _) => return read.and_then(|manifests| print(&lines(&manifests)).map(|()| 0)),
        (Output::Json, Ok(manifests)) => json!({"valid": true, "manifests": listed(manifests), "errors": []}),
        (Output::Json, Err(Failure::Invalid(errors, _))) => json!({"valid": false, "manifests": [], "errors": errors}),
        (Output::Json, Err(_)) => return read.map(|_| 0),
    };
    print(&(serde_json::to_string_pretty(&report).context("cannot print the report")? + "\n"))?;
    Ok(if read.is_ok() { 0 } else { exit::FAILED })
}

fn lines(manifests: &[Manifest]) -> String {
    let line = |one: &Manifest| {
        let (word, key, document) = (one.word(), &one.key, &one.document);
        format!("{}:{}: {word} {key} is right\n", document.file, document.line)
    };
    manifests.iter().map(line).collect()
}

fn listed(manifests: &[Manifest]) -> Vec<Value> {
    let one = |one: &Manifest| {
        json!({"kind": one.kind.name(), "namespace": one.key.namespace, "name": one.key.name,
            "file": one.document.file, "line": one.document.line})
    };
    manifests.iter().map(one).collect()
}
