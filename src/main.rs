//! The evenkeel binary.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use evenkeel::api;
use evenkeel::cli::doctor::{self, DoctorArgs, Local};
use evenkeel::cli::kubeconfig::KubeconfigArgs;
use evenkeel::cli::run::RunArgs;
use evenkeel::cli::{self, Cli, Command, Failure};
use evenkeel::config::Settings;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::set_coloring(cli.color);
    let done = match cli.command {
        Command::Run(args) => operate(*args).map(|()| 0).map_err(Failure::from),
        Command::Kubeconfig(args) => kubeconfig(args).map(|()| 0),
        Command::Doctor(args) => examine(args),
        Command::Client(command) => client(cli::execute(command)),
    };
    done.unwrap_or_else(|failure| failure.report()).into()
}

/// Runs a command to its end; the exit code.
fn client(command: impl Future<Output = u8>) -> Result<u8, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let code = runtime.block_on(command);
    // A disk that hangs is told of; nobody waits for it.
    runtime.shutdown_background();
    Ok(code)
}

/// `evenkeel doctor`, with what the operator on this host would run with.
fn examine(args: DoctorArgs) -> Result<u8, Failure> {
    let DoctorArgs { config, data_dir, docker_host, docker_config, instance, .. } = args.clone();
    let settings = Settings::load(RunArgs { config, data_dir, docker_host, docker_config, instance, ..RunArgs::default() });
    let local = settings.map(|Settings { data_dir, docker_host, docker_config, instance, .. }| Local {
        data_dir,
        docker_host,
        docker_config,
        instance,
    });
    client(doctor::doctor(args, local))
}

fn operate(args: RunArgs) -> anyhow::Result<()> {
    let settings = Settings::load(args)?;
    let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(evenkeel::app::run(settings))
}

fn kubeconfig(args: KubeconfigArgs) -> Result<(), Failure> {
    let settings = Settings::load(RunArgs { config: args.config, data_dir: args.data_dir, ..RunArgs::default() })?;
    let credentials = api::Credentials::read(&settings.data_dir).with_context(|| {
        format!(
            "cannot read the credentials in {}: has the operator run there, and are you its user?",
            settings.data_dir.display()
        )
    })?;
    let served = || api::served_url(&settings.data_dir).with_context(|| not_served(&settings));
    let url = args.server.map_or_else(served, Ok)?;
    let text = api::kubeconfig(&url, &credentials);
    let Some(path) = args.output else { return cli::print(&text) };
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    Ok(written.with_context(|| format!("cannot write {}", path.display()))?)
}

fn not_served(settings: &Settings) -> String {
    format!(
        "there is nothing for kubectl to connect to: the operator with data folder {} has not run, or serves no HTTPS (listen is none)",
        settings.data_dir.display()
    )
}
