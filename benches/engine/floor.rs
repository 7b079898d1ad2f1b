//! The floor: the calls that any tool has to make, eight at once, by a client that does nothing else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::{UnixConnector, Uri};
use serde_json::{Value, json};

use crate::support::Sandbox;

/// Calls at once: from four on both of two cores are busy; sixteen only stretch each start.
const AT_ONCE: usize = 8;

/// A bare client of the engine.
pub struct Floor {
    socket: PathBuf,
    prefix: String,
    image: String,
    runtime: tokio::runtime::Runtime,
    client: Client<UnixConnector, Full<Bytes>>,
}

impl Floor {
    pub fn new(sandbox: &Sandbox) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self {
            socket: sandbox.docker().socket().into(),
            prefix: format!("{}-floor", sandbox.prefix()),
            image: sandbox.image(),
            runtime,
            client: Client::builder(TokioExecutor::new()).build(UnixConnector),
        }
    }

    /// A network and so many containers on it, made and started; how long it took.
    pub fn up(&self, services: &Value) -> Duration {
        let began = Instant::now();
        self.runtime.block_on(async {
            let network = format!("{}_default", self.prefix);
            self.post("/networks/create", json!({"Name": network, "CheckDuplicate": true})).await;
            let services: Vec<(&String, &Value)> = services.as_object().unwrap().iter().collect();
            stream::iter(services).for_each_concurrent(AT_ONCE, |(name, service)| self.container(name, service, &network)).await;
        });
        began.elapsed()
    }

    async fn container(&self, name: &str, service: &Value, network: &str) {
        let endpoint = json!({"Aliases": [name]});
        let body = json!({
            "Image": self.image, "Cmd": service["command"],
            "HostConfig": {"NetworkMode": network},
            "NetworkingConfig": {"EndpointsConfig": {network: endpoint}},
        });
        let made = self.post(&format!("/containers/create?name={}-{name}", self.prefix), body).await;
        self.post(&format!("/containers/{}/start", made["Id"].as_str().unwrap()), Value::Null).await;
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let uri: http::Uri = Uri::new(&self.socket, path).into();
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder().method(Method::POST).uri(uri).header("content-type", "application/json");
        let response = self.client.request(request.body(Full::new(bytes)).unwrap()).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap_or_default()
    }
}
