//! `POST /hooks/<namespace>/<name>`: a git server says that there is something new.
//!
//! # Guarantees
//! - No token of this API is needed: whoever knows the Source's own secret may ask that it is looked at, and nothing else.
//!   What the message says is not read.
//! - Secrets and signatures are compared in constant time. A Source that is not there, one without a webhook and a wrong signature
//!   are answered alike.
//! - The body is bounded in size and time, as all bodies are.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::errors::{ApiError, Result};
use super::kinds::SOURCES;
use super::{ApiState, body};
use crate::crd::{SourceSpec, Webhook, WebhookType};
use crate::model::Key;
use crate::store::Kind;

/// Where hooks are.
pub const PREFIX: &str = "/hooks/";

/// Takes a message.
pub async fn hook(
    State(state): State<ApiState>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>)> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body).await?;
    let key = Key::new(namespace, name);
    let refused = || ApiError::unauthorized("there is no such hook, or the message is not signed with its secret");
    let webhook = webhook_of(&state, &key).ok_or_else(refused)?;
    let secret = secret(&key, &webhook).await.ok_or_else(refused)?;
    if !is_signed(webhook.kind, &parts.headers, &body, secret.as_bytes()) {
        tracing::warn!(source = %key, "a webhook's message is refused: it is not signed with the secret");
        return Err(refused());
    }
    let asked = state.registry.reconcile_source(&key).await;
    asked.map_err(|error| ApiError::from_registry(&SOURCES, error))?;
    tracing::info!(source = %key, by = "webhook", "asked to look at once");
    Ok((StatusCode::ACCEPTED, Json(json!({"message": format!("Source {key} is looked at")}))))
}

fn webhook_of(state: &ApiState, key: &Key) -> Option<Webhook> {
    let source = state.registry.store().get(Kind::Source, key).ok()??;
    serde_json::from_value::<SourceSpec>(source["spec"].clone()).ok()?.webhook
}

/// The secret, read anew each time. Why it cannot be read is for the operator's log, not for the sender.
async fn secret(key: &Key, webhook: &Webhook) -> Option<String> {
    let path = &webhook.secret_file;
    let secret = match tokio::fs::read_to_string(path).await {
        Ok(text) => text.trim().to_owned(),
        Err(error) => {
            tracing::error!(source = %key, file = %path.display(), %error, "the secret of a webhook cannot be read: its messages are refused");
            return None;
        }
    };
    if secret.is_empty() {
        tracing::error!(source = %key, file = %path.display(), "the secret of a webhook is empty: its messages are refused");
        return None;
    }
    Some(secret)
}

fn is_signed(kind: WebhookType, headers: &HeaderMap, body: &[u8], secret: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim().to_owned();
    let signature = match kind {
        WebhookType::GitHub => header("x-hub-signature-256"),
        WebhookType::Generic => header("x-signature"),
        WebhookType::Gitea => {
            let all = ["x-gitea-signature", "x-forgejo-signature", "x-gogs-signature"];
            all.into_iter().map(header).find(|value| !value.is_empty()).unwrap_or_default()
        }
        // GitLab sends the secret itself; as digests, both are of one length.
        WebhookType::GitLab => return Sha256::digest(header("x-gitlab-token")).ct_eq(&Sha256::digest(secret)).into(),
    };
    let hex = signature.strip_prefix("sha256=").unwrap_or(&signature);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    bytes(hex).is_some_and(|tag| hmac::verify(&key, body, &tag).is_ok())
}

/// Bytes of pairs of hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(kind: WebhookType, header: (&'static str, &str), body: &[u8]) -> bool {
        let headers = HeaderMap::from_iter([(header.0.parse().unwrap(), header.1.parse().unwrap())]);
        is_signed(kind, &headers, body, b"It's a Secret to Everybody")
    }

    /// GitHub's own example.
    const TAG: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn a_message_signed_with_the_secret_is_taken_from_each_server() {
        let body = b"Hello, World!";
        let prefixed = format!("sha256={TAG}");
        assert!(signed(WebhookType::GitHub, ("x-hub-signature-256", &prefixed), body));
        assert!(signed(WebhookType::Generic, ("x-signature", &prefixed), body));
        assert!(signed(WebhookType::Gitea, ("x-gitea-signature", TAG), body));
        assert!(signed(WebhookType::Gitea, ("x-forgejo-signature", TAG), body));
        assert!(signed(WebhookType::GitLab, ("x-gitlab-token", "It's a Secret to Everybody"), body));
    }

    #[test]
    fn anything_else_is_refused() {
        let prefixed = format!("sha256={TAG}");
        for (kind, header, value, body) in [
            (WebhookType::GitHub, "x-hub-signature-256", prefixed.as_str(), b"Hello, world!".as_slice()),
            (WebhookType::GitHub, "x-hub-signature", &prefixed, b"Hello, World!"),
            (WebhookType::GitHub, "x-hub-signature-256", &prefixed[..60], b"Hello, World!"),
            (WebhookType::GitHub, "x-hub-signature-256", "sha256=", b"Hello, World!"),
            (WebhookType::GitHub, "x-hub-signature-256", "sha256=zz", b"Hello, World!"),
            (WebhookType::GitHub, "x-gitlab-token", "It's a Secret to Everybody", b"Hello, World!"),
            (WebhookType::GitLab, "x-gitlab-token", "It's a secret", b"Hello, World!"),
            (WebhookType::GitLab, "x-gitlab-token", "", b"Hello, World!"),
        ] {
            assert!(!signed(kind, (header, value), body), "{header}: {value}");
        }
    }
}
