//! All containers of an engine, and quick ways to those that one Deployment is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;

use super::{Container, Key, labels};

/// Containers by full id. What their labels say of whose they are is indexed: a fleet has thousands of containers, and a turn is
/// about five of them. A copy shares all that did not change: each turn that is under way has the picture that it began with.
#[derive(Debug, Clone, Default)]
pub struct Containers {
    by_id: OrdMap<String, Arc<Container>>,
    by_owner: OrdMap<Owner, BTreeSet<String>>,
}

/// Whose a container is by its labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Deployment(Key),
    Project(String),
}

impl Containers {
    /// The container of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Container>> {
        self.by_id.get(id)
    }

    /// The same, to change it. Its labels stay: Docker has no call that changes them.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Arc<Container>> {
        self.by_id.get_mut(id)
    }

    /// Whether there is a container of this id.
    pub fn contains_key(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// All of them, in the order of their ids.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.by_id.values()
    }

    /// Their ids, in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.by_id.keys()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Those whose labels name this Deployment or this Compose project, in the order of their ids.
    pub fn related(&self, key: &Key, project: &str) -> impl Iterator<Item = &Container> {
        let owners = [Owner::Deployment(key.clone()), Owner::Project(project.to_owned())];
        let ids: BTreeSet<&String> = owners.iter().filter_map(|owner| self.by_owner.get(owner)).flatten().collect();
        ids.into_iter().filter_map(|id| self.by_id.get(id)).map(AsRef::as_ref)
    }

    /// Puts a container in, in the place of what was known of it.
    pub fn insert(&mut self, id: String, container: Arc<Container>) {
        let owners = owners(&container);
        let before = self.by_id.insert(id.clone(), container).map(|before| self::owners(&before));
        if before.as_ref() == Some(&owners) {
            return;
        }
        self.disown(&id, before.unwrap_or_default());
        for owner in owners {
            self.by_owner.entry(owner).or_default().insert(id.clone());
        }
    }

    /// Takes a container out.
    pub fn remove(&mut self, id: &str) -> Option<Arc<Container>> {
        let removed = self.by_id.remove(id)?;
        self.disown(id, owners(&removed));
        Some(removed)
    }

    fn disown(&mut self, id: &str, owners: Vec<Owner>) {
        for owner in owners {
            let left = self.by_owner.get_mut(&owner).is_some_and(|ids| {
                ids.remove(id);
                !ids.is_empty()
            });
            if !left {
                self.by_owner.remove(&owner);
            }
        }
    }
}

fn owners(container: &Container) -> Vec<Owner> {
    let label = |name: &str| container.labels.get(name);
    let deployment = label(labels::NAMESPACE).zip(label(labels::DEPLOYMENT));
    let deployment = deployment.map(|(namespace, name)| Owner::Deployment(Key::new(namespace, name)));
    deployment.into_iter().chain(label(labels::COMPOSE_PROJECT).cloned().map(Owner::Project)).collect()
}

#[cfg(test)]
impl std::ops::Index<&str> for Containers {
    type Output = Arc<Container>;

    fn index(&self, id: &str) -> &Self::Output {
        &self.by_id[id]
    }
}
