//! The resources this API serves: one table for paths, discovery, OpenAPI and error texts.

use crate::crd;
use crate::store::Kind;

/// One served resource.
#[derive(Debug)]
pub struct Resource {
    /// Where it is stored; `None`: made up from what is stored (namespaces).
    pub stored: Option<Kind>,
    /// API group; empty: core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural, as in paths.
    pub plural: &'static str,
    /// Singular.
    pub singular: &'static str,
    /// Kind, as in objects.
    pub kind: &'static str,
    /// Short names.
    pub short_names: &'static [&'static str],
    /// Categories, such as `all`.
    pub categories: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Subresources with their verbs.
    pub subresources: &'static [(&'static str, &'static [&'static str])],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

const ALL: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// `deployments.evenkeel.dev`.
pub static DEPLOYMENTS: Resource = Resource {
    stored: Some(Kind::Deployment),
    group: crd::GROUP,
    version: crd::VERSION,
    plural: "deployments",
    singular: "deployment",
    kind: "Deployment",
    short_names: &["deploy"],
    categories: &["all"],
    verbs: ALL,
    subresources: &[
        ("status", &["get", "patch", "update"]),
        ("plan", &["get"]),
        ("stop", &["create"]),
        ("start", &["create"]),
        ("suspend", &["create"]),
        ("resume", &["create"]),
        ("restart", &["create"]),
        ("recreate", &["create"]),
        ("retry", &["create"]),
        ("pull", &["create"]),
        ("rebuild", &["create"]),
        ("progress", &["get"]),
        ("release", &["create"]),
        ("adopt", &["create"]),
        ("approve", &["create"]),
        ("reject", &["create"]),
        ("log", &["get"]),
        ("exec", &["get"]),
        ("metrics", &["get"]),
    ],
    namespaced: true,
};

/// `holds.evenkeel.dev`.
pub static HOLDS: Resource = Resource {
    stored: Some(Kind::Hold),
    group: crd::GROUP,
    version: crd::VERSION,
    plural: "holds",
    singular: "hold",
    kind: "Hold",
    short_names: &[],
    categories: &[],
    verbs: ALL,
    subresources: &[],
    namespaced: true,
};

/// `sources.evenkeel.dev`.
pub static SOURCES: Resource = Resource {
    stored: Some(Kind::Source),
    group: crd::GROUP,
    version: crd::VERSION,
    plural: "sources",
    singular: "source",
    kind: "Source",
    short_names: &["src"],
    categories: &[],
    verbs: ALL,
    subresources: &[("status", &["get", "patch", "update"]), ("reconcile", &["create"])],
    namespaced: true,
};

/// `channels.evenkeel.dev`.
pub static CHANNELS: Resource = Resource {
    stored: Some(Kind::Channel),
    group: crd::GROUP,
    version: crd::VERSION,
    plural: "channels",
    singular: "channel",
    kind: "Channel",
    short_names: &["chan"],
    categories: &[],
    verbs: ALL,
    subresources: &[("status", &["get", "patch", "update"]), ("test", &["create"])],
    namespaced: true,
};

/// `alerts.evenkeel.dev`.
pub static ALERTS: Resource = Resource {
    stored: Some(Kind::Alert),
    group: crd::GROUP,
    version: crd::VERSION,
    plural: "alerts",
    singular: "alert",
    kind: "Alert",
    short_names: &[],
    categories: &[],
    verbs: ALL,
    subresources: &[("status", &["get", "patch", "update"])],
    namespaced: true,
};

/// `incidents.evenkeel.dev`: evenkeel writes them, people acknowledge, silence, close and delete them.
pub static INCIDENTS: Resource = Resource {
    stored: Some(Kind::Incident),
    group: crd::GROUP,
    version: crd::VERSION,
    plural: "incidents",
    singular: "incident",
    kind: "Incident",
    short_names: &["inc"],
    categories: &[],
    verbs: &["delete", "get", "list", "watch"],
    subresources: &[("acknowledge", &["create"]), ("silence", &["create"]), ("close", &["create"])],
    namespaced: true,
};

/// core/v1 `events`: evenkeel writes them, everybody else reads them.
pub static EVENTS: Resource = Resource {
    stored: Some(Kind::Event),
    group: "",
    version: "v1",
    plural: "events",
    singular: "event",
    kind: "Event",
    short_names: &["ev"],
    categories: &[],
    verbs: &["get", "list", "watch"],
    subresources: &[],
    namespaced: true,
};

/// core/v1 `namespaces`: those in use, and `default`.
pub static NAMESPACES: Resource = Resource {
    stored: None,
    group: "",
    version: "v1",
    plural: "namespaces",
    singular: "namespace",
    kind: "Namespace",
    short_names: &["ns"],
    categories: &[],
    verbs: &["create", "get", "list"],
    subresources: &[],
    namespaced: false,
};

/// All of them; the order within a group is the order in discovery.
pub static RESOURCES: [&Resource; 8] = [&DEPLOYMENTS, &HOLDS, &SOURCES, &CHANNELS, &ALERTS, &INCIDENTS, &EVENTS, &NAMESPACES];

impl Resource {
    /// `evenkeel.dev/v1alpha1`, or `v1` of the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.evenkeel.dev`, as error texts name it.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `DeploymentList`.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }
}

/// The resource of a stored kind.
pub fn of(kind: Kind) -> &'static Resource {
    match kind {
        Kind::Deployment => &DEPLOYMENTS,
        Kind::Hold => &HOLDS,
        Kind::Source => &SOURCES,
        Kind::Channel => &CHANNELS,
        Kind::Alert => &ALERTS,
        Kind::Incident => &INCIDENTS,
        Kind::Event => &EVENTS,
    }
}
