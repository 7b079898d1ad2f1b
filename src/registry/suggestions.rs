//! What people say to suggestions of recovery: written down here, carried out by the controller.

use serde_json::Value;

use super::{Registry, RegistryError, Result};
use crate::model::{Answer, Key, annotations};
use crate::store::{Kind, Object, Part};

impl Registry {
    /// `evenkeel approve` and `reject`: answers suggestions of a Deployment, or all that it has now. On disk when this returns.
    ///
    /// # Errors
    /// It suggests nothing, or not (any more) what is named: the situation has changed since.
    pub async fn answer(&self, key: &Key, ids: &[String], approved: bool, by: &str) -> Result<Object> {
        let (now, ids, by, name) = (self.clock.now(), ids.to_vec(), by.to_owned(), key.clone());
        let change = move |object: &mut Value| {
            let open = suggestions(object);
            if open.is_empty() {
                return Err(RegistryError::Refused(format!("Deployment {name} suggests nothing")));
            }
            let wanted = if ids.is_empty() { open.iter().map(|(id, _)| id.clone()).collect() } else { ids };
            for id in wanted {
                let Some((_, replica)) = open.iter().find(|(known, _)| *known == id) else {
                    let known: Vec<&str> = open.iter().map(|(id, _)| id.as_str()).collect();
                    return Err(RegistryError::Refused(format!(
                        "Deployment {name} does not suggest {id} any more, its situation has changed; it suggests: {}",
                        known.join(", ")
                    )));
                };
                let answer = Answer { id, approved, at: now, by: by.clone() };
                object["metadata"]["annotations"][format!("{}.{replica}", annotations::ANSWER)] = answer.to_string().into();
            }
            Ok(())
        };
        self.store.modify(Kind::Deployment, key, Part::Main, None, change).await
    }
}

/// What a Deployment suggests: ids, and the replicas that they are about.
fn suggestions(object: &Value) -> Vec<(String, String)> {
    let all = object["status"]["suggestions"].as_array().into_iter().flatten();
    all.filter_map(|one| Some((one["id"].as_str()?.to_owned(), one["replica"].as_str()?.to_owned()))).collect()
}
