//! `evenkeel doctor`: what evenkeel leans on, and how to mend it; also where no operator answers.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::client::{Api, Connection, DOCTOR, HOST};
use super::failure::{Failure, exit};
use super::format::{Format, print_whole};
use super::help;
use super::output::{Look, print, table_of_lines};
use crate::clock::SystemClock;
use crate::docker;
use crate::doctor::{self, Finding, Subject, Verdict};

/// Examines what evenkeel leans on, and says how to mend what is wrong.
///
/// Operator, engine, permissions, cgroups, data folder, clock, address pools, disk, leftovers, restart policies and
/// certificates. Where no operator answers it examines what can be seen from here, with the operator's own settings
/// (configuration file and variables).
///
/// Exit codes: 0 all is well or only warned of, 1 something fails.
#[derive(Debug, Clone, Args)]
#[command(after_help = help::DOCTOR)]
pub struct DoctorArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Data folder of the operator, if none answers. Default: as for `evenkeel run`
    #[arg(long, value_name = "DIR", env = "EVENKEEL_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// Docker Engine to examine, if no operator answers. Default: as for `evenkeel run`
    #[arg(long, value_name = "URL", env = "EVENKEEL_DOCKER_HOST", hide_env_values = true)]
    pub docker_host: Option<String>,
    /// Folder of Docker's config.json, whose current context says which engine. Default: as for `evenkeel run`
    #[arg(long, value_name = "DIR", env = "EVENKEEL_DOCKER_CONFIG", hide_env_values = true)]
    pub docker_config: Option<PathBuf>,
    /// Name of the operator on the engine, if none answers. Default: as for `evenkeel run`
    #[arg(long, value_name = "NAME", env = "EVENKEEL_INSTANCE", hide_env_values = true)]
    pub instance: Option<String>,
    /// Configuration file of the operator. Default: as for `evenkeel run`
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What the operator on this host would run with.
#[derive(Debug, Clone)]
pub struct Local {
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Its engine; `None`: as the environment says.
    pub docker_host: Option<String>,
    /// Docker's configuration, with contexts; `None`: as the environment says.
    pub docker_config: Option<PathBuf>,
    /// Its name on the engine.
    pub instance: String,
}

/// `evenkeel doctor`; the exit code. `local` is an error where the operator's settings make no sense.
pub async fn doctor(args: DoctorArgs, local: anyhow::Result<Local>) -> u8 {
    let examined = examine(&args, local).await.and_then(|findings| show(args.output, &findings).map(|()| findings));
    match examined {
        Ok(findings) => u8::from(findings.iter().any(|finding| finding.result == Verdict::Fail)) * exit::FAILED,
        Err(failure) => failure.report(),
    }
}

async fn examine(args: &DoctorArgs, local: anyhow::Result<Local>) -> Result<Vec<Finding>, Failure> {
    let asked = match args.connection.open().await {
        Ok(api) => ask(&api).await,
        Err(failure) => Err(failure),
    };
    match asked {
        Ok(findings) => Ok(findings),
        Err(Failure::Usage(message)) => Err(Failure::Usage(message)),
        Err(failure) => {
            let mut findings = vec![no_operator(&failure)];
            if args.connection.is_local() {
                findings.extend(from_here(local).await);
            }
            Ok(findings)
        }
    }
}

/// What the operator finds.
async fn ask(api: &Api) -> Result<Vec<Finding>, Failure> {
    let host = api.get(HOST).await?;
    let mut answer = api.get(DOCTOR).await?;
    let checks: Vec<Finding> = serde_json::from_value(answer["checks"].take())
        .context("the operator's answer is no list of checks; is it of another version?")?;
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), host["operator"]["version"].as_str().unwrap_or("unknown"));
    let instance = host["operator"]["instance"].as_str().unwrap_or("unknown");
    let operator = if ours == theirs {
        Finding::ok("operator", format!("evenkeel {theirs} (instance {instance}) answers at {}", api.server()))
    } else {
        let says = format!("evenkeel {theirs} answers at {}, this command is {ours}", api.server());
        Finding::warn("operator", says, "use the same version for both")
    };
    let parts = ["store", "controller"].into_iter().filter_map(|part| {
        let why = host["operator"][part].as_str()?;
        Some(Finding::fail(part, format!("not ready: {why}"), "see the operator's log (journalctl -u evenkeel)"))
    });
    Ok([operator].into_iter().chain(parts).chain(checks).collect())
}

fn no_operator(failure: &Failure) -> Finding {
    let text = failure.lines().join("\n");
    let (message, remedy) = text.split_once('\n').unwrap_or((&text, "see its log (journalctl -u evenkeel)"));
    Finding::fail("operator", message.trim_start_matches("error: "), remedy)
}

/// What can be seen without an operator.
async fn from_here(local: anyhow::Result<Local>) -> Vec<Finding> {
    let local = match local {
        Ok(local) => local,
        Err(error) => {
            return vec![Finding::fail("configuration", format!("{error:#}"), "mend the file or variable that it names")];
        }
    };
    let engine = match docker::connect(local.docker_host.as_deref(), local.docker_config.as_deref()) {
        Ok(engine) => engine,
        Err(error) => {
            let error = anyhow::Error::new(error);
            return vec![Finding::fail("engine", format!("{error:#}"), "say where it is with --docker-host or DOCKER_HOST")];
        }
    };
    let subject =
        Subject { engine: &engine, instance: &local.instance, data_dir: &local.data_dir, clock: &SystemClock, operator: None };
    doctor::examine(&subject).await
}

fn show(format: Format, findings: &[Finding]) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => print_whole(format, &json!({"kind": "Diagnosis", "checks": findings})),
        Format::Name => print(&findings.iter().map(|finding| format!("{}\n", finding.check)).collect::<String>()),
        Format::Table | Format::Wide => print(&render(&Look::of_stdout(), findings)),
    }
}

fn render(look: &Look, findings: &[Finding]) -> String {
    let word = |result: Verdict| serde_json::to_value(result).ok().as_ref().and_then(Value::as_str).unwrap_or("?").to_owned();
    let row = |finding: &Finding| {
        let remedy = finding.remedy.iter().flat_map(|remedy| remedy.lines()).map(|line| format!("\n-> {line}"));
        vec![word(finding.result), finding.check.clone(), format!("{}{}", finding.message, remedy.collect::<String>())]
    };
    let count = |result: Verdict| findings.iter().filter(|finding| finding.result == result).count();
    let [ok, warn, fail] = [Verdict::Ok, Verdict::Warn, Verdict::Fail].map(count);
    let text = table_of_lines(look, "", &["RESULT", "CHECK", "WHAT WAS SEEN"], findings.iter().map(row).collect());
    format!("{text}\n{ok} ok, {warn} to look at, {fail} failing\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_with_how_to_mend_them() {
        let findings = [
            Finding::ok("engine", "Docker 20.10.24 (API 1.41) at unix:///var/run/docker.sock"),
            Finding::warn(
                "networks",
                "3 of 31 left in the address pools; each deployment takes one",
                "add pools to /etc/docker/daemon.json",
            ),
            Finding::fail("data folder", "/data cannot be written to: Permission denied", "run as the operator's user"),
        ];
        let look = |width| Look { color: false, width, now: jiff::Timestamp::UNIX_EPOCH };
        insta::assert_snapshot!("doctor", render(&look(None), &findings));
        insta::assert_snapshot!("doctor_narrow", render(&look(Some(60)), &findings));
    }

    #[test]
    fn an_operator_that_does_not_answer_is_told_with_what_to_do() {
        let seen = no_operator(&Failure::Other(anyhow::anyhow!("no answer from the operator at unix:/x: none\nIs it running?")));
        assert_eq!(
            (seen.message.as_str(), seen.remedy.as_deref()),
            ("no answer from the operator at unix:/x: none", Some("Is it running?"))
        );
    }
}
