//! The command line: what may be typed, and which function does it.
//!
//! One file per command. Plain functions from data to text make their output: in the command's
//! file, or in `render` where several commands show the same. Each failure becomes one [`Error`]
//! with three parts. No sockets in here.

use clap::{Parser, Subcommand};

mod args;
mod command;
mod error;
mod follow;
mod interrupt;
mod key_file;
pub mod launched;
mod limit_options;
mod output;
mod progress;
mod render;
mod survey;

use command::{
    fault_lab, get_messages, list_peers, networks, nodes, plot_network, run_node, send_message,
    simulate, start_network, trace_message, watch_network,
};
pub use error::Error;

use crate::network::StateDir;

const ABOUT: &str = "Start, watch, break and measure gossip networks on real UDP sockets";

const EXAMPLES: &str = "\
Examples:
  gossip start-network circular --num-nodes=32
  gossip send-message 8 banana --relays=3
  gossip get-messages 24
  gossip stop-network

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 misused.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "gossip", version, propagate_version = true, about = ABOUT, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes, before or after its name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The network meant, so that several live side by side
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    #[arg(value_parser = args::network_name)]
    network: String,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a network of nodes, one process each
    #[command(after_help = start_network::EXAMPLES, after_long_help = start_network::long_help())]
    #[command(override_usage = start_network::USAGE)]
    StartNetwork(start_network::Args),
    /// Stop a network and all its nodes
    #[command(after_help = networks::STOP_EXAMPLES)]
    StopNetwork,
    /// Hand a message to one node, for all to get
    #[command(after_help = send_message::EXAMPLES)]
    SendMessage(send_message::Args),
    /// Show the messages a node holds, and the paths they took
    #[command(after_help = get_messages::EXAMPLES)]
    GetMessages(get_messages::Args),
    /// Tell a node to leave its network
    #[command(after_help = nodes::REMOVE_EXAMPLES)]
    RemoveNode(nodes::NodeArgs),
    /// Add a node to a network that runs
    #[command(after_help = nodes::ADD_EXAMPLES)]
    AddNode(nodes::AddArgs),
    /// Bring back a node that was removed or died
    #[command(after_help = nodes::START_EXAMPLES)]
    StartNode(nodes::NodeArgs),
    /// End a node at once, as a crash would
    #[command(after_help = nodes::KILL_EXAMPLES)]
    KillNode(nodes::NodeArgs),
    /// Stop a node where it is
    #[command(after_help = nodes::PAUSE_EXAMPLES)]
    PauseNode(nodes::NodeArgs),
    /// Let a paused node go on
    #[command(after_help = nodes::RESUME_EXAMPLES)]
    ResumeNode(nodes::NodeArgs),
    /// Link the nodes of a network anew, at random
    #[command(after_help = networks::REWIRE_EXAMPLES)]
    RewireNetwork(networks::RewireArgs),
    /// Have nodes lose, delay, double, reorder or corrupt what they send
    #[command(after_help = fault_lab::INJECT_EXAMPLES)]
    InjectFaults(fault_lab::InjectArgs),
    /// Cut a network into groups that hear nothing of each other
    #[command(after_help = fault_lab::PARTITION_EXAMPLES)]
    PartitionNetwork(fault_lab::PartitionArgs),
    /// Take all faults away, partitions and others
    #[command(after_help = fault_lab::HEAL_EXAMPLES)]
    HealNetwork,
    /// Show the faults that are in force
    #[command(after_help = fault_lab::LIST_EXAMPLES)]
    ListFaults,
    /// Show a node's neighbours, as it sees them, and theirs
    #[command(after_help = list_peers::EXAMPLES)]
    ListPeers(list_peers::Args),
    /// Show a network and each of its nodes
    #[command(after_help = networks::SHOW_EXAMPLES)]
    ShowNetwork,
    /// Draw a network as it is now
    #[command(after_help = plot_network::EXAMPLES)]
    PlotNetwork(plot_network::Args),
    /// Show how messages spread: the tree, the time, the cost, beside what theory says
    #[command(after_help = trace_message::EXAMPLES)]
    TraceMessage(trace_message::Args),
    /// Show what happens at every node, as it happens
    #[command(after_help = watch_network::EXAMPLES)]
    WatchNetwork(watch_network::Args),
    /// Show all networks on this machine
    #[command(after_help = networks::LIST_EXAMPLES)]
    ListNetworks,
    /// Let messages spread through a simulated network, and measure how
    #[command(after_help = simulate::EXAMPLES, override_usage = simulate::USAGE)]
    Simulate(simulate::Args),
    /// Run one node in the foreground, by hand
    #[command(after_help = run_node::EXAMPLES, after_long_help = run_node::long_help())]
    RunNode(run_node::Args),
    /// Make a key file: what the nodes of one network share
    #[command(after_help = key_file::EXAMPLES)]
    NewKey(key_file::Args),
}

/// What `-V` says, after any command: they are one program.
#[must_use]
pub fn version() -> String {
    format!("gossip {}\n", env!("CARGO_PKG_VERSION"))
}

/// Does what the command line says.
///
/// # Errors
///
/// [`Error`], ready to be printed. It tells of changes that the command made before it failed.
pub fn run(cli: &Cli) -> Result<(), Error> {
    let global = &cli.global;
    let done = match &cli.command {
        Command::StartNetwork(args) => start_network::run(global, args),
        Command::StopNetwork => networks::stop(global),
        Command::SendMessage(args) => send_message::run(global, args),
        Command::GetMessages(args) => get_messages::run(global, args),
        Command::RemoveNode(args) => nodes::remove(global, args),
        Command::AddNode(args) => nodes::add(global, args),
        Command::StartNode(args) => nodes::start(global, args),
        Command::KillNode(args) => nodes::act(global, args, StateDir::kill_node, "killed"),
        Command::PauseNode(args) => nodes::act(global, args, StateDir::pause_node, "paused"),
        Command::ResumeNode(args) => nodes::act(global, args, StateDir::resume_node, "resumed"),
        Command::RewireNetwork(args) => networks::rewire(global, args),
        Command::InjectFaults(args) => fault_lab::inject(global, args),
        Command::PartitionNetwork(args) => fault_lab::partition(global, args),
        Command::HealNetwork => fault_lab::heal(global),
        Command::ListFaults => fault_lab::list(global),
        Command::ListPeers(args) => list_peers::run(global, args),
        Command::ShowNetwork => networks::show(global),
        Command::PlotNetwork(args) => plot_network::run(global, args),
        Command::TraceMessage(args) => trace_message::run(global, args),
        Command::WatchNetwork(args) => watch_network::run(global, args),
        Command::ListNetworks => networks::list(global),
        Command::Simulate(args) => simulate::run(global, args),
        Command::RunNode(args) => run_node::run(global, args),
        Command::NewKey(args) => key_file::run(global, args),
    };
    done.map_err(|error| error.advising_on(&global.network))
}

/// Has a panic written as one line: a backtrace is of no use to a user.
pub fn write_panics_on_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let owned = payload.downcast_ref::<String>().map(String::as_str);
        let text = owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no words");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        output::note(&format!("error: a bug in gossip itself, at {place}: {text}"));
    }));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("  gossip {}", command.get_name());
            assert!(help.contains(&example), "{} shows no example", command.get_name());
        }
    }

    #[test]
    fn global_flags_work_before_and_after_the_command() {
        for line in [
            "gossip --network two --json list-peers 5",
            "gossip list-peers 5 --network two --json",
            "gossip --json list-peers --network=two 5",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.network, "two", "{line}");
            assert!(cli.global.json, "{line}");
        }
    }
}
