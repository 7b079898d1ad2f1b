//! Namespaces: nothing is stored of them. Those in use are shown, and `default`; making one is accepted and changes nothing.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

use super::ApiState;
use super::body::Media;
use super::errors::{ApiError, Result};
use super::kinds::{NAMESPACES, of};
use super::objects::Call;
use super::view::answer;
use crate::store::{Kind, Object};

/// `/api/v1/namespaces`.
pub fn collection(call: &Call) -> Result<Response> {
    match call.method {
        Method::GET | Method::HEAD if !call.params.flag("watch") => list(call),
        Method::POST => {
            let name = posted_name(call)?;
            Ok(answer(StatusCode::CREATED, &namespace(&name, None), &[]))
        }
        _ => Err(ApiError::method_not_allowed(&NAMESPACES, "a namespace exists as long as something is in it")),
    }
}

/// `/api/v1/namespaces/NAME`.
pub fn one(call: &Call, name: &str) -> Result<Response> {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed(&NAMESPACES, "a namespace exists as long as something is in it"));
    }
    let found = in_use(&call.state)?.remove(name).ok_or_else(|| ApiError::not_found(&NAMESPACES, name))?;
    Ok(answer(StatusCode::OK, &call.view.one(&NAMESPACES, &found, call.state.clock.now()), &[]))
}

fn list(call: &Call) -> Result<Response> {
    let selectors = call.params.selectors()?;
    let revision = call.state.registry.store().revision();
    let items = in_use(&call.state)?.into_values().filter(|item| selectors.matches(item)).collect::<Vec<_>>();
    Ok(call.view.list(&NAMESPACES, &items, revision, call.state.clock.now()))
}

/// Every namespace with something in it, as old as the oldest thing in it.
fn in_use(state: &ApiState) -> Result<BTreeMap<String, Object>> {
    let mut oldest = BTreeMap::from([("default".to_owned(), None)]);
    for kind in [Kind::Deployment, Kind::Hold, Kind::Source, Kind::Channel, Kind::Alert] {
        let listing = state.registry.store().list(kind, None).map_err(|error| ApiError::from_store(of(kind), error))?;
        for item in &listing.items {
            let field = |name: &str| item["metadata"][name].as_str().map(str::to_owned);
            let (Some(name), created) = (field("namespace"), field("creationTimestamp")) else { continue };
            let known = oldest.entry(name).or_insert_with(|| created.clone());
            // RFC 3339 in UTC and in whole seconds sorts as text.
            if known.is_none() || (created.is_some() && created < *known) {
                *known = created;
            }
        }
    }
    Ok(oldest.into_iter().map(|(name, created)| (name.clone(), Arc::new(namespace(&name, created.as_deref())))).collect())
}

fn namespace(name: &str, created: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "creationTimestamp": created, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {}, "status": {"phase": "Active"},
    })
}

/// The name of a posted Namespace; `kubectl create namespace` sends protobuf and nothing else.
fn posted_name(call: &Call) -> Result<String> {
    let name = match Media::of(&call.headers) {
        Media::Protobuf => protobuf_name(&call.body),
        _ => call.value()?.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned),
    };
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| ApiError::unprocessable("metadata.name: Required value: a Namespace needs a name"))
}

/// `metadata.name` of a typed object in Kubernetes' protobuf: `k8s\0`, then `Unknown{2: raw}`, `raw{1: ObjectMeta}`, `ObjectMeta{1: name}`.
fn protobuf_name(bytes: &[u8]) -> Option<String> {
    let raw = protobuf_field(bytes.strip_prefix(b"k8s\0")?, 2)?;
    let name = protobuf_field(protobuf_field(raw, 1)?, 1)?;
    String::from_utf8(name.to_vec()).ok()
}

/// The first length-delimited field of that number in a message that holds no others before it.
fn protobuf_field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        if tag & 7 != 2 {
            return None;
        }
        let length = usize::try_from(varint(&mut message)?).ok()?;
        let (value, rest) = message.split_at_checked(length)?;
        if tag >> 3 == wanted {
            return Some(value);
        }
        message = rest;
    }
    None
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_protobuf_and_nonsense_is_not_followed() {
        let mut body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x04shop".to_vec();
        assert_eq!(protobuf_name(&body).as_deref(), Some("shop"));
        for cut in 0..body.len() {
            assert_eq!(protobuf_name(&body[..cut]), None, "{cut}");
        }
        body[5] = 0xff;
        assert_eq!(protobuf_name(&body), None);
        assert_eq!(protobuf_name(&[b"k8s\0".as_slice(), &[0xff; 12]].concat()), None);
    }
}
