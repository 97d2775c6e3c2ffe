//! `run-node`: one node in the foreground, by hand, across hosts if need be.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use crate::cli::render::event_text;
use crate::cli::render::time_text::TimeZone;
use crate::cli::{Error, Global, args, interrupt, key_file, limit_options, output};
use crate::network::{NodeRecord, ProcessId, StateDir};
use crate::protocol::{
    Config, Event, Incarnation, Key, NodeId, PeerAddr, Start, Wall, incarnation_at,
};
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
        process: this_process()?,
        removed: false,
        peers: args.peers.iter().map(|peer| peer.node).collect(),
    };
    let _registered = Registered::new(global, &config.key, record)?;
    let stopper = runtime.stopper();
    interrupt::call(move || stopper.stop())?;
    output::note(&format!(
        "node {} listens on {}, with a receive buffer of {} KiB; Ctrl-C has it leave",
        args.node,
        runtime.local_addr(),
        runtime.receive_buffer_bytes() / 1024,
    ));
    let (tell, told) = bounded(WAITING_MAX);
    let printer = print(global.json, args.node, told, runtime.stopper())?;
    runtime.run(&mut |at, event| {
        // A full channel means a slow reader, who must not hold up the node.
        let _ = tell.try_send((at, event.clone()));
    })?;
    drop(tell);
    printer.join().unwrap_or(Ok(()))
}

fn config(args: &Args) -> Result<Config, Error> {
    let mut numbers: Vec<NodeId> = args.peers.iter().map(|peer| peer.node).collect();
    numbers.push(args.node);
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::misused(
            "cannot run this node",
            format!("number {} is given to two nodes", twice[0]),
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

fn this_process() -> Result<ProcessId, Error> {
    ProcessId::current().map_err(|error| {
        Error::failed(
            "cannot run this node",
            format!("the system does not tell of this process: {error}"),
            "see whether /proc is mounted",
        )
    })
}

/// The node's place in the network's record, for as long as this value lives.
struct Registered {
    state: StateDir,
    network: String,
    node: NodeId,
}

impl Registered {
    fn new(global: &Global, key: &Key, record: NodeRecord) -> Result<Self, Error> {
        let state = StateDir::from_env()?;
        let node = record.node;
        state.register(&global.network, key, record)?;
        Ok(Self { state, network: global.network.clone(), node })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // A record that stays behind names a process that is gone, which anybody can see.
        let _ = self.state.unregister(&self.network, self.node);
    }
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
    thread::Builder::new().name("print".into()).spawn(write).map_err(|error| {
        Error::failed(
            "cannot run this node",
            format!("the system allows no more threads: {error}"),
            "raise `ulimit -u`",
        )
    })
}
