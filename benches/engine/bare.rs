//! A client of the engine that does nothing but ask, over connections that stay: programs started for each question would take the
//! CPU from who is measured.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::{UnixConnector, Uri};
use serde_json::{Value, json};

use crate::support::Sandbox;

pub struct Bare {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
    client: Client<UnixConnector, Full<Bytes>>,
}

impl Bare {
    pub fn new(sandbox: &Sandbox) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self {
            socket: sandbox.docker().socket().into(),
            runtime,
            client: Client::builder(TokioExecutor::new()).build(UnixConnector),
        }
    }

    /// Waits for work of this client.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// How many containers run whose names begin so.
    pub fn running(&self, prefix: &str) -> usize {
        let filters = json!({"name": [format!("^/{prefix}")], "status": ["running"]}).to_string();
        let filters = percent_encoding::utf8_percent_encode(&filters, percent_encoding::NON_ALPHANUMERIC);
        let listed = self.wait(self.call(Method::GET, &format!("/containers/json?filters={filters}"), Value::Null));
        listed.as_array().map_or(0, Vec::len)
    }

    /// The state of a container.
    pub fn state(&self, container: &str) -> Value {
        self.wait(self.call(Method::GET, &format!("/containers/{container}/json"), Value::Null))["State"].clone()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let uri: http::Uri = Uri::new(&self.socket, path).into();
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        let response = self.client.request(request.body(Full::new(bytes)).unwrap()).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap_or_default()
    }
}
