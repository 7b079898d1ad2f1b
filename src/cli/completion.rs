//! `evenkeel completion`: what a shell needs to complete our words.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use super::failure::Failure;
use super::output::print;
use super::{Cli, help};

/// Prints the completion script of a shell.
#[derive(Debug, Args)]
#[command(after_help = help::COMPLETION)]
pub struct CompletionArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

/// `evenkeel completion`.
pub fn completion(args: &CompletionArgs) -> Result<(), Failure> {
    let shell = match args.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    let mut script = vec![];
    generate(shell, &mut Cli::command(), "evenkeel", &mut script);
    print(&String::from_utf8_lossy(&script))
}
