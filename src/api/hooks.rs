//! `POST /hooks/<namespace>/<name>`: a git server says that there is something new.
//!
//! # Guarantees
//! - No token of this API is needed: whoever knows the Source's own secret may ask that it is looked at, and nothing else.
//!   What the message says is not read.
//! - Secrets and signatures are compared in constant time. A Source that is not there, one without a webhook and a wrong signature
//!   are answered alike.
//! - What comes from strangers costs little: nothing of the body is read before there is such a hook and a signature that may be
//!   right, none of it is kept, it is bounded in size and time, and refusals are logged once a minute with their number.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::errors::{ApiError, Result};
use super::kinds::SOURCES;
use super::{ApiState, body};
use crate::crd::{SourceSpec, Webhook, WebhookType};
use crate::model::Key;
use crate::store::Kind;

/// Where hooks are.
pub const PREFIX: &str = "/hooks/";

/// Refusals are logged so often at most.
const LOGGED: Duration = Duration::from_secs(60);

/// Largest file of a secret.
const LARGEST_SECRET: u64 = 64 * 1024;

/// Takes a message.
pub async fn hook(
    State(state): State<ApiState>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>)> {
    let (parts, body) = request.into_parts();
    let key = Key::new(namespace, name);
    let Some(webhook) = webhook_of(&state, &key) else {
        tracing::debug!(source = %key, "a message for a hook that is not there");
        return Err(state.refusals.refuse(None, "there is no such hook"));
    };
    check(&webhook, &parts.headers, body).await?.map_err(|why| state.refusals.refuse(Some(&key), &why))?;
    let asked = state.registry.reconcile_source(&key).await;
    asked.map_err(|error| ApiError::from_registry(&SOURCES, error))?;
    tracing::info!(source = %key, by = "webhook", "asked to look at once");
    Ok((StatusCode::ACCEPTED, Json(json!({"message": format!("Source {key} is looked at")}))))
}

fn webhook_of(state: &ApiState, key: &Key) -> Option<Webhook> {
    let source = state.registry.store().get(Kind::Source, key).ok()??;
    serde_json::from_value::<SourceSpec>(source["spec"].clone()).ok()?.webhook
}

/// Whether a message is from one who knows the secret; why it is not, which is for the operator's log and not for the sender.
async fn check(webhook: &Webhook, headers: &HeaderMap, body: Body) -> Result<std::result::Result<(), String>> {
    let Some(proof) = Proof::read(webhook.kind, headers) else { return Ok(Err("it bears no signature".to_owned())) };
    let secret = match secret(webhook).await {
        Ok(secret) => secret,
        Err(why) => return Ok(Err(format!("its secret {} {why}", webhook.secret_file.display()))),
    };
    let mut check = Check::new(proof, &secret);
    if check.is_hopeless() {
        return Ok(Err("it is not signed with the secret".to_owned()));
    }
    body::pass(headers, body, |part| check.update(part)).await?;
    Ok(if check.verify() { Ok(()) } else { Err("it is not signed with the secret".to_owned()) })
}

/// The secret, read anew each time.
async fn secret(webhook: &Webhook) -> std::result::Result<String, String> {
    let path = &webhook.secret_file;
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let found = tokio::fs::metadata(path).await.map_err(cannot)?;
    if !found.is_file() || found.len() > LARGEST_SECRET {
        return Err("is no small regular file".to_owned());
    }
    let text = tokio::fs::read_to_string(path).await.map_err(cannot)?;
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.trim().to_owned()) }
}

/// What a message says to show that its sender knows the secret.
enum Proof {
    /// HMAC-SHA256 of the body.
    Signature(Vec<u8>),
    /// The secret itself.
    Secret(String),
}

impl Proof {
    /// None: the message has nothing that could be one.
    fn read(kind: WebhookType, headers: &HeaderMap) -> Option<Self> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim().to_owned();
        let signature = match kind {
            WebhookType::GitHub => header("x-hub-signature-256"),
            WebhookType::Generic => header("x-signature"),
            WebhookType::Gitea => {
                let all = ["x-gitea-signature", "x-forgejo-signature", "x-gogs-signature"];
                all.into_iter().map(header).find(|value| !value.is_empty()).unwrap_or_default()
            }
            WebhookType::GitLab => return Some(header("x-gitlab-token")).filter(|secret| !secret.is_empty()).map(Self::Secret),
        };
        let hex = signature.strip_prefix("sha256=").unwrap_or(&signature);
        bytes(hex).filter(|bytes| bytes.len() == hmac::HMAC_SHA256.digest_algorithm().output_len()).map(Self::Signature)
    }
}

/// A proof that is being checked.
enum Check {
    Signature(Vec<u8>, Box<hmac::Context>),
    Secret(bool),
}

impl Check {
    fn new(proof: Proof, secret: &str) -> Self {
        match proof {
            Proof::Signature(tag) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                Self::Signature(tag, Box::new(hmac::Context::with_key(&key)))
            }
            // As digests, both are of one length.
            Proof::Secret(given) => Self::Secret(Sha256::digest(given).ct_eq(&Sha256::digest(secret)).into()),
        }
    }

    /// Nothing in the body can make it right.
    fn is_hopeless(&self) -> bool {
        matches!(self, Self::Secret(false))
    }

    fn update(&mut self, part: &[u8]) {
        if let Self::Signature(_, context) = self {
            context.update(part);
        }
    }

    fn verify(self) -> bool {
        match self {
            Self::Signature(tag, context) => context.sign().as_ref().ct_eq(&tag).into(),
            Self::Secret(right) => right,
        }
    }
}

/// Messages that were refused: of each hook, and of all that are for no hook.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<Option<Key>, (Instant, u64)>>);

impl Refusals {
    /// Counts one, and says so in the log where that is due. What the sender is told.
    fn refuse(&self, key: Option<&Key>, why: &str) -> ApiError {
        if let Some(number) = self.count(key.cloned(), Instant::now()) {
            let source = key.map(tracing::field::display);
            tracing::warn!(source, messages = number, "webhook messages are refused: {why}");
        }
        ApiError::unauthorized("there is no such hook, or the message is not signed with its secret")
    }

    /// How many there were since that was said last, where it is to be said again.
    fn count(&self, key: Option<Key>, now: Instant) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other, (said, number)| *other == key || *number > 0 || now - *said < LOGGED);
        let Some((said, number)) = all.get_mut(&key) else {
            all.insert(key, (now, 0));
            return Some(1);
        };
        *number += 1;
        if now - *said < LOGGED {
            return None;
        }
        *said = now;
        Some(std::mem::take(number))
    }
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
        Proof::read(kind, &headers).is_some_and(|proof| {
            let mut check = Check::new(proof, "It's a Secret to Everybody");
            body.chunks(5).for_each(|part| check.update(part));
            !check.is_hopeless() && check.verify()
        })
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

    #[test]
    fn refusals_are_logged_at_once_and_then_once_a_minute_with_their_number() {
        let (refusals, began) = (Refusals::default(), Instant::now());
        let at = |key: Option<Key>, seconds| refusals.count(key, began + Duration::from_secs(seconds));
        let shop = || Some(Key::new("default", "shop"));
        assert_eq!(at(shop(), 0), Some(1));
        assert_eq!((at(shop(), 1), at(shop(), 59)), (None, None));
        assert_eq!(at(None, 59), Some(1), "each hook by itself");
        assert_eq!(at(shop(), 61), Some(3));
        assert_eq!((at(shop(), 62), at(shop(), 300)), (None, Some(2)));
    }
}
