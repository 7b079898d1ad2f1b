//! Objects coming in: admitted, claimed, written.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::claims::{self, project};
use super::holds::{covered, described, laid_message, laid_reason, made_up_name, view};
use super::{DeleteOptions, Registry, RegistryError, Result, WriteOptions, Written};
use crate::crd::{self, Admitted, AlertTemplate, FieldError};
use crate::model::{FINALIZER, FINALIZER_ORPHAN, Key, Reason, annotations};
use crate::notify::template;
use crate::store::{self, Kind, Object, Part, StoreError};

impl Registry {
    /// Admits and writes a new object.
    pub async fn create(&self, kind: Kind, object: Value, options: &WriteOptions) -> Result<Written> {
        match kind {
            Kind::Deployment => self.create_deployment(object, options).await,
            Kind::Hold => self.create_hold(object, options).await,
            Kind::Source => self.create_source(object, options).await,
            Kind::Channel | Kind::Alert => self.create_plain(kind, object, options).await,
            Kind::Incident | Kind::Event => Err(ours_alone(kind)),
        }
    }

    /// Admits and writes an object in place of the one of its name; one that is not there is made if `create_missing`.
    ///
    /// An object without `metadata.finalizers` keeps those it has: manifests do not carry them.
    pub async fn replace(
        &self,
        kind: Kind,
        key: &Key,
        mut object: Value,
        part: Part,
        create_missing: bool,
        options: &WriteOptions,
    ) -> Result<Written> {
        if create_missing && self.store.get(kind, key)?.is_none() {
            object["metadata"]["name"] = key.name.clone().into();
            object["metadata"]["namespace"] = key.namespace.clone().into();
            match self.create(kind, object.clone(), options).await {
                Err(RegistryError::Store(StoreError::AlreadyExists { .. })) => {}
                done => return done,
            }
        }
        let compute = move |old: &Value| {
            let mut new = object.clone();
            if new["metadata"].get("finalizers").is_none() && !old["metadata"]["finalizers"].is_null() {
                new["metadata"]["finalizers"] = old["metadata"]["finalizers"].clone();
            }
            new
        };
        self.change(kind, key, part, options, compute).await
    }

    /// Merges an RFC 7386 patch into the object and admits what comes out.
    pub async fn patch(&self, kind: Kind, key: &Key, patch: Value, part: Part, options: &WriteOptions) -> Result<Written> {
        let compute = move |old: &Value| {
            let mut new = old.clone();
            json_patch::merge(&mut new, &patch);
            new
        };
        self.change(kind, key, part, options, compute).await
    }

    /// Deletes. Returns the object's last state and whether it is gone. Deleting a Deployment removes its Holds once it is
    /// gone, unless it is pruned.
    pub async fn delete(&self, kind: Kind, key: &Key, options: &DeleteOptions) -> Result<(Object, bool)> {
        let found = self.store.get(kind, key)?.ok_or_else(|| StoreError::NotFound { kind, key: key.clone() })?;
        if options.dry_run {
            let finalized = found["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
            return Ok((found, finalized));
        }
        let asked = options.clone();
        let (last, gone) = self.store.delete_as(kind, key, move |object| mark_deletion(kind, object, asked)).await?;
        match kind {
            Kind::Deployment if gone => self.clear_after(key, &last).await?,
            Kind::Hold if gone => self.tell_lifted(&last).await?,
            _ => {}
        }
        Ok((last, gone))
    }

    /// Takes evenkeel's finalizers off a deleted Deployment of which nothing is left on the engine, after its Holds have been
    /// removed (unless it was pruned), and forgets its history and memory. On one that is gone already, forgets what is left.
    /// Does nothing to one that is not being deleted.
    pub async fn gone(&self, key: &Key) -> Result<()> {
        let Some(object) = self.store.get(Kind::Deployment, key)? else {
            return Ok(self.store.forget(key).await?);
        };
        if object["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        // Holds first: were they removed after the object, a crash in between would leave them to a namesake.
        self.drop_unless_pruned(key, &object).await?;
        let take_off = |object: &mut Value| {
            without_finalizers(object);
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Deployment, key, Part::Main, None, take_off).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(self.store.forget(key).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes evenkeel's finalizers off a deleted Source whose Deployments have been let go. Does nothing to one that is not being
    /// deleted.
    pub async fn source_gone(&self, key: &Key) -> Result<()> {
        let take_off = |object: &mut Value| {
            if !object["metadata"]["deletionTimestamp"].is_null() {
                without_finalizers(object);
            }
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Source, key, Part::Main, None, take_off).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn create_deployment(&self, object: Value, options: &WriteOptions) -> Result<Written> {
        let Admitted { mut object, mut warnings } = admit(Kind::Deployment, object, None, options)?;
        ensure_finalizer(&mut object);
        let key = key_of(&object);
        let project = project(&object);
        let reserved = self.claims.reserve(&self.store, &key, &project)?;
        if let Err(holder) = &reserved {
            if *holder == key {
                return Err(StoreError::AlreadyExists { kind: Kind::Deployment, key }.into());
            }
            let refusal = claims::refusal(&self.store, &project, holder);
            if !options.allow_claimed {
                return Err(RegistryError::Refused(refusal));
            }
            warnings.push(refusal);
        }
        let object = if options.dry_run { Arc::new(object) } else { self.store.create(Kind::Deployment, object).await? };
        Ok(Written { object, warnings })
    }

    async fn create_source(&self, object: Value, options: &WriteOptions) -> Result<Written> {
        let Admitted { mut object, warnings } = admit(Kind::Source, object, None, options)?;
        ensure_finalizer(&mut object);
        let object = if options.dry_run { Arc::new(object) } else { self.store.create(Kind::Source, object).await? };
        Ok(Written { object, warnings })
    }

    async fn create_plain(&self, kind: Kind, object: Value, options: &WriteOptions) -> Result<Written> {
        let Admitted { object, warnings } = admit(kind, object, None, options)?;
        let object = if options.dry_run { Arc::new(object) } else { self.store.create(kind, object).await? };
        Ok(Written { object, warnings })
    }

    async fn create_hold(&self, mut object: Value, options: &WriteOptions) -> Result<Written> {
        // Whoever lays one need not think of a name; what it covers is checked with the rest.
        if object["metadata"]["name"].as_str().is_none_or(str::is_empty)
            && let Ok((key, target)) = covered(&object)
        {
            object["metadata"]["name"] = made_up_name(&key.name, &target).into();
        }
        let Admitted { mut object, warnings } = admit(Kind::Hold, object, None, options)?;
        let (key, _) = covered(&object)?;
        self.complete_hold(&mut object, None, &options.by)?;
        if options.dry_run {
            return Ok(Written { object: Arc::new(object), warnings });
        }
        let _gate = self.gates.stop(&key).await;
        let object = self.store.create(Kind::Hold, object).await?;
        let hold = view(&object)?;
        self.tell(&key, laid_reason(&hold), laid_message(&hold, &options.by)).await;
        Ok(Written { object, warnings })
    }

    /// Replaces an object by what `compute` makes of the stored one. That is asked again at the moment of the write.
    async fn change(
        &self,
        kind: Kind,
        key: &Key,
        part: Part,
        options: &WriteOptions,
        compute: impl Fn(&Value) -> Value + Send + 'static,
    ) -> Result<Written> {
        if matches!(kind, Kind::Incident | Kind::Event) {
            return Err(ours_alone(kind));
        }
        let current = self.store.get(kind, key)?.ok_or_else(|| StoreError::NotFound { kind, key: key.clone() })?;
        if options.dry_run {
            return self.try_change(kind, key, part, options, &current, compute(&current));
        }
        let _gate = match self.held_by(kind, key, &current, &compute(&current)) {
            Some(gated) => self.gates.stop(&gated).await,
            None => None,
        };
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let (registry, asked, found) = (self.clone(), options.clone(), warnings.clone());
        let write = move |object: &mut Value| {
            let Admitted { object: new, warnings } = registry.admit_change(kind, part, &asked, object, compute(object))?;
            *object = new;
            *found.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
            Ok::<_, RegistryError>(())
        };
        let object = self.store.modify(kind, key, part, options.expected, write).await?;
        if kind == Kind::Deployment && self.store.get(kind, key)?.is_none() {
            self.clear_after(key, &object).await?;
        }
        let warnings = std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Written { object, warnings })
    }

    fn try_change(&self, kind: Kind, key: &Key, part: Part, options: &WriteOptions, old: &Value, new: Value) -> Result<Written> {
        let found = store::revision_of(old);
        if let Some(wanted) = options.expected.filter(|wanted| *wanted != found) {
            return Err(StoreError::Conflict { kind, key: key.clone(), wanted: wanted.to_string(), found }.into());
        }
        let Admitted { object, warnings } = self.admit_change(kind, part, options, old, new)?;
        Ok(Written { object: Arc::new(store::merged(part, old, object)), warnings })
    }

    fn admit_change(&self, kind: Kind, part: Part, options: &WriteOptions, old: &Value, new: Value) -> Result<Admitted> {
        if part == Part::Status {
            return Ok(Admitted { object: new, warnings: Vec::new() });
        }
        let mut admitted = admit(kind, new, Some(old), options)?;
        match kind {
            Kind::Deployment | Kind::Source if old["metadata"]["deletionTimestamp"].is_null() => {
                ensure_finalizer(&mut admitted.object)
            }
            Kind::Hold => self.complete_hold(&mut admitted.object, Some(old), &options.by)?,
            _ => {}
        }
        Ok(admitted)
    }

    /// Whose gate a write must take: it may forbid starts.
    fn held_by(&self, kind: Kind, key: &Key, old: &Value, new: &Value) -> Option<Key> {
        match kind {
            Kind::Hold => covered(old).ok().map(|(deployment, _)| deployment),
            Kind::Deployment => (old["spec"]["state"] != new["spec"]["state"]).then(|| key.clone()),
            Kind::Source | Kind::Channel | Kind::Alert | Kind::Incident | Kind::Event => None,
        }
    }

    async fn clear_after(&self, key: &Key, last: &Value) -> Result<()> {
        self.drop_unless_pruned(key, last).await?;
        Ok(self.store.forget(key).await?)
    }

    async fn drop_unless_pruned(&self, key: &Key, object: &Value) -> Result<()> {
        if object["metadata"]["annotations"][annotations::PRUNED] == "true" {
            return Ok(());
        }
        self.drop_holds(key).await
    }

    async fn tell_lifted(&self, last: &Value) -> Result<()> {
        let (key, _) = covered(last)?;
        self.tell(&key, Reason::HoldLifted, format!("{} was deleted", described(&view(last)?))).await;
        Ok(())
    }
}

/// Says on the object how it is to be deleted, if it is the one that was meant.
fn mark_deletion(kind: Kind, object: &mut Value, options: DeleteOptions) -> Result<()> {
    store::expect_uid(kind, object, options.expected_uid)?;
    let found = store::revision_of(object);
    if let Some(wanted) = options.expected.filter(|wanted| *wanted != found) {
        return Err(StoreError::Conflict { kind, key: key_of(object), wanted: wanted.to_string(), found }.into());
    }
    if options.orphan && matches!(kind, Kind::Deployment | Kind::Source) {
        add_finalizer(object, FINALIZER_ORPHAN);
    }
    for (asked, annotation) in [(options.volumes, annotations::DELETE_VOLUMES), (options.pruned, annotations::PRUNED)] {
        if asked && kind == Kind::Deployment {
            object["metadata"]["annotations"][annotation] = "true".into();
        }
    }
    Ok(())
}

fn admit(kind: Kind, object: Value, old: Option<&Value>, options: &WriteOptions) -> Result<Admitted> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let crd_kind = match kind {
        Kind::Deployment => crd::Kind::Deployment,
        Kind::Hold => crd::Kind::Hold,
        Kind::Source => crd::Kind::Source,
        Kind::Channel => crd::Kind::Channel,
        Kind::Alert => crd::Kind::Alert,
        Kind::Incident | Kind::Event => return Err(ours_alone(kind)),
    };
    let invalid = |errors| RegistryError::Invalid { kind, name: name.clone(), errors };
    let admitted = crd::admit(crd_kind, object, old, options.lenient).map_err(invalid)?;
    if kind == Kind::Alert {
        templates(&admitted.object).map_err(|error| invalid(vec![error]))?;
    }
    Ok(admitted)
}

/// Whether an Alert's templates can be used.
fn templates(alert: &Value) -> std::result::Result<(), FieldError> {
    let Ok(template) = serde_json::from_value::<AlertTemplate>(alert["spec"]["template"].clone()) else { return Ok(()) };
    template::check(&template).map_err(|message| FieldError { path: "spec.template".to_owned(), message, location: None })
}

fn ours_alone(kind: Kind) -> RegistryError {
    RegistryError::Refused(format!("an {} is written by evenkeel alone", kind.singular()))
}

fn ensure_finalizer(object: &mut Value) {
    add_finalizer(object, FINALIZER);
}

/// Takes evenkeel's own finalizers off.
fn without_finalizers(object: &mut Value) {
    if let Some(finalizers) = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|finalizer| finalizer != FINALIZER && finalizer != FINALIZER_ORPHAN);
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let finalizers = &mut object["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(present) if present.iter().any(|present| present == finalizer) => {}
        Some(present) => present.push(finalizer.into()),
        None => *finalizers = json!([finalizer]),
    }
}

fn key_of(object: &Value) -> Key {
    let metadata = &object["metadata"];
    Key::new(metadata["namespace"].as_str().unwrap_or("default"), metadata["name"].as_str().unwrap_or_default())
}
