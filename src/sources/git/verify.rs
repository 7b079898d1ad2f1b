//! Signatures of commits: by git, with no other keys than those that the Source names.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::command::{LOCAL, Run};
use super::failure::{Failure, Trouble};
use super::{Commit, access};
use crate::crd::Verify;
use crate::sources::turn::Turn;

/// Starts of lines that are public keys: an allowed signers file has a principal before them.
const KEY_TYPES: [&str; 5] = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "rsa-"];

/// What gpg is to do without being told: ask nobody, start nothing, take the keys that are there as good.
const GPG: &str = "batch\nno-tty\nno-autostart\ntrust-model always\nno-auto-key-retrieve\nno-auto-key-locate\nno-greeting\n";

/// Whether the commit is signed by one of the keys. `folder` is ours to write into.
///
/// # Errors
/// It is not, or that cannot be found out.
pub async fn verify(place: &[OsString], folder: &Path, commit: &Commit, keys: &Verify, turn: &Turn) -> Result<(), Failure> {
    let attempt = format!("{} is not taken: its signature is not by a key of spec.verify", commit.revision());
    let text = match &keys.ssh_keys_file {
        Some(file) => allowed_signers(&read(file).await?),
        None => String::new(),
    };
    let (signers, home, ours) = (folder.join("signers"), folder.join("gnupg"), folder.to_owned());
    turn.work(move |_| prepare(&ours, &text))
        .await
        .map_err(|error| Failure::of_disk(format!("cannot prepare {} to check signatures", folder.display()), &error))?;
    if let Some(file) = &keys.openpgp_keys_file {
        import("gpg", &home, file, LOCAL).await?;
    }
    let args = ["verify-commit".to_owned(), commit.id.clone()].map(OsString::from);
    let run = Run::new(attempt.as_str(), place.iter().cloned().chain(args)).env("GNUPGHOME", &home);
    let run = run.config("gpg.ssh.allowedSignersFile", signers.display().to_string()).config("gpg.x509.program", "false");
    let done = run.done().await?;
    if done.success {
        return Ok(());
    }
    let said: Vec<&str> = done.said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
    let why = if said.is_empty() { "it is not signed".to_owned() } else { said.join("; ") };
    Err(Failure::new(Trouble::Unsigned, format!("{attempt}: {why}")))
}

/// A folder that only we can read, with who may sign and nothing else in it.
fn prepare(folder: &Path, signers: &str) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let home = folder.join("gnupg");
    fs::create_dir_all(&home)?;
    for folder in [folder, &home] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    fs::write(home.join("gpg.conf"), GPG)?;
    fs::write(folder.join("signers"), signers)
}

async fn import(gpg: &str, home: &Path, file: &Path, limit: Duration) -> Result<(), Failure> {
    read(file).await?;
    let mut command = tokio::process::Command::new(gpg);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("GNUPGHOME", home).env("LC_ALL", "C");
    command.args(["--quiet", "--import"]).arg(file).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(limit, command.output()).await else {
        let (file, limit) = (file.display(), limit.as_secs());
        let message = format!("gpg has not read the OpenPGP keys in {file} within {limit} s and was ended (it is tried again)");
        return Err(Failure::new(Trouble::TimedOut, message));
    };
    let output = output.map_err(|error| {
        let message = format!("cannot run gpg, which checks OpenPGP signatures: {error} (Debian: apt-get install gpg)");
        Failure::new(Trouble::NoGit, message)
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).lines().take(2).collect::<Vec<_>>().join("; ");
    Err(Failure::new(Trouble::NoSecret, format!("cannot use the OpenPGP keys in {}: {said}", file.display())))
}

async fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    access::bytes(file)
        .await
        .map_err(|why| Failure::new(Trouble::NoSecret, format!("cannot read {}, which spec.verify names: {why}", file.display())))
}

/// An allowed signers file: public keys get the principal `*`, lines that have one stay.
fn allowed_signers(keys: &[u8]) -> String {
    let text = String::from_utf8_lossy(keys);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = |line: &str| {
        let bare = KEY_TYPES.iter().any(|start| line.starts_with(start));
        if bare { format!("* namespaces=\"git\" {line}\n") } else { format!("{line}\n") }
    };
    lines.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gpg_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let [gpg, keys] = ["gpg", "keys"].map(|name| folder.path().join(name));
        fs::write(&gpg, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&gpg, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&keys, "x").unwrap();
        let failure = import(gpg.to_str().unwrap(), folder.path(), &keys, Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(failure.trouble, Trouble::TimedOut, "{failure}");
    }

    #[test]
    fn public_keys_become_allowed_signers_and_lines_with_a_principal_stay() {
        let text = "# team\nssh-ed25519 AAAA ada\nada@example ssh-ed25519 BBBB\n\n";
        assert_eq!(allowed_signers(text.as_bytes()), "* namespaces=\"git\" ssh-ed25519 AAAA ada\nada@example ssh-ed25519 BBBB\n");
    }
}
