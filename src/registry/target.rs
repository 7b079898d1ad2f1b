//! What a Hold covers or a command is about, and how a wide Hold is cut when a part of it is to be free. Pure.

use std::collections::BTreeMap;
use std::fmt;

use super::Scope;
use crate::model::ReplicaId;

/// A Deployment, one of its services, or one of their replicas.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    All,
    Service(String),
    Replica(ReplicaId),
}

/// Declared services and how many replicas each has.
pub(super) type Services = BTreeMap<String, u32>;

impl Target {
    /// From a Hold's fields.
    pub fn new(service: Option<&str>, replica: Option<u32>) -> Self {
        match (service, replica) {
            (None, _) => Self::All,
            (Some(service), None) => Self::Service(service.to_owned()),
            (Some(service), Some(number)) => Self::Replica(ReplicaId::new(service, number)),
        }
    }

    /// What a command is about.
    pub fn of(scope: &Scope) -> Vec<Self> {
        let services = scope.services.iter().cloned().map(Self::Service);
        let targets: Vec<_> = services.chain(scope.replicas.iter().cloned().map(Self::Replica)).collect();
        if targets.is_empty() { vec![Self::All] } else { targets }
    }

    /// Service and replica number, as a Hold has them.
    pub fn fields(&self) -> (Option<&str>, Option<u32>) {
        match self {
            Self::All => (None, None),
            Self::Service(service) => (Some(service), None),
            Self::Replica(replica) => (Some(&replica.service), Some(replica.number)),
        }
    }

    /// Whether all of `other` is in it.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Service(service), Self::Service(other)) => service == other,
            (Self::Service(service), Self::Replica(other)) => *service == other.service,
            (Self::Replica(replica), Self::Replica(other)) => replica == other,
            _ => false,
        }
    }

    /// The parts that together are all of it but `freed`, which is in it.
    pub fn without(&self, freed: &Self, services: &Services) -> Vec<Self> {
        if self == freed {
            return Vec::new();
        }
        let parts: Vec<Self> = match self {
            Self::All => services.keys().cloned().map(Self::Service).collect(),
            Self::Service(service) => {
                let replicas = services.get(service).copied().unwrap_or_default();
                (1..=replicas).map(|number| Self::Replica(ReplicaId::new(service, number))).collect()
            }
            Self::Replica(_) => Vec::new(),
        };
        let (around, beside): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.contains(freed));
        around.iter().flat_map(|part| part.without(freed, services)).chain(beside).collect()
    }

    /// Why it cannot be meant: there is no such service or replica.
    pub fn unknown_in(&self, services: &Services) -> Option<String> {
        let (service, number) = self.fields();
        let service = service?;
        let Some(replicas) = services.get(service) else {
            let known = services.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Some(format!("there is no service {service:?}; there are: {known}"));
        };
        match number {
            Some(number) if number == 0 || number > *replicas => {
                Some(format!("service {service:?} has no replica {number}; it has {replicas}, counted from 1"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all services"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Replica(replica) => write!(f, "replica {replica}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Services {
        [("db".to_owned(), 1), ("web".to_owned(), 3)].into()
    }

    fn texts(targets: &[Target]) -> Vec<String> {
        targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wide_target_without_a_part_is_the_other_parts() {
        let web = Target::Service("web".into());
        let web_2 = Target::Replica(ReplicaId::new("web", 2));
        assert_eq!(texts(&Target::All.without(&web, &services())), ["service db"]);
        assert_eq!(texts(&web.without(&web_2, &services())), ["replica web-1", "replica web-3"]);
        assert_eq!(texts(&Target::All.without(&web_2, &services())), ["replica web-1", "replica web-3", "service db"]);
        assert!(web.without(&web, &services()).is_empty());
    }

    #[test]
    fn what_is_not_declared_is_refused_with_what_is() {
        let unknown = |service, number| Target::new(service, number).unknown_in(&services());
        assert_eq!(unknown(None, None), None);
        assert_eq!(unknown(Some("web"), Some(3)), None);
        assert_eq!(unknown(Some("wbe"), None).unwrap(), "there is no service \"wbe\"; there are: db, web");
        assert_eq!(unknown(Some("web"), Some(4)).unwrap(), "service \"web\" has no replica 4; it has 3, counted from 1");
        assert!(unknown(Some("web"), Some(0)).is_some());
    }

    #[test]
    fn a_command_without_a_scope_is_about_all_of_it() {
        assert_eq!(Target::of(&Scope::default()), [Target::All]);
        let scope = Scope { services: vec!["db".into()], replicas: vec![ReplicaId::new("web", 1)] };
        assert_eq!(texts(&Target::of(&scope)), ["service db", "replica web-1"]);
    }
}
