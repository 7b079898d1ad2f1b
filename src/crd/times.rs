//! Times of the day and of the week, as people write them, in a time zone. Pure: the zones are those of the program.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use super::{Day, QuietHours};

/// The days, as they are written.
pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A time zone by its name, `Europe/Berlin`.
pub fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" { Some(TimeZone::UTC) } else { TimeZoneDatabase::bundled().get(name).ok() }
}

/// `08:00`.
pub fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// A day of the week and a time, `Mon 08:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekly {
    day: Weekday,
    time: Time,
}

impl Weekly {
    /// Reads one.
    pub fn read(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let day = DAYS.iter().position(|known| *known == day).and_then(|index| i8::try_from(index).ok())?;
        Some(Self { day: Weekday::from_monday_zero_offset(day).ok()?, time: time_of_day(time)? })
    }

    /// The last one that is not after `now`.
    pub fn before(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = now.to_zoned(zone.clone()).datetime();
        let back = i64::from(today.date().weekday().since(self.day));
        let at = |back: i64| instant(today.date().checked_sub(back.days()).ok()?.to_datetime(self.time), zone);
        at(back).filter(|at| *at <= now).or_else(|| at(back + 7))
    }
}

/// The last such time of the day that is not after `now`.
pub fn daily_before(time: Time, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).datetime().date();
    let at = |back: i64| instant(today.checked_sub(back.days()).ok()?.to_datetime(time), zone);
    at(0).filter(|at| *at <= now).or_else(|| at(1))
}

impl QuietHours {
    /// When they end, if `now` lies within them. Hours that are over on the next day belong to the day they began on.
    pub fn end(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (from, to) = (time_of_day(&self.from)?, time_of_day(&self.to)?);
        let today = now.to_zoned(zone.clone()).datetime().date();
        [0, 1].into_iter().find_map(|back| {
            let first = today.checked_sub(i64::from(back).days()).ok()?;
            let last = if to > from { first } else { first.tomorrow().ok()? };
            let (begin, end) = (instant(first.to_datetime(from), zone)?, instant(last.to_datetime(to), zone)?);
            let applies = self.days.is_empty() || self.days.iter().any(|day| day.weekday() == first.weekday());
            (applies && begin <= now && now < end).then_some(end)
        })
    }
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// When a clock in the zone shows this. In the hour that is left out in spring: as if it had not been.
fn instant(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(at).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn quiet(from: &str, to: &str, days: &[Day]) -> QuietHours {
        QuietHours { from: from.into(), to: to.into(), days: days.to_vec(), except: crate::crd::AlertSeverity::Critical }
    }

    #[test]
    fn quiet_hours_go_over_midnight_and_belong_to_the_day_they_began_on() {
        let berlin = zone("Europe/Berlin").unwrap();
        let night = quiet("22:00", "07:00", &[]);
        assert_eq!(night.end(at("2026-06-01T21:00:00Z"), &berlin), Some(at("2026-06-02T05:00:00Z")));
        assert_eq!(night.end(at("2026-06-02T04:59:59Z"), &berlin), Some(at("2026-06-02T05:00:00Z")));
        assert_eq!(night.end(at("2026-06-02T05:00:00Z"), &berlin), None);
        // 2026-06-05 is a Friday.
        let weekend = quiet("18:00", "08:00", &[Day::Fri]);
        assert_eq!(weekend.end(at("2026-06-06T05:00:00Z"), &berlin), Some(at("2026-06-06T06:00:00Z")));
        assert_eq!(weekend.end(at("2026-06-07T05:00:00Z"), &berlin), None);
        let lunch = quiet("12:00", "13:00", &[]);
        assert_eq!(lunch.end(at("2026-06-05T10:30:00Z"), &berlin), Some(at("2026-06-05T11:00:00Z")));
    }

    #[test]
    fn the_hour_of_a_change_to_summer_time_harms_nobody() {
        let berlin = zone("Europe/Berlin").unwrap();
        // On 2026-03-29 there is no 02:30.
        let odd = quiet("02:30", "04:00", &[]);
        assert_eq!(odd.end(at("2026-03-29T01:45:00Z"), &berlin), Some(at("2026-03-29T02:00:00Z")));
        let time = time_of_day("02:30").unwrap();
        assert_eq!(daily_before(time, at("2026-03-29T06:00:00Z"), &berlin), Some(at("2026-03-29T01:30:00Z")));
    }

    #[test]
    fn the_last_time_of_a_report_is_found() {
        let berlin = zone("Europe/Berlin").unwrap();
        let eight = time_of_day("08:00").unwrap();
        assert_eq!(daily_before(eight, at("2026-06-05T05:59:59Z"), &berlin), Some(at("2026-06-04T06:00:00Z")));
        assert_eq!(daily_before(eight, at("2026-06-05T06:00:00Z"), &berlin), Some(at("2026-06-05T06:00:00Z")));
        let monday = Weekly::read("Mon 08:00").unwrap();
        assert_eq!(monday.before(at("2026-06-05T06:00:00Z"), &berlin), Some(at("2026-06-01T06:00:00Z")));
        assert_eq!(monday.before(at("2026-06-01T05:00:00Z"), &berlin), Some(at("2026-05-25T06:00:00Z")));
        assert_eq!((Weekly::read("Monday 08:00"), time_of_day("8:00"), time_of_day("24:00")), (None, None, None));
    }
}
