//! `evenkeel exec`: runs a command in a container.

mod session;
mod terminal;

use std::io::{self, IsTerminal};

use clap::Args;

use super::client::{Connection, deployment_path, encode, name};
use super::failure::Failure;
use super::help;
use super::output::tell;
use super::replicas::Replicas;
use terminal::RawMode;

/// Runs a command in a container, and exits with its code.
///
/// In the first replica of a service that runs, or in the one that is named. The engine does not end a command whose
/// client goes away: without a terminal, Ctrl-C leaves it running in the container.
#[derive(Debug, Args)]
#[command(after_help = help::EXEC, override_usage = "evenkeel exec [OPTIONS] <DEPLOYMENT> [SERVICE] -- <COMMAND>...")]
pub struct ExecArgs {
    /// Name of the deployment
    #[arg(value_parser = name)]
    deployment: String,
    /// Which service (web) or replica of it (web-2). Default: the only service
    #[arg(value_name = "SERVICE")]
    part: Option<String>,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Give it our input
    #[arg(short = 'i', long = "stdin", visible_alias = "interactive")]
    stdin: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Give it no terminal, which is the default here; for those used to docker compose
    #[arg(short = 'T', long = "no-tty", conflicts_with = "tty")]
    no_tty: bool,
    /// As whom: a name or uid, with :group or :gid if wanted
    #[arg(short, long)]
    user: Option<String>,
    /// In which folder of the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// A further variable; can be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// `evenkeel exec`; the command's exit code.
pub async fn exec(args: ExecArgs) -> Result<u8, Failure> {
    let api = args.connection.open().await?;
    let namespace = args.connection.namespace();
    let id = Replicas::of(&api, namespace, &args.deployment).await?.one(args.part.as_deref())?;
    // A terminal at the other end of a pipe would garble what goes through it, as `kubectl exec -t` warns too.
    let tty = args.tty && io::stdin().is_terminal();
    if args.tty && !tty {
        tell("warning: -t is left out, our input is no terminal");
    }
    let mut query = vec![format!("container={id}&stdout=true&stdin={}&tty={tty}&stderr={}", args.stdin, !tty)];
    query.extend(args.command.iter().map(|word| format!("command={}", encode(word))));
    query.extend(args.env.iter().map(|pair| format!("env={}", encode(pair))));
    query.extend(args.user.iter().map(|user| format!("user={}", encode(user))));
    query.extend(args.workdir.iter().map(|folder| format!("workdir={}", encode(folder))));
    let path = deployment_path(namespace, &args.deployment, Some("exec"));
    let socket = api.connect(&format!("{path}?{}", query.join("&"))).await?;
    // Only now: what was refused is told on a terminal that is as it was.
    let raw = if tty { Some(RawMode::enter()?) } else { None };
    let ended = session::run(socket, args.stdin, tty).await;
    drop(raw);
    ended
}

fn variable(text: &str) -> Result<String, String> {
    let named = text.split_once('=').is_some_and(|(name, _)| !name.is_empty());
    if named { Ok(text.to_owned()) } else { Err("write NAME=VALUE".to_owned()) }
}
