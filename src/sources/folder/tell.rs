//! Says what is wrong with manifests: once per content, in the log and as an Event, and when it is right again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::diff::key_of;
use super::read::{About, Broken};
use crate::model::{self, Happening, Key, Reason, Severity};
use crate::store::{Object, Result, Store};
use crate::telemetry::trace_id;

/// What has been said.
pub struct Told {
    store: Store,
    /// By the file and what is broken in it.
    broken: BTreeMap<(String, String), (u64, String)>,
    /// Manifests that the registry refused, by source.
    refused: BTreeMap<String, String>,
    /// Lasting troubles by their name.
    troubles: BTreeMap<&'static str, String>,
}

impl Told {
    /// Nothing said yet.
    pub fn new(store: Store) -> Self {
        Self { store, broken: BTreeMap::new(), refused: BTreeMap::new(), troubles: BTreeMap::new() }
    }

    /// A trouble with the folder as a whole, or its end. Said when it comes, changes or goes.
    pub fn trouble(&mut self, name: &'static str, trouble: Option<String>) {
        match trouble {
            Some(message) if self.troubles.get(name) != Some(&message) => {
                tracing::error!("{message}");
                self.troubles.insert(name, message);
            }
            Some(_) => {}
            None => {
                if let Some(before) = self.troubles.remove(name) {
                    tracing::info!("over: {before}");
                }
            }
        }
    }

    /// All manifests that cannot be used now.
    pub async fn broken(&mut self, all: &[Broken], stored: &[Object]) -> Result<()> {
        let id = |broken: &Broken| {
            let about = match &broken.about {
                About::Deployment(key) => key.to_string(),
                About::Nobody | About::Unknown => broken.message.clone(),
            };
            (broken.file.clone(), about)
        };
        let before = std::mem::take(&mut self.broken);
        for broken in all {
            let said = (broken.content, broken.message.clone());
            if before.get(&id(broken)) != Some(&said) {
                let object = stored.iter().find(|object| broken.about == About::Deployment(key_of(object)));
                self.say(&broken.file, &broken.about, object.map(AsRef::as_ref), &broken.message).await?;
            }
            self.broken.insert(id(broken), said);
        }
        let still = |file: &String| all.iter().any(|broken| broken.file == *file);
        let mended = before.into_keys().map(|(file, _)| file).filter(|file| !still(file));
        mended.for_each(|file| tracing::info!(file, "the manifests of this file are right again, or gone"));
        Ok(())
    }

    /// The registry did not take a manifest.
    pub async fn refused(&mut self, key: &Key, stored: Option<&Value>, source: &str, why: &str) -> Result<()> {
        if self.refused.get(source).map(String::as_str) != Some(why) {
            self.say(source, &About::Deployment(key.clone()), stored, why).await?;
            self.refused.insert(source.to_owned(), why.to_owned());
        }
        Ok(())
    }

    /// The registry has taken a manifest.
    pub fn right(&mut self, source: &str) {
        if self.refused.remove(source).is_some() {
            tracing::info!(source, "the manifest is taken now");
        }
    }

    async fn say(&self, file: &str, about: &About, stored: Option<&Value>, why: &str) -> Result<()> {
        let stays = if stored.is_some() { "; its last good version runs on" } else { "" };
        let message = format!("manifest not taken: {why}{stays}");
        tracing::error!(file, "{message}");
        let about = match (about, stored) {
            (About::Deployment(key), Some(object)) => {
                model::About::Deployment(key.clone(), object["metadata"]["uid"].as_str().map(str::to_owned))
            }
            _ => model::About::Manifest(file.to_owned()),
        };
        let reason = Reason::InvalidManifest;
        self.store.tell(Happening { about, reason, severity: Severity::Warning, message, trace_id: trace_id() }).await
    }
}
