//! `evenkeel compose config` as a user has it, and a folder's Compose file from text to containers.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Operator, Sandbox, eventually, secs};

fn evenkeel(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(args).current_dir(folder).env_clear().env("HOME", "/home/user").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_project_is_found_from_a_folder_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("shop/deep/down");
    fs::create_dir_all(&below).unwrap();
    let project = folder.path().join("shop");
    fs::write(project.join("compose.yml"), "services:\n  web: {image: \"a:${TAG}\", depends_on: [db]}\n  db: {image: 'd$$'}\n")
        .unwrap();
    fs::write(project.join("compose.override.yml"), "services:\n  web: {user: u}\n").unwrap();
    fs::write(project.join(".env"), "TAG=7\n").unwrap();

    // The .env beside the file that is found counts, not that of the folder one is in.
    let output = evenkeel(&below, &["compose", "config", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let config: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (web, db) = (&config["services"]["web"], &config["services"]["db"]);
    assert_eq!((&config["name"], &web["image"], &web["user"]), (&"shop".into(), &"a:7".into(), &"u".into()));
    assert_eq!(db["image"], "d$$");

    let lists = |flag: &str| text(&evenkeel(&below, &["compose", "-p", "x", "config", flag]).stdout);
    assert_eq!(lists("--services"), "db\nweb\n");
    assert_eq!(lists("--images"), "d$\na:7\n");
    assert_eq!(lists("-q"), "");
}

#[test]
fn a_folder_of_manifests_and_compose_files_is_validated_without_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("shop")).unwrap();
    fs::write(folder.path().join("shop/compose.yaml"), "services:\n  web:\n    image: a\n").unwrap();
    let manifest = |image: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata: {{name: db}}\nspec:\n  services:\n    db: {{{image}: a}}\n"
        )
    };
    let validate = |args: &[&str]| evenkeel(folder.path(), &[&["validate", "-f", "."], args].concat());
    fs::write(folder.path().join("db.yaml"), manifest("image")).unwrap();
    let output = validate(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 2, "{}", text(&output.stdout));

    fs::write(folder.path().join("db.yaml"), manifest("imagee")).unwrap();
    assert_eq!(validate(&[]).status.code(), Some(1));
    let output = validate(&["-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["valid"], false);
    let error = report["errors"].as_array().unwrap().iter().find(|error| error["path"] == "spec.services.db.imagee").unwrap();
    assert_eq!((&error["location"]["line"], &error["location"]["column"]), (&6.into(), &10.into()));
}

#[test]
fn what_is_wrong_is_told_with_places_and_code_1() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("compose.yaml"), "services:\n  web:\n    imagee: a\n").unwrap();
    let output = evenkeel(folder.path(), &["compose", "config", "-q"]);
    assert_eq!(output.status.code(), Some(1));
    let place = folder.path().join("compose.yaml");
    let expected = format!(
        "{}:3:5: services.web.imagee: is no key of Compose here: did you mean image?\nerror: the Compose files cannot be used: 1 thing is wrong\n",
        place.display()
    );
    assert_eq!(text(&output.stderr), expected);

    let empty = tempfile::tempdir().unwrap();
    let output = evenkeel(empty.path(), &["compose", "config"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no configuration file provided"), "{}", text(&output.stderr));
}

#[test]
fn a_compose_file_in_the_folder_runs() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let compose = format!(
        "name: {}\nx-evenkeel: {{name: shop}}\nservices:\n  app:\n    image: {}\n    command: [sh, -c, 'trap \"exit 0\" TERM; while :; do sleep 1 & wait; done']\n    env_file: app.env\n    stop_grace_period: 2s\n",
        sandbox.project("shop"),
        sandbox.image()
    );
    sandbox.write_text("shop/app.env", "GREETING=hello ${NAME}\n");
    sandbox.write_text("shop/.env", "NAME=you\n");
    sandbox.write_text("shop/compose.yaml", &compose);
    operator.wait_ready("shop");
    let greeting = || text(&operator.cli(&["exec", "shop", "app", "--", "sh", "-c", "echo $GREETING"]).stdout);
    assert_eq!(greeting().trim_end(), "hello you");
    sandbox.write_text("shop/.env", "NAME=all\n");
    eventually(secs(20), "the new variable is in force", || match greeting().trim_end() {
        "hello all" => Ok(()),
        other => Err(other.to_owned()),
    });
}
