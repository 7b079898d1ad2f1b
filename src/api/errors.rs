//! Refusals, as Kubernetes `Status` objects.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::kinds::{self, Resource};
use crate::crd::FieldError;
use crate::model::Key;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Option<Value>,
    race: bool,
}

/// Results of handlers.
pub type Result<T> = std::result::Result<T, ApiError>;

impl ApiError {
    /// A refusal without details.
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, race: false }
    }

    /// 400: it cannot be read, or it contradicts its own path.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401: who calls is not known.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    /// 403: nobody may do this here.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 415: a content type that is not read here.
    pub fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 422: one thing is wrong with an object.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// 503: it cannot be said now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// 405: the path is right, the method is not.
    pub fn method_not_allowed(resource: &Resource, why: &str) -> Self {
        let message = format!("the server does not allow this method on {}: {why}", resource.qualified());
        Self { details: Some(details(resource, "")), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message) }
    }

    /// 404 for an object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self { details: Some(details(resource, name)), ..Self::new(StatusCode::NOT_FOUND, "NotFound", message) }
    }

    /// 409: the object is another version than the write was made from.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self { details: Some(details(resource, name)), ..Self::new(StatusCode::CONFLICT, "Conflict", message) }
    }

    /// 410: the revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// What the registry said about an object of `resource`.
    pub fn from_registry(resource: &Resource, error: RegistryError) -> Self {
        match error {
            RegistryError::Invalid { kind, name, errors } => Self::invalid(kinds::of(kind), &name, &errors),
            RegistryError::Refused(message) => Self::new(StatusCode::CONFLICT, "Conflict", message),
            RegistryError::Store(error) => Self::from_store(resource, error),
        }
    }

    /// What the store said about an object of `resource`.
    pub fn from_store(resource: &Resource, error: StoreError) -> Self {
        match error {
            StoreError::NotFound { kind, key } => Self::not_found(kinds::of(kind), &key.name),
            StoreError::AlreadyExists { kind, key } => Self { race: true, ..Self::already_exists(kinds::of(kind), &key) },
            StoreError::Conflict { kind, key, .. } => Self { race: true, ..Self::conflict(kinds::of(kind), &key.name, MODIFIED) },
            StoreError::Expired { .. } => Self::expired(format!("{error}: list anew")),
            StoreError::Locked(_) | StoreError::Io { .. } | StoreError::Corrupt(_) => {
                tracing::error!(error = chain(&error), resource = resource.plural, "the store failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalError",
                    format!("{}: {}", resource.qualified(), chain(&error)),
                )
            }
        }
    }

    fn already_exists(resource: &Resource, key: &Key) -> Self {
        let message = format!("{} {:?} already exists", resource.qualified(), key.name);
        Self { details: Some(details(resource, &key.name)), ..Self::new(StatusCode::CONFLICT, "AlreadyExists", message) }
    }

    fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        let causes = errors.iter().map(cause).collect::<Vec<_>>();
        let mut details = details(resource, name);
        // For this reason Kubernetes names the kind, for all others the plural.
        details["kind"] = json!(resource.kind);
        details["causes"] = Value::Array(causes);
        let message = format!("{}.{} {name:?} is invalid: {}", resource.kind, resource.group, crate::crd::list_errors(errors));
        Self { details: Some(details), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message) }
    }

    /// Whether another write came in between, so that this one may be made again from the newest version.
    pub fn is_race(&self) -> bool {
        self.race
    }

    /// Adds causes (`details.causes`).
    pub fn with_causes(mut self, causes: Vec<Value>) -> Self {
        self.details.get_or_insert_with(|| json!({}))["causes"] = Value::Array(causes);
        self
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status["code"] = json!(self.code.as_u16());
        status
    }
}

/// What kubectl expects to read about a lost race.
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

fn details(resource: &Resource, name: &str) -> Value {
    let mut details = json!({});
    for (field, text) in [("name", name), ("group", resource.group), ("kind", resource.plural)] {
        if !text.is_empty() {
            details[field] = json!(text);
        }
    }
    details
}

fn cause(error: &FieldError) -> Value {
    let message = match &error.location {
        Some(location) => format!("{} ({location})", error.message),
        None => error.message.clone(),
    };
    json!({"reason": "FieldValueInvalid", "message": message, "field": error.path})
}

/// An error with its sources, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.code, Json(self.status())).into_response();
        if self.code == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"evenkeel\""));
        }
        response
    }
}
