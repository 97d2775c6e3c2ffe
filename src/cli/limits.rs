//! `--limit NAME=VALUE` and `--timing NAME=VALUE`: every limit and interval of a node by name.
//!
//! The names are those of the fields of [`Limits`] and [`Timing`] with hyphens. They are read
//! through serde, so that a new field is an option by itself.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Error;
use crate::network::Settings;
use crate::protocol::{Limits, Timing, UDP_PAYLOAD_BYTES_MAX};

/// The options that change a node's limits and intervals.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Changes {
    /// Change a limit of the nodes; repeat it for several (--help lists them)
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Change an interval of the nodes; repeat it for several (--help lists them)
    #[arg(long = "timing", value_name = "NAME=TIME")]
    timing: Vec<String>,
}

impl Changes {
    /// What was asked for; defaults where nothing was.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings { limits: self.limits()?, timing: self.timing()? })
    }

    fn limits(&self) -> Result<Limits, Error> {
        let limits: Limits = changed("limit", &Limits::default(), &self.limits)?;
        let most = Limits::default().text_bytes_max;
        if limits.text_bytes_max > most || limits.packed_datagram_bytes_max > UDP_PAYLOAD_BYTES_MAX
        {
            return Err(Error::misused(
                "cannot use these limits",
                format!(
                    "text-bytes-max is at most {most} and packed-datagram-bytes-max at most \
                     {UDP_PAYLOAD_BYTES_MAX}: more does not fit a datagram"
                ),
                "choose smaller ones",
            ));
        }
        Ok(limits)
    }

    fn timing(&self) -> Result<Timing, Error> {
        changed("timing", &Timing::default(), &self.timing)
    }
}

/// The names that may be used, with their defaults, for the long help.
pub(super) fn listing() -> String {
    let list = |defaults: Map<String, Value>| {
        let line = |(name, value): (String, Value)| {
            format!("  {:<26}  {}\n", name.replace('_', "-"), shown(&value))
        };
        defaults.into_iter().map(line).collect::<String>()
    };
    format!(
        "Limits (--limit NAME=VALUE) and their defaults:\n{}\n\
         Intervals (--timing NAME=TIME, such as 250ms or 2s) and their defaults:\n{}",
        list(fields(&Limits::default())),
        list(fields(&Timing::default())),
    )
}

/// `defaults` with the changes made.
fn changed<T: Serialize + DeserializeOwned>(
    option: &str,
    defaults: &T,
    changes: &[String],
) -> Result<T, Error> {
    let mut fields = fields(defaults);
    for change in changes {
        make(&mut fields, change).map_err(|why| {
            let what = format!("cannot use --{option} {change}");
            let next = "`gossip start-network --help` lists all names and their defaults";
            Error::misused(what, why, next)
        })?;
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        Error::misused(format!("cannot use --{option}"), error.to_string(), "choose smaller values")
    })
}

fn make(fields: &mut Map<String, Value>, change: &str) -> Result<(), String> {
    let (name, value) =
        change.split_once('=').ok_or("it is not of the form NAME=VALUE".to_string())?;
    let field = fields.get_mut(&name.replace('-', "_"));
    let field = field.ok_or_else(|| format!("there is nothing called {name}"))?;
    *field = if field.is_object() {
        let span = span(value)
            .ok_or_else(|| format!("{value} is no time above zero, such as 250ms, 1.5s or 2min"))?;
        json!(span)
    } else {
        let number = value.replace('_', "").parse::<u64>().ok().filter(|number| *number > 0);
        json!(number.ok_or_else(|| format!("{value} is no whole number above zero"))?)
    };
    Ok(())
}

/// Structs of ours are JSON objects.
fn fields(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn shown(value: &Value) -> String {
    match serde_json::from_value::<Duration>(value.clone()) {
        Ok(span) if span.subsec_nanos() == 0 => format!("{}s", span.as_secs()),
        Ok(span) => format!("{}ms", span.as_millis()),
        Err(_) => value.to_string(),
    }
}

/// `250ms`, `1.5s`, `2min`; nothing else, and not zero.
pub(super) fn span(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        _ => return None,
    };
    let span = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
    (!span.is_zero()).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(changes: &[&str]) -> Result<Limits, Error> {
        let limits = changes.iter().map(ToString::to_string).collect();
        Changes { limits, timing: Vec::new() }.limits()
    }

    fn timing(change: &str) -> Result<Timing, Error> {
        Changes { limits: Vec::new(), timing: vec![change.into()] }.timing()
    }

    #[test]
    fn what_is_not_named_keeps_its_default() {
        let changed = limits(&["messages-max=10", "paths_max=2"]).unwrap();
        let expected = Limits { messages_max: 10, paths_max: 2, ..Limits::default() };
        assert_eq!(changed, expected);
        assert_eq!(timing("probes=3").unwrap(), Timing { probes: 3, ..Timing::default() });
        let suspect_after = Duration::from_millis(250);
        let expected = Timing { suspect_after, ..Timing::default() };
        assert_eq!(timing("suspect-after=250ms").unwrap(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for change in [
            "",
            "messages-max",
            "messages-max=",
            "messages-max=0",
            "messages-max=-1",
            "mesages=1",
            "=1",
            "text-bytes-max=70000",
            "packed-datagram-bytes-max=70000",
        ] {
            assert!(limits(&[change]).is_err(), "{change}");
        }
        for change in [
            "probes=1s",
            "suspect-after=5",
            "suspect-after=0s",
            "suspect-after=-1s",
            "suspect-after=1h",
            "suspect-after=infs",
            "suspect-after=nans",
            "probes=5000000000",
        ] {
            assert!(timing(change).is_err(), "{change}");
        }
    }

    #[test]
    fn the_help_lists_every_name_with_its_default() {
        let listing = listing();
        assert!(listing.contains("messages-max                100000\n"), "{listing}");
        assert!(listing.contains("suspect-after               2s\n"), "{listing}");
        assert!(listing.contains("summary-interval-max        1250ms\n"), "{listing}");
    }
}
