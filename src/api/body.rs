//! Bodies of requests: how large, how long, and in what language they may be.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::auth::Caller;
use super::errors::{ApiError, Result};
use crate::crd::list_errors;
use crate::crd::yaml::parse_manifests;

/// Largest body. Kubernetes' own limit; the largest real Compose file known is a tenth of it.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// What language a body says it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// It says nothing. Python's client and some of kubectl's writes do so.
    Unsaid,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// RFC 7386.
    MergePatch,
    /// RFC 6902.
    JsonPatch,
    /// Server-side apply; always YAML, of which JSON is a part.
    Apply,
    /// Kubernetes' strategic merge patch.
    StrategicMergePatch,
    /// Kubernetes' protobuf.
    Protobuf,
    /// Something else.
    Other(String),
}

impl Media {
    /// Reads the Content-Type.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Unsaid };
        let text = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match text.as_str() {
            "application/json" => Self::Json,
            "application/yaml" | "application/x-yaml" | "text/yaml" => Self::Yaml,
            "application/merge-patch+json" => Self::MergePatch,
            "application/json-patch+json" => Self::JsonPatch,
            "application/apply-patch+yaml" => Self::Apply,
            "application/strategic-merge-patch+json" => Self::StrategicMergePatch,
            "application/vnd.kubernetes.protobuf" => Self::Protobuf,
            _ => Self::Other(text),
        }
    }
}

/// Reads a body whole.
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    bounded(headers, body, |body| async { Ok(body.collect().await?.to_bytes()) }).await
}

/// Reads a body part by part, none of which is kept.
pub async fn pass(headers: &HeaderMap, body: Body, mut each: impl FnMut(&[u8])) -> Result<()> {
    let pass = |mut body: Limited<Body>| async move {
        while let Some(part) = body.frame().await {
            if let Some(bytes) = part?.data_ref() {
                each(bytes);
            }
        }
        Ok(())
    };
    bounded(headers, body, pass).await
}

/// Reads a body up to the largest size and the longest time.
async fn bounded<T, F>(headers: &HeaderMap, body: Body, read: impl FnOnce(Limited<Body>) -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>>,
{
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_DEADLINE, read(Limited::new(body, MAX_BODY))).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("the body broke off: {error}"))),
        Err(_) => {
            let message = format!("the body did not arrive within {} s", BODY_DEADLINE.as_secs());
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "Timeout", message))
        }
    }
}

fn too_large() -> ApiError {
    let message = format!("the body is larger than {} MiB, the most that is read", MAX_BODY / 1024 / 1024);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
}

/// Reads an object, a patch or a command in JSON or YAML.
pub fn value(media: &Media, bytes: &[u8], caller: &Caller) -> Result<Value> {
    match media {
        Media::Unsaid if !caller.authenticated => {
            Err(ApiError::unsupported_media("send a Content-Type: application/json or application/yaml"))
        }
        Media::Unsaid | Media::Json | Media::MergePatch | Media::JsonPatch => json(bytes),
        Media::Yaml | Media::Apply => yaml(bytes),
        Media::StrategicMergePatch | Media::Protobuf | Media::Other(_) => Err(ApiError::unsupported_media(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        )),
    }
}

fn json(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))
}

/// Reads one document the way manifests are read: merge keys resolved, duplicate keys of an object refused.
fn yaml(bytes: &[u8]) -> Result<Value> {
    let refused = |why: String| ApiError::bad_request(format!("the body is not one YAML document: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
    let mut documents = parse_manifests("body", text);
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => {
            // What has no kind, such as a command or a patch, is no manifest; all else that was found wrong counts.
            let wrong = document.value.is_null() || !document.kind.is_empty();
            if wrong && !document.errors.is_empty() { Err(refused(list_errors(&document.errors))) } else { Ok(document.value) }
        }
        (None, _) => Ok(Value::Null),
        (Some(_), false) => Err(refused("it holds several".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(authenticated: bool) -> Caller {
        Caller { by: "test".into(), authenticated }
    }

    #[test]
    fn a_missing_content_type_is_json_only_for_those_who_are_known() {
        assert_eq!(value(&Media::Unsaid, b"{}", &caller(true)).unwrap(), serde_json::json!({}));
        assert_eq!(value(&Media::Unsaid, b"{}", &caller(false)).unwrap_err().status()["code"], 415);
    }

    #[test]
    fn yaml_is_read_and_two_documents_or_keys_are_refused() {
        let read = |text: &str| value(&Media::Yaml, text.as_bytes(), &caller(true));
        assert_eq!(read("a:\n  b: [1, x]").unwrap(), serde_json::json!({"a": {"b": [1, "x"]}}));
        for wrong in ["a: 1\n---\nb: 2", "a: [b", "kind: Deployment\nspec: {}\nspec: {}"] {
            assert_eq!(read(wrong).unwrap_err().status()["code"], 400, "{wrong}");
        }
    }
}
