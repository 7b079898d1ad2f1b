//! `evenkeel version`: that of this command, of the operator, and of its engine.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Connection, HOST};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::help;
use super::output::{Look, print, table};
use crate::crd::API_VERSION;

/// Shows the versions of this command, of the operator and of its Docker Engine.
#[derive(Debug, Args)]
#[command(after_help = help::VERSION)]
pub struct VersionArgs {
    /// Only that of this command; the operator is not asked
    #[arg(long)]
    client: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel version`.
pub async fn version(args: VersionArgs) -> Result<(), Failure> {
    let client = json!({"version": env!("CARGO_PKG_VERSION"), "apiVersion": API_VERSION});
    let mut all = json!({ "client": client });
    let mut failure = None;
    if !args.client {
        let asked = match args.connection.open().await {
            Ok(api) => api.get(HOST).await.map(|host| (host, api.server().to_owned())),
            Err(failure) => Err(failure),
        };
        match asked {
            Ok((host, server)) => {
                let operator = &host["operator"];
                all["server"] = json!({"version": operator["version"], "apiVersion": host["apiVersion"], "address": server});
                all["engine"] = engine(&host);
            }
            Err(other) => failure = Some(other),
        }
    }
    match args.output {
        Format::Json | Format::Yaml => print_whole(args.output, &all)?,
        Format::Name => print(&format!("evenkeel/{}\n", env!("CARGO_PKG_VERSION")))?,
        Format::Table | Format::Wide => print(&render(&Look::of_stdout(), &all))?,
    }
    failure.map_or(Ok(()), Err)
}

fn engine(host: &Value) -> Value {
    let engine = &host["engine"];
    if engine.is_null() {
        return json!({ "error": host["engineError"] });
    }
    json!({"version": engine["version"], "apiVersion": engine["apiVersion"], "address": engine["address"],
        "platform": format!("linux/{}", text(&engine["architecture"]))})
}

fn render(look: &Look, all: &Value) -> String {
    let row = |part: &str, what: &str, at: &Value| {
        let [version, api] = ["version", "apiVersion"].map(|field| text(&at[field]));
        vec![part.to_owned(), format!("{what} {version}"), api.to_owned(), at["address"].as_str().unwrap_or_default().to_owned()]
    };
    let mut rows = vec![row("client", "evenkeel", &all["client"])];
    rows.extend(all.get("server").map(|server| row("server", "evenkeel", server)));
    rows.extend(all.get("engine").map(|engine| match engine["error"].as_str() {
        Some(error) => vec!["engine".to_owned(), String::new(), String::new(), error.to_owned()],
        None => row("engine", "Docker", engine),
    }));
    table(look, "", &["PART", "VERSION", "API", "AT"], rows)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}
