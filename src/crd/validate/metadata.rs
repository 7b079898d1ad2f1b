//! `metadata`.

use kube::api::ObjectMeta;
use serde_json::json;

use crate::crd::compose::read::{each, text, word};
use crate::crd::decode::Node;

/// Fields of Kubernetes' metadata.
const OTHERS: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Checks `metadata`; what is read back is only what identifies the object, without what is wrong.
pub(super) fn read(node: &Node) -> Option<ObjectMeta> {
    let mut fields = node.fields()?;
    let name = fields.required("name", |node| {
        let name = word(node).or_else(|| node.fail("is required"))?;
        dns(node, &name, 253, true).then_some(name)
    });
    let namespace = fields.get("namespace");
    let wanted = namespace.as_ref().and_then(word);
    let right = namespace.zip(wanted.as_ref()).is_none_or(|(node, name)| dns(&node, name, 63, false));
    for key in ["labels", "annotations"] {
        fields.read(key, |node| {
            node.entries()?.iter().for_each(|(_, node)| drop(text(node)));
            Some(())
        });
    }
    fields.read("finalizers", |node| each(node, text));
    fields.refuse("generateName", "write metadata.name");
    for key in OTHERS {
        fields.read(key, |node| match serde_json::from_value::<ObjectMeta>(json!({ key: node.value })) {
            Ok(_) => Some(()),
            Err(error) => node.fail(format!("is not what Kubernetes has there: {error}")),
        });
    }
    fields.finish();
    Some(ObjectMeta { name, namespace: wanted.filter(|_| right), ..ObjectMeta::default() })
}

/// Whether it is a name as RFC 1123 has them: a subdomain with dots, or a single label.
pub(super) fn dns(node: &Node, name: &str, longest: usize, dots: bool) -> bool {
    let label = |label: &str| {
        let edge = |char: Option<char>| char.is_some_and(|char| char.is_ascii_lowercase() || char.is_ascii_digit());
        edge(label.chars().next())
            && edge(label.chars().last())
            && label.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-')
    };
    let right = name.len() <= longest && if dots { name.split('.').all(label) } else { label(name) };
    if !right {
        let dots = if dots { ", \"-\" and \".\"" } else { " and \"-\"" };
        node.fail::<()>(format!(
            "{name:?} is no name: at most {longest} lower-case letters, digits{dots}, with a letter or digit at both ends"
        ));
    }
    right
}
