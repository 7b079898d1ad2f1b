//! What a turn is made of, each part alone: reading a manifest, admitting it, the store's text, resolving, planning.
//!
//! For finding out where time goes; the figures that users feel are those of `engine` and `fleet`.

#![allow(clippy::unwrap_used, reason = "a bench that meets the unexpected fails")]

use std::fmt::Write;

use divan::{Bencher, black_box};
use evenkeel::crd::yaml::parse_manifests;
use evenkeel::crd::{Deployment, Kind, admit};
use evenkeel::model::{Desired, History, Memory, Observed, Plan, RecoveryMode};
use evenkeel::{controller, resolve};
use serde_json::Value;

/// Services of a Deployment.
const SIZES: [usize; 3] = [1, 5, 50];

fn main() {
    divan::main();
}

/// A manifest as people write it.
fn manifest(services: usize) -> String {
    let mut text = "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  services:\n".to_owned();
    for number in 0..services {
        let before = if number == 0 { String::new() } else { format!("\n      depends_on: [s{}]", number - 1) };
        writeln!(
            text,
            "    s{number}:\n      image: registry.example.org/team/app:{number}\n      ports: [\"{}:80\"]\n      environment:\n        \
             LEVEL: info\n        NUMBER: \"{number}\"\n      volumes: [\"data:/data\", \"/etc/app:/etc/app:ro\"]{before}",
            8000 + number
        )
        .unwrap();
    }
    text.push_str("  volumes:\n    data: {}\n");
    text
}

fn object(services: usize) -> Value {
    parse_manifests("web.yaml", &manifest(services)).remove(0).value
}

fn deployment(services: usize) -> Deployment {
    serde_json::from_value(admit(Kind::Deployment, object(services), None, false).unwrap().object).unwrap()
}

fn desired(deployment: &Deployment) -> Desired {
    resolve::resolve(deployment, vec![], "default", RecoveryMode::Auto, None, None).unwrap()
}

#[divan::bench(args = SIZES)]
fn read_yaml(bencher: Bencher, services: usize) {
    let text = manifest(services);
    bencher.bench(|| parse_manifests("web.yaml", black_box(&text)));
}

#[divan::bench(args = SIZES)]
fn admit_object(bencher: Bencher, services: usize) {
    bencher.with_inputs(|| object(services)).bench_values(|object| admit(Kind::Deployment, object, None, false).unwrap());
}

#[divan::bench(args = SIZES)]
fn write_text(bencher: Bencher, services: usize) {
    let object = object(services);
    bencher.bench(|| black_box(&object).to_string());
}

#[divan::bench(args = SIZES)]
fn read_text(bencher: Bencher, services: usize) {
    let text = object(services).to_string();
    bencher.bench(|| serde_json::from_str::<Value>(black_box(&text)).unwrap());
}

#[divan::bench(args = SIZES)]
fn resolve_deployment(bencher: Bencher, services: usize) {
    let deployment = deployment(services);
    bencher.bench(|| desired(black_box(&deployment)));
}

/// Of a bring-up from nothing, the plan with the most to decide.
#[divan::bench(args = SIZES)]
fn plan_bring_up(bencher: Bencher, services: usize) {
    let desired = desired(&deployment(services));
    let (observed, history, memory) = (Observed::default(), History::default(), Memory::default());
    let now = "2026-01-01T12:00:00Z".parse().unwrap();
    bencher.bench(|| -> Plan { controller::plan::plan(black_box(&desired), &observed, &history, &memory, now) });
}
