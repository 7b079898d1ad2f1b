//! Wires all parts of the operator together.

use crate::config::Settings;

/// Runs the operator until it is told to end.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = crate::telemetry::init(&settings.telemetry)?;
    telemetry.shutdown().await;
    Ok(())
}
