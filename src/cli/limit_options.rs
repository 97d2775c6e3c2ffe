//! `--limit NAME=VALUE` and `--timing NAME=VALUE`: every limit and interval of a node by name.
//!
//! The names are those of the fields of [`Limits`] and [`Timing`] with hyphens. They are read
//! through serde, so that a new field is an option by itself.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::cli::Error;
use crate::cli::render::time_text::exact;
use crate::network::Settings;
use crate::protocol::{ConfigError, Limits, Timing};

/// The options that change a node's limits and intervals.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Changes {
    /// Change a limit of the nodes; repeat it for several (--help lists them)
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Change an interval of the nodes; repeat it for several (--help lists them)
    #[arg(long = "timing", value_name = "NAME=TIME")]
    timing: Vec<String>,
}

/// Each limit: its field, the counter of `show-network --json` that says that it was hit, and what
/// it bounds. Without a counter (`-`) are those at which nothing is lost: anything beyond
/// them goes a little later, or takes the place of another.
const LIMITS: [&str; 15] = [
    "text_bytes_max limit_text_refused the longest text of a message, in bytes",
    "packed_datagram_bytes_max - the largest datagram that several frames share, in bytes",
    "in_flight_max limit_in_flight_held_up messages that a neighbour has yet to acknowledge; \
     beyond it, senders wait",
    "path_nodes_max limit_paths_cut nodes on a path; the middle of a longer one is cut out",
    "paths_max limit_paths_dropped paths that are kept of each message",
    "messages_max limit_messages_evicted messages that are kept; the oldest are evicted",
    "retained_bytes_max limit_bytes_evicted bytes that are kept; the oldest messages are evicted",
    "id_ranges_max limit_ranges_refused ranges of message ids that are known, over all nodes",
    "neighbours_max limit_neighbours_refused neighbours; a further link is refused",
    "sample_max - other nodes kept in mind, drawn at random",
    "wanted_per_peer_max - missing messages asked of one peer at a time",
    "repair_reply_bytes_max - bytes of missing messages sent in one answer",
    "repair_replies_max limit_repair_replies_cut missing messages that wait to be sent",
    "contacts_max limit_contacts_dropped peers kept in mind that are no neighbours",
    "delayed_datagrams_max limit_delayed_dropped datagrams that injected faults hold back",
];

/// Each interval: its field, and what it is.
const TIMING: [&str; 22] = [
    "summary_interval_min the shortest time between two heartbeats",
    "summary_interval_max the longest: the heartbeat of an idle network",
    "recent_window messages are listed by id in heartbeats for this long",
    "ack_timeout_min the least time after which a neighbour is asked about a message in flight",
    "ack_timeout_max the most",
    "ack_time_initial the time an acknowledgement is taken to need, until it was measured",
    "ack_retry_min the least time before the neighbour is asked again",
    "ack_retry_max the most",
    "repair_reply_interval the time between two answers with missing messages",
    "listing_timeout the wait for a list of ids, before it is asked for again",
    "want_timeout the least wait for a missing message that was asked for",
    "suspect_after a neighbour that is silent this long is suspected, and probed",
    "probe_interval the time between two probes of a suspect",
    "first_contact_timeout the wait for a neighbour that was never heard from",
    "stand_in_timeout the wait for a node that is to stand in for a dead neighbour",
    "unlinked_memory a link that was given up is not made again by this end for this long",
    "leave_timeout the wait of a node that leaves, for acknowledgements",
    "late_tick a node that wakes up this late doubts itself, not its neighbours",
    "dead_probe_interval_min the shortest time between two probes of a dead peer",
    "dead_probe_interval_max the longest",
    "shuffle_interval the time between two exchanges of addresses with a random node",
    "probes after this many unanswered probes a suspect is declared dead",
];

impl Changes {
    /// The settings asked for, for a network of this many nodes; defaults where nothing was.
    pub(crate) fn settings(&self, nodes: u32) -> Result<Settings, Error> {
        Ok(Settings { limits: self.limits(nodes)?, timing: self.timing()? })
    }

    fn limits(&self, nodes: u32) -> Result<Limits, Error> {
        let limits: Limits = changed("limit", &Limits::default(), &self.limits)?;
        limits.validate().map_err(|error| contradiction(&error))?;
        let ranges = limits.id_ranges_max;
        if (ranges as u64) < u64::from(nodes) {
            let why = format!(
                "id-ranges-max is {ranges} and there are {nodes} nodes: the messages of each take \
                 one range at least, or they are refused"
            );
            let next = "raise id-ranges-max, well above the number of nodes";
            return Err(Error::misused("cannot use these limits", why, next));
        }
        Ok(limits)
    }

    fn timing(&self) -> Result<Timing, Error> {
        let timing: Timing = changed("timing", &Timing::default(), &self.timing)?;
        timing.validate().map_err(|error| contradiction(&error))?;
        Ok(timing)
    }
}

/// What the protocol finds wrong with limits or intervals, in the words of the options.
fn contradiction(error: &ConfigError) -> Error {
    let intervals = |why, next| Error::misused("cannot use these intervals", why, next);
    let mut why = hyphened(&error.to_string());
    let next = match *error {
        ConfigError::Order { least, low, most, high } => {
            let (least, most) = (hyphened(least), hyphened(most));
            let (low, high) = (exact(low), exact(high));
            let why = format!(
                "{least} is {low} and {most} {high}: the least must not be longer than the most"
            );
            let next = format!("lower {least}, or raise {most} with another --timing");
            return intervals(why, next);
        }
        ConfigError::TooLong { interval, most, .. } => {
            let why = format!("{} is at most {}", hyphened(interval), exact(most));
            return intervals(why, "choose a shorter one".into());
        }
        ConfigError::TooLarge { limit: "text_bytes_max" | "packed_datagram_bytes_max", .. } => {
            why.push_str(": more does not fit a datagram");
            "choose a smaller one"
        }
        ConfigError::TooLarge { .. } => "choose a smaller one",
        ConfigError::TextNotRetained { .. } => "lower text-bytes-max, or raise retained-bytes-max",
        ConfigError::Zero { .. }
        | ConfigError::NodeZero
        | ConfigError::IncarnationZero
        | ConfigError::Peer { .. } => "choose 1 or more",
    };
    Error::misused("cannot use these limits", why, next)
}

/// The names that may be used, their defaults and what they mean, for the long help.
pub(crate) fn listing() -> String {
    let (limits, timing) = (fields(&Limits::default()), fields(&Timing::default()));
    let row = |name: &str, value: &Value, counter: &str, words: &str| {
        let line = format!("  {:<26}  {:<10}  {counter}", hyphened(name), shown(value));
        format!("{}\n      {words}\n", line.trim_end())
    };
    let limit = |line: &&str| {
        let mut parts = line.splitn(3, ' ');
        let [name, counter, words] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        row(name, &limits[name], counter.trim_start_matches('-'), words)
    };
    let interval = |line: &&str| {
        let (name, words) = line.split_once(' ').unwrap_or_default();
        row(name, &timing[name], "", words)
    };
    format!(
        "Limits (--limit NAME=VALUE), their defaults, and which counter of show-network --json says\n\
         how often a node hit one. At those without a counter nothing is lost: anything beyond them\n\
         goes a little later, or takes the place of another.\n{}\n\
         Intervals (--timing NAME=TIME, such as 250ms or 2s) and their defaults. None that ends with\n\
         -min may be longer than its -max:\n{}",
        LIMITS.iter().map(limit).collect::<String>(),
        TIMING.iter().map(interval).collect::<String>(),
    )
}

/// A field's name, as it is typed.
fn hyphened(name: &str) -> String {
    name.replace('_', "-")
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
        let span = span(value).ok_or_else(|| {
            format!("{value} is no time above zero in us, ms, s or min, such as 250ms or 1.5s")
        })?;
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
    serde_json::from_value(value.clone()).map_or_else(|_| value.to_string(), exact)
}

/// `250ms`, `1.5s`, `2min`; nothing else, and not zero.
pub(crate) fn span(text: &str) -> Option<Duration> {
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
    use crate::protocol::Counters;

    fn limits(changes: &[&str]) -> Result<Limits, Error> {
        let limits = changes.iter().map(ToString::to_string).collect();
        Changes { limits, timing: Vec::new() }.limits(4)
    }

    fn timing(change: &str) -> Result<Timing, Error> {
        Changes { limits: Vec::new(), timing: vec![change.into()] }.timing()
    }

    #[test]
    fn a_limit_that_is_not_named_keeps_its_default() {
        let changed = limits(&["messages-max=10", "paths_max=2"]).unwrap();
        let expected = Limits { messages_max: 10, paths_max: 2, ..Limits::default() };
        assert_eq!(changed, expected);
        assert_eq!(timing("probes=3").unwrap(), Timing { probes: 3, ..Timing::default() });
        let suspect_after = Duration::from_millis(250);
        let expected = Timing { suspect_after, ..Timing::default() };
        assert_eq!(timing("suspect-after=250ms").unwrap(), expected);
    }

    #[test]
    fn unknown_names_and_impossible_values_are_refused() {
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
    fn limits_that_contradict_each_other_are_refused_with_what_must_hold() {
        let error = limits(&["id-ranges-max=3"]).unwrap_err().to_string();
        assert!(error.contains("id-ranges-max is 3 and there are 4 nodes"), "{error}");
        assert!(limits(&["id-ranges-max=4"]).is_ok());
        let error = limits(&["retained-bytes-max=1000"]).unwrap_err().to_string();
        assert!(error.contains("text-bytes-max is 60000 and retained-bytes-max 1000"), "{error}");
        assert!(limits(&["retained-bytes-max=1000", "text-bytes-max=1000"]).is_ok());
        let error = limits(&["wanted-per-peer-max=18446744073709551615"]).unwrap_err().to_string();
        assert!(error.contains("wanted-per-peer-max is at most 4294967295"), "{error}");
        assert!(limits(&["retained-bytes-max=1_000_000_000_000"]).is_ok());
    }

    #[test]
    fn a_least_interval_is_not_longer_than_the_most() {
        for (change, why) in [
            ("summary-interval-min=1251ms", "1251ms and summary-interval-max 1250ms"),
            ("summary-interval-max=99500us", "100ms and summary-interval-max 99500us"),
            ("ack-timeout-min=11s", "11s and ack-timeout-max 10s"),
            ("ack-retry-max=1ms", "40ms and ack-retry-max 1ms"),
            ("dead-probe-interval-max=1ms", "1s and dead-probe-interval-max 1ms"),
        ] {
            let error = timing(change).unwrap_err().to_string();
            assert!(error.contains(why) && error.lines().count() == 3, "{change}: {error}");
        }
        assert!(timing("summary-interval-min=1250ms").is_ok());
        // All there are: a new pair is named here, or this fails.
        let names = fields(&Timing::default());
        let pairs = names.keys().filter(|name| {
            name.strip_suffix("_min").is_some_and(|stem| names.contains_key(&format!("{stem}_max")))
        });
        assert_eq!(pairs.count(), 4, "the protocol checks as many, and each is tried above");
    }

    #[test]
    fn the_protocol_checks_every_limit() {
        for name in fields(&Limits::default()).keys() {
            let mut fields = fields(&Limits::default());
            fields[name] = json!(0);
            let limits: Limits = serde_json::from_value(Value::Object(fields)).unwrap();
            let zero =
                matches!(limits.validate(), Err(ConfigError::Zero { limit }) if limit == name);
            assert!(zero, "{name}: {:?}", limits.validate());
        }
    }

    #[test]
    fn each_counter_of_a_limit_is_listed_with_it() {
        let counters = fields(&Counters::default());
        let mut limits: Vec<String> =
            fields(&Limits::default()).into_iter().map(|(n, _)| n).collect();
        let word = |line: &&'static str, at| line.split(' ').nth(at).unwrap();
        let mut listed: Vec<&str> = LIMITS.iter().map(|line| word(line, 0)).collect();
        limits.sort_unstable();
        listed.sort_unstable();
        assert_eq!(limits, listed);
        let of_limits = LIMITS.iter().map(|line| word(line, 1)).filter(|name| *name != "-");
        let mut of_limits: Vec<&str> = of_limits.collect();
        // One more of the same limit, one whose limit is that of a datagram, and two of sessions.
        of_limits.extend(["limit_in_flight_evicted", "limit_control_dropped"]);
        of_limits.extend(["limit_sessions_refused", "limit_waiting_dropped"]);
        of_limits.sort_unstable();
        let mut there: Vec<&str> =
            counters.keys().map(String::as_str).filter(|name| name.starts_with("limit_")).collect();
        there.sort_unstable();
        assert_eq!(of_limits, there);
    }

    #[test]
    fn the_help_lists_every_name_with_its_default_and_meaning() {
        let listing = listing();
        for line in [
            "  messages-max                100000      limit_messages_evicted\n      messages that",
            "  sample-max                  16\n      other nodes kept in mind, drawn at random\n",
            "  suspect-after               2s\n      a neighbour that is silent this long",
            "  summary-interval-max        1250ms\n      the longest: the heartbeat",
        ] {
            assert!(listing.contains(line), "{listing}");
        }
        let timing: Vec<String> = fields(&Timing::default()).into_iter().map(|(n, _)| n).collect();
        let listed: Vec<&str> = TIMING.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(timing, listed);
    }
}
