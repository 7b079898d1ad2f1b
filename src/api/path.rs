//! What a path names. Pure.

use percent_encoding::percent_decode_str;

use super::kinds::{NAMESPACES, RESOURCES, Resource};
use crate::crd;
use crate::model::Key;

/// What a path under `/api` or `/apis` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All objects of a resource, or those of one namespace.
    Collection {
        /// The resource.
        resource: &'static Resource,
        /// The namespace; `None`: all of them.
        namespace: Option<String>,
    },
    /// One object. Namespaces themselves have an empty namespace.
    Object {
        /// The resource.
        resource: &'static Resource,
        /// Its name.
        key: Key,
    },
    /// Something below an object: `status`, `stop`, ..
    Subresource {
        /// The resource.
        resource: &'static Resource,
        /// The object's name.
        key: Key,
        /// One of [`Resource::subresources`].
        name: &'static str,
    },
    /// The plan of an object that is sent along.
    Plan,
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        (self.group, self.plural) == (other.group, other.plural)
    }
}

impl Eq for Resource {}

/// Reads a path. `None`: it names nothing that is served here.
pub fn parse(path: &str) -> Option<Target> {
    let decoded = path.strip_prefix('/')?.split('/').map(segment).collect::<Option<Vec<_>>>()?;
    let segments = decoded.iter().map(String::as_str).collect::<Vec<_>>();
    match segments.as_slice() {
        ["api", "v1", rest @ ..] => in_group("", "v1", rest),
        ["apis", crd::GROUP, crd::VERSION, "plan"] => Some(Target::Plan),
        ["apis", group, version, rest @ ..] => in_group(group, version, rest),
        _ => None,
    }
}

fn in_group(group: &str, version: &str, rest: &[&str]) -> Option<Target> {
    let named = |plural: &str| {
        RESOURCES.into_iter().find(|resource| (resource.group, resource.version, resource.plural) == (group, version, plural))
    };
    match rest {
        ["namespaces", name] if group.is_empty() => Some(Target::Object { resource: &NAMESPACES, key: Key::new("", *name) }),
        [plural] => Some(Target::Collection { resource: named(plural)?, namespace: None }),
        ["namespaces", namespace, plural, below @ ..] => {
            let resource = named(plural).filter(|resource| resource.namespaced)?;
            let key = |name: &str| Key::new(*namespace, name);
            match below {
                [] => Some(Target::Collection { resource, namespace: Some((*namespace).to_owned()) }),
                [name] => Some(Target::Object { resource, key: key(name) }),
                [name, sub] => {
                    let (sub, _) = resource.subresources.iter().find(|(known, _)| known == sub)?;
                    Some(Target::Subresource { resource, key: key(name), name: sub })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// One segment, decoded, if it can be a name: no object has slashes, control characters or a name of dots.
fn segment(raw: &str) -> Option<String> {
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    let usable = (1..=253).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'))
        && !text.chars().all(|c| c == '.');
    usable.then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds::{DEPLOYMENTS, EVENTS};

    #[test]
    fn names_collections_objects_and_what_is_below_them() {
        let web = Key::new("shop", "web");
        assert_eq!(
            parse("/apis/evenkeel.dev/v1alpha1/deployments"),
            Some(Target::Collection { resource: &DEPLOYMENTS, namespace: None })
        );
        assert_eq!(
            parse("/api/v1/namespaces/shop/events"),
            Some(Target::Collection { resource: &EVENTS, namespace: Some("shop".into()) })
        );
        assert_eq!(
            parse("/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/web"),
            Some(Target::Object { resource: &DEPLOYMENTS, key: web.clone() })
        );
        assert_eq!(
            parse("/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/web/stop"),
            Some(Target::Subresource { resource: &DEPLOYMENTS, key: web, name: "stop" })
        );
        assert_eq!(parse("/api/v1/namespaces/shop"), Some(Target::Object { resource: &NAMESPACES, key: Key::new("", "shop") }));
        assert_eq!(parse("/apis/evenkeel.dev/v1alpha1/plan"), Some(Target::Plan));
    }

    #[test]
    fn nonsense_names_nothing() {
        for path in [
            "",
            "/",
            "/api/v1/",
            "/api/v1/pods",
            "/apis/apps/v1/deployments",
            "/apis/evenkeel.dev/v1/deployments",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/web/scale",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/web/stop/now",
            "/apis/evenkeel.dev/v1alpha1/namespaces/../deployments/web",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/..%2f..%2fetc%2fpasswd",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/%00",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop/deployments/%ff",
            "/apis/evenkeel.dev/v1alpha1/namespaces/shop//deployments",
            "/api/v1/namespaces/shop/namespaces",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
