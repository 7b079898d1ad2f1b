//! What the service manager is told: that the operator serves, that it lives, that it ends.
//!
//! Nothing happens where no manager listens (`NOTIFY_SOCKET` is not set).

use std::time::Duration;

use sd_notify::NotifyState;

/// The operator serves now.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// The operator ends because it was asked to.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Reports that the operator lives, three times within the interval that the manager asks for; never returns.
///
/// Runs on the runtime that does the work: a runtime that hangs reports nothing, and the manager replaces the operator.
pub async fn watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval((interval / 3).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "could not tell the service manager how the operator is; see NOTIFY_SOCKET");
    }
}
