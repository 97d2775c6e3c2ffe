//! Points in time and spans, as people and programs read them.

use std::time::Duration;

use jiff::Timestamp;
pub(crate) use jiff::tz::TimeZone;

use crate::protocol::Wall;

/// How much of a point in time to show: how often `-t` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
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
}

/// A point in time, in a time zone.
pub(crate) fn local(at: Wall, zone: &TimeZone, detail: Detail) -> String {
    let form = match detail {
        Detail::None => "",
        Detail::Time => "%H:%M:%S",
        Detail::TimeAndDate => "%H:%M:%S %Y-%m-%d",
        Detail::DateFirst => "%Y-%m-%d %H:%M:%S %:z",
    };
    moment(at).to_zoned(zone.clone()).strftime(form).to_string()
}

/// RFC 3339 in UTC, with nanoseconds.
pub(crate) fn rfc3339(at: Wall) -> String {
    format!("{:.9}", moment(at))
}

fn moment(at: Wall) -> Timestamp {
    let moment = Timestamp::from_nanosecond(at.0.into());
    moment.expect("every `Wall` lies between the years 1970 and 2554")
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

/// A span measured in microseconds, as people say it.
pub(crate) fn span_of_us(us: f64) -> String {
    span(Duration::from_nanos((us * 1e3).round() as u64))
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
        TimeZone::posix(posix).unwrap()
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
