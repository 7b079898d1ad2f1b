//! How a repository is reached: its transport, and credentials out of files of the host.
//!
//! Secrets are read anew for each run, so that a changed file counts at once. They reach git by variables that only the same user
//! may read, and through a credential helper that answers for the Source's own host only: a redirect elsewhere gets nothing.

use std::path::Path;

use super::command::Run;
use super::failure::{Failure, Trouble};
use crate::crd::{GitSource, Remote, Transport};

/// Largest file of secrets or keys.
const LONGEST: u64 = 1024 * 1024;

/// User name that goes with a token: servers look at the password only.
const TOKEN_USER: &str = "git";

/// Answers what the variables say. `printf` is the shell's own, so that no argument shows it.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$EVENKEEL_HELPER_USERNAME\" \"$EVENKEEL_HELPER_PASSWORD\"; }; f";

/// Longest that ssh may take to connect.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20 \
                   -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o ForwardAgent=no -o ClearAllForwardings=yes -o PermitLocalCommand=no";

/// How one repository is reached, secrets read.
pub struct Access {
    transport: Transport,
    scope: String,
    login: Option<(String, String)>,
    ca: Option<String>,
    ssh: Option<String>,
    secrets: Vec<String>,
}

impl Access {
    /// Reads the secrets that a source names.
    ///
    /// # Errors
    /// A file cannot be read or is empty.
    pub async fn read(source: &GitSource) -> Result<Self, Failure> {
        let remote =
            Remote::read(&source.url).map_err(|why| Failure::new(Trouble::NoRepository, format!("spec.git.url {why}")))?;
        let auth = source.auth.clone().unwrap_or_default();
        let login = match (&auth.token_file, &auth.password_file) {
            (Some(file), _) | (None, Some(file)) => {
                let user = auth.username.clone().unwrap_or_else(|| TOKEN_USER.to_owned());
                Some((user, secret(file).await?))
            }
            (None, None) => None,
        };
        for file in [&auth.key_file, &auth.known_hosts_file, &auth.ca_file].into_iter().flatten() {
            bytes(file).await.map_err(|why| unreadable(file, &why))?;
        }
        let file = |path: &Path| format!("'{}'", path.display());
        let ssh = (remote.transport == Transport::Ssh).then(|| {
            let key = auth.key_file.as_deref().map(|key| format!(" -i {}", file(key))).unwrap_or_default();
            let hosts = auth.known_hosts_file.as_deref().unwrap_or(Path::new("/dev/null"));
            format!("{SSH}{key} -o 'UserKnownHostsFile=\"{}\"' -o GlobalKnownHostsFile=/dev/null", hosts.display())
        });
        let secrets = login.iter().map(|(_, password)| password.clone()).collect();
        let ca = auth.ca_file.map(|path| path.display().to_string());
        Ok(Self { transport: remote.transport, scope: scope(&source.url), login, ca, ssh, secrets })
    }

    /// A run that may reach the repository.
    pub fn given_to<'a>(&'a self, mut run: Run<'a>) -> Run<'a> {
        run = run.env("GIT_ALLOW_PROTOCOL", self.transport.word()).secrets(&self.secrets);
        if let Some((user, password)) = &self.login {
            run = run.config(format!("credential.{}.helper", self.scope), HELPER);
            run = run.env("EVENKEEL_HELPER_USERNAME", user).env("EVENKEEL_HELPER_PASSWORD", password);
        }
        if let Some(ca) = &self.ca {
            run = run.config("http.sslCAInfo", ca);
        }
        match &self.ssh {
            Some(ssh) => run.env("GIT_SSH_COMMAND", ssh).env("GIT_SSH_VARIANT", "ssh"),
            None => run,
        }
    }
}

/// `https://host:port` of an address.
fn scope(url: &str) -> String {
    let end = url.find("://").and_then(|at| url[at + 3..].find('/').map(|slash| at + 3 + slash));
    url[..end.unwrap_or(url.len())].to_owned()
}

async fn secret(path: &Path) -> Result<String, Failure> {
    let bytes = bytes(path).await.map_err(|why| unreadable(path, &why))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unreadable(path, "it is not UTF-8 text"))?.trim();
    match () {
        () if text.is_empty() => Err(unreadable(path, "it is empty")),
        () if text.contains(['\n', '\r', '\0']) => Err(unreadable(path, "it holds more than one line")),
        () => Ok(text.to_owned()),
    }
}

/// What a small file of the host holds; or why it cannot be read. A pipe would be waited for without an end.
pub(super) async fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let found = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
    match () {
        () if !found.is_file() => Err("it is no regular file".to_owned()),
        () if found.len() > LONGEST => Err(format!("it is larger than {} KiB", LONGEST / 1024)),
        () => tokio::fs::read(path).await.map_err(|error| error.to_string()),
    }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    let message = format!("cannot use {}, which spec.git.auth names: {why}", path.display());
    Failure::new(Trouble::NoSecret, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_for_one_host_only() {
        assert_eq!(scope("https://git.example:8443/team/a.git"), "https://git.example:8443");
        assert_eq!(scope("https://git.example/a"), "https://git.example");
    }

    #[tokio::test]
    async fn a_secret_that_is_missing_or_empty_is_told_with_its_path_and_not_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(secret(&path).await.unwrap_err().message.contains("token"));
        std::fs::write(&path, " \n").unwrap();
        assert!(secret(&path).await.unwrap_err().message.contains("is empty"));
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let failure = secret(&path).await.unwrap_err();
        assert!(!failure.message.contains("two"), "{failure}");
        assert!(secret(folder.path()).await.unwrap_err().message.contains("no regular file"));
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(secret(&path).await.unwrap(), "s3cret");
    }

    #[tokio::test]
    async fn ssh_understands_what_it_is_given_and_trusts_named_hosts_only() {
        let folder = tempfile::tempdir().unwrap();
        let [key, hosts] = ["a key", "known hosts"].map(|name| folder.path().join(name));
        std::fs::write(&key, "").unwrap();
        std::fs::write(&hosts, "").unwrap();
        let auth =
            crate::crd::GitAuth { key_file: Some(key.clone()), known_hosts_file: Some(hosts.clone()), ..Default::default() };
        let source = GitSource { url: "git@git.example:team/a.git".into(), auth: Some(auth), ..GitSource::default() };
        let ssh = Access::read(&source).await.unwrap().ssh.unwrap();
        let output = std::process::Command::new("sh").arg("-c").arg(format!("{ssh} -G git@git.example")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        for line in [
            format!("identityfile {}", key.display()),
            format!("userknownhostsfile \"{}\"", hosts.display()),
            "globalknownhostsfile /dev/null".into(),
            "stricthostkeychecking true".into(),
            "batchmode yes".into(),
            "identitiesonly yes".into(),
        ] {
            let bare = line.replace('"', "");
            assert!(told.lines().any(|found| found == line || found == bare), "{line} is missing in\n{told}");
        }
    }
}
