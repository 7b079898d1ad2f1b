//! The evenkeel binary.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use evenkeel::api;
use evenkeel::cli::kubeconfig::KubeconfigArgs;
use evenkeel::cli::run::RunArgs;
use evenkeel::cli::{self, Cli, Command, Failure};
use evenkeel::config::Settings;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => operate(args).map_err(Failure::from),
        Command::Kubeconfig(args) => kubeconfig(args),
        Command::Client(command) => match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => return runtime.block_on(cli::execute(command)).into(),
            Err(error) => Err(Failure::Other(anyhow::Error::new(error).context("cannot start"))),
        },
    };
    done.err().map_or(0, |failure| failure.report()).into()
}

fn operate(args: RunArgs) -> anyhow::Result<()> {
    let settings = Settings::load(args)?;
    let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(evenkeel::app::run(settings))
}

fn kubeconfig(args: KubeconfigArgs) -> Result<(), Failure> {
    let settings = Settings::load(RunArgs { config: args.config, data_dir: args.data_dir, ..RunArgs::default() })?;
    let served = || api::served_url(&settings.data_dir).with_context(|| not_served(&settings));
    let url = args.server.map_or_else(served, Ok)?;
    let credentials = api::Credentials::read(&settings.data_dir).with_context(|| {
        format!(
            "cannot read the credentials in {}: has the operator run there, and are you its user?",
            settings.data_dir.display()
        )
    })?;
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
