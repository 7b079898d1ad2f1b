//! The replicas of a deployment, by what its status lists.

use anyhow::Context;

use super::client::{Api, deployment_path};
use super::failure::Failure;
use super::intent::sort_parts;
use crate::crd::Deployment;
use crate::model::ReplicaId;

/// What there is of a deployment.
pub struct Replicas {
    deployment: Deployment,
}

impl Replicas {
    /// Asks the operator.
    pub async fn of(api: &Api, namespace: &str, name: &str) -> Result<Self, Failure> {
        let object = api.get(&deployment_path(namespace, name, None)).await?;
        Ok(Self { deployment: serde_json::from_value(object).context("the operator's answer is no Deployment")? })
    }

    /// Those of these services (`web`) or replicas (`web-2`); of all if none is named. In order.
    ///
    /// # Errors
    /// When a part is neither.
    pub fn named(&self, parts: &[String]) -> Result<Vec<ReplicaId>, Failure> {
        let (services, replicas) = self.sorted(parts)?;
        let wanted = |id: &ReplicaId| parts.is_empty() || services.contains(&id.service) || replicas.contains(&id.to_string());
        Ok(self.all().into_iter().filter(wanted).collect())
    }

    /// The one container that a part means: the replica, or the first of the service that runs. No part: the only service.
    ///
    /// # Errors
    /// When it is not clear which one, or there is none.
    pub fn one(&self, part: Option<&str>) -> Result<ReplicaId, Failure> {
        let name = self.deployment.metadata.name.as_deref().unwrap_or_default();
        let services: Vec<&str> = self.deployment.spec.services.keys().map(String::as_str).collect();
        let part = match (part, services.as_slice()) {
            (Some(part), _) => part.to_owned(),
            (None, [only]) => (*only).to_owned(),
            (None, _) => {
                return Err(Failure::Usage(format!("deployment {name} has several services, name one: {}", services.join(", "))));
            }
        };
        let ids = self.named(std::slice::from_ref(&part))?;
        let running = ids.iter().find(|id| self.state(id) == Some("running"));
        running.or(ids.first()).cloned().ok_or_else(|| {
            Failure::Other(anyhow::anyhow!("{part} of deployment {name} has no container; see `evenkeel describe {name}`"))
        })
    }

    fn sorted(&self, parts: &[String]) -> Result<(Vec<String>, Vec<String>), Failure> {
        let services: Vec<&str> = self.deployment.spec.services.keys().map(String::as_str).collect();
        sort_parts(self.deployment.metadata.name.as_deref().unwrap_or_default(), parts, &services).map_err(Failure::Usage)
    }

    fn all(&self) -> Vec<ReplicaId> {
        let services = self.deployment.status.iter().flat_map(|status| &status.services);
        let ids = services.flat_map(|service| {
            service.containers.iter().map(|container| ReplicaId::new(service.name.clone(), container.replica))
        });
        let mut ids: Vec<ReplicaId> = ids.collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn state(&self, id: &ReplicaId) -> Option<&str> {
        let services = self.deployment.status.iter().flat_map(|status| &status.services);
        let mut containers = services.filter(|service| service.name == id.service).flat_map(|service| &service.containers);
        containers.find(|container| container.replica == id.number).map(|container| container.state.as_str())
    }
}

/// Whether a request failed because the container is not there, or not there yet.
pub fn is_absent(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(status) if matches!(status.code, 400 | 404 | 409))
}
