//! Points in time and spans, as people and programs read them.

use std::time::Duration;

use tz::{DateTime, LocalTimeType, UtcDateTime};

use crate::protocol::Wall;

/// How much of a point in time to show: how often `-t` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing.
    None,
    /// `14:03:22`
    Time,
    /// `14:03:22 2026-07-31`
    TimeAndDate,
    /// `2026-07-31 14:03:22 +02:00`
    DateFirst,
}

impl Detail {
    pub(crate) fn from_count(count: u8) -> Self {
        match count {
            0 => Self::None,
            1 => Self::Time,
            2 => Self::TimeAndDate,
            _ => Self::DateFirst,
        }
    }

    /// Whether to tell how long a message was under way, too.
    pub(crate) fn shows_latency(self) -> bool {
        matches!(self, Self::TimeAndDate | Self::DateFirst)
    }
}

/// Where clocks show what.
#[derive(Clone, Debug)]
pub(crate) struct TimeZone(Option<tz::TimeZone>);

impl TimeZone {
    pub(crate) const UTC: Self = Self(None);

    /// That of the user, as `TZ` has it, or else of the machine; UTC where neither can be read.
    pub(crate) fn system() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(name) => tz::TimeZone::from_posix_tz(&name),
            Err(_) => tz::TimeZone::local(),
        };
        Self(zone.ok())
    }

    fn at(&self, unix_seconds: i64) -> LocalTimeType {
        let known = self.0.as_ref().and_then(|zone| zone.find_local_time_type(unix_seconds).ok());
        known.copied().unwrap_or(LocalTimeType::utc())
    }
}

/// A point in time, in a time zone.
pub(crate) fn local(at: Wall, zone: &TimeZone, detail: Detail) -> String {
    let (seconds, nanoseconds) = unix(at);
    let at = DateTime::from_timespec_and_local(seconds, nanoseconds, zone.at(seconds))
        .expect("every `Wall` lies between the years 1970 and 2554");
    let time = format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
    let date = format!("{}-{:02}-{:02}", at.year(), at.month(), at.month_day());
    match detail {
        Detail::None => String::new(),
        Detail::Time => time,
        Detail::TimeAndDate => format!("{time} {date}"),
        Detail::DateFirst => {
            let offset = at.local_time_type().ut_offset();
            let sign = if offset < 0 { '-' } else { '+' };
            let minutes = offset.unsigned_abs() / 60;
            format!("{date} {time} {sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

/// RFC 3339 in UTC, with nanoseconds.
pub(crate) fn rfc3339(at: Wall) -> String {
    let (seconds, nanoseconds) = unix(at);
    UtcDateTime::from_timespec(seconds, nanoseconds)
        .expect("every `Wall` lies between the years 1970 and 2554")
        .to_string()
}

/// Seconds and nanoseconds since 1970.
fn unix(at: Wall) -> (i64, u32) {
    let since = Duration::from_nanos(at.0);
    (since.as_secs().cast_signed(), since.subsec_nanos())
}

/// A short span as people say it: `412 µs`, `3.1 ms`, `2.4 s`, `5 min 10 s`.
pub(crate) fn span(span: Duration) -> String {
    let us = span.as_micros();
    // Rounded first: 999.96 ms would otherwise show as `1000.0 ms`.
    if us < 1_000 {
        format!("{us} µs")
    } else if us < 999_950 {
        format!("{:.1} ms", span.as_secs_f64() * 1e3)
    } else if us < 59_950_000 {
        format!("{:.1} s", span.as_secs_f64())
    } else {
        let seconds = (us + 500_000) / 1_000_000;
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
            (hours, minutes, _) => format!("{hours} h {minutes} min"),
        }
    }
}

/// A span as one would type it: `1s`, `50ms`, `200us`.
pub(crate) fn exact(span: Duration) -> String {
    match micros(span) {
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1_000 == 0 => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

/// A span for programs: whole microseconds.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-07-31 12:03:22.000000412 UTC.
    const AT: Wall = Wall(1_785_499_402_000_000_412);

    fn zone(posix: &str) -> TimeZone {
        TimeZone(Some(tz::TimeZone::from_posix_tz(posix).unwrap()))
    }

    #[test]
    fn each_t_shows_more() {
        let zone = zone("CEST-2");
        let shown = |count| local(AT, &zone, Detail::from_count(count));
        assert_eq!(shown(0), "");
        assert_eq!(shown(1), "14:03:22");
        assert_eq!(shown(2), "14:03:22 2026-07-31");
        assert_eq!(shown(3), "2026-07-31 14:03:22 +02:00");
        assert_eq!(shown(9), shown(3));
    }

    #[test]
    fn summer_time_begins_and_ends() {
        let zone = zone("CET-1CEST,M3.5.0,M10.5.0/3");
        let shown = |unix: u64| local(Wall(unix * 1_000_000_000), &zone, Detail::DateFirst);
        assert_eq!(shown(1_774_745_999), "2026-03-29 01:59:59 +01:00");
        assert_eq!(shown(1_774_746_000), "2026-03-29 03:00:00 +02:00");
        assert_eq!(shown(1_792_890_000), "2026-10-25 02:00:00 +01:00");
    }

    #[test]
    fn west_of_greenwich_the_offset_is_negative() {
        let shown = |posix, detail| local(AT, &zone(posix), detail);
        assert_eq!(shown("NST3:30", Detail::DateFirst), "2026-07-31 08:33:22 -03:30");
        assert_eq!(local(AT, &TimeZone::UTC, Detail::DateFirst), "2026-07-31 12:03:22 +00:00");
        assert_eq!(
            local(Wall(u64::MAX), &TimeZone::UTC, Detail::TimeAndDate),
            "23:34:33 2554-07-21"
        );
    }

    #[test]
    fn programs_get_utc_with_nanoseconds() {
        assert_eq!(rfc3339(AT), "2026-07-31T12:03:22.000000412Z");
        assert_eq!(rfc3339(Wall(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(Wall(u64::MAX)), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn spans_have_the_unit_that_fits() {
        let shown = |us| span(Duration::from_micros(us));
        assert_eq!(shown(0), "0 µs");
        assert_eq!(shown(412), "412 µs");
        assert_eq!(shown(3_100), "3.1 ms");
        assert_eq!(shown(999_960), "1.0 s");
        assert_eq!(shown(2_400_000), "2.4 s");
        assert_eq!(shown(59_960_000), "1 min 0 s");
        assert_eq!(shown(310_000_000), "5 min 10 s");
        assert_eq!(shown(7_260_000_000), "2 h 1 min");
    }
}
