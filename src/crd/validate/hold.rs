//! `spec` of a Hold.

use jiff::Timestamp;

use super::metadata::dns;
use crate::crd::compose::read::{integer, one_of, text, word};
use crate::crd::decode::Node;

/// Checks a Hold's spec.
pub(super) fn check(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("deployment", |node| {
        let name = word(node).or_else(|| node.fail("must name a Deployment"))?;
        dns(node, &name, 253, true).then_some(())
    });
    let service = fields.read("service", word);
    fields.required("state", |node| one_of(node, &["Stopped", "Suspended"]));
    for key in ["reason", "by"] {
        fields.read(key, text);
    }
    for key in ["until", "since"] {
        fields.read(key, |node| {
            let time = text(node)?;
            time.parse::<Timestamp>()
                .is_ok()
                .then_some(())
                .or_else(|| node.fail(format!("{time:?} is no time: write it as RFC 3339 has it, such as 2027-01-31T08:00:00Z")))
        });
    }
    if let Some(replica) = fields.get("replica") {
        match integer::<u32>(&replica) {
            Some(0) => replica.fail::<()>("replicas are numbered from 1"),
            Some(_) if service.is_none() => replica.fail("needs service beside it: replicas are numbered within a service"),
            _ => None,
        };
    }
    fields.finish();
    Some(())
}
