//! `evenkeel adopt`: takes over what runs under docker compose, as it is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Api, Connection, PROJECTS, deployment_path, list_path};
use super::failure::Failure;
use super::help;
use super::manifests::{Files, Manifest, check};
use super::output::{Look, print, table, tell};
use super::wait::{self, Seen};
use crate::clock::{Clock, SystemClock};
use crate::compose::{Asked, is_compose};
use crate::crd::{self, Deployment, Kind, project_of};
use crate::model::{AdoptRequest, Key, annotations};
use crate::sources::compose;

/// Takes over containers that run under docker compose, without restarting one.
///
/// Containers, networks and volumes of the project stay as they are: evenkeel writes down that they are its own, and what Docker's
/// restart policy was, which becomes `no`. The deployment is read from the Compose files that the project was made of, unless
/// it is declared already. What differs from them is shown, and made anew only with --recreate. `evenkeel release` gives it all back to
/// Docker. Without a project: lists those that are there.
#[derive(Debug, Args)]
#[command(after_help = help::ADOPT, override_usage = "evenkeel adopt [OPTIONS] [PROJECT..]")]
pub struct AdoptArgs {
    /// Compose projects
    #[arg(value_name = "PROJECT")]
    projects: Vec<String>,
    /// All projects that nobody has yet
    #[arg(long, conflicts_with = "projects")]
    all: bool,
    /// The project's Compose file, or a manifest; can be given several times. Default: the files that its containers name
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with = "all")]
    filenames: Vec<PathBuf>,
    /// Make anew what differs from its declaration
    #[arg(long)]
    recreate: bool,
    /// Start declared services that have no container
    #[arg(long)]
    start_missing: bool,
    /// Only show what would be taken over and what differs
    #[arg(long)]
    dry_run: bool,
    /// How long to wait until it is taken over
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    timeout: crd::Duration,
    #[command(flatten)]
    connection: Connection,
}

/// A Compose project, as the operator sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Project {
    name: String,
    deployment: Option<String>,
    instance: Option<String>,
    working_dir: Option<String>,
    config_files: Vec<String>,
    containers: Vec<Member>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Member {
    name: String,
    service: String,
    running: bool,
    ours: bool,
}

/// `evenkeel adopt`.
pub async fn adopt(args: AdoptArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let list = api.get(PROJECTS).await?;
    let projects: Vec<Project> =
        serde_json::from_value(list["items"].clone()).context("the operator's answer is no list of projects")?;
    if args.all {
        let free: Vec<&Project> = projects.iter().filter(|project| project.is_free()).collect();
        if free.is_empty() {
            return print("there is no Compose project that nobody has yet\n");
        }
        return each(&api, &args, &free).await;
    }
    if args.projects.is_empty() {
        return listing(&projects);
    }
    let mut asked = vec![];
    for name in &args.projects {
        let found = projects.iter().find(|project| project.name == *name);
        asked.push(found.ok_or_else(|| {
            let known: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
            anyhow!("there is no container of a Compose project {name:?} on the engine; there are: {}", known.join(", "))
        })?);
    }
    if asked.len() > 1 && !args.filenames.is_empty() {
        return Err(Failure::Usage("-f is for one project at a time".to_owned()));
    }
    each(&api, &args, &asked).await
}

/// Takes over one after the other; all failures are told, the first one counts.
async fn each(api: &Api, args: &AdoptArgs, projects: &[&Project]) -> Result<(), Failure> {
    let mut first = None;
    for project in projects {
        if let Err(failure) = one(api, args, project).await
            && let Some(before) = first.replace(failure)
        {
            before.report();
        }
    }
    first.map_or(Ok(()), Err)
}

fn listing(projects: &[Project]) -> Result<(), Failure> {
    let row = |project: &Project| {
        let up = project.containers.iter().filter(|member| member.running).count();
        let whose = match (&project.deployment, &project.instance) {
            (_, Some(instance)) => format!("instance {instance}"),
            (Some(deployment), None) if project.containers.iter().all(|member| member.ours) => deployment.clone(),
            (Some(deployment), None) => format!("{deployment}, in part"),
            (None, None) => "-".to_owned(),
        };
        let files = if project.config_files.is_empty() { "-".to_owned() } else { project.config_files.join(", ") };
        vec![project.name.clone(), format!("{up}/{}", project.containers.len()), whose, files]
    };
    print(&table(&Look::of_stdout(), "", &["PROJECT", "RUNNING", "DEPLOYMENT", "FILES"], projects.iter().map(row).collect()))
}

impl Project {
    fn is_free(&self) -> bool {
        self.deployment.is_none() && self.instance.is_none()
    }
}

async fn one(api: &Api, args: &AdoptArgs, project: &Project) -> Result<(), Failure> {
    if let Some(instance) = &project.instance {
        let name = &project.name;
        return Err(anyhow!("project {name} belongs to the evenkeel instance {instance}; only that one can look after it").into());
    }
    let (key, plan) = match &project.deployment {
        Some(owner) => declared(api, args, project, owner).await?,
        None => undeclared(api, args, project).await?,
    };
    let adoptions = adoptions(&plan);
    let remade: String = if args.recreate { adoptions.iter().filter_map(made_anew).collect() } else { String::new() };
    if args.dry_run {
        return print(&format!("{}\n{remade}", plan["text"].as_str().unwrap_or_default().trim_end()));
    }
    let actions = plan["actions"].as_array().into_iter().flatten().filter_map(|action| action["action"].as_str());
    let anew: Vec<&str> = actions.filter(|_| args.recreate && adoptions.is_empty()).collect();
    if !anew.is_empty() {
        return print(&format!("project {}: what differs is being made anew: {}\n", project.name, anew.join(", ")));
    }
    if adoptions.is_empty() {
        let waiting = plan["waiting"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let why = waiting.map(|line| format!("\n  {line}")).collect::<String>();
        return print(&format!("project {}: there is nothing to take over{why}\n", project.name));
    }
    arrived(api, args, &key, &adoptions).await?;
    for adoption in &adoptions {
        print(&format!("{}\n", adoption["text"].as_str().unwrap_or_default()))?;
    }
    left_alone(project, &adoptions);
    print(&remade)?;
    print(&format!("project {} is adopted: deployment {}\n", project.name, key.name))
}

/// That a container which is taken over is made anew after that, if it differs.
fn made_anew(adoption: &Value) -> Option<String> {
    let differs = adoption["differs"].as_array().filter(|lines| !lines.is_empty())?;
    let lines: Vec<&str> = differs.iter().filter_map(Value::as_str).collect();
    let name = adoption["name"].as_str().unwrap_or_default();
    Some(format!("  then make container {name} anew (--recreate): {}\n", lines.join("; ")))
}

fn adoptions(plan: &Value) -> Vec<Value> {
    plan["adoptions"].as_array().cloned().unwrap_or_default()
}

/// Says which running containers of the project stay with Compose.
fn left_alone(project: &Project, adoptions: &[Value]) {
    let taken: BTreeSet<&str> = adoptions.iter().filter_map(|adoption| adoption["name"].as_str()).collect();
    for member in project.containers.iter().filter(|member| !member.ours && !taken.contains(member.name.as_str())) {
        tell(&format!("warning: container {} (service {}) is not declared and was left alone", member.name, member.service));
    }
}

/// The project has a Deployment: it is told to take over what there is, though it differs.
async fn declared(api: &Api, args: &AdoptArgs, project: &Project, owner: &str) -> Result<(Key, Value), Failure> {
    let Ok(key) = owner.parse::<Key>();
    if !args.filenames.is_empty() {
        let message =
            format!("project {} is declared by deployment {owner} already; change it there instead of -f", project.name);
        return Err(Failure::Usage(message));
    }
    let path = deployment_path(&key.namespace, &key.name, None);
    let mut object = api.get(&path).await?;
    let request = AdoptRequest { at: SystemClock.now(), recreate: args.recreate };
    object["metadata"]["annotations"][annotations::ADOPTED_AT] = request.to_string().into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let plan = api.post(&plan_path(), &object).await?;
    if !args.dry_run {
        api.post(&format!("{path}/adopt"), &json!({ "recreate": args.recreate })).await?;
    }
    Ok((key, plan))
}

/// Nobody has it: its files become a Deployment.
async fn undeclared(api: &Api, args: &AdoptArgs, project: &Project) -> Result<(Key, Value), Failure> {
    let manifest = manifest(args, project)?;
    let request = AdoptRequest { at: SystemClock.now(), recreate: args.recreate };
    may_start(args, project, &missing(&manifest.object, project))?;
    let mut object = manifest.object.clone();
    object["metadata"]["annotations"][annotations::ADOPTED_AT] = request.to_string().into();
    let plan = api.post(&plan_path(), &object).await.map_err(|failure| manifest.locate(failure))?;
    if !args.dry_run {
        let list = list_path("deployments", Some(&manifest.key.namespace));
        api.post(&list, &object).await.map_err(|failure| manifest.locate(failure))?;
    }
    Ok((manifest.key, plan))
}

/// Declared services that run and have no container at all.
fn missing(manifest: &Value, project: &Project) -> Vec<String> {
    let words = |list: &Value| -> BTreeSet<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let spec = &manifest["spec"];
    let active = words(&spec["profiles"]);
    let there: BTreeSet<&str> = project.containers.iter().map(|member| member.service.as_str()).collect();
    let runs = |service: &Value| {
        let profiles = words(&service["profiles"]);
        let is_active = profiles.is_empty() || active.contains("*") || !profiles.is_disjoint(&active);
        is_active && service["scale"] != 0 && service["deploy"]["replicas"] != 0
    };
    let services = spec["services"].as_object().into_iter().flatten();
    services.filter(|(name, service)| !there.contains(name.as_str()) && runs(service)).map(|(name, _)| name.clone()).collect()
}

/// Says what would be started that does not run now, and refuses unless that is asked for.
fn may_start(args: &AdoptArgs, project: &Project, missing: &[String]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let (name, services) = (&project.name, missing.join(", "));
    if args.start_missing || args.recreate || args.dry_run {
        tell(&format!("warning: project {name}: declared services that have no container are started: {services}"));
        return Ok(());
    }
    Err(anyhow!(
        "project {name}: declared services that have no container would be started: {services}; \
         with --start-missing they are, else take them out of the Compose file. Nothing was done"
    )
    .into())
}

fn plan_path() -> String {
    format!("/apis/{}/plan", crd::API_VERSION)
}

/// Waits until the operator has written down what it takes over.
async fn arrived(api: &Api, args: &AdoptArgs, key: &Key, adoptions: &[Value]) -> Result<(), Failure> {
    let containers: Vec<&str> =
        adoptions.iter().filter(|found| found["kind"] == "container").filter_map(|found| found["name"].as_str()).collect();
    let what = format!("deployment {} has taken over {}", key.name, containers.join(", "));
    wait::until(api, &key.namespace, &key.name, args.timeout.0, &what, |seen| {
        let Seen::There(deployment) = seen else { return false };
        let services = deployment.status.iter().flat_map(|status| &status.services);
        let there: BTreeSet<&str> = services.flat_map(|service| &service.containers).map(|found| found.name.as_str()).collect();
        containers.iter().all(|name| there.contains(name))
    })
    .await
}

/// The Deployment that the project's files declare.
fn manifest(args: &AdoptArgs, project: &Project) -> Result<Manifest, Failure> {
    let namespace = args.connection.namespace.as_deref();
    if let [file] = args.filenames.as_slice()
        && !of_compose(file)?
    {
        let files = Files { filenames: args.filenames.clone() };
        let found = files.read(namespace)?.into_iter().find(|manifest| {
            let object = serde_json::from_value::<Deployment>(manifest.object.clone());
            manifest.kind == Kind::Deployment && object.is_ok_and(|object| project_of(&object) == project.name)
        });
        let message = || anyhow!("no deployment in {} has the project {}", file.display(), project.name);
        return found.ok_or_else(|| message().into());
    }
    let here = std::env::current_dir().context("cannot tell the current folder")?.to_string_lossy().into_owned();
    let variable =
        |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
    let mut asked = Asked {
        name: Some(project.name.clone()),
        // Which profiles were active is seen from what runs.
        profiles: vec!["*".to_owned()],
        environment: std::env::vars_os().map(variable).collect(),
        here,
        ..Asked::default()
    };
    if args.filenames.is_empty() {
        named_by_labels(&mut asked, project)?;
    } else {
        asked.files = args.filenames.iter().map(|file| file.display().to_string()).collect();
    }
    let main = asked.files.first().cloned().unwrap_or_default();
    let mut read = compose::read(&asked, &main, [].into());
    read.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    with_active_profiles(&mut read.document.value, project);
    let checked = check(&read.document, namespace.or(Some("default"))).map_err(|errors| {
        Failure::Invalid(errors, format!("the files of project {} cannot be used; nothing was done", project.name))
    })?;
    Ok(Manifest { kind: Kind::Deployment, key: checked.key, object: checked.manifest, document: read.document })
}

/// The files and the folder that Compose wrote on the containers.
fn named_by_labels(asked: &mut Asked, project: &Project) -> Result<(), Failure> {
    let name = &project.name;
    if project.config_files.is_empty() {
        return Err(anyhow!("the containers of project {name} do not name their Compose file; give it with -f FILE").into());
    }
    // Older versions of Compose write them as they were given.
    let folder = Path::new(project.working_dir.as_deref().unwrap_or_default());
    asked.files = project.config_files.iter().map(|file| folder.join(file).display().to_string()).collect();
    for file in &asked.files {
        let readable = std::fs::metadata(file);
        readable.with_context(|| format!("cannot read the Compose file {file} of project {name}; give it with -f FILE"))?;
    }
    asked.folder.clone_from(&project.working_dir);
    asked.here = project.working_dir.clone().unwrap_or_else(|| asked.here.clone());
    Ok(())
}

fn of_compose(file: &Path) -> Result<bool, Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(is_compose(&text))
}

/// Activates those profiles that services with a container need, and no others.
fn with_active_profiles(manifest: &mut Value, project: &Project) {
    let spec = &manifest["spec"];
    let there: BTreeSet<&str> = project.containers.iter().map(|member| member.service.as_str()).collect();
    let first = |(name, service): (&String, &Value)| {
        let profile = service["profiles"].as_array()?.first()?.as_str()?;
        there.contains(name.as_str()).then(|| profile.to_owned())
    };
    let needed: BTreeSet<String> = spec["services"].as_object().into_iter().flatten().filter_map(first).collect();
    let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if needed.is_empty() {
        spec.remove("profiles");
    } else {
        spec.insert("profiles".to_owned(), json!(needed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_without_a_container_are_missing_if_they_would_run() {
        let member = Member { service: "web".to_owned(), ..Member::default() };
        let project = Project { containers: vec![member], ..Project::default() };
        let services = json!({"web": {}, "db": {}, "off": {"scale": 0}, "none": {"deploy": {"replicas": 0}},
            "tool": {"profiles": ["ops"]}, "debug": {"profiles": ["debug"]}});
        let manifest = json!({"spec": {"profiles": ["ops"], "services": services}});
        assert_eq!(missing(&manifest, &project), ["db", "tool"]);
    }

    #[test]
    fn profiles_are_those_of_the_services_that_have_containers() {
        let member = |service: &str| Member { service: service.to_owned(), ..Member::default() };
        let project = Project { containers: vec![member("web"), member("tool")], ..Project::default() };
        let services = json!({"web": {}, "tool": {"profiles": ["ops", "all"]}, "debug": {"profiles": ["debug"]}});
        let mut manifest = json!({"spec": {"profiles": ["*"], "services": services}});
        with_active_profiles(&mut manifest, &project);
        assert_eq!(manifest["spec"]["profiles"], json!(["ops"]));
        let none = Project { containers: vec![member("web")], ..Project::default() };
        with_active_profiles(&mut manifest, &none);
        assert!(manifest["spec"].get("profiles").is_none());
    }
}
