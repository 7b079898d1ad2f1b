//! A repository of 1,000 manifests: first sync, a commit that changes one, a look at a quiet repository, memory over many commits.
//!
//! Over `file://`, so that what is measured is git's processes and evenkeel's own work, not a network. Goal: 2 s, 50 ms, 10 ms, and
//! memory that does not grow with commits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that meets the unexpected fails")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::clock::{SharedClock, SystemClock};
use evenkeel::model::Key;
use evenkeel::registry::{Registry, WriteOptions};
use evenkeel::sources::{Keeper, Surroundings};
use evenkeel::store::{Kind, Part, Store};
use serde_json::json;

const MANIFESTS: usize = 1_000;
const ROUNDS: usize = 20;
const COMMITS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    println!("\na repository of {MANIFESTS} manifests");
    let folder = tempfile::tempdir().unwrap();
    let upstream = folder.path().join("upstream");
    std::fs::create_dir(&upstream).unwrap();
    git(&upstream, &["init", "--quiet", "--initial-branch=main"]);
    for number in 0..MANIFESTS {
        write(&upstream, number, 0);
    }
    commit(&upstream);

    let clock: SharedClock = Arc::new(SystemClock);
    let (store, _) = Store::open(&folder.path().join("data"), Arc::clone(&clock)).unwrap();
    let registry = Registry::new(store, Arc::clone(&clock));
    let key = Key::new("default", "bench");
    let source = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "bench"},
        "spec": {"git": {"url": format!("file://{}", upstream.display())}},
    });
    let options = WriteOptions::default();
    registry.replace(Kind::Source, &key, source, Part::Main, true, &options).await.unwrap();
    let surroundings = Surroundings::new(registry.clone(), clock, folder.path().join("sources"));
    let mut keeper = Keeper::new(key, surroundings);

    report("first sync", &[timed(&mut keeper).await]);
    assert_eq!(registry.store().list(Kind::Deployment, None).unwrap().items.len(), MANIFESTS);
    keeper.sync().await;
    let mut quiet = Vec::new();
    for _ in 0..ROUNDS {
        quiet.push(timed(&mut keeper).await);
    }
    report("nothing new", &quiet);
    let mut changed = Vec::new();
    for round in 0..ROUNDS {
        write(&upstream, round, round + 1);
        commit(&upstream);
        changed.push(timed(&mut keeper).await);
    }
    report("a commit that changes one", &changed);
    let before = resident();
    for round in 0..COMMITS {
        write(&upstream, round, round + 100);
        commit(&upstream);
        keeper.sync().await;
    }
    println!("  memory before and after {COMMITS} more commits          {before:>6} MB {:>6} MB", resident());
}

async fn timed(keeper: &mut Keeper) -> Duration {
    let began = Instant::now();
    keeper.sync().await;
    began.elapsed()
}

fn report(what: &str, times: &[Duration]) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let (median, worst) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    println!("  {what:<45} median {:>9.1} ms, worst {:>9.1} ms", median.as_secs_f64() * 1e3, worst.as_secs_f64() * 1e3);
}

fn write(upstream: &Path, number: usize, version: usize) {
    let text = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata:\n  name: app-{number}\nspec:\n  services:\n    web:\n      \
         image: app:{version}\n      environment:\n        NUMBER: \"{number}\"\n    db:\n      image: db:1\n"
    );
    let path = upstream.join(format!("team-{}", number % 10)).join(format!("app-{number}.yaml"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn commit(upstream: &Path) {
    git(upstream, &["add", "--all"]);
    git(upstream, &["-c", "user.name=Ada", "-c", "user.email=ada@example", "commit", "--quiet", "--message", "change"]);
}

fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    assert!(command.args(args).status().unwrap().success(), "git {args:?}");
}

/// Resident memory of this process, in MB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096 / 1_000_000
}
