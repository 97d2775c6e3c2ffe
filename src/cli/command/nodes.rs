//! Commands about one node: `add-node`, `start-node`, `remove-node`, `kill-node`, `pause-node`
//! and `resume-node`.

use serde_json::json;

use crate::cli::render::nodes_text;
use crate::cli::{Error, Global, args, launched, output};
use crate::network::{self, NodeRecord, StateDir};
use crate::protocol::NodeId;

pub(crate) const ADD_EXAMPLES: &str = "\
Examples:
  gossip add-node
  gossip add-node --peers 3,7

The node gets the next free number, and fetches the messages that its network holds. Told no
peers, it is linked to as many as is usual there; on a ring, it is put between the last node and
the first, whose own link goes.";

pub(crate) const START_EXAMPLES: &str = "\
Examples:
  gossip start-node 9

Brings back a node that was removed, killed or died: with the same number and address, as a new
incarnation with an empty store, which fetches what it missed. Its messages are numbered anew:
9.1@2 is the first message of node 9 after its second start.";

pub(crate) const REMOVE_EXAMPLES: &str = "\
Examples:
  gossip remove-node 9

The node says goodbye to its neighbours, which close ranks, and ends. A node that does not answer
(paused, for instance) is killed, and its neighbours find out by themselves.";

pub(crate) const KILL_EXAMPLES: &str = "\
Examples:
  gossip kill-node 4

Ends the node's process at once (SIGKILL), as a crash would: its neighbours have to find out by
themselves. `gossip start-node 4` brings it back.";

pub(crate) const PAUSE_EXAMPLES: &str = "\
Examples:
  gossip pause-node 4

Stops the node's process where it is (SIGSTOP), as if the machine had frozen: after a while the
others take it for dead. `gossip resume-node 4` lets it go on, and catch up.";

pub(crate) const RESUME_EXAMPLES: &str = "\
Examples:
  gossip resume-node 4

Changes nothing for a node that is not paused.";

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// The nodes to link it to, with commas between them; chosen by itself when not given
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = args::node)]
    peers: Vec<NodeId>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// The number of the node
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
}

/// Starts a new node, and returns when it answers.
pub(crate) fn add(global: &Global, args: &AddArgs) -> Result<(), Error> {
    let peers = (!args.peers.is_empty()).then_some(args.peers.as_slice());
    let program = launched::this_program()?;
    show(global, &StateDir::from_env()?.add_node(&global.network, peers, &program)?)
}

/// Starts a node again, and returns when it answers.
pub(crate) fn start(global: &Global, args: &NodeArgs) -> Result<(), Error> {
    let program = launched::this_program()?;
    show(global, &StateDir::from_env()?.start_node(&global.network, args.node, &program)?)
}

fn show(global: &Global, started: &NodeRecord) -> Result<(), Error> {
    let NodeRecord { node, addr, incarnation, process, peers, .. } = started;
    let document = json!({
        "network": global.network,
        "node": node,
        "addr": addr,
        "pid": process.pid,
        "incarnation": incarnation,
        "peers": peers,
    });
    let again = if *incarnation > 1 { " again" } else { "" };
    let text = format!("node {node} runs{again} at {addr}, linked to {}\n", nodes_text(peers));
    output::answer(global, &document, &text)
}

/// Has the node leave, and returns when it is gone.
pub(crate) fn remove(global: &Global, args: &NodeArgs) -> Result<(), Error> {
    let (network, node) = (&global.network, args.node);
    let killed = StateDir::from_env()?.remove_node(network, node)?;
    let text = if killed {
        format!("node {node} did not leave network {network} by itself, and was killed\n")
    } else {
        format!("node {node} left network {network}\n")
    };
    let document = json!({ "network": network, "node": node, "removed": true, "killed": killed });
    output::answer(global, &document, &text)
}

/// An act on a node's process.
type Act = fn(&StateDir, &str, NodeId) -> Result<(), network::Error>;

/// Does it, and says in one word what was done.
pub(crate) fn act(global: &Global, args: &NodeArgs, act: Act, word: &str) -> Result<(), Error> {
    let (network, node) = (&global.network, args.node);
    act(&StateDir::from_env()?, network, node)?;
    let document = json!({ "network": network, "node": node, word: true });
    output::answer(global, &document, &format!("node {node} {word}\n"))
}
