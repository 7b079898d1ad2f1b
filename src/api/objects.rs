//! Objects over HTTP: list, get, create, replace, delete. Patches and watches have files of their own.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::body::{self, Media};
use super::errors::{ApiError, Result};
use super::kinds::Resource;
use super::params::{FieldValidation, Params};
use super::path::{self, Target};
use super::view::{View, answer, version};
use super::{ApiState, commands, exec, log, metrics, namespaces, patch, watch};
use crate::model::Key;
use crate::registry::{DeleteOptions, Written};
use crate::store::{Kind, Object, Part};

/// One request about objects, taken apart.
pub struct Call {
    pub state: ApiState,
    pub caller: Caller,
    pub params: Params,
    pub view: View,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// How the connection can become another protocol's, where the client asks for one.
    pub upgrade: Option<OnUpgrade>,
}

impl Call {
    /// The body, in JSON or YAML.
    pub fn value(&self) -> Result<Value> {
        body::value(&Media::of(&self.headers), &self.body, &self.caller)
    }

    /// The body as one object.
    pub fn object(&self) -> Result<Map<String, Value>> {
        match self.value()? {
            Value::Object(object) => Ok(object),
            _ => Err(ApiError::bad_request("the body must be one object")),
        }
    }
}

/// Which object of which kind, and which part of it.
#[derive(Clone)]
pub struct Place {
    pub resource: &'static Resource,
    pub kind: Kind,
    pub key: Key,
    pub part: Part,
}

/// Everything under `/api` and `/apis` that is no discovery.
pub async fn handle(State(state): State<ApiState>, caller: Caller, request: Request) -> Response {
    let Some(target) = path::parse(request.uri().path()) else {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    };
    dispatch(state, caller, target, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn dispatch(state: ApiState, caller: Caller, target: Target, request: Request) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let body = body::read(&parts.headers, body).await?;
    let params = Params::read(&parts.uri)?;
    let view = View::asked(&parts.headers, &params);
    let call = Call { state, caller, params, view, method: parts.method, headers: parts.headers, body, upgrade };
    match target {
        Target::Plan => commands::plan_of_body(call).await,
        Target::Collection { resource, namespace } => match resource.stored {
            Some(kind) => collection(call, resource, kind, namespace).await,
            None => namespaces::collection(&call),
        },
        Target::Object { resource, key } => match resource.stored {
            Some(kind) => object(call, Place { resource, kind, key, part: Part::Main }).await,
            None => namespaces::one(&call, &key.name),
        },
        Target::Subresource { resource, key, name: "status" } => {
            let Some(kind) = resource.stored else { return Err(ApiError::not_found(resource, &key.name)) };
            object(call, Place { resource, kind, key, part: Part::Status }).await
        }
        Target::Subresource { resource, key, name: "log" } => log::log(&call, resource, &key).await,
        Target::Subresource { resource, key, name: "exec" } => exec::exec(call, resource, &key).await,
        Target::Subresource { resource, key, name: "metrics" } => metrics::metrics(&call, resource, &key).await,
        Target::Subresource { resource, key, name } => commands::run(call, resource, &key, name).await,
    }
}

async fn collection(call: Call, resource: &'static Resource, kind: Kind, namespace: Option<String>) -> Result<Response> {
    match call.method {
        Method::GET | Method::HEAD if call.params.flag("watch") => {
            let selectors = call.params.selectors()?;
            watch::watch(&call, resource, kind, namespace, selectors)
        }
        Method::GET | Method::HEAD => list(&call, resource, kind, namespace.as_deref()),
        Method::POST if resource.verbs.contains(&"create") => {
            let namespace =
                namespace.ok_or_else(|| ApiError::bad_request("an empty namespace may not be set during creation"))?;
            create(call, resource, kind, &namespace).await
        }
        _ => Err(ApiError::method_not_allowed(resource, "on all of them at once")),
    }
}

async fn object(call: Call, place: Place) -> Result<Response> {
    let allowed = |verb| place.resource.verbs.contains(&verb);
    match call.method {
        Method::GET | Method::HEAD if call.params.flag("watch") => {
            let selectors = call.params.selectors()?.named(&place.key.name);
            watch::watch(&call, place.resource, place.kind, Some(place.key.namespace), selectors)
        }
        Method::GET | Method::HEAD => Ok(shown(&call, &place, StatusCode::OK, get(&call.state, &place)?.as_ref(), &[])),
        Method::PUT if allowed("update") => replace(call, place).await,
        Method::PATCH if allowed("patch") => patch::patch(call, place).await,
        Method::DELETE if allowed("delete") && place.part == Part::Main => delete(call, place).await,
        _ => Err(ApiError::method_not_allowed(place.resource, "it is not one of its verbs")),
    }
}

/// The stored object.
pub fn get(state: &ApiState, place: &Place) -> Result<Object> {
    let found =
        state.registry.store().get(place.kind, &place.key).map_err(|error| ApiError::from_store(place.resource, error))?;
    found.ok_or_else(|| ApiError::not_found(place.resource, &place.key.name))
}

fn shown(call: &Call, place: &Place, code: StatusCode, object: &Value, warnings: &[String]) -> Response {
    answer(code, &call.view.one(place.resource, object, call.state.clock.now()), warnings)
}

/// What a write answers.
pub fn written(call: &Call, place: &Place, code: StatusCode, written: &Written) -> Response {
    let quiet = call.params.field_validation() == Ok(FieldValidation::Ignore);
    shown(call, place, code, &written.object, if quiet { &[] } else { &written.warnings })
}

fn list(call: &Call, resource: &Resource, kind: Kind, namespace: Option<&str>) -> Result<Response> {
    let selectors = call.params.selectors()?;
    let listing = call.state.registry.store().list(kind, namespace).map_err(|error| ApiError::from_store(resource, error))?;
    let items = listing.items.into_iter().filter(|item| selectors.matches(item)).collect::<Vec<_>>();
    Ok(call.view.list(resource, &items, listing.revision, call.state.clock.now()))
}

async fn create(call: Call, resource: &'static Resource, kind: Kind, namespace: &str) -> Result<Response> {
    let options = call.params.write_options(&call.caller.by)?;
    let mut object = call.object()?;
    let metadata = fit(&mut object, resource, namespace, None)?;
    generate_name(metadata);
    let key = Key::new(namespace, metadata.get("name").and_then(Value::as_str).unwrap_or_default());
    let made = call.state.registry.create(kind, Value::Object(object), &options).await;
    let made = made.map_err(|error| ApiError::from_registry(resource, error))?;
    Ok(written(&call, &Place { resource, kind, key, part: Part::Main }, StatusCode::CREATED, &made))
}

async fn replace(call: Call, place: Place) -> Result<Response> {
    let mut options = call.params.write_options(&call.caller.by)?;
    let mut object = call.object()?;
    let metadata = fit(&mut object, place.resource, &place.key.namespace, Some(&place.key.name))?;
    options.expected = expected_version(metadata)?;
    check_uid(&call.state, &place, metadata.get("uid").and_then(Value::as_str))?;
    if !metadata.contains_key("managedFields") {
        // Who owns what is not lost because a file does not say it.
        metadata.extend(
            get(&call.state, &place)?["metadata"].get("managedFields").map(|kept| ("managedFields".into(), kept.clone())),
        );
    }
    let registry = &call.state.registry;
    let done = registry.replace(place.kind, &place.key, Value::Object(object), place.part, false, &options).await;
    let done = done.map_err(|error| ApiError::from_registry(place.resource, error))?;
    Ok(written(&call, &place, StatusCode::OK, &done))
}

async fn delete(call: Call, place: Place) -> Result<Response> {
    let asked = if call.body.is_empty() { json!({}) } else { call.value()? };
    let current = get(&call.state, &place)?;
    if asked.pointer("/preconditions/resourceVersion").is_some_and(|wanted| wanted != version(&current)) {
        return Err(ApiError::conflict(
            place.resource,
            &place.key.name,
            "the resourceVersion in the preconditions is another one",
        ));
    }
    let uid = asked.pointer("/preconditions/uid").and_then(Value::as_str);
    check_uid(&call.state, &place, uid)?;
    let policy = asked["propagationPolicy"].as_str().or(call.params.text("propagationPolicy"));
    let options = DeleteOptions {
        orphan: policy == Some("Orphan") || asked["orphanDependents"] == true || call.params.flag("orphanDependents"),
        volumes: call.params.flag("volumes"),
        expected_uid: uid.map(str::to_owned),
        expected: None,
        dry_run: call.params.dry_run()? || asked["dryRun"].as_array().is_some_and(|all| !all.is_empty()),
        pruned: false,
    };
    let deleted = call.state.registry.delete(place.kind, &place.key, &options).await;
    match deleted.map_err(|error| ApiError::from_registry(place.resource, error))? {
        (last, true) => Ok(answer(StatusCode::OK, &gone(&place, &last), &[])),
        (object, false) => Ok(shown(&call, &place, StatusCode::OK, &object, &[])),
    }
}

fn gone(place: &Place, last: &Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {
            "name": place.key.name, "group": place.resource.group, "kind": place.resource.plural, "uid": last["metadata"]["uid"],
        },
    })
}

/// Fits an object to its path: kind, version, namespace and name are filled in, or must agree. Returns its metadata.
pub fn fit<'a>(
    object: &'a mut Map<String, Value>,
    resource: &Resource,
    namespace: &str,
    name: Option<&str>,
) -> Result<&'a mut Map<String, Value>> {
    agree(object, "apiVersion", &resource.api_version(), "the API version in the data")?;
    agree(object, "kind", resource.kind, "the kind in the data")?;
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Value::Object(metadata) = metadata else { return Err(ApiError::bad_request("metadata must be an object")) };
    agree(metadata, "namespace", namespace, "the namespace of the provided object")?;
    if let Some(name) = name {
        agree(metadata, "name", name, "the name of the object")?;
    }
    Ok(metadata)
}

fn agree(map: &mut Map<String, Value>, field: &str, wanted: &str, what: &str) -> Result<()> {
    match map.get(field) {
        None | Some(Value::Null) => map.insert(field.into(), json!(wanted)),
        Some(Value::String(found)) if found.is_empty() => map.insert(field.into(), json!(wanted)),
        Some(found) if found == wanted => None,
        Some(found) => {
            return Err(ApiError::bad_request(format!("{what} ({found}) does not match the one of the request ({wanted:?})")));
        }
    };
    Ok(())
}

/// Makes a name from `generateName` if only that is there.
fn generate_name(metadata: &mut Map<String, Value>) {
    let prefix = metadata.remove("generateName");
    let named = metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if let (false, Some(prefix)) = (named, prefix.as_ref().and_then(Value::as_str)) {
        let name = format!("{prefix}{}", &uuid::Uuid::new_v4().simple().to_string()[..5]);
        metadata.insert("name".into(), json!(name));
    }
}

/// The version a write says it was made from.
pub fn expected_version(metadata: &Map<String, Value>) -> Result<Option<u64>> {
    match metadata.get("resourceVersion") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value) => match value.as_str().and_then(|text| text.parse().ok()) {
            Some(version) => Ok(Some(version)),
            None => Err(ApiError::bad_request(format!("metadata.resourceVersion: {value} is none of this server's"))),
        },
    }
}

/// A write for an object of the same name that is gone must not hit its successor.
pub fn check_uid(state: &ApiState, place: &Place, wanted: Option<&str>) -> Result<()> {
    let Some(wanted) = wanted.filter(|uid| !uid.is_empty()) else { return Ok(()) };
    let current = get(state, place)?;
    let found = current.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
    if wanted == found {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
    Err(ApiError::conflict(place.resource, &place.key.name, &why))
}
