//! The API as clients see it, over a real store in a folder of its own.

mod commands;
mod inside;
mod kubectl;
mod sockets;
mod sources;
mod strangers;
mod watching;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::Caller;
use super::{ApiState, Host, PlanText, Planner, Readiness, router};
use crate::clock::{SharedClock, SystemClock};
use crate::docker::fake::FakeEngine;
use crate::model::Key;
use crate::registry::Registry;
use crate::store::Store;

/// Path of all Deployments of `default`.
pub const DEPLOYMENTS: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/deployments";
/// Path of all Holds of `default`.
pub const HOLDS: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/holds";

/// An API with nothing behind it but a store.
pub struct Api {
    pub state: ApiState,
    pub readiness: Sender<Readiness>,
    pub engine: FakeEngine,
    pub dir: TempDir,
    router: Router,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; the test fails if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts the code and returns the body.
    pub fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.json()
    }

    /// Asserts a `Status` of that code and reason, and returns its message.
    pub fn refused(&self, code: u16, reason: &str) -> String {
        let status = self.expect(code);
        assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")), "{status}");
        assert_eq!((&status["reason"], &status["code"]), (&json!(reason), &json!(code)), "{status}");
        status["message"].as_str().unwrap().to_owned()
    }
}

/// Says what it was asked.
struct Echo;

#[async_trait]
impl Planner for Echo {
    async fn plan(&self, key: &Key) -> Result<PlanText, String> {
        Ok(PlanText { text: format!("plan of {key}\n"), json: json!({"plan": key.to_string()}) })
    }

    fn progress(&self, key: &Key) -> Value {
        json!({"jobs": [{"kind": "pull", "subject": key.to_string()}]})
    }

    fn projects(&self) -> Result<Value, String> {
        Ok(json!([{"name": "shop"}]))
    }

    async fn plan_object(&self, deployment: Value, _: BTreeMap<String, String>) -> Result<PlanText, String> {
        Ok(PlanText { text: "plan of what was sent\n".into(), json: json!({"planned": deployment["spec"]["services"]}) })
    }
}

impl Api {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let (store, _) = Store::open(&dir.path().join("store"), clock.clone()).unwrap();
        let (readiness, readiness_seen) = tokio::sync::watch::channel(Readiness::default());
        let registry = Registry::new(store, clock.clone());
        let engine = FakeEngine::new(clock.clone(), 1);
        let host = Host::new(Arc::new(engine.clone()), "default", dir.path().join("store"), clock.as_ref());
        let state = ApiState::new(registry, Arc::new(Echo), readiness_seen, host, clock, CancellationToken::new());
        Self { router: router(state.clone()), state, readiness, engine, dir }
    }

    /// Sends a request as somebody who is known.
    pub async fn send(&self, mut request: Request<Body>) -> axum::response::Response {
        request.extensions_mut().insert(Caller { by: "test".into(), authenticated: true });
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let builder =
            headers.iter().fold(Request::builder().method(method).uri(path), |b, (name, value)| b.header(*name, *value));
        let response = self.send(builder.body(body.into()).unwrap()).await;
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { code, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn merge(&self, path: &str, patch: &Value) -> Answer {
        self.patch(path, "application/merge-patch+json", patch).await
    }

    pub async fn patch(&self, path: &str, content_type: &str, patch: &Value) -> Answer {
        self.call(Method::PATCH, path, &[("content-type", content_type)], patch.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], "").await
    }

    /// Makes a Deployment and returns it as stored.
    pub async fn web(&self) -> Value {
        self.post(DEPLOYMENTS, &deployment("web")).await.expect(201)
    }

    /// Follows a watch.
    pub async fn watch(&self, path: &str) -> Lines {
        let response = self.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), 200);
        Lines::new(response.into_body())
    }
}

/// A Deployment of one service.
pub fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"services": {"app": {"image": "localhost/app:1"}}},
    })
}

/// Path of a Deployment of `default`, with what stands below it.
pub fn path(rest: &str) -> String {
    format!("{DEPLOYMENTS}/{rest}")
}

/// Lines of a watch.
pub struct Lines {
    body: Body,
    rest: String,
}

impl Lines {
    pub fn new(body: Body) -> Self {
        Self { body, rest: String::new() }
    }

    /// The next event, `None` at the end. Fails if nothing comes for five seconds.
    pub async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(Duration::from_secs(5), self.patient()).await.expect("the watch says nothing")
    }

    /// The next event, `None` at the end, however long it takes.
    pub async fn patient(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let event = serde_json::from_str(line).unwrap();
                self.rest = rest.to_owned();
                return Some(event);
            }
            let bytes = self.body.frame().await?.unwrap().into_data().unwrap();
            self.rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event as `TYPE name`.
    pub async fn told(&mut self) -> String {
        let event = self.next().await.expect("the watch ended");
        format!("{} {}", event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or("-"))
    }
}
