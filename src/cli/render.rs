//! What commands print: plain functions from data to text or JSON. No side effects.

use serde::Serialize;
use serde_json::{Value, json};

use crate::network::Record;
use crate::protocol::NodeId;
use crate::topology::{DEGREE_DEFAULT, Kind};

pub(crate) mod columns;
pub(crate) mod escape;
pub(crate) mod event_text;
pub(crate) mod fault_text;
pub(crate) mod spread_text;
pub(crate) mod time_text;
pub(crate) mod tree_text;

/// Makes text stand out, or not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Whether to use colours at all.
    pub(crate) colour: bool,
}

impl Style {
    /// For what the eye should find first.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what may be passed over.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }
}

/// `random 3`, as it is typed.
pub(crate) fn kind_text(record: &Record) -> String {
    kind(record).map_or("made by hand".into(), |kind| kind.to_string())
}

/// `{"kind": "random", "degree": 3}`; null where nodes were started by hand.
pub(crate) fn kind_json(record: &Record) -> Value {
    match kind(record) {
        Some(Kind::Random { degree }) => json!({ "kind": "random", "degree": degree }),
        Some(kind) => json!({ "kind": kind.to_string() }),
        None => Value::Null,
    }
}

/// The kind of a network, with the degree that was chosen where none was given.
fn kind(record: &Record) -> Option<Kind> {
    let others = u32::try_from(record.nodes.len()).unwrap_or(u32::MAX).saturating_sub(1);
    match record.kind {
        Some(Kind::Random { degree: None }) => {
            Some(Kind::Random { degree: Some(DEGREE_DEFAULT.min(others)) })
        }
        kind => kind,
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// The one word for a state: people are told the same as programs.
pub(crate) fn word(state: &impl Serialize) -> String {
    let value = serde_json::to_value(state).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// `3, 4 and 9`.
pub(crate) fn listing(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    match items.as_slice() {
        [] => "none".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `node 3`, `nodes 3, 4 and 9`.
pub(crate) fn nodes_text(nodes: &[NodeId]) -> String {
    let noun = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{noun} {}", listing(nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(Style { colour: false }.bold("8.1"), "8.1");
        assert_eq!(Style { colour: true }.bold("8.1"), "\x1b[1m8.1\x1b[0m");
    }

    #[test]
    fn lists_and_counts_read_as_sentences() {
        assert_eq!(listing(&[] as &[u32]), "none");
        assert_eq!(listing(&[3]), "3");
        assert_eq!(listing(&[3, 4, 9]), "3, 4 and 9");
        assert_eq!(count(1u64, "node"), "1 node");
        assert_eq!(count(0u64, "node"), "0 nodes");
    }
}
