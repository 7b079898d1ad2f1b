//! Times in the past, as people write them.

use jiff::Timestamp;

use crate::crd;

/// A time in the past, from itself or from a duration before `now`.
///
/// # Errors
/// When it is neither; in words.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = |_| format!("--since {text:?} is neither a duration (10m, 2h) nor a time (2026-09-01T06:00:00Z)");
    let duration = text.parse::<crd::Duration>().map_err(wrong)?;
    now.saturating_sub(duration.0).map_err(|error| format!("--since {text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_duration_or_a_time() {
        let now: Timestamp = "2026-08-21T10:00:00Z".parse().unwrap();
        assert_eq!(since("90s", now).unwrap().to_string(), "2026-08-21T09:58:30Z");
        assert_eq!(since("2026-08-21T11:00:00+02:00", now).unwrap().to_string(), "2026-08-21T09:00:00Z");
        assert!(since("yesterday", now).unwrap_err().contains("10m, 2h"));
    }
}
