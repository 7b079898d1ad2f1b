//! A real mail server: aiosmtpd, with STARTTLS, a password and greylisting.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Sandbox, check, eventually, secs};

/// The server, as PyPI has it.
const PACKAGE: &str = "aiosmtpd==1.4.6";

/// What it does: refuses the first `GREY` messages of all for now, wants user `evenkeel` with password `s3cret-password` after STARTTLS,
/// and writes what it takes as lines of JSON.
const SERVER: &str = r#"
import asyncio, json, ssl, sys
from email import message_from_bytes
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
port, cert, key, out, grey = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
seen = {"data": 0}
def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"evenkeel", b"s3cret-password")
    return AuthResult(success=right, handled=False)
class Handler:
    async def handle_DATA(self, server, session, envelope):
        seen["data"] += 1
        mail = message_from_bytes(envelope.content)
        line = {"to": envelope.rcpt_tos, "from": envelope.mail_from, "tls": session.ssl is not None, "id": mail["Message-ID"],
                "subject": str(mail["Subject"]), "text": mail.get_payload(decode=True).decode(), "taken": seen["data"] > grey}
        with open(out, "a") as file:
            file.write(json.dumps(line) + "\n")
        return "250 taken" if line["taken"] else "451 4.7.1 greylisted, s3cret-password was right"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
def factory():
    return SMTP(Handler(), hostname="mail.test", tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate)
async def main():
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", port)
    await server.serve_forever()
asyncio.run(main())
"#;

/// The server's process.
pub struct Mailbox {
    port: u16,
    output: PathBuf,
    certificate: PathBuf,
    child: Child,
}

impl Mailbox {
    /// Starts one that greylists so many messages, installing it first where it is missing.
    #[track_caller]
    pub fn start_in(sandbox: &Sandbox, grey: usize) -> Self {
        let folder = sandbox.dir().join("mail");
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        fs::write(path("cert"), pair.cert.pem()).unwrap();
        fs::write(path("key"), pair.signing_key.serialize_pem()).unwrap();
        fs::write(path("server.py"), SERVER).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(path("log")).unwrap();
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", packages()).arg(path("server.py")).arg(port.to_string());
        command.arg(path("cert")).arg(path("key")).arg(path("mails")).arg(grey.to_string());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mailbox = Self { port, output: path("mails"), certificate: path("cert"), child };
        eventually(secs(20), "the mail server listens", || {
            let connected = std::net::TcpStream::connect(("127.0.0.1", port));
            check(connected.is_ok(), || fs::read_to_string(path("log")).unwrap_or_default())
        });
        mailbox
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate it shows.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// All messages that were sent, those that were greylisted with `taken: false`.
    pub fn mails(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The package, installed once per machine into a cache outside the clone.
fn packages() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("evenkeel");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join("mailbox.lock")).unwrap();
    lock.lock().unwrap();
    let folder = cache.join(PACKAGE);
    if !folder.join("aiosmtpd").exists() {
        let pip =
            Command::new("python3").args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg(PACKAGE).output();
        let output = pip.expect("python3 is installed: apt-get install python3-pip");
        assert!(output.status.success(), "pip install {PACKAGE}: {}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}
