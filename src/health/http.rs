//! One GET over a connection of its own, as kubelet makes it: no redirect followed, no certificate looked at.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::fold::Outcome;
use crate::model::{HttpGet, Unreachable};

/// Most bytes of a body that are read.
const READ: usize = 4096;

/// What a server answered.
pub(super) struct Reply {
    status: StatusCode,
    modified: Option<String>,
    body: String,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The question cannot be asked as it is declared.
    Declared(String),
    /// Nobody answered, or not in HTTP.
    Silent(String),
    /// It could not be asked, for reasons of this machine.
    Ours(String),
}

impl Failure {
    /// Of a connection that was not made: too few files, memory, ports or a route of this machine say nothing of the container.
    pub fn of_connect(address: &str, error: &std::io::Error) -> Self {
        use rustix::io::Errno;
        let ours = [Errno::NFILE, Errno::MFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL, Errno::NETUNREACH];
        let said = format!("{address}: {error}");
        if Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno)) { Self::Ours(said) } else { Self::Silent(said) }
    }

    /// As the outcome of a probe.
    pub fn into_outcome(self) -> (Outcome, String) {
        match self {
            Self::Declared(why) => (Outcome::Broken, why),
            Self::Silent(why) => (Outcome::Bad, why),
            Self::Ours(why) => (Outcome::NotMade, why),
        }
    }
}

impl Reply {
    /// 200 to 399.
    pub fn is_good(&self) -> bool {
        self.status.is_success() || self.status.is_redirection()
    }

    /// The moment that the page tells of: its body, as RFC 3339 or in seconds since 1970, else its `Last-Modified`.
    pub fn moment(&self) -> Option<Timestamp> {
        let text = self.body.trim();
        let seconds = || Timestamp::from_second(text.parse::<f64>().ok()?.trunc() as i64).ok();
        let modified = || {
            let text = self.modified.as_deref()?;
            jiff::fmt::rfc2822::parse(text).ok().map(|moment| moment.timestamp())
        };
        text.parse().ok().or_else(seconds).or_else(modified)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if self.body.trim().is_empty() { Ok(()) } else { write!(f, ": {}", self.body.trim()) }
    }
}

/// The container's own address.
pub(super) type Own = Result<String, Unreachable>;

/// Where to connect to: the host that is named, else the container itself.
pub(super) fn host<'a>(named: Option<&'a str>, own: &'a Own) -> Result<&'a str, Failure> {
    match (named, own) {
        (Some(host), _) => Ok(host),
        (None, Ok(host)) => Ok(host),
        (None, Err(why)) => Err(Failure::Declared(format!("{why}; name a host, or use exec"))),
    }
}

/// Host and port, as they are connected to.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Asks, and reads the beginning of the answer.
pub(super) async fn get(own: &Own, get: &HttpGet) -> Result<Reply, Failure> {
    let host = host(get.host.as_deref(), own)?;
    let address = address(host, get.port);
    let silent = |error: &dyn fmt::Display| Failure::Silent(format!("{address}: {error}"));
    let stream = TcpStream::connect(&address).await.map_err(|error| Failure::of_connect(&address, &error))?;
    let request =
        request(get, &address).map_err(|error| Failure::Declared(format!("no HTTP request can be made of it: {error}")))?;
    if !get.tls {
        return exchange(stream, request).await.map_err(|error| silent(&error));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::Declared(format!("no name for TLS: {error}")))?;
    let stream = tokio_rustls::TlsConnector::from(tls()).connect(name, stream).await.map_err(|error| silent(&error))?;
    exchange(stream, request).await.map_err(|error| silent(&error))
}

fn request(get: &HttpGet, address: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request = Request::get(&get.path).body(Empty::new())?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::try_from(address)?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("evenkeel-probe/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &get.headers {
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(request)
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let modified = head.headers.get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Reply { status: head.status, modified, body: beginning(body).await? })
    };
    // The connection does its work only while it is polled, and ends with this call.
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error),
        },
    }
}

async fn beginning(mut body: Incoming) -> hyper::Result<String> {
    let mut read = Vec::new();
    while read.len() < READ {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data[..data.len().min(READ - read.len())]);
        }
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn tls() -> Arc<ClientConfig> {
    static CONFIG: std::sync::LazyLock<Arc<ClientConfig>> = std::sync::LazyLock::new(|| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
        #[expect(clippy::expect_used, reason = "the provider has the suites of its own default versions")]
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("it has them");
        Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    });
    Arc::clone(&CONFIG)
}

/// Takes any certificate: a probe asks whether a container answers, not who it is, and sends it nothing secret but what is declared.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one request with this text; returns its port, and what it was asked.
    async fn serve(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = vec![0; 2048];
            let length = stream.read(&mut read).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&read[..length]).into_owned()
        });
        (port, asked)
    }

    async fn ask(answer: &'static str) -> Result<Reply, String> {
        let (port, _) = serve(answer).await;
        let question = HttpGet { port, path: "/".into(), ..HttpGet::default() };
        get(&Ok("127.0.0.1".into()), &question).await.map_err(|failure| failure.into_outcome().1)
    }

    #[tokio::test]
    async fn two_and_three_hundreds_are_good_and_others_say_why_not() {
        for (answer, good) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
            ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\nno database", false),
        ] {
            assert_eq!(ask(answer).await.unwrap().is_good(), good, "{answer}");
        }
        let reply = ask("HTTP/1.0 503 Service Unavailable\r\n\r\nno database").await.unwrap();
        assert_eq!(reply.to_string(), "HTTP 503 Service Unavailable: no database");
    }

    #[tokio::test]
    async fn what_is_no_http_and_who_does_not_listen_is_told() {
        assert!(ask("SSH-2.0-OpenSSH\r\n").await.is_err());
        let question = HttpGet { port: 1, path: "/".into(), ..HttpGet::default() };
        let Err(Failure::Silent(why)) = get(&Ok("127.0.0.1".into()), &question).await else { panic!("somebody answered") };
        assert!(why.contains("127.0.0.1:1") && why.contains("refused"), "{why}");
        assert!(matches!(get(&Err(Unreachable::NoAddress), &question).await, Err(Failure::Declared(_))));
    }

    #[tokio::test]
    async fn declared_headers_and_the_host_are_sent() {
        let (port, asked) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let headers = vec![("Host".to_owned(), "shop.example".to_owned()), ("X-Probe".to_owned(), "1".to_owned())];
        let question = HttpGet { port, path: "/ready?deep=1".into(), headers, ..HttpGet::default() };
        assert!(get(&Ok("127.0.0.1".into()), &question).await.is_ok_and(|reply| reply.is_good()));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /ready?deep=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("host: shop.example\r\n") && asked.contains("x-probe: 1\r\n"), "{asked}");
    }

    #[test]
    fn what_this_machine_lacks_says_nothing_of_the_container() {
        use rustix::io::Errno;
        let outcome = |errno: Errno| Failure::of_connect("c:80", &errno.into()).into_outcome().0;
        for ours in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::NETUNREACH] {
            assert_eq!(outcome(ours), Outcome::NotMade, "{ours}");
        }
        for its in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT] {
            assert_eq!(outcome(its), Outcome::Bad, "{its}");
        }
    }

    #[test]
    fn a_page_tells_its_moment_in_its_body_or_its_header() {
        let moment = |body: &str, modified: Option<&str>| {
            let reply = Reply { status: StatusCode::OK, modified: modified.map(str::to_owned), body: body.to_owned() };
            reply.moment().map(|at| at.to_string())
        };
        let noon = Some("2026-01-01T12:00:00Z".to_owned());
        assert_eq!(moment("2026-01-01T12:00:00Z\n", None), noon);
        assert_eq!(moment("1767268800", None), noon);
        assert_eq!(moment("1767268800.25\n", None), noon);
        assert_eq!(moment("<html>", Some("Thu, 01 Jan 2026 12:00:00 GMT")), noon);
        assert_eq!(moment("ok", None), None);
    }
}
