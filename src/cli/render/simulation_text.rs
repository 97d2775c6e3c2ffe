//! How messages spread in a simulation, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::columns::{Align, table};
use super::count;
use super::time_text::{self, micros};
use crate::sim::experiment::{Experiment, Outcome};
use crate::topology::Kind;

/// How many points in time are shown to people,
const POINTS_SHOWN: u32 = 11;
/// and how many are given to programs.
const POINTS_GIVEN: u32 = 101;
/// A bar of this length means every node.
const BAR: f64 = 40.0;
/// The shares of deliveries whose times are told.
const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// What is shown.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) kind: Kind,
    pub(crate) experiment: &'a Experiment,
    pub(crate) outcome: &'a Outcome,
}

impl View<'_> {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let (spread, counters) = (&self.outcome.spread, &self.outcome.counters);
        let redundancy = spread.relative_message_redundancy();
        let latency = SHARES.map(|(name, share)| {
            let span = spread.latency(share).map_or("-".into(), time_text::span);
            format!("{name} {span}")
        });
        let rows = [
            ("coverage", percent(spread.coverage())),
            ("latency", latency.join(", ")),
            ("last delivery hop", spread.last_delivery_hop().to_string()),
            (
                "relative message redundancy",
                redundancy.map_or("-".into(), |redundancy| format!("{redundancy:.3}")),
            ),
            (
                "copies sent",
                format!("{}, {} of them by repair", spread.copies, counters.repairs_sent),
            ),
            (
                "control traffic",
                format!(
                    "{}, {} bytes",
                    count(counters.control_datagrams_sent, "datagram"),
                    counters.control_bytes_sent
                ),
            ),
        ];
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let rows = rows.map(|(name, value)| format!("{name:<width$}  {value}\n"));
        format!("{}\n\n{}\n{}{}\n", self.headline(), self.curve(), rows.concat(), self.ending())
    }

    fn headline(&self) -> String {
        format!(
            "{}: {} on {} ({}), relays limit {}, seed {}",
            self.kind,
            count(self.experiment.messages, "message"),
            count(self.outcome.spread.nodes, "node"),
            time_text::span(self.experiment.latency) + " a hop",
            self.experiment.relays,
            self.experiment.seed,
        )
    }

    /// Coverage over time.
    fn curve(&self) -> String {
        let points = self.outcome.spread.coverage_over_time(POINTS_SHOWN);
        let row = |(after, coverage): (Duration, f64)| {
            vec![time_text::span(after), percent(coverage), "█".repeat((coverage * BAR) as usize)]
        };
        let rows: Vec<Vec<String>> = points.into_iter().map(row).collect();
        table(&[("after", Align::Right), ("coverage", Align::Right), ("", Align::Left)], &rows)
    }

    fn ending(&self) -> String {
        let elapsed = time_text::span(self.outcome.elapsed);
        if self.outcome.complete {
            format!("every node had every message within {elapsed}")
        } else {
            format!("ended by its time limit after {elapsed}: not every node has every message")
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let Outcome { spread, counters, complete, elapsed, .. } = self.outcome;
        let points = spread.coverage_over_time(POINTS_GIVEN);
        let over_time: Vec<Value> = points
            .into_iter()
            .map(|(after, coverage)| json!({ "after_us": micros(after), "coverage": coverage }))
            .collect();
        let latency: serde_json::Map<String, Value> = SHARES
            .into_iter()
            .map(|(name, share)| (name.into(), spread.latency(share).map(micros).into()))
            .collect();
        json!({
            "topology": self.kind.to_string(),
            "nodes": spread.nodes,
            "messages": spread.messages,
            "relays": self.experiment.relays,
            "seed": self.experiment.seed,
            "complete": complete,
            "elapsed_us": micros(*elapsed),
            "coverage": spread.coverage(),
            "coverage_over_time": over_time,
            "latency_us": latency,
            "last_delivery_hop": spread.last_delivery_hop(),
            "relative_message_redundancy": spread.relative_message_redundancy(),
            "copies": spread.copies,
            "repairs": counters.repairs_sent,
            "control": {
                "datagrams": counters.control_datagrams_sent,
                "bytes": counters.control_bytes_sent,
            },
        })
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Delivery, Spread};

    fn outcome() -> Outcome {
        let delivery = |hops| Delivery { after: Duration::from_millis(1) * hops, hops };
        let deliveries = [1, 1, 2, 2, 3].map(delivery).to_vec();
        Outcome {
            spread: Spread::new(1, 6, 12, deliveries),
            complete: true,
            elapsed: Duration::from_millis(3),
            counters: Default::default(),
        }
    }

    #[test]
    fn people_see_a_curve_and_what_it_cost() {
        let (experiment, outcome) = (Experiment::default(), outcome());
        let view = View { kind: Kind::Circular, experiment: &experiment, outcome: &outcome };
        let text = view.text();
        assert!(text.starts_with("circular: 1 message on 6 nodes"), "{text}");
        assert!(text.contains("relative message redundancy  1.400\n"), "{text}");
        assert!(text.contains("last delivery hop            3\n"), "{text}");
        assert!(text.contains(&"█".repeat(40)), "{text}");
        assert!(text.ends_with("every node had every message within 3.0 ms\n"), "{text}");
    }

    #[test]
    fn programs_get_numbers() {
        let (experiment, outcome) = (Experiment::default(), outcome());
        let view = View { kind: Kind::Circular, experiment: &experiment, outcome: &outcome };
        let json = view.json();
        assert_eq!(json["latency_us"]["p50"], 2_000);
        assert_eq!(json["coverage_over_time"][0]["coverage"], 1.0 / 6.0);
        assert_eq!(json["coverage_over_time"][100]["after_us"], 3_000);
        assert_eq!(json["relative_message_redundancy"], 12.0 / 5.0 - 1.0);
    }
}
