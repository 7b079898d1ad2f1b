//! Mail over SMTP.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::Failure;
use super::http::chain;
use crate::crd::{Email, EmailSecurity};
use crate::notify::notice::{Notice, id_of};
use crate::notify::secrets::Secrets;

/// How long each step of the conversation may take.
const STEP: Duration = Duration::from_secs(20);
/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends.
pub async fn send(email: &Email, notice: &Notice, secrets: &mut Secrets) -> Result<(), Failure> {
    let message = message(email, notice)?;
    let transport = transport(email, notice, secrets)?;
    let place = format!("{}:{}", email.host, email.port());
    match tokio::time::timeout(TIMEOUT, transport.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(Failure::refused(format!("{place}: {}", chain(&error)))),
        Ok(Err(error)) => Err(Failure::later(format!("{place}: {}", chain(&error)))),
        Err(_) => Err(Failure::later(format!("{place} took longer than {} s", TIMEOUT.as_secs()))),
    }
}

fn message(email: &Email, notice: &Notice) -> Result<Message, Failure> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Failure::refused(format!("{what} cannot be used in a mail: {error}"));
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| wrong("an address", &error));
    let mut builder = Message::builder().from(mailbox(&email.from)?).subject(&notice.title);
    for receiver in &email.to {
        builder = builder.to(mailbox(receiver)?);
    }
    let domain = email.from.trim_end_matches('>').rsplit('@').next().unwrap_or("evenkeel");
    // The same over all attempts: mail servers and readers drop what they have.
    builder = builder.message_id(Some(format!("<{}@{domain}>", notice.id)));
    if let Some(incident) = &notice.incident {
        let thread = id_of(&[&notice.host, &notice.namespace, incident]);
        builder = builder.references(format!("<{thread}@{domain}>"));
    }
    if let Some(at) = notice.at {
        builder = builder.date(std::time::SystemTime::from(at));
    }
    for (name, value) in [("X-Evenkeel-Id", notice.id.as_str()), ("Auto-Submitted", "auto-generated")] {
        let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| wrong("a header", &error))?;
        builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    builder.singlepart(SinglePart::plain(notice.text.clone())).map_err(|error| wrong("the text", &error))
}

fn transport(email: &Email, notice: &Notice, secrets: &mut Secrets) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let tls = match email.security {
        EmailSecurity::None => Tls::None,
        EmailSecurity::StartTLS => Tls::Required(parameters(email)?),
        EmailSecurity::TLS => Tls::Wrapper(parameters(email)?),
    };
    let hello = if notice.host.is_empty() { "localhost".to_owned() } else { notice.host.clone() };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&email.host)
        .port(email.port())
        .tls(tls)
        .hello_name(ClientId::Domain(hello))
        .timeout(Some(STEP));
    if let Some((username, from)) = email.username.as_ref().zip(email.password_from.as_ref()) {
        let password = secrets.read(from).map_err(Failure::secret)?;
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    Ok(builder.build())
}

fn parameters(email: &Email) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(email.host.clone());
    if let Some(path) = &email.ca_file {
        let failed = |why: String| Failure::secret(format!("cannot use the certificates in {}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))?);
    }
    builder.build().map_err(|error| Failure::later(format!("TLS cannot be set up: {}", chain(&error))))
}
