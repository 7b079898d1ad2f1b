//! Posting: one request, one answer. Redirects are not followed, and an answer that does not come is a failure.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::post::Post;
use super::{Failure, host_of};
use crate::notify::notice::cut;
use crate::notify::secrets::Secrets;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How much of an answer is read.
const ANSWER: usize = 64 << 10;
/// How much of it is shown.
const SHOWN: usize = 300;
/// The longest wait a receiver can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// Posts. `secrets` are masked in what the receiver says, before that is cut.
pub async fn send(post: &Post, secrets: &Secrets) -> Result<(), Failure> {
    let host = host_of(&post.url);
    match tokio::time::timeout(TIMEOUT, exchange(post, &host, secrets)).await {
        Ok(done) => done,
        Err(_) => Err(Failure::later(format!("{host} did not answer within {} s", TIMEOUT.as_secs()))),
    }
}

async fn exchange(post: &Post, host: &str, secrets: &Secrets) -> Result<(), Failure> {
    let mut request = Request::post(&post.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("evenkeel/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    let body = Full::new(Bytes::from(post.body.clone()));
    // Which part of it is wrong is not said: the address may be a secret.
    let request =
        request.body(body).map_err(|_| Failure::secret("the address, or a token beside it, cannot be used in a request"))?;
    let tls = tls(post.ca_file.as_deref())?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let response = client.request(request).await.map_err(|error| Failure::later(format!("{host}: {}", chain(&error))))?;
    judge(response, host, secrets).await
}

/// What the answer means.
async fn judge(response: Response<Incoming>, host: &str, secrets: &Secrets) -> Result<(), Failure> {
    let status = response.status();
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(response.into_body(), ANSWER).collect().await;
    if status.is_success() {
        return Ok(());
    }
    let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    let said = shown(&body, secrets);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let why = format!("{host} answered {status}{said}");
    let again = status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if !again {
        let redirect = if status.is_redirection() { " (redirects are not followed: name the address it leads to)" } else { "" };
        return Err(Failure::refused(format!("{why}{redirect}")));
    }
    let after = after.as_deref().and_then(retry_after).or_else(|| asked_in_body(&body)).map(|after| after.min(LONGEST_WAIT));
    Err(Failure { after, ..Failure::later(why) })
}

/// What of an answer is shown. What is secret in it is masked first: half of a secret would not be found any more.
fn shown(body: &str, secrets: &Secrets) -> String {
    cut(secrets.mask(body).lines().next().unwrap_or_default().trim(), SHOWN)
}

/// `Retry-After` in seconds. The form with a date is rare, and is left to the back-off.
fn retry_after(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// How Telegram (`parameters.retry_after`) and Discord (`retry_after`) say it.
fn asked_in_body(body: &str) -> Option<Duration> {
    let body: Value = serde_json::from_str(body).ok()?;
    let seconds = body.pointer("/parameters/retry_after").or_else(|| body.get("retry_after"))?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// With the certificates of the system, which are read once, or those of a file.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    let roots = match ca_file {
        None => SYSTEM
            .get_or_init(|| {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            })
            .clone(),
        Some(path) => {
            let failed = |why: String| Failure::secret(format!("cannot use the certificates in {}: {why}", path.display()));
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let mut roots = RootCertStore::empty();
            for certificate in read.map_err(|error| failed(error.to_string()))? {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Failure::later(format!("TLS cannot be set up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(&format!(": {next}"));
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_masked_before_it_is_cut() {
        let mut secrets = Secrets::default();
        secrets.hide("correct-horse-battery-staple");
        for place in 0..2 * SHOWN {
            let said = shown(&format!("{} no such token correct-horse-battery-staple here", "x".repeat(place)), &secrets);
            assert!(!said.contains("corre"), "{said}");
        }
    }
}
