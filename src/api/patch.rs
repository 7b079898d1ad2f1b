//! PATCH in the languages that clients speak: merge patch, JSON patch, server-side apply.

use axum::http::StatusCode;
use axum::response::Response;
use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::apply;
use super::body::Media;
use super::errors::{ApiError, Result};
use super::objects::{Call, Place, check_uid, expected_version, get, written};
use super::view::version;
use crate::registry::{WriteOptions, Written};

/// How often a JSON patch is computed anew when another write came in between.
pub const ATTEMPTS: usize = 5;

/// Patches one object.
pub async fn patch(call: Call, place: Place) -> Result<Response> {
    let options = call.params.write_options(&call.caller.by)?;
    let media = Media::of(&call.headers);
    if let Media::StrategicMergePatch | Media::Unsaid | Media::Json | Media::Yaml | Media::Protobuf | Media::Other(_) = media {
        return Err(unsupported(&place, &media));
    }
    let patch = call.value()?;
    match media {
        Media::JsonPatch => {
            let done = json_patch(&call, &place, patch, options).await?;
            Ok(written(&call, &place, StatusCode::OK, &done))
        }
        Media::Apply => {
            let (done, made) = apply::apply(&call, &place, patch, options).await?;
            Ok(written(&call, &place, if made { StatusCode::CREATED } else { StatusCode::OK }, &done))
        }
        _ => {
            let done = merge_patch(&call, &place, patch, options).await?;
            Ok(written(&call, &place, StatusCode::OK, &done))
        }
    }
}

fn unsupported(place: &Place, media: &Media) -> ApiError {
    let what = match media {
        Media::StrategicMergePatch => "application/strategic-merge-patch+json is not supported by custom resources",
        _ => "the body of the request was in an unknown format",
    };
    ApiError::unsupported_media(format!(
        "{what} - accepted media types for a patch of {} include: application/merge-patch+json (kubectl patch --type=merge), \
         application/json-patch+json, application/apply-patch+yaml",
        place.resource.qualified()
    ))
}

async fn merge_patch(call: &Call, place: &Place, patch: Value, mut options: WriteOptions) -> Result<Written> {
    let Some(map) = patch.as_object() else {
        return Err(ApiError::bad_request(
            "a merge patch must be an object; a list is a JSON patch: send application/json-patch+json",
        ));
    };
    check_names(map.get("apiVersion"), &place.resource.api_version())?;
    check_names(map.get("kind"), place.resource.kind)?;
    if let Some(metadata) = map.get("metadata") {
        let Some(metadata) = metadata.as_object() else { return Err(ApiError::bad_request("metadata must be an object")) };
        check_names(metadata.get("name"), &place.key.name)?;
        check_names(metadata.get("namespace"), &place.key.namespace)?;
        options.expected = expected_version(metadata)?;
        check_uid(&call.state, place, metadata.get("uid").and_then(Value::as_str))?;
    }
    let done = call.state.registry.patch(place.kind, &place.key, patch, place.part, &options).await;
    done.map_err(|error| ApiError::from_registry(place.resource, error))
}

/// A patch may repeat what names the object, not change it.
fn check_names(found: Option<&Value>, wanted: &str) -> Result<()> {
    match found {
        Some(found) if found != wanted => Err(ApiError::unprocessable(format!(
            "the patch would change {wanted:?} to {found}: kind, API version, namespace and name of an object never change"
        ))),
        _ => Ok(()),
    }
}

/// Computes a JSON patch on the newest version, and again when that was no longer the newest.
async fn json_patch(call: &Call, place: &Place, patch: Value, mut options: WriteOptions) -> Result<Written> {
    let operations: Vec<PatchOperation> = serde_json::from_value(patch)
        .map_err(|error| ApiError::bad_request(format!("a JSON patch must be a list of operations: {error}")))?;
    let mut attempt = 1;
    loop {
        let current = get(&call.state, place)?;
        let mut object = current.as_ref().clone();
        let applicable =
            operations.iter().filter(|operation| !tests_missing_for_null(operation, &object)).cloned().collect::<Vec<_>>();
        json_patch::patch(&mut object, &applicable)
            .map_err(|error| ApiError::unprocessable(format!("the JSON patch cannot be applied: {error}")))?;
        for (pointer, wanted) in [("/metadata/name", &place.key.name), ("/metadata/namespace", &place.key.namespace)] {
            check_names(Some(object.pointer(pointer).unwrap_or(&Value::Null)), wanted)?;
        }
        let asked = object["metadata"].as_object().map(expected_version).transpose()?.flatten();
        let pinned = asked.is_some() && version(&object) != version(&current);
        options.expected = asked.filter(|_| pinned).or_else(|| version(&current).parse().ok());
        let registry = &call.state.registry;
        match registry.replace(place.kind, &place.key, object, place.part, false, &options).await {
            Ok(done) => return Ok(done),
            Err(error) => {
                let error = ApiError::from_registry(place.resource, error);
                if pinned || !error.is_race() || attempt == ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
            }
        }
    }
}

/// Kubernetes holds `test` of a missing path against null to be true (kube-rs' finalizer relies on it), RFC 6902 does not.
fn tests_missing_for_null(operation: &PatchOperation, object: &Value) -> bool {
    match operation {
        PatchOperation::Test(test) => test.value == json!(null) && object.pointer(test.path.as_str()).is_none(),
        _ => false,
    }
}
