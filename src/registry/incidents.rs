//! What people say of incidents, and tests of Channels: written down here, carried out by the notifier.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde_json::{Value, json};

use super::{Registry, RegistryError, Result};
use crate::crd::{IncidentPhase, Remark};
use crate::model::{Key, annotations};
use crate::store::{Kind, Object, Part, StoreError};

/// What a person says of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Somebody looks after it.
    Acknowledge,
    /// It is not to be told.
    Silence,
    /// It is over.
    Close,
}

impl Word {
    fn field(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledged",
            Self::Silence => "silenced",
            Self::Close => "closed",
        }
    }
}

impl Registry {
    /// `evenkeel incident ack`, `silence` and `close`. On disk when this returns. What was said before is replaced.
    ///
    /// # Errors
    /// There is none of that name, it is over, or the silence would end in the past.
    pub async fn remark(
        &self,
        key: &Key,
        word: Word,
        until: Option<Timestamp>,
        note: Option<String>,
        by: &str,
    ) -> Result<Object> {
        let now = self.clock.now();
        if let Some(until) = until.filter(|until| *until <= now) {
            return Err(RegistryError::Refused(format!("cannot silence until {until}: that is over, it is {now}")));
        }
        let remark =
            Remark { by: by.to_owned(), at: Some(MicroTime(now)), note: note.unwrap_or_default(), until: until.map(Time) };
        let remark = serde_json::to_value(remark).unwrap_or_default();
        let name = key.clone();
        let say = move |incident: &mut Value| {
            let phase = serde_json::from_value::<IncidentPhase>(incident["status"]["phase"].clone()).unwrap_or_default();
            if phase.is_over() || incident["spec"]["closed"].is_object() {
                return Err(RegistryError::Refused(format!("incident {name} is over already")));
            }
            incident["spec"][word.field()] = remark;
            Ok(())
        };
        self.store.modify(Kind::Incident, key, Part::Main, None, say).await
    }

    /// `evenkeel notify test`: asks for a test message to be sent.
    ///
    /// # Errors
    /// There is no Channel of that name.
    pub async fn test_channel(&self, key: &Key) -> Result<Object> {
        let now = self.clock.now().to_string();
        let ask = move |channel: &mut Value| {
            if !channel["metadata"]["annotations"].is_object() {
                channel["metadata"]["annotations"] = json!({});
            }
            channel["metadata"]["annotations"][annotations::TESTED_AT] = now.into();
            Ok::<_, StoreError>(())
        };
        Ok(self.store.modify(Kind::Channel, key, Part::Main, None, ask).await?)
    }
}
