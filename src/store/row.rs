//! Rows: everything the store keeps is a text (JSON) under a name.
//!
//! | name | what | where |
//! |---|---|---|
//! | `o/KIND/NS/NAME` but for Events | an object without its status | journal, sled |
//! | `s/incident/NS/NAME` | an Incident's status: nobody can find it again | journal, sled |
//! | `q/ID` | a message that waits for its delivery | journal, sled |
//! | `m/NS/NAME` | what must never be lost of a Deployment | journal, sled |
//! | `n/NAME` | a note | journal, sled |
//! | `floor` | no resourceVersion above it has been handed out | journal, sled |
//! | `s/KIND/NS/NAME` else | an object's status | sled |
//! | `o/event/NS/NAME` | an Event | sled |
//! | `h/NS/NAME`, `e/CONTAINER`, `seen` | history, ends of containers, where the engine's events were read up to | sled |

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Kind;
use crate::model::Key;

/// Upper bound of the resourceVersions that have been handed out.
pub(super) const FLOOR: &str = "floor";
/// Where the engine's events were read up to.
pub(super) const SEEN: &str = "seen";
/// Start of the names of ends.
pub(super) const END: &str = "e/";
/// Start of the names of messages.
pub(super) const MESSAGE: &str = "q/";

/// One row: its text and the journal's sequence number of the write that made it (0: not in the journal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Journal sequence.
    pub seq: u64,
    /// JSON.
    pub text: Arc<str>,
}

/// Rows by name.
pub(super) type Rows = BTreeMap<String, Row>;

/// Name of an object's row.
pub(super) fn object(kind: Kind, key: &Key) -> String {
    format!("o/{}/{key}", kind.singular())
}

/// Name of the row of an object's status.
pub(super) fn status(kind: Kind, key: &Key) -> String {
    format!("s/{}/{key}", kind.singular())
}

/// Name of the row of a Deployment's memory.
pub(super) fn memory(key: &Key) -> String {
    format!("m/{key}")
}

/// Name of the row of a Deployment's history.
pub(super) fn history(key: &Key) -> String {
    format!("h/{key}")
}

/// Name of the row of the end of a container's run.
pub(super) fn end(container_id: &str) -> String {
    format!("{END}{container_id}")
}

/// Name of the row of a message that waits.
pub(super) fn message(id: &str) -> String {
    format!("{MESSAGE}{id}")
}

/// Name of a note's row.
pub(super) fn note(name: &str) -> String {
    format!("n/{name}")
}

/// Whether the row is in the journal: it cannot be found again.
pub(super) fn is_journaled(name: &str) -> bool {
    let object = name.starts_with("o/") && !name.starts_with("o/event/");
    name == FLOOR || object || ["s/incident/", "m/", "n/", MESSAGE].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the row stands for itself: it is neither an object's nor its status'.
pub(super) fn is_text(name: &str) -> bool {
    !name.starts_with("o/") && !name.starts_with("s/")
}

/// Which object's row that is, if it is one.
pub(super) fn object_of(name: &str) -> Option<(Kind, Key)> {
    let mut parts = name.strip_prefix("o/")?.splitn(3, '/');
    let word = parts.next()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.singular() == word)?;
    Some((kind, Key::new(parts.next()?, parts.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_read_back() {
        let key = Key::new("default", "web");
        for kind in Kind::ALL {
            assert_eq!(object_of(&object(kind, &key)), Some((kind, key.clone())));
        }
        assert_eq!(object_of(&memory(&key)), None);
    }

    #[test]
    fn what_cannot_be_found_again_is_journaled_and_nothing_else() {
        let key = Key::new("default", "web");
        let objects = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Event).map(|kind| object(kind, &key));
        let own = [memory(&key), note("boot"), message("1f"), status(Kind::Incident, &key), FLOOR.into()];
        let journaled = own.into_iter().chain(objects);
        let not = [object(Kind::Event, &key), status(Kind::Deployment, &key), history(&key), end("ab12"), SEEN.into()];
        assert!(journaled.into_iter().all(|name| is_journaled(&name)));
        assert!(!not.iter().any(|name| is_journaled(name)));
    }
}
