//! The floor: the calls that any tool has to make, eight at once, by a client that does nothing else.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::bare::Bare;
use crate::support::Sandbox;

/// Calls at once: from four on both of two cores are busy; sixteen only stretch each start.
const AT_ONCE: usize = 8;

/// Who makes them.
pub struct Floor<'b> {
    engine: &'b Bare,
    prefix: String,
    image: String,
}

impl<'b> Floor<'b> {
    pub fn new(engine: &'b Bare, sandbox: &Sandbox) -> Self {
        Self { engine, prefix: format!("{}-floor", sandbox.prefix()), image: sandbox.image() }
    }

    /// A network and so many containers on it, made and started; how long it took.
    pub fn up(&self, services: &Value) -> Duration {
        let began = Instant::now();
        self.engine.wait(async {
            let network = format!("{}_default", self.prefix);
            self.engine.post("/networks/create", json!({"Name": network, "CheckDuplicate": true})).await;
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
        let made = self.engine.post(&format!("/containers/create?name={}-{name}", self.prefix), body).await;
        self.engine.post(&format!("/containers/{}/start", made["Id"].as_str().unwrap()), Value::Null).await;
    }
}
