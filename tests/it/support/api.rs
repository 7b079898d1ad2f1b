//! The operator's API over its unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::{UnixConnector, Uri};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const DEPLOYMENTS: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/deployments";
const HOLDS: &str = "/apis/evenkeel.dev/v1alpha1/namespaces/default/holds";

/// A client. Its calls block: tests are plain `#[test]` functions.
pub struct Api {
    socket: PathBuf,
    runtime: Runtime,
    client: Client<UnixConnector, Full<bytes::Bytes>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; a JSON string where it is no JSON.
    pub body: Value,
}

impl Api {
    pub(super) fn new(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(UnixConnector);
        Self { socket: socket.to_owned(), runtime, client }
    }

    /// One call; `Err` if there was no answer within 10 s.
    pub fn send(&self, method: Method, path: &str, content_type: &str, body: Option<&Value>) -> Result<Reply, String> {
        let bytes = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let uri: http::Uri = Uri::new(&self.socket, path).into();
        let request = Request::builder().method(method).uri(uri).header("content-type", content_type);
        let request = request.body(Full::from(bytes)).unwrap();
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| format!("{path}: {error:?}"))?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|error| format!("{path}: {error}"))?.to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or_else(|_| text()) })
        };
        let bounded = async { tokio::time::timeout(Duration::from_secs(10), exchange).await };
        self.runtime.block_on(bounded).unwrap_or_else(|_| Err(format!("{path}: no answer in 10 s")))
    }

    /// GET of any path.
    pub fn get(&self, path: &str) -> Result<Reply, String> {
        self.send(Method::GET, path, "application/json", None)
    }

    /// Merge patch of any path.
    #[track_caller]
    pub fn patch(&self, path: &str, patch: &Value) -> Value {
        self.send(Method::PATCH, path, "application/merge-patch+json", Some(patch)).and_then(Reply::success).unwrap()
    }

    /// DELETE of any path.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Value {
        self.send(Method::DELETE, path, "application/json", None).and_then(Reply::success).unwrap()
    }

    /// The path of a Deployment in namespace `default`.
    pub fn path(name: &str) -> String {
        format!("{DEPLOYMENTS}/{name}")
    }

    /// Creates a Deployment, or replaces the one of its name.
    #[track_caller]
    pub fn apply(&self, deployment: &Value) -> Value {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let created = self.send(Method::POST, DEPLOYMENTS, "application/json", Some(deployment)).unwrap();
        if created.status != 409 {
            return created.success().unwrap();
        }
        self.send(Method::PUT, &Self::path(name), "application/json", Some(deployment)).and_then(Reply::success).unwrap()
    }

    /// Merge patch of a Deployment.
    #[track_caller]
    pub fn patch_deployment(&self, name: &str, patch: &Value) -> Value {
        self.patch(&Self::path(name), patch)
    }

    /// A Deployment; `Err` says why there is none.
    pub fn deployment(&self, name: &str) -> Result<Value, String> {
        self.get(&Self::path(name))?.success()
    }

    /// A Deployment's status; `Null` before the first.
    pub fn status(&self, name: &str) -> Result<Value, String> {
        Ok(self.deployment(name)?["status"].clone())
    }

    /// Items of a list.
    #[track_caller]
    pub fn list(&self, path: &str) -> Vec<Value> {
        let reply = self.get(path).and_then(Reply::success).unwrap();
        reply["items"].as_array().unwrap_or_else(|| panic!("{path} is no list: {reply}")).clone()
    }

    /// All Holds on a Deployment.
    #[track_caller]
    pub fn holds(&self, deployment: &str) -> Vec<Value> {
        self.list(HOLDS).into_iter().filter(|hold| hold["spec"]["deployment"] == json!(deployment)).collect()
    }

    /// All Events about a Deployment, oldest first.
    #[track_caller]
    pub fn events(&self, deployment: &str) -> Vec<Value> {
        let about = |event: &Value| event["involvedObject"]["name"] == json!(deployment);
        let mut events: Vec<Value> = self.list("/api/v1/namespaces/default/events").into_iter().filter(about).collect();
        events.sort_by_key(|event| event["lastTimestamp"].to_string());
        events
    }

    /// `Ok` if the Deployment is seen in its present generation and `Ready` is `status`, else what it says.
    pub fn ready_is(&self, name: &str, status: &str) -> Result<Value, String> {
        let found = self.deployment(name)?;
        let ready = condition(&found, "Ready");
        let current = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        if current && ready["status"] == json!(status) { Ok(found) } else { Err(found["status"].to_string()) }
    }

    /// `Ok` if the Deployment is seen in its present generation and `Ready=True`, else its status.
    pub fn ready(&self, name: &str) -> Result<Value, String> {
        self.ready_is(name, "True")
    }

    /// `Ok` if the Deployment's phase is this, else its status.
    pub fn phase(&self, name: &str, phase: &str) -> Result<Value, String> {
        let found = self.deployment(name)?;
        if found["status"]["phase"] == json!(phase) { Ok(found) } else { Err(found["status"].to_string()) }
    }
}

impl Reply {
    /// The body, if the call succeeded.
    pub fn success(self) -> Result<Value, String> {
        if self.status < 300 { Ok(self.body) } else { Err(format!("{}: {}", self.status, self.body)) }
    }
}

/// A condition of an object, `Null` if it has none of this type.
pub fn condition(object: &Value, kind: &str) -> Value {
    let all = object["status"]["conditions"].as_array();
    all.and_then(|all| all.iter().find(|condition| condition["type"] == json!(kind))).cloned().unwrap_or_default()
}
