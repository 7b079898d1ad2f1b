//! Signatures of commits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use super::{Rig, manifest};

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ssh_key(rig: &Rig, name: &str) -> String {
    let path = rig.path(name).display().to_string();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &path]);
    path
}

/// Commits a version of `web`, signed as these settings say.
fn signed(rig: &Rig, image: &str, settings: &[&str]) {
    rig.upstream.write("web.yaml", &manifest("web", image));
    rig.upstream.git(&["add", "--all"]);
    rig.upstream.git(&[settings, &["commit", "--quiet", "--gpg-sign", "--message", "signed"]].concat());
}

#[tokio::test]
async fn only_commits_signed_by_an_allowed_ssh_key_are_taken() {
    let rig = Rig::new();
    let (ours, theirs) = (ssh_key(&rig, "ours"), ssh_key(&rig, "theirs"));
    let with = |key: &str| ["-c".to_owned(), "gpg.format=ssh".into(), "-c".into(), format!("user.signingKey={key}")];
    let sign = |image: &str, key: &str| {
        let settings = with(key);
        signed(&rig, image, &settings.iter().map(String::as_str).collect::<Vec<_>>());
    };
    sign("a", &ours);
    let mut spec = rig.main();
    spec["verify"] = json!({"sshKeysFile": format!("{ours}.pub")});
    let mut keeper = rig.source("shop", spec).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));

    sign("b", &theirs);
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("a"), "False VerificationFailed Stalled"));

    rig.upstream.write("web.yaml", &manifest("web", "c"));
    rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("a"), "False VerificationFailed Stalled"));
    assert!(rig.message("shop").contains("is not signed"), "{}", rig.message("shop"));

    sign("d", &ours);
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("d"), "True Synced"));
}

#[tokio::test]
async fn only_commits_signed_by_an_allowed_openpgp_key_are_taken() {
    let rig = Rig::new();
    let home = rig.path("gnupg");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let home = home.display().to_string();
    let gpg = |args: &[&str]| run("gpg", &[&["--homedir", &home, "--batch", "--quiet"], args].concat());
    for name in ["ours", "theirs"] {
        gpg(&["--passphrase", "", "--quick-generate-key", &format!("{name}@example"), "ed25519", "sign", "never"]);
    }
    let keys = rig.path("keys.asc");
    fs::write(&keys, gpg(&["--armor", "--export", "ours@example"])).unwrap();
    let program = rig.path("gpg");
    fs::write(&program, format!("#!/bin/sh\nexec gpg --homedir {home} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let sign = |image: &str, name: &str| {
        let (program, key) = (format!("gpg.program={}", program.display()), format!("user.signingKey={name}@example"));
        signed(&rig, image, &["-c", &program, "-c", &key]);
    };
    sign("a", "ours");
    let mut spec = rig.main();
    spec["verify"] = json!({"openpgpKeysFile": keys});
    let mut keeper = rig.source("shop", spec).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}", rig.message("shop"));
    sign("b", "theirs");
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), rig.ready("shop").as_str()), (Some("a"), "False VerificationFailed Stalled"));
    let _ = Command::new("gpgconf").args(["--homedir", &home, "--kill", "all"]).output();
}
