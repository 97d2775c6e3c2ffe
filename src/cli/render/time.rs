//! Points in time and spans, as people and programs read them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::protocol::Wall;

/// How much of a point in time to show: how often `-t` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Detail {
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
    pub(in crate::cli) fn from_count(count: u8) -> Self {
        match count {
            0 => Self::None,
            1 => Self::Time,
            2 => Self::TimeAndDate,
            _ => Self::DateFirst,
        }
    }

    /// Whether to tell how long a message was under way, too.
    pub(in crate::cli) fn shows_latency(self) -> bool {
        matches!(self, Self::TimeAndDate | Self::DateFirst)
    }

    fn format(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Time => "%H:%M:%S",
            Self::TimeAndDate => "%H:%M:%S %Y-%m-%d",
            Self::DateFirst => "%Y-%m-%d %H:%M:%S %:z",
        }
    }
}

/// A point in time, in a time zone.
pub(in crate::cli) fn local(at: Wall, zone: &TimeZone, detail: Detail) -> String {
    timestamp(at).to_zoned(zone.clone()).strftime(detail.format()).to_string()
}

/// RFC 3339 in UTC, with nanoseconds.
pub(in crate::cli) fn rfc3339(at: Wall) -> String {
    format!("{:.9}", timestamp(at))
}

/// A short span as people say it: `412 µs`, `3.1 ms`, `2.4 s`, `5 min 10 s`.
pub(in crate::cli) fn span(span: Duration) -> String {
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

/// Every [`Wall`] lies between the years 1970 and 2554, which a [`Timestamp`] holds.
fn timestamp(at: Wall) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::tz::offset;

    use super::*;

    /// 2026-07-31 12:03:22.000000412 UTC.
    const AT: Wall = Wall(1_785_499_402_000_000_412);

    #[test]
    fn each_t_shows_more() {
        let zone = TimeZone::fixed(offset(2));
        let shown = |count| local(AT, &zone, Detail::from_count(count));
        assert_eq!(shown(0), "");
        assert_eq!(shown(1), "14:03:22");
        assert_eq!(shown(2), "14:03:22 2026-07-31");
        assert_eq!(shown(3), "2026-07-31 14:03:22 +02:00");
        assert_eq!(shown(9), shown(3));
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
