//! An image registry on this machine's loopback.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Docker, Sandbox, check, eventually, secs};

/// The account a registry made with [`Registry::with_password`] wants. The password's encoding holds `+` and `/`, which
/// the engine wants written differently from plain base64.
pub const USER: &str = "tester";
/// The password of [`USER`].
pub const PASSWORD: &str = "p?????>>>>>";
/// The same as a line of htpasswd.
const HTPASSWD: &str = "tester:$2b$10$z8laRpHukRlH0/g1mNtJfuKVHPnCmAfPJNWdDruW7lCobc5YerWxy\n";

/// A registry process of the test's own, seen by the machine's daemon (not by an [`super::OwnDaemon`]: that has another loopback).
pub struct Registry {
    dir: PathBuf,
    port: u16,
    prefix: String,
    child: Option<Child>,
    docker: Docker,
}

impl Registry {
    /// One that lets everybody in.
    #[track_caller]
    pub fn start_in(sandbox: &Sandbox) -> Self {
        Self::launch(sandbox, "registry", false)
    }

    /// One that wants [`USER`] and [`PASSWORD`].
    #[track_caller]
    pub fn with_password(sandbox: &Sandbox) -> Self {
        Self::launch(sandbox, "registry", true)
    }

    /// The same beside another one, in a folder of its own.
    #[track_caller]
    pub fn with_password_in(sandbox: &Sandbox, folder: &str) -> Self {
        Self::launch(sandbox, folder, true)
    }

    #[track_caller]
    fn launch(sandbox: &Sandbox, folder: &str, password: bool) -> Self {
        let dir = sandbox.dir().join(folder);
        fs::create_dir_all(&dir).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (storage, accounts) = (dir.join("images"), dir.join("htpasswd"));
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n",
            storage.display()
        );
        if password {
            fs::write(&accounts, HTPASSWD).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", accounts.display());
        }
        fs::write(dir.join("config.yml"), config).unwrap();
        let (prefix, docker) = (sandbox.prefix().to_owned(), sandbox.docker().clone());
        let mut registry = Self { dir, port, prefix, child: None, docker };
        registry.start();
        if password {
            registry.client().args(["login", "--username", USER, "--password", PASSWORD, &registry.address()]).output().unwrap();
        }
        registry
    }

    /// Starts it (again) on the same port, with the images it had.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "the registry runs already");
        let log = fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.dir.join("config.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("docker-registry is installed: apt-get install docker-registry"));
        eventually(secs(20), "the registry answers", || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
            stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").map_err(|error| error.to_string())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
            check(answer.contains(" 200 ") || answer.contains(" 401 "), || answer)
        });
    }

    /// Takes it down.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the registry runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How an image is called in it: `127.0.0.1:port/PREFIX/app:1`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.address(), self.prefix)
    }

    /// Pushes an image of the machine's daemon under this name and forgets the reference there; gives the reference.
    #[track_caller]
    pub fn push(&self, image: &str, name: &str) -> String {
        let reference = self.reference(name);
        self.docker.run(&["tag", image, &reference]);
        let output = self.client().args(["push", &reference]).output().unwrap();
        assert!(output.status.success(), "docker push {reference}: {}", String::from_utf8_lossy(&output.stderr));
        self.docker.run(&["rmi", &reference]);
        reference
    }

    /// The folder of a Docker configuration that is logged in here only.
    pub fn docker_config(&self) -> PathBuf {
        self.dir.join("docker")
    }

    /// The docker command, with the login of this registry only.
    fn client(&self) -> Command {
        let mut command = self.docker.command();
        command.env("DOCKER_CONFIG", self.docker_config());
        command
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
    }
}
