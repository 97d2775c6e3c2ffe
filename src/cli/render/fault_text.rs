//! Faults, as `list-faults` and `show-network` show them.

use std::time::Duration;

use serde_json::{Value, json};

use super::time_text::{exact, micros};
use crate::network::Fault;
use crate::protocol::{Effect, FaultRule};

/// A numbered line each.
pub(crate) fn list(faults: &[Fault]) -> String {
    let line = |(index, fault)| format!("{}  {}\n", index + 1, one(fault));
    faults.iter().enumerate().map(line).collect()
}

/// `from 1-8 to 9-16,20: 20% lost, 50ms later`, or `partition: 1-8 | 9-16`.
pub(crate) fn one(fault: &Fault) -> String {
    match fault {
        Fault::Effect(FaultRule { from, to, effect }) => {
            format!("from {} to {}: {}", ranges(from), ranges(to), effect_text(effect))
        }
        Fault::Partition(groups) => {
            let groups: Vec<String> = groups.iter().map(|group| ranges(group)).collect();
            format!("partition: {}", groups.join(" | "))
        }
    }
}

fn effect_text(effect: &Effect) -> String {
    let share =
        |share: f64, word: &str| (share > 0.0).then(|| format!("{} {word}", percent(share)));
    let span = |before: &str, span: Duration, after: &str| {
        (!span.is_zero()).then(|| format!("{before}{}{after}", exact(span)))
    };
    let parts = [
        share(effect.loss, "lost"),
        span("", effect.delay, " later"),
        span("up to ", effect.jitter, " jitter"),
        share(effect.duplicate, "sent twice"),
        share(effect.reorder, "reordered"),
        share(effect.corrupt, "corrupted"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `20%`, `0.5%`.
fn percent(share: f64) -> String {
    let rounded = format!("{:.4}", share * 100.0);
    format!("{}%", rounded.trim_end_matches('0').trim_end_matches('.'))
}

/// `1-8,12`; no ranges mean all nodes.
pub(crate) fn ranges(ranges: &[(u32, u32)]) -> String {
    let one = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    match ranges {
        [] => "all".into(),
        ranges => ranges.iter().map(one).collect::<Vec<_>>().join(","),
    }
}

/// The same for programs: shares as fractions, times in microseconds, nodes as ranges with both
/// ends, null for all nodes.
pub(crate) fn json(faults: &[Fault]) -> Value {
    let some = |ranges: &Vec<(u32, u32)>| (!ranges.is_empty()).then(|| ranges.clone());
    let one = |fault: &Fault| match fault {
        Fault::Effect(FaultRule { from, to, effect }) => json!({
            "kind": "effect",
            "from": some(from),
            "to": some(to),
            "loss": effect.loss,
            "delay_us": micros(effect.delay),
            "jitter_us": micros(effect.jitter),
            "duplicate": effect.duplicate,
            "reorder": effect.reorder,
            "corrupt": effect.corrupt,
        }),
        Fault::Partition(groups) => json!({ "kind": "partition", "groups": groups }),
    };
    faults.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_what_happens() {
        let effect = Effect {
            loss: 0.2,
            delay: Duration::from_millis(50),
            jitter: Duration::from_micros(200),
            duplicate: 0.07,
            reorder: 0.005,
            corrupt: 1.0,
        };
        let rule = FaultRule { from: vec![(1, 8)], to: vec![(9, 16), (20, 20)], effect };
        let loss = Effect { loss: 0.3, ..Effect::default() };
        let plain = FaultRule { from: vec![], to: vec![], effect: loss };
        let faults = [
            Fault::Effect(rule),
            Fault::Effect(plain),
            Fault::Partition(vec![vec![(1, 4), (9, 9)], vec![(5, 8)]]),
        ];
        assert_eq!(
            list(&faults),
            "1  from 1-8 to 9-16,20: 20% lost, 50ms later, up to 200us jitter, 7% sent twice, \
             0.5% reordered, 100% corrupted\n\
             2  from all to all: 30% lost\n\
             3  partition: 1-4,9 | 5-8\n"
        );
        let document = json(&faults);
        assert_eq!(document[0]["delay_us"], 50_000);
        assert_eq!(document[0]["to"], json!([[9, 16], [20, 20]]));
        assert_eq!(document[1]["from"], Value::Null);
        assert_eq!(document[1]["loss"], 0.3);
        assert_eq!(
            document[2],
            json!({ "kind": "partition", "groups": [[[1, 4], [9, 9]], [[5, 8]]] })
        );
    }
}
