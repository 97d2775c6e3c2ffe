//! The fault lab: `inject-faults`, `partition-network`, `heal-network` and `list-faults`.

use std::time::Duration;

use serde_json::json;

use crate::cli::args::{self, Nodes};
use crate::cli::render::{count, fault_text as render};
use crate::cli::{Error, Global, output};
use crate::network::{Fault, StateDir};
use crate::protocol::{Effect, FaultRule, NodeRanges};

pub(crate) const INJECT_EXAMPLES: &str = "\
Examples:
  gossip inject-faults --loss 20%
  gossip inject-faults --from 1-8 --to 9-16,20 --delay 50ms --jitter 20ms
  gossip inject-faults --to 4 --duplicate 5% --reorder 10% --corrupt 1%

The nodes themselves mistreat what they send, so this needs no root, and works at once. It adds
to the faults in force, and a fault one way says nothing about the way back. Nodes that are
started later have the same faults. `gossip heal-network` takes them all away.";

pub(crate) const PARTITION_EXAMPLES: &str = "\
Examples:
  gossip partition-network 1-8 9-16
  gossip partition-network 1-4,9 5-8 10-16

Everything between the groups is dropped, both ways. A node in none of them still talks to all,
and so joins them. `gossip heal-network` takes the partition away.";

pub(crate) const HEAL_EXAMPLES: &str = "\
Examples:
  gossip heal-network

Takes all faults away, partitions and others.";

pub(crate) const LIST_EXAMPLES: &str = "\
Examples:
  gossip list-faults
  gossip list-faults --json | jq '.faults[].loss'";

#[derive(Debug, clap::Args)]
pub(crate) struct InjectArgs {
    /// The nodes whose sending is mistreated [default: all]
    #[arg(long, value_name = "NODES", value_parser = args::nodes)]
    from: Option<Nodes>,
    /// The nodes they send to [default: all]
    #[arg(long, value_name = "NODES", value_parser = args::nodes)]
    to: Option<Nodes>,
    /// The share of datagrams that is lost
    #[arg(long, value_name = "SHARE", value_parser = args::share)]
    loss: Option<f64>,
    /// How much later each datagram is sent
    #[arg(long, value_name = "TIME", value_parser = args::held_back)]
    delay: Option<Duration>,
    /// At most how much later still, drawn for each datagram
    #[arg(long, value_name = "TIME", value_parser = args::held_back)]
    jitter: Option<Duration>,
    /// The share of datagrams that is sent twice
    #[arg(long, value_name = "SHARE", value_parser = args::share)]
    duplicate: Option<f64>,
    /// The share of datagrams that is held back for 10 ms, so that others pass them
    #[arg(long, value_name = "SHARE", value_parser = args::share)]
    reorder: Option<f64>,
    /// The share of datagrams in which a bit is flipped
    #[arg(long, value_name = "SHARE", value_parser = args::share)]
    corrupt: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PartitionArgs {
    /// Two groups of nodes or more, such as 1-8 9-16
    #[arg(value_name = "NODES", required = true, num_args = 2.., value_parser = args::nodes)]
    groups: Vec<Nodes>,
}

/// Adds a fault.
pub(crate) fn inject(global: &Global, args: &InjectArgs) -> Result<(), Error> {
    let ranges = |nodes: &Option<Nodes>| nodes.as_ref().map_or(Vec::new(), |nodes| nodes.0.clone());
    let effect = Effect {
        loss: args.loss.unwrap_or_default(),
        delay: args.delay.unwrap_or_default(),
        jitter: args.jitter.unwrap_or_default(),
        duplicate: args.duplicate.unwrap_or_default(),
        reorder: args.reorder.unwrap_or_default(),
        corrupt: args.corrupt.unwrap_or_default(),
    };
    if effect == Effect::default() {
        return Err(Error::misused(
            "this fault would do nothing",
            "no share and no time above zero is given",
            "give at least one of --loss, --delay, --jitter, --duplicate, --reorder and --corrupt",
        ));
    }
    add(global, Fault::Effect(FaultRule { from: ranges(&args.from), to: ranges(&args.to), effect }))
}

/// Adds a partition.
pub(crate) fn partition(global: &Global, args: &PartitionArgs) -> Result<(), Error> {
    let groups: Vec<NodeRanges> = args.groups.iter().map(|group| group.0.clone()).collect();
    if let Some(node) = in_two_groups(&groups) {
        return Err(Error::misused(
            "cannot cut the network there",
            format!("node {node} is in two of the groups"),
            "name each node once",
        ));
    }
    add(global, Fault::Partition(groups))
}

/// A node that several groups name.
fn in_two_groups(groups: &[NodeRanges]) -> Option<u32> {
    let mut ranges: Vec<(u32, u32)> = groups.iter().flatten().copied().collect();
    ranges.sort_unstable();
    ranges.windows(2).find(|pair| pair[1].0 <= pair[0].1).map(|pair| pair[1].0)
}

fn add(global: &Global, fault: Fault) -> Result<(), Error> {
    let text = format!("{}\n", render::one(&fault));
    let (faults, deaf) = StateDir::from_env()?.inject_fault(&global.network, fault)?;
    let faults = render::json(&faults);
    let document = json!({ "network": global.network, "faults": faults, "unreached": deaf });
    output::answer(global, &document, &text)?;
    Error::unless_all_heard(&deaf)
}

/// Takes all faults away.
pub(crate) fn heal(global: &Global) -> Result<(), Error> {
    let (healed, deaf) = StateDir::from_env()?.heal(&global.network)?;
    let faults = count(healed.len() as u64, "fault");
    let text = format!("network {} healed: {faults} taken away\n", global.network);
    let healed = render::json(&healed);
    let document = json!({ "network": global.network, "healed": healed, "unreached": deaf });
    output::answer(global, &document, &text)?;
    Error::unless_all_heard(&deaf)
}

/// Shows the faults in force.
pub(crate) fn list(global: &Global) -> Result<(), Error> {
    let faults = StateDir::from_env()?.load(&global.network)?.faults;
    if faults.is_empty() && !global.json {
        output::note(&format!("network {} has no faults", global.network));
    }
    let document = json!({ "network": global.network, "faults": render::json(&faults) });
    output::answer(global, &document, &render::list(&faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_in_one_group_only() {
        let cut = |groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(|text| args::nodes(text).unwrap().0).collect();
            in_two_groups(&groups)
        };
        assert_eq!(cut(&["1-8", "9-16"]), None);
        assert_eq!(cut(&["1-4,9", "5-8", "10-16"]), None);
        assert_eq!(cut(&["1-8", "8-16"]), Some(8));
        assert_eq!(cut(&["9-16", "1-12"]), Some(9));
        assert_eq!(cut(&["1-16", "3", "20"]), Some(3));
        assert_eq!(cut(&["7", "7"]), Some(7));
    }
}
