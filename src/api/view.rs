//! The shape that the Accept header asks for: the object itself, its metadata only, or a table.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::kinds::Resource;
use super::params::Params;
use super::table;
use crate::store::Object;

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As they are.
    Object,
    /// `PartialObjectMetadata`.
    Metadata,
    /// `Table`, made of what kubectl prints.
    Table(Include),
}

/// What a table's rows carry beside their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// The metadata.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

impl View {
    /// The view that the first acceptable item of the Accept header asks for. What is not known gets plain JSON.
    pub fn asked(headers: &HeaderMap, params: &Params) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let first = accept.split(',').next().unwrap_or("");
        let named = first.split(';').skip(1).filter_map(|part| part.trim().strip_prefix("as=")).next();
        match named {
            Some("Table") => Self::Table(match params.text("includeObject") {
                Some("Object") => Include::Object,
                Some("None") => Include::None,
                _ => Include::Metadata,
            }),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Self::Metadata,
            _ => Self::Object,
        }
    }

    /// One object.
    pub fn one(self, resource: &Resource, object: &Value, now: Timestamp) -> Value {
        match self {
            Self::Object => object.clone(),
            Self::Metadata => partial(object),
            Self::Table(include) => table::table(resource, std::iter::once(object), version(object), include, now),
        }
    }

    /// A list, at `revision`, as the body of an answer: ten thousand objects are not copied first.
    pub fn list(self, resource: &Resource, items: &[Object], revision: u64, now: Timestamp) -> Response {
        let revision = revision.to_string();
        let metadata = json!({"resourceVersion": revision});
        match self {
            Self::Table(include) => {
                Json(table::table(resource, items.iter().map(AsRef::as_ref), &revision, include, now)).into_response()
            }
            Self::Object => {
                let items = items.iter().map(AsRef::as_ref).collect();
                Json(List { kind: &resource.list_kind(), api_version: &resource.api_version(), metadata, items }).into_response()
            }
            Self::Metadata => {
                let partials = items.iter().map(|item| partial(item)).collect::<Vec<_>>();
                let items = partials.iter().collect();
                Json(List { kind: "PartialObjectMetadataList", api_version: "meta.k8s.io/v1", metadata, items }).into_response()
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: Value,
    items: Vec<&'a Value>,
}

/// Only what names an object and says whose it is.
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// Its resourceVersion.
pub fn version(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or("")
}

/// A JSON answer with Kubernetes' Warning headers.
pub fn answer(code: StatusCode, body: &Value, warnings: &[String]) -> Response {
    let mut response = (code, Json(body)).into_response();
    for value in warnings.iter().filter_map(|text| warning(text)) {
        response.headers_mut().append(header::WARNING, value);
    }
    response
}

/// `299 - "text"`: a header holds no line breaks and no text beyond ASCII.
fn warning(text: &str) -> Option<HeaderValue> {
    let quoted = text.chars().flat_map(|c| match c {
        '"' | '\\' => vec!['\\', c],
        ' '..='~' => vec![c],
        c if c.is_whitespace() => vec![' '],
        _ => vec!['?'],
    });
    HeaderValue::from_str(&format!("299 - \"{}\"", quoted.collect::<String>())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_item_of_accept_decides() {
        let view = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            View::asked(&headers, &Params::default())
        };
        assert_eq!(view("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), View::Table(Include::Metadata));
        assert_eq!(view("application/json, application/json;as=Table"), View::Object);
        assert_eq!(view("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), View::Metadata);
        assert_eq!(view("application/vnd.kubernetes.protobuf, */*"), View::Object);
    }

    #[test]
    fn a_warning_cannot_break_out_of_its_header() {
        assert_eq!(warning("unknown \"x\"\r\nSet-Cookie: ü").unwrap(), "299 - \"unknown \\\"x\\\"  Set-Cookie: ?\"");
    }
}
