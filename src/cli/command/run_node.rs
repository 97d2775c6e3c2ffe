//! `run-node`: one node in the foreground, by hand, across hosts if need be.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use crate::cli::render::event_text;
use crate::cli::render::time_text::TimeZone;
use crate::cli::{Error, Global, args, interrupt, key_file, limit_options, output};
use crate::network::{NodeRecord, ProcessId, StateDir};
use crate::protocol::{Config, Event, Incarnation, NodeId, PeerAddr, Start, Wall, incarnation_at};
use crate::runtime::{Options, Runtime, Stopper, clock};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip run-node 1 --listen 127.0.0.1:7001 --peer 2@127.0.0.1:7002 --key-file my.key
  gossip run-node 2 --listen 127.0.0.1:7002 --peer 1@127.0.0.1:7001 --key-file my.key

The file comes from `gossip new-key`. Ctrl-C has the node leave. All other commands work with
nodes run by hand on this machine, too.";

/// The examples, and the names that `--limit` and `--timing` take.
pub(crate) fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", limit_options::listing())
}

/// Events that wait to be written; a reader that is slower misses some, and never holds up the
/// node.
const WAITING_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node's number
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
    /// The UDP address to listen on; the control port is the same number on loopback
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// A neighbour to begin with; repeat it for several
    #[arg(long = "peer", value_name = "N@ADDR", value_parser = args::peer)]
    peers: Vec<PeerAddr>,
    /// The file with the network's key
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Where the node's randomness comes from; drawn when not given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Which start of this node it is; it must be higher each time [default: microseconds since 1970]
    #[arg(long, value_name = "I", value_parser = clap::value_parser!(u64).range(1..=INCARNATION_MAX))]
    incarnation: Option<Incarnation>,
    #[command(flatten)]
    changes: limit_options::Changes,
}

/// The largest incarnation that may be given: every reader of JSON takes it as it is.
const INCARNATION_MAX: u64 = (1 << 53) - 1;

/// Runs the node until it is told to end.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let config = config(args)?;
    let options = Options {
        config: config.clone(),
        faults: Vec::new(),
        listen: args.listen,
        tell_messages: true,
        confirm_within: None,
    };
    let runtime = Runtime::bind(options)?;
    let record = NodeRecord {
        node: args.node,
        addr: runtime.local_addr(),
        incarnation: config.start.incarnation,
        process: ProcessId::current()
            .map_err(|error| Error::no_proc("cannot run this node", &error))?,
        removed: false,
        peers: args.peers.iter().map(|peer| peer.node).collect(),
    };
    let state = StateDir::from_env()?;
    state.register(&global.network, &config.key, record)?;
    let done = live(global, args.node, runtime);
    // A record that stays behind names a process that is gone, which anybody can see.
    let _ = state.unregister(&global.network, args.node);
    done
}

/// Runs a node that is registered.
fn live(global: &Global, node: NodeId, runtime: Runtime) -> Result<(), Error> {
    let stopper = runtime.stopper();
    interrupt::call(move || stopper.stop())?;
    output::note(&format!(
        "node {node} listens on {}, with a receive buffer of {} KiB; Ctrl-C has it leave",
        runtime.local_addr(),
        runtime.receive_buffer_bytes() / 1024,
    ));
    let (tell, told) = bounded(WAITING_MAX);
    let printer = print(global.json, node, told, runtime.stopper())?;
    runtime.run(&mut |at, event| {
        // A full channel means a slow reader, who must not hold up the node.
        let _ = tell.try_send((at, event.clone()));
    })?;
    drop(tell);
    printer.join().unwrap_or(Ok(()))
}

fn config(args: &Args) -> Result<Config, Error> {
    let mut numbers = BTreeSet::from([args.node]);
    if let Some(twice) = args.peers.iter().find(|peer| !numbers.insert(peer.node)) {
        return Err(Error::misused(
            "cannot run this node",
            format!("number {} is given to two nodes", twice.node),
            "give each node of a network a number of its own",
        ));
    }
    let settings = args.changes.settings(u32::try_from(numbers.len()).unwrap_or(u32::MAX))?;
    let incarnation = args.incarnation.unwrap_or_else(|| incarnation_at(clock::now().wall));
    let start = Start { incarnation, nonce: args::random_bytes()? };
    let (key, seed) = (key_file::read(&args.key_file)?, args::seed(args.seed)?);
    Ok(Config {
        neighbours: args.peers.clone(),
        limits: settings.limits.into(),
        timing: settings.timing.into(),
        ..Config::new(args.node, start, key, seed)
    })
}

/// Writes events as they come, in a thread of its own: a reader may pause, the node may not.
/// When the reader leaves, the node does, too.
fn print(
    json: bool,
    node: NodeId,
    told: Receiver<(Wall, Event)>,
    stopper: Stopper,
) -> Result<JoinHandle<Result<(), Error>>, Error> {
    let write = move || {
        let zone = TimeZone::system();
        for (at, event) in told {
            let line = match json {
                true => event_text::json(at, node, &event),
                false => event_text::text(&zone, at, node, &event),
            };
            output::result(&line).inspect_err(|_| stopper.stop())?;
        }
        Ok(())
    };
    let thread = thread::Builder::new().name("print".into()).spawn(write);
    thread.map_err(|error| Error::no_thread("cannot run this node", &error))
}
