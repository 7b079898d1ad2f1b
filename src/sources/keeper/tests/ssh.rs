//! A real ssh server on loopback, with a host key and a configuration of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Keeper, Rig, manifest};

/// `sshd`, as long as it lives. It lets the user of this test in by the keys in `authorized`.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        for key in ["host", "user", "stranger"] {
            keygen(&folder.join(key));
        }
        // Debian's own is made by its service, which does not run here.
        let _ = fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = |child| Self { child, port, folder: folder.to_owned() };
        let place = folder.display();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {place}/host\nPidFile none\nAuthorizedKeysFile {place}/authorized\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin \
             prohibit-password\n"
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config")).stdin(Stdio::null()).stderr(log);
        let mut server = server(command.spawn().expect("openssh-server is installed (dev/prepare test)"));
        server.let_in("user");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(10), "{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Only this key opens from now on.
    fn let_in(&self, key: &str) {
        fs::copy(self.path(&format!("{key}.pub")), self.path("authorized")).unwrap();
    }

    /// Writes known hosts: this server's address with the public key of `key`.
    fn known(&self, key: &str) -> PathBuf {
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        let hosts = self.path(&format!("known-{key}"));
        fs::write(&hosts, format!("[127.0.0.1]:{} {public}", self.port)).unwrap();
        hosts
    }

    fn source(&self, rig: &Rig, key: &str, known: &Path) -> Value {
        let user = whoami();
        let url = format!("ssh://{user}@127.0.0.1:{}{}", self.port, rig.upstream.path.display());
        json!({"git": {"url": url, "auth": {"keyFile": self.path(key), "knownHostsFile": known}}})
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn keygen(path: &Path) {
    let mut command = Command::new("ssh-keygen");
    let output = command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o77, 0);
}

fn whoami() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

async fn followed() -> (Rig, Server, Keeper) {
    let rig = Rig::new();
    rig.upstream.write("web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    let server = Server::start(&rig.path("ssh"));
    let spec = server.source(&rig, "user", &server.known("host"));
    let mut keeper = rig.source("shop", spec).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "True Synced", "{}\n{}", rig.message("shop"), server.log());
    (rig, server, keeper)
}

#[tokio::test]
async fn a_repository_is_followed_over_ssh_with_a_key_and_known_hosts() {
    let (rig, server, mut keeper) = followed().await;
    rig.upstream.write("web.yaml", &manifest("web", "b"));
    let revision = rig.upstream.commit();
    keeper.sync().await;
    assert_eq!((rig.image("web").as_deref(), &rig.status("shop")["observedRevision"]), (Some("b"), &json!(revision)));
    drop(server);
    keeper.sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("False RemoteUnreachable", Some("b")));
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_refused_and_told() {
    let (rig, server, mut keeper) = followed().await;
    server.let_in("stranger");
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False AuthenticationFailed Stalled", "{}", rig.message("shop"));
    assert!(rig.message("shop").contains("look at spec.git.auth"), "{}", rig.message("shop"));
    server.let_in("user");
    keeper.sync().await;
    assert_eq!((rig.ready("shop").as_str(), rig.image("web").as_deref()), ("True Synced", Some("a")));
}

#[tokio::test]
async fn a_server_with_another_key_than_the_known_one_or_with_none_known_is_not_trusted() {
    let (rig, server, mut keeper) = followed().await;
    let nothing = server.path("nothing");
    fs::write(&nothing, "").unwrap();
    for known in [server.known("stranger"), nothing] {
        rig.put("shop", server.source(&rig, "user", &known)).await;
        keeper.sync().await;
        assert_eq!(rig.ready("shop"), "False HostKeyRejected Stalled", "{}", rig.message("shop"));
        assert!(rig.message("shop").contains("knownHostsFile"), "{}", rig.message("shop"));
    }
    rig.put("shop", server.source(&rig, "user", &server.path("missing"))).await;
    keeper.sync().await;
    assert_eq!(rig.ready("shop"), "False SecretUnreadable Stalled", "{}", rig.message("shop"));
    assert_eq!(rig.image("web").as_deref(), Some("a"));
}
