//! The order between a start and a stop of one Deployment.
//!
//! A start takes the key's gate together with other starts; a write that may forbid starts takes it alone. So a start either
//! sees the Hold, or was made before the Hold was acknowledged. A hung start must not make a person wait for their stop: after
//! [`PATIENCE`] the stop is written all the same, and the controller undoes that one start at its next turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::model::Key;

/// How long a stop waits for starts that are being made.
pub(super) const PATIENCE: Duration = Duration::from_millis(800);

/// Lets one start be made; no Hold on its Deployment is acknowledged while it lives.
#[derive(Debug)]
pub struct StartPermit {
    _guard: OwnedRwLockReadGuard<()>,
}

/// Gates of those Deployments that somebody is at.
#[derive(Debug, Default)]
pub(super) struct Gates {
    gates: Mutex<HashMap<Key, Arc<RwLock<()>>>>,
}

impl Gates {
    /// Waits until no stop is being written.
    pub async fn start(&self, key: &Key) -> StartPermit {
        StartPermit { _guard: self.gate(key).read_owned().await }
    }

    /// Waits until no start is being made, but not for ever.
    pub async fn stop(&self, key: &Key) -> Option<OwnedRwLockWriteGuard<()>> {
        tokio::time::timeout(PATIENCE, self.gate(key).write_owned()).await.ok()
    }

    fn gate(&self, key: &Key) -> Arc<RwLock<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates.entry(key.clone()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("default", "web")
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_a_start_that_is_being_made_and_later_starts_wait_for_the_stop() {
        let gates = Arc::new(Gates::default());
        let first = gates.start(&key()).await;
        let sibling = gates.start(&key()).await;
        let stopping = tokio::spawn({
            let gates = gates.clone();
            async move { gates.stop(&key()).await }
        });
        tokio::task::yield_now().await;
        let later = tokio::spawn({
            let gates = gates.clone();
            async move { gates.start(&key()).await }
        });
        tokio::task::yield_now().await;
        assert!(!stopping.is_finished() && !later.is_finished());
        drop((first, sibling));
        let stop = stopping.await.unwrap();
        assert!(stop.is_some());
        tokio::task::yield_now().await;
        assert!(!later.is_finished());
        drop(stop);
        later.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_start_keeps_a_stop_waiting_for_800_ms_and_other_deployments_not_at_all() {
        let gates = Gates::default();
        let _hung = gates.start(&key()).await;
        let began = tokio::time::Instant::now();
        assert!(gates.stop(&Key::new("default", "other")).await.is_some());
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(gates.stop(&key()).await.is_none());
        assert_eq!(began.elapsed(), PATIENCE);
        gates.start(&key()).await;
    }

    #[tokio::test]
    async fn gates_that_nobody_is_at_are_forgotten() {
        let gates = Gates::default();
        for name in 0..100 {
            drop(gates.start(&Key::new("default", name.to_string())).await);
        }
        assert_eq!(gates.gates.lock().unwrap().len(), 1);
    }
}
