//! Signatures of commits: by git, with no other keys than those that the Source names.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Commit;
use super::command::Run;
use super::failure::{Failure, Trouble};
use crate::crd::Verify;

/// Starts of lines that are public keys: an allowed signers file has a principal before them.
const KEY_TYPES: [&str; 5] = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "rsa-"];

/// What gpg is to do without being told: ask nobody, start nothing, take the keys that are there as good.
const GPG: &str = "batch\nno-tty\nno-autostart\ntrust-model always\nno-auto-key-retrieve\nno-auto-key-locate\nno-greeting\n";

/// Whether the commit is signed by one of the keys. `folder` is ours to write into.
///
/// # Errors
/// It is not, or that cannot be found out.
pub async fn verify(place: &[OsString], folder: &Path, commit: &Commit, keys: &Verify) -> Result<(), Failure> {
    let attempt = format!("{} is not taken: its signature is not by a key of spec.verify", commit.revision());
    prepare(folder).await.map_err(|error| {
        Failure::new(Trouble::Other, format!("cannot prepare {} to check signatures: {error}", folder.display()))
    })?;
    let signers = folder.join("signers");
    let text = match &keys.ssh_keys_file {
        Some(file) => allowed_signers(&read(file).await?),
        None => String::new(),
    };
    tokio::fs::write(&signers, text).await.map_err(|error| unwritable(&signers, &error))?;
    let home = folder.join("gnupg");
    if let Some(file) = &keys.openpgp_keys_file {
        import(&home, file).await?;
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

/// An empty folder that only we can read.
async fn prepare(folder: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let home = folder.join("gnupg");
    tokio::fs::create_dir_all(&home).await?;
    for folder in [folder, &home] {
        tokio::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).await?;
    }
    tokio::fs::write(home.join("gpg.conf"), GPG).await
}

async fn import(home: &Path, file: &Path) -> Result<(), Failure> {
    read(file).await?;
    let mut gpg = tokio::process::Command::new("gpg");
    gpg.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("GNUPGHOME", home).env("LC_ALL", "C");
    gpg.args(["--quiet", "--import"]).arg(file).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = gpg.output().await.map_err(|error| {
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
    tokio::fs::read(file).await.map_err(|error| {
        Failure::new(Trouble::NoSecret, format!("cannot read {}, which spec.verify names: {error}", file.display()))
    })
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

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Trouble::Other, format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_become_allowed_signers_and_lines_with_a_principal_stay() {
        let text = "# team\nssh-ed25519 AAAA ada\nada@example ssh-ed25519 BBBB\n\n";
        assert_eq!(allowed_signers(text.as_bytes()), "* namespaces=\"git\" ssh-ed25519 AAAA ada\nada@example ssh-ed25519 BBBB\n");
    }
}
