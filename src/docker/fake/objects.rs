//! The fake engine's networks, volumes and images.

use std::collections::BTreeMap;

use super::faults::failure;
use super::machine::{FakeImage, Machine};
use crate::docker::Result;
use crate::model::{BuildSpec, EventKind, FailureKind, Image, Network, Volume, familiar_reference};

impl Machine {
    /// Makes a network; a second one of the same name is made without a word, as on a real engine.
    pub(super) fn add_network(&mut self, name: &str, driver: &str, labels: BTreeMap<String, String>) -> String {
        let network = Network { id: self.chance.id(), name: name.to_owned(), labels, driver: driver.to_owned() };
        self.emit_network(&network, "create", "");
        let id = network.id.clone();
        self.networks.insert(id.clone(), network);
        id
    }

    /// Removes a network; one that running containers are attached to is in use.
    pub(super) fn remove_network(&mut self, network: &str) -> Result<()> {
        let Some(found) = self.find_network(network).cloned() else { return Ok(()) };
        let uses = |unit: &super::containers::Unit| unit.seen.is_up() && unit.endpoints.values().any(|(id, _)| *id == found.id);
        if self.containers.values().any(uses) {
            let says = format!("cannot remove network {}: network has active endpoints", found.name);
            return Err(failure(FailureKind::Conflict, says));
        }
        self.networks.remove(&found.id);
        self.emit_network(&found, "destroy", "");
        Ok(())
    }

    /// Makes a volume; one of that name is left as it is, and nobody is told.
    pub(super) fn add_volume(&mut self, volume: Volume) {
        if !self.volumes.contains_key(&volume.name) {
            let driver = BTreeMap::from([("driver".to_owned(), volume.driver.clone())]);
            self.emit(EventKind::Volume, "create", &volume.name, driver);
            self.volumes.insert(volume.name.clone(), volume);
        }
    }

    /// Removes a volume; one that any container has is in use.
    pub(super) fn remove_volume(&mut self, name: &str) -> Result<()> {
        let uses =
            |unit: &&super::containers::Unit| unit.seen.mounts.iter().any(|mount| mount.kind == "volume" && mount.source == name);
        if let Some(user) = self.containers.values().find(uses) {
            let says = format!("cannot remove volume {name}: volume is in use - [{}]", user.seen.id);
            return Err(failure(FailureKind::Conflict, says));
        }
        if let Some(volume) = self.volumes.remove(name) {
            self.emit(EventKind::Volume, "destroy", name, BTreeMap::from([("driver".to_owned(), volume.driver)]));
        }
        Ok(())
    }

    /// Puts an image on the engine. Its tags move to it.
    pub(super) fn add_image(&mut self, image: FakeImage, action: &str) {
        for other in self.images.values_mut().filter(|other| other.id != image.id) {
            other.tags.retain(|tag| !image.tags.contains(tag));
        }
        let (id, name) = (image.id.clone(), image.tags.first().cloned().unwrap_or_default());
        let known = self.images.entry(id.clone()).or_insert_with(|| image.clone());
        known.tags.extend(image.tags.into_iter().filter(|tag| !known.tags.contains(tag)).collect::<Vec<_>>());
        self.emit(EventKind::Image, action, &id, BTreeMap::from([("name".to_owned(), name)]));
    }

    /// Takes a tag away; the image goes too where no tag and no container is left to it.
    pub(super) fn untag(&mut self, reference: &str) {
        let tag = familiar_reference(reference);
        let Some(image) = self.images.values_mut().find(|image| image.tags.contains(&tag)) else { return };
        image.tags.retain(|known| *known != tag);
        let (id, bare) = (image.id.clone(), image.tags.is_empty());
        self.emit(EventKind::Image, "untag", &id, BTreeMap::from([("name".to_owned(), tag)]));
        if bare && !self.containers.values().any(|unit| unit.seen.image_id == id) {
            self.images.remove(&id);
            self.emit(EventKind::Image, "delete", &id, BTreeMap::new());
        }
    }

    /// Fetches an image from the registry; its digest.
    pub(super) fn pulled(&mut self, reference: &str) -> Result<Option<String>> {
        let wanted = familiar_reference(reference);
        let Some(image) = self.registry.get(&wanted).cloned() else {
            let says = format!("cannot pull image {reference}: manifest for {wanted} not found: manifest unknown");
            return Err(failure(FailureKind::ImageNotFound, says));
        };
        let digest = image.digests.first().and_then(|digest| digest.split_once('@')).map(|(_, sum)| sum.to_owned());
        self.add_image(image, "pull");
        Ok(digest)
    }

    /// Builds an image: what comes of it is what was put up for its reference, else another one each time.
    pub(super) fn built(&mut self, spec: &BuildSpec) -> Result<String> {
        let reference = familiar_reference(&spec.image);
        let fresh = || FakeImage { id: format!("sha256:{}", self.chance.id()), ..FakeImage::new(&reference, 0) };
        let image = self.builds.get(&reference).cloned().unwrap_or_else(fresh);
        let id = image.id.clone();
        self.add_image(FakeImage { tags: vec![reference], digests: vec![], ..image }, "tag");
        Ok(id)
    }

    /// Gives an image a further reference.
    pub(super) fn tag(&mut self, image: &str, reference: &str) -> Result<()> {
        let Some(found) = self.images.get(image).cloned() else {
            return Err(failure(FailureKind::NotFound, format!("cannot tag image {image}: No such image")));
        };
        self.add_image(FakeImage { tags: vec![familiar_reference(reference)], ..found }, "tag");
        Ok(())
    }
}

impl From<&FakeImage> for Image {
    fn from(image: &FakeImage) -> Self {
        Self { id: image.id.clone(), tags: image.tags.clone(), digests: image.digests.clone() }
    }
}
