//! `evenkeel compose config`: what Compose files come to, offline, in docker compose's own words.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::failure::Failure;
use super::help;
use super::output::{print, tell};
use super::yaml;
use crate::compose::{Asked, Disk, Loaded, Refused, Request, find, load, load_raw};
use crate::crd::compose::config_hash;

/// Reads Compose files as docker compose does. The operator is not asked, and no engine.
#[derive(Debug, Args)]
#[command(after_help = help::COMPOSE)]
pub struct ComposeArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(subcommand)]
    command: ComposeCommand,
}

/// Which project.
#[derive(Debug, Args)]
struct ProjectArgs {
    /// Compose file, - for stdin; can be given several times, each laid over those before it
    #[arg(short = 'f', long = "file", value_name = "FILE", global = true)]
    files: Vec<String>,
    /// File of variables instead of .env; can be given several times
    #[arg(long = "env-file", value_name = "FILE", global = true)]
    env_files: Vec<String>,
    /// Profile to activate, * for all; can be given several times
    #[arg(long = "profile", value_name = "PROFILE", global = true)]
    profiles: Vec<String>,
    /// Name of the project
    #[arg(short = 'p', long, value_name = "NAME", global = true)]
    project_name: Option<String>,
    /// Folder that relative paths start from; default: that of the first file
    #[arg(long, value_name = "FOLDER", global = true)]
    project_directory: Option<String>,
    /// Keep networks, volumes and the like that no service uses
    #[arg(long, global = true)]
    all_resources: bool,
}

#[derive(Debug, Subcommand)]
enum ComposeCommand {
    Config(ConfigArgs),
}

/// Prints the configuration that Compose files come to, in the one form that docker compose prints.
#[derive(Debug, Args)]
#[command(after_help = help::COMPOSE)]
struct ConfigArgs {
    /// Services to show, with what they depend on; default: all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = ConfigFormat::Yaml)]
    format: ConfigFormat,
    /// Only say whether it is right
    #[arg(short, long)]
    quiet: bool,
    /// Do not put variables in
    #[arg(long)]
    no_interpolate: bool,
    /// Accepted and without effect, as with docker compose 2.40: env files are read all the same
    #[arg(long)]
    no_env_resolution: bool,
    /// Do not check the project as a whole
    #[arg(long)]
    no_consistency: bool,
    /// Write to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

/// Lists instead of the configuration.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct ListArgs {
    /// Names of the services, each after those it depends on
    #[arg(long = "services")]
    names: bool,
    /// Keys of the volumes
    #[arg(long)]
    volumes: bool,
    /// Keys of the networks
    #[arg(long)]
    networks: bool,
    /// Images, those of built ones included
    #[arg(long)]
    images: bool,
    /// Models
    #[arg(long)]
    models: bool,
    /// Profiles
    #[arg(long = "profiles")]
    all_profiles: bool,
    /// Config hashes of these services (comma-separated), or of all: *
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
    /// Variables that the files can use
    #[arg(long)]
    environment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConfigFormat {
    /// YAML, with models and extensions
    Yaml,
    /// JSON
    Json,
}

/// `evenkeel compose`.
pub fn compose(args: ComposeArgs) -> Result<(), Failure> {
    let ComposeCommand::Config(config) = args.command;
    let request = request(args.project, &config)?;
    if config.no_interpolate {
        let raw = load_raw(&request, &Disk).map_err(refused)?;
        return if config.quiet { Ok(()) } else { put(&config, &shown(&raw, config.format)?) };
    }
    let loaded = load(&request, &Disk).map_err(refused)?;
    loaded.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    if let Some(list) = list(&config.list, &loaded, &request)? {
        return if config.quiet { Ok(()) } else { put(&config, &lines(list)) };
    }
    if config.format == ConfigFormat::Json && !loaded.not_json.is_empty() {
        return Err(Failure::Invalid(loaded.not_json, "the configuration cannot be shown as JSON".to_owned()));
    }
    if config.quiet {
        return Ok(());
    }
    let value = if config.format == ConfigFormat::Json { &loaded.config } else { &loaded.yaml };
    // What Compose reads back must mean the same.
    put(&config, &shown(value, config.format)?.replace('$', "$$"))
}

/// The project that is meant, from the command line and the environment.
fn request(project: ProjectArgs, config: &ConfigArgs) -> Result<Request, Failure> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let env_files = match (project.env_files, environment.get("COMPOSE_ENV_FILES")) {
        (given, Some(list)) if given.is_empty() => list.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
        (given, _) => given,
    };
    let asked = Asked {
        files: project.files,
        env_files,
        profiles: project.profiles,
        name: project.project_name,
        folder: project.project_directory,
        here: here.to_string_lossy().into_owned(),
        environment,
    };
    let found = find(&asked, &Disk).map_err(|message| Failure::Other(anyhow!(message)))?;
    found.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    let mut request = found.request;
    if request.files.iter().any(|file| file == "-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read a Compose file from stdin")?;
        request.texts.insert("-".to_owned(), text);
    }
    request.services.clone_from(&config.services);
    request.all_resources = project.all_resources;
    request.no_consistency = config.no_consistency;
    Ok(request)
}

fn refused(refused: Refused) -> Failure {
    refused.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    let count = refused.errors.len();
    let summary =
        format!("the Compose files cannot be used: {count} {} wrong", if count == 1 { "thing is" } else { "things are" });
    Failure::Invalid(refused.errors, summary)
}

fn shown(value: &Value, format: ConfigFormat) -> Result<String, Failure> {
    Ok(match format {
        ConfigFormat::Json => serde_json::to_string_pretty(value).context("cannot print the configuration")? + "\n",
        ConfigFormat::Yaml => yaml::to_string(value),
    })
}

fn put(config: &ConfigArgs, text: &str) -> Result<(), Failure> {
    match &config.output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {path}")).map_err(Failure::from),
        None => print(text),
    }
}

fn lines(list: Vec<String>) -> String {
    list.into_iter().map(|line| line + "\n").collect()
}

/// What is listed instead of the configuration, if something is.
fn list(list: &ListArgs, loaded: &Loaded, request: &Request) -> Result<Option<Vec<String>>, Failure> {
    let keys = |part: &str| loaded.yaml[part].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
    Ok(Some(match list {
        list if list.names => in_order(&loaded.yaml["services"]),
        list if list.volumes => keys("volumes"),
        list if list.networks => keys("networks"),
        list if list.images => images(loaded),
        list if list.models => {
            let models = loaded.yaml["models"].as_object().into_iter().flatten();
            models.filter_map(|(_, model)| model["model"].as_str().map(str::to_owned)).collect()
        }
        list if list.all_profiles => loaded.profiles.iter().cloned().collect(),
        list if list.environment => {
            let mut variables = request.environment.clone();
            variables.insert("COMPOSE_PROJECT_NAME".to_owned(), loaded.name.clone());
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
        }
        ListArgs { hash: Some(names), .. } => hashes(names, loaded)?,
        _ => return Ok(None),
    }))
}

fn images(loaded: &Loaded) -> Vec<String> {
    let services = loaded.yaml["services"].as_object().into_iter().flatten();
    let image = |(name, service): (&String, &Value)| match service["image"].as_str() {
        Some(image) => image.to_owned(),
        None => format!("{}-{name}", loaded.name),
    };
    services.map(image).collect()
}

fn hashes(names: &str, loaded: &Loaded) -> Result<Vec<String>, Failure> {
    let services = &loaded.config["services"];
    let mut names: Vec<String> = match names {
        "*" => services.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        names => names.split(',').map(str::to_owned).collect(),
    };
    names.sort();
    let hash = |name: String| match services.get(&name) {
        Some(service) => Ok(format!("{name} {}", config_hash(service))),
        None => Err(Failure::Other(anyhow!("no such service: {name}"))),
    };
    names.into_iter().map(hash).collect()
}

/// Names of services, each behind those it depends on.
fn in_order(services: &Value) -> Vec<String> {
    fn visit(name: &str, services: &Value, listed: &mut Vec<String>, under_way: &mut Vec<String>) {
        let known = |names: &[String]| names.iter().any(|known| known == name);
        let Some(service) = services.get(name).filter(|_| !known(listed) && !known(under_way)) else { return };
        under_way.push(name.to_owned());
        for (next, _) in service["depends_on"].as_object().into_iter().flatten() {
            visit(next, services, listed, under_way);
        }
        under_way.pop();
        listed.push(name.to_owned());
    }
    let mut listed = Vec::new();
    for (name, _) in services.as_object().into_iter().flatten() {
        visit(name, services, &mut listed, &mut Vec::new());
    }
    listed
}
