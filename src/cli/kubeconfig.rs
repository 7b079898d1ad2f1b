//! Arguments of `evenkeel kubeconfig`. It reads what the operator left in its data folder, so `main` carries it out.

use std::path::PathBuf;

use clap::Args;

use super::help;

/// Prints what kubectl needs to reach the operator: address, certificate and token.
///
/// Run it on the operator's host, as the operator's user. Whoever has the file can do everything that root can on this host.
#[derive(Debug, Args)]
#[command(after_help = help::KUBECONFIG)]
pub struct KubeconfigArgs {
    /// Address to put into it, for a tunnel or a name of this host. Default: the address the operator listens on
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// Write it to this file, readable only by its owner, instead of printing it
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Data folder of the operator. Default: as for `evenkeel run`
    #[arg(long, value_name = "DIR", env = "EVENKEEL_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,

    /// Configuration file of the operator. Default: as for `evenkeel run`
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
}
