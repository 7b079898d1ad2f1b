//! What was told once and is no incident: summaries after restarts, and reports. A note in the journal.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::model::Key;
use crate::notify::report::Period;
use crate::store::{self, Store};

/// The store's name for it.
const NOTE: &str = "notify";

/// What was told once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// Events, by name: the `lastTimestamp` that was told.
    events: BTreeMap<String, String>,
    /// Reports, by Alert and period: the moment that was served.
    reports: BTreeMap<String, Timestamp>,
}

impl Ledger {
    /// What the store has; `None`: there never was one.
    pub fn load(store: &Store) -> store::Result<Option<Self>> {
        Ok(store.note(NOTE)?.and_then(|note| serde_json::from_value(note).ok()))
    }

    /// Writes it down; what the disk does not take holds in this process.
    pub async fn save(&self, store: &Store) {
        if let Err(error) = store.put_note(NOTE, serde_json::to_value(self).ok()).await {
            warn!(%error, "what was told cannot be written down");
        }
    }

    /// Whether an Event was told, as it was then.
    pub fn has_event(&self, name: &str, last: &str) -> bool {
        self.events.get(name).is_some_and(|told| told.as_str() >= last)
    }

    /// Notes that an Event was told; those that are not there any more are forgotten.
    pub fn note_event(&mut self, name: &str, last: &str, there: &BTreeSet<String>) {
        self.events.retain(|known, _| there.contains(known));
        self.events.insert(name.to_owned(), last.to_owned());
    }

    /// The moment that a report was made for last.
    pub fn report(&self, alert: &Key, period: Period) -> Option<Timestamp> {
        self.reports.get(&row(alert, period)).copied()
    }

    /// Notes that a report was made; those of Alerts that are gone are forgotten.
    pub fn note_report(&mut self, alert: &Key, period: Period, slot: Timestamp, alerts: impl Iterator<Item = Key>) {
        self.reports.insert(row(alert, period), slot);
        let known: BTreeSet<String> =
            alerts.flat_map(|alert| [Period::Day, Period::Week].map(|period| row(&alert, period))).collect();
        self.reports.retain(|row, _| known.contains(row));
    }
}

fn row(alert: &Key, period: Period) -> String {
    format!("{alert} {}", period.word())
}
